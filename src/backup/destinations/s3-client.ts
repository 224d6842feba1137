/**
 * One signed S3 request and its answer: SigV4 with the payload's hash, no redirects, deadlines, bounded reading, short retries. `s3.ts`
 * has the meaning of the operations.
 */
import { AwsV4Signer } from "aws4fetch";
import { toBase64, toHex, unshared } from "../../core/bytes.ts";
import {
  DESTINATION_ANSWER_MS,
  MAX_DESTINATION_ERROR_ANSWER_BYTES,
  MIN_DESTINATION_BYTES_PER_SECOND,
} from "../../core/limits.ts";
import { withDeadline } from "../../core/timers.ts";
import { Unreachable } from "../../core/unreachable.ts";
import { encodeKeyPath, encodeStrictly } from "./object-name.ts";
import { lateFailure, type RetryPolicy, type Timing, withRetries } from "./retry.ts";
import { classifyS3Error, type S3Asked, type S3Failure, unreachableFailure } from "./s3-errors.ts";
import { S3_ACTIONS } from "./s3-meanings.ts";
import { type ErrorBody, parseError } from "./s3-xml.ts";
import type { S3Settings } from "./s3-settings.ts";

/** The only way out: the `fetch` of the outbound service, which decides which addresses can be reached. */
export type OutboundFetch = (url: string, init: RequestInit) => Promise<Response>;

/** S3 accepts a difference of 15 minutes between the clocks. A difference below this is no reason to correct ours. */
const NOTABLE_SKEW_MS = 300_000;

/** A Date that differs by more than this comes from no clock, and no request could be signed with it. */
const GREATEST_SKEW_MS = 100 * 365 * 24 * 60 * 60 * 1000;

export interface S3Request {
  readonly action: keyof typeof S3_ACTIONS;
  readonly method: "GET" | "HEAD" | "PUT" | "POST" | "DELETE";
  /** null: the request is about the bucket. */
  readonly key: string | null;
  readonly query?: Readonly<Record<string, string>>;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Uint8Array;
  /** A longer answer is refused. */
  readonly readLimit: number;
}

export interface S3Answer {
  readonly ok: true;
  readonly status: number;
  readonly headers: Headers;
  readonly bytes: Uint8Array;
}

export class S3Client {
  readonly #settings: S3Settings;
  readonly #fetch: OutboundFetch;
  readonly #timing: Timing;
  readonly #policy: RetryPolicy;
  readonly #signingKeys = new Map<string, ArrayBuffer>();
  /** Added to our clock after the destination has shown that its clock differs. */
  #skewMs = 0;
  /** The bucket locks its objects, and accepts none without Content-MD5. */
  #wantsMd5 = false;

  constructor(settings: S3Settings, fetch: OutboundFetch, timing: Timing, policy: RetryPolicy) {
    this.#settings = settings;
    this.#fetch = fetch;
    this.#timing = timing;
    this.#policy = policy;
  }

