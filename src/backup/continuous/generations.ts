/**
 * The generations of a backup as they are known here, one row each, and how they change. Every change is one row, written before or after
 * a request and never during one. So after a kill at any moment, the stored state is the last one known to be true.
 *
 * snapshotting → complete → retired → deleting → gone. A complete generation becomes ended instead when its log exceeded the limit, when
 * the database was brought to another state, or when another writer has continued it; it becomes damaged when its objects are gone from
 * the bucket. A snapshotting generation is deleted in these cases. Snapshotting and complete generations are live: they have a reader of
 * the mutation log.
 */
import { assert } from "../../core/assert.ts";
import type { UnixMs } from "../../core/clock.ts";
import type { SyncStorage } from "../../core/storage.ts";
import { asVersion, type Version } from "../../core/versionstamp.ts";
import type { EarlierGeneration } from "./enabling.ts";
import type { Predecessor } from "../format/manifest.ts";
import { type Changes, endOf, type Generation, generationOf, isLive, type Row } from "./generation-row.ts";
import { hasBackupTables } from "../backup-schema.ts";
import type { DatabaseSource } from "../sources.ts";

/** An object that the destination has stored. */
export interface StoredObject {
  /** The name below the generation's prefix. */
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

  /** The contents of the object are gone: from now on there are no generations, and work on them ends. */
  close(): void {
    this.#closed = true;
  }

  /** The oldest first. The tables must exist. */
  all(): Generation[] {
    if (this.#closed) return [];
    return this.#storage.sql.exec<Row>("SELECT * FROM backup_generations ORDER BY start").toArray().map(generationOf);
  }

  get(start: Version): Generation | null {
    if (this.#closed) return null;
    const [row] = this.#storage.sql.exec<Row>("SELECT * FROM backup_generations WHERE start = ?1", start).toArray();
    return row === undefined ? null : generationOf(row);
  }

  /** The generations that the log is kept for and sent to, the oldest first. */
  live(): Generation[] {
    return this.all().filter(isLive);
  }

  /** Begins a generation, for which every commit is kept from here on. It is named after a version that is never used again. */
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

  /** Adopts a generation that an earlier backup of this database left in the bucket. */
  adopt({ found, claim, openUpTo }: EarlierGeneration, now: UnixMs): void {
    const complete = found.consistentFrom !== null;
    const upTo = openUpTo ?? found.lastPoint?.versionstamp ?? found.consistentFrom ?? found.start;
    const disabled = { after: upTo, upTo: null, cause: "The backup was disabled." };
    const gap = found.gaps[0] ?? (openUpTo === null ? null : disabled);
    this.#storage.sql.exec(
      "INSERT INTO backup_generations (start, state, created_at, exported) VALUES (?1, ?2, ?3, ?4)",
      found.start,
      complete ? (gap === null ? "retired" : "ended") : "deleting",
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
      gap_after: gap?.after ?? null,
      gap_up_to: gap?.upTo ?? null,
      gap_cause: gap?.cause ?? null,
      claim,
    });
    this.#storage.sql.exec("DELETE FROM backup_claims WHERE start = ?1", found.start);
  }

  /** The names under which the generations of a disabled backup were written. */
  formerClaims(): ReadonlyMap<Version, string> {
    if (!hasBackupTables(this.#storage)) return new Map();
    const rows = this.#storage.sql.exec<{ start: number; writer: string }>("SELECT start, writer FROM backup_claims");
    return new Map(rows.toArray().map(({ start, writer }) => [asVersion(start), writer]));
  }

  /** The backup is disabled: only the names under which its generations were written are kept. */
  forgetAll(): void {
    this.#storage.transactionSync(() => {
      for (const { start, owned, claim } of this.all()) {
        if (owned && claim !== null) {
          this.#storage.sql.exec("INSERT OR REPLACE INTO backup_claims (start, writer) VALUES (?1, ?2)", start, claim);
        }
        this.forget(start);
      }
    });
  }

  /** To be called before a record that names this writer is sent. */
  claiming(start: Version, writer: string): void {
    const before = this.#existing(start).claiming.filter((name) => name !== writer);
    this.#change(start, { claiming: [...before, writer].slice(-MOST_CLAIMING).join(" ") });
  }

