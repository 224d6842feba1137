/**
 * Writes and removes what documents have in the indexes. Rows that are added are kept and written together, many by one statement: a
 * statement costs more than a row. `flush` must follow before the transaction ends.
 *
 * Rows written: one for each value, text and place; two for a document that gets its first text or place (its number). A value, text or
 * place that did not change costs nothing.
 */
import { INDEXED_CHARS_PER_VALUE } from "../../core/document-limits.ts";
import type { Sql } from "../../core/storage.ts";
import { cutTexts } from "../text/cut.ts";
import type { Point } from "../geo.ts";
import type { DocumentRows } from "./index-rows.ts";
import { geoTable, NUMBERS, POINTS_PER_DOCUMENT, SKIPPED, textTable, VALUES } from "./schema.ts";

/** A statement takes at most 100 parameters. */
const MAX_PARAMETERS = 100;

type Bound = Uint8Array | string | number;
type ValueRow = DocumentRows["values"][number];

export class IndexWriter {
  readonly #sql: Sql;
  /** The parameters of the rows to be inserted, one row after the other, by their statement. */
  readonly #pending = new Map<Insert, Bound[]>();
  readonly #trees = new Map<number, Insert>();
  #changes = 0;
  /** The greatest number of a document. null: not read yet. */
  #lastNumber: number | null = null;

  constructor(sql: Sql) {
    this.#sql = sql;
  }

  /** How many values, texts and places were added or removed so far; some characters of a text count as a value. */
  get changes(): number {
    return this.#changes;
  }

  /**
   * Brings what the document has in the indexes of a build from one state to another. `isPartial`: values and places of the state before may
   * be missing.
   */
  change(build: number, ids: Uint8Array, before: DocumentRows, after: DocumentRows, isPartial: boolean): void {
    // A row that is removed may still be pending.
    if (before.values.length > 0 || isNumbered(before)) this.flush();
    this.#changeValues(ids, before.values, after.values, isPartial);
    if (!isNumbered(before) && !isNumbered(after)) return;
    const number = isNumbered(before) ? this.numberOf(build, ids) : this.#newNumber(build, ids);
    this.#changeTexts(number, before.texts, after.texts);
    this.#changePoints(number, before.points, after.points, isPartial);
    if (!isNumbered(after)) this.#sql.exec(DELETE_NUMBER, number);
  }

  /** Adds a new document's texts, and neither values nor places. Returns the document's number. null: it has no text and no place. */
  addTexts(build: number, ids: Uint8Array, rows: DocumentRows): number | null {
    if (!isNumbered(rows)) return null;
    const number = this.#newNumber(build, ids);
    this.#changeTexts(number, [], rows.texts);
    return number;
  }

  addValue(index: number, value: string | number, ids: Uint8Array): void {
    this.#add(INSERT_VALUES, index, value, ids);
  }

  addPoint(index: number, id: number, { lat, lon }: Point): void {
    this.#add(this.#treeOf(index, insertPoint), id, lat, lon);
  }

  /** Notes that an entry under the table is no document, or that it is none any more. */
  skip(build: number, ids: Uint8Array, isSkipped: boolean): void {
    this.#sql.exec(isSkipped ? INSERT_SKIPPED : DELETE_SKIPPED, build, ids);
  }

  /** Writes the rows that were added. */
  flush(): void {
    for (const [insert, parameters] of this.#pending) {
      const { rows, parametersPerRow } = insert;
      for (let at = 0; at < parameters.length; at += rows * parametersPerRow) {
        const some = parameters.slice(at, at + rows * parametersPerRow);
        this.#sql.exec(insert.statement(some.length / parametersPerRow), ...some);
      }
    }
    this.#pending.clear();
  }

