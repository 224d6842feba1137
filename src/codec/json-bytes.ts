/**
 * JSON that is put together as bytes of UTF-8 and decoded once, when it is whole: many small texts that are joined cost several times as much.
 * What is set to an earlier `length` is taken back.
 */
import { assert } from "../core/assert.ts";
import { isPlainInJson } from "./plain-byte.ts";

const utf8 = new TextEncoder();
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

export class JsonBytes {
  #bytes: Uint8Array<ArrayBuffer>;
  /** Bytes that are written. */
  length = 0;

  /** `bytes`: about how many there will be. */
  constructor(bytes: number) {
    this.#bytes = new Uint8Array(bytes);
  }

  /** Makes room for so many bytes, and some punctuation. The caller of a write has made room before. */
  reserve(bytes: number): void {
    assert(this.length <= this.#bytes.length, "room for what was written");
    const needed = this.length + bytes + SPARE;
    if (needed <= this.#bytes.length) return;
    const grown = new Uint8Array(Math.max(needed, 2 * this.#bytes.length));
    grown.set(this.#bytes.subarray(0, this.length));
    this.#bytes = grown;
  }

  byte(byte: number): void {
    this.#bytes[this.length++] = byte;
  }

  /** Characters of ASCII as they are. */
  ascii(text: string): void {
    const bytes = this.#bytes;
    let at = this.length;
    for (let i = 0; i < text.length; i++) bytes[at++] = text.charCodeAt(i);
    this.length = at;
  }

  /** UTF-8 as it is. */
  raw(from: Uint8Array): void {
    const bytes = this.#bytes;
    let at = this.length;
    // The index is within the bytes.
    for (let i = 0; i < from.length; i++) bytes[at++] = from[i] as number;
    this.length = at;
  }

  /** Text as it is. Makes room for itself. */
  text(text: string): void {
    this.reserve(3 * text.length);
    this.length += utf8.encodeInto(text, this.#bytes.subarray(this.length)).written;
  }

  /** A string whose characters are one byte each. */
  latin1(from: Uint8Array, start: number, end: number): void {
    const bytes = this.#bytes;
    let at = this.length;
    bytes[at++] = QUOTE;
    for (let i = start; i < end; i++) {
      // The caller holds end <= from.length.
      const byte = from[i] as number;
      if (isPlainInJson(byte)) {
        bytes[at++] = byte;
      } else if (byte < 0x80) {
        this.length = at;
        this.ascii(escaped(byte));
        at = this.length;
      } else {
        bytes[at++] = 0xc0 | (byte >> 6);
        bytes[at++] = 0x80 | (byte & 0x3f);
      }
    }
    bytes[at++] = QUOTE;
    this.length = at;
  }

  /** A string whose characters are units of UTF-16, little endian. */
  utf16(from: Uint8Array, start: number, end: number): void {
    const bytes = this.#bytes;
    let at = this.length;
    bytes[at++] = QUOTE;
    for (let i = start; i < end; i += 2) {
      const unit = unitAt(from, i);
      if (unit >= 0x800 && (unit < 0xd800 || unit > 0xdfff)) {
        bytes[at++] = 0xe0 | (unit >> 12);
        bytes[at++] = 0x80 | ((unit >> 6) & 0x3f);
        bytes[at++] = 0x80 | (unit & 0x3f);
      } else if (unit < 0x80) {
        if (isPlainInJson(unit)) {
          bytes[at++] = unit;
          continue;
        }
        this.length = at;
        this.ascii(escaped(unit));
        at = this.length;
      } else if (unit < 0x800) {
        bytes[at++] = 0xc0 | (unit >> 6);
        bytes[at++] = 0x80 | (unit & 0x3f);
      } else {
        const low = unit <= 0xdbff && i + 2 < end ? unitAt(from, i + 2) : 0;
        if (low >= 0xdc00 && low <= 0xdfff) {
          const point = 0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00);
          bytes[at++] = 0xf0 | (point >> 18);
          bytes[at++] = 0x80 | ((point >> 12) & 0x3f);
          bytes[at++] = 0x80 | ((point >> 6) & 0x3f);
          bytes[at++] = 0x80 | (point & 0x3f);
          i += 2;
        } else {
          // Half a pair has no UTF-8.
          this.length = at;
          this.ascii(`\\u${unit.toString(16)}`);
          at = this.length;
        }
      }
    }
    bytes[at++] = QUOTE;
    this.length = at;
  }

  toString(): string {
    assert(this.length <= this.#bytes.length, "room for what was written");
    return decoder.decode(this.#bytes.subarray(0, this.length));
  }
}

/** Beside what is written of values: punctuation and quotes. */
const SPARE = 64;

const QUOTE = 0x22;

function unitAt(bytes: Uint8Array, at: number): number {
  // The caller holds at + 1 < bytes.length.
  return (bytes[at] as number) | ((bytes[at + 1] as number) << 8);
}

/** A character of ASCII in a JSON string, when it may not stand there as it is. */
function escaped(byte: number): string {
  return JSON.stringify(String.fromCharCode(byte)).slice(1, -1);
}
