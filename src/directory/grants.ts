/** What a token allows at a database when it is exchanged, and for how long. */
import type { Grant } from "../contracts/grant.ts";
import { asUnixMs, type UnixMs } from "../core/clock.ts";
import type { TokenCaller } from "../contracts/management.ts";
import type { DatabaseInfo, Scopes, TokenInfo } from "../contracts/resources.ts";
import { CLIENT_LIFETIME_MS, FOREVER, GRACE_MS } from "../contracts/data-token.ts";
import { allows } from "./scopes.ts";

/** How far a Worker's clock may be ahead of this object's before data tokens become shorter because of it. */
const CLOCK_DIFFERENCE_MS = 5 * 60 * 1000;

/** A grant must last at least this long, unless its token ends sooner: otherwise clients would exchange again and again. */
export const LEAST_GRANT_MS = GRACE_MS;

/** When a grant that is given now ends: as late as a data token made from it may live, and no later than the access token. */
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
