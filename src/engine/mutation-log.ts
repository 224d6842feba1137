/**
 * The ordered record of what each commit changed, for readers that copy it elsewhere. It is written only while a reader is registered, in
 * the same transaction as the commit. A commit is one row, already in the wire form of the backup's repeated field: so exporting is
 * concatenation.
 *
 * Promise: the rows after a reader's registration hold every commit since then, in order and whole. A commit that changed nothing (only
 * checks) leaves no row.
 *
 * The rows lie in segments, which are tables of their own. When every reader has passed a segment, it is dropped. Dropping a table is
 * free; deleting rows would be billed like writing them. The price of trimming is a new segment for every 1,000 commits or more.
 */
import { assert } from "../core/assert.ts";
import { MAX_LOG_ROW_BYTES } from "../core/limits.ts";
import type { Effect } from "../core/operations.ts";
import type { SyncStorage } from "../core/storage.ts";
import { asVersion, NO_VERSION, type Version } from "../core/versionstamp.ts";
import { encodeLogEntries } from "./log-entry.ts";

export interface LogCommit {
  readonly version: Version;
  /** The commit's entries in wire form. The parts are to be concatenated. */
  readonly parts: readonly Uint8Array[];
}

type LogRow = [version: number, partsAfter: number, entries: ArrayBuffer];

/** A segment is closed when it has this many rows, because opening the next one writes two. */
const SEGMENT_ROWS = 1_000;

/** A page of the log has about this many bytes. The first page is small, and the size of later pages is derived from the rows before. */
const PAGE_BYTES = 1024 * 1024;
const FIRST_PAGE_ROWS = 32;
const MAX_PAGE_ROWS = 2_000;

const SEGMENT_PREFIX = "mutation_log_";

export class MutationLog {
  readonly #storage: SyncStorage;
  /** Numbers of the segments, ascending; the last one is written to. Never empty. */
  #segments: number[] = [];
  /** Rows in the last segment, counted up to SEGMENT_ROWS. null: not counted yet. */
  #lastSegmentRows: number | null = null;
  /** How many readers are registered. Every commit asks, so the number is kept. null: not counted since it changed. */
  #readers: number | null = null;
  /** Readers were changed in a transaction that may still be rolled back. Until it has ended, only the table is right. */
  #unsettled = false;

  constructor(storage: SyncStorage) {
    this.#storage = storage;
    this.#load();
  }

  get isWritten(): boolean {
    return this.#countReaders() > 0;
  }

  /** How many consecutive versions a commit takes, so that each of its rows has one. 1, except for a commit larger than a row. */
  versionsFor(payloadBytes: number): number {
    // A part ends where the next entry does not fit, so two neighbouring parts together always exceed a row's size.
    return this.isWritten ? 1 + Math.floor(payloadBytes / (MAX_LOG_ROW_BYTES / 2)) : 1;
  }