  async send(request: S3Request): Promise<S3Answer | S3Failure> {
    // The hash of the whole body, which is the same for every try.
    const payloadHash = toHex(await digest("SHA-256", request.body));
    const tried = async (one: S3Request): Promise<S3Answer | S3Failure> =>
      withRetries<S3Answer, S3Failure>(this.#timing, this.#policy, () => this.#attempt(one, payloadHash));
    if (request.method !== "PUT") return tried(request);
    if (this.#wantsMd5) return tried(await withMd5(request));
    const outcome = await tried(request);
    if (outcome.ok || outcome.code !== WANTS_MD5) return outcome;
    const again = await tried(await withMd5(request));
    this.#wantsMd5 = again.ok;
    return again;
  }

  async #attempt(request: S3Request, payloadHash: string): Promise<S3Answer | S3Failure> {
    const signedAt = this.#timing.clock.now() + this.#skewMs;
    const { url, headers } = await this.#sign(request, payloadHash, signedAt);
    const init: RequestInit = { method: request.method, headers, redirect: "manual" };
    if (request.body !== undefined) init.body = unshared(request.body);
    const response = await this.#inTime(request.body?.length ?? 0, (signal) =>
      this.#fetch(url.href, { ...init, signal }),
    );
    if (!(response instanceof Response)) return response;

    const good = response.ok;
    const limit = good ? request.readLimit : MAX_DESTINATION_ERROR_ANSWER_BYTES;
    const announced = request.method === "HEAD" ? null : announcedLength(response);
    if (good && announced !== null && announced > limit) {
      await response.body?.cancel();
      return tooLarge(request, announced, limit);
    }
    const bytes = await this.#inTime(Math.min(announced ?? limit, limit), (signal) =>
      readBody(response, limit, announced ?? PIECE_BYTES, signal),
    );
    if (good) {
      if (!(bytes instanceof Uint8Array)) return bytes ?? tooLarge(request, null, limit);
      if (announced !== null && bytes.length !== announced) return unreachableFailure(url, null);
      return { ok: true, status: response.status, headers: response.headers, bytes };
    }
    // The body of an error only makes its status more precise, so a body that cannot be read changes nothing.
    const error = bytes instanceof Uint8Array ? parseError(bytes) : { code: null, region: null };
    return this.#failureOf(request, response, error, signedAt);
  }

  #failureOf(request: S3Request, response: Response, { code: given, region }: ErrorBody, signedAt: number): S3Failure {
    let code = given;
    const theirs = Date.parse(response.headers.get("date") ?? "");
    const skewed = response.status === 403 && (code === "RequestTimeTooSkewed" || code === null);
    const skewMs = theirs - this.#timing.clock.now();
    if (skewed && Math.abs(theirs - signedAt) > NOTABLE_SKEW_MS && Math.abs(skewMs) < GREATEST_SKEW_MS) {
      this.#skewMs = skewMs;
      code = "RequestTimeTooSkewed";
    }
    // An object can be missing only when it is read or deleted. For all other requests, "not found" means the bucket.
    if (code === null && response.status === 404 && (request.key === null || request.method === "PUT"))
      code = "NoSuchBucket";
    return classifyS3Error(
      {
        status: response.status,
        code,
        retryAfter: response.headers.get("retry-after"),
        bucketRegion: response.headers.get("x-amz-bucket-region") ?? region,
      },
      this.asked(request.action),
      this.#timing.clock.now(),
    );
  }

  /** What was asked, for the message of a refusal. */
  asked(action: S3Request["action"]): S3Asked {
    const { bucket, region } = this.#settings;
    return { action: S3_ACTIONS[action], bucket, region };
  }

  #sign(request: S3Request, payloadHash: string, signedAt: number): Promise<{ url: URL; headers: Headers }> {
    const { address, addressing, region, accessKeyId, secretAccessKey, sessionToken } = this.#settings;
    const ofBucket = addressing === "path" ? "" : "/";
    const path = request.key === null ? ofBucket : `/${encodeKeyPath(request.key)}`;
    const query = Object.entries(request.query ?? {}).map(([name, value]) => `${name}=${encodeStrictly(value)}`);
    const signer = new AwsV4Signer({
      method: request.method,
      url: `${address}${path}${query.length === 0 ? "" : `?${query.join("&")}`}`,
      headers: { ...request.headers, "x-amz-content-sha256": payloadHash },
      service: "s3",
      region,
      accessKeyId,
      secretAccessKey,
      ...(sessionToken === null ? {} : { sessionToken }),
      cache: this.#signingKeys,
      datetime: new Date(signedAt).toISOString().replace(/[:-]|\.\d{3}/g, ""),
    });
    return signer.sign();
  }

  /** When the work returns `undefined`, so does this. A throw counts as a failure of the network. */
  #inTime<T>(bytes: number, work: (signal: AbortSignal) => Promise<T>): Promise<T | S3Failure> {
    const ms = DESTINATION_ANSWER_MS + Math.ceil((bytes / MIN_DESTINATION_BYTES_PER_SECOND) * 1000);
    return withDeadline<T | S3Failure>(
      this.#timing,
      ms,
      async (signal) => {
        try {
          return await work(signal);
        } catch (error) {
          const reason = error instanceof Unreachable ? error.reason : null;
          return unreachableFailure(new URL(this.#settings.address), reason);
        }
      },
      () => ({ ...lateFailure(ms), status: null, code: null }),
    );
  }
}

