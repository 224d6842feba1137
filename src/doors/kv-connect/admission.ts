/**
 * What a request of the data path must be before its body is read, and the answers to failures. These rules of the door are the same for
 * the Worker and for the local front, whichever carries the request to the database.
 */
import { unreachable } from "../../core/assert.ts";
import type { Authority } from "../../contracts/authority.ts";
import { type Access, type Grant, refusedAccess, refusedPage } from "../../contracts/grant.ts";
import type { Clock } from "../../core/clock.ts";
import { type ErrorCode, failure, type Failure, isFailure } from "../../core/errors.ts";
import { bearerToken } from "../http/bearer-token.ts";
import type { HeaderLookup } from "../http/header-lookup.ts";
import { type Sentence, sentence } from "../http/plain-text.ts";
import { refusalHeaders } from "../http/refusal-headers.ts";
import { compressionIn } from "../http/text.ts";
import { PROTOCOL_VERSIONS } from "./versions.ts";

export type DataOperation = "snapshot_read" | "atomic_write" | "watch";

/** Which operation of which database a POST asks for, and who sends it. */
interface DataAddress {
  readonly operation: DataOperation;
  readonly databaseId: string;
  /** The commit in the request's path. undefined: the request is for the database as it is. */
  readonly at: string | undefined;
  /** Of the page of another origin that sends the request. null: there is none. */
  readonly origin: string | null;
}

/** A POST to one of the operations, without its body. It does not depend on the time, so it can be kept for other requests with this head. */
export interface DataHead extends DataAddress {
  readonly token: string | Failure;
  /** What is wrong with the headers in which a client names the database and the version. */
  readonly flaw: Failure | null;
  readonly isProtobuf: boolean;
}

export function dataHeadOf({ headers, ...address }: DataAddress & { readonly headers: HeaderLookup }): DataHead {
  return {
    ...address,
    token: bearerToken(headers),
    flaw: flawOfHeaders(headers, address.databaseId),
    isProtobuf: isProtobuf(headers.get("content-type")),
  };
}

export interface AdmissionParts {
  readonly authority: Pick<Authority, "verify">;
  readonly clock: Clock;
}

/** What the request may do, or the answer when it must not be carried out. No promise for a token that was verified before. */
export function admitted(parts: AdmissionParts, head: DataHead): Grant | Sentence | Promise<Grant | Sentence> {
  const { token } = head;
  if (typeof token !== "string") return failureSentence(token);
  const verified = parts.authority.verify(token, head.databaseId, head.at);
  if (verified instanceof Promise) return verified.then((grant) => judged(parts, head, grant));
  return judged(parts, head, verified);
}

function judged({ clock }: AdmissionParts, head: DataHead, grant: Grant | Failure): Grant | Sentence {
  if (isFailure(grant)) return failureSentence(grant);
  const { operation, origin } = head;
  const flaw = refusedPage(grant, origin) ?? head.flaw ?? refusedAccess(grant, accessOf(operation), clock.now());
  if (flaw !== null) return failureSentence(flaw);
  if (head.isProtobuf) return grant;
  return sentence(415, "The content type of the request must be application/x-protobuf.");
}

export function accessOf(operation: DataOperation): Access {
  return operation === "atomic_write" ? "write" : "read";
}

/** The answer for a failure that the database reports for this body, unless the door knows the cause better. */
export function refusalOf(headers: HeaderLookup, body: Uint8Array, why: Failure): Sentence {
  return failureSentence((why.code === "invalid" ? compressionIn(headers, body) : undefined) ?? why);
}

/**
 * The one mapping of failures to statuses. Clients exchange their token again after 401 and 403, retry after 5xx, and show the text of
 * any other 4xx to their user.
 */
export function failureSentence(refusal: Failure): Sentence {
  return sentence(statusOf(refusal.code), refusal.message, refusalHeaders(refusal));
}

function statusOf(code: ErrorCode): number {
  switch (code) {
    case "invalid":
    case "limit":
    case "type-mismatch":
    // Not 501, which @deno/kv would send again ten times.
    case "unsupported":
      return 400;
    case "unauthenticated":
      return 401;
    case "forbidden":
    case "forbidden-origin":
      return 403;
    case "not-found":
      return 404;
    case "conflict":
      return 409;
    case "precondition-failed":
      return 412;
    case "too-old":
      return 410;
    // Not 507, which Deno would send again without end and @deno/kv for a minute, both without showing why.
    case "insufficient-storage":
      return 413;
    case "internal":
      return 500;
    case "unavailable":
      return 503;
    default:
      return unreachable(code);
  }
}

/** Versions 2 and 3 send the first, version 1 the second. */
const DATABASE_HEADERS = ["x-denokv-database-id", "x-transaction-domain-id"] as const;

const VERSION_TEXTS = PROTOCOL_VERSIONS.map(String);

/**
 * What is wrong with headers in which a client names the database and the version: they must not contradict the URL. None is required.
 */
function flawOfHeaders(headers: HeaderLookup, databaseId: string): Failure | null {
  for (const header of DATABASE_HEADERS) {
    const named = headers.get(header);
    if (named !== null && named !== databaseId) {
      return failure("invalid", `The header ${header} names another database than the URL.`);
    }
  }
  const version = headers.get("x-denokv-version");
  if (version === null || VERSION_TEXTS.includes(version)) return null;
  const known = VERSION_TEXTS.join(", ");
  return failure("invalid", `x-denokv-version names a version that is not known; this server speaks ${known}.`);
}

/** denokv's own client sends no content type. */
function isProtobuf(contentType: string | null): boolean {
  if (contentType === null || contentType === "application/x-protobuf") return true;
  const [essence = ""] = contentType.split(";");
  return essence.trim().toLowerCase() === "application/x-protobuf";
}
