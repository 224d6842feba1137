/**
 * Carries out a search. Three ways lead to its rows, each with the same result:
 *
 * - **From an index alone** (`direct.ts`): one query, whose order an index or FTS5 knows. Only the documents of the page are read.
 * - **In order**: documents are read in the order that is asked for, and compared with the query, until the page is full.
 * - **All of them**: every document that an index finds is read and compared, and the first ones are kept.
 *
 * What a search that takes several steps sees while others write: see docs/spec/documents.md.
 */
import { toBinaryText } from "../../core/bytes.ts";
import type { UnixMs } from "../../core/clock.ts";
import { type Failure, isFailure } from "../../core/errors.ts";
import {
  MAX_EXAMINED_DOCUMENTS,
  MAX_KEPT_DOCUMENT_BYTES,
  MAX_RANKED_DOCUMENTS,
  MAX_SEEN_ID_BYTES,
} from "../../core/search-limits.ts";
import type { Sql } from "../../core/storage.ts";
import { Refused, tooMuch } from "../../codec/json-notation/members.ts";
import type { DocumentTable } from "../index/registry.ts";
import { NUMBERS } from "../index/schema.ts";
import { countEntries, countSource } from "./counting.ts";
import {
  boundsOf,
  bytesOf,
  type Cursor,
  cursorOf,
  endOf,
  idsOfPoint,
  type Hit,
  type Place,
  placesIn,
  rowsOfSpan,
  ScanCursor,
  SpanCursor,
  type SpanPlace,
  startOf,
} from "./cursors.ts";
import { directRows } from "./direct.ts";
import { DocumentReader, type FoundDocument } from "./documents.ts";
import { expiredHits } from "./expired.ts";
import type { Groups } from "./groups.ts";
import { type Candidate, Matcher } from "./matches.ts";
import {
  charactersOf,
  checkCharacters,
  compareRanked,
  FirstRows,
  ascendsByIds,
  type Ranked,
  type Sorter,
  type SortValue,
} from "./order.ts";
import { orderedSpan, type OrderedSpan, planFor } from "./plan.ts";
import type { Leaf, Query } from "./query.ts";
import { checkPrefix, isRanked, rank } from "./ranking.ts";
import { type AreaSource, type Cover, coverOf, type Span, textIndexOf } from "./sources.ts";
import { COST, type Steps } from "./steps.ts";

export interface Asked {
  readonly query: Query;
  readonly sorters: readonly Sorter[];
  /** The last row of the page before. null: the first page. */
  readonly after: Ranked | null;
  readonly skip: number;
  readonly limit: number;
  readonly withTotal: boolean;
  /** What is computed of all rows. null: nothing. */
  readonly groups: Groups | null;
}

export interface Expiry {
  readonly now: () => UnixMs;
  /** Whether an entry may be there that has expired and is not deleted yet. */
  readonly mayHaveExpired: () => boolean;
}

export interface FoundRow extends Ranked {
  /** null: it is read at the end. */
  readonly document: FoundDocument | null;
}

export interface Found {
  readonly rows: readonly FoundRow[];
  readonly hasMore: boolean;
  /** Undefined: not asked for. */
  readonly total: number | undefined;
}

const IDS_OF_NUMBERS = `SELECT x.ids FROM json_each(?3) j JOIN ${NUMBERS} x ON x.n = j.value WHERE x.ids > ?4 ORDER BY x.ids LIMIT ?5`;

/** More rows than these are kept without their documents. */
const MAX_KEPT_DOCUMENTS = 128;

/** The place that a token names is of another type than the values of the index. */
const UNCERTAIN = Symbol("uncertain");

export class Run {
  readonly #sql: Sql;
  readonly #table: DocumentTable;
  readonly #steps: Steps;
  readonly #now: () => UnixMs;
  readonly #mayHaveExpired: () => boolean;
  readonly #asked: Asked;
  readonly #matcher: Matcher;
  readonly #reader: DocumentReader;
  readonly #pausesBefore: number;
  /** What each text query has, by the documents' numbers. */
  readonly #scores = new Map<Leaf, ReadonlyMap<number, number>>();

