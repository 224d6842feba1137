/**
 * The ordered record of what each commit changed, for readers that copy it elsewhere. It is written only while a reader is registered, in
 * the same transaction as the commit. A commit is one row, already in the wire form of the backup's repeated field: so exporting is
 * concatenation.
 *
 * Promise: the rows after a reader's registration hold every commit since then, in order and whole; or, for a reader with a prefix, what
 * each commit changed under it. A commit that changed nothing of that leaves no row.
 *
 * The rows lie in segments, which are tables of their own. When every reader has passed a segment, it is dropped. Dropping a table is
 * free; deleting rows would be billed like writing them. The price of trimming is a new segment for every 1,000 commits or more.
 */
import { admitsKey } from "../codec/key-prefix.ts";
import { assert } from "../core/assert.ts";
import { LOG_SEGMENT_BYTES, MAX_LOG_ROW_BYTES } from "../core/limits.ts";
import type { Effect } from "../core/operations.ts";
import type { SyncStorage } from "../core/storage.ts";
import { asVersion, NO_VERSION, type Version } from "../core/versionstamp.ts";
import { encodeLogEntries } from "./log-entry.ts";

export interface LogCommit {
  readonly version: Version;
  /** The commit's entries in wire form. The parts are to be concatenated. */
  readonly parts: readonly Uint8Array[];
  /**
   * One bit for each entry, the lowest bit of a byte first: the entry set a key that had no entry. Zero bits at the end may be missing.
   * null: not known.
   */
  readonly inserts: Uint8Array | null;
}

type LogRow = [version: number, partsAfter: number, entries: ArrayBuffer, inserts: ArrayBuffer | null];

/** A reader that wants less than everything, and keeps commits for longer than until it has read them. */
export interface LogRetention {
  /** An encoded key: only changes of keys under it are wanted. null: of all keys. */
  readonly prefix: Uint8Array | null;
  /** How long a commit is kept. */
  readonly retentionMs: number;
}

interface Segment {
  readonly number: number;
  /** Segments of the first versions of Cairn do not have the column. */
  readonly hasInserts: boolean;
}

/** A segment is closed when it has this many rows, because opening the next one writes two. */
const SEGMENT_ROWS = 1_000;

/** A page of the log has about this many bytes. The first page is small, and the size of later pages is derived from the rows before. */
const PAGE_BYTES = 1024 * 1024;
const FIRST_PAGE_ROWS = 32;
const MAX_PAGE_ROWS = 2_000;

const SEGMENT_PREFIX = "mutation_log_";

export class MutationLog {
  readonly #storage: SyncStorage;
  /** Ascending. The last one is written to. Never empty. */
  #segments: Segment[] = [];
  /** Rows in the last segment, counted up to SEGMENT_ROWS, and their bytes. null: not counted yet. */
  #lastSegment: { rows: number; bytes: number } | null = null;
  /** The prefixes that readers want; null in the list: every key. Every commit asks, so it is kept. null: not read since it changed. */
  #wanted: readonly (Uint8Array | null)[] | null = null;
  /** Readers were changed in a transaction that may still be rolled back. Until it has ended, only the table is right. */
  #unsettled = false;

  constructor(storage: SyncStorage) {
    this.#storage = storage;
    this.#load();
  }

  get isWritten(): boolean {
    return this.#readers().length > 0;
  }

  /** How many consecutive versions a commit takes, so that each of its rows has one. 1, except for a commit larger than a row. */
  versionsFor(payloadBytes: number): number {
    // A part ends where the next entry does not fit, so two neighbouring parts together always exceed a row's size.
    return this.isWritten ? 1 + Math.floor(payloadBytes / (MAX_LOG_ROW_BYTES / 2)) : 1;
  }

