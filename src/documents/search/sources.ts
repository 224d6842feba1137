/**
 * Which parts of the indexes hold the rows of a query. A query on a column that is not indexed is refused, with a sentence that says how to
 * index it: there is never a silent scan.
 */
import { MAX_KEYWORD_CHARS } from "../../core/document-limits.ts";
import { refuse } from "../../codec/json-notation/members.ts";
import type { ColumnType } from "../../contracts/document-commands.ts";
import { type IndexType, storedKeyword, storedNumber } from "../index/index-rows.ts";
import type { ColumnIndex, DocumentTable } from "../index/registry.ts";
import { anyWord, beginning, everyWord, phrase } from "../text/words.ts";
import type { Area } from "./areas.ts";
import type { EqualQuery, Leaf, Query, RangeQuery, Scalar, WildcardQuery } from "./query.ts";
import { literalStart, longestLiteral, wildcardTest } from "./wildcard.ts";

/** One end of a span of values. A text is given as its bytes, because its end may be no text. */
export interface Bound {
  readonly value: number | Uint8Array;
  readonly isIncluded: boolean;
}

/** Rows of `document_values`. null: the index has no such end. */
export interface Span {
  readonly kind: "span";
  readonly index: ColumnIndex;
  readonly from: Bound | null;
  readonly to: Bound | null;
  /** A text that each value must contain. Empty: none. */
  readonly contains: string;
  /** What else each value must have. null: nothing. */
  readonly test: ((value: string) => boolean) | null;
}

/** Rows of an FTS5 table. `match` null: all of them. */
export interface TextSource {
  readonly kind: "text";
  readonly index: ColumnIndex;
  readonly match: string | null;
  /** The beginning of a word, of which the index may have very many. null: whole words only. */
  readonly prefix: string | null;
}

/** Rows of an R*Tree. `area` null: all of them. */
export interface AreaSource {
  readonly kind: "area";
  readonly index: ColumnIndex;
  readonly area: Area | null;
}

export type Source = Span | TextSource | AreaSource;

/** The rows of a query are among those of the sources together; when it is exact, they are all of them. No source: no row. */
export interface Cover {
  readonly sources: readonly Source[];
  readonly isExact: boolean;
}

const NOTHING: Cover = { sources: [], isExact: true };

/** Refuses a query that asks for something that is not indexed. */
export function checkIndexed(query: Query, table: DocumentTable): void {
  switch (query.type) {
    case "all":
      return;
    case "bool":
      for (const one of [...query.must, ...query.should, ...query.mustNot]) checkIndexed(one, table);
      return;
    default:
      coverOf(query, table);
  }
}

export function coverOf(leaf: Leaf, table: DocumentTable): Cover {
  switch (leaf.type) {
    case "equal":
      return equalCover(leaf, table);
    case "match": {
      const index = indexFor(leaf, table, ["text"], ["text", "keyword"]);
      if (index === "keyword") return valuesCover([leaf.text], (type) => table.index(leaf.column, "", type));
      if (index === undefined || leaf.words.length === 0) return NOTHING;
      const isEvery = leaf.isWhole && leaf.minimum === leaf.words.length;
      const match = isEvery ? everyWord(leaf.words) : anyWord(leaf.words);
      return textCover(index, match, isEvery || leaf.minimum === 1);
    }
    case "phrase": {
      const index = indexFor(leaf, table, ["text"], ["text"]);
      if (!isIndex(index) || leaf.tokens.length === 0) return NOTHING;
      return textCover(index, phrase(leaf.tokens), true);
    }
    case "range": {
      const type = typeof (leaf.from ?? leaf.to) === "string" ? "keyword" : "number";
      const index = indexFor(leaf, table, [type], [type]);
      return isIndex(index) ? rangeCover(leaf, index) : NOTHING;
    }
    case "prefix": {
      const type = typesOf(table, leaf.column)?.has("keyword") === false ? "text" : "keyword";
      const index = indexFor(leaf, table, [type], ["keyword", "text"]);
      if (!isIndex(index)) return NOTHING;
      if (index.type === "keyword") return prefixCover(leaf.text, index);
      const last = leaf.tokens.at(-1);
      if (last === undefined) return NOTHING;
      const source = { kind: "text", index, match: beginning(leaf.tokens), prefix: last } as const;
      return { sources: [source], isExact: true };
    }
    case "wildcard": {
      const index = indexFor(leaf, table, ["keyword"], ["keyword"]);
      return isIndex(index) ? wildcardCover(leaf, index) : NOTHING;
    }
    case "exist":
      indexFor(leaf, table, [], []);
      return existCover(table.indexesOf(leaf.column));
    case "area": {
      const index = indexFor(leaf, table, ["geo"], ["geo"]);
      if (!isIndex(index)) return NOTHING;
      return { sources: [{ kind: "area", index, area: leaf.area }], isExact: true };
    }
  }
}

