/** A generation of a backup as it is known here, and its row. */
import { asUnixMs, type UnixMs } from "../../core/clock.ts";
import type { SqlValue } from "../../core/storage.ts";
import { asVersion, type Version } from "../../core/versionstamp.ts";
import type { FolderState, Gap } from "../format/manifest.ts";

export type GenerationState = "snapshotting" | "complete" | "retired" | "ended" | "damaged" | "deleting";

export interface Generation {
  readonly start: Version;
  readonly state: GenerationState;
  readonly createdAt: UnixMs;
  /** Every commit above `start` up to and including this one is stored. */
  readonly exported: Version;
  readonly exportedAt: UnixMs | null;
  /** The range above `exported` up to and including this commit is being sent, or was being sent when the object stopped. */
  readonly pendingUpTo: Version | null;
  /** How many bytes of log wait above `exported` and up to here. null: they were not counted. */
  readonly counted: { readonly upTo: Version; readonly bytes: number } | null;
  readonly log: FolderState;
  /** The greatest key when the generation began. Greater keys of later commits are in the log. null: there was no entry. */
  readonly snapshotEnd: Uint8Array | null;
  /** Entries up to and including this key are stored. */
  readonly snapshotAfter: Uint8Array | null;
  /** The range up to and including this key is being sent, under the number `sequence`. */
  readonly snapshotPending: Uint8Array | null;
  /** The last number used in a name. */
  readonly sequence: number;
  /**
   * Numbers of ranges that were sent again under another number, or that became empty. Their objects may have arrived, or may still
   * arrive.
   */
  readonly abandoned: readonly number[];
  /** The version at which the last entry was read. null while there are more entries to read. */
  readonly scannedAt: Version | null;
  readonly snapshot: FolderState;
  /** The content of `differential`, which is decided before it is stored. */
  readonly consistentFrom: Version | null;
  /** The first stored commit after `consistentFrom`. */
  readonly firstPoint: Version | null;
  readonly gap: Gap | null;
  /**
   * False: another writer with a copy of this database writes it. Up to its end here it is part of this history. It is never deleted from
   * here.
   */
  readonly owned: boolean;
  /** The writer that the generation's record in the bucket names, as far as is known. null: there is no record of ours yet. */
  readonly claim: string | null;
  /** Writers that the record may name instead: such a record was being sent when the object stopped, and may still arrive. */
  readonly claiming: readonly string[];
  /** The log in the bucket was checked up to here, and held only what this database had stored. */
  readonly seen: Omit<FolderState, "bytes">;
  /** When a verification last found all of the generation whole. */
  readonly verifiedAt: UnixMs | null;
  /** The database was brought to another state after this commit, so later commits do not belong to this log. null: the log continues. */
  readonly endsAt: Version | null;
}

export interface Row extends Record<string, SqlValue> {
  start: number;
  state: GenerationState;
  created_at: number;
  exported: number;
  exported_at: number | null;
  pending_up_to: number | null;
  counted_up_to: number | null;
  counted_bytes: number;
  first_point: number | null;
  log_objects: number;
  log_bytes: number;
  log_head: string | null;
  log_sha256: string | null;
  snapshot_end: ArrayBuffer | null;
  snapshot_after: ArrayBuffer | null;
  snapshot_pending: ArrayBuffer | null;
  sequence: number;
  abandoned: string | null;
  scanned_at: number | null;
  snapshot_objects: number;
  snapshot_bytes: number;
  snapshot_head: string | null;
  snapshot_sha256: string | null;
  consistent_from: number | null;
  gap_after: number | null;
  gap_up_to: number | null;
  gap_cause: string | null;
  ends_at: number | null;
  owned: number;
  claim: string | null;
  claiming: string | null;
  seen_head: string | null;
  seen_sha256: string | null;
  seen_objects: number;
  verified_at: number | null;
}

export type Changes = { readonly [Column in keyof Row]?: Row[Column] | Uint8Array };

export function isLive({ state }: Generation): boolean {
  return state === "snapshotting" || state === "complete";
}

/** The last commit that can be restored from the generation. null when there is none. */
export function lastPointOf(generation: Generation): Version | null {
  const { firstPoint, exported } = generation;
  const last = endOf(generation)?.lastPoint ?? exported;
  return firstPoint === null || last < firstPoint ? null : last;
}

/**
 * Where this history ends in the generation: nothing above `lastPoint` belongs to it, and the database held that state up to `heldUpTo`.
 * null: it does not end there.
 */
export function endOf({ state, exported, gap }: Generation): { lastPoint: Version; heldUpTo: Version } | null {
  if (gap === null || (state !== "ended" && state !== "damaged")) return null;
  return { lastPoint: exported < gap.after ? exported : gap.after, heldUpTo: gap.after };
}

export function generationOf(row: Row): Generation {
  return {
    start: asVersion(row.start),
    state: row.state,
    createdAt: asUnixMs(row.created_at),
    exported: asVersion(row.exported),
    exportedAt: row.exported_at === null ? null : asUnixMs(row.exported_at),
    pendingUpTo: versionOrNull(row.pending_up_to),
    counted: row.counted_up_to === null ? null : { upTo: asVersion(row.counted_up_to), bytes: row.counted_bytes },
    log: folder(row.log_objects, row.log_bytes, row.log_head, row.log_sha256),
    snapshotEnd: bytesOrNull(row.snapshot_end),
    snapshotAfter: bytesOrNull(row.snapshot_after),
    snapshotPending: bytesOrNull(row.snapshot_pending),
    sequence: row.sequence,
    abandoned: row.abandoned === null ? [] : row.abandoned.split(" ").map(Number),
    scannedAt: versionOrNull(row.scanned_at),
    snapshot: folder(row.snapshot_objects, row.snapshot_bytes, row.snapshot_head, row.snapshot_sha256),
    consistentFrom: versionOrNull(row.consistent_from),
    firstPoint: versionOrNull(row.first_point),
    gap:
      row.gap_after === null
        ? null
        : { after: asVersion(row.gap_after), upTo: versionOrNull(row.gap_up_to), cause: row.gap_cause ?? "" },
    owned: row.owned === 1,
    claim: row.claim,
    claiming: row.claiming === null ? [] : row.claiming.split(" "),
    verifiedAt: row.verified_at === null ? null : asUnixMs(row.verified_at),
    seen: folder(row.seen_objects, 0, row.seen_head, row.seen_sha256),
    endsAt: versionOrNull(row.ends_at),
  };
}

function folder(objects: number, bytes: number, object: string | null, sha256: string | null): FolderState {
  return { objects, bytes, head: object === null || sha256 === null ? null : { object, sha256 } };
}

function bytesOrNull(value: ArrayBuffer | null): Uint8Array | null {
  return value === null ? null : new Uint8Array(value);
}

function versionOrNull(value: number | null): Version | null {
  return value === null ? null : asVersion(value);
}
