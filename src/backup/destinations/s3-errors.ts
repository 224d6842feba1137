/**
 * What an S3 answer that is not a success means to its caller. The error's code decides where it is known, because providers
 * disagree on the status; else the status does, except that 404 with a code that nobody here knows may be about anything but an
 * object. The remote's own words are never repeated: only its code, when it looks like one.
 */
import { type DestinationFailure, type DestinationFailureClass, destinationFailure } from "./destination.ts";
import { isRegionName } from "./destination-url.ts";

/** A failure with what the driver itself looks at. */
export interface S3Failure extends DestinationFailure {
  /** null when there was no answer at all. */
  readonly status: number | null;
  readonly code: string | null;
}

export interface S3ErrorAnswer {
  readonly status: number;
  /** The Code element of the error's body; null for a HEAD, which has none, and for a body that is no S3 error. */
  readonly code: string | null;
  /** The Retry-After header. */
  readonly retryAfter: string | null;
  /** The x-amz-bucket-region header. */
  readonly bucketRegion: string | null;
}

const classOfCode = new Map<string, DestinationFailureClass>([
  ["NoSuchBucket", "gone"],
  ["NoSuchKey", "not-found"],
  ["NoSuchUpload", "not-found"],
  ["PreconditionFailed", "conflict"],
  ["ConditionalRequestConflict", "retry"],
  ["OperationAborted", "retry"],
  ["SlowDown", "retry"],
  ["InternalError", "retry"],
  ["ServiceUnavailable", "retry"],
  ["RequestTimeout", "retry"],
  ["RequestTimeTooSkewed", "retry"],
  ["IncompleteBody", "retry"],
  ["ClientDisconnect", "retry"],
  ["BadDigest", "retry"],
  ["XAmzContentSHA256Mismatch", "retry"],
  ["InvalidAccessKeyId", "credentials"],
  ["SignatureDoesNotMatch", "credentials"],
  ["AccessDenied", "credentials"],
  ["Unauthorized", "credentials"],
  ["ExpiredToken", "credentials"],
  ["ExpiredRequest", "credentials"],
  ["InvalidToken", "credentials"],
  ["TokenRefreshRequired", "credentials"],
  // What versitygw says of an access key that it does not know, with 404.
  ["XAdminUserNotFound", "credentials"],
  ["NotEntitled", "credentials"],
  ["AccountProblem", "credentials"],
  ["AllAccessDisabled", "credentials"],
  ["AuthorizationHeaderMalformed", "bad"],
  ["IllegalLocationConstraintException", "bad"],
  ["InvalidBucketName", "bad"],
  ["PermanentRedirect", "bad"],
  ["NotImplemented", "bad"],
  // Servers that keep objects as files: a part of the prefix is an object already.
  ["ObjectParentIsFile", "bad"],
  ["XMinioParentIsObject", "bad"],
]);

export function classifyS3Error(answer: S3ErrorAnswer, bucket: string, now: number): S3Failure {
  const code = answer.code !== null && /^[A-Za-z0-9.]{1,64}$/.test(answer.code) ? answer.code : null;
  const known = code === null ? undefined : classOfCode.get(code);
  const failureClass = known ?? (code !== null && answer.status === 404 ? "bad" : classOfStatus(answer.status));
  const seen = code === null ? `HTTP ${answer.status}` : `HTTP ${answer.status}, ${code}`;
  const message = sentence(failureClass, code, answer, bucket, seen);
  const retryAfterMs = failureClass === "retry" ? parseRetryAfter(answer.retryAfter, now) : undefined;
  return { ...destinationFailure(failureClass, message, retryAfterMs), status: answer.status, code };
}

export function unreachableFailure({ host, protocol }: URL): S3Failure {
  const closed = "closed the connection before it had answered";
  const why = protocol === "https:" ? `does not speak https there, or ${closed}` : `or ${closed}`;
  const message = `The destination at ${host} could not be reached, ${why}.`;
  return { ...destinationFailure("retry", message), status: null, code: null };
}

function classOfStatus(status: number): DestinationFailureClass {
  if (status === 401 || status === 403) return "credentials";
  if (status === 404) return "not-found";
  if (status === 412) return "conflict";
  if (status === 501) return "bad";
  if (status === 408 || status === 409 || status === 425 || status === 429 || status >= 500) return "retry";
  return "bad";
}

function sentence(
  failureClass: DestinationFailureClass,
  code: string | null,
  answer: S3ErrorAnswer,
  bucket: string,
  seen: string,
): string {
  switch (failureClass) {
    case "retry":
      if (code === "RequestTimeTooSkewed") {
        return `The destination's clock and ours are too far apart (${seen}).`;
      }
      return `The destination could not take the request now (${seen}).`;
    case "credentials":
      if (code === "AccessDenied") {
        return `The credentials do not allow this in bucket "${bucket}" (${seen}): they must allow to read, write, list and delete objects.`;
      }
      if (code === "ExpiredToken" || code === "TokenRefreshRequired") {
        return `The credentials for bucket "${bucket}" have expired (${seen}): enter new ones.`;
      }
      return `The credentials for bucket "${bucket}" were refused (${seen}): check the access key, its secret, and what they allow.`;
    case "gone":
      return `There is no bucket "${bucket}" at the destination (${seen}): make it, or correct its name.`;
    case "not-found":
      return `There is no such object in bucket "${bucket}" (${seen}).`;
    case "conflict":
      return `Bucket "${bucket}" has another object of this name already (${seen}).`;
    case "bad":
      return badSentence(answer, bucket, seen);
  }
}

function badSentence(answer: S3ErrorAnswer, bucket: string, seen: string): string {
  if (answer.status >= 300 && answer.status < 400) {
    const region = answer.bucketRegion;
    const hint = region !== null && isRegionName(region) ? ` The bucket is in region "${region}".` : "";
    return `The destination sends requests for bucket "${bucket}" elsewhere (${seen}): the endpoint or the region is wrong.${hint}`;
  }
  return `The destination does not accept the request (${seen}): check the access key, the region, the name of bucket "${bucket}", and the endpoint, which is without the bucket.`;
}

/** RFC 9110, 10.2.3: seconds, or a date. Undefined when it is neither. */
function parseRetryAfter(text: string | null, now: number): number | undefined {
  if (text === null) return undefined;
  if (/^\d{1,9}$/.test(text)) return Number(text) * 1000;
  const date = Date.parse(text);
  return Number.isNaN(date) ? undefined : Math.max(0, date - now);
}