  /**
   * To be called in the commit's transaction. `version` is the last of the versions that `versionsFor` asked for. Returns how many bytes
   * the commit takes.
   */
  append(version: Version, effects: readonly Effect[]): number {
    if (!this.isWritten || effects.length === 0) return 0;
    let bytes = 0;
    const insert = `INSERT INTO ${this.#lastSegment()} (version, parts_after, entries) VALUES (?1, ?2, ?3)`;
    const parts = encodeLogEntries(version, effects, MAX_LOG_ROW_BYTES);
    for (const [index, part] of parts.entries()) {
      bytes += part.length;
      const partsAfter = parts.length - 1 - index;
      this.#storage.sql.exec(insert, version - partsAfter, partsAfter, part);
    }
    if (this.#lastSegmentRows !== null) this.#lastSegmentRows += parts.length;
    return bytes;
  }

  /** From the next commit on, the log is written and kept for this reader, which has seen every commit up to `after`. */
  register(name: string, after: Version): void {
    this.#storage.sql.exec("INSERT INTO log_readers (name, after) VALUES (?1, ?2)", name, after);
    this.#readersChanged();
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
    for (const [version, partsAfter, entries] of this.#rows(after, upTo)) {
      parts.push(new Uint8Array(entries));
      bytes += entries.byteLength;
      if (partsAfter > 0) continue;
      commits.push({ version: asVersion(version), parts });
      parts = [];
      if (bytes >= maxBytes) break;
    }
    return commits;
  }

  /** The log has every commit above this version. null: the log is not written. */
  keptAfter(): Version | null {
    return this.isWritten ? this.#neededAfter() : null;
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
        commits.push({ version: asVersion(version), parts: [] });
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
    for (const segment of this.#segments) {
      const { first } = this.#storage.sql
        .exec<{ first: number | null }>(
          `SELECT min(version) AS first FROM ${nameOf(segment)} WHERE version > ?1`,
          after,
        )
        .one();
      if (first !== null) return asVersion(first);
    }
    return null;
  }

  /** Bytes that the log holds above `after`, without loading them. Reads every row, so it is meant for reports, not for every commit. */
  bytesAfter(after: Version): number {
    let bytes = 0;
    for (const segment of this.#segments) {
      bytes += this.#storage.sql
        .exec<{ bytes: number }>(
          `SELECT coalesce(sum(length(entries)), 0) AS bytes FROM ${nameOf(segment)} WHERE version > ?1`,
          after,
        )
        .one().bytes;
    }
    return bytes;
  }

  /** Drops the segments that no reader needs. Closes the last segment when it is full, or when it is not needed and not empty. */
  trim(): void {
    const needed = this.#neededAfter();
    const full = this.#countLastSegment() >= SEGMENT_ROWS;
    const abandoned = !this.isWritten && this.#countLastSegment() > 0;
    if (!full && !abandoned && this.#segments.length === 1) return;
    const { sql } = this.#storage;
    try {
      this.#storage.transactionSync(() => {
        if (full || abandoned) {
          const next = Math.max(...this.#segments) + 1;
          sql.exec(
            `CREATE TABLE ${nameOf(next)} (version INTEGER PRIMARY KEY, parts_after INTEGER NOT NULL, entries BLOB NOT NULL)`,
          );
          this.#segments.push(next);
          this.#lastSegmentRows = 0;
        }
        for (const segment of this.#segments.slice(0, -1)) {
          const name = nameOf(segment);
          const last = sql.exec<{ last: number | null }>(`SELECT max(version) AS last FROM ${name}`).one().last;
          if (last === null || last <= needed) sql.exec(`DROP TABLE ${name}`);
        }
      });
    } finally {
      this.#load();
    }
  }

  /** The log up to and including this version may be dropped. */
  #neededAfter(): Version {
    if (!this.isWritten) return asVersion(Number.MAX_SAFE_INTEGER);
    const { after } = this.#storage.sql
      .exec<{ after: number | null }>("SELECT min(after) AS after FROM log_readers")
      .one();
    return asVersion(after ?? NO_VERSION);
  }

  #countReaders(): number {
    if (this.#readers !== null) return this.#readers;
    const { n } = this.#storage.sql.exec<{ n: number }>("SELECT count(*) AS n FROM log_readers").one();
    if (!this.#unsettled) this.#readers = n;
    return n;
  }

  /** Transactions are synchronous. So the one that this change may be part of has ended, committed or not, when a microtask runs. */
  #readersChanged(): void {
    this.#readers = null;
    this.#unsettled = true;
    queueMicrotask(() => {
      this.#unsettled = false;
    });
  }

  #countLastSegment(): number {
    this.#lastSegmentRows ??= this.#storage.sql
      .exec<{ n: number }>(`SELECT count(*) AS n FROM (SELECT 1 FROM ${this.#lastSegment()} LIMIT ${SEGMENT_ROWS})`)
      .one().n;
    return this.#lastSegmentRows;
  }

  /** Reads in pages, each to its end: a cursor that the caller leaves open would keep every table from being dropped. */
  *#rows(after: Version, upTo: Version): Generator<LogRow, void, undefined> {
    for (const segment of this.#segments) {
      const select = `SELECT version, parts_after, entries FROM ${nameOf(segment)} WHERE version > ?1 AND version <= ?2 ORDER BY version LIMIT ?3`;
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
    for (const segment of this.#segments.toReversed()) {
      const select = `SELECT version, parts_after, entries FROM ${nameOf(segment)} WHERE version <= ?1 AND version > ?2 ORDER BY version DESC LIMIT ?3`;
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

  #lastSegment(): string {
    return nameOf(this.#segments.at(-1) ?? 1);
  }

  #load(): void {
    const { sql } = this.#storage;
    this.#segments = sql
      .exec<{ name: string }>(
        `SELECT name FROM sqlite_schema WHERE type = 'table' AND name LIKE '${SEGMENT_PREFIX.replaceAll("_", "\\_")}%' ESCAPE '\\'`,
      )
      .toArray()
      .map(({ name }) => Number(name.slice(SEGMENT_PREFIX.length)))
      .toSorted((a, b) => a - b);
    assert(this.#segments.length > 0, "the mutation log to have a segment");
  }
}

/** How many rows make a page, if the next rows are like these. */
function rowsOfNextPage(rows: readonly LogRow[]): number {
  const bytes = rows.reduce((sum, row) => sum + row[2].byteLength, 0);
  return Math.min(MAX_PAGE_ROWS, Math.max(1, Math.floor((PAGE_BYTES * rows.length) / bytes)));
}

function nameOf(segment: number): string {
  return `${SEGMENT_PREFIX}${segment}`;
}
