/**
 * The words of a query's text, and what FTS5 is asked for. A word of several CJK characters, as the segmenter finds it, is asked as a phrase
 * of them OR as the single characters: so 米饭 finds rows with 米 too, and rows with the whole word rank first.
 *
 * Whatever a text holds, it is asked as quoted tokens of our own cutting. So FTS5's syntax in a text is only ever text.
 */
import { BREAK, isCjk, tokensOf } from "./cut.ts";

/** One word as tokens: one token, or the CJK characters of the word. */
export type Word = readonly [string, ...string[]];

const segmenter = new Intl.Segmenter("en", { granularity: "word" });

/** The words of a text, in order, each as often as it stands there. */
export function wordsOf(text: string): Word[] {
  // The parts of a text between spaces, because a Hangul word ends only there.
  return text.split(/\s+/u).flatMap((part) => wordsOfTokens(tokensOf(part)));
}

function wordsOfTokens(tokens: readonly string[]): Word[] {
  const words: Word[] = [];
  let run = "";
  for (const token of [...tokens, BREAK]) {
    if (isCjk(token)) {
      run += token;
      continue;
    }
    // Most words of a query are none of such characters, and the segmenter takes long to be asked.
    if (run !== "") {
      for (const { segment } of segmenter.segment(run)) {
        const [first, ...others] = segment;
        if (first !== undefined) words.push([first, ...others]);
      }
      run = "";
    }
    if (token !== BREAK) words.push([token]);
  }
  return words;
}

/** Tokens beside each other, in this order. No token holds a `"` (`cut.ts`). */
export function phrase(tokens: readonly string[]): string {
  return `"${tokens.join(" ")}"`;
}

/** Rows with any of the words. */
export function anyWord(words: readonly Word[]): string {
  return [...new Set(words.flatMap(askedAs))].join(" OR ");
}

/** Rows with each of the words. A word of several characters needs all of them; beside each other they rank higher. */
export function everyWord(words: readonly Word[]): string {
  const asked = words.map((word) =>
    word.length === 1 ? phrase(word) : `(${phrase(word)} OR (${word.map((char) => phrase([char])).join(" AND ")}))`,
  );
  return [...new Set(asked)].join(" AND ");
}

/** Rows where the tokens stand beside each other, and the last one begins a word. A CJK character is a word by itself. */
export function beginning(tokens: readonly string[]): string {
  const last = tokens.at(-1) ?? "";
  return isCjk(last) ? phrase(tokens) : `${phrase(tokens)} *`;
}

function askedAs(word: Word): string[] {
  return word.length === 1 ? [phrase(word)] : [phrase(word), ...word.map((char) => phrase([char]))];
}

/** The tokens in what FTS5 is asked for, each as often as it is looked up. null: FTS5 is asked for no word. */
export function wordsAskedFor(match: string | null): string[] {
  return Array.from(match?.matchAll(/"([^"]*)"/g) ?? [], ([, tokens = ""]) => tokens.split(" ")).flat();
}
