/** The sizes and times by which a backup decides. Deployments use `defaultPolicy`; tests use small values. */
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
  /** An object is closed when it has this many bytes. */
  readonly rangeBytes: number;
  readonly snapshotRangeEntries: number;
  /** Bytes of log that may wait for the destination. When more wait, the backup gets a gap. */
  readonly backlogBytes: number;
  readonly compactionBytes: number;
  readonly compactionObjects: number;
  readonly compactionAgeMs: number;
  /**
   * How many generations are kept. When there are more, the oldest is deleted, whatever the retention. The nearer this limit is, the
   * longer the logs become.
   */
  readonly generations: number;
  readonly manifestEveryMs: number;
  /** How often the bucket is checked: while something is stored, otherwise, and after a process begins to write. */
  readonly inspectionMs: number;
  readonly idleInspectionMs: number;
  readonly firstInspectionMs: number;
  /**
   * How long after a generation has replaced one that was gone no other one does: otherwise something might delete them again and again.
   */
  readonly renewalMs: number;
  /** How long a set-up may fail, for a reason that somebody must remove, before it is given up. */
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

/**
 * Whether a generation may begin in place of one that is gone. A time further away than any such wait means that the clock was set back.
 */
export function mayRenew(
  { renewAt }: Pick<Configuration, "renewAt">,
  { renewalMs }: BackupPolicy,
  now: number,
): boolean {
  return now >= renewAt || renewAt > now + renewalMs;
}

/**
 * Whether the log behind a complete generation's snapshot is so long or old that a new generation is worth a snapshot. With each eighth
 * of the allowed generations in use, the log may be twice as long. So a database that is written to for years without a pause keeps what
 * its retention promises, at the price of a longer replay.
 */
export function isOutgrown(generation: Generation, kept: number, policy: BackupPolicy, now: number): boolean {
  const { log, snapshot, createdAt, firstPoint, exported } = generation;
  const stretch = 2 ** Math.floor((8 * kept) / policy.generations);
  if (log.bytes >= Math.max(policy.compactionBytes * stretch, snapshot.bytes)) return true;
  if (log.objects >= policy.compactionObjects * stretch) return true;
  // The first point of a generation is the marker behind its own snapshot. A log that ends there holds nothing.
  return firstPoint !== null && exported > firstPoint && now - createdAt >= policy.compactionAgeMs;
}
