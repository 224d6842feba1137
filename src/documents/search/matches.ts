/** Whether a document is what a query asks for, and what it is sorted by: decided from the document itself, as its indexes would show it. */
import { compareBytes } from "../../core/bytes.ts";
import { MAX_INDEXED_TEXT_CHARS, MAX_KEYWORD_CHARS, MAX_LOOKED_AT_ELEMENTS } from "../../core/document-limits.ts";
import { isPlainObject, type Columns } from "../document.ts";
import { compareTexts } from "../comparisons.ts";
import { parsePoint, type Point } from "../geo.ts";
import { indexedColumns, rowsOf, storedKeyword, storedNumber } from "../index/index-rows.ts";
import type { DocumentTable } from "../index/registry.ts";
import { cutTexts, isCjk } from "../text/cut.ts";
import { distanceToNearest } from "./areas.ts";
import { compareValues, type Sorter, type SortValue } from "./order.ts";
import type { Leaf, MatchQuery, Query, Scalar } from "./query.ts";
import { typesOf } from "./sources.ts";
import { COST, type Steps } from "./steps.ts";
import { wildcardTest } from "./wildcard.ts";

export interface Candidate {
  readonly ids: Uint8Array;
  readonly columns: Columns;
  /** The number of the document, with which FTS5 knows it. null: it has none. */
  readonly number: number | null;
}

/** A candidate with its stored value, which says how much there is to compare. */
export interface StoredCandidate extends Candidate {
  readonly value: Uint8Array;
}

/** BM25 of a document for a text query, greater is better. null: it is none of the query's rows. */
export type ScoreOf = (leaf: Leaf, number: number) => number | null;

/** What is known of a table, once for a search. */
export class Matcher {
  readonly #table: DocumentTable;
  readonly #tests = new Map<Leaf, (text: string) => boolean>();
  readonly #texts = new Map<string, boolean>();
  readonly #wanted = new Map<Leaf, ReadonlySet<Scalar>>();
  /** Of the last document: which queries it meets, and the words of its texts. */
  #last: Candidate | null = null;
  readonly #held = new Map<Leaf, boolean>();
  readonly #words = new Map<string, string[]>();
  /** The large document that all queries were compared with. */
  #prepared: StoredCandidate | null = null;

  constructor(table: DocumentTable) {
    this.#table = table;
  }

  /**
   * Compares a large document with one query after the other, with pauses between them. After that, `holds` and `score` take no time for
   * a document with the same ids and value. null: they take little time anyway.
   */
  prepare(query: Query, document: StoredCandidate, steps: Steps): Promise<void> | null {
    const leaves = leavesOf(query);
    const cost = leaves.reduce((sum, leaf) => sum + this.#costOf(leaf, document.value.length), 0);
    if (cost <= MAX_COMPARED_AT_ONCE) {
      steps.spend(cost);
      return null;
    }
    if (this.#prepared !== null && this.#prepared === this.#last && isSameDocument(this.#prepared, document)) {
      [this.#prepared, this.#last] = [document, document];
      return null;
    }
    return this.#compareAll(leaves, document, steps);
  }

  async #compareAll(leaves: readonly Leaf[], document: StoredCandidate, steps: Steps): Promise<void> {
    for (const leaf of leaves) {
      this.#holdsLeaf(leaf, document);
      steps.spend(this.#costOf(leaf, document.value.length));
      await steps.rest();
    }
    this.#prepared = document;
  }

  #costOf({ type, column }: Leaf, bytes: number): number {
    const isOfWords = type === "match" || type === "phrase" || type === "prefix";
    if (isOfWords && this.#hasText(column)) {
      return COST.comparison + Math.min(bytes, MAX_INDEXED_TEXT_CHARS) * COST.byteOfText;
    }
    return COST.comparison + bytes * (type === "wildcard" ? COST.byteOfWildcard : COST.byteOfComparison);
  }

  holds(query: Query, document: Candidate): boolean {
    switch (query.type) {
      case "all":
        return true;
      case "bool": {
        const { must, mustNot, should, minimumShouldMatch } = query;
        if (!must.every((one) => this.holds(one, document))) return false;
        if (mustNot.some((one) => this.holds(one, document))) return false;
        let found = 0;
        for (const one of should) {
          if (found >= minimumShouldMatch) break;
          if (this.holds(one, document)) found += 1;
        }
        return found >= minimumShouldMatch;
      }
      default:
        return this.#holdsLeaf(query, document);
    }
  }

  /** How well a document fits: the sum over the queries that it meets, those of `mustNot` excluded. */
  score(query: Query, document: Candidate, scoreOf: ScoreOf): number {
    switch (query.type) {
      case "all":
        return 1;
      case "bool":
        return [...query.must, ...query.should]
          .filter((one) => this.holds(one, document))
          .reduce((sum, one) => sum + this.score(one, document, scoreOf), 0);
      default: {
        const text = document.number === null ? null : scoreOf(query, document.number);
        if (query.type !== "match" || query.factor === null) return text ?? 1;
        const factor = numbersIn(document.columns[query.factor])[0] ?? 0;
        return (text ?? 1) * Math.max(0, factor);
      }
    }
  }

  /** What a document is sorted by; null: it has no such value. */
  sortValue(sorter: Sorter, document: Candidate, score: () => number): SortValue {
    switch (sorter.type) {
      case "ids":
        return null;
      case "score":
        return score();
      case "column": {
        const values = this.#sortable(document.columns[sorter.column], sorter.column).map(sortedBy);
        return values.reduce<SortValue>((best, value) => {
          if (best === null) return value;
          return compareValues(value, best) > 0 === sorter.descending ? value : best;
        }, null);
      }
      case "distance": {
        const distances = this.#points(document.columns[sorter.column], sorter.column).map((point) =>
          distanceToNearest(point, sorter.points),
        );
        if (distances.length === 0) return null;
        return sorter.descending ? Math.max(...distances) : Math.min(...distances);
      }
    }
  }