  /**
   * To be called in the commit's transaction. `version` is the last of the versions that `versionsFor` asked for. `isNew`: which effects
   * set a key that had no entry. Returns what was written; null: nothing was.
   */
  append(version: Version, effects: readonly Effect[], isNew: readonly boolean[]): LogCommit | null {
    const prefixes = this.#readers();
    if (prefixes.length === 0) return null;
    const wantsAll = prefixes.includes(null);
    const isWanted = effects.map(
      ({ key }) => wantsAll || prefixes.some((prefix) => admitsKey(prefix ?? NO_PARTS, key)),
    );
    const kept = wantsAll ? effects : effects.filter((_, i) => isWanted[i]);
    if (kept.length === 0) return null;
    const { number, hasInserts } = this.#last();
    const inserts = hasInserts ? bitsOf(wantsAll ? isNew : isNew.filter((_, i) => isWanted[i])) : null;
    const insert = hasInserts
      ? `INSERT INTO ${nameOf(number)} (version, parts_after, entries, inserts) VALUES (?1, ?2, ?3, ?4)`
      : `INSERT INTO ${nameOf(number)} (version, parts_after, entries) VALUES (?1, ?2, ?3)`;
    const parts = encodeLogEntries(version, kept, MAX_LOG_ROW_BYTES);
    for (const [index, part] of parts.entries()) {
      const partsAfter = parts.length - 1 - index;
      const bindings = hasInserts ? [part, partsAfter === 0 && inserts?.length ? inserts : null] : [part];
      this.#storage.sql.exec(insert, version - partsAfter, partsAfter, ...bindings);
    }
    const commit = { version, parts, inserts };
    if (this.#lastSegment !== null) {
      this.#lastSegment.rows += parts.length;
      this.#lastSegment.bytes += bytesOf(commit);
    }
    return commit;
  }

  /** From the next commit on, the log says which keys were new. Not in a transaction that may be rolled back. */
  recordInserts(): void {
    if (!this.#last().hasInserts) this.#openSegment();
  }

  /** From the next commit on, the log is written and kept for this reader, which has seen every commit up to `after`. */
  register(name: string, after: Version, retention: LogRetention | null = null): void {
    const { prefix = null, retentionMs = null } = retention ?? {};
    this.#storage.sql.exec(
      "INSERT INTO log_readers (name, after, prefix, retention_ms) VALUES (?1, ?2, ?3, ?4)",
      name,
      after,
      prefix,
      retentionMs,
    );
    this.#readersChanged();
  }

  /** How the reader was registered, and the version up to which it needs nothing. null: it is not registered. */
  reader(name: string): (LogRetention & { readonly after: Version }) | null {
    const [row] = this.#storage.sql
      .exec<{ after: number; prefix: ArrayBuffer | null; retention_ms: number | null }>(
        "SELECT after, prefix, retention_ms FROM log_readers WHERE name = ?1",
        name,
      )
      .toArray();
    if (row === undefined) return null;
    const { after, prefix, retention_ms: retentionMs } = row;
    return {
      after: asVersion(after),
      prefix: prefix === null ? null : new Uint8Array(prefix),
      retentionMs: retentionMs ?? 0,
    };
  }

  /** The version up to which all other readers need nothing. null: there are no others. */
  neededBesides(name: string): Version | null {
    const { after } = this.#storage.sql
      .exec<{ after: number | null }>("SELECT min(after) AS after FROM log_readers WHERE name <> ?1", name)
      .one();
    return after === null ? null : asVersion(after);
  }

  /** Changes how long commits are kept. The reader keeps those that it has. */
  retain(name: string, retentionMs: number): void {
    this.#storage.sql.exec("UPDATE log_readers SET retention_ms = ?2 WHERE name = ?1", name, retentionMs);
  }

  /** Nothing is kept for this reader any more. After the last reader has gone, the next `trim` drops the log. */
  unregister(name: string): void {
    this.#storage.sql.exec("DELETE FROM log_readers WHERE name = ?1", name);
    this.#readersChanged();
  }

