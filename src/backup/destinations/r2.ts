/**
 * The driver for an R2 bucket that is bound to the Worker: no credentials and no signatures, but the same contract. The only file in this
 * folder that names types of the platform. The binding throws its errors; the number in parentheses at the end of the message identifies
 * the error.
 */
import { assert } from "../../core/assert.ts";
import { asUnixMs } from "../../core/clock.ts";
import { BUCKET_CALL_MS, MAX_DESTINATION_READ_BYTES } from "../../core/limits.ts";
import { withDeadline } from "../../core/timers.ts";
import {
  assertRange,
  type ByteRange,
  type Destination,
  type DestinationFailure,
  type DestinationFailureClass,
  type Done,
  destinationFailure,
  done,
  type ListOptions,
  type ListPage,
  type ObjectBytes,
  type ObjectHead,
  type PartDone,
  type PutIfAbsentDone,
  type UploadedPart,
  type UploadStarted,
} from "./destination.ts";
import { assertNamePrefix, assertObjectName } from "./object-name.ts";
import { alreadyCompleted, alreadyWritten } from "./repeats.ts";
import { RETRY_POLICY, lateFailure, type RetryPolicy, type Timing, withRetries } from "./retry.ts";

/**
 * From developers.cloudflare.com/r2/api/error-codes. Numbers that are not in this map are "retry", because the binding itself cannot be
 * misconfigured.
 */
const classOfNumber = new Map<number, DestinationFailureClass>([
  [10002, "credentials"],
  [10003, "credentials"],
  [10042, "credentials"],
  [10069, "credentials"],
  [10006, "gone"],
  [10007, "not-found"],
  [10024, "not-found"],
  [10031, "conflict"],
  [10011, "bad"],
  [10020, "bad"],
  [10025, "bad"],
  [10029, "bad"],
  [10039, "bad"],
  [10048, "bad"],
  [100100, "bad"],
]);

export class R2Destination implements Destination {
  readonly prefix: string;
  readonly #bucket: R2Bucket;
  readonly #timing: Timing;
  readonly #policy: RetryPolicy;

  /** `prefix` is a result of `parsePrefix`. */
  constructor(bucket: R2Bucket, prefix: string, timing: Timing, policy: RetryPolicy = RETRY_POLICY) {
    this.prefix = prefix;
    this.#bucket = bucket;
    this.#timing = timing;
    this.#policy = policy;
  }

