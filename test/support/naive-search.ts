/**
 * What a search must answer, worked out by looking at every document, with code that is written to be obviously right and shares nothing with
 * `src/documents/search/` but the cutting of text and the formula of distances. Relevance is BM25 as FTS5's documentation states it.
 */
import { BREAK, cutTexts, isCjk, tokensOf } from "../../src/documents/text/cut.ts";
import { distanceBetween } from "../../src/documents/search/areas.ts";
import { wordsOf } from "../../src/documents/text/words.ts";

export type Column = { readonly name: string; readonly type: string; readonly indexed: boolean };
export type Row = { readonly ids: readonly (string | number)[]; readonly columns: Readonly<Record<string, unknown>> };
type Json = Readonly<Record<string, unknown>>;

/** `columns` undefined: mapped as they come. `rows`: in the order of their ids, those that have not expired. */
export interface NaiveTable {
  readonly columns: readonly Column[] | undefined;
  readonly rows: readonly Row[];
  /** What FTS5 has: expired rows that are not deleted too. */
  readonly indexed: readonly Row[];
}

export class Naive {
  readonly #table: NaiveTable;

  constructor(table: NaiveTable) {
    this.#table = table;
  }

  found(querys: readonly Json[]): Row[] {
    return this.#table.rows.filter((row) => querys.every((query) => this.holds(query, row)));
  }

