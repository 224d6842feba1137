/**
 * What a verified token allows at one database, and the one rule of what that comes to. Doors ask it before they read a body, the
 * object asks it again before it carries a request out: by one rule, whoever asks.
 *
 * Of keys: reads see the part of their ranges that lies under the grant's key prefix, so that a program that lists everything lists
 * everything it may see; whatever else names a key outside the prefix is refused whole.
 */
import { textOfKey } from "../codec/key-json.ts";
import { admitsKey, intersectRange } from "../codec/key-prefix.ts";
import { fromHex } from "../core/bytes.ts";
import type { UnixMs } from "../core/clock.ts";
import { failure, type Failure } from "../core/errors.ts";
import type { AtomicWrite, ReadRange } from "../core/operations.ts";
import type { Jurisdiction } from "./placement.ts";

/** What a request may do at one database. Plain data: it crosses to the database's object with every call. */
export interface Grant {
  /** The token that it came from, named by what revokes it. */
  readonly tokenId: string;
  readonly read: boolean;
  readonly write: boolean;
  /** Everything open under this grant ends then. */
  readonly expiresAt: UnixMs;
  /** An encoded key in hexadecimal: only that key and those that begin with all of its parts (`key-prefix.ts`). */
  readonly keyPrefix?: string;
  /** 20 hex digits: the database as of this commit, which can only be read. Undefined: the database as it is. */
  readonly at?: string;
  /** The origin of the web page that it was exchanged by: pages of other origins may not use it. Undefined: no page may. */
  readonly origin?: string;
  /** Where the database's object is found: its name alone does not say, and nobody is asked. */
  readonly jurisdiction?: Jurisdiction;
}

/** A watch reads. */
export type Access = "read" | "write";

export const PAST_IS_READ_ONLY = failure(
  "forbidden",
  "This is a database as it was at a moment: it can be read and not written.",
);

/** What the grant allows at the database as of a commit, of 20 hex digits: no more than to read it. */
export function grantOfPast(grant: Grant, at: string): Grant {
  return { ...grant, write: false, at };
}

/** Why the grant does not allow this at any key; null: it does. `now`: by the clock of the side that was asked first. */
export function refusedAccess(grant: Grant, access: Access, now: UnixMs): Failure | null {
  if (now >= grant.expiresAt) {
    return failure(
      "unauthenticated",
      "The token has expired. Exchange the access token again at the database's connect URL.",
    );
  }
  if (access === "read") return grant.read ? null : failure("forbidden", "The token does not allow reading.");
  if (grant.at !== undefined) return PAST_IS_READ_ONLY;
  return grant.write ? null : failure("forbidden", "The token does not allow writing.");
}

/**
 * Why a web page may not use the grant; null: it may, or no page asks. A grant is for pages of the origin that exchanged it, which its
 * access token admitted, and for programs that are no page. `origin`: of the foreign page that asks.
 */
export function refusedPage(grant: Grant, origin: string | null): Failure | null {
  if (origin === null || origin === grant.origin) return null;
  const whose = grant.origin === undefined ? "no page" : `a page of ${grant.origin}`;
  return failure(
    "forbidden-origin",
    `A page of ${origin} may not use this data token: ${whose} exchanged it. Exchange the access token from the page.`,
  );
}

/** The ranges as far as the grant goes, in the same order; one that lies outside is empty. */
export function admittedRanges(grant: Grant, ranges: readonly ReadRange[]): readonly ReadRange[] {
  if (grant.keyPrefix === undefined) return ranges;
  const prefix = fromHex(grant.keyPrefix);
  return ranges.map((range) => ({
    ...range,
    ...(intersectRange(prefix, range.start, range.end) ?? { start: prefix, end: prefix }),
  }));
}

/** Why one of these keys may not be named under the grant; null: all may. */
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

/** Why the grant does not allow a write of these keys; null: it does. */
export function refusedWrite(grant: Grant, write: AtomicWrite): Failure | null {
  return grant.keyPrefix === undefined ? null : refusedKeys(grant, keysOf(write));
}

/** Every key that a write looks at or changes. A versionstamped one lies under a prefix exactly if the key before its stamp does. */
function* keysOf(write: AtomicWrite): Generator<Uint8Array, void, undefined> {
  for (const { key } of write.checks) yield key;
  for (const { key } of write.mutations) yield key;
  for (const { keysIfUndelivered } of write.enqueues) yield* keysIfUndelivered;
}