  #changeValues(ids: Uint8Array, before: readonly ValueRow[], after: readonly ValueRow[], isPartial: boolean): void {
    if (before.length === 0) {
      for (const { index, value } of after) this.addValue(index, value, ids);
      return;
    }
    const kept = new Set(after.map(nameOf));
    for (const row of before) {
      if (!kept.has(nameOf(row))) this.#remove(DELETE_VALUE, row.index, row.value, ids);
    }
    const had = new Set(isPartial ? [] : before.map(nameOf));
    for (const row of after) if (!had.has(nameOf(row))) this.addValue(row.index, row.value, ids);
  }

  #changeTexts(number: number, before: DocumentRows["texts"], after: DocumentRows["texts"]): void {
    for (const { index, texts } of before) {
      const now = after.find((one) => one.index === index);
      if (now !== undefined && isSame(now.texts, texts)) continue;
      this.#remove(`DELETE FROM ${textTable(index)} WHERE rowid = ?1`, number);
    }
    for (const { index, texts } of after) {
      const old = before.find((one) => one.index === index);
      if (old !== undefined && isSame(old.texts, texts)) continue;
      this.#add(this.#treeOf(index, insertText), number, cutTexts(texts));
      this.#changes += texts.reduce((sum, text) => sum + text.length, 0) / INDEXED_CHARS_PER_VALUE;
    }
  }

  #changePoints(
    number: number,
    before: DocumentRows["points"],
    after: DocumentRows["points"],
    isPartial: boolean,
  ): void {
    const first = number * POINTS_PER_DOCUMENT;
    for (const { index, points } of before) {
      const now = after.find((one) => one.index === index)?.points ?? [];
      for (const [i, point] of points.entries()) {
        if (isAt(point, now[i])) continue;
        this.#remove(`DELETE FROM ${geoTable(index)} WHERE id = ?1`, first + i);
      }
    }
    for (const { index, points } of after) {
      const old = before.find((one) => one.index === index)?.points ?? [];
      for (const [i, point] of points.entries()) {
        if (isPartial || !isAt(point, old[i])) this.addPoint(index, first + i, point);
      }
    }
  }

  /** The number of a document that has a text or a place. */
  numberOf(build: number, ids: Uint8Array): number {
    return this.#sql.exec<{ n: number }>(FIND_NUMBER, build, ids).one().n;
  }

  #newNumber(build: number, ids: Uint8Array): number {
    this.#lastNumber ??= this.#sql.exec<{ n: number }>(LAST_NUMBER).one().n;
    this.#lastNumber += 1;
    this.#add(INSERT_NUMBERS, this.#lastNumber, build, ids);
    return this.#lastNumber;
  }

  #treeOf(index: number, make: (index: number) => Insert): Insert {
    let insert = this.#trees.get(index);
    if (insert === undefined) this.#trees.set(index, (insert = make(index)));
    return insert;
  }

  #remove(statement: string, ...bindings: Bound[]): void {
    this.#sql.exec(statement, ...bindings);
    this.#changes += 1;
  }

  #add(insert: Insert, ...row: Bound[]): void {
    this.#changes += 1;
    const parameters = this.#pending.get(insert);
    if (parameters === undefined) this.#pending.set(insert, row);
    else parameters.push(...row);
  }
}

/** A statement that inserts up to `rows` rows, made once for each number of them. */
class Insert {
  readonly rows: number;
  readonly parametersPerRow: number;
  readonly #head: string;
  readonly #row: (first: number) => string;
  readonly #statements: (string | undefined)[] = [];

  /** `row`: the SQL of one row, whose parameters are numbered from `first` on. */
  constructor(
    head: string,
    parametersPerRow: number,
    row: (first: number) => string,
    rows = Math.floor(MAX_PARAMETERS / parametersPerRow),
  ) {
    this.#head = head;
    this.parametersPerRow = parametersPerRow;
    this.#row = row;
    this.rows = rows;
  }

  statement(rows: number): string {
    return (this.#statements[rows] ??= `INSERT ${this.#head} VALUES ${Array.from({ length: rows }, (_, i) =>
      this.#row(i * this.parametersPerRow + 1),
    ).join(", ")}`);
  }
}

const three = (first: number) => `(?${first}, ?${first + 1}, ?${first + 2})`;

/** OR IGNORE, which also ignores NULL, cannot fail midway. Otherwise SQLite would copy each page that the rows change, to be able to undo them. */
const INSERT_VALUES = new Insert(`OR IGNORE INTO ${VALUES} (ix, v, ids)`, 3, three);
const INSERT_NUMBERS = new Insert(`INTO ${NUMBERS} (n, table_id, ids)`, 3, three);
const DELETE_VALUE = `DELETE FROM ${VALUES} WHERE ix = ?1 AND v = ?2 AND ids = ?3`;
const FIND_NUMBER = `SELECT n FROM ${NUMBERS} WHERE table_id = ?1 AND ids = ?2`;
const LAST_NUMBER = `SELECT coalesce(max(n), 0) AS n FROM ${NUMBERS}`;
const DELETE_NUMBER = `DELETE FROM ${NUMBERS} WHERE n = ?1`;
const INSERT_SKIPPED = `INSERT INTO ${SKIPPED} (table_id, ids) VALUES (?1, ?2) ON CONFLICT DO NOTHING`;
const DELETE_SKIPPED = `DELETE FROM ${SKIPPED} WHERE table_id = ?1 AND ids = ?2`;

function insertText(index: number): Insert {
  return new Insert(`INTO ${textTable(index)} (rowid, words)`, 2, (first) => `(?${first}, ?${first + 1})`);
}

/** One row by each statement: SQLite copies the pages that several rows of an R*Tree change, to be able to undo them. */
function insertPoint(index: number): Insert {
  const row = (id: number) => `(?${id}, ?${id + 1}, ?${id + 1}, ?${id + 2}, ?${id + 2}, ?${id + 1}, ?${id + 2})`;
  return new Insert(`OR REPLACE INTO ${geoTable(index)} (id, min_lat, max_lat, min_lon, max_lon, lat, lon)`, 3, row, 1);
}

function isNumbered({ texts, points }: DocumentRows): boolean {
  return texts.length > 0 || points.length > 0;
}

/** A value has one type in an index. */
function nameOf({ index, value }: ValueRow): string {
  return `${index} ${value}`;
}

function isSame(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((text, i) => text === b[i]);
}

function isAt({ lat, lon }: Point, other: Point | undefined): boolean {
  return other !== undefined && other.lat === lat && other.lon === lon;
}
