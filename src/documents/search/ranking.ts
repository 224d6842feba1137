/**
 * Relevance: FTS5's BM25 of the rows of a text query. FTS5 computes it only for rows that it finds, so all of them are asked for, in windows
 * of their numbers. BM25 depends on how many rows have a word, which FTS5 counts anew in each window.
 */
import { MAX_PREFIX_POSTINGS, MAX_PREFIX_WORDS } from "../../core/search-limits.ts";
import { tooMuch } from "../../codec/json-notation/members.ts";
import type { Sql } from "../../core/storage.ts";
import { textTable, vocabularyTable } from "../index/schema.ts";
import type { Source, TextSource } from "./sources.ts";
import { COST, type Steps } from "./steps.ts";

/** Rows that one statement ranks: about 8 ms, and more for each place of a word. */
const RANKED_WINDOW = 8_000;

/** A query of words: without words there is no relevance. */
export type RankedSource = TextSource & { readonly match: string };

export function isRanked(source: Source): source is RankedSource {
  return source.kind === "text" && source.match !== null;
}

/** Refuses a query with more than `most` rows. Calls `see` with the number and the relevance of each row, greater is better; in the order of numbers. */
export async function rank(
  sql: Sql,
  { index, match }: RankedSource,
  steps: Steps,
  most: number,
  see: (number: number, score: number) => void,
): Promise<void> {
  const table = textTable(index.id);
  const ranked = `SELECT rowid, bm25(${table}) FROM ${table} WHERE ${table} MATCH ?1 AND rowid > ?2 ORDER BY rowid LIMIT ?3`;
  let total: number | null = null;
  for (let after = 0; ;) {
    let rows = 0;
    for (const [number, score] of sql.exec(ranked, match, after, RANKED_WINDOW).raw<[number, number]>()) {
      rows += 1;
      after = number;
      see(number, -score);
    }
    steps.spend(COST.statement + (total ?? rows) * COST.posting + rows * COST.ranked);
    if (rows < RANKED_WINDOW) return;
    total ??= countUpTo(sql, table, match, most + 1);
    if (total > most) {
      tooMuch(
        `More than ${most} documents have these words in ${JSON.stringify(index.name)}, which is the limit of a search by relevance: add a rarer word or another query, or sort by a column.`,
      );
    }
    await steps.rest();
  }
}

function countUpTo(sql: Sql, table: string, match: string, most: number): number {
  const rows = `SELECT 1 FROM ${table} WHERE ${table} MATCH ?1 LIMIT ?2`;
  return sql.exec<{ n: number }>(`SELECT count(*) AS n FROM (${rows})`, match, most).one().n;
}

/** Refuses a beginning of words that stands for too many of them: FTS5 would put all their lists together at once. */
export function checkPrefix(sql: Sql, { index, prefix }: TextSource, steps: Steps): void {
  if (prefix === null) return;
  const words = `SELECT term, doc FROM ${vocabularyTable(index.id)} WHERE term >= ?1 AND term < (?2 || '') ORDER BY term LIMIT ?3`;
  const end = Uint8Array.of(...new TextEncoder().encode(prefix), 0xff);
  let from = prefix;
  let found = 0;
  let postings = 0;
  for (;;) {
    const some = [...sql.exec(words, from, end, WORDS_WINDOW).raw<[string, number]>()];
    found += some.length;
    for (const [, documents] of some) postings += documents;
    steps.spend(COST.statement);
    if (found > MAX_PREFIX_WORDS || postings > MAX_PREFIX_POSTINGS) break;
    const last = some.at(-1);
    if (last === undefined || some.length < WORDS_WINDOW) {
      steps.spend(3 * postings * COST.posting);
      return;
    }
    from = `${last[0]}\0`;
  }
  tooMuch(
    `Too many words in ${JSON.stringify(index.name)} begin with ${JSON.stringify(prefix)}: the limit is ${MAX_PREFIX_WORDS} words, or ${MAX_PREFIX_POSTINGS} places of them. Give more letters.`,
  );
}

/** Words whose documents are counted with one statement. */
const WORDS_WINDOW = 64;
