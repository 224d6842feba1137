/** The rule of an undelete: what becomes of each entry that was there at an earlier moment. */
import type { UnixMs } from "./clock.ts";
import type { StoredEntry } from "./operations.ts";
import type { Version } from "./versionstamp.ts";

export interface UndeleteCounts {
  /** Entries that are brought back. */
  readonly count: number;
  /** Their keys have another entry now, and nothing says that it may be overwritten. */
  readonly skipped: number;
  /** They are still there. */
  readonly unchanged: number;
  /** Their expiry is over. */
  readonly expired: number;
}

export const NOTHING_UNDELETED: UndeleteCounts = { count: 0, skipped: 0, unchanged: 0, expired: 0 };

export interface UndeleteRule {
  /** An entry that was written since is overwritten. */
  readonly force: boolean;
  readonly now: UnixMs;
}

/** `present`: the version of the key's entry now. null: there is no entry. The result is the count that the entry belongs to. */
export function fateOf(
  { version, expiresAt }: Pick<StoredEntry, "version" | "expiresAt">,
  present: Version | null,
  { force, now }: UndeleteRule,
): keyof UndeleteCounts {
  if (present === version) return "unchanged";
  if (expiresAt !== null && expiresAt <= now) return "expired";
  return present !== null && !force ? "skipped" : "count";
}

/** The sums of both. */
export function addCounts(one: UndeleteCounts, other: UndeleteCounts): UndeleteCounts {
  return {
    count: one.count + other.count,
    skipped: one.skipped + other.skipped,
    unchanged: one.unchanged + other.unchanged,
    expired: one.expired + other.expired,
  };
}
