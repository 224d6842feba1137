/**
 * The stored entries: the statements that read, write and remove them, and their cost. This file knows nothing of versions, watchers or
 * the log. A state that is built beside the live one is an `EntryTable` with other table names.
 *
 * Rows written: 1 for a set, an overwrite or a delete; 1 more with an expiry (its index); 1 more where a large value is written, replaced
 * or removed. Rows read: 1 for a point read, 2 if the value is large.
 */
import { assert } from "../core/assert.ts";
import { justAfter } from "../core/bytes.ts";
import type { UnixMs } from "../core/clock.ts";
import type { KeyRange } from "../codec/key-prefix.ts";
import { MAX_INLINE_ROW_BYTES, MAX_READ_RANGES } from "../core/limits.ts";
import type { Encoding, ReadRange, StoredEntry } from "../core/operations.ts";
import type { Sql, Transact } from "../core/storage.ts";
import type { Version } from "../core/versionstamp.ts";
import type { KeyChange } from "./recent-changes.ts";
import { NO_ROW_IN_PAGE, type PagedRow, ROW_IN_PAGE, RowPage } from "./row-page.ts";

/** The most bytes that the columns other than key and value can take in a row. */
const ROW_OVERHEAD_BYTES = 40;

/**
 * A row without its key, as SQLite returns it. Its types hold because of the schema, and because only this file writes it. `v` is null
 * when the value lies in `large_values`, under the id in `large`. (A type and not an interface: storage wants an index signature.)
 */
type EntryRow = {
  v: ArrayBuffer | null;
  large: number | null;
  encoding: Encoding;
  version: Version;
  expires_at: UnixMs | null;
};

/** All columns, in the order in which a scan's statement names them. */
type FullRow = [
  key: ArrayBuffer,
  v: EntryRow["v"],
  large: EntryRow["large"],
  encoding: Encoding,
  version: Version,
  expiresAt: EntryRow["expires_at"],
];

export interface CountedSlice {
  readonly rows: number;
  readonly alive: number;
  /** null: there are no rows. */
  readonly last: Uint8Array | null;
}

/** Where a scan ends: after so many bytes of keys and values or after so many entries, whichever comes first. */
export interface EntryBounds {
  readonly maxBytes: number;
  readonly maxEntries: number;
}

const NO_VALUE: Uint8Array = new Uint8Array(0);

/** Rows that a scan reads at once. Together they must fit into one value, as those of a range. */
const SCAN_PAGE_ROWS = 300;

/** Rows that a scan reads first. Then it knows how large rows are, and reads about as many as it returns. */
const FIRST_SCAN_ROWS = 20;

/** A large value of at most so many bytes is read together with its row: a statement for each would take longer than all else. */
const SCANNED_WITH_ROW_BYTES = 4_096;

/** Rows that a range reads at once. Together they must fit into what SQLite takes for one value (2 MB), and a key may have 2 KiB. */
const RANGE_PAGE_ROWS = 500;

export interface TableNames {
  readonly entries: string;
  readonly largeValues: string;
}

export const LIVE_TABLES: TableNames = { entries: "entries", largeValues: "large_values" };

export class EntryTable {
  readonly #sql: Sql;
  readonly #transact: Transact;
  readonly #statements: ReturnType<typeof statementsFor>;
  #lastWasNew = true;

  /** `transact`: runs what takes more than one statement. */
  constructor(sql: Sql, transact: Transact, names: TableNames = LIVE_TABLES) {
    this.#sql = sql;
    this.#transact = transact;
    this.#statements = statementsFor(names);
  }

  /** The entry, unless its expiry is at or before `now`. */
  get(key: Uint8Array, now: UnixMs): StoredEntry | null {
    const [row] = this.#sql.exec<EntryRow>(this.#statements.get, key, now).toArray();
    return row === undefined ? null : this.#entryOf(key, row);
  }