  /** The record names this writer, and the log in the bucket ends with what this database has stored. */
  claimed(start: Version, writer: string): void {
    this.#change(start, { claim: writer, claiming: null });
    this.sawLog(start);
  }

  /** The log in the bucket holds only what this database has stored. */
  sawLog(start: Version): void {
    const { log } = this.#existing(start);
    this.#change(start, {
      seen_head: log.head?.object ?? null,
      seen_sha256: log.head?.sha256 ?? null,
      seen_objects: log.objects,
    });
  }

  /**
   * Another writer has continued this generation, and so also all older ones. This history leaves it here. `intactUpTo`: the log behind
   * this version is not reliable; null: all of the log is.
   */
  displace(start: Version, cause: string, intactUpTo: Version | null): void {
    this.#storage.transactionSync(() => {
      for (const generation of this.all()) {
        if (generation.start > start || !generation.owned) continue;
        const { state } = generation;
        if (state === "snapshotting" || state === "deleting") {
          this.forget(generation.start);
          continue;
        }
        if (state === "complete") {
          const isDamaged = generation.start === start && intactUpTo !== null;
          if (isDamaged) this.lose(start, cause, intactUpTo);
          else this.breakOff(generation.start, cause);
        }
        this.#change(generation.start, { owned: 0 });
      }
    });
  }

  /** The generation's objects in the bucket are gone or damaged behind this version. null: all of them are. */
  lose(start: Version, cause: string, heldUpTo: Version | null): void {
    const { state, consistentFrom, gap } = this.#existing(start);
    if (state === "snapshotting") return this.#end(start, { state: "deleting" });
    const isReadable = heldUpTo !== null && consistentFrom !== null && heldUpTo >= consistentFrom;
    this.#end(start, {
      state: isReadable ? "ended" : "damaged",
      gap_after: isReadable ? Math.min(heldUpTo, gap?.after ?? heldUpTo) : start,
      gap_up_to: this.#nextConsistency(start),
      gap_cause: cause,
    });
  }

  /** A verification has found all of it whole. */
  verified(start: Version, at: UnixMs): void {
    this.#change(start, { verified_at: at });
  }

  /** From where on a later generation can restore every commit. null: none can yet. */
  #nextConsistency(start: Version): Version | null {
    const next = this.all().find(
      (one) =>
        one.start > start && one.consistentFrom !== null && (one.state === "complete" || one.state === "retired"),
    );
    return next?.consistentFrom ?? null;
  }

  /** To be called before the range is sent, so that a second try sends the same range. */
  logPending(start: Version, upTo: Version): void {
    this.#change(start, { pending_up_to: upTo });
  }

  /** Stores how many bytes of log wait, so that a restart does not have to count them all. */
  counted(start: Version, bytes: number): void {
    this.#change(start, { counted_up_to: this.#database.lastVersion, counted_bytes: bytes });
  }

  /**
   * The destination has stored the pending range. `firstPoint`: its first commit above `consistentFrom`, if this generation had none.
   * `waitingBytes`: bytes of log that still wait.
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

  /** To be called before the range is sent. A second try then uses another sequence number. */
  snapshotPending(start: Version, lastKey: Uint8Array, sequence: number): void {
    const before = this.#existing(start);
    const again = before.snapshotPending === null ? {} : withAbandoned(before);
    this.#change(start, { snapshot_pending: lastKey, sequence, ...again });
  }

  /** The pending range is stored. null: it had become empty. */
  snapshotStored(start: Version, stored: StoredObject | null): void {
    const before = this.#existing(start);
    const { snapshotPending, snapshot } = before;
    assert(snapshotPending !== null, `a snapshot range of generation ${start} to be pending`);
    const moved: Changes = { snapshot_after: snapshotPending, snapshot_pending: null };
    if (stored === null) return this.#change(start, { ...moved, ...withAbandoned(before) });
    this.#change(start, {
      ...moved,
      snapshot_objects: snapshot.objects + 1,
      snapshot_bytes: snapshot.bytes + stored.bytes,
      snapshot_head: stored.object,
      snapshot_sha256: stored.sha256,
    });
  }

  /** Every range is stored. The last one was read no later than now. */
  snapshotScanned(start: Version): void {
    // A generation without any log object gets one, so that `differential` names a commit that is in the log.
    if (this.#existing(start).exported === start && this.#database.log.firstAfter(start) === null) {
      this.#database.logMarker();
    }
    this.#change(start, { scanned_at: this.#database.lastVersion });
  }

  /** Decides the content of `differential`. To be called before it is sent, because its content must never change. */
  decideConsistency(start: Version): Version {
    const { exported } = this.#existing(start);
    this.#change(start, { consistent_from: exported });
    return exported;
  }

  /** `differential` is stored. A marker commit follows, so that there is a point to restore even if nobody writes. */
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

  /** A newer generation has everything from here on. */
  retire(start: Version): void {
    this.#end(start, { state: "retired" });
  }

  /** Commits after its last object will never be in this generation. */
  breakOff(start: Version, cause: string): void {
    const generation = this.#existing(start);
    if (generation.state === "snapshotting") return this.#end(start, { state: "deleting" });
    const after = this.#currentUpTo(generation);
    this.#end(start, { state: "ended", gap_after: after, gap_up_to: null, gap_cause: cause });
  }

  /** The generations as they would be if nothing more were stored from now on. */
  allAsEnded(cause: string): Generation[] {
    return this.all().map((generation) => {
      if (generation.state !== "complete") return generation;
      return { ...generation, state: "ended", gap: { after: this.#currentUpTo(generation), upTo: null, cause } };
    });
  }

  /**
   * The database is being brought to another state, in the open transaction. It held its earlier state up to this version, which is at or
   * above that of every commit so far.
   */
  endAll(heldUpTo: Version): void {
    for (const { start, state, endsAt } of this.live()) {
      if (state === "snapshotting") this.delete(start);
      else if (endsAt === null) this.#change(start, { ends_at: heldUpTo });
    }
  }

  /** The generation before this one in the same history, as the manifest describes it. null: there is none. */
  predecessorOf(start: Version): Predecessor | null {
    const isPart = ({ state, consistentFrom }: Generation): boolean =>
      consistentFrom !== null && state !== "snapshotting" && state !== "deleting";
    const before = this.all().findLast((one) => one.start < start && isPart(one));
    if (before === undefined) return null;
    const { endsAt } = before;
    const left = endsAt === null ? null : { lastPoint: endsAt, heldUpTo: endsAt };
    return { start: before.start, leftAt: endOf(before) ?? left };
  }

  /** The generation has every commit up to here. A quiet time after the last commit is part of it. */
  #currentUpTo({ exported, endsAt }: Generation): Version {
    const waiting = this.#database.log.firstAfter(exported);
    if (waiting !== null && (endsAt === null || waiting <= endsAt)) return asVersion(waiting - 1);
    return endsAt ?? this.#database.closeNow();
  }

  /** The snapshot is stored completely, and commits that are in it may be missing in the log. */
  awaitsLog(generation: Generation): boolean {
    const { state, scannedAt } = generation;
    return state === "snapshotting" && scannedAt !== null && !this.hasStored(generation, scannedAt);
  }

  /** Whether the generation has stored everything that it is to get up to this commit. */
  hasStored({ exported }: Generation, version: Version): boolean {
    if (exported >= version) return true;
    const next = this.#database.log.firstAfter(exported);
    return next === null || next > version;
  }

  delete(start: Version): void {
    this.#end(start, { state: "deleting" });
  }

  /** Nothing of the generation is in the bucket, or it is to be known no longer. */
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

/** How many processes in a row may have begun to take a generation over, and ended before they knew the result. */
const MOST_CLAIMING = 8;

/** Ranges of a snapshot that were sent again and are remembered. When there are more, the first are forgotten. */
const MOST_ABANDONED = 1_000;

function withAbandoned({ abandoned, sequence }: Generation): Changes {
  return { abandoned: [...abandoned, sequence].slice(-MOST_ABANDONED).join(" ") };
}

function readerOf(start: Version): string {
  return `backup ${start}`;
}
