/**
 * Reads the hits of a source in windows: each call runs one or two statements and leaves none open, and the next one goes on after the last
 * hit. So others may write between two windows. A row that does not change meanwhile is met exactly once (in an index with several values of
 * one row, once for each value).
 */
import { MAX_KEYWORD_CHARS } from "../../core/document-limits.ts";
import { MAX_RANKED_DOCUMENTS } from "../../core/search-limits.ts";
import { tooMuch } from "../../codec/json-notation/members.ts";
import type { Sql } from "../../core/storage.ts";
import { LIVE_TABLES } from "../../engine/entry-table.ts";
import type { DocumentTable } from "../index/registry.ts";
import { geoTable, NUMBERS, POINTS_PER_DOCUMENT, textTable, VALUES } from "../index/schema.ts";
import type { Point } from "../geo.ts";
import type { Box } from "./areas.ts";
import { type AreaSource, type Bound, type Source, type Span, type TextSource } from "./sources.ts";
import { COST, type Steps } from "./steps.ts";

export interface Hit {
  readonly ids: Uint8Array;
  /** The number of the document. null: the source does not know it. */
  readonly number: number | null;
}

export interface Cursor {
  /** At most so many hits, or none: there are no more. */
  next(limit: number): Hit[] | Promise<Hit[]> | null;
}

/** What statements see: values of SQLite. */
type Value = number | string | Uint8Array;

export interface SpanPlace {
  readonly v: Value;
  readonly ids: Uint8Array;
}

const BEFORE_IDS = new Uint8Array();
/** Above the bytes of all ids. */
const AFTER_IDS = Uint8Array.of(0xff);

/** The place before the first row of a span. */
export function startOf({ from, index }: Span): SpanPlace {
  if (from !== null) return { v: from.value, ids: from.isIncluded ? BEFORE_IDS : AFTER_IDS };
  return { v: index.type === "keyword" ? new Uint8Array() : Number.NEGATIVE_INFINITY, ids: BEFORE_IDS };
}

/** The place after the last row of a span. */
export function endOf({ to, index }: Span): SpanPlace {
  if (to !== null) return { v: to.value, ids: to.isIncluded ? AFTER_IDS : BEFORE_IDS };
  // No byte of a text is ff.
  return { v: index.type === "keyword" ? AFTER_IDS : Number.POSITIVE_INFINITY, ids: AFTER_IDS };
}

/**
 * The rows of a span between two places. Bindings, from `?first` on: the index, value and ids of the place before the rows, and of the place
 * after them. Texts are bound as bytes. `after`, `before`: whether that place lies inside of the span, and not at its end; a comparison of
 * values alone costs half as much.
 */
export function rowsOfSpan(
  { index, from, to }: Span,
  columns: string,
  more: string,
  {
    first = 1,
    after = true,
    before = true,
  }: { readonly first?: number; readonly after?: boolean; readonly before?: boolean } = {},
): string {
  // What is concatenated is a text without an affinity, as the column has none: only so the index is used.
  const value = index.type === "keyword" ? (n: number) => `(?${first + n} || '')` : (n: number) => `?${first + n}`;
  const above = after
    ? `(v, ids) > (${value(1)}, ?${first + 2})`
    : `v ${from?.isIncluded === false ? ">" : ">="} ${value(1)}`;
  const below = before
    ? `(v, ids) < (${value(3)}, ?${first + 4})`
    : `v ${to?.isIncluded === false ? "<" : "<="} ${value(3)}`;
  return `SELECT ${columns} FROM ${VALUES} WHERE ix = ?${first} AND ${above} AND ${below} ${more}`;
}

/** The ids of a span whose rows have one value, in order. Bindings, from `?first` on: the index, the value, the ids before them, and how many. */
export function idsOfPoint({ index }: Span, first: number): string {
  const value = index.type === "keyword" ? `(?${first + 1} || '')` : `?${first + 1}`;
  return `SELECT ids FROM ${VALUES} WHERE ix = ?${first} AND v = ${value} AND ids > ?${first + 2} ORDER BY ids LIMIT ?${first + 3}`;
}

/** A span's rows, by value and ids. `descending`: by value descending, and ids ascending within a value. */
export class SpanCursor implements Cursor {
  readonly #sql: Sql;
  readonly #steps: Steps;
  readonly #span: Span;
  readonly #descending: boolean;
  #after: SpanPlace;
  #before: SpanPlace;
  #isAtEnd = false;

