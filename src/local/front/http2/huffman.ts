/** The Huffman code of HTTP/2's headers (RFC 7541, section 5.2 and appendix B). Only decoding: our answers are short, and are sent as they are. */

/** The length of each byte's code in bits, and that of the end of string. Codes of one length count upwards, the shorter ones first. */
const CODE_LENGTHS: readonly number[] = [
  13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28,
  28, 28, 28, 6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, 5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10,
  13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6, 15, 5, 6, 5, 6,
  5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5, 6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28, 20, 22, 20, 20, 22, 22, 22, 23,
  22, 23, 23, 23, 23, 23, 24, 23, 24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24, 22, 21, 20, 22, 22,
  23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23, 26, 26,
  20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25, 19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27,
  27, 20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23, 26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27,
  27, 27, 27, 26, 30,
];

const END_OF_STRING = 256;

/** A node of the tree of codes has a row of 16: what follows each half byte. No code is shorter than five bits, so one ends at most. */
const HALF_BYTES = 16;
const BITS_OF_HALF = 4;

/** In an entry: the next node in the low bits; the byte that ended, if one did. */
const NODE_MASK = 0x1ff;
const SYMBOL_SHIFT = 9;
const HAS_SYMBOL = 1 << 17;
const INVALID = -1;

interface Tree {
  readonly entries: Int32Array;
  /** By node: whether the string may end there. It may within up to seven bits that are all 1. */
  readonly mayEnd: Uint8Array;
}

const ROOT = 0;
const { entries, mayEnd } = treeOf(CODE_LENGTHS);

/** null: the bytes are no code. */
export function decodeHuffman(bytes: Buffer, from: number, to: number): string | null {
  const text = Buffer.allocUnsafe(Math.floor(((to - from) * 8) / 5) + 1);
  let length = 0;
  let node = ROOT;
  for (let at = from; at < to; at++) {
    const byte = bytes[at] ?? 0;
    for (const half of [byte >> BITS_OF_HALF, byte & 0xf]) {
      const entry = entries[node * HALF_BYTES + half] ?? INVALID;
      if (entry === INVALID) return null;
      if ((entry & HAS_SYMBOL) !== 0) text[length++] = (entry >> SYMBOL_SHIFT) & 0xff;
      node = entry & NODE_MASK;
    }
  }
  return mayEnd[node] === 1 ? text.toString("latin1", 0, length) : null;
}

function treeOf(lengths: readonly number[]): Tree {
  // Of each inner node both children: an inner node, or -1 - symbol.
  const children: [number, number][] = [[0, 0]];
  const isPadding = [1];
  const add = (symbol: number, code: number, length: number): void => {
    let node = ROOT;
    for (let bit = length - 1; bit >= 0; bit--) {
      const side = ((code >>> bit) & 1) as 0 | 1; // One bit.
      const pair = children[node];
      if (pair === undefined) throw new Error("expected a prefix code");
      if (bit === 0) {
        pair[side] = -1 - symbol;
      } else if (pair[side] === 0) {
        isPadding.push(isPadding[node] === 1 && side === 1 && length - bit <= 7 ? 1 : 0);
        pair[side] = children.push([0, 0]) - 1;
        node = pair[side];
      } else {
        node = pair[side];
      }
    }
  };
  let code = 0;
  for (let length = 1; length <= 30; length++) {
    for (const [symbol, its] of lengths.entries()) if (its === length) add(symbol, code++, length);
    code *= 2;
  }

  const table = new Int32Array(children.length * HALF_BYTES);
  for (let node = 0; node < children.length; node++) {
    for (let half = 0; half < HALF_BYTES; half++) table[node * HALF_BYTES + half] = entryOf(children, node, half);
  }
  return { entries: table, mayEnd: Uint8Array.from(isPadding) };
}

function entryOf(children: readonly (readonly [number, number])[], from: number, half: number): number {
  let node = from;
  let symbol = 0;
  for (let bit = BITS_OF_HALF - 1; bit >= 0; bit--) {
    const next = children[node]?.[((half >> bit) & 1) as 0 | 1] ?? 0; // One bit.
    if (next === -1 - END_OF_STRING) return INVALID;
    if (next < 0) symbol = HAS_SYMBOL | ((-1 - next) << SYMBOL_SHIFT);
    node = Math.max(ROOT, next);
  }
  return symbol | node;
}