/** The index that relevance comes from. Undefined: the query has none. */
export function textIndexOf(leaf: Leaf, table: DocumentTable): ColumnIndex | undefined {
  const isOfText = leaf.type === "match" || leaf.type === "phrase" || leaf.type === "prefix";
  return isOfText && typesOf(table, leaf.column)?.has("text") !== false
    ? table.index(leaf.column, "", "text")
    : undefined;
}

/**
 * The first of the wanted indexes that the table has; "keyword" when that type is only accepted and all there is; undefined: no document has
 * such a value. Refuses a column that is not indexed so.
 */
function indexFor(
  { column, where }: { readonly column: string; readonly where: string },
  table: DocumentTable,
  wanted: readonly IndexType[],
  accepted: readonly IndexType[],
): ColumnIndex | "keyword" | undefined {
  const types = typesOf(table, column);
  checkColumn(table, column, where, types, types === null ? wanted : accepted);
  for (const type of wanted) {
    const isDefined = types === null || types.has(type);
    const index = table.index(column, "", type);
    if (isDefined && index !== undefined) return index;
  }
  const isKeyword = types !== null && !types.has("text") && accepted.includes("keyword") && !wanted.includes("keyword");
  return isKeyword ? "keyword" : undefined;
}

function isIndex(index: ColumnIndex | "keyword" | undefined): index is ColumnIndex {
  return typeof index === "object";
}

/** The types of a column's indexes. null: whatever its values are. */
export function typesOf({ definition }: DocumentTable, column: string): ReadonlySet<IndexType> | null {
  if (definition.columns === undefined) return null;
  const indexed = definition.columns.filter(({ name, indexed: isIndexed }) => name === column && isIndexed);
  return new Set(indexed.map(({ type }) => INDEX_TYPES[type]));
}

const INDEX_TYPES: Readonly<Record<ColumnType, IndexType>> = {
  keyword: "keyword",
  text: "text",
  integer: "number",
  number: "number",
  boolean: "boolean",
  geo: "geo",
  // Which types there are below the column depends on its values.
  nested: "present",
};

/** `accepted`: the types of which one is needed. None: any. */
export function checkColumn(
  table: DocumentTable,
  column: string,
  where: string,
  types: ReadonlySet<IndexType> | null,
  accepted: readonly IndexType[],
): void {
  const { definition, appId, tableId } = table;
  const shown = JSON.stringify(column);
  if (definition.ids.some(({ name }) => name === column)) {
    refuse(`${where} asks for ${shown}, which is an id: rows are found by ids with the actions get and getMany.`);
  }
  const wanted = COLUMN_TYPES[accepted[0] ?? "keyword"];
  const how = `PUT /api/databases/{id}/tables/${appId}/${tableId} with {"name":${shown},"type":"${wanted}"} among its columns indexes it`;
  if (types === null) {
    if (accepted.includes("geo")) refuse(`${where} asks for ${shown}, which has no index of places: ${how}.`);
    const isThere = table.indexesOf(column).some(({ type }) => accepted.length === 0 || accepted.includes(type));
    if (table.isFull && !isThere) {
      refuse(`${where} asks for ${shown}, which is not indexed, because this table has too many columns: ${how}.`);
    }
    return;
  }
  if (types.size === 0) return refuse(`${where} asks for ${shown}, which is not indexed: ${how}.`);
  if (accepted.length === 0 || accepted.some((type) => types.has(type))) return;
  const given = definition.columns?.filter(({ name }) => name === column).map(({ type }) => type) ?? [];
  refuse(`${where} needs an index of type ${wanted}, and ${shown} has one of type ${given.join(" and ")}: ${how}.`);
}

const COLUMN_TYPES: Readonly<Record<IndexType, ColumnType>> = {
  keyword: "keyword",
  number: "number",
  boolean: "boolean",
  text: "text",
  geo: "geo",
  present: "nested",
};

