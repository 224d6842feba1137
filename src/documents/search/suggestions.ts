/** `suggest`: words of a text column that begin as somebody has begun to write, from the documents of the index. */
import { toBinaryText } from "../../core/bytes.ts";
import { MAX_SUGGESTION_DOCUMENTS, MAX_SUGGESTIONS } from "../../core/search-limits.ts";
import type { Sql } from "../../core/storage.ts";
import { objectOf, refuse } from "../../codec/json-notation/members.ts";
import { described } from "../../codec/json-notation/place.ts";
import type { DocumentTable } from "../index/registry.ts";
import { isCjk, tokensOf } from "../text/cut.ts";
import { beginning, wordsOf } from "../text/words.ts";
import { TextCursor } from "./cursors.ts";
import type { DocumentReader } from "./documents.ts";
import { readColumn, textIn } from "./query.ts";
import { checkPrefix } from "./ranking.ts";
import { checkColumn, type TextSource, typesOf } from "./sources.ts";
import type { Steps } from "./steps.ts";

export interface SuggestRequest {
  readonly column: string;
  /** The begun word is the last token. */
  readonly tokens: readonly string[];
  readonly limit: number;
}

/** Reads `suggest`. null: it is not asked for. */
export function readSuggest(json: unknown): SuggestRequest | null {
  if (json === undefined || json === null) return null;
  const given = objectOf(json, "suggest", `{"column":"title","prefix":"rest"}`);
  const limit = given["limit"] ?? 10;
  if (typeof limit !== "number" || !Number.isInteger(limit) || limit < 1 || limit > MAX_SUGGESTIONS) {
    return refuse(`suggest.limit is ${described(limit)}; it must be an integer from 1 to ${MAX_SUGGESTIONS}.`);
  }
  return { column: readColumn(given, "suggest"), tokens: tokensOf(textIn(given, "suggest", "prefix")), limit };
}

/** The words that most of the first documents have, each with how many do. */
export async function suggestions(
  sql: Sql,
  table: DocumentTable,
  { column, tokens, limit }: SuggestRequest,
  reader: DocumentReader,
  steps: Steps,
): Promise<readonly { readonly text: string; readonly documents: number }[]> {
  checkColumn(table, column, "suggest.column", typesOf(table, column), ["text"]);
  const index = table.index(column, "", "text");
  const begun = tokens.at(-1);
  if (index === undefined || begun === undefined) return [];
  const source: TextSource = { kind: "text", index, match: beginning(tokens), prefix: isCjk(begun) ? null : begun };
  await checkPrefix(sql, source, steps);
  const cursor = new TextCursor(sql, source);
  const counts = new Map<string, number>();
  const seen = new Set<string>();
  for (let hits = cursor.next(100); hits !== null && seen.size < MAX_SUGGESTION_DOCUMENTS; hits = cursor.next(100)) {
    await reader.each(hits, {}, ({ ids, columns }) => {
      seen.add(toBinaryText(ids));
      const value = columns[column];
      const texts: unknown[] = Array.isArray(value) ? value : [value];
      const found = new Set(texts.flatMap((text) => (typeof text === "string" ? completions(text, tokens) : [])));
      for (const word of found) counts.set(word, (counts.get(word) ?? 0) + 1);
      return true;
    });
  }
  return Array.from(counts, ([text, documents]) => ({ text, documents }))
    .toSorted((a, b) => b.documents - a.documents || (a.text < b.text ? -1 : 1))
    .slice(0, limit);
}

/** Texts longer than this are looked at no further for a suggestion. */
const MAX_LOOKED_AT_CHARS = 2_000;

/** What stands in a text after the tokens before the last one, and begins as the last one: whole words. */
function completions(text: string, tokens: readonly string[]): string[] {
  const words = wordsOf(text.slice(0, MAX_LOOKED_AT_CHARS));
  const wanted = tokens.join(isCjk(tokens.at(-1) ?? "") ? "" : " ");
  const found: string[] = [];
  for (let at = 0; at < words.length; at += 1) {
    // As many words as there are tokens hold what was written.
    let joined = "";
    for (const word of words.slice(at, at + tokens.length)) {
      const isOfCharacters = isCjk(word[0]) && joined !== "" && isCjk(joined.at(-1) ?? "");
      joined += `${joined === "" || isOfCharacters ? "" : " "}${word.join("")}`;
      if (joined.startsWith(wanted)) {
        found.push(joined);
        break;
      }
    }
  }
  return found;
}
