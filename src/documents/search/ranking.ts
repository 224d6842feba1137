/**
 * Relevance: FTS5's BM25 of the rows of a text query. FTS5 computes it only for rows that it finds, so all of them are asked for, in windows
 * of their numbers. BM25 depends on how many rows have a word, which FTS5 counts anew in each window.
 */
import {
  MAX_PREFIX_POSTINGS,
  MAX_PREFIX_WORDS,
  MAX_RANKED_DOCUMENTS,
  MAX_RANKED_POSTINGS,
} from "../../core/search-limits.ts";
import { tooMuch } from "../../codec/json-notation/members.ts";
import type { Sql } from "../../core/storage.ts";
import { NUMBERS, textTable, vocabularyTable } from "../index/schema.ts";
import { wordsAskedFor } from "../text/words.ts";
import { countText } from "./counting.ts";
import { FirstRows, type Ranked, type Sorter } from "./order.ts";
import type { Source, TextSource } from "./sources.ts";
import { COST, type Steps } from "./steps.ts";

/**
 * Rows that one statement ranks: about 1 ms a thousand, and more where there are many words. Each statement begins with a walk over all places
 * of the words, and a window is as large as that walk leaves room for.
 */
const SMALLEST_WINDOW = 1_000;
const LARGEST_WINDOW = 16_000;
const WINDOW_MICROSECONDS = 20_000;

/** A query of words: without words there is no relevance. */
export type RankedSource = TextSource & { readonly match: string };

export function isRanked(source: Source): source is RankedSource {
  return source.kind === "text" && source.match !== null;
}

/** Refuses a query with more than `most` rows. Calls `see` with the number and the relevance of each row, greater is better; in the order of numbers. */
export async function rank(
  sql: Sql,
  source: RankedSource,
  steps: Steps,
  most: number,
  see: (number: number, score: number) => void,
): Promise<void> {
  const table = textTable(source.index.id);
  const ranked = `SELECT rowid, bm25(${table}) FROM ${table} WHERE ${table} MATCH ?1 AND rowid > ?2 ORDER BY rowid LIMIT ?3`;
  await inWindows(sql, source, steps, most, (after, limit) => {
    let [last, rows] = [after, 0];
    for (const [number, score] of sql.exec(ranked, source.match, after, limit).raw<[number, number]>()) {
      rows += 1;
      last = number;
      see(number, -score);
    }
    return rows < limit ? null : last;
  });
}

/**
 * The first rows by relevance, then by ids. `after`: the last row of the page before. SQLite puts each window in order, because most of the
 * rows of a query are none of the first, and looks up the ids of those alone that may be: several documents often have the same relevance.
 */
export async function firstByScore(
  sql: Sql,
  source: RankedSource,
  { descending, after, most }: { readonly descending: boolean; readonly after: Ranked | null; readonly most: number },
  steps: Steps,
): Promise<readonly Ranked[]> {
  const place = after?.values[0];
  const [worst, best] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  // FTS5's own number is the smaller, the better a row fits.
  const start = typeof place === "number" ? -place : descending ? best : worst;
  const table = textTable(source.index.id);
  const sorters: readonly Sorter[] = [{ type: "score", descending }];
  const first = new FirstRows<Ranked>(sorters, most);
  // No row after this place can be among the first.
  let end = descending ? worst : best;
  await inWindows(sql, source, steps, MAX_RANKED_DOCUMENTS, (from, limit) => {
    const isBounded = Number.isFinite(start) || Number.isFinite(end);
    const [window, ...rows] = sql
      .exec(
        firstOfWindow(table, descending, isBounded),
        source.match,
        from,
        limit,
        start,
        after?.ids ?? NO_IDS,
        end,
        most,
      )
      .raw<[number | null, ArrayBuffer | null]>();
    for (const [score, ids] of rows) {
      if (score !== null && ids !== null) first.add({ ids: new Uint8Array(ids), values: [-score] });
    }
    const last = rows.at(-1)?.[0];
    if (rows.length === most && typeof last === "number") end = last;
    return window?.[0] ?? null;
  });
  return first.rows();
}

const NO_IDS = new Uint8Array();

