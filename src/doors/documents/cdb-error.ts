/** Failures in the form of `/cdb`: `{errCode, type, title, detail, instance}`, where `detail` and `instance` are JSON as text. */
import type { DocumentSubject } from "../../contracts/document-commands.ts";
import { unreachable } from "../../core/assert.ts";
import type { ErrorCode, Failure } from "../../core/errors.ts";

/** Who sent the request, and which request it was. */
export interface Asker {
  readonly headers: Headers;
  readonly requestId: string;
  readonly date: Date;
}

/** Of what the client sent, an error repeats at most this much of each member. */
const MAX_REPEATED_CHARACTERS = 200;

export function errorText({ headers, requestId, date }: Asker, subject: DocumentSubject, why: Failure): string {
  const header = (name: string) => repeated(headers.get(name));
  const detail = {
    envId: header("envid"),
    keyId: header("keyid"),
    appId: repeated(subject.appId),
    tableId: repeated(subject.tableId),
    action: repeated(subject.action),
  };
  const instance = {
    requestId,
    // Cloudflare sets it, and so does the front of `npm start`, in place of what a client says.
    clientIP: header("cf-connecting-ip"),
    referer: header("referer"),
    userAgent: header("user-agent"),
    date: date.toISOString(),
  };
  return JSON.stringify({
    errCode: errCodeOf(why.code),
    type: why.code,
    title: why.message,
    detail: JSON.stringify(detail),
    instance: JSON.stringify(instance),
  });
}

function repeated(text: string | null): string | null {
  return text === null ? null : text.slice(0, MAX_REPEATED_CHARACTERS).toWellFormed();
}

/** Programs look for the code of a condition that does not hold. Every other failure has "1"; its `type` says which one it is. */
function errCodeOf(code: ErrorCode): string {
  switch (code) {
    case "precondition-failed":
      return "ConditionCheckFail";
    case "invalid":
    case "limit":
    case "type-mismatch":
    case "unauthenticated":
    case "forbidden":
    case "forbidden-origin":
    case "not-found":
    case "conflict":
    case "too-old":
    case "insufficient-storage":
    case "unavailable":
    case "unsupported":
    case "internal":
      return "1";
    default:
      return unreachable(code);
  }
}
