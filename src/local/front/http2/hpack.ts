/**
 * Header blocks of HTTP/2 (RFC 7541). The decoder follows the table of its client. The encoder keeps no table: answers have few headers,
 * and what a table would save is less than what it costs.
 */
import { decodeHuffman } from "./huffman.ts";

export interface HeaderField {
  readonly name: string;
  readonly value: string;
  /** Whether RFC 9113, section 8.2.1, allows the name and the value. Known once for each entry of the table. */
  readonly isValid: boolean;
}

/** The table that a client may use (RFC 9113, section 6.5.2: the value before any setting). */
export const MAX_TABLE_BYTES = 4096;

/** What an entry counts beside its name and value (section 4.1). */
export const FIELD_OVERHEAD_BYTES = 32;

/** No integer in a header block needs more than four bytes behind its prefix. */
const MAX_INTEGER_BYTES = 4;

/** Appendix A: the first entry has the index 1. */
const STATIC_TABLE: readonly HeaderField[] = [
  ":authority",
  ":method=GET",
  ":method=POST",
  ":path=/",
  ":path=/index.html",
  ":scheme=http",
  ":scheme=https",
  ":status=200",
  ":status=204",
  ":status=206",
  ":status=304",
  ":status=400",
  ":status=404",
  ":status=500",
  "accept-charset",
  "accept-encoding=gzip, deflate",
  "accept-language",
  "accept-ranges",
  "accept",
  "access-control-allow-origin",
  "age",
  "allow",
  "authorization",
  "cache-control",
  "content-disposition",
  "content-encoding",
  "content-language",
  "content-length",
  "content-location",
  "content-range",
  "content-type",
  "cookie",
  "date",
  "etag",
  "expect",
  "expires",
  "from",
  "host",
  "if-match",
  "if-modified-since",
  "if-none-match",
  "if-range",
  "if-unmodified-since",
  "last-modified",
  "link",
  "location",
  "max-forwards",
  "proxy-authenticate",
  "proxy-authorization",
  "range",
  "referer",
  "refresh",
  "retry-after",
  "server",
  "set-cookie",
  "strict-transport-security",
  "transfer-encoding",
  "user-agent",
  "vary",
  "via",
  "www-authenticate",
].map((text) => {
  const [name = "", value = ""] = text.split("=");
  return { name, value, isValid: true };
});

export class HpackDecoder {
  /** The newest entry is the last one. */
  readonly #table: HeaderField[] = [];
  #tableBytes = 0;
  #maxTableBytes = MAX_TABLE_BYTES;
  #tableState = 0;
  #block: Buffer = Buffer.alloc(0);
  #at = 0;

  /** Another number after each change of the table. While it stays, the same block has the same fields. */
  get tableState(): number {
    return this.#tableState;
  }

  /** Calls `take` for each field. False: the block is broken, and so is the table (RFC 9113, section 4.3: the connection must end). */
  decode(block: Buffer, take: (field: HeaderField) => void): boolean {
    this.#block = block;
    this.#at = 0;
    let mayResize = true;
    while (this.#at < block.length) {
      const first = block[this.#at] ?? 0;
      if ((first & 0xe0) === 0x20) {
        const size = this.#integer(5);
        if (!mayResize || size === undefined || size > MAX_TABLE_BYTES) return false;
        this.#maxTableBytes = size;
        this.#tableState += 1;
        this.#evict();
        continue;
      }
      mayResize = false;
      const field = (first & 0x80) === 0 ? this.#literal(first) : this.#entry(this.#integer(7));
      if (field === undefined) return false;
      take(field);
    }
    return true;
  }

  #literal(first: number): HeaderField | undefined {
    const isIndexed = (first & 0x40) !== 0;
    const index = this.#integer(isIndexed ? 6 : 4);
    const name = index === 0 ? this.#string() : this.#entry(index)?.name;
    if (name === undefined) return undefined;
    const value = this.#string();
    if (value === undefined) return undefined;
    const field = { name, value, isValid: isValidName(name) && isValidValue(value) };
    if (isIndexed) this.#add(field);
    return field;
  }

