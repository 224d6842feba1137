/**
 * In which order a search returns its rows. After the sorters of the request the ids decide, ascending. A row without the value that it is
 * sorted by comes after all others, in both directions. Of a list the least value counts ascending, and the greatest descending. Numbers
 * come before strings, and strings before booleans. Of a string the first `MAX_KEYWORD_CHARS` count.
 */
import { compareBytes } from "../../core/bytes.ts";
import { MAX_SEARCH_TEXT_CHARS, MAX_SORTER_POINTS, MAX_SORTERS } from "../../core/search-limits.ts";
import { atMost, objectOf, refuse, tooMuch } from "../../codec/json-notation/members.ts";
import { described } from "../../codec/json-notation/place.ts";
import type { JsonObject } from "../../codec/json-notation/types.ts";
import { compareTexts } from "../comparisons.ts";
import type { Point } from "../geo.ts";
import { readColumn, readPoint } from "./query.ts";

export type Sorter =
  | { readonly type: "column"; readonly column: string; readonly descending: boolean; readonly where: string }
  /** The distance of the column's place to the nearest of the points. */
  | {
      readonly type: "distance";
      readonly column: string;
      readonly points: readonly Point[];
      readonly descending: boolean;
      readonly where: string;
    }
  | { readonly type: "ids"; readonly descending: boolean }
  /** How well a row fits the texts of the query. */
  | { readonly type: "score"; readonly descending: boolean };

/** What a row is sorted by, for one sorter: of a text its beginning, as an index of keywords has it. null: it has no such value. For "ids" it is null too: the ids are at hand. */
export type SortValue = string | number | boolean | null;

export interface Ranked {
  readonly values: readonly SortValue[];
  readonly ids: Uint8Array;
}

/** Whether it is the order of the ids, ascending. */
export function ascendsByIds(sorter: Sorter | undefined): boolean {
  return sorter?.type === "ids" && !sorter.descending;
}

const EXAMPLE = `{"sorterType":"column","columnName":"price","orderType":"asc"}`;
export const BY_IDS: readonly Sorter[] = [{ type: "ids", descending: false }];

/** Reads `sorters`. Without any, rows come in the order of their ids. */
export function readSorters(json: unknown): readonly Sorter[] {
  if (json === undefined || json === null) return BY_IDS;
  const sorters = atMost(MAX_SORTERS, json, "sorters").map((one, index) => readSorter(one, `sorters[${index}]`));
  return sorters.length === 0 ? BY_IDS : sorters;
}

/** What `readSorters` reads as the same sorters, and no more: a request may have any other members. */
export function jsonOfSorters(sorters: readonly Sorter[], given: unknown): unknown {
  if (!Array.isArray(given) || given.length === 0) return null;
  return sorters.map((sorter, index) => {
    const orderType = sorter.descending ? "desc" : "asc";
    switch (sorter.type) {
      case "ids":
        return { sorterType: "ids", orderType };
      case "score":
        return { sorterType: "union", orderType };
      case "column":
        return { sorterType: "column", columnName: sorter.column, orderType };
      case "distance": {
        const { points } = objectOf(given[index], sorter.where, EXAMPLE);
        return { sorterType: "distance", columnName: sorter.column, orderType, points };
      }
    }
  });
}

function readSorter(json: unknown, where: string): Sorter {
  const given = objectOf(json, where, EXAMPLE);
  const descending = isDescending(given, where);
  switch (given["sorterType"]) {
    case "column":
      return { type: "column", column: readColumn(given, where), descending, where };
    case "ids":
      return { type: "ids", descending };
    case "union":
      return { type: "score", descending };
    case "distance": {
      const { points } = given;
      const list = typeof points === "string" ? [points] : atMost(MAX_SORTER_POINTS, points, `${where}.points`);
      if (list.length === 0) return refuse(`${where}.points is empty; a distance needs at least one point.`);
      const places = list.map((one, index) => readPoint(one, `${where}.points[${index}]`));
      return { type: "distance", column: readColumn(given, where), points: places, descending, where };
    }
    default:
      return refuse(
        `${where}.sorterType is ${described(given["sorterType"])}; it must be one of column, ids, union, distance.`,
      );
  }
}

function isDescending(given: JsonObject, where: string): boolean {
  const { orderType = "desc" } = given;
  if (orderType === "asc" || orderType === "desc") return orderType === "desc";
  return refuse(`${where}.orderType is ${described(orderType)}; it must be "asc" or "desc".`);
}

/** Negative: `a` comes first. */
export function compareRanked(sorters: readonly Sorter[], a: Ranked, b: Ranked): number {
  for (const [index, sorter] of sorters.entries()) {
    if (sorter.type === "ids") return sorter.descending ? compareBytes(b.ids, a.ids) : compareBytes(a.ids, b.ids);
    const [one, other] = [a.values[index] ?? null, b.values[index] ?? null];
    if (one === null || other === null) {
      if (one !== other) return one === null ? 1 : -1;
      continue;
    }
    const difference = compareValues(one, other);
    if (difference !== 0) return sorter.descending ? -difference : difference;
  }
  return compareBytes(a.ids, b.ids);
}

const TYPES = ["number", "string", "boolean"];

/** The order of values that a column may be sorted by. */
export function compareValues(a: string | number | boolean, b: string | number | boolean): number {
  if (typeof a === "string" && typeof b === "string") return compareTexts(a, b);
  if (typeof a !== typeof b) return TYPES.indexOf(typeof a) - TYPES.indexOf(typeof b);
  // Two infinities have no difference.
  return a === b ? 0 : a < b ? -1 : 1;
}

/** Characters of the texts that a row is sorted by. */
export function charactersOf({ values }: Ranked): number {
  return values.reduce<number>((sum, value) => sum + (typeof value === "string" ? value.length : 0), 0);
}

/** Refuses rows that are sorted by more characters than a search keeps. */
export function checkCharacters(characters: number): void {
  if (characters <= MAX_SEARCH_TEXT_CHARS) return;
  tooMuch(
    `The rows of this page and before it are sorted by texts of more than ${MAX_SEARCH_TEXT_CHARS} characters together, which is the limit: ask for fewer rows, use nextToken in place of skip, or sort by a column of shorter values.`,
  );
}

/**
 * The first rows of many, in order. Keeps at most twice as many as are wanted, and twice the characters that a search may keep.
 */
export class FirstRows<Row extends Ranked> {
  readonly #sorters: readonly Sorter[];
  readonly #most: number;
  readonly #rows: Row[] = [];
  #characters = 0;
  /** No row after this one can be among the first. */
  #last: Row | null = null;

  constructor(sorters: readonly Sorter[], most: number) {
    this.#sorters = sorters;
    this.#most = most;
  }

  add(row: Row): void {
    if (this.#most === 0) return;
    if (this.#last !== null && compareRanked(this.#sorters, row, this.#last) >= 0) return;
    this.#rows.push(row);
    this.#characters += charactersOf(row);
    if (this.#rows.length < 2 * this.#most && this.#characters <= 2 * MAX_SEARCH_TEXT_CHARS) return;
    this.#cut();
    checkCharacters(this.#characters);
  }

  /** In order. */
  rows(): readonly Row[] {
    this.#cut();
    return this.#rows;
  }

  #cut(): void {
    this.#rows.sort((a, b) => compareRanked(this.#sorters, a, b));
    if (this.#rows.length < this.#most) return;
    for (const row of this.#rows.splice(this.#most)) this.#characters -= charactersOf(row);
    this.#last = this.#rows.at(-1) ?? null;
  }
}