  constructor(sql: Sql, table: DocumentTable, steps: Steps, { now, mayHaveExpired }: Expiry, asked: Asked) {
    this.#sql = sql;
    this.#mayHaveExpired = mayHaveExpired;
    this.#table = table;
    this.#steps = steps;
    this.#now = now;
    this.#asked = asked;
    this.#matcher = new Matcher(table);
    this.#reader = new DocumentReader(sql, table, steps, now, (document) =>
      this.#matcher.prepare(asked.query, document, steps),
    );
    this.#pausesBefore = steps.pauses;
  }

  async found(): Promise<Found> {
    const { query, withTotal, groups, limit, skip } = this.#asked;
    await this.#checkPrefixes(query);
    const cover = query.type === "all" || query.type === "bool" ? null : coverOf(query, this.#table);
    const isCounted = withTotal && groups === null && this.#canCount(cover);
    const seesAll = groups !== null || (withTotal && !isCounted);
    let total: number | undefined;
    if (isCounted) total = await this.#count(cover);
    const wanted = limit === 0 ? 0 : skip + limit + 1;
    let rows: readonly FoundRow[] = [];
    if (seesAll) {
      const all = await this.#all(wanted);
      rows = all.rows;
      total = all.total;
    } else if (wanted > 0) {
      rows =
        this.#onePage(cover, wanted) ??
        (await this.#direct(cover, wanted)) ??
        (await this.#inOrder(wanted)) ??
        (await this.#all(wanted)).rows;
    }
    const page = rows.slice(skip, skip + limit);
    return { rows: page, hasMore: rows.length > skip + limit, total };
  }

  /**
   * Calls `see` with the rows and their documents, in order. Rows whose document is gone, or is no longer what the query asks for, are left
   * out. Ends early when `see` returns false.
   */
  async read(rows: readonly FoundRow[], see: (row: FoundRow, document: FoundDocument) => boolean): Promise<void> {
    if (rows.every(({ document }) => document !== null)) {
      for (const row of rows) {
        if (row.document !== null && !see(row, row.document)) return;
        await this.#steps.rest();
      }
      return;
    }
    const byIds = new Map(rows.map((row) => [toBinaryText(row.ids), row]));
    // What an index has found is what the query asks for, until others write.
    const isFresh = () => this.#steps.pauses === this.#pausesBefore;
    await this.#reader.each(
      rows.map(({ ids }) => ({ ids, number: null })),
      { areDocuments: isFresh() },
      (document) => {
        const row = byIds.get(toBinaryText(document.ids));
        const isFound = isFresh() || this.#matcher.holds(this.#asked.query, document);
        return row === undefined || !isFound || see(row, document);
      },
    );
  }

  async #checkPrefixes(query: Query): Promise<void> {
    if (query.type === "bool") {
      for (const one of [...query.must, ...query.should, ...query.mustNot]) await this.#checkPrefixes(one);
    } else if (query.type === "prefix") {
      for (const source of coverOf(query, this.#table).sources) {
        if (source.kind === "text") await checkPrefix(this.#sql, source, this.#steps);
      }
    }
  }

  /** Whether the indexes alone tell how many rows the query has. `cover`: null for a query of several parts. */
  #canCount(cover: Cover | null): boolean {
    if (cover === null) return this.#asked.query.type === "all";
    if (!cover.isExact) return false;
    if (cover.sources.length < 2) return true;
    // A document may be in several sources only when one of its lists is, or its value has several types.
    const [first] = cover.sources;
    return cover.sources.every(({ index }) => index === first?.index && !index.many) && first?.kind === "span";
  }

  async #count(cover: Cover | null): Promise<number> {
    const expired = this.#expired();
    if (isFailure(expired)) throw new Refused(expired);
    let total = 0;
    if (cover === null) total = (await countEntries(this.#sql, this.#table, this.#steps)) - this.#table.skipped;
    else for (const source of cover.sources) total += await countSource(this.#sql, source, this.#steps);
    const gone = this.#reader.stored(expired).filter((document) => this.#matcher.holds(this.#asked.query, document));
    return total - gone.length;
  }

  /** The documents of a span with one statement: in its own order, or by ids where there are few of them. null: the query is another one. */
  #onePage(cover: Cover | null, wanted: number): readonly FoundRow[] | null {
    const [span, ...more] = cover?.sources ?? [];
    if (cover?.isExact !== true || span?.kind !== "span" || more.length > 0 || wanted > MAX_WINDOW) return null;
    const found = this.#pageInOrder(cover, span, wanted) ?? this.#pageById(span, wanted);
    this.#steps.spend(wanted * COST.document);
    // An expired row leaves its place empty.
    if (found === null || (found.length < wanted && this.#hasExpired())) return null;
    return found.map((document, index) => ({
      ids: document.ids,
      // Those of a page's last row are where the next page begins.
      values: index === wanted - 2 ? this.#valuesOf(document) : [],
      document,
    }));
  }

  #pageInOrder(cover: Cover, span: Span, wanted: number): FoundDocument[] | null {
    const ordered = orderedSpan(this.#table, [cover], this.#asked.sorters);
    if (ordered?.span !== span || ordered.descending) return null;
    const place = this.#placeIn(ordered);
    if (place === UNCERTAIN) return null;
    if (ordered.isByIds) {
      const { v } = startOf(span);
      return this.#reader.page(idsOfPoint(span, 3), [
        span.index.id,
        bytesOf(v),
        place?.ids ?? new Uint8Array(),
        wanted,
      ]);
    }
    const ends = { first: 3, after: place !== null, before: false };
    const rows = rowsOfSpan(span, "ids", "ORDER BY v, ids LIMIT ?8", ends);
    return this.#reader.page(rows, [span.index.id, ...boundsOf(place ?? startOf(span), endOf(span)), wanted]);
  }

  #pageById(span: Span, wanted: number): FoundDocument[] | null {
    const { sorters, after } = this.#asked;
    const [first] = sorters;
    if (!ascendsByIds(first) || span.index.many || span.test !== null) return null;
    const places = [span.index.id, ...boundsOf(startOf(span), endOf(span))];
    const small = `NOT EXISTS (${rowsOfSpan(span, "1", `LIMIT 1 OFFSET ${SMALL_SPAN}`, { first: 3, ...WHOLE })})`;
    // Compared with each row of the span, so only where it says something.
    const later = after === null ? "" : "AND ids > ?9";
    const rows = `${rowsOfSpan(span, "ids", "", { first: 3, ...WHOLE })} AND ${small} ${later} ORDER BY ids LIMIT ?8`;
    const found = this.#reader.page(rows, [...places, wanted, ...(after === null ? [] : [after.ids])]);
    this.#steps.spend(COST.statement + SMALL_SPAN * COST.orderedRow);
    // Without a row the span has none, or it is large.
    if (found === null || found.length > 0) return found;
    const one = this.#sql.exec(rowsOfSpan(span, "1", "LIMIT 1 OFFSET ?6", WHOLE), ...places, SMALL_SPAN).toArray();
    return one.length > 0 ? null : found;
  }

  #expired(): readonly Hit[] | Failure {
    return this.#mayHaveExpired() ? expiredHits(this.#sql, this.#table, this.#now()) : [];
  }

  #hasExpired(): boolean {
    const expired = this.#expired();
    return isFailure(expired) || expired.length > 0;
  }

  /** Rows from an index alone. null: no index has their order. */
  async #direct(cover: Cover | null, wanted: number): Promise<readonly FoundRow[] | null> {
    const { query, sorters, after } = this.#asked;
    if (cover?.isExact !== true || query.type === "all" || query.type === "bool") return null;
    const expired = this.#expired();
    if (isFailure(expired)) return null;
    // So many more may have to be left out.
    const most = wanted + expired.length;
    const found = new Map<AreaSource, readonly Place[]>();
    const placesOf = async (source: AreaSource) => {
      const places = found.get(source) ?? (await placesIn(this.#sql, source, this.#steps));
      found.set(source, places);
      return places;
    };
    const [area, ...others] = cover.sources;
    if (area?.kind === "area" && others.length === 0) {
      const rows = expired.length === 0 ? this.#pageOfPlaces(await placesOf(area), wanted) : null;
      if (rows !== null) return rows;
    }
    const parts = { sql: this.#sql, steps: this.#steps, placesOf };
    const ranked = await directRows(parts, query, cover, { sorters, after, most });
    if (ranked === null) return null;
    const gone = new Set(expired.map(({ ids }) => toBinaryText(ids)));
    const alive = gone.size === 0 ? ranked : ranked.filter(({ ids }) => !gone.has(toBinaryText(ids)));
    return alive.slice(0, wanted).map((row) => ({ ...row, document: null }));
  }

  /** The documents of few places with one statement. null: they are many, or another order is asked for, or others have written since. */
  #pageOfPlaces(places: readonly Place[], wanted: number): readonly FoundRow[] | null {
    const { sorters, after } = this.#asked;
    const [first] = sorters;
    const isFresh = this.#steps.pauses === this.#pausesBefore;
    if (!ascendsByIds(first)) return null;
    if (!isFresh || places.length > SMALL_SPAN || wanted > MAX_WINDOW) return null;
    const numbers = [...new Set(places.map(({ number }) => number))];
    const ids = after?.ids ?? new Uint8Array();
    const documents = this.#reader.page(IDS_OF_NUMBERS, [JSON.stringify(numbers), ids, wanted]);
    if (documents === null) return null;
    this.#steps.spend(wanted * COST.document);
    return documents.map((document) => ({ ids: document.ids, values: sorters.map(() => null), document }));
  }

  /** Reads documents in the order that is asked for, until there are enough. null: they cannot be read so. */
  async #inOrder(wanted: number): Promise<readonly FoundRow[] | null> {
    const { query, sorters, after } = this.#asked;
    const plan = await planFor(this.#sql, this.#table, query, sorters, true, this.#steps);
    if (plan.kind === "sources") return null;
    const [first] = sorters;
    if (plan.kind === "scan") {
      if (!ascendsByIds(first)) return null;
      return this.#firstOf(new ScanCursor(this.#sql, this.#table, after?.ids ?? null), wanted);
    }
    const { ordered } = plan;
    const place = this.#placeIn(ordered);
    if (place === UNCERTAIN) return null;
    // The rows without the column come last: the page before has ended among them.
    const isInRest = ordered.hasRest && after !== null && after.values[0] === null;
    let rows: readonly FoundRow[] = [];
    if (!isInRest) {
      rows = await this.#firstOf(
        new SpanCursor(this.#sql, this.#steps, ordered.span, ordered.descending, place),
        wanted,
      );
    }
    return rows.length >= wanted || !ordered.hasRest ? rows : null;
  }

  /** Where a span goes on. null: at its start. */
  #placeIn({ span, isByIds }: OrderedSpan): SpanPlace | null | typeof UNCERTAIN {
    const { after } = this.#asked;
    if (after === null) return null;
    if (isByIds) return { v: span.from?.value ?? 0, ids: after.ids };
    const value = after.values[0] ?? null;
    if (value === null) return null;
    const v = typeof value === "boolean" ? Number(value) : value;
    const isOfIndex = (typeof v === "string") === (span.index.type === "keyword");
    return isOfIndex ? { v, ids: after.ids } : UNCERTAIN;
  }

  /** The first documents of a cursor that the query has. */
  async #firstOf(cursor: Cursor, wanted: number): Promise<readonly FoundRow[]> {
    const { query } = this.#asked;
    const rows: FoundRow[] = [];
    let window = Math.max(16, wanted);
    let characters = 0;
    for (let examined = 0; ;) {
      const hits = await cursor.next(window);
      if (hits === null) return rows;
      examined += hits.length;
      this.#checkExamined(examined);
      const goesOn = await this.#reader.each(hits, { withNumbers: this.#needsNumbers }, (document) => {
        if (this.#matcher.holds(query, document)) {
          const row = this.#rowOf(document, wanted);
          if (this.#isAfter(row)) {
            rows.push(row);
            characters += charactersOf(row);
            checkCharacters(characters);
          }
        }
        return rows.length < wanted;
      });
      if (!goesOn) return rows;
      window = Math.min(2 * window, MAX_WINDOW);
    }
  }

  /** Reads all documents of the query. */
  async #all(wanted: number): Promise<{ readonly rows: readonly FoundRow[]; readonly total: number }> {
    const { query, sorters, groups } = this.#asked;
    const plan = await planFor(this.#sql, this.#table, query, sorters, false, this.#steps);
    if (this.#needsScores) await this.#rankAll(query);
    const first = new FirstRows<FoundRow>(sorters, wanted);
    // A document may be met more than once: in several sources, and for several values of a list.
    const seen = new Set<string>();
    let seenBytes = 0;
    let total = 0;
    const see = (document: FoundDocument): boolean => {
      if (!this.#matcher.holds(query, document)) return true;
      total += 1;
      groups?.add(document, this.#matcher);
      const row = this.#rowOf(document, wanted);
      if (this.#isAfter(row)) first.add(row);
      return true;
    };
    const cursors =
      plan.kind === "sources"
        ? plan.sources.map((source) => () => cursorOf(this.#sql, source, this.#steps))
        : [async () => Promise.resolve(new ScanCursor(this.#sql, this.#table, null))];
    for (const open of cursors) {
      const cursor = await open();
      for (let hits = await cursor.next(MAX_WINDOW); hits !== null; hits = await cursor.next(MAX_WINDOW)) {
        const isNew = (hit: Hit): boolean => {
          const before = seen.size;
          if (seen.add(toBinaryText(hit.ids)).size === before) return false;
          seenBytes += hit.ids.length;
          return true;
        };
        const fresh = hits.filter(isNew);
        this.#checkExamined(seen.size, seenBytes);
        this.#steps.spend(COST.statement + hits.length * COST.hit);
        await this.#reader.each(fresh, { withNumbers: this.#needsNumbers }, see);
        await this.#steps.rest();
      }
    }
    return { rows: first.rows(), total };
  }

  /** `idBytes`: of those whose ids are kept. */
  #checkExamined(documents: number, idBytes = 0): void {
    if (documents <= MAX_EXAMINED_DOCUMENTS && idBytes <= MAX_SEEN_ID_BYTES) return;
    tooMuch(
      `This search has to read more than ${MAX_EXAMINED_DOCUMENTS} documents, or documents with more than ${MAX_SEEN_ID_BYTES} bytes of ids, which is the limit: add a query that fewer documents meet, or leave out getTotalCount, groupBy or sorters.`,
    );
  }

  get #needsScores(): boolean {
    return this.#asked.sorters.some(({ type }) => type === "score");
  }

  get #needsNumbers(): boolean {
    return this.#scores.size > 0;
  }

  async #rankAll(query: Query): Promise<void> {
    if (query.type === "all") return;
    if (query.type === "bool") {
      for (const one of [...query.must, ...query.should]) await this.#rankAll(one);
      return;
    }
    if (textIndexOf(query, this.#table) === undefined) return;
    const scores = new Map<number, number>();
    for (const source of coverOf(query, this.#table).sources) {
      if (!isRanked(source)) continue;
      await rank(this.#sql, source, this.#steps, MAX_EXAMINED_DOCUMENTS, (number, score) => scores.set(number, score));
    }
    this.#scores.set(query, scores);
    const ranked = [...this.#scores.values()].reduce((sum, { size }) => sum + size, 0);
    if (ranked > MAX_RANKED_DOCUMENTS) {
      tooMuch(
        `The queries for words find more than ${MAX_RANKED_DOCUMENTS} documents, added up over the queries, which is the limit of a search by relevance: use fewer or rarer words.`,
      );
    }
  }

  #rowOf(document: FoundDocument, wanted: number): FoundRow {
    return {
      ids: document.ids,
      values: this.#valuesOf(document),
      document: wanted > MAX_KEPT_DOCUMENTS || document.value.length > MAX_KEPT_DOCUMENT_BYTES ? null : document,
    };
  }

  #valuesOf(document: FoundDocument): SortValue[] {
    return this.#asked.sorters.map((sorter) =>
      this.#matcher.sortValue(sorter, document, () => this.#scoreOf(document)),
    );
  }

  #scoreOf(document: Candidate): number {
    return this.#matcher.score(
      this.#asked.query,
      document,
      (leaf, number) => this.#scores.get(leaf)?.get(number) ?? null,
    );
  }

  #isAfter(row: Ranked): boolean {
    const { after, sorters } = this.#asked;
    return after === null || compareRanked(sorters, row, after) > 0;
  }
}

/** A span from its start to its end. */
const WHOLE = { after: false, before: false };

/** Rows of a span that one statement puts in order. */
const SMALL_SPAN = 5_000;

/** Hits of one window. */
const MAX_WINDOW = 500;
