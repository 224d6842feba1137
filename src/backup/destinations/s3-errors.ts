/**
 * What an unsuccessful S3 answer means to its caller. A known error code decides, because providers disagree on the status. Without a
 * known code, the status decides. The remote's own words are never repeated, except its code when that looks like a code, and the region
 * that it names.
 */
import { type DestinationFailure, destinationFailure } from "./destination.ts";
import type { UnreachableReason } from "../../core/unreachable.ts";
import { isRegionName } from "./destination-url.ts";
import { meaningOf, meaningOfStatus, type S3Action } from "./s3-meanings.ts";

/** A failure with the parts that the driver itself needs. */
export interface S3Failure extends DestinationFailure {
  /** null when there was no answer. */
  readonly status: number | null;
  readonly code: string | null;
}

export interface S3ErrorAnswer {
  readonly status: number;
  /** The Code element of the error's body. null for a HEAD, which has no body, and for a body that is no S3 error. */
  readonly code: string | null;
  /** The Retry-After header. null: there is none. */
  readonly retryAfter: string | null;
  /** The x-amz-bucket-region header, or the Region element of the body. null: there is neither. */
  readonly bucketRegion: string | null;
}

/** What was asked, and of which bucket. */
export interface S3Asked {
  readonly action: S3Action;
  readonly bucket: string;
  readonly region: string;
}

export function classifyS3Error(answer: S3ErrorAnswer, asked: S3Asked, now: number): S3Failure {
  const code = answer.code !== null && /^[A-Za-z0-9.]{1,64}$/.test(answer.code) ? answer.code : null;
  const meaning = (code === null ? undefined : meaningOf(code)) ?? meaningOfStatus(answer.status, code !== null);
  const { bucketRegion: named } = answer;
  const message = meaning.sentence({
    ...asked,
    bucketRegion: named !== null && isRegionName(named) ? named : null,
    seen: code === null ? `HTTP ${answer.status}` : `HTTP ${answer.status}, ${code}`,
  });
  const retryAfterMs = meaning.class === "retry" ? parseRetryAfter(answer.retryAfter, now) : undefined;
  return { ...destinationFailure(meaning.class, message, retryAfterMs), status: answer.status, code };
}

/** Reasons that may pass although nobody changes the destination. */
const passing = new Set<UnreachableReason>(["no-address", "no-proxy", "failed-behind-proxy"]);

/** `reason` null: the reason is not known. */
export function unreachableFailure(url: URL, reason: UnreachableReason | null): S3Failure {
  const mayPass = reason === null || passing.has(reason);
  const message = reason === null ? unreachableSomehow(url) : unreachableFor(reason, url);
  return { ...destinationFailure(mayPass ? "retry" : "bad", message), status: null, code: null };
}

function unreachableSomehow({ host, protocol }: URL): string {
  const closed = "closed the connection before it had answered";
  const why = protocol === "https:" ? `does not speak https there, or ${closed}` : `or ${closed}`;
  return `The destination at ${host} could not be reached, ${why}.`;
}

function unreachableFor(reason: UnreachableReason, { host }: URL): string {
  switch (reason) {
    case "untrusted":
      return `The certificate of the destination at ${host} is signed by an authority that this server does not trust, for example a company's own: name a file with that authority's certificate in NODE_EXTRA_CA_CERTS, and start the server again.`;
    case "other-name":
      return `The certificate of the destination at ${host} is for another name: correct the endpoint, or the addressing.`;
    case "out-of-date":
      return `The certificate of the destination at ${host} has expired, or is not valid yet.`;
    case "no-tls":
      return `The destination at ${host} does not speak https there: correct the port, or begin the endpoint with http://.`;
    case "no-common-tls":
      return `The destination at ${host} speaks no version of TLS that this server does, 1.2 or 1.3, or no cipher.`;
    case "no-address":
      return `The destination at ${host} has no address that this server connects to: its name cannot be looked up, or leads where no destination may be.`;
    case "no-proxy":
      return `The destination at ${host} could not be reached, because the proxy that this server's environment names, in HTTPS_PROXY or HTTP_PROXY, could not be reached.`;
    case "refused-by-proxy":
      return `The proxy that this server's environment names, in HTTPS_PROXY or HTTP_PROXY, refused the destination at ${host}: see what it allows and whether it wants a user name, or name the host in NO_PROXY.`;
    case "failed-behind-proxy":
      return `The proxy that this server's environment names, in HTTPS_PROXY or HTTP_PROXY, could not reach the destination at ${host}, or lost the connection.`;
  }
}

/** Seconds or a date, by RFC 9110, 10.2.3. Undefined when the text is neither. */
function parseRetryAfter(text: string | null, now: number): number | undefined {
  if (text === null) return undefined;
  if (/^\d{1,9}$/.test(text)) return Number(text) * 1000;
  const date = Date.parse(text);
  return Number.isNaN(date) ? undefined : Math.max(0, date - now);
}
