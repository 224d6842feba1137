/** What an exchange gives: what a token allows at a database, and for how long. */
import type { Grant } from "../contracts/grant.ts";
import { asUnixMs, type UnixMs } from "../core/clock.ts";
import type { DatabaseInfo, Scopes, TokenCaller, TokenInfo } from "../contracts/management.ts";
import { CLIENT_LIFETIME_MS, FOREVER, GRACE_MS } from "../contracts/data-token.ts";
import { allows } from "./scopes.ts";

/** A Worker's clock may run ahead of this object's by so much before a data token gets shorter for it. */
const CLOCK_DIFFERENCE_MS = 5 * 60 * 1000;

/** A grant that ends sooner, for no reason of its token's, is not worth having: clients would exchange again and again. */
export const LEAST_GRANT_MS = GRACE_MS;

/** As long as a data token may live that is made of it now, and no longer than the token. */
export function grantEnd({ expiresAt }: Scopes, now: UnixMs): UnixMs {
  return asUnixMs(Math.min(now + CLIENT_LIFETIME_MS + GRACE_MS + CLOCK_DIFFERENCE_MS, expiresAt ?? FOREVER));
}

export function grantOf(
  { id, scopes }: TokenInfo,
  { origin }: TokenCaller,
  { jurisdiction }: DatabaseInfo,
  expiresAt: UnixMs,
): Grant {
  return {
    tokenId: id,
    read: allows(scopes, "read"),
    write: allows(scopes, "write"),
    expiresAt,
    ...(scopes.keyPrefix === null ? {} : { keyPrefix: scopes.keyPrefix }),
    ...(origin === null ? {} : { origin }),
    ...(jurisdiction === null ? {} : { jurisdiction }),
  };
}
