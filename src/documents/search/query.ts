/**
 * The queries of a search: what a request may ask, read from its JSON. Whatever is wrong with it is refused here, with a sentence that names
 * the member; whether the columns are indexed is asked in `sources.ts`.
 *
 * Names are those of the source: each query has `queryType`, most have `column` (`columnName` is the same) and `value`.
 */
import {
  MAX_POLYGON_POINTS,
  MAX_QUERY_CLAUSES,
  MAX_QUERY_DEPTH,
  MAX_QUERY_VALUE_CHARS,
  MAX_QUERY_VALUES,
  MAX_QUERY_WORDS,
  MAX_WILDCARD_CHARS,
} from "../../core/search-limits.ts";
import { arrayOf, atMost, flagOf, objectOf, refuse, tooMuch } from "../../codec/json-notation/members.ts";
import { described } from "../../codec/json-notation/place.ts";
import type { JsonObject } from "../../codec/json-notation/types.ts";
import { readColumnName } from "../definition.ts";
import { parsePoint, type Point } from "../geo.ts";
import { BREAK, tokensOf } from "../text/cut.ts";
import { type Word, wordsOf } from "../text/words.ts";
import { type Area, boxOf, circleOf, polygonOf } from "./areas.ts";

export type Scalar = string | number | boolean;

interface OnColumn {
  readonly column: string;
  /** What names the query in a sentence: "querys[0]". */
  readonly where: string;
}

/** The value of a column, or an element of its list, is one of these. `path`: the dot path below the column, or empty. */
export interface EqualQuery extends OnColumn {
  readonly type: "equal";
  readonly path: string;
  readonly values: readonly Scalar[];
}

/** So many of the words stand in a text. */
export interface MatchQuery extends OnColumn {
  readonly type: "match";
  /** As it was given: of a column without a text index it is the whole value. */
  readonly text: string;
  /** Distinct. */
  readonly words: readonly Word[];
  /** How many of the words a row must have. */
  readonly minimum: number;
  /** Whether a row has a word of several CJK characters only when it has all of them, and not when it has one. */
  readonly isWhole: boolean;
  /** The column whose number multiplies the score. */
  readonly factor: string | null;
}

/** The tokens stand beside each other. */
export interface PhraseQuery extends OnColumn {
  readonly type: "phrase";
  readonly tokens: readonly string[];
}

export interface RangeQuery extends OnColumn {
  readonly type: "range";
  readonly from: string | number | null;
  readonly to: string | number | null;
  readonly includesFrom: boolean;
  readonly includesTo: boolean;
}

export interface PrefixQuery extends OnColumn {
  readonly type: "prefix";
  readonly text: string;
  readonly tokens: readonly string[];
}

export interface WildcardQuery extends OnColumn {
  readonly type: "wildcard";
  readonly pattern: string;
}

export interface ExistQuery extends OnColumn {
  readonly type: "exist";
}

export interface AreaQuery extends OnColumn {
  readonly type: "area";
  readonly area: Area;
}

export interface BoolQuery {
  readonly type: "bool";
  readonly must: readonly Query[];
  readonly should: readonly Query[];
  readonly mustNot: readonly Query[];
  /** How many of `should` must hold. */
  readonly minimumShouldMatch: number;
}

export type Leaf =
  | EqualQuery
  | MatchQuery
  | PhraseQuery
  | RangeQuery
  | PrefixQuery
  | WildcardQuery
  | ExistQuery
  | AreaQuery;

export type Query = Leaf | BoolQuery | { readonly type: "all" };

const EXAMPLE = `{"queryType":"equal","column":"city","value":"Shanghai"}`;

/** The query that all members of `querys` make together. */
export function readQuerys(json: unknown): Query {
  if (json === undefined || json === null) return { type: "all" };
  const reader = new QueryReader();
  const queries = reader.list(json, "querys", 0);
  const [first] = queries;
  if (first === undefined) return { type: "all" };
  return queries.length === 1 ? first : { type: "bool", must: queries, should: [], mustNot: [], minimumShouldMatch: 0 };
}

class QueryReader {
  #clauses = 0;
  #words = 0;

