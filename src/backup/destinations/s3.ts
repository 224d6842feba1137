/** The driver for every store that speaks S3 over HTTP: AWS, R2's S3 endpoint, MinIO, Google, Backblaze, and similar stores. */
import { assert } from "../../core/assert.ts";
import { asUnixMs, type UnixMs } from "../../core/clock.ts";
import { MAX_DESTINATION_LIST_ANSWER_BYTES, MAX_DESTINATION_READ_BYTES } from "../../core/limits.ts";
import {
  assertRange,
  type ByteRange,
  type Destination,
  type DestinationFailure,
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
  type UploadsAborted,
  type UploadStarted,
} from "./destination.ts";
import { assertNamePrefix, assertObjectName, isAddressable } from "./object-name.ts";
import { alreadyCompleted, alreadyWritten } from "./repeats.ts";
import { RETRY_POLICY, type RetryPolicy, type Timing } from "./retry.ts";
import { type OutboundFetch, S3Client, type S3Request } from "./s3-client.ts";
import { classifyS3Error, type S3Failure } from "./s3-errors.ts";
import type { S3Settings } from "./s3-settings.ts";
import {
  completeUploadBody,
  isCompleteAnswer,
  parseError,
  parseListAnswer,
  parseUploadId,
  parseUploads,
} from "./s3-xml.ts";

/** The limit for answers of which only the headers or a few elements are read. */
const SMALL_ANSWER_BYTES = 64 * 1024;
/** Uploads of one name that are aborted at once. Ours come to a few; a server that lists more gets no more requests for that. */
const MOST_ABORTED = 20;

const octets = { "content-type": "application/octet-stream" };

export class S3Destination implements Destination {
  readonly prefix: string;
  readonly #bucket: string;
  readonly #client: S3Client;
  readonly #timing: Timing;

  constructor(settings: S3Settings, fetch: OutboundFetch, timing: Timing, policy: RetryPolicy = RETRY_POLICY) {
    this.prefix = settings.prefix;
    this.#bucket = settings.bucket;
    this.#client = new S3Client(settings, fetch, timing, policy);
    this.#timing = timing;
  }

  async put(name: string, bytes: Uint8Array): Promise<Done | DestinationFailure> {
    const outcome = await this.#send("put", "PUT", name, { headers: octets, body: bytes });
    return outcome.ok ? done : plain(outcome);
  }

