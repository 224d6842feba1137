/** The tokens of a text with their places in it, for marking them. Slower than cutting, and only for the few texts that are shown. */
import { isCjk, tokensOf } from "./cut.ts";

export interface Piece {
  /** UTF-16 units of the text, from `start` to before `end`. */
  readonly start: number;
  readonly end: number;
  /** Folded. Several only where one character stands for several, such as ㍿. */
  readonly tokens: readonly string[];
}

const segmenter = new Intl.Segmenter("en", { granularity: "word" });

/** The parts of a text that have tokens, in order. A piece is a word, or a CJK character with its marks. */
export function piecesOf(text: string): Piece[] {
  const pieces: Piece[] = [];
  for (const { segment, index } of segmenter.segment(text)) {
    const whole = tokensOf(segment);
    if (whole.length === 0) continue;
    if (!whole.some(isCjk)) {
      pieces.push({ start: index, end: index + segment.length, tokens: whole });
      continue;
    }
    for (const { 0: character, index: at } of segment.matchAll(/\P{M}\p{M}*|\p{M}+/gu)) {
      const tokens = tokensOf(character);
      const start = index + at;
      const before = pieces.at(-1);
      if (tokens.length === 0) continue;
      // Letters beside each other in one segment are one word.
      if (before?.end === start && !tokens.some(isCjk) && !before.tokens.some(isCjk)) {
        pieces[pieces.length - 1] = {
          start: before.start,
          end: start + character.length,
          tokens: tokensOf(text.slice(before.start, start + character.length)),
        };
      } else {
        pieces.push({ start, end: start + character.length, tokens });
      }
    }
  }
  return pieces;
}
