/** What a backup needs from outside, which `objects/` passes in. The engine's classes have these types without saying so. */
import type { BackupCredentials, BackupDestination } from "../contracts/backup-destinations.ts";
import type { UnixMs } from "../core/clock.ts";
import type { ClockReading } from "../core/clock-spans.ts";
import type { Failure } from "../core/errors.ts";
import type { Version } from "../core/versionstamp.ts";
import type { Destination } from "./destinations/destination.ts";
import type { CommitInWireForm } from "./format/mutation-range.ts";
import type { SnapshotEntry } from "./format/snapshot-range.ts";

/** The ordered record of commits, kept for each registered reader from its position on. */
export interface LogSource {
  register(name: string, after: Version): void;
  unregister(name: string): void;
  /** The reader does not need commits up to and including `after` any more. Writes one row. */
  advance(name: string, after: Version): void;
  /** Whole commits above `after` up to and including `upTo`, until `maxBytes` are reached. At least one when there is any. */
  read(after: Version, maxBytes: number, upTo?: Version): CommitInWireForm[];
  /** null when nothing above `after` is in the log. Else a version above `after` and not above the version of its first commit. */
  firstAfter(after: Version): Version | null;
  /** Reads a row for each commit above `after`. */
  bytesAfter(after: Version): number;
  /** Drops what no reader needs. */
  trim(): void;
}

/** Entries in the order of their keys. */
export interface EntrySource {
  /** All entries above `after` (null: all entries), from one snapshot, until the bounds are reached. An empty result means the end. */
  scan(
    after: Uint8Array | null,
    bounds: { readonly maxBytes: number; readonly maxEntries: number },
  ): readonly SnapshotEntry[];
}

export interface DatabaseSource extends EntrySource {
  readonly log: LogSource;
  /** At or above the version of every commit so far. */
  readonly lastVersion: Version;
  /** About how many entries are stored. */
  counters(): { readonly entries: number };
  /** What the clock showed while versions ran ahead of it, ascending by version. */
  clockReadings(): readonly ClockReading[];
  /** The greatest stored key. null: there is no entry. */
  lastKey(): Uint8Array | null;
  /** Returns a version such that every commit so far is at or below it, and every later one above it. */
  closeNow(): Version;
  /** Makes a commit that changes nothing, and is in the log if there are readers. Its version was never used before. */
  logMarker(): Version;
}

/** Checks the settings and makes the driver, without a request. Credentials are null for a destination that needs none. */
export type OpenDestination = (
  destination: BackupDestination,
  credentials: BackupCredentials | null,
) => Destination | Failure;

/** Work that the object's alarm runs. It fits the alarm clock's interface. */
export interface BackupTask {
  readonly name: string;
  /** When the task wants to run next; in the past if it is late. null: not until something changes. */
  dueAt(): UnixMs | null;
  /** Does one slice: about a second of work and at most 40 requests. */
  run(): Promise<void>;
  /** How far the work is, by what is stored. A run that leaves it as it was has brought nothing. Without it: each run brings something. */
  place?(): string;
  /** The task itself stores what may kill the object. */
  readonly keepsOwnRecord?: true;
  /** The object died too often while the task was running. The task is not run for a while, for this reason. */
  heldBack?(reason: string): void;
}