  /** `after`: the last row of the page before. */
  constructor(sql: Sql, steps: Steps, span: Span, descending: boolean, after: SpanPlace | null) {
    this.#sql = sql;
    this.#steps = steps;
    this.#span = span;
    this.#descending = descending;
    this.#after = startOf(span);
    this.#before = endOf(span);
    if (after === null) return;
    if (descending) this.#resumeIn = after;
    else this.#after = after;
  }

  /** The value whose rows come next, and the ids after which they do: only descending. */
  #resumeIn: SpanPlace | null = null;

  next(limit: number): Hit[] | null {
    if (this.#isAtEnd) return null;
    return this.#descending ? this.#nextDescending(limit) : this.#nextAscending(limit);
  }

  #nextAscending(limit: number): Hit[] {
    const { contains, test } = this.#span;
    if (test !== null) return this.#nextTested(contains, test);
    const found = this.#places(
      rowsOfSpan(this.#span, "v, ids", "ORDER BY v, ids LIMIT ?6", { before: false }),
      this.#span.index.id,
      ...boundsOf(this.#after, this.#before),
      limit,
    );
    const last = found.at(-1);
    if (last === undefined || found.length < limit) this.#isAtEnd = true;
    else this.#after = last;
    return found.map(hitOf);
  }

  /** Whether more values of the last window contained the text than are tested at once. */
  #areMostTested = false;

  /** What cannot be wanted stays inside SQLite, so many rows can be looked at; of those that may be, only so many are tested at once. */
  #nextTested(contains: string, test: (value: string) => boolean): Hit[] {
    let window = contains === "" || this.#areMostTested ? TESTED_ROWS : FILTERED_WINDOW;
    let rows = this.#rowsWith(contains, window);
    this.#areMostTested = rows.length > TESTED_ROWS / 4;
    if (rows.length > TESTED_ROWS) {
      window = TESTED_ROWS;
      rows = this.#rowsWith(contains, window);
    }
    const last = this.#rowAt(window);
    if (last === undefined) this.#isAtEnd = true;
    else this.#after = last;
    return rows.filter(({ v }) => typeof v !== "string" || test(v)).map(hitOf);
  }

  /** The rows of the next window whose values contain a text, or may do so beyond what is stored: at most one more than are tested at once. */
  #rowsWith(contains: string, window: number): SpanPlace[] {
    const all = rowsOfSpan(this.#span, "v, ids", "ORDER BY v, ids LIMIT ?6", { before: false });
    const wanted = `instr(v, ?7) > 0 OR length(v) >= ${MAX_KEYWORD_CHARS - 1}`;
    const places = [this.#span.index.id, ...boundsOf(this.#after, this.#before)];
    const rows =
      contains === ""
        ? this.#places(all, ...places, window)
        : this.#places(
            `SELECT v, ids FROM (${all}) WHERE ${wanted} LIMIT ?8`,
            ...places,
            window,
            contains,
            TESTED_ROWS + 1,
          );
    const characters = rows.reduce((sum, { v }) => sum + (typeof v === "string" ? v.length : 0), 0);
    this.#steps.spend(COST.statement + window * COST.orderedRow + rows.length * COST.hit);
    this.#steps.spend(characters * COST.byteOfWildcard);
    return rows;
  }

