/**
 * The protobuf wire format (https://protobuf.dev/programming-guides/encoding), as far as our messages need it, for codecs written by
 * hand. Reading never copies: bytes fields are views of the message. Writing takes two steps, so that a large value is copied only once:
 * the codec adds up sizes with the functions below, then fills one buffer of exactly that size. The codecs decide which fields there are
 * and what they mean.
 */
import { assert } from "../core/assert.ts";
import { failure, type ErrorCode, type Failure } from "../core/errors.ts";

/**
 * Thrown by the reader for bytes that are not protobuf, and by codecs for content that none of their messages has. A codec catches it at
 * its boundary and returns a failure, so it never leaves `codec/`. Its message is the rest of a sentence that begins with the message's
 * name.
 */
export class MalformedProtobuf extends Error {
  override readonly name = "MalformedProtobuf";
}

/** A codec's boundary: bytes that are not protobuf become a failure with this code, in a sentence that begins with the message's name. */
export function decoding<T extends { readonly ok: true }>(
  message: string,
  code: ErrorCode,
  decode: () => T | Failure,
): T | Failure {
  try {
    return decode();
  } catch (error) {
    if (error instanceof MalformedProtobuf) return failure(code, `${message} ${error.message}.`);
    throw error;
  }
}

export const WireType = { varint: 0, fixed64: 1, lengthDelimited: 2, fixed32: 5 } as const;

const TWO_POW_32 = 0x1_0000_0000;

/**
 * Reads fields one after the other. While `next()` is true, `field` is the number of the field whose content comes next. The caller takes
 * the content with exactly one of the other methods, or drops it with `skip()`.
 */