  /** The version of the entry, unless its expiry is at or before `now`. */
  version(key: Uint8Array, now: UnixMs): Version | null {
    return only(this.#sql.exec(this.#statements.version, key, now).raw<[Version]>())?.[0] ?? null;
  }

  /**
   * The entries of each range, in the order of the ranges. Ranges of one key each share one statement. Otherwise up to `RANGE_PAGE_ROWS`
   * rows of a range are read at once. A row has at most `MAX_INLINE_ROW_BYTES`; a large value is read when its entry's turn comes. The
   * caller may stop early, and must finish or stop before it awaits.
   */
  ranges(ranges: readonly ReadRange[], now: UnixMs): Iterable<Iterable<StoredEntry>> {
    if (!ranges.every(holdsOneKey) || ranges.length > MAX_READ_RANGES) {
      return ranges.map((range) => this.#range(range, now));
    }
    if (ranges.length > 1) return this.#points(ranges, now);
    const [range] = ranges;
    if (range === undefined) return [];
    const entry = this.get(range.start, now);
    return [entry === null ? [] : [entry]];
  }

  *#points(ranges: readonly ReadRange[], now: UnixMs): Generator<Iterable<StoredEntry>, void, undefined> {
    const statement = this.#statements.points[ranges.length];
    assert(statement !== undefined, `at most ${MAX_READ_RANGES} keys, got ${ranges.length}`);
    const page = this.#page(statement, now, ...ranges.map(({ start }) => start));
    while (page.hasMore) {
      const row = page.next();
      yield row === null ? [] : [this.#entryIn(row)];
    }
  }

  *#range(range: ReadRange, now: UnixMs): Generator<StoredEntry, void, undefined> {
    if (holdsOneKey(range)) {
      const entry = this.get(range.start, now);
      if (entry !== null) yield entry;
      return;
    }
    const statement = range.reverse ? this.#statements.rangeReverse : this.#statements.range;
    let { start, end } = range;
    for (let left = range.limit; left > 0; left -= RANGE_PAGE_ROWS) {
      const asked = Math.min(left, RANGE_PAGE_ROWS);
      const page = this.#page(statement, start, end, now, asked);
      let rows = 0;
      let last = start;
      for (; page.hasMore; rows += 1) {
        const row = page.next();
        assert(row !== null, "a range to have only rows that exist");
        last = row.key;
        yield this.#entryIn(row);
      }
      if (rows < asked) return;
      if (range.reverse) end = last;
      else start = justAfter(last);
    }
  }

  /** The keys of the first `limit` entries of a range, with their versions, ascending. Reads no large value. */
  keys({ start, end }: KeyRange, limit: number, now: UnixMs): KeyChange[] {
    const rows = this.#sql.exec(this.#statements.keys, start, end, now, limit).raw<[ArrayBuffer, Version]>();
    return Array.from(rows, ([key, version]) => ({ key: new Uint8Array(key), version }));
  }

  /** The entries of a range without their values, in the range's order. Reads no large value. */
  keyPage({ start, end, limit, reverse }: ReadRange, now: UnixMs): StoredEntry[] {
    const statement = reverse ? this.#statements.keyPageReverse : this.#statements.keyPage;
    const rows = this.#sql
      .exec(statement, start, end, now, limit)
      .raw<[ArrayBuffer, Encoding, Version, UnixMs | null]>();
    return Array.from(rows, ([key, encoding, version, expiresAt]) => ({
      key: new Uint8Array(key),
      value: NO_VALUE,
      encoding,
      version,
      expiresAt,
    }));
  }

  /** How many of the first `limit` rows of a range have not expired at `now`, how many rows there were, and the key of the last one. */
  countSlice({ start, end }: KeyRange, limit: number, now: UnixMs): CountedSlice {
    const [row] = this.#sql
      .exec(this.#statements.countSlice, start, end, now, limit)
      .raw<[number, number, ArrayBuffer | null]>();
    assert(row !== undefined, "a row from an aggregate");
    const [rows, alive, last] = row;
    return { rows, alive, last: last === null ? null : new Uint8Array(last) };
  }

  /** How many entries of a range have expired after the one time and up to the other, whether or not they were deleted. */
  countExpired({ start, end }: KeyRange, after: UnixMs, upTo: UnixMs): number {
    return this.#sql.exec<{ expired: number }>(this.#statements.countExpired, start, end, after, upTo).one().expired;
  }

  /** Bytes of keys and values that `range` would return, without loading any value. */
  rangeBytes(range: ReadRange, now: UnixMs): number {
    const statement = range.reverse ? this.#statements.rangeBytesReverse : this.#statements.rangeBytes;
    const cursor = this.#sql.exec<{ bytes: number }>(statement, range.start, range.end, now, range.limit);
    return cursor.one().bytes;
  }

  /** What is stored under the key, expired or not. */
  stored(key: Uint8Array): StoredEntry | null {
    const row = only(this.#sql.exec(this.#statements.stored, key).raw<FullRow>());
    return row === undefined ? null : this.#fullEntryOf(row);
  }

  /**
   * All entries above `after` (null: all entries) in key order, expired ones too, until the bounds are reached. At least one entry when
   * there is any, so an empty result means the end.
   */
  scan(after: Uint8Array | null, { maxBytes, maxEntries }: EntryBounds): StoredEntry[] {
    const found: StoredEntry[] = [];
    let bytes = 0;
    let last = after ?? new Uint8Array();
    for (;;) {
      const wanted = found.length === 0 ? FIRST_SCAN_ROWS : Math.ceil((maxBytes - bytes) / (bytes / found.length));
      const asked = Math.min(wanted, SCAN_PAGE_ROWS, maxEntries - found.length);
      const page = this.#page(this.#statements.scan, last, asked);
      let rows = 0;
      for (; page.hasMore; rows += 1) {
        const row = page.next();
        assert(row !== null, "a scan to have only rows that exist");
        const entry = this.#entryIn(row);
        found.push(entry);
        last = entry.key;
        bytes += entry.key.length + entry.value.length;
        if (bytes >= maxBytes) return found;
      }
      if (rows < asked || found.length >= maxEntries) return found;
    }
  }

  /** The greatest stored key, of an expired entry too. null: there is no entry. */
  lastKey(): Uint8Array | null {
    const row = only(this.#sql.exec(this.#statements.lastKey).raw<[ArrayBuffer]>());
    return row === undefined ? null : new Uint8Array(row[0]);
  }

  /**
   * Stores an entry in place of the one that is there. Returns how many entries were added: 0 or 1. Whether the key is new is guessed
   * from the key before it. So a second statement is needed only when new and existing keys alternate.
   */
  set(key: Uint8Array, value: Uint8Array, encoding: Encoding, version: Version, expiresAt: UnixMs | null): number {
    if (key.length + value.length + ROW_OVERHEAD_BYTES > MAX_INLINE_ROW_BYTES) {
      return this.#transact(() => this.#setLarge(key, value, encoding, version, expiresAt));
    }
    const { insert, updateInline, update, deleteLarge } = this.#statements;
    if (this.#lastWasNew) {
      if (this.#sql.exec(insert, key, value, null, encoding, version, expiresAt).rowsWritten > 0) return 1;
      this.#lastWasNew = false;
    }
    if (this.#sql.exec(updateInline, key, value, encoding, version, expiresAt).rowsWritten > 0) return 0;
    const large = this.#largeOf(key);
    if (large === undefined) {
      this.#sql.exec(insert, key, value, null, encoding, version, expiresAt);
      this.#lastWasNew = true;
      return 1;
    }
    return this.#transact(() => {
      this.#sql.exec(deleteLarge, large);
      this.#sql.exec(update, key, value, null, encoding, version, expiresAt);
      return 0;
    });
  }

  /** Returns whether there was an entry, expired or not. */
  delete(key: Uint8Array): boolean {
    const { deleteInline, deleteAny, deleteLarge } = this.#statements;
    if (this.#sql.exec(deleteInline, key).rowsWritten > 0) return true;
    const large = this.#largeOf(key);
    if (large === undefined) return false;
    return this.#transact(() => {
      this.#sql.exec(deleteLarge, large);
      this.#sql.exec(deleteAny, key);
      return true;
    });
  }

  /** Keys whose expiry is at or before `now`, the earliest expiry first. */
  expired(now: UnixMs, limit: number): Uint8Array[] {
    const rows = this.#sql.exec(this.#statements.expired, now, limit).raw<[ArrayBuffer]>();
    return Array.from(rows, ([key]) => new Uint8Array(key));
  }

  /** The earliest expiry, past or future. */
  nextExpiry(): UnixMs | null {
    return only(this.#sql.exec(this.#statements.nextExpiry).raw<[UnixMs | null]>())?.[0] ?? null;
  }

  #entryOf(key: Uint8Array, { v, large, encoding, version, expires_at: expiresAt }: EntryRow): StoredEntry {
    return { key, value: v === null ? this.#largeValue(large) : new Uint8Array(v), encoding, version, expiresAt };
  }

  #page(statement: string, ...bindings: (Uint8Array | number)[]): RowPage {
    const { page } = this.#sql.exec<{ page: ArrayBuffer | null }>(statement, ...bindings).one();
    return new RowPage(page ?? new ArrayBuffer(0));
  }

  #entryIn({ key, value, large, encoding, version, expiresAt }: PagedRow): StoredEntry {
    return { key, value: value ?? this.#largeValue(large), encoding, version, expiresAt };
  }

  #largeValue(id: number | null): Uint8Array {
    return new Uint8Array(this.#sql.exec<{ v: ArrayBuffer }>(this.#statements.largeValue, id).one().v);
  }

  #fullEntryOf([key, v, large, encoding, version, expires_at]: FullRow): StoredEntry {
    return this.#entryOf(new Uint8Array(key), { v, large, encoding, version, expires_at });
  }

  #setLarge(
    key: Uint8Array,
    value: Uint8Array,
    encoding: Encoding,
    version: Version,
    expiresAt: UnixMs | null,
  ): number {
    const { insertLarge, updateLarge, insert, update } = this.#statements;
    const before = this.#largeOf(key);
    let large = before ?? null;
    if (large === null) large = this.#sql.exec<{ id: number }>(insertLarge, value).one().id;
    else this.#sql.exec(updateLarge, large, value);
    this.#sql.exec(before === undefined ? insert : update, key, null, large, encoding, version, expiresAt);
    return before === undefined ? 1 : 0;
  }

  /** The id of the entry's large value. null: the value is inline. undefined: there is no entry. */
  #largeOf(key: Uint8Array): number | null | undefined {
    return only(this.#sql.exec(this.#statements.largeOf, key).raw<[number | null]>())?.[0];
  }
}

/** The row of a statement that returns at most one. The statement is read to its end, so that it is free for its next use. */
function only<Row>(rows: Iterable<Row>): Row | undefined {
  return [...rows][0];
}

/** Whether the range ends just after the key that it starts with. Deno's client asks for one key in this way. */
function holdsOneKey({ start, end }: ReadRange): boolean {
  if (end.length !== start.length + 1 || end[start.length] !== 0) return false;
  return start.every((byte, i) => byte === end[i]);
}

function statementsFor({ entries, largeValues }: TableNames) {
  const valueLength = `CASE WHEN large IS NULL THEN length(v) ELSE (SELECT length(v) FROM ${largeValues} WHERE id = large) END`;
  const alive = (now: string) => `(expires_at IS NULL OR expires_at > ${now})`;
  const rowOf = (key: string) =>
    `coalesce((SELECT ${ROW_IN_PAGE} FROM ${entries} WHERE k = ${key} AND ${alive("?1")}), '${NO_ROW_IN_PAGE}')`;
  const pointsOf = (count: number) => {
    const rows = Array.from({ length: count }, (_, i) => rowOf(`?${i + 2}`));
    return `SELECT CAST(${rows.join(" || ")} AS BLOB) AS page`;
  };
  const within = `FROM ${entries} WHERE k >= ?1 AND k < ?2 AND ${alive("?3")} ORDER BY k`;
  // The rows are concatenated in the order of the subquery, because the subquery has a LIMIT.
  const pageOf = (rows: string) =>
    `SELECT CAST(group_concat(row, '') AS BLOB) AS page FROM (SELECT ${ROW_IN_PAGE} AS row ${rows})`;
  // "+ 0", because SQLite prepares a statement anew each time that a parameter is bound which is its LIMIT alone.
  const limit = "LIMIT ?4 + 0";
  return {
    get: `SELECT v, large, encoding, version, expires_at FROM ${entries} WHERE k = ?1 AND ${alive("?2")}`,
    stored: `SELECT k, v, large, encoding, version, expires_at FROM ${entries} WHERE k = ?1`,
    // An encoded key is never empty, so every key is above the empty one.
    scan: pageOf(`FROM (
      SELECT e.k AS k, coalesce(e.v, l.v) AS v, iif(l.v IS NULL, e.large, NULL) AS large, e.encoding AS encoding,
             e.version AS version, e.expires_at AS expires_at
      FROM ${entries} e LEFT JOIN ${largeValues} l ON l.id = e.large AND length(l.v) <= ${SCANNED_WITH_ROW_BYTES}
      WHERE e.k > ?1 ORDER BY e.k LIMIT ?2 + 0)`),
    lastKey: `SELECT k FROM ${entries} ORDER BY k DESC LIMIT 1`,
    version: `SELECT version FROM ${entries} WHERE k = ?1 AND ${alive("?2")}`,
    range: pageOf(`${within} ${limit}`),
    rangeReverse: pageOf(`${within} DESC ${limit}`),
    keys: `SELECT k, version ${within} ${limit}`,
    keyPage: `SELECT k, encoding, version, expires_at ${within} ${limit}`,
    keyPageReverse: `SELECT k, encoding, version, expires_at ${within} DESC ${limit}`,
    countSlice: `SELECT count(*) AS rows, coalesce(sum(alive), 0) AS alive, max(k) AS last FROM (
                   SELECT k, ${alive("?3")} AS alive FROM ${entries} WHERE k >= ?1 AND k < ?2 ORDER BY k ${limit})`,
    countExpired: `SELECT count(*) AS expired FROM ${entries}
                   WHERE expires_at > ?3 AND expires_at <= ?4 AND +k >= ?1 AND +k < ?2`,
    points: Array.from({ length: MAX_READ_RANGES + 1 }, (_, count) => pointsOf(count)),
    rangeBytes: `SELECT coalesce(sum(bytes), 0) AS bytes FROM (SELECT length(k) + ${valueLength} AS bytes ${within} ${limit})`,
    rangeBytesReverse: `SELECT coalesce(sum(bytes), 0) AS bytes FROM (SELECT length(k) + ${valueLength} AS bytes ${within} DESC ${limit})`,
    largeValue: `SELECT v FROM ${largeValues} WHERE id = ?1`,
    largeOf: `SELECT large FROM ${entries} WHERE k = ?1`,
    insert: `INSERT INTO ${entries} (k, v, large, encoding, version, expires_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
             ON CONFLICT (k) DO NOTHING`,
    updateInline: `UPDATE ${entries} SET v = ?2, encoding = ?3, version = ?4, expires_at = ?5 WHERE k = ?1 AND large IS NULL`,
    update: `UPDATE ${entries} SET v = ?2, large = ?3, encoding = ?4, version = ?5, expires_at = ?6 WHERE k = ?1`,
    insertLarge: `INSERT INTO ${largeValues} (v) VALUES (?1) RETURNING id`,
    updateLarge: `UPDATE ${largeValues} SET v = ?2 WHERE id = ?1`,
    deleteLarge: `DELETE FROM ${largeValues} WHERE id = ?1`,
    deleteInline: `DELETE FROM ${entries} WHERE k = ?1 AND large IS NULL`,
    deleteAny: `DELETE FROM ${entries} WHERE k = ?1`,
    expired: `SELECT k FROM ${entries} WHERE expires_at <= ?1 ORDER BY expires_at LIMIT ?2`,
    nextExpiry: `SELECT min(expires_at) FROM ${entries} WHERE expires_at IS NOT NULL`,
  };
}
