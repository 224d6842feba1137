/** The heads of a connection's requests: a head that is kept is what a decoder without a memory finds in the same block. */
import fc from "fast-check";
import { expect, test } from "vitest";
import {
  HeadDecoder,
  MAX_KEPT_BLOCK_BYTES,
  MAX_KEPT_HEAD_BYTES,
  MAX_KEPT_HEADS,
} from "../../src/local/front/http2/head-decoder.ts";
import { HpackDecoder } from "../../src/local/front/http2/hpack.ts";
import { RequestHead } from "../../src/local/front/http2/request-head.ts";

/** RFC 7541, section 6.2: how a literal begins, and in how many bits its name's index stands. */
const INDEXED = { pattern: 0x40, bits: 6 } as const;
const PLAIN = { pattern: 0x00, bits: 4 } as const;
const NEVER_INDEXED = { pattern: 0x10, bits: 4 } as const;
type Form = typeof INDEXED | typeof PLAIN | typeof NEVER_INDEXED;

function integer(pattern: number, bits: number, value: number): Buffer {
  const most = 2 ** bits - 1;
  if (value < most) return Buffer.of(pattern | value);
  const bytes = [pattern | most];
  let rest = value - most;
  for (; rest >= 128; rest = Math.floor(rest / 128)) bytes.push((rest % 128) | 128);
  return Buffer.of(...bytes, rest);
}

const text = (value: string): Buffer => Buffer.concat([integer(0, 7, value.length), Buffer.from(value, "latin1")]);
const literal = ({ pattern }: Form, name: string, value: string): Buffer =>
  Buffer.concat([Buffer.of(pattern), text(name), text(value)]);
const indexed = (index: number): Buffer => integer(0x80, 7, index);
const resize = (bytes: number): Buffer => integer(0x20, 5, bytes);

/** POST, http, and the path as it is. */
const requestOf = (path: string, ...fields: readonly Buffer[]): Buffer =>
  Buffer.concat([indexed(3), indexed(6), Buffer.of(0x04), text(path), ...fields]);

/** All that a head tells. */
function told(head: RequestHead | undefined): unknown {
  if (head === undefined) return undefined;
  const { method, path, length, isMalformed, isTooLarge, headers, awaitsContinue } = head;
  const values = ["host", "authorization", "content-length", "x-a", "x-b", "expect"].map((name) => head.get(name));
  const { facts } = head;
  const ofFacts = [facts.method, facts.path, facts.isAuthorized, facts.opens, facts.small?.data];
  return { method, path, length, isMalformed, isTooLarge, headers, awaitsContinue, values, ofFacts };
}

/** The same without a memory. */
class Forgetful {
  readonly #decoder = new HpackDecoder();

  decode(block: Buffer): RequestHead | undefined {
    const head = new RequestHead();
    return this.#decoder.decode(block, (field) => head.add(field)) ? head : undefined;
  }
}

test("the same block again is the same head", () => {
  const decoder = new HeadDecoder();
  const block = requestOf("/databases/1/snapshot_read", literal(NEVER_INDEXED, "authorization", "Bearer a"));
  const head = decoder.decode(block);
  expect(head?.get("authorization")).toBe("Bearer a");
  expect(decoder.decode(Buffer.from(block))).toBe(head);
  // What is derived from it is, too.
  expect(decoder.decode(block)?.facts.small).toBe(head?.facts.small);
});

test("a block in which any byte differs is another head, or none", () => {
  const block = requestOf("/a", literal(PLAIN, "authorization", "Bearer a"));
  for (let at = 0; at < block.length; at++) {
    const [decoder, forgetful] = [new HeadDecoder(), new Forgetful()];
    const other = Buffer.from(block);
    other[at] = (other[at] ?? 0) ^ 1;
    for (const each of [block, other]) expect(told(decoder.decode(each))).toEqual(told(forgetful.decode(each)));
  }
});

test("bytes that change after the block was decoded change no head", () => {
  const decoder = new HeadDecoder();
  const block = requestOf("/a");
  decoder.decode(block);
  block.write("/b", block.length - 2);
  expect(decoder.decode(block)?.path).toBe("/b");
});

test.each([
  ["another entry", literal(INDEXED, "x-b", "2"), ["2", null]],
  ["the same entry again", literal(INDEXED, "x-a", "1"), [null, "1"]],
  ["a smaller table", Buffer.concat([resize(0), resize(4096), literal(INDEXED, "x-b", "2")]), ["2", null]],
])("a block that names an entry of the table is decoded again after %s", (_, change, [b, a]) => {
  const decoder = new HeadDecoder();
  decoder.decode(literal(INDEXED, "x-a", "1"));
  const block = requestOf("/", indexed(62));
  const first = decoder.decode(block);
  expect(first?.get("x-a")).toBe("1");
  expect(decoder.decode(block)).toBe(first);
  decoder.decode(change);
  const next = decoder.decode(block);
  expect(next).not.toBe(first);
  expect([next?.get("x-b"), next?.get("x-a")]).toEqual([b, a]);
});

test("a block that names an entry which is gone breaks the connection, though it was a head before", () => {
  const decoder = new HeadDecoder();
  decoder.decode(literal(INDEXED, "x-a", "1"));
  const block = requestOf("/", indexed(62));
  expect(decoder.decode(block)).toBe(decoder.decode(block));
  decoder.decode(resize(0));
  expect(decoder.decode(block)).toBeUndefined();
});

test("a broken block is broken again", () => {
  const decoder = new HeadDecoder();
  const block = Buffer.concat([requestOf("/"), indexed(62)]);
  expect([decoder.decode(block), decoder.decode(block)]).toEqual([undefined, undefined]);
});

