/** The token of a request: `Authorization: Bearer <token>` (RFC 6750, section 2.1). */
import { failure, type Failure } from "../../core/errors.ts";

/** A token is visible ASCII; whether it is one of ours, others say. */
const BEARER = /^bearer +([!-~]+)$/i;

const MISSING = failure(
  "unauthenticated",
  "The token is missing or malformed: send the header Authorization: Bearer <token>.",
);

export function bearerToken(headers: Headers): string | Failure {
  return bearerTokenIfAny(headers) ?? MISSING;
}

/** For who may show a token otherwise. */
export function bearerTokenIfAny(headers: Headers): string | undefined {
  return BEARER.exec(headers.get("authorization") ?? "")?.[1];
}
