/**
 * The generations of a backup as they are known here, one row each, and how they change. Every change is one row, written before
 * or after a request and never during one, so that a kill at any moment leaves what was last known to be true.
 *
 * snapshotting → complete → retired → deleting → gone. A complete one becomes ended instead when its log outgrew the bound or the
 * database was brought to another state, a snapshotting one is deleted then. Snapshotting and complete ones are live: they have a
 * reader of the mutation log.
 */
import { assert } from "../core/assert.ts";
import { asUnixMs, type UnixMs } from "../core/clock.ts";
import type { SqlValue, SyncStorage } from "../core/storage.ts";
import { asVersion, type Version } from "../core/versionstamp.ts";
import type { FolderState, Gap, ManifestGeneration } from "./format/manifest.ts";
import type { DatabaseSource } from "./sources.ts";

export type GenerationState = "snapshotting" | "complete" | "retired" | "ended" | "deleting";

export interface Generation {
  readonly start: Version;
  readonly state: GenerationState;
  readonly createdAt: UnixMs;
  /** Every commit above `start` up to and with this one is stored. */
  readonly exported: Version;
  readonly exportedAt: UnixMs | null;
  /** The range above `exported` up to and with this commit is being sent, or was when the object stopped. */
  readonly pendingUpTo: Version | null;
  /** Above `exported` and up to here, so many bytes of log wait. null: they were not counted. */
  readonly counted: { readonly upTo: Version; readonly bytes: number } | null;
  readonly log: FolderState;
  /** The greatest key when the generation began: what is above it now is in the log. null: there was no entry. */
  readonly snapshotEnd: Uint8Array | null;
  /** Entries up to and with this key are stored. */
  readonly snapshotAfter: Uint8Array | null;
  /** The range up to and with this key is being sent, under `sequence`. */
  readonly snapshotPending: Uint8Array | null;
  /** The last one used in a name. */
  readonly sequence: number;
  /** The last entry was read at this version; null while there are more to read. */
  readonly scannedAt: Version | null;
  readonly snapshot: FolderState;
  /** What `differential` says; decided before it is stored. */
  readonly consistentFrom: Version | null;
  /** The first commit after `consistentFrom` that is stored. */
  readonly firstPoint: Version | null;
  readonly gap: Gap | null;
  /** The database was brought to another state after this commit: later ones do not belong to this log. null: it goes on. */
  readonly endsAt: Version | null;
}

interface Row extends Record<string, SqlValue> {
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
}

type Changes = { readonly [Column in keyof Row]?: Row[Column] | Uint8Array };

/** An object that the destination has taken. */
export interface StoredObject {
  /** Below the generation's prefix. */
  readonly object: string;
  readonly sha256: string;
  readonly bytes: number;
}

export class Generations {
  readonly #storage: SyncStorage;
  readonly #database: DatabaseSource;
  #closed = false;

  constructor(storage: SyncStorage, database: DatabaseSource) {
    this.#storage = storage;
    this.#database = database;
  }

  /** What the object held is gone: from now on there are no generations, and whatever is under way for one ends. */
  close(): void {
    this.#closed = true;
  }