  put(name: string, bytes: Uint8Array): Promise<Done | DestinationFailure> {
    const key = this.#key(name);
    return this.#call(async () => {
      await this.#bucket.put(key, bytes);
      return done;
    });
  }

  async putIfAbsent(name: string, bytes: Uint8Array): Promise<PutIfAbsentDone | DestinationFailure> {
    const key = this.#key(name);
    const onlyIf = new Headers({ "if-none-match": "*" });
    const outcome = await this.#call<PutIfAbsentDone>(async () => {
      // null: there is an object already.
      const stored = await this.#bucket.put(key, bytes, { onlyIf });
      return { ok: true, alreadyThere: stored === null };
    });
    if (!outcome.ok || !outcome.alreadyThere) return outcome;
    const refusal = destinationFailure("conflict", `The R2 bucket has another object "${key}" already.`);
    return alreadyWritten(this, name, bytes, refusal);
  }

  async putIfUnchanged(name: string, bytes: Uint8Array, etag: string | null): Promise<Done | DestinationFailure> {
    if (etag === null) return this.put(name, bytes);
    const key = this.#key(name);
    const outcome = await this.#call<PutIfAbsentDone>(async () => {
      // null: the object has another etag, or does not exist.
      const stored = await this.#bucket.put(key, bytes, { onlyIf: new Headers({ "if-match": etag }) });
      return { ok: true, alreadyThere: stored === null };
    });
    if (!outcome.ok || !outcome.alreadyThere) return outcome;
    const refusal = destinationFailure("conflict", `The R2 bucket has another object "${key}" by now.`);
    return alreadyWritten(this, name, bytes, refusal);
  }

  get(
    name: string,
    range?: ByteRange,
    maxBytes: number = MAX_DESTINATION_READ_BYTES,
  ): Promise<ObjectBytes | DestinationFailure> {
    const key = this.#key(name);
    if (range !== undefined) assertRange(range);
    return this.#call<ObjectBytes>(async () => {
      const object = await this.#bucket.get(key, range === undefined ? {} : { range });
      if (object === null) return notFound(key);
      const expected = range === undefined ? object.size : Math.min(range.length, object.size - range.offset);
      const [least, most] = range === undefined ? [0, maxBytes] : [1, MAX_DESTINATION_READ_BYTES];
      if (expected < least || expected > most) {
        await object.body.cancel();
        return destinationFailure(
          "bad",
          `Object "${key}" has ${object.size} bytes, which does not fit what was asked for.`,
        );
      }
      const bytes = new Uint8Array(await object.arrayBuffer());
      if (bytes.length === expected) return { ok: true, bytes, size: object.size, etag: object.httpEtag };
      return destinationFailure("retry", "The R2 bucket's answer was cut short.");
    });
  }

  head(name: string): Promise<ObjectHead | DestinationFailure> {
    const key = this.#key(name);
    return this.#call<ObjectHead>(async () => {
      const object = await this.#bucket.head(key);
      if (object === null) return notFound(key);
      return { ok: true, size: object.size, modified: asUnixMs(object.uploaded.getTime()) };
    });
  }

  list(namePrefix: string, options: ListOptions = {}): Promise<ListPage | DestinationFailure> {
    assertNamePrefix(namePrefix);
    const { after, limit = 1000 } = options;
    const from = this.prefix.length;
    return this.#call<ListPage>(async () => {
      const page = await this.#bucket.list({
        prefix: this.prefix + namePrefix,
        limit,
        ...(after === undefined ? {} : { startAfter: this.prefix + after }),
      });
      const objects = page.objects.map(({ key, size, uploaded }) => ({
        name: key.slice(from),
        size,
        modified: asUnixMs(uploaded.getTime()),
      }));
      const last = objects.at(-1);
      assert(!page.truncated || last !== undefined, "a page that is not the last to have names");
      return { ok: true, objects, next: page.truncated && last !== undefined ? last.name : null };
    });
  }

  delete(name: string): Promise<Done | DestinationFailure> {
    const key = this.prefix + name;
    return this.#call(async () => {
      await this.#bucket.delete(key);
      return done;
    });
  }

  startUpload(name: string): Promise<UploadStarted | DestinationFailure> {
    const key = this.#key(name);
    return this.#call<UploadStarted>(async () => {
      const { uploadId } = await this.#bucket.createMultipartUpload(key);
      return { ok: true, uploadId };
    });
  }

  putPart(name: string, uploadId: string, number: number, bytes: Uint8Array): Promise<PartDone | DestinationFailure> {
    const key = this.#key(name);
    return this.#call<PartDone>(async () => {
      const { etag } = await this.#bucket.resumeMultipartUpload(key, uploadId).uploadPart(number, bytes);
      return { ok: true, part: { number, etag, size: bytes.length } };
    });
  }

  async completeUpload(
    name: string,
    uploadId: string,
    parts: readonly UploadedPart[],
  ): Promise<Done | DestinationFailure> {
    const key = this.#key(name);
    const list = parts.map(({ number, etag }) => ({ partNumber: number, etag }));
    const outcome = await this.#call(async () => {
      await this.#bucket.resumeMultipartUpload(key, uploadId).complete(list);
      return done;
    });
    return outcome.ok || outcome.class !== "not-found" ? outcome : alreadyCompleted(this, name, parts, outcome);
  }

  async abortUpload(name: string, uploadId: string): Promise<Done | DestinationFailure> {
    const key = this.#key(name);
    const outcome = await this.#call(async () => {
      await this.#bucket.resumeMultipartUpload(key, uploadId).abort();
      return done;
    });
    return outcome.ok || outcome.class === "not-found" ? done : outcome;
  }

  #key(name: string): string {
    assertObjectName(name);
    return this.prefix + name;
  }

  #call<T extends Done>(work: () => Promise<T | DestinationFailure>): Promise<T | DestinationFailure> {
    const attempt = async (): Promise<T | DestinationFailure> => {
      try {
        return await work();
      } catch (error) {
        return failureOf(error);
      }
    };
    return withRetries<T, DestinationFailure>(this.#timing, this.#policy, () =>
      withDeadline<T | DestinationFailure>(this.#timing, BUCKET_CALL_MS, attempt, () => lateFailure(BUCKET_CALL_MS)),
    );
  }
}

function notFound(key: string): DestinationFailure {
  return destinationFailure("not-found", `There is no object "${key}" in the R2 bucket.`);
}

function failureOf(error: unknown): DestinationFailure {
  const number = error instanceof Error ? /\((\d{5,6})\)$/.exec(error.message)?.[1] : undefined;
  const seen = number === undefined ? "no error code" : `R2 error ${number}`;
  const failureClass = classOfNumber.get(Number(number)) ?? "retry";
  switch (failureClass) {
    case "credentials":
      return destinationFailure(
        failureClass,
        `The Worker may not do this in its R2 bucket (${seen}): check the bucket's locks and the account.`,
      );
    case "gone":
      return destinationFailure(
        failureClass,
        `The R2 bucket that the Worker is bound to does not exist (${seen}): make it.`,
      );
    case "not-found":
      return destinationFailure(failureClass, `There is no such object or upload in the R2 bucket (${seen}).`);
    case "conflict":
      return destinationFailure(failureClass, `The R2 bucket has another object of this name already (${seen}).`);
    case "bad":
      return destinationFailure(failureClass, `The R2 bucket does not accept the request (${seen}).`);
    case "retry":
      return destinationFailure(failureClass, `The R2 bucket could not take the request now (${seen}).`);
  }
}
