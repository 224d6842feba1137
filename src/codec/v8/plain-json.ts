/**
 * The JSON text of a stored object, written straight from its bytes: several times as fast as reading the value and writing it again. Only for
 * what JSON says as it is: objects, dense arrays, strings, finite numbers, booleans, null. Its caller has another way for the rest.
 */
import { isPlainInJson } from "../plain-byte.ts";
import { NEWEST_VERSION, OLDEST_VERSION, Tag } from "./format.ts";

/** Deeper values are left to the reader, which has a limit. */
const MAX_DEPTH = 32;

/** Each name is compared with those before it. */
const MAX_MEMBERS = 100;

class OtherValue extends Error {}
const OTHER = new OtherValue("no plain object");

/** Many values in one buffer. Their bytes are decoded together: a call for each would be half of the work. */
export class ValuesText {
  readonly #buffer: ArrayBuffer;
  #text: string | null = null;

  constructor(buffer: ArrayBuffer) {
    this.#buffer = buffer;
  }

  /** A character for each byte; only those below 128 are certain to be the right ones. */
  get text(): string {
    return (this.#text ??= latin1.decode(this.#buffer));
  }
}

/**
 * The JSON of a V8 value that is an object: of all its members, or of those named. null: it is none, or holds something that JSON does not say,
 * or its members are in another order than the reader gives them. `values`: the text of the buffer that the bytes are a view of, if others of
 * its values are written too.
 */
export function plainJsonOfObject(
  bytes: Uint8Array,
  only: ReadonlySet<string> | null,
  values: ValuesText | null = null,
): string | null {
  const writer = new PlainJson(bytes, values);
  try {
    return writer.text(only);
  } catch (error) {
    // A view of bytes that end too early is a RangeError.
    if (error === OTHER || error instanceof RangeError) return null;
    throw error;
  }
}

class PlainJson {
  readonly #bytes: Uint8Array;
  readonly #values: ValuesText | null;
  #at = 0;
  /** As in `ValuesText`. */
  #text: string | null = null;

  constructor(bytes: Uint8Array, values: ValuesText | null) {
    this.#bytes = bytes;
    this.#values = values;
  }