  async putIfAbsent(name: string, bytes: Uint8Array): Promise<PutIfAbsentDone | DestinationFailure> {
    const headers = { ...octets, "if-none-match": "*" };
    const outcome = await this.#send("put", "PUT", name, { headers, body: bytes });
    if (outcome.ok) return { ok: true, alreadyThere: false };
    if (outcome.class === "conflict") return alreadyWritten(this, name, bytes, plain(outcome));
    if (outcome.status !== 501) return plain(outcome);
    // The server has no conditional writes. Checking first leaves a moment in which another writer may write, so the caller has to check
    // afterwards.
    const there = await this.head(name);
    if (there.ok) return alreadyWritten(this, name, bytes, this.#conflict());
    if (there.class !== "not-found") return there;
    const put = await this.put(name, bytes);
    return put.ok ? { ok: true, alreadyThere: false } : put;
  }

  async putIfUnchanged(name: string, bytes: Uint8Array, etag: string | null): Promise<Done | DestinationFailure> {
    if (etag === null) return this.put(name, bytes);
    const outcome = await this.#send("put", "PUT", name, { headers: { ...octets, "if-match": etag }, body: bytes });
    if (outcome.ok) return done;
    // The server has no conditional writes.
    if (outcome.status === 501) return this.put(name, bytes);
    const isAnother = outcome.class === "conflict" || outcome.class === "not-found";
    return isAnother ? alreadyWritten(this, name, bytes, this.#conflict()) : plain(outcome);
  }

  async get(
    name: string,
    range?: ByteRange,
    maxBytes: number = MAX_DESTINATION_READ_BYTES,
  ): Promise<ObjectBytes | DestinationFailure> {
    if (range === undefined) {
      const outcome = await this.#send("get", "GET", name, { readLimit: maxBytes });
      if (!outcome.ok) return plain(outcome);
      return { ok: true, bytes: outcome.bytes, size: outcome.bytes.length, etag: strongEtag(outcome.headers) };
    }
    assertRange(range);
    const { offset, length } = range;
    const headers = { range: `bytes=${offset}-${offset + length - 1}` };
    const outcome = await this.#send("get", "GET", name, { headers, readLimit: length });
    if (!outcome.ok) return plain(outcome);
    const { bytes } = outcome;
    const [, first, size] = /^bytes (\d+)-\d+\/(\d+)$/.exec(outcome.headers.get("content-range") ?? "") ?? [];
    const expected = Math.min(length, Number(size) - offset);
    if (outcome.status === 206 && Number(first) === offset && bytes.length === expected) {
      return { ok: true, bytes, size: Number(size), etag: strongEtag(outcome.headers) };
    }
    return destinationFailure("bad", "The destination does not answer requests for a part of an object as S3 does.");
  }

  async head(name: string): Promise<ObjectHead | DestinationFailure> {
    const outcome = await this.#send("head", "HEAD", name, {});
    if (!outcome.ok) return plain(outcome);
    const size = Number(outcome.headers.get("content-length") ?? Number.NaN);
    if (!Number.isSafeInteger(size)) return notLikeS3();
    return { ok: true, size, modified: timeOf(outcome.headers.get("last-modified")) };
  }

  async list(namePrefix: string, options: ListOptions = {}): Promise<ListPage | DestinationFailure> {
    assertNamePrefix(namePrefix);
    const { after, limit = 1000 } = options;
    assert(limit >= 1 && limit <= 1000, `a page of 1 to 1,000 names, got ${limit}`);
    const keyPrefix = this.prefix + namePrefix;
    const query = {
      "list-type": "2",
      "max-keys": String(limit),
      ...(keyPrefix === "" ? {} : { prefix: keyPrefix }),
      ...(after === undefined ? {} : { "start-after": this.prefix + after }),
    };
    const readLimit = MAX_DESTINATION_LIST_ANSWER_BYTES;
    const outcome = await this.#client.send({ action: "list", method: "GET", key: null, query, readLimit });
    // The server took the request for one about an object. An endpoint that contains the bucket's name makes an object with that name.
    if (!outcome.ok && outcome.class === "not-found") return notLikeS3();
    if (!outcome.ok) return plain(outcome);
    const answer = parseListAnswer(outcome.bytes, limit);
    if (answer === undefined) return notLikeS3();
    let last = after === undefined ? "" : this.prefix + after;
    for (const { key } of answer.objects) {
      // Keys below our prefix are ASCII, so the order of strings is the order of bytes.
      if (!key.startsWith(keyPrefix) || key <= last) {
        return destinationFailure(
          "bad",
          "The destination does not list objects in order, after a name, below a prefix.",
        );
      }
      last = key;
    }
    if (answer.truncated && answer.objects.length === 0) return notLikeS3();
    const objects = answer.objects.map(({ key, size, lastModified }) => ({
      name: key.slice(this.prefix.length),
      size,
      modified: timeOf(lastModified),
    }));
    return { ok: true, objects, next: answer.truncated ? last.slice(this.prefix.length) : null };
  }

  async delete(name: string): Promise<Done | DestinationFailure> {
    const key = this.prefix + name;
    if (!isAddressable(key)) {
      return destinationFailure(
        "bad",
        `Bucket "${this.#bucket}" has an object ${JSON.stringify(key)}, which no URL can name: delete it by other means.`,
      );
    }
    const outcome = await this.#client.send({
      action: "delete",
      method: "DELETE",
      key,
      readLimit: SMALL_ANSWER_BYTES,
    });
    return outcome.ok || outcome.class === "not-found" ? done : plain(outcome);
  }

  async startUpload(name: string): Promise<UploadStarted | DestinationFailure> {
    const outcome = await this.#send("put", "POST", name, { query: { uploads: "" }, headers: octets });
    if (!outcome.ok) return plain(outcome);
    const uploadId = parseUploadId(outcome.bytes);
    return uploadId === undefined ? notLikeS3() : { ok: true, uploadId };
  }

