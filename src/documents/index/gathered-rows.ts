/**
 * Values and places of many documents of a build, on their way into the tables. The tables are in the order of values, documents come in the
 * order of their ids: written at once, each row would change a page of its own, which costs more than everything else. So rows are gathered
 * in memory, sorted, and written in pieces.
 *
 * Meanwhile `Build.settled` says from where on rows may be missing. After a restart they are gathered anew; rows that were written before
 * are written again. When a document changes, its rows are written by the commit, and those that were gathered are forgotten.
 */
import { toBinaryText } from "../../core/bytes.ts";
import type { Point } from "../geo.ts";
import type { DocumentRows } from "./index-rows.ts";
import type { IndexWriter } from "./index-writer.ts";
import type { Build } from "./registry.ts";
import { POINTS_PER_DOCUMENT } from "./schema.ts";

interface Row {
  /** What it is sorted by: the value, or where the place is on a curve. */
  readonly order: string | number;
  readonly ids: Uint8Array;
  /** null: the row is a value. */
  readonly place: { readonly id: number; readonly point: Point } | null;
}

interface SortedRows {
  readonly index: number;
  readonly rows: readonly Row[];
  written: number;
}

export class GatheredRows {
  readonly build: Build;
  /** The documents before this key have been gathered. */
  end: Uint8Array;
  /** There are no documents after them. */
  isLast = false;
  documents = 0;
  /** Of the entries, which the rows keep in memory. */
  bytes = 0;
  readonly #indexes = new Map<number, Row[]>();
  readonly #changed = new Set<string>();
  /** The rows of one index, and how many of them have been written. */
  #sorted: SortedRows | null = null;

  constructor(build: Build, start: Uint8Array) {
    this.build = build;
    this.end = start;
  }

  /** `number`: the document's, where it has places. */
  add(ids: Uint8Array, { values, points }: DocumentRows, number: number | null): void {
    for (const { index, value } of values) this.#add(index, { order: value, ids, place: null });
    if (number === null) return;
    for (const { index, points: places } of points) {
      for (const [i, point] of places.entries()) {
        const id = number * POINTS_PER_DOCUMENT + i;
        this.#add(index, { order: placeOnCurve(point), ids, place: { id, point } });
      }
    }
  }

  /** The document has changed, and the commit has written its rows. */
  forget(ids: Uint8Array): void {
    this.#changed.add(toBinaryText(ids));
  }

  /** Writes about so many rows, or sorts those of an index. Returns whether that was all. The writer is not flushed. */
  write(writer: IndexWriter, most: number): boolean {
    for (let left = most; left > 0;) {
      this.#sorted ??= this.#sortNext();
      if (this.#sorted === null) return true;
      const { index, rows, written } = this.#sorted;
      const piece = rows.slice(written, written + left);
      for (const { order, ids, place } of piece) {
        if (this.#isChanged(ids)) continue;
        if (place === null) writer.addValue(index, order, ids);
        else writer.addPoint(index, place.id, place.point);
      }
      // Sorting takes about as long as writing a third of the rows.
      left -= piece.length + (written === 0 ? Math.ceil(rows.length / 3) : 0);
      this.#sorted.written += piece.length;
      if (this.#sorted.written === rows.length) this.#sorted = null;
    }
    return this.#sorted === null && this.#indexes.size === 0;
  }

  #add(index: number, row: Row): void {
    const rows = this.#indexes.get(index);
    if (rows === undefined) this.#indexes.set(index, [row]);
    else rows.push(row);
  }

  #sortNext(): SortedRows | null {
    for (const [index, rows] of this.#indexes) {
      this.#indexes.delete(index);
      return { index, rows: rows.toSorted(byOrder), written: 0 };
    }
    return null;
  }

  #isChanged(ids: Uint8Array): boolean {
    return this.#changed.size > 0 && this.#changed.has(toBinaryText(ids));
  }
}

/** The rows of an index are of one type. That strings are in another order than in SQLite, in rare cases, only makes it slower. */
function byOrder({ order: a }: Row, { order: b }: Row): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}

/** The place on a Z-order curve: places that are near each other mostly are near each other on it. */
function placeOnCurve({ lat, lon }: Point): number {
  return spread(((lat + 90) / 180) * 0x7fff) * 2 + spread(((lon + 180) / 360) * 0x7fff);
}

/** The 15 bits of a number with a zero before each. */
function spread(given: number): number {
  let bits = Math.floor(given);
  bits = (bits | (bits << 8)) & 0x00ff00ff;
  bits = (bits | (bits << 4)) & 0x0f0f0f0f;
  bits = (bits | (bits << 2)) & 0x33333333;
  return (bits | (bits << 1)) & 0x55555555;
}
