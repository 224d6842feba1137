/**
 * What KV Connect clients are sent: constant headers, plain-text sentences, and the one mapping of failures to statuses. Clients
 * exchange again on 401 and 403, retry 5xx, and show the text of any other 4xx to their user.
 */
import { unreachable } from "../../core/assert.ts";
import type { ErrorCode, Failure } from "../../core/errors.ts";
import { plainText } from "../http/plain-text.ts";
import { refusalHeaders } from "../http/refusal-headers.ts";

/** Exactly these content types: clients compare them as text. */
export const PROTOBUF_ANSWER: ResponseInit = { headers: new Headers({ "content-type": "application/x-protobuf" }) };
export const WATCH_ANSWER: ResponseInit = { headers: { "content-type": "application/octet-stream" } };
export const JSON_ANSWER: ResponseInit = {
  headers: { "content-type": "application/json", "cache-control": "no-store" },
};

export function failureResponse(refusal: Failure): Response {
  return plainText(statusOf(refusal.code), refusal.message, refusalHeaders(refusal));
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
