/**
 * Base64 as the notation writes it: the URL-safe alphabet, no padding (RFC 4648, section 5). The functions of `core/bytes.ts` write the
 * ordinary alphabet.
 */

const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
const codes = Uint8Array.from(alphabet, (character) => character.charCodeAt(0));

/** The six bits of each ASCII character, 0xff for a character of neither alphabet. `+` and `/` belong to the ordinary alphabet. */
const bitsOfCode = new Uint8Array(128).fill(0xff);
for (const [bits, code] of codes.entries()) bitsOfCode[code] = bits;
bitsOfCode[0x2b] = 62;
bitsOfCode[0x2f] = 63;

const textDecoder = new TextDecoder();

/** How many characters `toBase64Url` writes for so many bytes. */
export function base64UrlLength(byteLength: number): number {
  return Math.ceil((byteLength * 4) / 3);
}

export function toBase64Url(bytes: Uint8Array): string {
  const { length } = bytes;
  const text = new Uint8Array(base64UrlLength(length));
  let at = 0;
  let i = 0;
  // Every index below is within its array, and every index of `codes` has six bits.
  for (; i + 2 < length; i += 3) {
    const bits = ((bytes[i] as number) << 16) | ((bytes[i + 1] as number) << 8) | (bytes[i + 2] as number);
    text[at++] = codes[bits >> 18] as number;
    text[at++] = codes[(bits >> 12) & 63] as number;
    text[at++] = codes[(bits >> 6) & 63] as number;
    text[at++] = codes[bits & 63] as number;
  }
  if (i < length) {
    const bits = ((bytes[i] as number) << 16) | ((bytes[i + 1] ?? 0) << 8);
    text[at++] = codes[bits >> 18] as number;
    text[at++] = codes[(bits >> 12) & 63] as number;
    if (i + 1 < length) text[at++] = codes[(bits >> 6) & 63] as number;
  }
  return textDecoder.decode(text);
}

/**
 * Also accepts the ordinary alphabet, and complete padding. Undefined for any other character, for a length that no bytes have, and for
 * bits that belong to no byte.
 */
export function fromBase64Url(text: string): Uint8Array<ArrayBuffer> | undefined {
  let { length } = text;
  if (length % 4 === 0 && text.endsWith("=")) length -= text.endsWith("==") ? 2 : 1;
  const rest = length % 4;
  if (rest === 1) return undefined;
  const bytes = new Uint8Array((length * 3) >> 2);
  let at = 0;
  let i = 0;
  const end = length - rest;
  for (; i < end; i += 4) {
    const bits =
      (bitsAt(text, i) << 18) | (bitsAt(text, i + 1) << 12) | (bitsAt(text, i + 2) << 6) | bitsAt(text, i + 3);
    if (bits < 0) return undefined;
    bytes[at++] = bits >> 16;
    bytes[at++] = bits >> 8;
    bytes[at++] = bits;
  }
  if (rest > 0) {
    const bits = (bitsAt(text, i) << 18) | (bitsAt(text, i + 1) << 12) | (rest === 3 ? bitsAt(text, i + 2) << 6 : 0);
    if (bits < 0 || (bits & (rest === 3 ? 0xff : 0xffff)) !== 0) return undefined;
    bytes[at++] = bits >> 16;
    if (rest === 3) bytes[at++] = bits >> 8;
  }
  return bytes;
}

/** Negative for a character that is not of base64, also after a shift of up to 18 bits. */
function bitsAt(text: string, index: number): number {
  const bits = bitsOfCode[text.charCodeAt(index)] ?? 0xff;
  return bits === 0xff ? -1 : bits;
}