  /** The reader does not need commits up to and including `after` any more. Writes one row. */
  advance(name: string, after: Version): void {
    const { rowsWritten } = this.#storage.sql.exec(
      "UPDATE log_readers SET after = ?2 WHERE name = ?1 AND after <= ?2",
      name,
      after,
    );
    assert(rowsWritten === 1, `log reader ${name} to be registered and at or before ${after}`);
  }

  /**
   * Whole commits above `after` up to and including `upTo`, in order, until `maxBytes` are reached. At least one when there is any, so
   * the last commit may exceed `maxBytes`.
   */
  read(after: Version, maxBytes: number, upTo: Version = asVersion(Number.MAX_SAFE_INTEGER)): LogCommit[] {
    const commits: LogCommit[] = [];
    let parts: Uint8Array[] = [];
    let bytes = 0;
    for (const [version, partsAfter, entries, inserts] of this.#rows(after, upTo)) {
      parts.push(new Uint8Array(entries));
      bytes += entries.byteLength;
      if (partsAfter > 0) continue;
      commits.push({ version: asVersion(version), parts, inserts: inserts === null ? null : new Uint8Array(inserts) });
      parts = [];
      if (bytes >= maxBytes) break;
    }
    return commits;
  }

  /** The log has every commit above this version. null: the log is not written. */
  keptAfter(): Version | null {
    const { after } = this.#storage.sql
      .exec<{ after: number | null }>("SELECT min(after) AS after FROM log_readers WHERE prefix IS NULL")
      .one();
    return after === null ? null : asVersion(after);
  }

  /**
   * Whole commits above `after` up to and including `upTo`, the newest first, until `maxBytes` are reached. `isWhole`: there are no
   * further ones. `after` must not lie within a commit.
   */
  readBack(upTo: Version, after: Version, maxBytes: number): { commits: LogCommit[]; isWhole: boolean } {
    const commits: LogCommit[] = [];
    let bytes = 0;
    for (const [version, partsAfter, entries] of this.#rowsBack(upTo, after)) {
      if (partsAfter === 0) {
        if (bytes >= maxBytes) return { commits, isWhole: false };
        commits.push({ version: asVersion(version), parts: [], inserts: null });
      }
      bytes += entries.byteLength;
      const commit = commits.at(-1);
      assert(commit !== undefined, "a commit's rows to lie beside each other");
      commits[commits.length - 1] = { ...commit, parts: [new Uint8Array(entries), ...commit.parts] };
    }
    return { commits, isWhole: true };
  }

  /**
   * The least version of a row above `after`: at or below the version of its commit, and above every commit before it. null: there is
   * none.
   */
  firstAfter(after: Version): Version | null {
    for (const { number } of this.#segments) {
      const { first } = this.#storage.sql
        .exec<{ first: number | null }>(`SELECT min(version) AS first FROM ${nameOf(number)} WHERE version > ?1`, after)
        .one();
      if (first !== null) return asVersion(first);
    }
    return null;
  }

  /** The greatest version of a row at or before this one. null: there is none. */
  lastUpTo(version: Version): Version | null {
    for (const { number } of this.#segments.toReversed()) {
      const { last } = this.#storage.sql
        .exec<{ last: number | null }>(
          `SELECT max(version) AS last FROM ${nameOf(number)} WHERE version <= ?1 AND parts_after = 0`,
          version,
        )
        .one();
      if (last !== null) return asVersion(last);
    }
    return null;
  }

  /** Of the segments that end after a version: the version of the last row in the `count`-th. null: there are fewer. */
  endOfSegments(after: Version, count: number): Version | null {
    let left = count;
    for (const { number } of this.#segments) {
      const { last } = this.#storage.sql
        .exec<{ last: number | null }>(`SELECT max(version) AS last FROM ${nameOf(number)}`)
        .one();
      if (last === null || last <= after) continue;
      left -= 1;
      if (left === 0) return asVersion(last);
    }
    return null;
  }

  /**
   * Up to which version the oldest rows must be dropped, so that the closed segments have at most `maxBytes`. null: they have not more.
   */
  oldestBeyond(maxBytes: number): Version | null {
    const rows = this.#storage.sql
      .exec<{ number: number; bytes: number }>("SELECT number, bytes FROM log_segments ORDER BY number DESC")
      .toArray();
    let bytes = 0;
    for (const row of rows) {
      bytes += row.bytes;
      if (bytes <= maxBytes || !this.#segments.some(({ number }) => number === row.number)) continue;
      const { last } = this.#storage.sql
        .exec<{ last: number | null }>(`SELECT max(version) AS last FROM ${nameOf(row.number)}`)
        .one();
      if (last !== null) return asVersion(last);
    }
    return null;
  }

  /** Whether `trim` would close the last segment, so that it can be dropped later. */
  get isSegmentFull(): boolean {
    const { rows, bytes } = this.#countLastSegment();
    return rows >= SEGMENT_ROWS || bytes >= LOG_SEGMENT_BYTES;
  }

  /** Bytes that the log holds above `after`, without loading them. Reads every row, so it is meant for reports, not for every commit. */
  bytesAfter(after: Version): number {
    let bytes = 0;
    for (const { number } of this.#segments) {
      bytes += this.#storage.sql
        .exec<{ bytes: number }>(
          `SELECT coalesce(sum(length(entries)), 0) AS bytes FROM ${nameOf(number)} WHERE version > ?1`,
          after,
        )
        .one().bytes;
    }
    return bytes;
  }

  /** Drops the segments that no reader needs. Closes the last segment when it is full, or when it is not needed and not empty. */
  trim(): void {
    const needed = this.#neededAfter();
    const isFull = this.isSegmentFull;
    const isAbandoned = !this.isWritten && this.#countLastSegment().rows > 0;
    if (!isFull && !isAbandoned && this.#segments.length === 1) return;
    const { sql } = this.#storage;
    try {
      this.#storage.transactionSync(() => {
        if (isFull || isAbandoned) this.#openSegment();
        for (const { number } of this.#segments.slice(0, -1)) {
          const name = nameOf(number);
          const last = sql.exec<{ last: number | null }>(`SELECT max(version) AS last FROM ${name}`).one().last;
          if (last !== null && last > needed) continue;
          sql.exec(`DROP TABLE ${name}`);
          sql.exec("DELETE FROM log_segments WHERE number = ?1", number);
        }
      });
    } catch (error) {
      this.#lastSegment = null;
      throw error;
    } finally {
      this.#load();
    }
  }

  /** The last segment gets no more rows. Its size is stored while a reader has a retention. */
  #openSegment(): void {
    const { sql } = this.#storage;
    const { number } = this.#last();
    const isRetained = sql.exec("SELECT 1 FROM log_readers WHERE retention_ms IS NOT NULL").toArray().length > 0;
    const { bytes } = this.#countLastSegment();
    const next = { number: number + 1, hasInserts: true };
    this.#storage.transactionSync(() => {
      sql.exec(
        `CREATE TABLE ${nameOf(next.number)} (version INTEGER PRIMARY KEY, parts_after INTEGER NOT NULL, entries BLOB NOT NULL, inserts BLOB)`,
      );
      if (isRetained) sql.exec("INSERT INTO log_segments (number, bytes) VALUES (?1, ?2)", number, bytes);
    });
    this.#segments.push(next);
    this.#lastSegment = { rows: 0, bytes: 0 };
  }

  /** The log up to and including this version may be dropped. */
  #neededAfter(): Version {
    if (!this.isWritten) return asVersion(Number.MAX_SAFE_INTEGER);
    const { after } = this.#storage.sql
      .exec<{ after: number | null }>("SELECT min(after) AS after FROM log_readers")
      .one();
    return asVersion(after ?? NO_VERSION);
  }

  #readers(): readonly (Uint8Array | null)[] {
    if (this.#wanted !== null) return this.#wanted;
    const wanted = this.#storage.sql
      .exec<{ prefix: ArrayBuffer | null }>("SELECT prefix FROM log_readers")
      .toArray()
      .map(({ prefix }) => (prefix === null ? null : new Uint8Array(prefix)));
    if (!this.#unsettled) this.#wanted = wanted;
    return wanted;
  }

  /** Transactions are synchronous. So the one that this change may be part of has ended, committed or not, when a microtask runs. */
  #readersChanged(): void {
    this.#wanted = null;
    this.#unsettled = true;
    queueMicrotask(() => {
      this.#unsettled = false;
    });
  }

  #countLastSegment(): { rows: number; bytes: number } {
    this.#lastSegment ??= this.#storage.sql
      .exec<{ rows: number; bytes: number }>(
        `SELECT count(*) AS rows, coalesce(sum(bytes), 0) AS bytes
         FROM (SELECT length(entries) AS bytes FROM ${nameOf(this.#last().number)} LIMIT ${SEGMENT_ROWS})`,
      )
      .one();
    return this.#lastSegment;
  }

  /** Reads in pages, each to its end: a cursor that the caller leaves open would keep every table from being dropped. */
  *#rows(after: Version, upTo: Version): Generator<LogRow, void, undefined> {
    for (const { number, hasInserts } of this.#segments) {
      const inserts = hasInserts ? "coalesce(inserts, x'')" : "NULL";
      const select = `SELECT version, parts_after, entries, ${inserts} FROM ${nameOf(number)} WHERE version > ?1 AND version <= ?2 ORDER BY version LIMIT ?3`;
      let last: number = after;
      let asked = FIRST_PAGE_ROWS;
      for (;;) {
        const rows = [...this.#storage.sql.exec(select, last, upTo, asked).raw<LogRow>()];
        yield* rows;
        const [lastRow] = rows.slice(-1);
        if (lastRow === undefined || rows.length < asked) break;
        last = lastRow[0];
        asked = rowsOfNextPage(rows);
      }
    }
  }

  /** The newest row first, in pages as in `#rows`. */
  *#rowsBack(upTo: Version, after: Version): Generator<LogRow, void, undefined> {
    for (const { number } of this.#segments.toReversed()) {
      const select = `SELECT version, parts_after, entries, NULL FROM ${nameOf(number)} WHERE version <= ?1 AND version > ?2 ORDER BY version DESC LIMIT ?3`;
      let next: number = upTo;
      let asked = FIRST_PAGE_ROWS;
      for (;;) {
        const rows = [...this.#storage.sql.exec(select, next, after, asked).raw<LogRow>()];
        yield* rows;
        const [lastRow] = rows.slice(-1);
        if (lastRow === undefined || rows.length < asked) break;
        next = lastRow[0] - 1;
        asked = rowsOfNextPage(rows);
      }
    }
  }

  #last(): Segment {
    const last = this.#segments.at(-1);
    assert(last !== undefined, "the mutation log to have a segment");
    return last;
  }

  #load(): void {
    const { sql } = this.#storage;
    this.#segments = sql
      .exec<{ name: string; inserts: number }>(
        `SELECT name, instr(sql, 'inserts') AS inserts FROM sqlite_schema
         WHERE type = 'table' AND name LIKE '${SEGMENT_PREFIX.replaceAll("_", "\\_")}%' ESCAPE '\\'`,
      )
      .toArray()
      .map(({ name, inserts }) => ({ number: Number(name.slice(SEGMENT_PREFIX.length)), hasInserts: inserts > 0 }))
      .toSorted((a, b) => a.number - b.number);
    this.#last();
  }
}

export function bytesOf({ parts }: LogCommit): number {
  return parts.reduce((sum, part) => sum + part.length, 0);
}

/** The flags in the form of `inserts`. */
function bitsOf(flags: readonly boolean[]): Uint8Array {
  if (!flags.includes(true)) return NO_INSERTS;
  const bits = new Uint8Array(Math.ceil(flags.length / 8));
  for (const [i, flag] of flags.entries()) if (flag) bits[i >> 3] = (bits[i >> 3] ?? 0) | (1 << (i & 7));
  return bits;
}

const NO_INSERTS = new Uint8Array();
const NO_PARTS = new Uint8Array();

/** How many rows make a page, if the next rows are like these. */
function rowsOfNextPage(rows: readonly LogRow[]): number {
  const bytes = rows.reduce((sum, row) => sum + row[2].byteLength, 0);
  return Math.min(MAX_PAGE_ROWS, Math.max(1, Math.floor((PAGE_BYTES * rows.length) / bytes)));
}

function nameOf(segment: number): string {
  return `${SEGMENT_PREFIX}${segment}`;
}
