/** Patterns of `wildcard`: `*` stands for any characters, `?` for exactly one. Everything else stands for itself. */

/** Characters of a text or a pattern: of a string when each takes one unit, otherwise a list. */
type Characters = string | readonly string[];

/** Whether a text has the pattern's form. Takes at most the characters of the text times an eighth of those of the pattern. */
export function wildcardTest(pattern: string): (text: string) => boolean {
  const parts = pattern.split("*").map((part) => new Part(Array.from(part)));
  const isPlain = !hasPairs(pattern);
  return (text) => hasForm(parts, isPlain && !hasPairs(text) ? text : Array.from(text));
}

/** Whether a character of the text takes two units. */
function hasPairs(text: string): boolean {
  return /[\ud800-\udfff]/.test(text);
}

/** The first part stands at the start, the last one at the end, and each one between as early as it can. */
function hasForm(parts: readonly Part[], text: Characters): boolean {
  const [first, ...others] = parts;
  const last = others.pop();
  if (first === undefined || !first.standsAt(text, 0)) return false;
  if (last === undefined) return first.length === text.length;
  let at = first.length;
  for (const part of others) {
    const end = part.endIn(text, at);
    if (end < 0) return false;
    at = end;
  }
  return text.length - last.length >= at && last.standsAt(text, text.length - last.length);
}

const WORD_BITS = 32;

/** What stands between two `*`. Is found by the bits of all its beginnings that end here (Baeza-Yates and Gonnet, "Shift-And"). */
class Part {
  readonly #wanted: readonly string[];
  /** For a character, a bit for each place in the part where it may stand. */
  #places: ReadonlyMap<string, Uint32Array> | null = null;
  #anywhere = new Uint32Array();
  /** Of the text that is looked at: which beginnings of the part end at a place. A pattern may have a hundred parts, each met by each text. */
  #state = new Uint32Array();

  constructor(wanted: readonly string[]) {
    this.#wanted = wanted;
  }

  get length(): number {
    return this.#wanted.length;
  }

  standsAt(text: Characters, at: number): boolean {
    return this.#wanted.every((wanted, i) => at + i < text.length && (wanted === "?" || wanted === text[at + i]));
  }

  /** Where the part ends when it stands as early as it can from `from` on. -1: it does not stand there. */
  endIn(text: Characters, from: number): number {
    if (this.length === 0) return from;
    const places = this.#placesOfCharacters();
    const words = this.#anywhere.length;
    const isWhole = 1 << ((this.length - 1) % WORD_BITS);
    const state = this.#state.fill(0);
    for (let at = from; at < text.length; at += 1) {
      const here = places.get(text[at] ?? "") ?? this.#anywhere;
      let carry = 1;
      for (let word = 0; word < words; word += 1) {
        const before = state[word] ?? 0;
        state[word] = ((before << 1) | carry) & (here[word] ?? 0);
        carry = before >>> (WORD_BITS - 1);
      }
      if (((state[words - 1] ?? 0) & isWhole) !== 0) return at + 1;
    }
    return -1;
  }

  #placesOfCharacters(): ReadonlyMap<string, Uint32Array> {
    if (this.#places !== null) return this.#places;
    const anywhere = new Uint32Array(Math.ceil(this.length / WORD_BITS));
    for (const [i, wanted] of this.#wanted.entries()) if (wanted === "?") setBit(anywhere, i);
    const places = new Map<string, Uint32Array>();
    for (const [i, wanted] of this.#wanted.entries()) {
      if (wanted === "?") continue;
      const bits = places.get(wanted) ?? Uint32Array.from(anywhere);
      setBit(bits, i);
      places.set(wanted, bits);
    }
    [this.#places, this.#anywhere] = [places, anywhere];
    this.#state = new Uint32Array(anywhere.length);
    return places;
  }
}

function setBit(bits: Uint32Array, i: number): void {
  const word = Math.floor(i / WORD_BITS);
  bits[word] = (bits[word] ?? 0) | (1 << (i % WORD_BITS));
}

/** What every text of this form begins with. */
export function literalStart(pattern: string): string {
  return /^[^*?]*/.exec(pattern)?.[0] ?? "";
}

/** The longest text that is in every text of this form. Empty: there is none. */
export function longestLiteral(pattern: string): string {
  return pattern.split(/[*?]+/).reduce((longest, part) => (part.length > longest.length ? part : longest), "");
}