  /** The last row of the next window, if so many follow. */
  #rowAt(window: number): SpanPlace | undefined {
    const rows = rowsOfSpan(this.#span, "v, ids", "ORDER BY v, ids LIMIT 1 OFFSET ?6", { before: false });
    const places = [this.#span.index.id, ...boundsOf(this.#after, this.#before)];
    const [last] = this.#places(rows, ...places, window - 1);
    this.#steps.spend(COST.statement + window * COST.indexRow);
    return last;
  }

  #nextDescending(limit: number): Hit[] {
    const { index } = this.#span;
    if (this.#resumeIn !== null) {
      // The rest of the rows of one value, by their ids.
      const { v, ids } = this.#resumeIn;
      const places = [index.id, ...boundsOf({ v, ids }, { v, ids: AFTER_IDS })];
      const rows = this.#places(rowsOfSpan(this.#span, "v, ids", "ORDER BY v, ids LIMIT ?6"), ...places, limit);
      const last = rows.at(-1);
      if (last !== undefined && rows.length === limit) {
        this.#resumeIn = last;
      } else {
        this.#resumeIn = null;
        this.#before = { v, ids: BEFORE_IDS };
      }
      return rows.map(hitOf);
    }
    const places = [index.id, ...boundsOf(this.#after, this.#before)];
    const rows = this.#places(rowsOfSpan(this.#span, "v, ids", "ORDER BY v DESC, ids DESC LIMIT ?6"), ...places, limit);
    const last = rows.at(-1);
    if (last === undefined || rows.length < limit) {
      this.#isAtEnd = true;
      return inGroups(rows).flat().map(hitOf);
    }
    // The rows of the last value are perhaps not all there, and the first of them are wanted: they are read in the next window.
    this.#resumeIn = { v: last.v, ids: BEFORE_IDS };
    return inGroups(rows).slice(0, -1).flat().map(hitOf);
  }

  #places(query: string, ...bindings: (Value | null)[]): SpanPlace[] {
    const rows = this.#sql.exec(query, ...bindings).raw<[number | string, ArrayBuffer]>();
    return Array.from(rows, ([v, ids]) => ({ v, ids: new Uint8Array(ids) }));
  }
}

/** Rows of an index that SQLite looks at in one window. */
const FILTERED_WINDOW = 10_000;

/** Values that are tested in one window: 256 characters with a pattern of 256 take 10 to 20 microseconds each. */
const TESTED_ROWS = 500;

const utf8 = new TextEncoder();

export function boundsOf(after: SpanPlace, before: SpanPlace): Value[] {
  return [bytesOf(after.v), after.ids, bytesOf(before.v), before.ids];
}

/** Texts are bound as bytes. */
export function bytesOf(value: Value): number | Uint8Array {
  return typeof value === "string" ? utf8.encode(value) : value;
}

function hitOf({ ids }: SpanPlace): Hit {
  return { ids, number: null };
}

/** Rows in descending order, by value; within a value ascending. */
function inGroups(rows: readonly SpanPlace[]): SpanPlace[][] {
  const groups: SpanPlace[][] = [];
  for (const row of rows) {
    const group = groups.at(-1);
    if (group?.[0]?.v === row.v) group.unshift(row);
    else groups.push([row]);
  }
  return groups;
}

/** The rows of an FTS5 query, by the numbers of documents. */
export class TextCursor implements Cursor {
  readonly #sql: Sql;
  readonly #source: TextSource;
  #after = 0;
  #isAtEnd = false;

  constructor(sql: Sql, source: TextSource) {
    this.#sql = sql;
    this.#source = source;
  }

  next(limit: number): Hit[] | null {
    if (this.#isAtEnd) return null;
    const { index, match } = this.#source;
    const table = textTable(index.id);
    const found = `SELECT ${table}.rowid AS n FROM ${table} WHERE ${match === null ? "" : `${table} MATCH ?3 AND `}rowid > ?1 ORDER BY rowid LIMIT ?2`;
    const rows = this.#sql.exec(
      `SELECT f.n, x.ids FROM (${found}) f JOIN ${NUMBERS} x ON x.n = f.n`,
      this.#after,
      limit,
      ...(match === null ? [] : [match]),
    );
    const hits = Array.from(rows.raw<[number, ArrayBuffer]>(), ([number, ids]) => ({
      ids: new Uint8Array(ids),
      number,
    }));
    const last = hits.at(-1);
    if (last === undefined || hits.length < limit) this.#isAtEnd = true;
    else this.#after = last.number;
    return hits;
  }
}

/** The entries of a table, by their ids. */
export class ScanCursor implements Cursor {
  readonly #sql: Sql;
  readonly #table: DocumentTable;
  #after: Uint8Array;
  #isAtEnd = false;

  /** `after`: the ids of the last row of the page before. */
  constructor(sql: Sql, table: DocumentTable, after: Uint8Array | null) {
    this.#sql = sql;
    this.#table = table;
    this.#after = after ?? BEFORE_IDS;
  }

