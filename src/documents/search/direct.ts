/** The first rows of a query from an index alone, where one knows their order: by ids, by relevance, by distance. No document is read. */
import { compareBytes } from "../../core/bytes.ts";
import type { Sql } from "../../core/storage.ts";
import { NUMBERS, textTable } from "../index/schema.ts";
import { distanceToNearest } from "./areas.ts";
import {
  boundsOf,
  bytesOf,
  endOf,
  type Hit,
  hitsOfNumbers,
  idsOfPoint,
  isPoint,
  type Place,
  rowsOfSpan,
  type SpanPlace,
  startOf,
} from "./cursors.ts";
import { FirstRows, type Ranked, type Sorter } from "./order.ts";
import type { Leaf } from "./query.ts";
import { firstByScore, isRanked } from "./ranking.ts";
import type { AreaSource, Cover, Source, Span, TextSource } from "./sources.ts";
import { COST, type Steps } from "./steps.ts";

/** Rows of an index, or of FTS5, that one statement puts in order: about 6 ms. */
const SPAN_WINDOW = 20_000;
const TEXT_WINDOW = 5_000;
/** Places whose distances are computed without a pause. */
const DISTANCE_WINDOW = 1_000;

/** Finds the places in an area. A search that has found them already does not look again. */
export type PlacesOf = (source: AreaSource) => Promise<readonly Place[]>;

export interface DirectParts {
  readonly sql: Sql;
  readonly steps: Steps;
  readonly placesOf: PlacesOf;
}

/** The first `most` rows after `after` in the order of the sorters. */
export interface Wanted {
  readonly sorters: readonly Sorter[];
  readonly after: Ranked | null;
  readonly most: number;
}

/** The rows that are wanted, expired ones among them. null: no index knows this order of this query. `cover` is exact. */
export async function directRows(
  parts: DirectParts,
  query: Leaf,
  { sources }: Cover,
  wanted: Wanted,
): Promise<readonly Ranked[] | null> {
  const { sorters, after, most } = wanted;
  const [first, ...others] = sorters;
  if (first === undefined || sources.some((source) => source.kind === "span" && source.test !== null)) return null;
  if (first.type === "ids") {
    if (first.descending) return null;
    const rows = await firstIds(parts, sources, after?.ids ?? new Uint8Array(), most);
    return rows.map((ids) => ({ ids, values: sorters.map(() => null) }));
  }
  const [source, ...more] = sources;
  if (source === undefined) return [];
  if (more.length > 0 || others.length > 0) return null;
  if (first.type === "score" && isRanked(source)) {
    if (query.type === "match" && query.factor !== null) return null;
    return firstByScore(parts.sql, source, { descending: first.descending, after, most }, parts.steps);
  }
  if (first.type === "distance" && source.kind === "area") {
    if (source.index.many || source.index.name !== first.column) return null;
    return byDistance(parts, await parts.placesOf(source), first, wanted);
  }
  return null;
}

async function firstIds(
  parts: DirectParts,
  sources: readonly Source[],
  after: Uint8Array,
  most: number,
): Promise<Uint8Array[]> {
  let first: Uint8Array[] = [];
  for (const source of sources) {
    first = merged([...first, ...(await firstIdsOf(parts, source, after, most))], most);
    await parts.steps.rest();
  }
  return first;
}

/** The first of them in order, each once. */
function merged(all: Uint8Array[], most: number): Uint8Array[] {
  all.sort(compareBytes);
  return all.filter((ids, index) => index === 0 || compareBytes(ids, all[index - 1] ?? ids) !== 0).slice(0, most);
}

