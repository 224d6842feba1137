/**
 * How a query is answered: through which parts of the indexes its rows are found. Every document that is found is then compared with the
 * whole query, so the choice changes only how long a search takes.
 */
import type { Sql } from "../../core/storage.ts";
import type { ColumnIndex, DocumentTable } from "../index/registry.ts";
import { geoTable, textTable } from "../index/schema.ts";
import { boundsOf, endOf, isPoint, rowsOfSpan, startOf } from "./cursors.ts";
import { ascendsByIds, type Sorter } from "./order.ts";
import type { Query } from "./query.ts";
import { type Cover, coverOf, type Source, type Span } from "./sources.ts";
import { COST, type Steps } from "./steps.ts";
import { wordsAskedFor } from "../text/words.ts";

/** Sources that are counted to find the smallest are counted so far. */
const ESTIMATED_ROWS = 20_000;

/** Fewer rows are read whole, and put in order then. More are read in their order, when an index has it. */
const FEW_ROWS = 1_000;

/** A span of an index whose rows come in the order that is asked for. */
export interface OrderedSpan {
  readonly span: Span;
  readonly descending: boolean;
  /** By the ids, because all rows have the same value. */
  readonly isByIds: boolean;
  /** Whether rows of the query may lack the column, and come after the span. */
  readonly hasRest: boolean;
}

export type Plan =
  /** Documents in the order that is asked for: the search ends when it has enough of them. */
  | { readonly kind: "ordered"; readonly ordered: OrderedSpan }
  | { readonly kind: "scan" }
  /** All documents of the sources. */
  | { readonly kind: "sources"; readonly sources: readonly Source[] };

/** `mayEndEarly`: only the first rows are asked for. */
export async function planFor(
  sql: Sql,
  table: DocumentTable,
  query: Query,
  sorters: readonly Sorter[],
  mayEndEarly: boolean,
  steps: Steps,
): Promise<Plan> {
  const covers = coversOf(query, table);
  const ordered = mayEndEarly ? orderedSpan(table, covers, sorters) : null;
  const isOnly = covers.length === 1 && covers[0]?.sources.length === 1;
  if (ordered !== null && isOnly && covers[0]?.sources[0] === ordered.span) return { kind: "ordered", ordered };
  const best = covers.length === 1 && ordered === null ? covers[0] : await smallest(sql, covers, steps);
  if (best === undefined) return ordered === null ? { kind: "scan" } : { kind: "ordered", ordered };
  if (ordered !== null && (await rowsOf(sql, best, steps)) > FEW_ROWS) return { kind: "ordered", ordered };
  return { kind: "sources", sources: best.sources };
}

/** Each of them has all rows of the query. None: the query has no part that an index finds, such as `matchAll`. */
function coversOf(query: Query, table: DocumentTable): readonly Cover[] {
  switch (query.type) {
    case "all":
      return [];
    case "bool": {
      const covers = query.must.flatMap((one) => coversOf(one, table));
      if (query.minimumShouldMatch === 0) return covers;
      const each = query.should.map((one) => coversOf(one, table)[0]);
      const all = each.filter((cover) => cover !== undefined);
      if (all.length < each.length) return covers;
      return [...covers, { sources: all.flatMap(({ sources }) => sources), isExact: false }];
    }
    default:
      return [coverOf(query, table)];
  }
}

async function smallest(sql: Sql, covers: readonly Cover[], steps: Steps): Promise<Cover | undefined> {
  let best: Cover | undefined;
  let fewest = Number.POSITIVE_INFINITY;
  for (const cover of covers) {
    const rows = await rowsOf(sql, cover, steps);
    if (rows < fewest) [best, fewest] = [cover, rows];
  }
  return best;
}

/** At most a little more than `ESTIMATED_ROWS` for each source. */
async function rowsOf(sql: Sql, { sources }: Cover, steps: Steps): Promise<number> {
  let rows = 0;
  for (const source of sources) {
    rows += estimate(sql, source, steps);
    await steps.rest();
  }
  return rows;
}

function estimate(sql: Sql, source: Source, steps: Steps): number {
  const rows = countedUpTo(sql, source);
  const perRow = source.kind === "text" ? wordsAskedFor(source.match).length * COST.posting : COST.indexRow;
  steps.spend(COST.statement + rows * perRow);
  // Whatever is compared one by one is dearer than what is looked up.
  return source.kind === "span" && source.test !== null ? ESTIMATED_ROWS + rows : rows;
}

function countedUpTo(sql: Sql, source: Source): number {
  const counted = (query: string, ...bindings: (number | string | Uint8Array)[]) =>
    sql.exec<{ n: number }>(`SELECT count(*) AS n FROM (${query})`, ...bindings).one().n;
  switch (source.kind) {
    case "span": {
      const places = boundsOf(startOf(source), endOf(source));
      return counted(
        rowsOfSpan(source, "1", "LIMIT ?6", { after: false, before: false }),
        source.index.id,
        ...places,
        ESTIMATED_ROWS,
      );
    }
    case "text": {
      const table = textTable(source.index.id);
      if (source.match === null) return counted(`SELECT 1 FROM ${table} LIMIT ?1`, ESTIMATED_ROWS);
      return counted(`SELECT 1 FROM ${table} WHERE ${table} MATCH ?1 LIMIT ?2`, source.match, ESTIMATED_ROWS);
    }
    case "area": {
      const table = geoTable(source.index.id);
      const query = `SELECT 1 FROM ${table} WHERE max_lat >= ?1 AND min_lat <= ?2 AND max_lon >= ?3 AND min_lon <= ?4 LIMIT ?5`;
      const boxes = source.area?.boxes ?? [{ bottom: -90, top: 90, left: -180, right: 180 }];
      return boxes.reduce(
        (sum, { bottom, top, left, right }) => sum + counted(query, bottom, top, left, right, ESTIMATED_ROWS),
        0,
      );
    }
  }
}

/** The span of one of the covers whose order is the one that is asked for. */
export function orderedSpan(
  table: DocumentTable,
  covers: readonly Cover[],
  sorters: readonly Sorter[],
): OrderedSpan | null {
  const [first, second, ...more] = sorters;
  const spans = covers
    .flatMap(({ sources }) => (sources.length === 1 ? sources : []))
    .filter((one) => one.kind === "span");
  if (ascendsByIds(first)) {
    const span = spans.find(isPoint);
    return span === undefined ? null : { span, descending: false, isByIds: true, hasRest: false };
  }
  const isThenByIds = second === undefined || (ascendsByIds(second) && more.length === 0);
  if (first?.type !== "column" || !isThenByIds) return null;
  const index = onlyIndexOf(table, first.column);
  if (index === undefined) return null;
  const { descending } = first;
  const own = spans.find((span) => span.index === index && span.test === null);
  if (own !== undefined) return { span: own, descending, isByIds: false, hasRest: false };
  const whole: Span = { kind: "span", index, from: null, to: null, contains: "", test: null };
  return { span: whole, descending, isByIds: false, hasRest: true };
}

/** The index that has the only value of every document that has any. */
function onlyIndexOf(table: DocumentTable, column: string): ColumnIndex | undefined {
  const sortable = table
    .indexesOf(column)
    .filter(({ path, type }) => path === "" && (type === "keyword" || type === "number" || type === "boolean"));
  const [only] = sortable;
  return sortable.length === 1 && only?.many === false ? only : undefined;
}