  next(limit: number): Hit[] | null {
    if (this.#isAtEnd) return null;
    const { prefix, range } = this.#table;
    const rows = this.#sql.exec(
      `SELECT substr(k, ?2 + 1) FROM ${LIVE_TABLES.entries}
        WHERE k > CAST(?1 || ?3 AS BLOB) AND k >= ?4 AND k < ?5 ORDER BY k LIMIT ?6`,
      prefix,
      prefix.length,
      this.#after,
      range.start,
      range.end,
      limit,
    );
    const hits = Array.from(rows.raw<[ArrayBuffer]>(), ([ids]) => ({ ids: new Uint8Array(ids), number: null }));
    const last = hits.at(-1);
    if (last === undefined || hits.length < limit) this.#isAtEnd = true;
    else this.#after = last.ids;
    return hits;
  }
}

/** A document with a place in an area. */
export interface Place {
  readonly number: number;
  readonly point: Point;
}

/** Rows of an R*Tree that one statement returns at most. */
const TREE_WINDOW = 3_000;

/**
 * The places in an area. An R*Tree cannot go on where it stopped, so a box with too many places is divided. Everything is read before the
 * first is returned; a document that is written meanwhile may be seen as before or as after.
 */
export async function placesIn(sql: Sql, { index, area }: AreaSource, steps: Steps): Promise<Place[]> {
  const places = new Map<number, Place>();
  const left: Box[] = [...(area?.boxes ?? [EARTH])];
  for (let box = left.pop(); box !== undefined; box = left.pop()) {
    const { bottom, top, left: west, right: east } = box;
    const most = isDivisible(box) ? TREE_WINDOW + 1 : MAX_RANKED_DOCUMENTS + 1;
    const rows = [
      ...sql.exec(IN_BOX(geoTable(index.id)), bottom, top, west, east, most).raw<[number, number, number]>(),
    ];
    steps.spend(COST.statement + rows.length * COST.place);
    if (rows.length > TREE_WINDOW && isDivisible(box)) {
      left.push(...quarters(box));
      await steps.rest();
      continue;
    }
    for (const [id, lat, lon] of rows) {
      if (area !== null && !area.contains({ lat, lon })) continue;
      places.set(id, { number: Math.floor(id / POINTS_PER_DOCUMENT), point: { lat, lon } });
    }
    if (places.size > MAX_RANKED_DOCUMENTS) {
      tooMuch(
        `The area has more than ${MAX_RANKED_DOCUMENTS} places, which is the limit of a search: make it smaller, or add another query.`,
      );
    }
    await steps.rest();
  }
  return [...places.values()];
}

const EARTH: Box = { bottom: -90, top: 90, left: -180, right: 180 };

const IN_BOX = (table: string): string => `SELECT id, lat, lon FROM ${table}
  WHERE max_lat >= ?1 AND min_lat <= ?2 AND max_lon >= ?3 AND min_lon <= ?4 LIMIT ?5`;

/** Whether the halves of a box are smaller than it, as the R*Tree's numbers of 32 bits show them. */
function isDivisible({ bottom, top, left, right }: Box): boolean {
  return top - bottom > 1e-4 || right - left > 1e-4;
}

function quarters({ bottom, top, left, right }: Box): Box[] {
  const [lat, lon] = [(bottom + top) / 2, (left + right) / 2];
  return [
    { bottom, top: lat, left, right: lon },
    { bottom, top: lat, left: lon, right },
    { bottom: lat, top, left, right: lon },
    { bottom: lat, top, left: lon, right },
  ];
}

/** The documents of numbers that are known, in their order. */
export class NumberCursor implements Cursor {
  readonly #sql: Sql;
  readonly #numbers: readonly number[];
  #at = 0;

  constructor(sql: Sql, numbers: readonly number[]) {
    this.#sql = sql;
    this.#numbers = numbers;
  }

  next(limit: number): Hit[] | null {
    if (this.#at >= this.#numbers.length) return null;
    const some = this.#numbers.slice(this.#at, this.#at + limit);
    this.#at += some.length;
    return hitsOfNumbers(this.#sql, some);
  }
}

export function hitsOfNumbers(sql: Sql, numbers: readonly number[]): (Hit & { readonly number: number })[] {
  const rows = sql.exec(
    `SELECT x.n, x.ids FROM json_each(?1) j JOIN ${NUMBERS} x ON x.n = j.value`,
    JSON.stringify(numbers),
  );
  return Array.from(rows.raw<[number, ArrayBuffer]>(), ([number, ids]) => ({ number, ids: new Uint8Array(ids) }));
}

/** A cursor over all rows of a source. */
export async function cursorOf(sql: Sql, source: Source, steps: Steps): Promise<Cursor> {
  switch (source.kind) {
    case "span":
      return new SpanCursor(sql, steps, source, false, null);
    case "text":
      return new TextCursor(sql, source);
    case "area": {
      const numbers = new Set((await placesIn(sql, source, steps)).map(({ number }) => number));
      return new NumberCursor(sql, [...numbers]);
    }
  }
}

/** Whether every row of the span has the same value. */
export function isPoint({ from, to }: Span): boolean {
  return from?.isIncluded === true && to?.isIncluded === true && isSameBound(from, to);
}

function isSameBound({ value }: Bound, { value: other }: Bound): boolean {
  if (typeof value === "number" || typeof other === "number") return value === other;
  return value.length === other.length && value.every((byte, index) => byte === other[index]);
}