  holds(query: Json, row: Row): boolean {
    const list = (name: string): Json[] => (query[name] ?? []) as Json[];
    const column = (query["column"] ?? query["columnName"] ?? "") as string;
    const values = elements(row.columns[column]);
    const strings = this.#has(column, "keyword") ? values.filter((one) => typeof one === "string") : [];
    switch (query["queryType"]) {
      case "matchAll":
        return true;
      case "bool": {
        const should = list("should").filter((one) => this.holds(one, row)).length;
        const least = query["minimumShouldMatch"] ?? (list("should").length > 0 && list("must").length === 0 ? 1 : 0);
        return (
          list("must").every((one) => this.holds(one, row)) &&
          !list("mustNot").some((one) => this.holds(one, row)) &&
          should >= (least as number)
        );
      }
      case "equal":
      case "constScore":
        return this.scalars(column, row).includes(query["value"]);
      case "equalMany":
        return (query["values"] as unknown[]).some((value) => this.scalars(column, row).includes(value));
      case "nested":
        return this.#below(column, query["searchKey"] as string, row).includes(query["searchValue"]);
      case "match":
      case "functionScore": {
        const text = query["value"];
        if (typeof text !== "string" || !this.#has(column, "text")) return this.scalars(column, row).includes(text);
        const tokens = this.tokens(column, row);
        const words = [...new Map(wordsOf(text).map((word) => [word.join(" "), word])).values()];
        const least = (query["minimumMatch"] ?? (query["operator"] === "and" ? words.length : 1)) as number;
        const isWhole = least > 1 || (query["operator"] === "and" && least === words.length);
        const has = (word: readonly string[]) =>
          isWhole ? word.every((one) => tokens.includes(one)) : word.some((one) => tokens.includes(one));
        return words.length > 0 && words.filter(has).length >= Math.max(1, least);
      }
      case "matchPhrase":
        return occurrences(this.tokens(column, row), tokensOf(query["value"] as string), false) > 0;
      case "prefix": {
        const text = query["value"] as string;
        if (this.#has(column, "keyword")) return strings.some((one) => one.startsWith(text));
        const wanted = tokensOf(text).filter((token) => token !== BREAK);
        return occurrences(this.tokens(column, row), wanted, true) > 0;
      }
      case "wildcard": {
        const pattern = Array.from(query["value"] as string, (one) =>
          one === "*"
            ? "[^]*"
            : one === "?"
              ? "[^]"
              : one.replace(/[^]/u, (char) => `\\u{${char.codePointAt(0)?.toString(16)}}`),
        ).join("");
        return strings.some((one) => new RegExp(`^${pattern}$`, "u").test(one));
      }
      case "range": {
        const { rangeFrom: from, rangeTo: to, includeFrom = true, includeTo = true } = query;
        const type = typeof (from ?? to);
        return this.scalars(column, row).some((value) => {
          if (typeof value !== type) return false;
          if (from !== undefined && (includeFrom === true ? compare(value, from) < 0 : compare(value, from) <= 0))
            return false;
          return to === undefined || (includeTo === true ? compare(value, to) <= 0 : compare(value, to) < 0);
        });
      }
      case "exist":
        return values.some((one) => one !== "");
      case "distance": {
        const center = point(query["centerPoint"]);
        return this.points(column, row).some((one) => metres(one, center) <= (query["distance"] as number));
      }
      case "distanceBounding": {
        const [top, left] = point(query["topLeft"]);
        const [bottom, right] = point(query["bottomRight"]);
        return this.points(column, row).some(
          ([lat, lon]) =>
            lat <= top && lat >= bottom && (left <= right ? lon >= left && lon <= right : lon >= left || lon <= right),
        );
      }
      default:
        throw new Error(`no oracle for ${JSON.stringify(query)}`);
    }
  }

  /** The rows in the order of the sorters. By relevance they are not: `score` tells whether theirs goes down. */
  ordered(rows: readonly Row[], sorters: readonly Json[]): Row[] {
    const compareRows = (a: Row, b: Row): number => {
      for (const sorter of sorters) {
        const sign = sorter["orderType"] === "asc" ? 1 : -1;
        if (sorter["sorterType"] === "ids") return sign * (this.#place(a) - this.#place(b));
        const [one, other] = [this.#key(a, sorter), this.#key(b, sorter)];
        if (one === undefined || other === undefined) {
          if (one !== other) return one === undefined ? 1 : -1;
          continue;
        }
        const order = compare(one, other);
        if (order !== 0) return sign * order;
      }
      return this.#place(a) - this.#place(b);
    };
    return rows.toSorted(compareRows);
  }

  #place(row: Row): number {
    return this.#table.rows.indexOf(row);
  }

  #key(row: Row, sorter: Json): unknown {
    const column = (sorter["columnName"] ?? "") as string;
    if (sorter["sorterType"] === "distance") {
      const to = (sorter["points"] as unknown[]).map(point);
      // By the same formula: equal distances must be equal to the last digit.
      const all = this.points(column, row).map(([lat, lon]) =>
        Math.min(...to.map(([toLat, toLon]) => distanceBetween({ lat, lon }, { lat: toLat, lon: toLon }))),
      );
      const sorted = all.toSorted((a, b) => a - b);
      return sorter["orderType"] === "asc" ? sorted[0] : sorted.at(-1);
    }
    // The first 256 characters of a text decide, never half of one.
    const beginning = (one: unknown) => {
      if (typeof one !== "string") return one;
      const isHalf = one.length > 256 && (one.codePointAt(255) ?? 0) > 0xffff;
      return one.slice(0, isHalf ? 255 : 256).toWellFormed();
    };
    const sorted = this.scalars(column, row).map(beginning).toSorted(compare);
    return sorter["orderType"] === "asc" ? sorted[0] : sorted.at(-1);
  }

  /** FTS5's BM25 of the only text query of the search. */
  score(query: Json, row: Row): number {
    const column = query["column"] as string;
    const texts = this.#table.indexed
      .filter((one) => this.#hasText(column, one))
      .map((one) => this.tokens(column, one));
    const own = this.tokens(column, row);
    const average = texts.reduce((sum, { length }) => sum + length, 0) / texts.length;
    const words =
      query["queryType"] === "matchPhrase" ? [tokensOf(query["value"] as string)] : wordsOf(query["value"] as string);
    const phrases =
      query["queryType"] === "matchPhrase"
        ? words
        : words.flatMap((word) => (word.length === 1 ? [word] : [word, ...Array.from(word, (one) => [one])]));
    const distinct = [...new Map(phrases.map((one) => [one.join(" "), one])).values()];
    return distinct.reduce((sum, phrase) => {
      const rows = texts.filter((tokens) => occurrences(tokens, phrase, false) > 0).length;
      const idf = Math.max(1e-6, Math.log((texts.length - rows + 0.5) / (rows + 0.5)));
      const f = occurrences(own, phrase, false);
      return sum + (idf * (f * 2.2)) / (f + 1.2 * (1 - 0.75 + (0.75 * own.length) / average));
    }, 0);
  }

  groups(rows: readonly Row[], column: string, sum: string): Json[] {
    const groups = Map.groupBy(
      rows.flatMap((row) => [...new Set(this.scalars(column, row))].map((value) => ({ value, row }))),
      ({ value }) => value,
    );
    return Array.from(groups, ([value, members]) => {
      const numbers = members.flatMap(({ row }) => this.scalars(sum, row).filter((one) => typeof one === "number"));
      const none = numbers.length === 0;
      const total = numbers.reduce((a, b) => a + b, 0);
      return {
        value,
        count: members.length,
        min: { [sum]: none ? null : Math.min(...numbers) },
        max: { [sum]: none ? null : Math.max(...numbers) },
        sum: { [sum]: none ? null : total },
        avg: { [sum]: none ? null : total / numbers.length },
      };
    }).toSorted((a, b) => b.count - a.count || compare(a.value, b.value));
  }

  /** What may be compared and sorted by. */
  scalars(column: string, row: Row): unknown[] {
    return elements(row.columns[column]).filter((one) => {
      if (typeof one === "string") return this.#has(column, "keyword");
      if (typeof one === "boolean") return this.#has(column, "boolean");
      return (
        typeof one === "number" &&
        (this.#has(column, "number") || (this.#has(column, "integer") && Number.isInteger(one)))
      );
    });
  }

  points(column: string, row: Row): [number, number][] {
    if (this.#table.columns === undefined || !this.#has(column, "geo")) return [];
    return elements(row.columns[column]).flatMap((one) =>
      typeof one === "string" && /^-?[\d.]+,-?[\d.]+$/.test(one) ? [point(one)] : [],
    );
  }

  tokens(column: string, row: Row): string[] {
    const texts = elements(row.columns[column]).filter((one) => typeof one === "string" && one !== "") as string[];
    return this.#has(column, "text")
      ? cutTexts(texts)
          .split(" ")
          .filter((token) => token !== "")
      : [];
  }

  #hasText(column: string, row: Row): boolean {
    return (
      this.#has(column, "text") && elements(row.columns[column]).some((one) => typeof one === "string" && one !== "")
    );
  }

  #below(column: string, path: string, row: Row): unknown[] {
    if (!this.#has(column, "nested")) return [];
    let found = elements(row.columns[column]);
    for (const name of path.split(".")) {
      found = found.flatMap((one) => (typeof one === "object" && one !== null ? elements((one as Json)[name]) : []));
    }
    return found;
  }

  #has(name: string, type: string): boolean {
    const { columns } = this.#table;
    if (columns === undefined) return type !== "geo" && type !== "integer";
    return columns.some((column) => column.name === name && column.type === type && column.indexed);
  }
}

function elements(value: unknown): unknown[] {
  return (Array.isArray(value) ? (value as unknown[]) : [value]).filter((one) => one !== null && one !== undefined);
}

const TYPES = ["number", "string", "boolean"];

function compare(a: unknown, b: unknown): number {
  if (typeof a !== typeof b) return TYPES.indexOf(typeof a) - TYPES.indexOf(typeof b);
  if (typeof a === "string" && typeof b === "string") {
    const [one, other] = [new TextEncoder().encode(a), new TextEncoder().encode(b)];
    for (let i = 0; ; i += 1) {
      if (i >= one.length || i >= other.length) return one.length - other.length;
      if (one[i] !== other[i]) return (one[i] ?? 0) - (other[i] ?? 0);
    }
  }
  return Number(a) - Number(b);
}

function occurrences(tokens: readonly string[], wanted: readonly string[], isOpen: boolean): number {
  if (wanted.length === 0) return 0;
  let found = 0;
  for (let at = 0; at + wanted.length <= tokens.length; at += 1) {
    const fits = wanted.every((one, i) => {
      const token = tokens[at + i] ?? "";
      return token === one || (isOpen && i === wanted.length - 1 && !isCjk(one) && token.startsWith(one));
    });
    if (fits) found += 1;
  }
  return found;
}

function point(text: unknown): [number, number] {
  const [lat = 0, lon = 0] = String(text).split(",").map(Number);
  return [lat, lon];
}

/** By the chord between the two points in space, where the code under test uses the haversine. */
function metres([lat, lon]: readonly [number, number], [otherLat, otherLon]: readonly [number, number]): number {
  const [a, b] = [onSphere(lat, lon), onSphere(otherLat, otherLon)];
  return 2 * 6_371_008.8 * Math.asin(Math.min(1, Math.hypot(a[0] - b[0], a[1] - b[1], a[2] - b[2]) / 2));
}

function onSphere(lat: number, lon: number): [number, number, number] {
  const [up, round] = [(lat * Math.PI) / 180, (lon * Math.PI) / 180];
  return [Math.cos(up) * Math.cos(round), Math.cos(up) * Math.sin(round), Math.sin(up)];
}