  /** `depth`: how many `bool` are around the list. */
  list(json: unknown, where: string, depth: number): Query[] {
    if (json === undefined || json === null) return [];
    return atMost(MAX_QUERY_CLAUSES, json, where).map((one, index) => this.#read(one, `${where}[${index}]`, depth));
  }

  #read(json: unknown, where: string, depth: number): Query {
    const given = objectOf(json, where, EXAMPLE);
    this.#clauses += 1;
    if (this.#clauses > MAX_QUERY_CLAUSES) {
      return tooMuch(`querys has more than ${MAX_QUERY_CLAUSES} queries, which is the limit.`);
    }
    const { queryType } = given;
    switch (queryType) {
      case "matchAll":
        return { type: "all" };
      case "bool":
        return this.#bool(given, where, depth);
      case "equal":
      case "constScore":
        return { type: "equal", ...columnIn(given, where), path: "", values: [scalarIn(given, where, "value")] };
      case "equalMany":
        return { type: "equal", ...columnIn(given, where), path: "", values: readValues(given, where) };
      case "nested":
        return readNested(given, where);
      case "match":
        return this.#match(given, where, null);
      case "functionScore":
        return this.#match(given, where, readColumnName(given["factor"], `${where}.factor`));
      case "matchPhrase": {
        const tokens = tokensOf(textIn(given, where, "value"));
        this.#countWords(tokens.length, where);
        return { type: "phrase", ...columnIn(given, where), tokens };
      }
      case "prefix": {
        const text = textIn(given, where, "value");
        const tokens = tokensOf(text).filter((token) => token !== BREAK);
        this.#countWords(tokens.length, where);
        return { type: "prefix", ...columnIn(given, where), text, tokens };
      }
      case "wildcard":
        return readWildcard(given, where);
      case "range":
        return readRange(given, where);
      case "exist":
        return { type: "exist", ...columnIn(given, where) };
      case "distance":
      case "distanceBounding":
      case "distancePolygon":
        return { type: "area", ...columnIn(given, where), area: readArea(queryType, given, where) };
      default:
        return refuse(`${where}.queryType is ${described(queryType)}; it must be one of ${QUERY_TYPES.join(", ")}.`);
    }
  }

  #bool(given: JsonObject, where: string, depth: number): BoolQuery {
    if (depth >= MAX_QUERY_DEPTH) {
      return tooMuch(`${where} is a bool within ${depth} others; the limit is ${MAX_QUERY_DEPTH} levels.`);
    }
    const must = this.list(given["must"], `${where}.must`, depth + 1);
    const should = this.list(given["should"], `${where}.should`, depth + 1);
    const mustNot = this.list(given["mustNot"], `${where}.mustNot`, depth + 1);
    // As in Elasticsearch and Tablestore: beside `must`, `should` only adds to the score.
    const usual = should.length > 0 && must.length === 0 ? 1 : 0;
    const minimumShouldMatch = countIn(given, where, "minimumShouldMatch", usual, should.length);
    return { type: "bool", must, should, mustNot, minimumShouldMatch };
  }

  #match(given: JsonObject, where: string, factor: string | null): Query {
    const on = columnIn(given, where);
    const value = scalarIn(given, where, "value");
    if (typeof value !== "string") {
      if (factor === null) return { type: "equal", ...on, path: "", values: [value] };
      return refuse(`${where}.value is ${described(value)}; it must be a string.`);
    }
    const words = [...new Map(wordsOf(value).map((word) => [word.join(" "), word])).values()];
    this.#countWords(
      words.reduce((sum, { length }) => sum + length, 0),
      where,
    );
    const { operator = "or" } = given;
    if (operator !== "or" && operator !== "and") {
      return refuse(`${where}.operator is ${described(operator)}; it must be "or" or "and".`);
    }
    const most = Math.max(1, words.length);
    const minimum = countIn(given, where, "minimumMatch", operator === "and" ? most : 1, most);
    const isWhole = minimum > 1 || (operator === "and" && minimum === most);
    return { type: "match", ...on, text: value, words, minimum: Math.max(1, minimum), isWhole, factor };
  }

  #countWords(words: number, where: string): void {
    this.#words += words;
    if (this.#words <= MAX_QUERY_WORDS) return;
    tooMuch(
      `${where} brings the words of this search to ${this.#words}; the limit is ${MAX_QUERY_WORDS}, and a Chinese, Japanese or Korean character counts as a word.`,
    );
  }
}

const QUERY_TYPES = [
  "equal",
  "equalMany",
  "match",
  "matchPhrase",
  "range",
  "prefix",
  "wildcard",
  "exist",
  "nested",
  "constScore",
  "functionScore",
  "distance",
  "distanceBounding",
  "distancePolygon",
  "bool",
  "matchAll",
];

function columnIn(given: JsonObject, where: string): OnColumn {
  return { column: readColumn(given, where), where };
}

/** The column that an object names: `column`, or `columnName` as in sorters. */
export function readColumn(given: JsonObject, where: string): string {
  if (Object.hasOwn(given, "column")) return readColumnName(given["column"], `${where}.column`);
  if (Object.hasOwn(given, "columnName")) return readColumnName(given["columnName"], `${where}.columnName`);
  return readColumnName(undefined, `${where}.column`);
}

function scalarIn(given: JsonObject, where: string, member: string): Scalar {
  return readScalar(given[member], `${where}.${member}`);
}

function readScalar(value: unknown, where: string): Scalar {
  if (typeof value === "number" || typeof value === "boolean") return value;
  if (typeof value !== "string") {
    return refuse(`${where} is ${described(value)}; it must be a string, a number, true or false.`);
  }
  return boundedText(value, where);
}

export function textIn(given: JsonObject, where: string, member: string): string {
  const value = given[member];
  if (typeof value === "string") return boundedText(value, `${where}.${member}`);
  return refuse(`${where}.${member} is ${described(value)}; it must be a string.`);
}