  #entry(index: number | undefined): HeaderField | undefined {
    if (index === undefined || index === 0) return undefined;
    return STATIC_TABLE[index - 1] ?? this.#table[this.#table.length - (index - STATIC_TABLE.length)];
  }

  #add(field: HeaderField): void {
    this.#tableState += 1;
    this.#tableBytes += bytesOf(field);
    this.#table.push(field);
    this.#evict();
  }

  #evict(): void {
    while (this.#tableBytes > this.#maxTableBytes) {
      const oldest = this.#table.shift();
      if (oldest === undefined) throw new Error("expected an empty table to have no bytes");
      this.#tableBytes -= bytesOf(oldest);
    }
  }

  /** Section 5.1. */
  #integer(prefixBits: number): number | undefined {
    const mask = (1 << prefixBits) - 1;
    let value = (this.#block[this.#at++] ?? 0) & mask;
    if (value < mask) return value;
    for (let i = 0; i < MAX_INTEGER_BYTES; i++) {
      const byte = this.#block[this.#at++];
      if (byte === undefined) return undefined;
      value += (byte & 0x7f) * 128 ** i;
      if (byte < 0x80) return value;
    }
    return undefined;
  }

  /** Section 5.2. */
  #string(): string | undefined {
    const isHuffman = ((this.#block[this.#at] ?? 0) & 0x80) !== 0;
    const length = this.#integer(7);
    if (length === undefined || this.#at + length > this.#block.length) return undefined;
    const from = this.#at;
    this.#at += length;
    if (isHuffman) return decodeHuffman(this.#block, from, this.#at) ?? undefined;
    return this.#block.toString("latin1", from, this.#at);
  }
}

/** The size of a field in the table, and in a client's list of headers. */
export function bytesOf({ name, value }: HeaderField): number {
  return name.length + value.length + FIELD_OVERHEAD_BYTES;
}

const NO_NAME = /[^!#$%&'*+\-.^_`|~0-9a-z]/;
/** Blanks around a value do no harm (section 8.2.1 would have it refused): who reads the value next drops them. */
const NO_VALUE = /[^\t -~\u0080-\u00ff]/;

/** Pseudo-headers are for their reader to judge. */
function isValidName(name: string): boolean {
  return name !== "" && !NO_NAME.test(name.startsWith(":") ? name.slice(1) : name);
}

function isValidValue(value: string): boolean {
  return !NO_VALUE.test(value);
}

/** An encoder without a table says so once, before all else. Then no later setting of the client concerns it (section 4.2). */
export const NO_TABLE = Buffer.of(0x20);

const indexOfStatus = new Map<number, number>();
const indexOfName = new Map<string, number>();
for (const [i, { name, value }] of STATIC_TABLE.entries()) {
  if (name === ":status") indexOfStatus.set(Number(value), i + 1);
  if (!indexOfName.has(name)) indexOfName.set(name, i + 1);
}

/** The header block of an answer. `pairs`: names in lower case, and values, of single-byte characters. */
export function encodeHead(status: number, pairs: readonly string[]): Buffer {
  let size = 8;
  for (const text of pairs) size += text.length + 1 + MAX_INTEGER_BYTES;
  const block = Buffer.allocUnsafe(size);
  let at = 0;
  const known = indexOfStatus.get(status);
  if (known === undefined) {
    at = writeInteger(block, at, 0x00, 4, indexOfName.get(":status") ?? 0);
    at = writeString(block, at, String(status));
  } else {
    block[at++] = 0x80 | known;
  }
  for (let i = 0; i + 1 < pairs.length; i += 2) {
    const [name = "", value = ""] = [pairs[i], pairs[i + 1]];
    const index = indexOfName.get(name) ?? 0;
    at = writeInteger(block, at, 0x00, 4, index);
    if (index === 0) at = writeString(block, at, name);
    at = writeString(block, at, value);
  }
  return block.subarray(0, at);
}

const LENGTH_INDEX = indexOfName.get("content-length") ?? 0;

/** The header block with `content-length` behind its other fields. */
export function withLength(head: Buffer, length: number): Buffer {
  const text = String(length);
  // Two bytes for the name, and one for the number of digits.
  const block = Buffer.allocUnsafe(head.length + 3 + text.length);
  block.set(head);
  writeString(block, writeInteger(block, head.length, 0x00, 4, LENGTH_INDEX), text);
  return block;
}

function writeInteger(block: Buffer, from: number, pattern: number, prefixBits: number, value: number): number {
  let at = from;
  const mask = (1 << prefixBits) - 1;
  if (value < mask) {
    block[at++] = pattern | value;
    return at;
  }
  block[at++] = pattern | mask;
  let rest = value - mask;
  for (; rest >= 128; rest = Math.floor(rest / 128)) block[at++] = (rest % 128) | 128;
  block[at++] = rest;
  return at;
}

function writeString(block: Buffer, from: number, text: string): number {
  const at = writeInteger(block, from, 0x00, 7, text.length);
  return at + block.write(text, at, "latin1");
}