test("a block that changes the table itself is decoded each time", () => {
  const decoder = new HeadDecoder();
  const block = requestOf("/", literal(INDEXED, "x-a", "1"));
  expect(decoder.decode(block)).not.toBe(decoder.decode(block));
});

test("equal blocks of two connections have the values of their own tables", () => {
  const [one, two] = [new HeadDecoder(), new HeadDecoder()];
  one.decode(literal(INDEXED, "authorization", "Bearer one"));
  two.decode(literal(INDEXED, "authorization", "Bearer two"));
  const block = requestOf("/", indexed(62));
  for (let i = 0; i < 3; i++) {
    expect(one.decode(block)?.get("authorization")).toBe("Bearer one");
    expect(two.decode(block)?.get("authorization")).toBe("Bearer two");
  }
});

test("the last heads are kept, and no more", () => {
  const decoder = new HeadDecoder();
  const blocks = Array.from({ length: MAX_KEPT_HEADS + 1 }, (_, i) => requestOf(`/${i}`));
  const heads = blocks.slice(1).map((block) => decoder.decode(block));
  for (let i = 0; i < 3; i++) expect(blocks.slice(1).map((block) => decoder.decode(block))).toEqual(heads);
  for (const [i, block] of blocks.slice(1).entries()) expect(decoder.decode(block)).toBe(heads[i]);
  decoder.decode(blocks[0] ?? Buffer.alloc(0));
  expect(decoder.decode(blocks[2] ?? Buffer.alloc(0))).toBe(heads[1]);
  expect(decoder.decode(blocks[1] ?? Buffer.alloc(0))).not.toBe(heads[0]);
});

/** accept-encoding: gzip, deflate. It has one byte in a block, and counts 60 in a head. */
const ENCODING = indexed(16);

test.each([
  // 13 bytes of the block are not of the value.
  ["block", MAX_KEPT_BLOCK_BYTES, (bytes: number) => requestOf("/", literal(PLAIN, "x-a", "a".repeat(bytes - 13)))],
  // ":method: POST", ":scheme: http" and ":path: /" count 124.
  [
    "head",
    MAX_KEPT_HEAD_BYTES,
    (bytes: number) => {
      const rest = bytes - 124;
      const fields = Array.from({ length: Math.floor(rest / 60) }, () => ENCODING);
      return requestOf(`/${"a".repeat(rest % 60)}`, ...fields);
    },
  ],
])("a %s of more bytes than may be kept is decoded each time", (_, most, make) => {
  const decoder = new HeadDecoder();
  expect(decoder.decode(make(most))).toBe(decoder.decode(make(most)));
  expect(decoder.decode(make(most + 1))).not.toBe(decoder.decode(make(most + 1)));
});

/** null: most of the time. */
const seldom = (arbitrary: fc.Arbitrary<number>): fc.Arbitrary<number | null> =>
  fc.oneof({ weight: 8, arbitrary: fc.constant(null) }, arbitrary);
const names = fc.constantFrom("x-a", "x-b", "authorization", "expect", "te", "content-length", ":path", "cookie", "X");
const values = fc.constantFrom(
  "1",
  "2",
  "",
  "/a",
  "Bearer a",
  "100-continue",
  "/databases/1/snapshot_read",
  "a".repeat(900),
);
const field = fc.oneof(
  fc.constantFrom(2, 3, 4, 6, 31).map(indexed),
  fc.integer({ min: 60, max: 65 }).map(indexed),
  fc.tuple(fc.constantFrom(INDEXED, PLAIN, NEVER_INDEXED), names, values).map((parts) => literal(...parts)),
  fc
    .tuple(fc.constantFrom(INDEXED, PLAIN, NEVER_INDEXED), fc.constantFrom(4, 23, 28, 62, 64), values)
    .map(([{ pattern, bits }, index, value]) => Buffer.concat([integer(pattern, bits, index), text(value)])),
);
/** Requests, trailers, and blocks that are neither. */
const aBlock = fc
  .tuple(seldom(fc.constantFrom(0, 40, 80, 2000, 4096)), fc.boolean(), fc.array(field, { maxLength: 4 }))
  .map(([size, isRequest, fields]) =>
    Buffer.concat([...(size === null ? [] : [resize(size)]), ...(isRequest ? [requestOf("/x")] : []), ...fields]),
  );

/** Another value of one bit. */
function flip(block: Buffer, which: number): void {
  const at = which % block.length;
  block[at] = (block[at] ?? 0) ^ (1 << (which % 8));
}

/** Of the table before the first request. */
const entries = ["1", "2", "3", "4"].map((value) => literal(INDEXED, "x-b", value));

test("after any blocks, a head is what a decoder without a memory finds", () => {
  let kept = 0;
  fc.assert(
    fc.property(
      fc.array(aBlock, { minLength: 1, maxLength: 6 }),
      fc.array(fc.tuple(fc.nat(5), seldom(fc.nat())), { maxLength: 24 }),
      (blocks, order) => {
        const [decoder, forgetful] = [new HeadDecoder(), new Forgetful()];
        for (const each of [decoder, forgetful]) each.decode(Buffer.concat(entries));
        const seen = new Set<RequestHead>();
        for (const [which, flipped] of order) {
          const block = Buffer.from(blocks[which % blocks.length] ?? Buffer.alloc(0));
          if (flipped !== null && block.length > 0) flip(block, flipped);
          const head = decoder.decode(block);
          expect(told(head)).toEqual(told(forgetful.decode(block)));
          // Then the connection has ended.
          if (head === undefined) return;
          if (seen.has(head)) kept += 1;
          seen.add(head);
        }
      },
    ),
    { numRuns: 2000 },
  );
  // The memory was tried, too.
  expect(kept).toBeGreaterThan(500);
});
