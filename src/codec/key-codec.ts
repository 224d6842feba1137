/**
 * Keys as byte strings whose memcmp order is the order of the keys: Uint8Array < string < bigint < number < boolean, by value within a
 * type, and a key before every key that it is a prefix of. The encoding is Deno KV's own. It is one to one: bytes that can be decoded are
 * exactly the bytes that the decoded key encodes to (except for the sign of a NaN, which JavaScript may lose). How long a key may be is
 * decided where keys are used.
 */
import { isPlainInJson } from "./plain-byte.ts";
import { assert } from "../core/assert.ts";
import { failure, type Failure } from "../core/errors.ts";
import { MAX_KEY_BIGINT_BYTES } from "../core/limits.ts";

export type KeyPart = Uint8Array | string | bigint | number | boolean;
export type Key = readonly KeyPart[];

const Tag = {
  bytes: 0x01,
  string: 0x02,
  longNegative: 0x0b,
  zero: 0x14,
  longPositive: 0x1d,
  number: 0x21,
  false: 0x26,
  true: 0x27,
} as const;

/** Inside a byte string or a string, a zero is written as 00 ff. A zero without a following ff ends the part. */
const ESCAPE = 0xff;

/** Bigints of at most this many bytes need no length byte: their tag gives the length. */
const MAX_TAGGED_BIGINT_BYTES = 8;

const textEncoder = new TextEncoder();
const textDecoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/**
 * The bytes of a key. As in Deno, a lone surrogate in a string becomes U+FFFD. Fails with "invalid" for an empty key, a part of another
 * type, or a bigint of more than 255 bytes.
 */
export function encodeKey(key: Key): { readonly ok: true; readonly bytes: Uint8Array<ArrayBuffer> } | Failure {
  if (key.length === 0) return failure("invalid", "a key needs at least one part");
  const parts: Uint8Array<ArrayBuffer>[] = [];
  let length = 0;
  // A loop by index sees a hole as undefined, and refuses it.
  for (let index = 0; index < key.length; index++) {
    const encoded = encodePart(key[index]);
    if (typeof encoded === "string") return failure("invalid", `part ${index} of the key ${encoded}`);
    parts.push(encoded);
    length += encoded.length;
  }
  const [first] = parts;
  if (parts.length === 1 && first !== undefined) return { ok: true, bytes: first };
  const bytes = new Uint8Array(length);
  let offset = 0;
  for (const part of parts) {
    bytes.set(part, offset);
    offset += part.length;
  }
  return { ok: true, bytes };
}

/** The parts of an encoded key, in memory of their own. Fails with "invalid" for bytes that `encodeKey` does not write. */
export function decodeKey(bytes: Uint8Array): { readonly ok: true; readonly key: KeyPart[] } | Failure {
  if (bytes.length === 0) return failure("invalid", "an encoded key needs at least one part, and these are no bytes");
  const key: KeyPart[] = [];
  for (let start = 0; start < bytes.length;) {
    const end = endOfPart(bytes, start);
    if (end < 0)
      return failure("invalid", `part ${key.length} of the encoded key, at byte ${start}, ${flawTexts.get(end)}`);
    key.push(decodePart(bytes, start, end));
    start = end;
  }
  return { ok: true, key };
}

/** Whether `decodeKey` would succeed, at the cost of one pass over the bytes. */
export function isEncodedKey(bytes: Uint8Array): boolean {
  const length = bytes.length;
  if (length === 0) return false;
  let offset = 0;
  while (offset < length) {
    offset = endOfPart(bytes, offset);
    if (offset < 0) return false;
  }
  return true;
}

/** An encoded key with one more string part. A versionstamped key gets its versionstamp in this way. */
export function appendStringPart(encoded: Uint8Array, text: string): Uint8Array<ArrayBuffer> {
  const part = encodeEscaped(Tag.string, textEncoder.encode(text));
  const bytes = new Uint8Array(encoded.length + part.length);
  bytes.set(encoded);
  bytes.set(part, encoded.length);
  return bytes;
}

/** Where the part that begins at `start` ends. When the bytes are no key, the end of all bytes. `start` must be below the length. */
export function partEnd(encoded: Uint8Array, start: number): number {
  const end = endOfPart(encoded, start);
  return end < 0 ? encoded.length : end;
}

/** The bytes of a part, or what is wrong with it, to continue a sentence. `unknown`: callers without types may pass anything. */
function encodePart(part: unknown): Uint8Array<ArrayBuffer> | string {
  switch (typeof part) {
    case "string":
      return encodeEscaped(Tag.string, textEncoder.encode(part));
    case "number":
      return encodeNumber(part);
    case "bigint":
      return encodeBigint(part);
    case "boolean":
      return Uint8Array.of(part ? Tag.true : Tag.false);
    default:
      if (part instanceof Uint8Array) return encodeEscaped(Tag.bytes, part);
      return `is ${part === null ? "null" : `of type ${typeof part}`}; a part is a Uint8Array, string, bigint, number or boolean`;
  }
}