async function firstIdsOf(parts: DirectParts, source: Source, after: Uint8Array, most: number): Promise<Uint8Array[]> {
  const { sql, steps, placesOf } = parts;
  switch (source.kind) {
    case "span":
      return isPoint(source) ? firstIdsOfPoint(parts, source, after, most) : firstIdsOfSpan(parts, source, after, most);
    case "text":
      return firstIdsOfText(parts, source, after, most);
    case "area": {
      const numbers = [...new Set((await placesOf(source)).map(({ number }) => number))];
      let first: Uint8Array[] = [];
      for (let at = 0; at < numbers.length; at += TEXT_WINDOW) {
        const hits = hitsOfNumbers(sql, numbers.slice(at, at + TEXT_WINDOW));
        const later = hits.flatMap(({ ids }) => (compareBytes(ids, after) > 0 ? [ids] : []));
        first = merged([...first, ...later], most);
        steps.spend(COST.statement + hits.length * 3 * COST.hit);
        await steps.rest();
      }
      return first;
    }
  }
}

function firstIdsOfPoint({ sql, steps }: DirectParts, span: Span, after: Uint8Array, most: number): Uint8Array[] {
  const rows = sql.exec(idsOfPoint(span, 1), span.index.id, bytesOf(startOf(span).v), after, most);
  steps.spend(COST.statement + most * COST.hit);
  return idsIn(rows);
}

async function firstIdsOfSpan(
  { sql, steps }: DirectParts,
  span: Span,
  after: Uint8Array,
  most: number,
): Promise<Uint8Array[]> {
  const before = endOf(span);
  const window = rowsOfSpan(span, "ids", "ORDER BY v, ids LIMIT ?6", { before: false });
  const ordered = `SELECT ${span.index.many ? "DISTINCT " : ""}ids FROM (${window}) WHERE ids > ?7 ORDER BY ids LIMIT ?8`;
  const lastOfWindow = rowsOfSpan(span, "v, ids", "ORDER BY v, ids LIMIT 1 OFFSET ?6", { before: false });
  let from: SpanPlace = startOf(span);
  for (let first: Uint8Array[] = []; ;) {
    const places = [span.index.id, ...boundsOf(from, before)];
    const some = idsIn(sql.exec(ordered, ...places, SPAN_WINDOW, after, most));
    first = merged([...first, ...some], most);
    const [last] = sql.exec(lastOfWindow, ...places, SPAN_WINDOW - 1).raw<[number | string, ArrayBuffer]>();
    steps.spend(2 * COST.statement + SPAN_WINDOW * COST.orderedRow);
    if (last === undefined) return first;
    from = { v: last[0], ids: new Uint8Array(last[1]) };
    await steps.rest();
  }
}

async function firstIdsOfText(
  { sql, steps }: DirectParts,
  { index, match }: TextSource,
  after: Uint8Array,
  most: number,
): Promise<Uint8Array[]> {
  const table = textTable(index.id);
  const found = `SELECT rowid AS n FROM ${table} WHERE ${match === null ? "" : `${table} MATCH ?5 AND `}rowid > ?1 ORDER BY rowid LIMIT ?2`;
  // FTS5 is asked once in a window: for its end, and for the first ids in it.
  const query = `WITH f AS MATERIALIZED (${found})
    SELECT max(n), count(*), NULL FROM f
    UNION ALL SELECT * FROM (SELECT NULL, NULL, x.ids FROM f JOIN ${NUMBERS} x ON x.n = f.n WHERE x.ids > ?3 ORDER BY x.ids LIMIT ?4)`;
  const words = match === null ? [] : [match];
  let from = 0;
  for (let first: Uint8Array[] = []; ;) {
    const [end, ...rows] = sql
      .exec(query, from, TEXT_WINDOW, after, most, ...words)
      .raw<[number | null, number | null, ArrayBuffer | null]>();
    const some = rows.flatMap(([, , ids]) => (ids === null ? [] : [new Uint8Array(ids)]));
    first = first.length === 0 ? some : merged([...first, ...some], most);
    const [last, n] = end ?? [null, 0];
    steps.spend(COST.statement + (n ?? 0) * 2 * COST.hit);
    if (last === null || (n ?? 0) < TEXT_WINDOW) return first;
    from = last;
    await steps.rest();
  }
}