function boundedText(text: string, where: string): string {
  if (text.length <= MAX_QUERY_VALUE_CHARS) return text;
  return tooMuch(`${where} has ${text.length} characters; the limit is ${MAX_QUERY_VALUE_CHARS}.`);
}

/** An integer from 0 to `most`. */
export function countIn(given: JsonObject, where: string, member: string, usual: number, most: number): number {
  const value = given[member] ?? usual;
  const name = where === "" ? member : `${where}.${member}`;
  if (typeof value === "number" && Number.isInteger(value) && value >= 0 && value <= most) return value;
  return refuse(`${name} is ${described(value)}; it must be an integer from 0 to ${most}.`);
}

/** Without a column, the path begins with its name. */
function readNested(given: JsonObject, where: string): EqualQuery {
  const path = textIn(given, where, "searchKey");
  if (path.split(".").includes("")) {
    return refuse(
      `${where}.searchKey is ${described(path)}; it must be names with dots between, for example "address.city".`,
    );
  }
  const values = [scalarIn(given, where, "searchValue")];
  const isWhole = !Object.hasOwn(given, "column") && !Object.hasOwn(given, "columnName");
  const [column = "", ...below] = path.split(".");
  if (!isWhole || below.length === 0) return { type: "equal", ...columnIn(given, where), path, values };
  return { type: "equal", column: readColumnName(column, `${where}.searchKey`), where, path: below.join("."), values };
}

function readValues(given: JsonObject, where: string): readonly Scalar[] {
  const member = Object.hasOwn(given, "values") ? "values" : "value";
  const list = atMost(MAX_QUERY_VALUES, given[member], `${where}.${member}`);
  return [...new Set(list.map((one, index) => readScalar(one, `${where}.${member}[${index}]`)))];
}

function readWildcard(given: JsonObject, where: string): WildcardQuery {
  const pattern = textIn(given, where, "value");
  if (pattern.length > MAX_WILDCARD_CHARS) {
    return tooMuch(
      `${where}.value has ${pattern.length} characters; the limit of a wildcard is ${MAX_WILDCARD_CHARS}.`,
    );
  }
  return { type: "wildcard", ...columnIn(given, where), pattern };
}

function readRange(given: JsonObject, where: string): RangeQuery {
  const from = boundIn(given, where, "rangeFrom");
  const to = boundIn(given, where, "rangeTo");
  if (from === null && to === null) {
    return refuse(`${where} needs rangeFrom, rangeTo or both, for example "rangeFrom":18.`);
  }
  if (from !== null && to !== null && typeof from !== typeof to) {
    return refuse(
      `${where}.rangeFrom is ${described(from)} and rangeTo is ${described(to)}; both must be numbers or both strings.`,
    );
  }
  const includesFrom = given["includeFrom"] === undefined || flagOf(given, where, "includeFrom");
  const includesTo = given["includeTo"] === undefined || flagOf(given, where, "includeTo");
  return { type: "range", ...columnIn(given, where), from, to, includesFrom, includesTo };
}

function boundIn(given: JsonObject, where: string, member: string): string | number | null {
  const value = given[member];
  if (value === undefined || value === null) return null;
  if (typeof value === "number") return value;
  if (typeof value === "string") return boundedText(value, `${where}.${member}`);
  return refuse(`${where}.${member} is ${described(value)}; it must be a number or a string.`);
}

function readArea(type: "distance" | "distanceBounding" | "distancePolygon", given: JsonObject, where: string): Area {
  switch (type) {
    case "distance": {
      const metres = given["distance"] ?? given["metres"];
      if (typeof metres !== "number" || metres < 0) {
        return refuse(
          `${where}.distance is ${described(metres)}; it must be a number of metres from 0 up, for example 1500.`,
        );
      }
      return circleOf(readPoint(given["centerPoint"], `${where}.centerPoint`), metres);
    }
    case "distanceBounding": {
      const topLeft = readPoint(given["topLeft"], `${where}.topLeft`);
      const bottomRight = readPoint(given["bottomRight"], `${where}.bottomRight`);
      if (topLeft.lat < bottomRight.lat) {
        return refuse(`${where}.topLeft lies south of bottomRight; topLeft must be the north-western corner.`);
      }
      return boxOf(topLeft, bottomRight);
    }
    case "distancePolygon": {
      const points = arrayOf(given["points"], `${where}.points`);
      if (points.length < 3) return refuse(`${where}.points has ${points.length} members; a polygon has at least 3.`);
      const corners = atMost(MAX_POLYGON_POINTS, points, `${where}.points`);
      return polygonOf(corners.map((one, index) => readPoint(one, `${where}.points[${index}]`)));
    }
  }
}

/** A place as the text "latitude,longitude". */
export function readPoint(json: unknown, where: string): Point {
  const point = typeof json === "string" ? parsePoint(json) : null;
  return (
    point ?? refuse(`${where} is ${described(json)}; it must be "latitude,longitude", for example "31.23,121.47".`)
  );
}