  text(only: ReadonlySet<string> | null): string {
    if (this.#byte() !== Tag.version) throw OTHER;
    const version = this.#byte();
    if (version < OLDEST_VERSION || version > NEWEST_VERSION || this.#tag() !== Tag.object) throw OTHER;
    const text = this.#object(only, 1);
    if (this.#at !== this.#bytes.length) throw OTHER;
    return text;
  }

  #value(tag: number, depth: number): string {
    switch (tag) {
      case Tag.null:
        return "null";
      case Tag.true:
        return "true";
      case Tag.false:
        return "false";
      case Tag.int32: {
        const bits = this.#varint();
        return String((bits >>> 1) ^ -(bits & 1));
      }
      case Tag.uint32:
        return String(this.#varint());
      case Tag.double: {
        const { buffer, byteOffset } = this.#bytes;
        const value = new DataView(buffer, byteOffset + this.#at, 8).getFloat64(0, true);
        this.#skip(8);
        if (!Number.isFinite(value)) throw OTHER;
        return value === 0 ? "0" : String(value);
      }
      case Tag.oneByteString:
      case Tag.twoByteString:
      case Tag.utf8String:
        return this.#quoted(tag);
      case Tag.object:
        return this.#object(null, depth + 1);
      case Tag.denseArray:
        return this.#array(depth + 1);
      default:
        throw OTHER;
    }
  }

  /** `only`: the members to write. */
  #object(only: ReadonlySet<string> | null, depth: number): string {
    if (depth > MAX_DEPTH) throw OTHER;
    let text = "{";
    let written = 0;
    const names: string[] = [];
    for (let tag = this.#tag(); tag !== Tag.objectEnd; tag = this.#tag()) {
      const name = this.#quoted(tag);
      // The reader would put such a name before the others.
      if (isIndex(name) || names.length === MAX_MEMBERS || names.includes(name)) throw OTHER;
      names.push(name);
      const value = this.#value(this.#tag(), depth);
      // The text of a string is JSON.
      if (only !== null && !only.has(JSON.parse(name) as string)) continue;
      text += written === 0 ? `${name}:${value}` : `,${name}:${value}`;
      written += 1;
    }
    if (this.#varint() !== names.length) throw OTHER;
    return `${text}}`;
  }

  #array(depth: number): string {
    if (depth > MAX_DEPTH) throw OTHER;
    const length = this.#varint();
    if (length > this.#bytes.length) throw OTHER;
    let text = "[";
    for (let i = 0; i < length; i++)
      text += i === 0 ? this.#value(this.#tag(), depth) : `,${this.#value(this.#tag(), depth)}`;
    // Properties of an array are nothing that JSON says.
    if (this.#tag() !== Tag.denseArrayEnd || this.#varint() !== 0 || this.#varint() !== length) throw OTHER;
    return `${text}]`;
  }

  /** A string as JSON. */
  #quoted(tag: number): string {
    if (tag !== Tag.oneByteString && tag !== Tag.twoByteString && tag !== Tag.utf8String) throw OTHER;
    const length = this.#varint();
    const start = this.#at;
    this.#skip(length);
    if (tag === Tag.oneByteString && isPlain(this.#bytes, start, this.#at)) {
      return `"${this.#slice(start, this.#at)}"`;
    }
    return JSON.stringify(stringOf(tag, this.#bytes.subarray(start, this.#at)));
  }

  /** One call decodes all bytes, and a part of a text costs next to nothing. */
  #slice(start: number, end: number): string {
    const { byteOffset } = this.#bytes;
    if (this.#values !== null) return this.#values.text.slice(byteOffset + start, byteOffset + end);
    this.#text ??= latin1.decode(this.#bytes);
    return this.#text.slice(start, end);
  }

  #byte(): number {
    const byte = this.#bytes[this.#at++];
    if (byte === undefined) throw OTHER;
    return byte;
  }

  #tag(): number {
    let tag = this.#byte();
    while (tag === Tag.padding) tag = this.#byte();
    return tag;
  }

  /** At most 32 bits; the reader decides about longer ones. */
  #varint(): number {
    let value = 0;
    for (let shift = 0; shift < 35; shift += 7) {
      const byte = this.#byte();
      value |= (byte & 0x7f) << shift;
      if (byte < 0x80) return value >>> 0;
    }
    throw OTHER;
  }

  #skip(bytes: number): void {
    this.#at += bytes;
    if (this.#at > this.#bytes.length) throw OTHER;
  }
}

const utf8 = new TextDecoder("utf-8", { fatal: false, ignoreBOM: true });
/** In the encoding that the web calls "latin1", a byte is a character; but those from 80 to 9f are others than in V8's. */
const latin1 = new TextDecoder("latin1");

/** Whether all these bytes stand for themselves in JSON. */
function isPlain(bytes: Uint8Array, start: number, end: number): boolean {
  // Each is within the bytes.
  for (let i = start; i < end; i++) if (!isPlainInJson(bytes[i] as number)) return false;
  return true;
}

function stringOf(tag: number, bytes: Uint8Array): string {
  if (tag === Tag.utf8String) return utf8.decode(bytes);
  let text = "";
  if (tag === Tag.oneByteString) {
    for (const byte of bytes) text += String.fromCharCode(byte);
    return text;
  }
  if (bytes.length % 2 !== 0) throw OTHER;
  for (let i = 0; i < bytes.length; i += 2) {
    // Both are within the bytes.
    text += String.fromCharCode((bytes[i] as number) | ((bytes[i + 1] as number) << 8));
  }
  return text;
}

/** `name`: as JSON. */
function isIndex(name: string): boolean {
  const first = name.charCodeAt(1);
  return first >= 0x30 && first <= 0x39;
}