interface Numbered {
  readonly number: number;
  readonly value: number;
}

async function byDistance(
  parts: DirectParts,
  places: readonly Place[],
  sorter: Extract<Sorter, { type: "distance" }>,
  wanted: Wanted,
): Promise<readonly Ranked[]> {
  const best = new BestNumbers(sorter.descending, placeOf(wanted.after), wanted.most);
  for (let at = 0; at < places.length; at += DISTANCE_WINDOW) {
    const some = places.slice(at, at + DISTANCE_WINDOW);
    for (const { number, point } of some) {
      best.add(number, distanceToNearest(point, sorter.points));
    }
    parts.steps.spend(some.length * sorter.points.length * COST.distance);
    await parts.steps.rest();
  }
  return inOrder(parts, best.rows(), { ...wanted, sorters: [sorter] });
}

/** undefined: from the start. */
function placeOf(after: Ranked | null): number | undefined {
  const value = after?.values[0];
  return typeof value === "number" ? value : undefined;
}

/**
 * The documents with the first values, and all others whose value is that of the last of them: which of those come first only their ids
 * tell.
 */
class BestNumbers {
  readonly #isBefore: (a: number, b: number) => boolean;
  readonly #place: number | undefined;
  readonly #most: number;
  readonly #rows: Numbered[] = [];
  #last: number | undefined;
  #cutAt: number;

  constructor(descending: boolean, place: number | undefined, most: number) {
    this.#isBefore = descending ? (a, b) => a > b : (a, b) => a < b;
    this.#place = place;
    this.#most = most;
    this.#cutAt = 4 * most + 1000;
  }

  add(number: number, value: number): void {
    if (this.#place !== undefined && this.#isBefore(value, this.#place)) return;
    if (this.#last !== undefined && this.#isBefore(this.#last, value)) return;
    this.#rows.push({ number, value });
    if (this.#rows.length >= this.#cutAt) this.#cut();
  }

  rows(): readonly Numbered[] {
    this.#cut();
    return this.#rows;
  }

  #cut(): void {
    this.#rows.sort((a, b) => (a.value === b.value ? 0 : this.#isBefore(a.value, b.value) ? -1 : 1));
    // Those at the place itself may all have been on an earlier page.
    const start = this.#rows.findIndex(({ value }) => value !== this.#place);
    const last = start === -1 ? undefined : this.#rows[start + this.#most - 1];
    if (last === undefined) {
      this.#cutAt = 2 * this.#rows.length + 1000;
      return;
    }
    this.#last = last.value;
    let end = start + this.#most;
    while (this.#rows[end]?.value === last.value) end += 1;
    this.#rows.length = end;
    this.#cutAt = 2 * end + 1000;
  }
}

async function inOrder(
  { sql, steps }: DirectParts,
  numbered: readonly Numbered[],
  { sorters, after, most }: Wanted,
): Promise<readonly Ranked[]> {
  const first = new FirstRows<Ranked>(sorters, most);
  const place = placeOf(after);
  const values = new Map(numbered.map(({ number, value }) => [number, value]));
  const numbers = [...values.keys()];
  for (let at = 0; at < numbers.length; at += TEXT_WINDOW) {
    const hits: Hit[] = hitsOfNumbers(sql, numbers.slice(at, at + TEXT_WINDOW));
    for (const { ids, number } of hits) {
      const value = values.get(number ?? 0) ?? null;
      // On the page before, if it has the value of that page's last row and ids up to its.
      if (after !== null && value === place && compareBytes(ids, after.ids) <= 0) continue;
      first.add({ ids, values: [value] });
    }
    steps.spend(COST.statement + hits.length * 3 * COST.hit);
    await steps.rest();
  }
  return first.rows();
}

function idsIn(rows: { raw<Columns extends ArrayBuffer[]>(): IterableIterator<Columns> }): Uint8Array[] {
  return Array.from(rows.raw<[ArrayBuffer]>(), ([ids]) => new Uint8Array(ids));
}
