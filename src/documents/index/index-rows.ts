/**
 * What a document has in the indexes of its table: a pure function of its columns, the table's definition, and which indexes there are. The
 * same function says what to remove when the document changes, so nothing is read to find that out.
 *
 * A document with null or without a value has nothing in a column's indexes. Of a list, each element counts. What has no place in any index
 * of its column is left out, and counted once for each column.
 *
 * What this file does with a value, limits included, is part of what is stored. To change it, append a migration to `schema.ts` that has
 * every table built again: otherwise a document's old rows would not be found when it changes.
 */
import {
  MAX_INDEXED_NAME_CHARS,
  MAX_INDEXED_POINTS,
  MAX_INDEXED_TEXT_CHARS,
  MAX_INDEXED_VALUES,
  MAX_KEYWORD_CHARS,
  MAX_LOOKED_AT_ELEMENTS,
  MAX_NESTED_DEPTH,
} from "../../core/document-limits.ts";
import type { ColumnType } from "../../contracts/document-commands.ts";
import { type Columns, isPlainObject } from "../document.ts";
import type { TableDefinition } from "../definition.ts";
import { parsePoint, type Point } from "../geo.ts";

export type IndexType = "keyword" | "number" | "boolean" | "present" | "text" | "geo";

/** Finds the index of a column and type, or makes it. null: there is none. `path`: the dot path below the column, or empty. */
export type FindIndex = (name: string, path: string, type: IndexType) => number | null;

export interface DocumentRows {
  /** Distinct. */
  readonly values: readonly { readonly index: number; readonly value: string | number }[];
  readonly texts: readonly { readonly index: number; readonly texts: readonly string[] }[];
  readonly points: readonly { readonly index: number; readonly points: readonly Point[] }[];
  /** The indexes in which the document has more than one row. */
  readonly many: ReadonlySet<number>;
  /** In how many columns something was left out. */
  readonly leftOut: number;
}

export const NO_ROWS: DocumentRows = { values: [], texts: [], points: [], many: new Set(), leftOut: 0 };

/** Which types a table indexes of which columns. null: every column, by its values. */
export type IndexedColumns = ReadonlyMap<string, ReadonlySet<ColumnType>> | null;

export function indexedColumns({ columns }: TableDefinition): IndexedColumns {
  if (columns === undefined) return null;
  const indexed = columns.filter((column) => column.indexed);
  const byName = Map.groupBy(indexed, ({ name }) => name);
  return new Map(Array.from(byName, ([name, types]) => [name, new Set(types.map(({ type }) => type))]));
}

export function rowsOf(document: Columns, columns: IndexedColumns, find: FindIndex): DocumentRows {
  const rows = new RowCollector(find);
  for (const name of Object.keys(document)) {
    const types = columns?.get(name) ?? null;
    if (columns === null || types !== null) rows.add(name, document[name], types);
  }
  return rows;
}

/** A keyword as it is stored. Whole characters only; a lone surrogate becomes U+FFFD, as in keys. */
export function storedKeyword(text: string): string {
  if (text.length <= MAX_KEYWORD_CHARS) return text.toWellFormed();
  const isHalf = (text.codePointAt(MAX_KEYWORD_CHARS - 1) ?? 0) > 0xffff;
  return text.slice(0, isHalf ? MAX_KEYWORD_CHARS - 1 : MAX_KEYWORD_CHARS).toWellFormed();
}

/** The number that is stored for a value of a number column. null: the value has no exact number. */
export function storedNumber(value: number | bigint): number | null {
  const number = Number(value);
  if (typeof value === "bigint" && !Number.isSafeInteger(number)) return null;
  // The sum makes -0 to 0, which it is equal to.
  return Number.isNaN(number) ? null : number + 0;
}

class RowCollector implements DocumentRows {
  readonly values: { readonly index: number; readonly value: string | number }[] = [];
  readonly texts: { readonly index: number; readonly texts: readonly string[] }[] = [];
  readonly points: { readonly index: number; readonly points: readonly Point[] }[] = [];
  readonly many = new Set<number>();
  leftOut = 0;
  readonly #find: FindIndex;
  /** What `values` has, where a value may come twice. */
  readonly #seen = new Set<string>();
  /** The indexes of such values. */
  readonly #seenIndexes = new Set<number>();
  #looked = 0;

  constructor(find: FindIndex) {
    this.#find = find;
  }

