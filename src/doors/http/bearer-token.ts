/** The token of a request: `Authorization: Bearer <token>` (RFC 6750, section 2.1). */
import { failure, type Failure } from "../../core/errors.ts";
import type { HeaderLookup } from "./header-lookup.ts";

/** A token is visible ASCII. Whether it is one of ours is checked elsewhere. */
const BEARER = /^bearer +([!-~]+)$/i;

const MISSING = failure(
  "unauthenticated",
  "The token is missing or malformed: send the header Authorization: Bearer <token>.",
);

export function bearerToken(headers: HeaderLookup): string | Failure {
  return bearerTokenIfAny(headers) ?? MISSING;
}

/** For doors where a token may also be shown in another way. */
export function bearerTokenIfAny(headers: HeaderLookup): string | undefined {
  return BEARER.exec(headers.get("authorization") ?? "")?.[1];
}
