/** Patterns of `wildcard`: `*` stands for any characters, `?` for exactly one. Everything else stands for itself. */

/** Whether a text has the pattern's form. Takes at most the product of the two lengths, whatever the pattern is. */
export function wildcardTest(pattern: string): (text: string) => boolean {
  const wanted = Array.from(pattern);
  const isPlain = !hasPairs(pattern);
  return (text) => hasForm(wanted, isPlain && !hasPairs(text) ? text : Array.from(text));
}

/** Whether a character of the text takes two units. */
function hasPairs(text: string): boolean {
  return /[\ud800-\udfff]/.test(text);
}

function hasForm(pattern: readonly string[], text: string | readonly string[]): boolean {
  let at = 0;
  let next = 0;
  // Where to go on when what follows the last `*` does not fit here.
  let star = -1;
  let afterStar = 0;
  while (at < text.length) {
    const wanted = pattern[next];
    if (wanted === "*") {
      star = next;
      afterStar = at;
      next += 1;
    } else if (wanted !== undefined && (wanted === "?" || wanted === text[at])) {
      at += 1;
      next += 1;
    } else if (star >= 0) {
      afterStar += 1;
      at = afterStar;
      next = star + 1;
    } else {
      return false;
    }
  }
  while (pattern[next] === "*") next += 1;
  return next === pattern.length;
}

/** What every text of this form begins with. */
export function literalStart(pattern: string): string {
  return /^[^*?]*/.exec(pattern)?.[0] ?? "";
}

/** The longest text that is in every text of this form. Empty: there is none. */
export function longestLiteral(pattern: string): string {
  return pattern.split(/[*?]+/).reduce((longest, part) => (part.length > longest.length ? part : longest), "");
}
