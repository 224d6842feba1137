/**
 * Many rows as one value, because an ArrayBuffer for each key and value costs more than copying what it holds. Each row begins with a
 * head of decimal numbers, "key bytes,value bytes,encoding,version,expiry;". The key follows, then the value. A large value is left out:
 * the head has its id in `large_values`, negated. The expiry is empty when the entry has none. A "-" stands for a row that does not
 * exist.
 */
import { assert } from "../core/assert.ts";
import type { UnixMs } from "../core/clock.ts";
import type { Encoding } from "../core/operations.ts";
import type { Version } from "../core/versionstamp.ts";

/** The SQL expression for one row of a page. The rows are to be concatenated in order and cast to a blob. */
export const ROW_IN_PAGE = `length(k) || ',' || iif(large IS NULL, length(v), -large) || ',' || encoding || ',' || version || ',' || coalesce(expires_at, '') || ';'
                            || k || coalesce(v, '')`;

export const NO_ROW_IN_PAGE = "-";

/** `value` is null when it lies in `large_values`, under the id in `large`. */
export interface PagedRow {
  readonly key: Uint8Array;
  readonly value: Uint8Array | null;
  readonly large: number;
  readonly encoding: Encoding;
  readonly version: Version;
  readonly expiresAt: UnixMs | null;
}

const COMMA = 0x2c;
const MINUS = 0x2d;
const ZERO = 0x30;
const SEMICOLON = 0x3b;

/** Reads a page from its start. Keys and values are views of the page. */
export class RowPage {
  readonly #bytes: Uint8Array;
  #at = 0;

  constructor(page: ArrayBuffer) {
    this.#bytes = new Uint8Array(page);
  }

  get hasMore(): boolean {
    return this.#at < this.#bytes.length;
  }

  /** The next row. null for a row that does not exist. */
  next(): PagedRow | null {
    if (this.#bytes[this.#at] === MINUS) {
      this.#at += 1;
      return null;
    }
    const keyLength = this.#number(COMMA);
    const isLarge = this.#bytes[this.#at] === MINUS;
    if (isLarge) this.#at += 1;
    const valueLengthOrId = this.#number(COMMA);
    // Only this program writes the rows, from values of these types.
    const encoding = this.#number(COMMA) as Encoding;
    const version = this.#number(COMMA) as Version;
    const expires = this.#bytes[this.#at] !== SEMICOLON;
    const expiry = this.#number(SEMICOLON) as UnixMs;
    const expiresAt = expires ? expiry : null;
    const key = this.#take(keyLength);
    if (isLarge) return { key, value: null, large: valueLengthOrId, encoding, version, expiresAt };
    return { key, value: this.#take(valueLengthOrId), large: 0, encoding, version, expiresAt };
  }

  #number(end: number): number {
    let value = 0;
    for (;;) {
      const byte = this.#bytes[this.#at];
      assert(byte !== undefined, "a page to end with a row");
      this.#at += 1;
      if (byte === end) return value;
      value = value * 10 + byte - ZERO;
    }
  }

  #take(length: number): Uint8Array {
    const from = this.#at;
    this.#at += length;
    return this.#bytes.subarray(from, this.#at);
  }
}
