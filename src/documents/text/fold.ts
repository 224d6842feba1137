/**
 * Folding: texts that a reader takes for the same word become the same characters. NFKC, small letters, no diacritics. Diacritics are only
 * the accents of Latin, Greek and Cyrillic, Arabic vowel marks and Hebrew points: the marks of Thai or Hindi, the voice marks of kana and the
 * parts of a Hangul syllable make another word, and stay.
 */

const ASCII = /^[\0-\x7f]*$/;
const MARKS = new RegExp(
  String.raw`[\u0300-\u036f\u0483-\u0487\u0591-\u05bd\u05bf\u05c1\u05c2\u05c4\u05c5\u05c7\u0610-\u061a\u064b-\u065f\u0670\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f]`,
  "g",
);
/** Characters inside a word that nobody sees: soft hyphens, marks of direction, joiners of no width. */
const INVISIBLE = /[\u00ad\u061c\u200e\u200f\u2060\ufeff]/g;
/** Letters with a stroke, ligatures and quotes, which no normalisation takes apart. */
const LETTERS: Readonly<Record<string, string>> = {
  ß: "ss",
  æ: "ae",
  œ: "oe",
  ø: "o",
  ł: "l",
  đ: "d",
  ħ: "h",
  ŧ: "t",
  ı: "i",
  ς: "σ",
  "‘": "'",
  "’": "'",
};
const FOLDED_LETTERS = /[ßæœøłđħŧıς‘’]/g;

export function isAscii(text: string): boolean {
  return ASCII.test(text);
}

/** What may be done to a whole text: full-width letters, ligatures, half-width kana; small letters. */
export function foldForms(text: string): string {
  if (isAscii(text)) return text.toLowerCase();
  return text.normalize("NFKC").toLowerCase();
}

/** The rest of folding, for a run without CJK characters, whose marks must stay. `run` has been through `foldForms`. */
export function foldRun(run: string): string {
  if (isAscii(run)) return run;
  return run
    .normalize("NFKD")
    .replace(MARKS, "")
    .replace(INVISIBLE, "")
    .replace(FOLDED_LETTERS, (letter) => LETTERS[letter] ?? letter)
    .normalize("NFKC")
    .toLowerCase();
}
