/**
 * How text is cut into tokens, for the index and for queries alike. Each CJK character (Han, kana, Hangul syllable) is one token; in other
 * scripts a token is a word, as `Intl.Segmenter` finds it. Tokens are folded (`fold.ts`). So a phrase is exact, and 米 is found in 米饭.
 *
 * Punctuation beside a CJK character leaves a token of its own, `BREAK`, so that a phrase never goes on past the end of a sentence; between
 * words of other scripts it leaves none, and "Hello, world" has the phrase "hello world". Spaces never part a phrase.
 */
import { MAX_WORD_CHARS } from "../../core/document-limits.ts";
import {
  CJK,
  CJK_PAIR,
  classOf,
  DIGIT,
  JOINER,
  LETTER,
  MID_BOTH,
  MID_LETTER,
  MID_NUMBER,
  OTHER,
  PUNCTUATION,
} from "./characters.ts";
import { foldForms, foldRun, isAscii } from "./fold.ts";

/** Stands where a phrase ends. No word can be this. */
export const BREAK = "|";

/** The argument of FTS5's `tokenize`: a token ends at a space and nowhere else, because cutting has been done. */
export const FTS_TOKENIZER = `ascii tokenchars '_.,;|'''`;

const segmenter = new Intl.Segmenter("en", { granularity: "word" });

/** The tokens of several texts as one text, with spaces between tokens: what is stored in FTS5. No phrase goes from one text to the next. */
export function cutTexts(texts: readonly string[]): string {
  const tokens: string[] = [];
  for (const text of texts) {
    if (tokens.length > 0) tokens.push(BREAK);
    cutInto(tokens, text);
  }
  return tokens.join(" ");
}

/** The tokens of a text, in order, `BREAK` among them. */
export function tokensOf(text: string): string[] {
  const tokens: string[] = [];
  cutInto(tokens, text);
  return tokens;
}

/** Whether a token is a CJK character. */
export function isCjk(token: string): boolean {
  const kind = classOf(token.charCodeAt(0));
  return kind === CJK || kind === CJK_PAIR;
}

function cutInto(tokens: string[], text: string): void {
  const folded = foldForms(text);
  const atBreak = new Breaks(tokens);
  if (isAscii(folded)) {
    for (const word of folded.match(ASCII_WORDS) ?? []) if (!ONLY_JOINERS.test(word)) atBreak.word(word);
    return;
  }
  const { length } = folded;
  let at = 0;
  while (at < length) {
    const kind = classOf(folded.charCodeAt(at));
    if (kind === CJK || kind === CJK_PAIR) {
      const end = kind === CJK ? at + 1 : at + 2;
      atBreak.cjk(folded.slice(at, end));
      at = end;
      continue;
    }
    let end = at;
    let isCommon = true;
    for (; end < length; end += 1) {
      const next = classOf(folded.charCodeAt(end));
      if (next === CJK || next === CJK_PAIR) break;
      if (next === OTHER) isCommon = false;
    }
    // Letters with accents are in the table, and are folded nevertheless.
    const run = foldRun(folded.slice(at, end));
    if (isCommon) cutCommon(atBreak, run);
    else cutOther(atBreak, run);
    at = end;
  }
}

/** Puts a `BREAK` between two tokens with punctuation between them, when one of the two is a CJK character. */
class Breaks {
  readonly #tokens: string[];
  #seen: "nothing" | "word" | "cjk" = "nothing";
  #isPending = false;

  constructor(tokens: string[]) {
    this.#tokens = tokens;
  }

  punctuation(): void {
    this.#isPending = true;
  }

  cjk(char: string): void {
    if (this.#isPending && this.#seen !== "nothing") this.#tokens.push(BREAK);
    this.#isPending = false;
    this.#seen = "cjk";
    this.#tokens.push(char);
  }

  word(word: string): void {
    if (this.#isPending && this.#seen === "cjk") this.#tokens.push(BREAK);
    this.#isPending = false;
    this.#seen = "word";
    this.#tokens.push(word.length > MAX_WORD_CHARS ? shortened(word) : word);
  }
}

/** Never half a surrogate pair. */
function shortened(word: string): string {
  const end = (word.codePointAt(MAX_WORD_CHARS - 1) ?? 0) > 0xffff ? MAX_WORD_CHARS - 1 : MAX_WORD_CHARS;
  return word.slice(0, end);
}

/** What `cutCommon` does with a text without any other characters, which is the most common text. */
const ASCII_WORDS = /(?:[a-z0-9_]|(?<=[a-z])'(?=[a-z])|(?<=[0-9])[.,;'](?=[0-9]))+/g;
const ONLY_JOINERS = /^_+$/;

/** The segmenter's rules for characters of the table: `test/documents/text/cut.test.ts` compares the two. */
function cutCommon(to: Breaks, run: string): void {
  const { length } = run;
  let at = 0;
  while (at < length) {
    const kind = classOf(run.charCodeAt(at));
    if (kind !== LETTER && kind !== DIGIT && kind !== JOINER) {
      if (kind === PUNCTUATION || kind >= MID_LETTER) to.punctuation();
      at += 1;
      continue;
    }
    const start = at;
    let isWord = false;
    let before = kind;
    for (; at < length; at += 1) {
      const next = classOf(run.charCodeAt(at));
      if (next === LETTER || next === DIGIT || next === JOINER) {
        before = next;
        if (next !== JOINER) isWord = true;
        continue;
      }
      const after = at + 1 < length ? classOf(run.charCodeAt(at + 1)) : PUNCTUATION;
      const joinsLetters = before === LETTER && after === LETTER && (next === MID_LETTER || next === MID_BOTH);
      const joinsDigits = before === DIGIT && after === DIGIT && (next === MID_NUMBER || next === MID_BOTH);
      if (!joinsLetters && !joinsDigits) break;
    }
    if (isWord) to.word(run.slice(start, at));
    else to.punctuation();
  }
}

const PARTS = /[^\s\p{M}\p{Cc}\p{Cf}]/u;
/** The segmenter takes `_` for a word when it stands beside some characters. */
const HAS_WORD = /[\p{L}\p{N}]/u;

function cutOther(to: Breaks, run: string): void {
  for (const { segment, isWordLike } of segmenter.segment(run)) {
    // A quote inside a Hebrew word would end the quoted text of a query.
    if (isWordLike === true && HAS_WORD.test(segment)) to.word(segment.replaceAll('"', "\u05f4"));
    else if (PARTS.test(segment)) to.punctuation();
  }
}