function equalCover(leaf: EqualQuery, table: DocumentTable): Cover {
  const { column, path, values, where } = leaf;
  const types = typesOf(table, column);
  const wanted = path === "" ? values.map((value) => typeOf(value)) : ["present" as const];
  // A list of values may have several types; each needs its index.
  for (const type of new Set(wanted)) checkColumn(table, column, where, types, [type]);
  return valuesCover(values, (type) => table.index(column, path, type));
}

function typeOf(value: Scalar): "keyword" | "number" | "boolean" {
  if (typeof value === "string") return "keyword";
  return typeof value === "number" ? "number" : "boolean";
}

function valuesCover(values: readonly Scalar[], indexOf: (type: IndexType) => ColumnIndex | undefined): Cover {
  const sources: Span[] = [];
  let isExact = true;
  for (const value of values) {
    const index = indexOf(typeOf(value));
    if (index === undefined) continue;
    if (typeof value === "string") {
      const bytes = utf8.encode(storedKeyword(value));
      sources.push(spanOf(index, { value: bytes, isIncluded: true }, { value: bytes, isIncluded: true }));
      if (mayBeCut(value)) isExact = false;
      continue;
    }
    const number = storedNumber(Number(value));
    if (number === null) continue;
    sources.push(spanOf(index, { value: number, isIncluded: true }, { value: number, isIncluded: true }));
  }
  return { sources, isExact };
}

function rangeCover({ from, to, includesFrom, includesTo }: RangeQuery, index: ColumnIndex): Cover {
  const isCut = [from, to].some((end) => typeof end === "string" && mayBeCut(end));
  // A value that is stored cut may lie on either side of an end as long as itself.
  const boundOf = (end: string | number | null, isIncluded: boolean): Bound | null => {
    if (end === null) return null;
    const value = typeof end === "string" ? utf8.encode(storedKeyword(end)) : end;
    return { value, isIncluded: isIncluded || (typeof end === "string" && mayBeCut(end)) };
  };
  return { sources: [spanOf(index, boundOf(from, includesFrom), boundOf(to, includesTo))], isExact: !isCut };
}

function prefixCover(text: string, index: ColumnIndex): Cover {
  return { sources: [spanOf(index, ...boundsOfPrefix(text))], isExact: !mayBeCut(text) };
}

/** All texts that begin so lie between the two: no byte of UTF-8 is ff. */
function boundsOfPrefix(text: string): [Bound | null, Bound | null] {
  if (text === "") return [null, null];
  const bytes = utf8.encode(storedKeyword(text));
  return [
    { value: bytes, isIncluded: true },
    { value: Uint8Array.of(...bytes, 0xff), isIncluded: false },
  ];
}

function wildcardCover({ pattern }: WildcardQuery, index: ColumnIndex): Cover {
  const [from, to] = boundsOfPrefix(literalStart(pattern));
  const test = wildcardTest(pattern.toWellFormed());
  const source: Span = {
    kind: "span",
    index,
    from,
    to,
    contains: longestLiteral(pattern.toWellFormed()),
    test: (value) => mayBeCut(value) || test(value),
  };
  // Of a value that is stored cut, only the document shows the rest.
  return { sources: [source], isExact: false };
}

function existCover(indexes: readonly ColumnIndex[]): Cover {
  const sources: Source[] = [];
  const isKeywordThere = indexes.some(({ type, path }) => type === "keyword" && path === "");
  for (const index of indexes) {
    if (index.type === "geo") sources.push({ kind: "area", index, area: null });
    else if (index.type !== "text") sources.push(spanOf(index, startOf(index), null));
    // The keywords of the same column show its texts too.
    else if (!isKeywordThere) sources.push({ kind: "text", index, match: null, prefix: null });
  }
  return { sources, isExact: true };
}

/** The empty text is no value that exists. */
function startOf({ type }: ColumnIndex): Bound | null {
  return type === "keyword" ? { value: new Uint8Array(), isIncluded: false } : null;
}

function spanOf(index: ColumnIndex, from: Bound | null, to: Bound | null): Span {
  return { kind: "span", index, from, to, contains: "", test: null };
}

function textCover(index: ColumnIndex, match: string, isExact: boolean): Cover {
  return { sources: [{ kind: "text", index, match, prefix: null }], isExact };
}

const utf8 = new TextEncoder();

/** Whether the index may hold only a beginning of such a text. */
export function mayBeCut(text: string): boolean {
  return text.length >= MAX_KEYWORD_CHARS - 1;
}