  /** The oldest first. The tables must be there. */
  all(): Generation[] {
    if (this.#closed) return [];
    return this.#storage.sql.exec<Row>("SELECT * FROM backup_generations ORDER BY start").toArray().map(generationOf);
  }

  get(start: Version): Generation | null {
    if (this.#closed) return null;
    const [row] = this.#storage.sql.exec<Row>("SELECT * FROM backup_generations WHERE start = ?1", start).toArray();
    return row === undefined ? null : generationOf(row);
  }

  /** Those that the log is kept for and sent to, the oldest first. */
  live(): Generation[] {
    return this.all().filter(isLive);
  }

  /** From here on every commit is kept for a new generation, named after a version that is never used again. */
  begin(now: UnixMs): Generation {
    return this.#storage.transactionSync(() => {
      const start = this.#database.logMarker();
      this.#database.log.register(readerOf(start), start);
      this.#storage.sql.exec(
        "INSERT INTO backup_generations (start, state, created_at, exported, snapshot_end) VALUES (?1, 'snapshotting', ?2, ?1, ?3)",
        start,
        now,
        this.#database.lastKey(),
      );
      return this.#existing(start);
    });
  }

  /** One that an earlier backup of this database left in the bucket. */
  adopt(found: ManifestGeneration, now: UnixMs): void {
    const complete = found.consistentFrom !== null;
    const upTo = found.lastPoint?.versionstamp ?? found.consistentFrom ?? found.start;
    const gap = found.gaps[0] ?? { after: upTo, upTo: null, cause: "The backup was disabled." };
    this.#storage.sql.exec(
      "INSERT INTO backup_generations (start, state, created_at, exported) VALUES (?1, ?2, ?3, ?4)",
      found.start,
      complete ? (found.state === "ended" ? "ended" : "retired") : "deleting",
      now,
      upTo,
    );
    this.#change(found.start, {
      consistent_from: found.consistentFrom,
      first_point: found.firstPoint?.versionstamp ?? null,
      log_objects: found.log.objects,
      log_bytes: found.log.bytes,
      log_head: found.log.head?.object ?? null,
      log_sha256: found.log.head?.sha256 ?? null,
      snapshot_objects: found.snapshot.objects,
      snapshot_bytes: found.snapshot.bytes,
      snapshot_head: found.snapshot.head?.object ?? null,
      snapshot_sha256: found.snapshot.head?.sha256 ?? null,
      gap_after: gap.after,
      gap_up_to: gap.upTo,
      gap_cause: gap.cause,
    });
  }

  /** To be called before the range is sent, so that a second try sends the same one. */
  logPending(start: Version, upTo: Version): void {
    this.#change(start, { pending_up_to: upTo });
  }

  /** So many bytes of log wait: kept, so that a restart does not have to count them all. */
  counted(start: Version, bytes: number): void {
    this.#change(start, { counted_up_to: this.#database.lastVersion, counted_bytes: bytes });
  }

  /**
   * The destination has the pending range. `firstPoint`: its first commit above `consistentFrom`, if this generation had none.
   * `waitingBytes`: of the log that still waits.
   */
  logStored(start: Version, stored: StoredObject, firstPoint: Version | null, waitingBytes: number, now: UnixMs): void {
    const { pendingUpTo, log, exported, firstPoint: known } = this.#existing(start);
    assert(pendingUpTo !== null && pendingUpTo > exported, `a range of generation ${start} to be pending`);
    this.#storage.transactionSync(() => {
      this.#change(start, {
        exported: pendingUpTo,
        pending_up_to: null,
        counted_up_to: this.#database.lastVersion,
        counted_bytes: waitingBytes,
        exported_at: now,
        first_point: known ?? firstPoint,
        log_objects: log.objects + 1,
        log_bytes: log.bytes + stored.bytes,
        log_head: stored.object,
        log_sha256: stored.sha256,
      });
      this.#database.log.advance(readerOf(start), pendingUpTo);
    });
  }

  /** To be called before the range is sent: a second try then takes another sequence number. */
  snapshotPending(start: Version, lastKey: Uint8Array, sequence: number): void {
    this.#change(start, { snapshot_pending: lastKey, sequence });
  }

  /** The pending range is stored; null: nothing of it was left to store. */
  snapshotStored(start: Version, stored: StoredObject | null): void {
    const { snapshotPending, snapshot } = this.#existing(start);
    assert(snapshotPending !== null, `a snapshot range of generation ${start} to be pending`);
    const moved: Changes = { snapshot_after: snapshotPending, snapshot_pending: null };
    if (stored === null) return this.#change(start, moved);
    this.#change(start, {
      ...moved,
      snapshot_objects: snapshot.objects + 1,
      snapshot_bytes: snapshot.bytes + stored.bytes,
      snapshot_head: stored.object,
      snapshot_sha256: stored.sha256,
    });
  }

  /** Every range is stored, the last one read no later than now. */
  snapshotScanned(start: Version): void {
    // A generation without any log object is given one, so that `differential` names a commit that is in it.
    if (this.#existing(start).exported === start && this.#database.log.firstAfter(start) === null) {
      this.#database.logMarker();
    }
    this.#change(start, { scanned_at: this.#database.lastVersion });
  }

  /** What `differential` will say: to be called before it is sent, since it must never say anything else. */
  decideConsistency(start: Version): Version {
    const { exported } = this.#existing(start);
    this.#change(start, { consistent_from: exported });
    return exported;
  }

  /** `differential` is stored. A marker commit follows, so that there is a point to go back to even if nobody writes. */
  complete(start: Version): void {
    const { consistentFrom } = this.#existing(start);
    assert(consistentFrom !== null, `generation ${start} to be consistent from somewhere`);
    this.#change(start, { state: "complete" });
    this.#storage.sql.exec(
      "UPDATE backup_generations SET gap_up_to = ?1 WHERE gap_after IS NOT NULL AND gap_up_to IS NULL AND start < ?2",
      consistentFrom,
      start,
    );
    this.#database.logMarker();
  }

  /** A newer one has everything from here on. */
  retire(start: Version): void {
    this.#end(start, { state: "retired" });
  }

  /** What is committed after its last object will never be in it. */
  breakOff(start: Version, cause: string): void {
    const generation = this.#existing(start);
    if (generation.state === "snapshotting") return this.#end(start, { state: "deleting" });
    const after = this.#currentUpTo(generation);
    this.#end(start, { state: "ended", gap_after: after, gap_up_to: null, gap_cause: cause });
  }

  /** As they would be if nothing more were stored from now on. */
  allAsEnded(cause: string): Generation[] {
    return this.all().map((generation) => {
      if (generation.state !== "complete") return generation;
      return { ...generation, state: "ended", gap: { after: this.#currentUpTo(generation), upTo: null, cause } };
    });
  }

  /**
   * The database is being brought to another state, in the transaction that is open: what it was it held up to this version, at or
   * above that of every commit so far.
   */
  endAll(heldUpTo: Version): void {
    for (const { start, state, endsAt } of this.live()) {
      if (state === "snapshotting") this.delete(start);
      else if (endsAt === null) this.#change(start, { ends_at: heldUpTo });
    }
  }

  /** It has every commit of its own up to here: a quiet time behind the last one is part of it. */
  #currentUpTo({ exported, endsAt }: Generation): Version {
    const waiting = this.#database.log.firstAfter(exported);
    if (waiting !== null && (endsAt === null || waiting <= endsAt)) return asVersion(waiting - 1);
    return endsAt ?? this.#database.closeNow();
  }

  /** Its snapshot is stored whole, and commits that are in it may not be in its log. */
  awaitsLog(generation: Generation): boolean {
    const { state, scannedAt } = generation;
    return state === "snapshotting" && scannedAt !== null && !this.hasStored(generation, scannedAt);
  }

  /** Whether all that a generation is to get up to this commit is stored. */
  hasStored({ exported }: Generation, version: Version): boolean {
    if (exported >= version) return true;
    const next = this.#database.log.firstAfter(exported);
    return next === null || next > version;
  }

  delete(start: Version): void {
    this.#end(start, { state: "deleting" });
  }

  /** Nothing of it is in the bucket, or nobody is to know of it any more. */
  forget(start: Version): void {
    this.#storage.transactionSync(() => {
      this.#database.log.unregister(readerOf(start));
      this.#storage.sql.exec("DELETE FROM backup_generations WHERE start = ?1", start);
    });
  }

  #end(start: Version, changes: Changes): void {
    this.#storage.transactionSync(() => {
      this.#change(start, { pending_up_to: null, snapshot_pending: null, ...changes });
      this.#database.log.unregister(readerOf(start));
    });
  }

  #existing(start: Version): Generation {
    const generation = this.get(start);
    assert(generation !== null, `generation ${start} to be known`);
    return generation;
  }

  #change(start: Version, changes: Changes): void {
    const columns = Object.keys(changes);
    const assignments = columns.map((column, i) => `${column} = ?${i + 2}`).join(", ");
    this.#storage.sql.exec(
      `UPDATE backup_generations SET ${assignments} WHERE start = ?1`,
      start,
      ...columns.map((column) => changes[column] ?? null),
    );
  }
}

export function isLive({ state }: Generation): boolean {
  return state === "snapshotting" || state === "complete";
}

/** The last commit that can be restored from it; null when there is none. */
export function lastPointOf({ firstPoint, exported }: Generation): Version | null {
  return firstPoint === null ? null : exported;
}

function readerOf(start: Version): string {
  return `backup ${start}`;
}

function generationOf(row: Row): Generation {
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
    scannedAt: versionOrNull(row.scanned_at),
    snapshot: folder(row.snapshot_objects, row.snapshot_bytes, row.snapshot_head, row.snapshot_sha256),
    consistentFrom: versionOrNull(row.consistent_from),
    firstPoint: versionOrNull(row.first_point),
    gap:
      row.gap_after === null
        ? null
        : { after: asVersion(row.gap_after), upTo: versionOrNull(row.gap_up_to), cause: row.gap_cause ?? "" },
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