  async putPart(
    name: string,
    uploadId: string,
    number: number,
    bytes: Uint8Array,
  ): Promise<PartDone | DestinationFailure> {
    const query = { partNumber: String(number), uploadId };
    const outcome = await this.#send("put", "PUT", name, { query, body: bytes });
    if (!outcome.ok) return plain(outcome);
    const etag = outcome.headers.get("etag");
    return etag === null ? notLikeS3() : { ok: true, part: { number, etag, size: bytes.length } };
  }

  async completeUpload(
    name: string,
    uploadId: string,
    parts: readonly UploadedPart[],
  ): Promise<Done | DestinationFailure> {
    const body = new TextEncoder().encode(completeUploadBody(parts));
    const headers = { "content-type": "application/xml" };
    const outcome = await this.#send("put", "POST", name, { query: { uploadId }, headers, body });
    if (outcome.ok) {
      if (isCompleteAnswer(outcome.bytes)) return done;
      // S3 begins this answer before the work is done, and may have to end it with an error.
      const { code, region } = parseError(outcome.bytes);
      if (code === null) return notLikeS3();
      const error = { status: 500, code, retryAfter: null, bucketRegion: region };
      return plain(classifyS3Error(error, this.#client.asked("put"), this.#timing.clock.now()));
    }
    const refusal = plain(outcome);
    return outcome.class === "not-found" ? alreadyCompleted(this, name, parts, refusal) : refusal;
  }

  async abortUpload(name: string, uploadId: string): Promise<Done | DestinationFailure> {
    const outcome = await this.#send("abort", "DELETE", name, { query: { uploadId } });
    return outcome.ok || outcome.class === "not-found" ? done : plain(outcome);
  }

  async abortUploads(name: string): Promise<UploadsAborted | DestinationFailure> {
    assertObjectName(name);
    const key = this.prefix + name;
    const query = { uploads: "", prefix: key };
    const readLimit = MAX_DESTINATION_LIST_ANSWER_BYTES;
    const outcome = await this.#client.send({ action: "list", method: "GET", key: null, query, readLimit });
    // Some servers have no such list, and some credentials may put objects and not see it.
    if (!outcome.ok) return outcome.class === "retry" ? plain(outcome) : { ok: true, aborted: null };
    const ids = parseUploads(outcome.bytes, key);
    for (const uploadId of ids?.slice(0, MOST_ABORTED) ?? []) {
      const aborted = await this.abortUpload(name, uploadId);
      if (!aborted.ok) return aborted;
    }
    // Some servers answer with another list, or with none.
    return { ok: true, aborted: ids?.length ?? null };
  }

  #send(
    action: S3Request["action"],
    method: S3Request["method"],
    name: string,
    rest: Partial<Omit<S3Request, "action" | "method" | "key">>,
  ): ReturnType<S3Client["send"]> {
    assertObjectName(name);
    return this.#client.send({ action, method, key: this.prefix + name, readLimit: SMALL_ANSWER_BYTES, ...rest });
  }

  #conflict(): DestinationFailure {
    const answer = { status: 412, code: null, retryAfter: null, bucketRegion: null };
    return plain(classifyS3Error(answer, this.#client.asked("put"), this.#timing.clock.now()));
  }
}

/** null for a weak etag, as something between us and the store adds when it compresses: a weak etag fits no condition. */
function strongEtag(headers: Headers): string | null {
  const etag = headers.get("etag");
  return etag === null || !etag.startsWith('"') ? null : etag;
}

/** The failure without the parts that only the driver needs. */
function plain(failure: S3Failure): DestinationFailure {
  return destinationFailure(failure.class, failure.message, failure.retryAfterMs);
}

function notLikeS3(): DestinationFailure {
  return destinationFailure(
    "bad",
    "The destination does not answer as S3 does: check the endpoint, which must not contain the bucket.",
  );
}

/** null for a text that is no time. */
function timeOf(text: string | null): UnixMs | null {
  const time = Date.parse(text ?? "");
  return Number.isNaN(time) ? null : asUnixMs(time);
}