  /** The values that an index of keywords, numbers or booleans has of a column. */
  values(document: Candidate, column: string): Scalar[] {
    return this.#sortable(document.columns[column], column);
  }

  #holdsLeaf(leaf: Leaf, document: Candidate): boolean {
    if (document !== this.#last) {
      this.#last = document;
      this.#held.clear();
      this.#words.clear();
    }
    let holds = this.#held.get(leaf);
    if (holds === undefined) {
      holds = this.#compare(leaf, document);
      this.#held.set(leaf, holds);
    }
    return holds;
  }

  #compare(leaf: Leaf, { columns }: Candidate): boolean {
    const value = columns[leaf.column];
    switch (leaf.type) {
      case "equal": {
        const found = leaf.path === "" ? this.#sortable(value, leaf.column) : this.#below(value, leaf);
        let wanted = this.#wanted.get(leaf);
        if (wanted === undefined) {
          wanted = new Set(leaf.values.map((one) => (typeof one === "string" ? one.toWellFormed() : one)));
          this.#wanted.set(leaf, wanted);
        }
        return found.some((one) => wanted.has(one));
      }
      case "match":
        if (!this.#hasText(leaf.column)) return this.#strings(value, leaf.column).some((one) => isSame(one, leaf.text));
        return hasWords(leaf, this.#tokens(value, leaf.column));
      case "phrase":
        return leaf.tokens.length > 0 && hasPhrase(this.#tokens(value, leaf.column), leaf.tokens, false);
      case "prefix": {
        if (this.#takes(leaf.column, "keyword")) {
          const start = leaf.text.toWellFormed();
          return this.#strings(value, leaf.column).some((one) => one.startsWith(start));
        }
        return leaf.tokens.length > 0 && hasPhrase(this.#tokens(value, leaf.column), leaf.tokens, true);
      }
      case "wildcard": {
        let test = this.#tests.get(leaf);
        if (test === undefined) {
          test = wildcardTest(leaf.pattern.toWellFormed());
          this.#tests.set(leaf, test);
        }
        return this.#strings(value, leaf.column).some(test);
      }
      case "range": {
        const type = typeof (leaf.from ?? leaf.to);
        return this.#sortable(value, leaf.column).some((one) => typeof one === type && isBetween(one, leaf));
      }
      case "exist":
        return elementsOf(value).some((one) => one !== "");
      case "area":
        return this.#points(value, leaf.column).some((point) => leaf.area.contains(point));
    }
  }

  #takes(column: string, type: "keyword" | "number" | "boolean" | "geo" | "text" | "present"): boolean {
    const known = `${type} ${column}`;
    let takes = this.#texts.get(known);
    if (takes === undefined) {
      // A place is a string, so only a definition says that it is meant.
      takes = typesOf(this.#table, column)?.has(type) ?? type !== "geo";
      this.#texts.set(known, takes);
    }
    return takes;
  }

  #hasText(column: string): boolean {
    return this.#takes(column, "text");
  }

  #strings(value: unknown, column: string): string[] {
    if (!this.#takes(column, "keyword")) return [];
    return elementsOf(value)
      .filter((one) => typeof one === "string")
      .map((one) => one.toWellFormed());
  }

  #numbers(value: unknown, column: string): number[] {
    if (!this.#takes(column, "number")) return [];
    const numbers = numbersIn(value);
    return this.#isOfIntegers(column) ? numbers.filter(Number.isSafeInteger) : numbers;
  }

  #isOfIntegers(column: string): boolean {
    const { columns } = this.#table.definition;
    return columns?.some(({ name, type }) => name === column && type === "integer") ?? false;
  }

  #sortable(value: unknown, column: string): Scalar[] {
    const booleans = this.#takes(column, "boolean")
      ? elementsOf(value).filter((one): one is boolean => typeof one === "boolean")
      : [];
    return [...this.#numbers(value, column), ...this.#strings(value, column), ...booleans];
  }

  #points(value: unknown, column: string): Point[] {
    if (!this.#takes(column, "geo")) return [];
    return elementsOf(value).flatMap((one) => (typeof one === "string" ? (parsePoint(one) ?? []) : []));
  }

  /** The tokens that the index has of a text column. */
  #tokens(value: unknown, column: string): string[] {
    if (!this.#hasText(column) || value === undefined || value === null) return [];
    const known = this.#words.get(column);
    if (known !== undefined) return known;
    const indexed = indexedColumns(this.#table.definition);
    const { texts } = rowsOf({ [column]: value }, indexed, (_name, _path, type) => (type === "text" ? 1 : 2));
    const [given] = texts;
    const words = given === undefined ? [] : cutTexts(given.texts).split(" ");
    this.#words.set(column, words);
    return words;
  }

  #below(value: unknown, { column, path }: { readonly column: string; readonly path: string }): Scalar[] {
    if (!this.#takes(column, "present")) return [];
    let found: readonly unknown[] = elementsOf(value);
    for (const name of path.split(".")) {
      found = found.flatMap((one) => (isPlainObject(one) && Object.hasOwn(one, name) ? elementsOf(one[name]) : []));
    }
    return found.flatMap((one): Scalar[] => {
      if (typeof one === "string") return [one.toWellFormed()];
      if (typeof one === "boolean") return [one];
      if (typeof one !== "number" && typeof one !== "bigint") return [];
      const number = storedNumber(one);
      return number === null ? [] : [number];
    });
  }
}

/** Microseconds of comparing that are no reason for a pause in between. */
const MAX_COMPARED_AT_ONCE = 5_000;

function leavesOf(query: Query): readonly Leaf[] {
  if (query.type === "all") return [];
  if (query.type !== "bool") return [query];
  return [...query.must, ...query.mustNot, ...query.should].flatMap(leavesOf);
}

function isSameDocument(a: StoredCandidate, b: StoredCandidate): boolean {
  return a === b || (compareBytes(a.ids, b.ids) === 0 && compareBytes(a.value, b.value) === 0);
}

/** The elements of a list that are looked at, or the value; null and undefined are none. */
function elementsOf(value: unknown): readonly unknown[] {
  const elements: readonly unknown[] = Array.isArray(value) ? value.slice(0, MAX_LOOKED_AT_ELEMENTS) : [value];
  return elements.filter((one) => one !== null && one !== undefined);
}

/** The numbers that a column has, whether or not it is indexed. */
function numbersIn(value: unknown): number[] {
  return elementsOf(value).flatMap((one) => {
    if (typeof one !== "number" && typeof one !== "bigint") return [];
    return storedNumber(one) ?? [];
  });
}

function isSame(found: Scalar, wanted: Scalar): boolean {
  return typeof wanted === "string" ? found === wanted.toWellFormed() : found === wanted;
}

function isBetween(
  value: string | number | boolean,
  {
    from,
    to,
    includesFrom,
    includesTo,
  }: {
    readonly from: string | number | null;
    readonly to: string | number | null;
    readonly includesFrom: boolean;
    readonly includesTo: boolean;
  },
): boolean {
  if (from !== null) {
    const above = compareToEnd(value, from);
    if (above < 0 || (above === 0 && !includesFrom)) return false;
  }
  if (to === null) return true;
  const above = compareToEnd(value, to);
  return above < 0 || (above === 0 && includesTo);
}

function compareToEnd(value: string | number | boolean, end: string | number): number {
  if (typeof value === "string" && typeof end === "string") return compareTexts(value, end.toWellFormed());
  return compareValues(value, end);
}

function hasWords({ words, minimum, isWhole }: MatchQuery, tokens: readonly string[]): boolean {
  if (words.length === 0) return false;
  const present = new Set(tokens);
  let found = 0;
  for (const word of words) {
    if (isWhole ? word.every((one) => present.has(one)) : word.some((one) => present.has(one))) found += 1;
    if (found >= minimum) return true;
  }
  return false;
}

/** `isOpen`: the last token may go on; a CJK character never does. */
export function hasPhrase(tokens: readonly string[], wanted: readonly string[], isOpen: boolean): boolean {
  const last = wanted.length - 1;
  for (let at = 0; at + last < tokens.length; at += 1) {
    const fits = wanted.every((one, index) => {
      const token = tokens[at + index] ?? "";
      return token === one || (isOpen && index === last && !isCjk(one) && token.startsWith(one));
    });
    if (fits) return true;
  }
  return false;
}

/** What a value is sorted by. It keeps nothing of a longer text in memory. */
function sortedBy(value: Scalar): Scalar {
  if (typeof value !== "string") return value;
  const stored = storedKeyword(value);
  // A part of a text is a view of all of it.
  return value.length > MAX_KEYWORD_CHARS ? utf8Decoder.decode(utf8.encode(stored)) : stored;
}

const utf8 = new TextEncoder();
const utf8Decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
