/** The sizes and times by which a backup decides. Deployments use `defaultPolicy`; tests make them small. */
import {
  MAX_BACKUP_BACKLOG_BYTES,
  MAX_BACKUP_GENERATIONS,
  MAX_BACKUP_RANGE_BYTES,
  MAX_LOG_OBJECTS_OF_GENERATION,
  MAX_SNAPSHOT_RANGE_ENTRIES,
  MIN_COMPACTION_LOG_BYTES,
} from "../../core/limits.ts";
import type { Configuration } from "./configuration.ts";
import type { Generation } from "./generation-row.ts";

export interface BackupPolicy {
  /** An object is closed when it has this much. */
  readonly rangeBytes: number;
  readonly snapshotRangeEntries: number;
  /** Log that waits for the destination; beyond it there is a gap. */
  readonly backlogBytes: number;
  readonly compactionBytes: number;
  readonly compactionObjects: number;
  readonly compactionAgeMs: number;
  /** So many are kept: beyond them the oldest goes, whatever the retention. The nearer that is, the longer the logs become. */
  readonly generations: number;
  readonly manifestEveryMs: number;
  /** How often the bucket is looked at for what should be there: while something is stored, else, and when a process begins to write. */
  readonly inspectionMs: number;
  readonly idleInspectionMs: number;
  readonly firstInspectionMs: number;
  /** So long after a generation has begun in place of one that was gone, none does so again: something deletes them again and again. */
  readonly renewalMs: number;
  /** A set-up that has been failing for so long, for a reason that somebody must remove, is over. */
  readonly setUpGivesUpMs: number;
}

export const defaultPolicy: BackupPolicy = {
  rangeBytes: MAX_BACKUP_RANGE_BYTES,
  snapshotRangeEntries: MAX_SNAPSHOT_RANGE_ENTRIES,
  backlogBytes: MAX_BACKUP_BACKLOG_BYTES,
  compactionBytes: MIN_COMPACTION_LOG_BYTES,
  compactionObjects: MAX_LOG_OBJECTS_OF_GENERATION,
  compactionAgeMs: 7 * 24 * 60 * 60 * 1000,
  generations: MAX_BACKUP_GENERATIONS,
  manifestEveryMs: 60_000,
  inspectionMs: 5 * 60 * 1000,
  idleInspectionMs: 60 * 60 * 1000,
  firstInspectionMs: 60 * 1000,
  renewalMs: 60 * 60 * 1000,
  setUpGivesUpMs: 15 * 60 * 1000,
};

/** Whether a generation may begin in place of one that is gone. A time further away than any such wait: the clock was set back. */
export function mayRenew(
  { renewAt }: Pick<Configuration, "renewAt">,
  { renewalMs }: BackupPolicy,
  now: number,
): boolean {
  return now >= renewAt || renewAt > now + renewalMs;
}

/**
 * Whether the log behind a complete generation's snapshot has grown so long or old that a new generation is worth its snapshot. With
 * each eighth of the generations that may be kept, the log may be twice as long: a database that writes without end for years then
 * keeps what its retention promises, at the price of a longer replay.
 */
export function isOutgrown(generation: Generation, kept: number, policy: BackupPolicy, now: number): boolean {
  const { log, snapshot, createdAt, firstPoint, exported } = generation;
  const stretch = 2 ** Math.floor((8 * kept) / policy.generations);
  if (log.bytes >= Math.max(policy.compactionBytes * stretch, snapshot.bytes)) return true;
  if (log.objects >= policy.compactionObjects * stretch) return true;
  // Its first point is the marker behind its own snapshot: a log that ends there holds nothing.
  return firstPoint !== null && exported > firstPoint && now - createdAt >= policy.compactionAgeMs;
}