  /** `types`: what is indexed of the column; null: whatever its values are. */
  add(name: string, given: unknown, types: ReadonlySet<ColumnType> | null): void {
    if (given === null || given === undefined) return;
    if (!isName(name)) {
      this.leftOut += 1;
      return;
    }
    const before = this.values.length;
    const column = new Column(types);
    const isList = Array.isArray(given);
    // A loop by index sees a hole as undefined.
    const elements: readonly unknown[] = isList ? given : [given];
    for (let i = 0; i < elements.length && !column.isCutShort; i += 1) {
      if (isList && !this.#mayLook()) column.isCutShort = true;
      else this.#addElement(name, elements[i], column, isList);
    }
    this.#addTexts(name, column);
    this.#addPoints(name, column);
    if (column.isPresent && this.values.length === before && !column.hasTree) {
      if (!this.#addValue(name, "", "present", 0, false)) column.isLeftOut = true;
    }
    if (column.isLeftOut || column.isCutShort) this.leftOut += 1;
  }

  #mayLook(): boolean {
    this.#looked += 1;
    return this.#looked <= MAX_LOOKED_AT_ELEMENTS;
  }

  #addElement(name: string, element: unknown, column: Column, isList: boolean): void {
    if (element === null || element === undefined) return;
    if (element !== "") column.isPresent = true;
    let isPlaced = false;
    if (typeof element === "string") {
      if (column.takes("keyword")) isPlaced = this.#addValue(name, "", "keyword", storedKeyword(element), isList);
      if (column.takes("text")) isPlaced = column.addText(element) && (isPlaced || !column.takes("keyword"));
      if (column.takesPlaces) isPlaced = column.addPoint(element);
    } else if (typeof element === "number" || typeof element === "bigint") {
      const number = storedNumber(element);
      const isTaken = column.takes("number") || (column.takes("integer") && Number.isSafeInteger(number));
      isPlaced = number !== null && isTaken && this.#addValue(name, "", "number", number, isList);
    } else if (typeof element === "boolean") {
      isPlaced = column.takes("boolean") && this.#addValue(name, "", "boolean", Number(element), isList);
    } else if (column.takes("nested") && isPlainObject(element)) {
      isPlaced = this.#addMembers(name, "", element, 1);
    }
    if (!isPlaced) column.isLeftOut = true;
  }

  /** Adds what lies below an object. Returns whether all of it has a place. */
  #addMembers(name: string, path: string, object: Columns, depth: number): boolean {
    let isWhole = true;
    for (const member of Object.keys(object)) {
      const below = path === "" ? member : `${path}.${member}`;
      const isNamed = isName(below) && !member.includes(".") && member !== "" && depth <= MAX_NESTED_DEPTH;
      const value = object[member];
      const elements: readonly unknown[] = Array.isArray(value) ? value : [value];
      for (let i = 0; i < elements.length; i += 1) {
        if (!this.#mayLook()) return false;
        const element = elements[i];
        if (element === null || element === undefined) continue;
        if (!isNamed || !this.#addNested(name, below, element, depth)) isWhole = false;
      }
    }
    return isWhole;
  }

  #addNested(name: string, path: string, value: unknown, depth: number): boolean {
    if (typeof value === "string") return this.#addValue(name, path, "keyword", storedKeyword(value), true);
    if (typeof value === "boolean") return this.#addValue(name, path, "boolean", Number(value), true);
    if (typeof value === "number" || typeof value === "bigint") {
      const number = storedNumber(value);
      return number !== null && this.#addValue(name, path, "number", number, true);
    }
    return isPlainObject(value) && this.#addMembers(name, path, value, depth + 1);
  }

  /** `mayRepeat`: the value may have been added already. Returns whether it has a place. */
  #addValue(name: string, path: string, type: IndexType, value: string | number, mayRepeat: boolean): boolean {
    const index = this.#find(name, path, type);
    if (index === null) return false;
    if (mayRepeat) {
      const known = `${index} ${value}`;
      if (this.#seen.has(known)) return true;
      if (this.values.length >= MAX_INDEXED_VALUES) return false;
      this.#seen.add(known);
      if (this.#seenIndexes.has(index)) this.many.add(index);
      this.#seenIndexes.add(index);
    }
    if (this.values.length >= MAX_INDEXED_VALUES) return false;
    this.values.push({ index, value });
    return true;
  }

  #addTexts(name: string, column: Column): void {
    if (column.texts.length === 0) return;
    const index = this.#find(name, "", "text");
    if (index === null) {
      column.isLeftOut = true;
      return;
    }
    column.hasTree = true;
    this.texts.push({ index, texts: column.texts });
  }

  #addPoints(name: string, column: Column): void {
    if (column.points.length === 0) return;
    const index = this.#find(name, "", "geo");
    if (index === null) {
      column.isLeftOut = true;
      return;
    }
    column.hasTree = true;
    this.points.push({ index, points: column.points });
    if (column.points.length > 1) this.many.add(index);
  }
}

/** One column of a document while its values are looked at. */
class Column {
  readonly texts: string[] = [];
  readonly points: Point[] = [];
  /** It has a value that is neither null nor "". */
  isPresent = false;
  /** It has a row in a table of texts or places. */
  hasTree = false;
  isLeftOut = false;
  /** Its last elements were not looked at. */
  isCutShort = false;
  readonly #types: ReadonlySet<ColumnType> | null;
  #chars = 0;

  constructor(types: ReadonlySet<ColumnType> | null) {
    this.#types = types;
  }

  takes(type: ColumnType): boolean {
    return this.#types === null || this.#types.has(type);
  }

  /** A place is a string, so only a definition says that it is meant. */
  get takesPlaces(): boolean {
    return this.#types !== null && this.#types.has("geo");
  }

  /** Returns whether the whole text has a place. */
  addText(text: string): boolean {
    const room = MAX_INDEXED_TEXT_CHARS - this.#chars;
    const taken = text.length <= room ? text : text.slice(0, room);
    if (taken !== "") this.texts.push(taken);
    this.#chars += taken.length;
    return taken === text;
  }

  /** Returns whether the text is a place and has one. */
  addPoint(text: string): boolean {
    const point = parsePoint(text);
    if (point === null) return false;
    if (this.points.some(({ lat, lon }) => lat === point.lat && lon === point.lon)) return true;
    if (this.points.length >= MAX_INDEXED_POINTS) return false;
    this.points.push(point);
    return true;
  }
}

function isName(name: string): boolean {
  return name.length <= MAX_INDEXED_NAME_CHARS && name.isWellFormed();
}
