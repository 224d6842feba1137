/** What a token's scopes may be, and when the scopes of one token lie within those of another. Pure functions. */
import { fromHex } from "../core/bytes.ts";
import type { UnixMs } from "../core/clock.ts";
import { failure, type Failure } from "../core/errors.ts";
import { admitsKey } from "../codec/key-prefix.ts";
import { MAX_DATABASES_OF_TOKEN, MAX_KEY_PREFIX_BYTES, MAX_ORIGINS_OF_TOKEN } from "../core/limits.ts";
import { PERMISSIONS, type Permission, type Scopes } from "../contracts/resources.ts";
import { EVERY_ORIGIN, type AllowedOrigins } from "../core/origins.ts";

/** A caller whose token was found good. `scopes` is null for the deployment, which has no limits. `name` names the caller in records. */
export interface Admitted {
  readonly scopes: Scopes | null;
  readonly name: string;
}

/** The scopes of an organization's first token: everything. */
export const EVERY_SCOPE: Scopes = {
  permissions: PERMISSIONS,
  databases: "all",
  keyPrefix: null,
  expiresAt: null,
  allowedOrigins: null,
};

/** `backup` includes `read`. */
export function allows(scopes: Scopes, permission: Permission): boolean {
  const { permissions } = scopes;
  return permissions.includes(permission) || (permission === "read" && permissions.includes("backup"));
}

export function coversDatabase(scopes: Scopes, databaseId: string): boolean {
  return scopes.databases === "all" || scopes.databases.includes(databaseId);
}

export function hasEnded(scopes: Scopes, now: UnixMs): boolean {
  return scopes.expiresAt !== null && scopes.expiresAt <= now;
}

/** `invalid` or `limit` for scopes that no token may have. Whether the databases exist is checked elsewhere. */
export function checkScopes(scopes: Scopes, now: UnixMs): Failure | undefined {
  const { permissions, databases, keyPrefix } = scopes;
  if (permissions.length === 0) return failure("invalid", "A token needs at least one permission.");
  if (new Set(permissions).size !== permissions.length) return failure("invalid", "A permission is named twice.");
  if (databases !== "all") {
    if (databases.length === 0) return failure("invalid", 'A token needs at least one database, or "all".');
    if (new Set(databases).size !== databases.length) return failure("invalid", "A database is named twice.");
    if (databases.length > MAX_DATABASES_OF_TOKEN) {
      return failure(
        "limit",
        `A token lists at most ${MAX_DATABASES_OF_TOKEN} databases, this one lists ${databases.length}.`,
      );
    }
  }
  if (keyPrefix !== null) {
    const other = permissions.find((permission) => permission !== "read" && permission !== "write");
    if (other !== undefined)
      return failure("invalid", `A token with a key prefix may have read and write, not ${other}.`);
    if (keyPrefix.length > 2 * MAX_KEY_PREFIX_BYTES) {
      return failure(
        "limit",
        `A key prefix has at most ${MAX_KEY_PREFIX_BYTES} bytes when encoded, this one has ${keyPrefix.length / 2}.`,
      );
    }
  }
  if (hasEnded(scopes, now)) return failure("invalid", "expiresAt is not in the future.");
  return checkOrigins(scopes.allowedOrigins);
}

function checkOrigins(origins: AllowedOrigins): Failure | undefined {
  if (origins === null) return undefined;
  if (origins.length === 0) {
    return failure("invalid", 'allowedOrigins must name at least one origin, or "*"; leave it out for no page at all.');
  }
  if (new Set(origins).size !== origins.length) return failure("invalid", "allowedOrigins names an origin twice.");
  if (origins.includes(EVERY_ORIGIN) && origins.length > 1) {
    return failure("invalid", 'allowedOrigins has "*", which admits every page, beside others: name either.');
  }
  if (origins.length <= MAX_ORIGINS_OF_TOKEN) return undefined;
  return failure(
    "limit",
    `allowedOrigins names ${origins.length} origins, at most ${MAX_ORIGINS_OF_TOKEN} are allowed.`,
  );
}

/**
 * What in `inner` goes beyond `outer`, as part of a sentence. undefined when nothing does: a token mints only within its own scopes.
 * `ofData`: compares only the permissions and the data they are for, as for listing and revoking.
 */
export function beyond(inner: Scopes, outer: Scopes, ofData = false): string | undefined {
  const permission = inner.permissions.find((one) => !allows(outer, one));
  if (permission !== undefined) return `the permission ${permission}`;
  if (outer.databases !== "all") {
    if (inner.databases === "all") return "all databases";
    const database = inner.databases.find((one) => !coversDatabase(outer, one));
    if (database !== undefined) return `the database ${database}`;
  }
  if (outer.keyPrefix !== null && !liesUnder(inner.keyPrefix, outer.keyPrefix)) return "keys outside of its prefix";
  if (ofData) return undefined;
  if (outer.expiresAt !== null && (inner.expiresAt === null || inner.expiresAt > outer.expiresAt)) return "a later end";
  return pagesBeyond(inner.allowedOrigins, outer.allowedOrigins);
}

/** A token that no page may use is for servers, which mint tokens for pages. So it does not limit the origins of those tokens. */
function pagesBeyond(inner: AllowedOrigins, outer: AllowedOrigins): string | undefined {
  if (outer === null || outer.includes(EVERY_ORIGIN)) return undefined;
  const other = inner?.find((origin) => !outer.includes(origin));
  if (other === undefined) return undefined;
  return other === EVERY_ORIGIN ? "every page" : `pages of ${other}`;
}

function liesUnder(inner: string | null, outer: string): boolean {
  return inner !== null && admitsKey(fromHex(outer), fromHex(inner));
}

export function mintsBeyondItself(minter: Scopes | null, scopes: Scopes): Failure | undefined {
  const tooMuch = minter === null ? undefined : beyond(scopes, minter);
  if (tooMuch === undefined) return undefined;
  return failure(
    "forbidden",
    `A token mints only tokens within its own scopes; the new token would have ${tooMuch}, which this token does not have.`,
  );
}
