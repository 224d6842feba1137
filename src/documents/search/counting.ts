/** How many rows a query has, from the indexes alone: exact, and without reading a document. */
import type { Sql } from "../../core/storage.ts";
import { MAX_EXAMINED_DOCUMENTS } from "../../core/search-limits.ts";
import { tooMuch } from "../../codec/json-notation/members.ts";
import { LIVE_TABLES } from "../../engine/entry-table.ts";
import type { DocumentTable } from "../index/registry.ts";
import { textTable } from "../index/schema.ts";
import { boundsOf, endOf, isPoint, placesIn, rowsOfSpan, type SpanPlace, startOf } from "./cursors.ts";
import type { Source, Span, TextSource } from "./sources.ts";
import { COST, type Steps } from "./steps.ts";
import { wordsAskedFor } from "../text/words.ts";

/** Rows that one statement counts: 5 to 10 ms. */
const COUNTED_WINDOW = 50_000;

/** Words whose documents are counted so: of more words, fewer rows at a time. */
const COUNTED_WORDS = 8;

/** The number of documents that a source has, expired ones included. */
export async function countSource(sql: Sql, source: Source, steps: Steps): Promise<number> {
  switch (source.kind) {
    case "span":
      return source.index.many && !isPoint(source) ? countDistinct(sql, source, steps) : countSpan(sql, source, steps);
    case "text":
      return countText(sql, source, steps, Number.POSITIVE_INFINITY);
    case "area":
      return new Set((await placesIn(sql, source, steps)).map(({ number }) => number)).size;
  }
}

/** Each row of the index is a document. */
async function countSpan(sql: Sql, span: Span, steps: Steps): Promise<number> {
  const before = endOf(span);
  let after: SpanPlace = startOf(span);
  const last = rowsOfSpan(span, "v, ids", "ORDER BY v, ids LIMIT 1 OFFSET ?6", { before: false });
  for (let total = 0; ; total += COUNTED_WINDOW) {
    const places = [span.index.id, ...boundsOf(after, before)];
    // Where there is such a row, so many rows come before it, and nothing has to be counted.
    const [row] = sql.exec(last, ...places, COUNTED_WINDOW - 1).raw<[number | string, ArrayBuffer]>();
    steps.spend(COST.statement + COUNTED_WINDOW * COST.indexRow);
    if (row === undefined) {
      const rows = rowsOfSpan(span, "1", "LIMIT ?6", { before: false });
      const { n } = sql.exec<{ n: number }>(`SELECT count(*) AS n FROM (${rows})`, ...places, COUNTED_WINDOW).one();
      steps.spend(COST.statement + n * COST.indexRow);
      return total + n;
    }
    after = { v: row[0], ids: new Uint8Array(row[1]) };
    await steps.rest();
  }
}

/** A document may have several rows of the index. */
function countDistinct(sql: Sql, span: Span, steps: Steps): number {
  const places = [span.index.id, ...boundsOf(startOf(span), endOf(span))];
  const rows = rowsOfSpan(span, "ids", "LIMIT ?6", { after: false, before: false });
  const [counted] = sql
    .exec(`SELECT count(*), count(DISTINCT ids) FROM (${rows})`, ...places, MAX_EXAMINED_DOCUMENTS + 1)
    .raw<[number, number]>();
  const [all, distinct] = counted ?? [0, 0];
  steps.spend(COST.statement + all * COST.orderedRow);
  if (all <= MAX_EXAMINED_DOCUMENTS) return distinct;
  return tooMuch(
    `The query finds more than ${MAX_EXAMINED_DOCUMENTS} values in lists of ${JSON.stringify(span.index.name)}, which is the limit of a count: narrow it.`,
  );
}

/** Counts no further when there are more than `most`. */
export async function countText(sql: Sql, { index, match }: TextSource, steps: Steps, most: number): Promise<number> {
  const table = textTable(index.id);
  // FTS5 goes through the lists of all words at once.
  const words = Math.max(1, wordsAskedFor(match).length);
  const window = Math.ceil(COUNTED_WINDOW / Math.max(1, words / COUNTED_WORDS));
  const query = `SELECT count(*), max(rowid) FROM (SELECT rowid FROM ${table}
    WHERE ${match === null ? "" : `${table} MATCH ?3 AND `}rowid > ?1 ORDER BY rowid LIMIT ?2)`;
  for (let total = 0, after = 0; ;) {
    const [row] = sql.exec(query, after, window, ...(match === null ? [] : [match])).raw<[number, number | null]>();
    const [n, last] = row ?? [0, null];
    total += n;
    steps.spend(COST.statement + n * words * COST.posting);
    if (n < window || last === null || total > most) return total;
    after = last;
    await steps.rest();
  }
}

/** Entries under the table that are stored, expired ones included. */
export async function countEntries(sql: Sql, { range }: DocumentTable, steps: Steps): Promise<number> {
  const query = `SELECT count(*), max(k) FROM (SELECT k FROM ${LIVE_TABLES.entries} WHERE k > ?1 AND k < ?2 ORDER BY k LIMIT ?3)`;
  let after = range.start;
  for (let total = 0; ;) {
    const [row] = sql.exec(query, after, range.end, ENTRIES_WINDOW).raw<[number, ArrayBuffer | null]>();
    const [n, last] = row ?? [0, null];
    total += n;
    steps.spend(COST.statement + n * 4 * COST.indexRow);
    if (n < ENTRIES_WINDOW || last === null) return total;
    after = new Uint8Array(last);
    await steps.rest();
  }
}

/** Rows of entries are longer than those of an index. */
const ENTRIES_WINDOW = 20_000;