/** The code of AWS and others for a PUT without Content-MD5 to a bucket that locks its objects. The code has other meanings, too. */
const WANTS_MD5 = "InvalidRequest";

async function withMd5(request: S3Request): Promise<S3Request> {
  const md5 = toBase64(await digest("MD5", request.body));
  return { ...request, headers: { ...request.headers, "content-md5": md5 } };
}

async function digest(algorithm: "SHA-256" | "MD5", bytes: Uint8Array = new Uint8Array()): Promise<Uint8Array> {
  return new Uint8Array(await crypto.subtle.digest(algorithm, unshared(bytes)));
}

/** null when the length is not given, or is that of a compressed body. */
function announcedLength(response: Response): number | null {
  const text = response.headers.get("content-length");
  if (text === null || !/^\d{1,15}$/.test(text) || response.headers.has("content-encoding")) return null;
  return Number(text);
}

/** The body is read in pieces of this size, however small the sender's chunks are, because each read costs the platform a buffer. */
const PIECE_BYTES = 64 * 1024;

/** The platform's reader with `min`, which is in the standard but not in the types. */
interface ByteReader {
  /** The view's buffer is transferred, and comes back with the value. */
  read(
    view: Uint8Array<ArrayBuffer>,
    options: { readonly min: number },
  ): Promise<{ readonly done: boolean; readonly value?: Uint8Array<ArrayBuffer> | undefined }>;
  cancel(): Promise<void>;
}

/**
 * undefined when the body is longer than the limit. The rest is not read then, nor anything after the signal. `expected`: the probable
 * length.
 */
async function readBody(
  response: Response,
  limit: number,
  expected: number,
  signal: AbortSignal,
): Promise<Uint8Array | undefined> {
  if (response.body === null) return new Uint8Array();
  // The same object, with the interface above.
  const reader = response.body.getReader({ mode: "byob" }) as unknown as ByteReader;
  signal.addEventListener("abort", () => void reader.cancel());
  let bytes = new Uint8Array(Math.min(expected, limit));
  let length = 0;
  let buffer = new ArrayBuffer(PIECE_BYTES);
  for (;;) {
    const room = Math.min(PIECE_BYTES, limit + 1 - length);
    const { done, value } = await reader.read(new Uint8Array(buffer, 0, room), { min: room });
    const end = length + (value?.length ?? 0);
    if (end > limit) {
      await reader.cancel();
      return undefined;
    }
    if (end > bytes.length) {
      const longer = new Uint8Array(Math.min(limit, Math.max(end, 2 * bytes.length)));
      longer.set(bytes.subarray(0, length));
      bytes = longer;
    }
    if (value !== undefined) bytes.set(value, length);
    length = end;
    if (done) return bytes.subarray(0, length);
    buffer = value?.buffer ?? new ArrayBuffer(PIECE_BYTES);
  }
}

function tooLarge({ key, method }: S3Request, announced: number | null, limit: number): S3Failure {
  const what = key === null || method !== "GET" ? "The destination's answer" : `The object ${JSON.stringify(key)}`;
  const size = announced === null ? "longer" : `${announced} bytes long`;
  return {
    ok: false,
    class: "bad",
    message: `${what} is ${size}; at most ${limit} bytes are read of it.`,
    status: null,
    code: null,
  };
}
