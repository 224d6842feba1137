/**
 * The row that stores a mark ahead of the given versions (`version-clock.ts`), and in the same write the counters of use. Between two
 * writes the counters are only in memory. The owner of the database saves them before the object sleeps (`objects/counters-task.ts`), so
 * only a crash loses the last of them. Versions are never lost.
 */
import type { Sql } from "../core/storage.ts";
import { asVersion, type Version } from "../core/versionstamp.ts";

/** Counted since the database was made. A unit of reading is 4 KiB of keys and values, a unit of writing 1 KiB; both are rounded up. */
export interface Counters {
  /** Stored entries; an expired entry counts until it is deleted. */
  entries: number;
  /** Answered ranges. A `get` is one range. */
  reads: number;
  readUnits: number;
  /** Entries set or deleted by commits. */
  writes: number;
  writeUnits: number;
}

const READ_UNIT_BYTES = 4096;
const WRITE_UNIT_BYTES = 1024;

/** Up to this many entries are counted anew when somebody asks, because a crash may have lost some counts. */
const RECOUNTED_ENTRIES = 10_000;

export class Mark {
  readonly counters: Counters;
  readonly #sql: Sql;
  #version: Version;
  /** Reads and writes in the row as it was written last. */
  #saved: number;
  /** How often this object has written the row. */
  #saves = 0;
  #recounted = false;
  /** The most bytes that were seen in use. The object's file never becomes smaller than that. */
  #peakBytes: number;
  /** The version at which a restore last replaced the state, whole or in part. 0: never. Stored by `write`. */
  replacedAt: Version;

  constructor(sql: Sql) {
    this.#sql = sql;
    const { version, peakBytes, replacedAt, ...counters } = sql
      .exec<{ version: number; peakBytes: number; replacedAt: number } & Record<keyof Counters, number>>(
        `SELECT version, peak_bytes AS "peakBytes", replaced_at AS "replacedAt", entries, reads, read_units AS "readUnits", writes, write_units AS "writeUnits"
         FROM mark`,
      )
      .one();
    this.#version = asVersion(version);
    this.#peakBytes = peakBytes;
    this.replacedAt = asVersion(replacedAt);
    this.counters = counters;
    this.#saved = this.operations;
  }

  /** Reads and writes together. */
  get operations(): number {
    return this.counters.reads + this.counters.writes;
  }

  /** Whether something was counted that is not in the row. */
  get isUnsaved(): boolean {
    return this.operations !== this.#saved;
  }

  /** A number that changes whenever the row is written. */
  get saves(): number {
    return this.#saves;
  }

  /** The mark as it was when this object was opened or last wrote it. */
  get version(): Version {
    return this.#version;
  }

  /** Writes one row, with the present counters. */
  write(version: Version): void {
    const { entries, reads, readUnits, writes, writeUnits } = this.counters;
    this.notePeak();
    this.#sql.exec(
      `UPDATE mark SET version = ?1, entries = ?2, reads = ?3, read_units = ?4, writes = ?5, write_units = ?6, peak_bytes = ?7,
         replaced_at = ?8`,
      version,
      entries,
      reads,
      readUnits,
      writes,
      writeUnits,
      this.#peakBytes,
      this.replacedAt,
    );
    this.#version = version;
    this.#saved = this.operations;
    this.#saves += 1;
  }

  /** To be called before much is removed at once. */
  notePeak(): void {
    this.#peakBytes = Math.max(this.#peakBytes, this.#sql.databaseSize);
  }

  /** Bytes that were once in use and are not any more, at the least: they are free in the object's file, and nobody else takes them. */
  get spareBytes(): number {
    return Math.max(0, this.#peakBytes - this.#sql.databaseSize);
  }

  countRead(bytes: number): void {
    this.counters.reads += 1;
    this.counters.readUnits += Math.max(1, Math.ceil(bytes / READ_UNIT_BYTES));
  }

  countWrite(bytes: number): void {
    this.counters.writes += 1;
    this.counters.writeUnits += Math.max(1, Math.ceil(bytes / WRITE_UNIT_BYTES));
  }

  /** The number of entries, counted anew once when that is cheap. */
  countEntries(): number {
    if (!this.#recounted && this.counters.entries <= RECOUNTED_ENTRIES) {
      this.#recounted = true;
      this.counters.entries = this.#sql.exec<{ n: number }>("SELECT count(*) AS n FROM entries").one().n;
    }
    return this.counters.entries;
  }
}