function encodeEscaped(tag: number, content: Uint8Array): Uint8Array<ArrayBuffer> {
  let zeros = 0;
  for (const byte of content) if (byte === 0) zeros++;
  const encoded = new Uint8Array(content.length + zeros + 2);
  encoded[0] = tag;
  if (zeros === 0) {
    encoded.set(content, 1);
    return encoded;
  }
  let offset = 1;
  for (const byte of content) {
    encoded[offset++] = byte;
    if (byte === 0) encoded[offset++] = ESCAPE;
  }
  return encoded;
}

function encodeNumber(value: number): Uint8Array<ArrayBuffer> {
  const encoded = new Uint8Array(9);
  encoded[0] = Tag.number;
  const view = new DataView(encoded.buffer);
  view.setFloat64(1, value);
  const negative = view.getUint8(1) >= 0x80;
  if (Number.isNaN(value)) {
    view.setUint32(1, negative ? 0xfff8_0000 : 0x7ff8_0000);
    view.setUint32(5, 0);
  }
  view.setUint32(1, negative ? ~view.getUint32(1) : view.getUint32(1) ^ 0x8000_0000);
  if (negative) view.setUint32(5, ~view.getUint32(5));
  return encoded;
}

function encodeBigint(value: bigint): Uint8Array<ArrayBuffer> | string {
  if (value === 0n) return Uint8Array.of(Tag.zero);
  const negative = value < 0n;
  const digits = (negative ? -value : value).toString(16);
  const size = Math.ceil(digits.length / 2);
  if (size > MAX_KEY_BIGINT_BYTES) return `is a bigint of ${size} bytes; at most ${MAX_KEY_BIGINT_BYTES} are possible`;
  const header = size <= MAX_TAGGED_BIGINT_BYTES ? 1 : 2;
  const encoded = new Uint8Array(header + size);
  const inverted = negative ? 0xff : 0;
  if (header === 1) {
    encoded[0] = negative ? Tag.zero - size : Tag.zero + size;
  } else {
    encoded[0] = negative ? Tag.longNegative : Tag.longPositive;
    encoded[1] = size ^ inverted;
  }
  const padded = digits.padStart(size * 2, "0");
  for (let i = 0; i < size; i++) encoded[header + i] = Number.parseInt(padded.slice(i * 2, i * 2 + 2), 16) ^ inverted;
  return encoded;
}

/** What `endOfPart` returns when it has no offset. */
const Flaw = { cutShort: -1, unknownTag: -2, notMinimal: -3, notUtf8: -4, notCanonical: -5 } as const;

const flawTexts = new Map<number, string>([
  [Flaw.cutShort, "is cut short"],
  [Flaw.unknownTag, "does not begin with the tag of a type"],
  [Flaw.notMinimal, "is a bigint with leading zeros"],
  [Flaw.notUtf8, "is a string that is not UTF-8"],
  [Flaw.notCanonical, "is a NaN that is not in its canonical form"],
]);

/** Where the part that begins at `start` ends, or a `Flaw`. Only this function decides which bytes are a key. */
function endOfPart(bytes: Uint8Array, start: number): number {
  // The callers ensure start < bytes.length.
  const tag = bytes[start] as number;
  switch (tag) {
    case Tag.string:
      return endOfString(bytes, start + 1);
    case Tag.bytes:
      return endOfBytes(bytes, start + 1);
    case Tag.number:
      return endOfNumber(bytes, start + 1);
    case Tag.zero:
    case Tag.false:
    case Tag.true:
      return start + 1;
    case Tag.longPositive:
    case Tag.longNegative: {
      const inverted = tag === Tag.longNegative ? 0xff : 0;
      const size = bytes[start + 1];
      if (size === undefined) return Flaw.cutShort;
      if ((size ^ inverted) <= MAX_TAGGED_BIGINT_BYTES) return Flaw.notMinimal;
      return endOfMagnitude(bytes, start + 2, size ^ inverted, inverted);
    }
    default:
      if (tag < Tag.longNegative || tag > Tag.longPositive) return Flaw.unknownTag;
      return endOfMagnitude(bytes, start + 1, Math.abs(tag - Tag.zero), tag < Tag.zero ? 0xff : 0);
  }
}

function endOfMagnitude(bytes: Uint8Array, start: number, size: number, zero: number): number {
  if (start + size > bytes.length) return Flaw.cutShort;
  return bytes[start] === zero ? Flaw.notMinimal : start + size;
}

function endOfNumber(bytes: Uint8Array, start: number): number {
  const end = start + 8;
  if (end > bytes.length) return Flaw.cutShort;
  // All eight bytes are there.
  const first = bytes[start] as number;
  const second = bytes[start + 1] as number;
  // Only NaNs lie beyond the infinities, ff f0 00… and 00 0f ff….
  if (first === 0xff) {
    if (second < 0xf0) return end;
    const isInfinity = second === 0xf0 && isFilled(bytes, start + 2, end, 0x00);
    const isNan = second === 0xf8 && isFilled(bytes, start + 2, end, 0x00);
    return isInfinity || isNan ? end : Flaw.notCanonical;
  }
  if (first === 0x00) {
    if (second > 0x0f) return end;
    const isInfinity = second === 0x0f && isFilled(bytes, start + 2, end, 0xff);
    const isNan = second === 0x07 && isFilled(bytes, start + 2, end, 0xff);
    return isInfinity || isNan ? end : Flaw.notCanonical;
  }
  return end;
}

