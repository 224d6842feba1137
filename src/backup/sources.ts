/** What a backup needs of what is around it, handed in by `objects/`. The engine's classes fit as they are. */
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
  /** The reader needs nothing up to and with `after` any more. One row written. */
  advance(name: string, after: Version): void;
  /** Whole commits above `after` up to and with `upTo`, until `maxBytes` are reached: at least one, if there is any. */
  read(after: Version, maxBytes: number, upTo?: Version): CommitInWireForm[];
  /** Null when nothing above `after` is in the log; else a version above it and not above its first commit's. */
  firstAfter(after: Version): Version | null;
  /** Reads a row for each commit above `after`. */
  bytesAfter(after: Version): number;
  /** Lets go of what no reader needs. */
  trim(): void;
}

/** Entries in the order of their keys. */
export interface EntrySource {
  /** What is stored above `after` (null: from the start), from one snapshot, until the bounds are reached; none means the end. */
  scan(
    after: Uint8Array | null,
    bounds: { readonly maxBytes: number; readonly maxEntries: number },
  ): readonly SnapshotEntry[];
}

export interface DatabaseSource extends EntrySource {
  readonly log: LogSource;
  /** At or above the version of every commit so far. */
  readonly lastVersion: Version;
  /** Entries stored, about. */
  counters(): { readonly entries: number };
  /** What the clock said while versions ran ahead of it, ascending. */
  clockReadings(): readonly ClockReading[];
  /** The greatest key stored; null: there is none. */
  lastKey(): Uint8Array | null;
  /** Every commit so far is at or below the version that this returns, and every later one above. */
  closeNow(): Version;
  /** A commit that changes nothing and stands in the log, if there are readers. Its version was never used before. */
  logMarker(): Version;
}

/** Checks the settings and makes the driver; sends nothing. Credentials are null for a destination that needs none. */
export type OpenDestination = (
  destination: BackupDestination,
  credentials: BackupCredentials | null,
) => Destination | Failure;

/** A piece of work that the object's alarm runs: fits the alarm clock's interface. */
export interface BackupTask {
  readonly name: string;
  /** When it wants to run next, in the past if it is late; null: not until something changes. */
  dueAt(): UnixMs | null;
  /** One slice: about a second of work and at most 40 requests. */
  run(): Promise<void>;
  /** It writes down by itself what the object may die of. */
  readonly keepsOwnRecord?: true;
  /** The object has died of it, or beside it, too often: it is not run for a while, for this reason. */
  heldBack?(reason: string): void;
}