export class ProtobufReader {
  field = 0;
  #wireType = 0;
  readonly #bytes: Uint8Array;
  #position = 0;
  #end: number;
  /** The two halves of the last varint, both unsigned. */
  #low = 0;
  #high = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#end = bytes.length;
  }

  /** False at the end of the current message. */
  next(): boolean {
    if (this.#position >= this.#end) return false;
    this.#readVarint();
    this.field = this.#low >>> 3;
    this.#wireType = this.#low & 7;
    if (this.#high !== 0 || this.field === 0) this.#fail("has a field number outside 1 to 536,870,911");
    return true;
  }

  /** Continues inside the field's message until the message ends. `leave` needs the returned number to come back out. */
  enter(): number {
    const outerEnd = this.#end;
    this.#end = this.#readLength();
    return outerEnd;
  }

  /** To be called when `next()` has returned false inside the message that `enter` opened. */
  leave(outerEnd: number): void {
    assert(this.#position === this.#end, "a message to be read to its end before it is left");
    this.#end = outerEnd;
  }

  /** A view, not a copy. */
  bytes(): Uint8Array {
    const end = this.#readLength();
    const view = this.#bytes.subarray(this.#position, end);
    this.#position = end;
    return view;
  }

  int32(): number {
    this.#readVarintField();
    return this.#low | 0;
  }

  bool(): boolean {
    this.#readVarintField();
    return this.#low !== 0 || this.#high !== 0;
  }

  /** Exact between -2^53 and 2^53, rounded outside. */
  int64(): number {
    this.#readVarintField();
    return (this.#high | 0) * TWO_POW_32 + this.#low;
  }

  /**
   * Appends the field's number, or its numbers if it is packed, to `target`. At most `room` are appended. Returns how many there were.
   */
  repeatedUint32(target: number[], room: number): number {
    if (this.#wireType !== WireType.lengthDelimited) {
      this.#readVarintField();
      if (room > 0) target.push(this.#low);
      return 1;
    }
    const outerEnd = this.enter();
    let count = 0;
    while (this.#position < this.#end) {
      this.#readVarint();
      if (count < room) target.push(this.#low);
      count++;
    }
    this.leave(outerEnd);
    return count;
  }

  /** Drops a field that the codec does not know. */
  skip(): void {
    switch (this.#wireType) {
      case WireType.varint:
        this.#readVarint();
        return;
      case WireType.fixed64:
        this.#advance(8);
        return;
      case WireType.lengthDelimited:
        this.#position = this.#readLength();
        return;
      case WireType.fixed32:
        this.#advance(4);
        return;
      default:
        this.#fail(`has wire type ${this.#wireType}, which is not supported`);
    }
  }

  #readVarintField(): void {
    if (this.#wireType !== WireType.varint) this.#fail(`has wire type ${this.#wireType} where 0 belongs`);
    this.#readVarint();
  }

  /** Where the length-delimited content that begins at the current position ends. */
  #readLength(): number {
    if (this.#wireType !== WireType.lengthDelimited) this.#fail(`has wire type ${this.#wireType} where 2 belongs`);
    this.#readVarint();
    const rest = this.#end - this.#position;
    if (this.#high !== 0 || this.#low > rest) {
      const length = this.#high * TWO_POW_32 + this.#low;
      this.#fail(`announces ${length} bytes, and ${rest} are left`);
    }
    return this.#position + this.#low;
  }

  #advance(count: number): void {
    if (this.#end - this.#position < count) this.#fail("ends in the middle of a number");
    this.#position += count;
  }

  /** Bits past the 64th are dropped, as in every implementation. */
  #readVarint(): void {
    const bytes = this.#bytes;
    const first = this.#position < this.#end ? bytes[this.#position] : undefined;
    if (first !== undefined && first < 0x80) {
      this.#position++;
      this.#low = first;
      this.#high = 0;
      return;
    }
    let low = 0;
    let high = 0;
    for (let shift = 0; shift < 70; shift += 7) {
      const byte = this.#position < this.#end ? bytes[this.#position] : undefined;
      if (byte === undefined) this.#fail("ends in the middle of a number");
      this.#position++;
      const bits = byte & 0x7f;
      if (shift < 28) {
        low |= bits << shift;
      } else if (shift === 28) {
        low |= bits << 28;
        high = bits >>> 4;
      } else {
        high |= bits << (shift - 32);
      }
      if (byte < 0x80) {
        this.#low = low >>> 0;
        this.#high = high >>> 0;
        return;
      }
    }
    this.#fail("has a number of more than 10 bytes");
  }

  #fail(problem: string): never {
    const where = this.field === 0 ? "" : ` (in or after field ${this.field})`;
    throw new MalformedProtobuf(`is not valid protobuf: at byte ${this.#position} it ${problem}${where}`);
  }
}

/** How many bytes the varint of a non-negative safe integer takes. */
export function varintSize(value: number): number {
  let size = 1;
  let rest = value;
  while (rest >= 0x80) {
    rest = rest < TWO_POW_32 ? rest >>> 7 : Math.floor(rest / 0x80);
    size++;
  }
  return size;
}

/** The size of a whole varint field: tag and number. */
export function varintFieldSize(field: number, value: number): number {
  return varintSize(field << 3) + varintSize(value);
}

/** The size of a whole bytes or message field: tag, length and content. */
export function bytesFieldSize(field: number, length: number): number {
  return varintSize(field << 3) + varintSize(length) + length;
}

/**
 * Fills a buffer whose exact size the caller has added up with the functions above. `finish` asserts that the size was right. Proto3
 * leaves out fields that hold their default. The caller decides that, in both steps alike.
 */
export class ProtobufWriter {
  readonly #target: Uint8Array<ArrayBuffer>;
  #position = 0;

  constructor(size: number) {
    this.#target = new Uint8Array(size);
  }

  /** A non-negative safe integer: bool, enum, uint32, uint64 and similar types. */
  varintField(field: number, value: number): void {
    this.varint(field * 8 + WireType.varint);
    this.varint(value);
  }

  bytesField(field: number, value: Uint8Array): void {
    this.messageField(field, value.length);
    this.raw(value);
  }

  /** The head of a bytes or message field; the caller writes its `length` bytes of content next. */
  messageField(field: number, length: number): void {
    this.varint(field * 8 + WireType.lengthDelimited);
    this.varint(length);
  }

  raw(bytes: Uint8Array): void {
    this.#target.set(bytes, this.#position);
    this.#position += bytes.length;
  }

  /** How many bytes have been written. */
  get position(): number {
    return this.#position;
  }

  get target(): Uint8Array<ArrayBuffer> {
    return this.#target;
  }

  /** Leaves room for `count` bytes. The caller writes them into `target`, from the returned offset on. */
  reserve(count: number): number {
    const offset = this.#position;
    this.#position += count;
    return offset;
  }

  finish(): Uint8Array<ArrayBuffer> {
    assert(
      this.#position === this.#target.length,
      `a message of ${this.#target.length} bytes, wrote ${this.#position}`,
    );
    return this.#target;
  }

  varint(value: number): void {
    let rest = value;
    while (rest >= 0x80) {
      this.#target[this.#position++] = (rest & 0x7f) | 0x80;
      rest = rest < TWO_POW_32 ? rest >>> 7 : Math.floor(rest / 0x80);
    }
    this.#target[this.#position++] = rest;
  }
}