function isFilled(bytes: Uint8Array, start: number, end: number, value: number): boolean {
  for (let i = start; i < end; i++) if (bytes[i] !== value) return false;
  return true;
}

function endOfBytes(bytes: Uint8Array, start: number): number {
  let zero = bytes.indexOf(0, start);
  while (zero >= 0 && bytes[zero + 1] === ESCAPE) zero = bytes.indexOf(0, zero + 2);
  return zero < 0 ? Flaw.cutShort : zero + 1;
}

/** UTF-8 as in the Unicode standard: no overlong forms, no surrogates, nothing past U+10FFFF. */
function endOfString(bytes: Uint8Array, start: number): number {
  const length = bytes.length;
  let i = start;
  while (i < length) {
    // i is below the length.
    const lead = bytes[i++] as number;
    if (lead === 0) {
      if (bytes[i] !== ESCAPE) return i;
      i++;
    } else if (lead >= 0x80) {
      if (lead < 0xc2 || lead > 0xf4) return Flaw.notUtf8;
      // Only the second byte's range depends on the first.
      const second = bytes[i++];
      if (second === undefined) return Flaw.cutShort;
      const least = lead === 0xe0 ? 0xa0 : lead === 0xf0 ? 0x90 : 0x80;
      const greatest = lead === 0xed ? 0x9f : lead === 0xf4 ? 0x8f : 0xbf;
      if (second < least || second > greatest) return Flaw.notUtf8;
      for (let more = lead >= 0xf0 ? 2 : lead >= 0xe0 ? 1 : 0; more > 0; more--) {
        const continuation = bytes[i++];
        if (continuation === undefined) return Flaw.cutShort;
        if (continuation < 0x80 || continuation > 0xbf) return Flaw.notUtf8;
      }
    }
  }
  return Flaw.cutShort;
}

/**
 * The index of the zero that ends the string part at `start`, when each of its characters is one byte that stands for itself in JSON, too:
 * the text between is then the content of a JSON string. -1: the part has other characters, or is no string.
 */
export function endOfPlainPart(bytes: Uint8Array, start: number): number {
  if (bytes[start] !== Tag.string) return -1;
  for (let i = start + 1; i < bytes.length; i++) {
    // Within the bytes.
    const byte = bytes[i] as number;
    if (byte === 0) return bytes[i + 1] === ESCAPE ? -1 : i;
    if (!isPlainInJson(byte)) return -1;
  }
  return -1;
}

/** `endOfPart` has accepted the part from `start` to `end`. */
function decodePart(bytes: Uint8Array, start: number, end: number): KeyPart {
  const tag = bytes[start];
  switch (tag) {
    case Tag.bytes:
      return decodeEscaped(bytes, start + 1, end - 1);
    case Tag.string:
      return textDecoder.decode(decodeEscaped(bytes, start + 1, end - 1));
    case Tag.number:
      return decodeNumber(bytes.subarray(start + 1, end));
    case Tag.zero:
      return 0n;
    case Tag.false:
      return false;
    case Tag.true:
      return true;
    case Tag.longPositive:
    case Tag.longNegative:
      return decodeMagnitude(bytes.subarray(start + 2, end), tag === Tag.longNegative);
    default:
      assert(tag !== undefined, "a part to have a tag");
      return decodeMagnitude(bytes.subarray(start + 1, end), tag < Tag.zero);
  }
}

function decodeEscaped(bytes: Uint8Array, start: number, end: number): Uint8Array<ArrayBuffer> {
  const content = new Uint8Array(end - start);
  let length = 0;
  for (let i = start; i < end; i++) {
    // The part ends at or before the end of the bytes.
    const byte = bytes[i] as number;
    content[length++] = byte;
    if (byte === 0) i++;
  }
  return length === content.length ? content : content.slice(0, length);
}

function decodeNumber(content: Uint8Array): number {
  const copy = new DataView(Uint8Array.from(content).buffer);
  const negative = copy.getUint8(0) < 0x80;
  copy.setUint32(0, negative ? ~copy.getUint32(0) : copy.getUint32(0) ^ 0x8000_0000);
  if (negative) copy.setUint32(4, ~copy.getUint32(4));
  return copy.getFloat64(0);
}

function decodeMagnitude(magnitude: Uint8Array, negative: boolean): bigint {
  let digits = "0x";
  for (const byte of magnitude) digits += (negative ? byte ^ 0xff : byte).toString(16).padStart(2, "0");
  return negative ? -BigInt(digits) : BigInt(digits);
}
