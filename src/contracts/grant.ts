/**
 * What a verified token allows at one database, and the one rule for it. Doors apply the rule before they read a body, and the object
 * applies it again before it carries a request out.
 *
 * Under a grant with a key prefix, a read sees only the part of its ranges that lies under the prefix: a program that lists everything
 * gets everything that it may see. Any other request that names a key outside of the prefix is refused whole.
 */
import { textOfKey } from "../codec/key-json.ts";
import { admitsKey, intersectRange, type KeyRange } from "../codec/key-prefix.ts";
import { equalBytes, fromHex } from "../core/bytes.ts";
import type { UnixMs } from "../core/clock.ts";
import { failure, type Failure } from "../core/errors.ts";
import type { AtomicWrite, ReadRange } from "../core/operations.ts";
import type { Jurisdiction } from "./placement.ts";

/** What a request may do at one database. Plain data: every call of the database's object carries it. */
export interface Grant {
  /** The id of the token that the grant came from. A revocation names it. */
  readonly tokenId: string;
  readonly read: boolean;
  readonly write: boolean;
  /** Everything that is open under this grant ends then. */
  readonly expiresAt: UnixMs;
  /** An encoded key in hexadecimal: the grant is only for this key and those that begin with all of its parts (`key-prefix.ts`). */
  readonly keyPrefix?: string;
  /**
   * 20 hex digits: the grant is for the database as of this commit, which can only be read. Undefined: it is for the database as it is.
   */
  readonly at?: string;
  /** The origin of the web page that exchanged the token. Pages of other origins may not use the grant. Undefined: no page may. */
  readonly origin?: string;
  /** The jurisdiction of the database's object. The object is found by it and by its name, without a call. */
  readonly jurisdiction?: Jurisdiction;
  /** The id of the API key that signed the request. The grant ends when the key is deleted. Undefined: a token. */
  readonly apiKey?: string;
}

/** A watch needs "read". */
export type Access = "read" | "write";

export const PAST_IS_READ_ONLY = failure(
  "forbidden",
  "This is a database as it was at a moment: it can be read and not written.",
);

/** What the grant allows at the database as of a commit of 20 hex digits: only reads. */
export function grantOfPast(grant: Grant, at: string): Grant {
  return { ...grant, write: false, at };
}

/** Why the grant does not allow this access at any key. null: it does. `now`: by the clock of the side that was asked first. */
export function refusedAccess(grant: Grant, access: Access, now: UnixMs): Failure | null {
  if (now >= grant.expiresAt) {
    return failure(
      "unauthenticated",
      grant.apiKey === undefined
        ? "The token has expired. Exchange the access token again at the database's connect URL."
        : "The token has expired. Sign a new one with the secret of the API key.",
    );
  }
  if (access === "read") return grant.read ? null : failure("forbidden", "The token does not allow reading.");
  if (grant.at !== undefined) return PAST_IS_READ_ONLY;
  return grant.write ? null : failure("forbidden", "The token does not allow writing.");
}

/**
 * Why a web page may not use the grant. null: it may, or the request is not from a page. A grant is for pages of the origin that
 * exchanged it, which its access token admitted, and for programs that are no page. `origin`: of the page of another origin that sends
 * the request.
 */
export function refusedPage(grant: Grant, origin: string | null): Failure | null {
  if (origin === null || origin === grant.origin) return null;
  const whose = grant.origin === undefined ? "no page" : `a page of ${grant.origin}`;
  return failure(
    "forbidden-origin",
    `A page of ${origin} may not use this data token: ${whose} exchanged it. Exchange the access token from the page.`,
  );
}

/** The parts of the ranges that the grant covers, in the same order. A range outside of it becomes an empty range. */
export function admittedRanges(grant: Grant, ranges: readonly ReadRange[]): readonly ReadRange[] {
  if (grant.keyPrefix === undefined) return ranges;
  const prefix = fromHex(grant.keyPrefix);
  return ranges.map((range) => ({ ...range, ...within(prefix, range) }));
}

/** The part of a prefix (encoded; empty: all keys) that the grant covers, as a prefix. */
export function admittedPrefix(grant: Grant, prefix: Uint8Array): Uint8Array | Failure {
  if (grant.keyPrefix === undefined) return prefix;
  const granted = fromHex(grant.keyPrefix);
  if (admitsKey(prefix, granted)) return granted;
  return refusedKeys(grant, [prefix]) ?? prefix;
}

/** The part of one range that the grant covers. */
export function admittedRange(grant: Grant, { start, end }: KeyRange): KeyRange {
  return grant.keyPrefix === undefined ? { start, end } : within(fromHex(grant.keyPrefix), { start, end });
}

function within(prefix: Uint8Array, { start, end }: KeyRange): KeyRange {
  return intersectRange(prefix, start, end) ?? { start: prefix, end: prefix };
}

/** Why the grant does not allow one of these keys. null: it allows all. */
export function refusedKeys(grant: Grant, keys: Iterable<Uint8Array>): Failure | null {
  if (grant.keyPrefix === undefined) return null;
  const prefix = fromHex(grant.keyPrefix);
  for (const key of keys) {
    if (!admitsKey(prefix, key)) {
      return failure(
        "forbidden",
        `This token allows only keys under its key prefix; the request names ${textOfKey(key)}.`,
      );
    }
  }
  return null;
}

/** Why the grant does not cover a whole range. null: it does. */
export function refusedRange(grant: Grant, range: KeyRange): Failure | null {
  const { start, end } = admittedRange(grant, range);
  if (equalBytes(start, range.start) && equalBytes(end, range.end)) return null;
  return failure(
    "forbidden",
    "This token allows only keys under its key prefix, and the selector names others. Name a prefix that begins with the token's.",
  );
}

/** Why the grant does not allow a write of these keys; null: it does. */
export function refusedWrite(grant: Grant, write: AtomicWrite): Failure | null {
  return grant.keyPrefix === undefined ? null : refusedKeys(grant, keysOf(write));
}

/** Every key that a write checks or changes. A versionstamped key lies under a prefix exactly when the key before its stamp does. */
function* keysOf(write: AtomicWrite): Generator<Uint8Array, void, undefined> {
  for (const { key } of write.checks) yield key;
  for (const { key } of write.mutations) yield key;
  for (const { keysIfUndelivered } of write.enqueues) yield* keysIfUndelivered;
}
