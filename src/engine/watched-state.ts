/** What watches read of a database. */
import type { Clock, UnixMs } from "../core/clock.ts";
import type { KeyRange } from "../codec/key-prefix.ts";
import type { Entry } from "../core/operations.ts";
import { asVersion, type Version } from "../core/versionstamp.ts";
import type { EntryTable } from "./entry-table.ts";
import type { FeedLog } from "./feed-log.ts";
import { keysOfLogPart } from "./log-entry.ts";
import type { Mark } from "./mark.ts";
import type { MutationLog } from "./mutation-log.ts";
import { CHANGE_OVERHEAD_BYTES, type KeyChange } from "./recent-changes.ts";
import type { VersionClock } from "./version-clock.ts";

export interface WatchedState {
  /** At or above the version of every commit that is in the tables. */
  readonly lastVersion: Version;
  /** The entries of some keys from one snapshot, as they are now. */
  read(keys: readonly Uint8Array[]): readonly (Entry | null)[];
  /** The version of the entry. null: there is none. Reads no value. */
  version(key: Uint8Array): Version | null;
  /** The first entries of a range, ascending. Each is read when the caller takes it, and nothing else may happen meanwhile. */
  entries(range: KeyRange, limit: number): Iterable<Entry>;
  /** The first keys of a range, without values. */
  keys(range: KeyRange, limit: number): readonly KeyChange[];
  /** What the mutation log knows of changes up to `upTo`, read within these bounds. */
  logged(upTo: Version, bounds: LogBounds): LoggedChanges;
  readonly feed: Pick<FeedLog, "page" | "smallPage" | "follow">;
  now(): UnixMs;
}

export interface LogBounds {
  /** Bytes of the log that are read. One commit more may be read. */
  readonly maxLogBytes: number;
  /** Bytes of the returned changes, each counted with `CHANGE_OVERHEAD_BYTES`. */
  readonly maxChangeBytes: number;
}

/** Every change above `knownAfter`, ascending. Since then only these have changed the state; it was not replaced. */
export interface LoggedChanges {
  readonly changes: readonly KeyChange[];
  readonly knownAfter: Version;
}

export interface WatchedParts {
  readonly table: EntryTable;
  readonly clock: Clock;
  readonly log: MutationLog;
  readonly mark: Mark;
  readonly versions: VersionClock;
  readonly feed: FeedLog;
}

/** The watched state of the database that these parts belong to. */
export function watchedState({ table, clock, log, mark, versions, feed }: WatchedParts): WatchedState {
  return {
    get lastVersion() {
      return versions.last;
    },
    read: (keys) => keys.map((key) => table.get(key, clock.now())),
    version: (key) => table.version(key, clock.now()),
    entries: function* (range, limit) {
      for (const entries of table.ranges([{ ...range, limit, reverse: false }], clock.now())) yield* entries;
    },
    keys: (range, limit) => table.keys(range, limit, clock.now()),
    logged: (upTo, bounds) => loggedChanges(log, mark.replacedAt, upTo, bounds),
    feed,
    now: () => clock.now(),
  };
}

function loggedChanges(log: MutationLog, replacedAt: Version, upTo: Version, bounds: LogBounds): LoggedChanges {
  const keptAfter = log.keptAfter();
  const after = asVersion(Math.max(keptAfter ?? upTo, replacedAt));
  if (after >= upTo) return { changes: [], knownAfter: upTo };
  const { commits, isWhole } = log.readBack(upTo, after, bounds.maxLogBytes);
  const newestFirst: KeyChange[] = [];
  let bytes = 0;
  let knownAfter = upTo;
  for (const { version, parts } of commits) {
    // The backup's marker is a change of the empty key, so it changes no entry.
    const keys = parts.flatMap((part) => [...keysOfLogPart(part)]).filter((key) => key.length > 0);
    for (const key of keys) bytes += key.length + CHANGE_OVERHEAD_BYTES;
    if (bytes > bounds.maxChangeBytes) return { changes: newestFirst.toReversed(), knownAfter };
    for (const key of keys.toReversed()) newestFirst.push({ key, version });
    // No commit above this version is missing.
    knownAfter = asVersion(version - 1);
  }
  return { changes: newestFirst.toReversed(), knownAfter: isWhole ? after : knownAfter };
}
