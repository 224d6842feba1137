/**
 * Classes of characters, as far as cutting needs them. The common letters have a table, which says what workerd's `Intl.Segmenter` does with
 * them at a tenth of its cost (Unicode UAX 29, and as in Chromium "example.com" is two words); whatever is not in the table is for the segmenter.
 */

/** Parts words, and parts phrases of CJK characters: punctuation, symbols. */
export const PUNCTUATION = 0;
/** Parts words only: spaces, controls, marks without a letter. */
export const SPACE = 1;
export const LETTER = 2;
export const DIGIT = 3;
/** `_`: goes on with whatever stands beside it. */
export const JOINER = 4;
/** `·` between letters is part of the word. */
export const MID_LETTER = 5;
/** `.` and `,` between digits are part of the number. */
export const MID_NUMBER = 6;
/** `'`: both. */
export const MID_BOTH = 7;
/** One token by itself. */
export const CJK = 8;
/** The first half of a CJK character outside the basic plane. */
export const CJK_PAIR = 9;
/** Not in the table: the segmenter decides about the whole run. */
export const OTHER = 10;

/** Latin, Greek and Cyrillic end here. */
const TABLE_END = 0x530;

const TABLE = new Uint8Array(TABLE_END).map((_, code) => classOfCommon(code));

function classOfCommon(code: number): number {
  const char = String.fromCharCode(code);
  if (char === "_") return JOINER;
  if (char === "·") return MID_LETTER;
  if (char === "." || char === "," || char === ";") return MID_NUMBER;
  if (char === "'") return MID_BOTH;
  if (/[0-9]/.test(char)) return DIGIT;
  // Modifier letters and combining marks have rules of their own.
  if (code >= 0x250 && code < 0x370) return OTHER;
  if (/\p{Alphabetic}/u.test(char)) return LETTER;
  if (/[\s\p{Cc}]/u.test(char)) return SPACE;
  return code < 0x250 && /[\p{P}\p{S}]/u.test(char) && char !== "\u00ad" ? PUNCTUATION : OTHER;
}

/** The class of a UTF-16 unit of a folded text. */
export function classOf(code: number): number {
  if (code < TABLE_END) return TABLE[code] ?? OTHER;
  if (code < 0x2010) return OTHER;
  if (code < 0x2e80) {
    const isPlain = (code <= 0x2017 || (code >= 0x201a && code <= 0x2023)) && code !== 0x2019;
    return isPlain ? PUNCTUATION : OTHER;
  }
  if (code < 0x3000) return CJK;
  if (code < 0x3040) {
    if (code === 0x3000) return SPACE;
    const isHan = code >= 0x3005 && code <= 0x3007;
    return isHan || (code >= 0x3021 && code <= 0x3029) || (code >= 0x3038 && code <= 0x303c) ? CJK : PUNCTUATION;
  }
  if (code < 0x3100) {
    if (code === 0x3099 || code === 0x309a) return SPACE;
    if (code === 0x30a0 || code === 0x30fb || code === 0x3040 || code === 0x309b || code === 0x309c) return PUNCTUATION;
    return CJK;
  }
  if (code < 0x31f0) return OTHER;
  if (code < 0x3200) return CJK;
  if (code < 0x3400) return OTHER;
  if (code < 0xa000) return code >= 0x4dc0 && code < 0x4e00 ? PUNCTUATION : CJK;
  if (code >= 0xac00 && code <= 0xd7a3) return CJK;
  if (code >= 0xd840 && code <= 0xd88d) return CJK_PAIR;
  if (code >= 0xf900 && code < 0xfb00) return CJK;
  return code >= 0xfe00 && code <= 0xfe0f ? SPACE : OTHER;
}
