/**
 * What a request of the data path has to be before its body is read, and what is said of one that failed: the rules of the door that hold
 * whoever carries the request to the database, the Worker or the local front.
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

/** A POST to one of the operations. */
export interface DataHead {
  readonly operation: DataOperation;
  readonly databaseId: string;
  /** The commit that its path names; undefined: the database as it is. */
  readonly at: string | undefined;
  readonly headers: HeaderLookup;
  /** Of the foreign page that asks, if one does. */
  readonly origin: string | null;
}

export interface AdmissionParts {
  readonly authority: Pick<Authority, "verify">;
  readonly clock: Clock;
}

/** What the request may do, or the answer to one that may not be carried out. At once for a token that was verified before. */
export function admitted(parts: AdmissionParts, head: DataHead): Grant | Sentence | Promise<Grant | Sentence> {
  const token = bearerToken(head.headers);
  if (typeof token !== "string") return failureSentence(token);
  const verified = parts.authority.verify(token, head.databaseId, head.at);
  if (verified instanceof Promise) return verified.then((grant) => judged(parts, head, grant));
  return judged(parts, head, verified);
}

function judged({ clock }: AdmissionParts, head: DataHead, grant: Grant | Failure): Grant | Sentence {
  if (isFailure(grant)) return failureSentence(grant);
  const { headers, databaseId, operation, origin } = head;
  const flaw =
    refusedPage(grant, origin) ??
    flawOfHeaders(headers, databaseId) ??
    refusedAccess(grant, accessOf(operation), clock.now());
  if (flaw !== null) return failureSentence(flaw);
  if (isProtobuf(headers.get("content-type"))) return grant;
  return sentence(415, "The content type of the request must be application/x-protobuf.");
}

export function accessOf(operation: DataOperation): Access {
  return operation === "atomic_write" ? "write" : "read";
}

/** What the database says of a request with this body, unless the door knows better why. */
export function refusalOf(headers: HeaderLookup, body: Uint8Array, why: Failure): Sentence {
  return failureSentence((why.code === "invalid" ? compressionIn(headers, body) : undefined) ?? why);
}

/** The one mapping of failures to statuses. Clients exchange again on 401 and 403, retry 5xx, and show the text of any other 4xx to their user. */
export function failureSentence(refusal: Failure): Sentence {
  return sentence(statusOf(refusal.code), refusal.message, refusalHeaders(refusal));
}

function statusOf(code: ErrorCode): number {
  switch (code) {
    case "invalid":
    case "limit":
    case "type-mismatch":
    // Not 501: @deno/kv would send it ten times.
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
    // Not 507: Deno would send it again without end, and @deno/kv for a minute; neither would show why.
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

/** The first is sent by versions 2 and 3, the second by version 1. */
const DATABASE_HEADERS = ["x-denokv-database-id", "x-transaction-domain-id"] as const;

const VERSION_TEXTS = PROTOCOL_VERSIONS.map(String);

/** A client names the database and the version in headers, which must not contradict the URL. None of them is required. */
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
