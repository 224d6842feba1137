/** A place in bytes, and the primitives that are read there. A length beyond the end is refused before memory is allocated for it. */
import { Tag } from "./format.ts";
import { Refusal } from "./refusal.ts";

/** Arguments of one call, far fewer than every engine's limit. */
const CHUNK = 4096;

export class Cursor {
  #offset = 0;
  readonly #bytes: Uint8Array;
  readonly #view: DataView;

  constructor(bytes: Uint8Array) {
    // A Node Buffer's methods differ from those of Uint8Array, which it extends.
    this.#bytes = new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  malformed(what: string): Refusal {
    return new Refusal("invalid", `the V8 value is malformed before byte ${this.#offset}: ${what}`);
  }

  get remaining(): number {
    return this.#bytes.length - this.#offset;
  }

  byte(): number {
    const byte = this.#bytes[this.#offset];
    if (byte === undefined) throw this.malformed("it is cut short");
    this.#offset++;
    return byte;
  }

  /** The next tag. Padding before it is skipped. */
  tag(): number {
    let tag = this.byte();
    while (tag === Tag.padding) tag = this.byte();
    return tag;
  }

  /** Whether the next tag is `wanted`. If so, the tag is consumed. */
  takeTag(wanted: number): boolean {
    let offset = this.#offset;
    while (this.#bytes[offset] === Tag.padding) offset++;
    if (this.#bytes[offset] !== wanted) return false;
    this.#offset = offset + 1;
    return true;
  }

  /** 32 bits. As in V8, further bits are dropped, and a sixth byte is never read. */
  varint32(): number {
    let value = 0;
    for (let shift = 0; shift < 35; shift += 7) {
      const byte = this.byte();
      value |= (byte & 0x7f) << shift;
      if (byte < 0x80) return value >>> 0;
    }
    this.#notAtEnd();
    return value >>> 0;
  }

  varint8(): number {
    const low = this.byte();
    if (low < 0x80) return low;
    const high = this.byte();
    if (high >= 0x80) this.#notAtEnd();
    return (low & 0x7f) | ((high & 1) << 7);
  }

  /** 64 bits as a number: exact up to 2^53. A greater number stays greater than 2^53. */
  varint64(): number {
    let value = 0;
    for (let shift = 0; shift < 70; shift += 7) {
      const byte = this.byte();
      value += (byte & (shift === 63 ? 1 : 0x7f)) * 2 ** shift;
      if (byte < 0x80) return value;
    }
    this.#notAtEnd();
    return value;
  }

  zigZag32(): number {
    const value = this.varint32();
    return (value >>> 1) ^ -(value & 1);
  }

  double(): number {
    const start = this.#take(8);
    return this.#view.getFloat64(start, true);
  }

  /** The magnitude and sign of a bigint, after a bit field that describes both. */
  bigint(): bigint {
    const bitfield = this.varint32();
    const negative = (bitfield & 1) === 1;
    const size = (bitfield & 0x7fff_ffff) >>> 1;
    if (size === 0) {
      if (negative) throw this.malformed("a bigint is minus zero");
      return 0n;
    }
    const start = this.#take(size);
    let digits = "0x";
    for (let i = start + size - 1; i >= start; i--) digits += this.#view.getUint8(i).toString(16).padStart(2, "0");
    return negative ? -BigInt(digits) : BigInt(digits);
  }

  oneByteString(): string {
    const size = this.varint32();
    const start = this.#take(size);
    return textOf(this.#bytes.subarray(start, start + size));
  }

  twoByteString(): string {
    const size = this.varint32();
    if (size % 2 !== 0) throw this.malformed("a two-byte string has an odd length");
    const start = this.#take(size);
    const units = new Uint16Array(size / 2);
    for (let i = 0; i < units.length; i++) units[i] = this.#view.getUint16(start + i * 2, true);
    return textOf(units);
  }

  utf8String(): string {
    const size = this.varint32();
    const start = this.#take(size);
    return new TextDecoder("utf-8", { fatal: false, ignoreBOM: true }).decode(
      this.#bytes.subarray(start, start + size),
    );
  }

  /** Copies the next bytes to the start of `target`. The caller has compared the length with `remaining`. */
  copyTo(target: ArrayBuffer, size: number): void {
    if (size === 0) return;
    const start = this.#take(size);
    new Uint8Array(target).set(this.#bytes.subarray(start, start + size));
  }

  #take(size: number): number {
    if (size > this.remaining) throw this.malformed(`${size} bytes are announced and ${this.remaining} are left`);
    const start = this.#offset;
    this.#offset += size;
    return start;
  }

  #notAtEnd(): void {
    if (this.remaining === 0) throw this.malformed("it is cut short");
  }
}

function textOf(units: Uint8Array | Uint16Array): string {
  let text = "";
  if (units.length < 32) {
    for (let i = 0; i < units.length; i++) text += String.fromCharCode(units[i] ?? 0);
    return text;
  }
  for (let i = 0; i < units.length; i += CHUNK) {
    const chunk: string = Reflect.apply(String.fromCharCode, undefined, units.subarray(i, i + CHUNK));
    text += chunk;
  }
  return text;
}
