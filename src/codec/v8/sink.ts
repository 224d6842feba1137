/** Bytes that grow at their end, and the primitives that are written there: the counterpart of `Cursor`. */

const scratch = new DataView(new ArrayBuffer(8));

export class Sink {
  #bytes = new Uint8Array(64);
  #length = 0;

  get length(): number {
    return this.#length;
  }

  /** A copy of what was written. */
  toBytes(): Uint8Array<ArrayBuffer> {
    return this.#bytes.slice(0, this.#length);
  }

  byte(value: number): void {
    this.#reserve(1);
    this.#bytes[this.#length++] = value;
  }

  bytes(value: Uint8Array): void {
    this.#reserve(value.length);
    this.#bytes.set(value, this.#length);
    this.#length += value.length;
  }

  /** `value` is an integer in 0..2^32-1. */
  varint32(value: number): void {
    let rest = value;
    while (rest >= 0x80) {
      this.byte((rest & 0x7f) | 0x80);
      rest >>>= 7;
    }
    this.byte(rest);
  }

  zigZag32(value: number): void {
    this.varint32(((value << 1) ^ (value >> 31)) >>> 0);
  }

  double(value: number): void {
    scratch.setFloat64(0, value, true);
    this.bytes(new Uint8Array(scratch.buffer));
  }

  /** As in V8: whole 64-bit digits, little endian, after a bit field of sign and length. */
  bigint(value: bigint): void {
    const negative = value < 0n;
    const digits = (negative ? -value : value).toString(16);
    const size = value === 0n ? 0 : Math.ceil(digits.length / 16) * 8;
    this.varint32(((size << 1) | (negative ? 1 : 0)) >>> 0);
    const padded = digits.padStart(size * 2, "0");
    for (let i = size - 1; i >= 0; i--) this.byte(Number.parseInt(padded.slice(i * 2, i * 2 + 2), 16));
  }

  /** Writes the low byte of each code unit. */
  latin1(text: string): void {
    this.#reserve(text.length);
    for (let i = 0; i < text.length; i++) this.#bytes[this.#length++] = text.charCodeAt(i);
  }

  utf16(text: string): void {
    this.#reserve(text.length * 2);
    for (let i = 0; i < text.length; i++) {
      const unit = text.charCodeAt(i);
      this.#bytes[this.#length++] = unit & 0xff;
      this.#bytes[this.#length++] = unit >> 8;
    }
  }

  #reserve(more: number): void {
    const needed = this.#length + more;
    if (needed <= this.#bytes.length) return;
    const grown = new Uint8Array(Math.max(needed, this.#bytes.length * 2));
    grown.set(this.#bytes);
    this.#bytes = grown;
  }
}