/**
 * First the number of the window's last row, or NULL when the window is not full; then its first rows: FTS5's number, and the ids. Bindings: the
 * match, the number before the window, its rows; the place after which rows count and the ids at it; the place that they must not pass; and
 * how many. `isBounded`: whether the two places leave rows out, so that the window has more rows than count.
 */
function firstOfWindow(table: string, descending: boolean, isBounded: boolean): string {
  const [order, before] = descending ? ["", "<"] : [" DESC", ">"];
  const window = `FROM ${table} WHERE ${table} MATCH ?1 AND rowid > ?2 ORDER BY rowid LIMIT`;
  const last = `SELECT s FROM f WHERE ?4 ${before} s ORDER BY s${order} LIMIT 1 OFFSET ?7 - 1`;
  const lastOfWindow = isBounded ? `rowid ${window} 1 OFFSET ?3 - 1` : "iif(count(*) = ?3, max(n), NULL) FROM f";
  return `WITH f AS MATERIALIZED (
      SELECT n, s FROM (SELECT rowid AS n, bm25(${table}) AS s ${window} ?3) WHERE ?4 ${before}= s AND s ${before}= ?6)
    SELECT (SELECT ${lastOfWindow}), NULL
    UNION ALL SELECT * FROM (
      SELECT f.s, x.ids FROM f CROSS JOIN ${NUMBERS} x ON x.n = f.n
      WHERE f.s ${before}= ifnull((${last}), ?6) AND (f.s <> ?4 OR x.ids > ?5)
      ORDER BY f.s${order}, x.ids LIMIT ?7)`;
}

/** Calls `window` with the number after which it begins and how many rows it has, until it returns null: all rows have been ranked. */
async function inWindows(
  sql: Sql,
  source: RankedSource,
  steps: Steps,
  most: number,
  window: (after: number, limit: number) => number | null,
): Promise<void> {
  const words = wordsAskedFor(source.match);
  const postings = await postingsOf(sql, source, words, steps);
  // There are no more rows than places of words.
  if (postings > most && (await countText(sql, source, steps, most)) > most) {
    tooMuch(
      `More than ${most} documents have these words in ${JSON.stringify(source.index.name)}, which is the limit of a search by relevance: add a rarer word or another query, or sort by a column.`,
    );
  }
  const perRow = COST.ranked * (1 + words.length / COST.wordsPerRanked);
  const walk = postings * COST.walkedPosting;
  const room = Math.floor((WINDOW_MICROSECONDS - walk) / perRow);
  const limit = Math.max(SMALLEST_WINDOW, Math.min(LARGEST_WINDOW, room));
  for (let after = 0; ;) {
    const last = window(after, limit);
    steps.spend(COST.statement + walk + Math.min(limit, postings) * (perRow + COST.orderedRow));
    if (last === null) return;
    after = last;
    await steps.rest();
  }
}

/** In how many documents the words are, added up over the words. Refuses words over which a statement would walk for too long. */
async function postingsOf(sql: Sql, { index }: RankedSource, words: readonly string[], steps: Steps): Promise<number> {
  const ofWord = `SELECT doc FROM ${vocabularyTable(index.id)} WHERE term = ?1`;
  const known = new Map<string, number>();
  let postings = 0;
  for (const word of words) {
    let documents = known.get(word);
    if (documents === undefined) {
      const [row] = sql.exec(ofWord, word).raw<[number]>();
      documents = row?.[0] ?? 0;
      known.set(word, documents);
      steps.spend(COST.statement + documents * COST.walkedPosting);
      await steps.rest();
    }
    postings += documents;
    if (postings > MAX_RANKED_POSTINGS) {
      tooMuch(
        `The words are in more than ${MAX_RANKED_POSTINGS} documents of ${JSON.stringify(index.name)}, added up over the words, which is the limit of a search by relevance: use fewer or rarer words, or sort by a column.`,
      );
    }
  }
  return postings;
}

/** Refuses a beginning of words that stands for too many of them: FTS5 would put all their lists together at once. */
export async function checkPrefix(sql: Sql, { index, prefix }: TextSource, steps: Steps): Promise<void> {
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
    steps.spend(COST.statement + some.length * COST.hit);
    await steps.rest();
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
