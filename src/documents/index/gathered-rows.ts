/**
 * Values and places of many documents of a build, on their way into the tables. The tables are in the order of values, documents come in the
 * order of their ids: written at once, each row would change a page of its own, which costs more than everything else. So rows are gathered
 * in memory, sorted, and written in pieces. The more rows are gathered, the more of them share a page.
 *
 * Meanwhile `Build.settled` says from where on rows may be missing. After a restart they are gathered anew; rows that were written before
 * are written again. When a document changes, its rows are written by the commit, and those that were gathered are forgotten.
 *
 * A row takes its value and a few numbers. Nothing here refers to an entry, so nothing keeps entries in memory.
 */
import { assert } from "../../core/assert.ts";
import { toBinaryText } from "../../core/bytes.ts";
import { MAX_KEYWORD_CHARS } from "../../core/document-limits.ts";
import type { Point } from "../geo.ts";
import type { DocumentRows } from "./index-rows.ts";
import type { IndexWriter } from "./index-writer.ts";
import type { Build } from "./registry.ts";
import { POINTS_PER_DOCUMENT } from "./schema.ts";
import { type Order, SortedRuns } from "./sorted-runs.ts";

/** What each takes in memory, measured with V8; a document beside its ids, a text beside its characters. */
const DOCUMENT_BYTES = 16;
const VALUE_BYTES = 16;
const TEXT_BYTES = 40;
const PLACE_BYTES = 56;
const CHANGED_BYTES = 80;

/** A place takes as long to write as so many values. */
const VALUES_PER_PLACE = 2;

export class GatheredRows {
  readonly build: Build;
  /** The documents before this key have been gathered. */
  end: Uint8Array;
  /** There are no documents after them. */
  isLast = false;
  /** Nothing is added any more: what there is is being written. */
  isWhole = false;
  documents = 0;
  /** What the rows take in memory, about. */
  bytes = 0;
  readonly #ids = new IdList();
  readonly #values = new Map<number, SortedRuns>();
  readonly #places = new Map<number, PlaceList>();
  readonly #changed = new Set<string>();

  constructor(build: Build, start: Uint8Array) {
    this.build = build;
    this.end = start;
  }

  /** `number`: the document's, where it has places. */
  add(ids: Uint8Array, { values, points }: DocumentRows, number: number | null): void {
    const document = this.#ids.add(ids);
    this.bytes += DOCUMENT_BYTES + ids.length;
    for (const { index, value } of values) {
      let runs = this.#values.get(index);
      if (runs === undefined) this.#values.set(index, (runs = new SortedRuns()));
      runs.add(typeof value === "string" ? ownText(value) : value, document);
      this.bytes += VALUE_BYTES + (typeof value === "string" ? TEXT_BYTES + 2 * value.length : 0);
    }
    if (number === null) return;
    for (const { index, points: places } of points) {
      let list = this.#places.get(index);
      if (list === undefined) this.#places.set(index, (list = new PlaceList()));
      for (const [i, point] of places.entries()) list.add(document, number * POINTS_PER_DOCUMENT + i, point);
      this.bytes += PLACE_BYTES * places.length;
    }
  }

  /** The document has changed, and the commit has written its rows. */
  forget(ids: Uint8Array): void {
    const name = toBinaryText(ids);
    if (this.#changed.has(name)) return;
    this.#changed.add(name);
    this.bytes += CHANGED_BYTES + ids.length;
  }

  /** Writes about so many values. Returns whether that was all. The writer is not flushed. Nothing is added after it. */
  write(writer: IndexWriter, most: number): boolean {
    let left = most;
    for (const [index, runs] of this.#values) {
      const value = (order: Order, document: number): void => {
        const ids = this.#ids.get(document);
        if (!this.#isChanged(ids)) writer.addValue(index, order, ids);
      };
      left -= runs.take(left, value);
      if (left === 0) return false;
      this.#values.delete(index);
    }
    for (const [index, places] of this.#places) {
      const place = (document: number, id: number, point: Point): void => {
        if (!this.#isChanged(this.#ids.get(document))) writer.addPoint(index, id, point);
      };
      left -= VALUES_PER_PLACE * places.take(Math.ceil(left / VALUES_PER_PLACE), place);
      if (left <= 0) return false;
      this.#places.delete(index);
    }
    return true;
  }

  #isChanged(ids: Uint8Array): boolean {
    return this.#changed.size > 0 && this.#changed.has(toBinaryText(ids));
  }
}

/** The ids of documents, one after the other in large pieces of memory. */
class IdList {
  readonly #pieces: Uint8Array[] = [];
  /** Of the last piece. */
  #used = PIECE_BYTES;
  /** For each document, where its ids are in all pieces together. */
  readonly #starts: number[] = [];
  readonly #ends: number[] = [];

  /** Returns the number of the document. */
  add(ids: Uint8Array): number {
    if (this.#used + ids.length > PIECE_BYTES) {
      this.#pieces.push(new Uint8Array(PIECE_BYTES));
      this.#used = 0;
    }
    this.#pieces.at(-1)?.set(ids, this.#used);
    const start = (this.#pieces.length - 1) * PIECE_BYTES + this.#used;
    this.#used += ids.length;
    this.#ends.push(start + ids.length);
    return this.#starts.push(start) - 1;
  }

  get(document: number): Uint8Array {
    const [start = 0, end = 0] = [this.#starts[document], this.#ends[document]];
    const piece = this.#pieces[Math.floor(start / PIECE_BYTES)];
    assert(piece !== undefined, "a document that was added");
    const from = start % PIECE_BYTES;
    return piece.subarray(from, from + end - start);
  }
}

/** More than any key has. */
const PIECE_BYTES = 8 * 1024;

/** The places of an index, in the order of a curve on which places that are near each other mostly are near each other. */
class PlaceList {
  readonly #runs = new SortedRuns();
  readonly #documents: number[] = [];
  readonly #ids: number[] = [];
  readonly #lats: number[] = [];
  readonly #lons: number[] = [];

  add(document: number, id: number, point: Point): void {
    this.#runs.add(placeOnCurve(point), this.#ids.length);
    this.#documents.push(document);
    this.#ids.push(id);
    this.#lats.push(point.lat);
    this.#lons.push(point.lon);
  }

  take(most: number, use: (document: number, id: number, point: Point) => void): number {
    return this.#runs.take(most, (_, at) => {
      const [document = 0, id = 0] = [this.#documents[at], this.#ids[at]];
      const [lat = 0, lon = 0] = [this.#lats[at], this.#lons[at]];
      use(document, id, { lat, lon });
    });
  }
}

/** A keyword that was cut off is a part of the whole text for V8, which would keep all of the text in memory. */
function ownText(text: string): string {
  return text.length < MAX_KEYWORD_CHARS - 1 ? text : Array.from(text).join("");
}

/** The place on a Z-order curve. */
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
