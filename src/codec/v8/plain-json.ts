/**
 * The JSON of a stored object, written straight from its bytes: several times as fast as reading the value and writing it again. Only for
 * what JSON says as it is: objects, dense arrays, strings, finite numbers, booleans, null. Its caller has another way for the rest.
 */
import { JsonBytes } from "../json-bytes.ts";
import { NEWEST_VERSION, OLDEST_VERSION, Tag } from "./format.ts";

/** Deeper values are left to the reader, which has a limit. */
const MAX_DEPTH = 32;

/** Each name is compared with those before it. */
const MAX_MEMBERS = 100;

class OtherValue extends Error {}
const OTHER = new OtherValue("no plain object");

/** What is written for one byte of a value at most: `\u001f` for a control character. */
const MAX_WRITTEN_PER_BYTE = 6;

/**
 * Writes the JSON of a V8 value that is an object: of all its members, or of those named. false, and nothing is written: it is no object, or
 * holds something that JSON does not say, or its members are in another order than the reader gives them.
 */
export function writePlainObject(bytes: Uint8Array, only: ReadonlySet<string> | null, json: JsonBytes): boolean {
  const start = json.length;
  json.reserve(MAX_WRITTEN_PER_BYTE * bytes.length);
  try {
    new PlainJson(bytes, json).write(only);
    return true;
  } catch (error) {
    json.length = start;
    if (error === OTHER) return false;
    throw error;
  }
}

/** The same as a text. null: it is left to the caller. */
export function plainJsonOfObject(bytes: Uint8Array, only: ReadonlySet<string> | null): string | null {
  one.length = 0;
  return writePlainObject(bytes, only, one) ? one.toString() : null;
}

/** For one text after the other. It grows to what the largest value needs. */
const one = new JsonBytes(4096);

class PlainJson {
  readonly #bytes: Uint8Array;
  readonly #json: JsonBytes;
  #at = 0;

  constructor(bytes: Uint8Array, json: JsonBytes) {
    this.#bytes = bytes;
    this.#json = json;
  }

  write(only: ReadonlySet<string> | null): void {
    if (this.#byte() !== Tag.version) throw OTHER;
    const version = this.#byte();
    if (version < OLDEST_VERSION || version > NEWEST_VERSION || this.#tag() !== Tag.object) throw OTHER;
    this.#object(only, 1);
    if (this.#at !== this.#bytes.length) throw OTHER;
  }

  #value(tag: number, depth: number): void {
    switch (tag) {
      case Tag.oneByteString:
      case Tag.twoByteString:
        this.#string(tag);
        return;
      case Tag.int32: {
        const bits = this.#varint();
        this.#json.ascii(String((bits >>> 1) ^ -(bits & 1)));
        return;
      }
      case Tag.uint32:
        this.#json.ascii(String(this.#varint()));
        return;
      case Tag.double: {
        const start = this.#skip(8);
        for (let i = 0; i < 8; i++) double.bytes[i] = this.#bytes[start + i] as number;
        const value = double.view.getFloat64(0, true);
        if (!Number.isFinite(value)) throw OTHER;
        this.#json.ascii(value === 0 ? "0" : String(value));
        return;
      }
      case Tag.null:
        this.#json.ascii("null");
        return;
      case Tag.true:
        this.#json.ascii("true");
        return;
      case Tag.false:
        this.#json.ascii("false");
        return;
      case Tag.object:
        this.#object(null, depth + 1);
        return;
      case Tag.denseArray:
        this.#array(depth + 1);
        return;
      default:
        throw OTHER;
    }
  }

  /** `only`: the members to write. */
  #object(only: ReadonlySet<string> | null, depth: number): void {
    if (depth > MAX_DEPTH) throw OTHER;
    const json = this.#json;
    const names: Name[] = [];
    let isFirst = true;
    json.byte(OPEN_BRACE);
    for (let tag = this.#tag(); tag !== Tag.objectEnd; tag = this.#tag()) {
      const before = json.length;
      if (!isFirst) json.byte(COMMA);
      const name = this.#name(tag);
      if (names.length === MAX_MEMBERS || names.some((other) => this.#isSame(name, other))) throw OTHER;
      names.push(name);
      json.byte(COLON);
      this.#value(this.#tag(), depth);
      if (only !== null && !only.has(this.#nameOf(name))) json.length = before;
      else isFirst = false;
    }
    if (this.#varint() !== names.length) throw OTHER;
    json.byte(CLOSE_BRACE);
  }

  #array(depth: number): void {
    if (depth > MAX_DEPTH) throw OTHER;
    const json = this.#json;
    const length = this.#varint();
    if (length > this.#bytes.length) throw OTHER;
    json.byte(OPEN_BRACKET);
    for (let i = 0; i < length; i++) {
      if (i > 0) json.byte(COMMA);
      this.#value(this.#tag(), depth);
    }
    // Properties of an array are nothing that JSON says.
    if (this.#tag() !== Tag.denseArrayEnd || this.#varint() !== 0 || this.#varint() !== length) throw OTHER;
    json.byte(CLOSE_BRACKET);
  }

  #string(tag: number): Name {
    if (tag !== Tag.oneByteString && tag !== Tag.twoByteString) throw OTHER;
    const length = this.#varint();
    const start = this.#skip(length);
    const name = { tag, start, end: start + length };
    if (tag === Tag.oneByteString) this.#json.latin1(this.#bytes, start, name.end);
    else if (length % 2 === 0) this.#json.utf16(this.#bytes, start, name.end);
    else throw OTHER;
    return name;
  }

  /** Throws for a name that the reader would put before the others, and for one that may be the same as a name in one byte a character. */
  #name(tag: number): Name {
    const name = this.#string(tag);
    const bytes = this.#bytes;
    const first = bytes[name.start] ?? 0;
    if (tag === Tag.oneByteString) {
      if (isDigit(first)) throw OTHER;
      return name;
    }
    for (let i = name.start + 1; i < name.end; i += 2) if (bytes[i] !== 0) return name;
    throw OTHER;
  }

  #isSame(name: Name, other: Name): boolean {
    const length = name.end - name.start;
    if (name.tag !== other.tag || other.end - other.start !== length) return false;
    const bytes = this.#bytes;
    for (let i = 0; i < length; i++) if (bytes[name.start + i] !== bytes[other.start + i]) return false;
    return true;
  }

  #nameOf({ tag, start, end }: Name): string {
    const width = tag === Tag.oneByteString ? 1 : 2;
    let text = "";
    for (let i = start; i < end; i += width) {
      // All are within the bytes.
      const high = width === 1 ? 0 : (this.#bytes[i + 1] as number);
      text += String.fromCharCode((this.#bytes[i] as number) | (high << 8));
    }
    return text;
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

  /** Where the bytes that are skipped begin. */
  #skip(bytes: number): number {
    const start = this.#at;
    this.#at += bytes;
    if (this.#at > this.#bytes.length) throw OTHER;
    return start;
  }
}

/** Where the characters of a member's name lie. */
interface Name {
  readonly tag: number;
  readonly start: number;
  readonly end: number;
}

const view = new DataView(new ArrayBuffer(8));
const double = { view, bytes: new Uint8Array(view.buffer) };

const [OPEN_BRACE, CLOSE_BRACE] = [0x7b, 0x7d];
const [OPEN_BRACKET, CLOSE_BRACKET] = [0x5b, 0x5d];
const [COMMA, COLON] = [0x2c, 0x3a];

function isDigit(byte: number): boolean {
  return byte >= 0x30 && byte <= 0x39;
}
