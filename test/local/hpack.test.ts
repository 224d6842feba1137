/** Header blocks, against encoders and decoders that are not ours: node's HTTP/2, and the examples of RFC 7541, appendix C. */
import { once } from "node:events";
import { connect, type IncomingHttpHeaders } from "node:http2";
import { createServer, type AddressInfo } from "node:net";
import fc from "fast-check";
import { afterAll, describe, expect, test } from "vitest";
import { encodeHead, HpackDecoder, NO_TABLE, type HeaderField, withLength } from "../../src/local/front/http2/hpack.ts";
import { decodeHuffman } from "../../src/local/front/http2/huffman.ts";
import { frame, framesIn, frameTypes, PREFACE, settings } from "../support/raw-http2.ts";

const hex = (text: string): Buffer => Buffer.from(text.replaceAll(" ", ""), "hex");

function decoded(decoder: HpackDecoder, block: Buffer): string[] | undefined {
  const fields: HeaderField[] = [];
  return decoder.decode(block, (field) => void fields.push(field))
    ? fields.map(({ name, value }) => `${name}: ${value}`)
    : undefined;
}

const FIRST = [":method: GET", ":scheme: http", ":path: /", ":authority: www.example.com"];
const THIRD = [
  ":method: GET",
  ":scheme: https",
  ":path: /index.html",
  ":authority: www.example.com",
  "custom-key: custom-value",
];

describe.each([
  [
    "C.3, without Huffman codes",
    "8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d",
    "8286 84be 5808 6e6f 2d63 6163 6865",
    "8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65",
  ],
  [
    "C.4, with Huffman codes",
    "8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff",
    "8286 84be 5886 a8eb 1064 9cbf",
    "8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf",
  ],
])("the requests of RFC 7541, %s", (_, first, second, third) => {
  test("are decoded with one table", () => {
    const decoder = new HpackDecoder();
    expect(decoded(decoder, hex(first))).toEqual(FIRST);
    expect(decoded(decoder, hex(second))).toEqual([...FIRST, "cache-control: no-cache"]);
    expect(decoded(decoder, hex(third))).toEqual(THIRD);
  });
});

test("a table that its client makes smaller forgets its oldest entries first", () => {
  const decoder = new HpackDecoder();
  const literal = (name: string): Buffer =>
    Buffer.concat([Buffer.of(0x40, name.length), Buffer.from(name), Buffer.of(1, 97)]);
  expect(decoded(decoder, Buffer.concat(["one", "two", "six"].map(literal)))).toHaveLength(3);
  expect(decoded(decoder, Buffer.of(0xbe, 0xbf, 0xc0))).toEqual(["six: a", "two: a", "one: a"]);
  // Each entry counts 36 bytes. 31 + 41 = 72.
  expect(decoded(decoder, Buffer.of(0x3f, 41, 0xbe, 0xbf))).toEqual(["six: a", "two: a"]);
  expect(decoded(decoder, Buffer.of(0xc0))).toBeUndefined();
  expect(decoded(decoder, Buffer.of(0x20))).toEqual([]);
  expect(decoded(decoder, Buffer.of(0xbe))).toBeUndefined();
});

test("an entry that is larger than the table empties it, and is no error", () => {
  const decoder = new HpackDecoder();
  expect(decoded(decoder, hex("4001 6101 62"))).toEqual(["a: b"]);
  // A value of 127 + 0x80 * 40 - 1 bytes, which is more than 4,096.
  const large = Buffer.concat([hex("4001 617f ff27"), Buffer.alloc(127 + 127 + 39 * 128, "v")]);
  expect(decoded(decoder, large)).toHaveLength(1);
  expect(decoded(decoder, Buffer.of(0xbe))).toBeUndefined();
});

test.each([
  ["an index of 0", "80"],
  ["an index beyond the table", "be"],
  ["a name beyond the table", "7e 01 61"],
  ["a table larger than allowed", "3f e2 1f"],
  ["a change of the table after a field", "82 20"],
  ["an integer that does not end", "ff ff"],
  ["an integer of too many bytes", "ff 80 80 80 80 80 01"],
  ["a string longer than its block", "40 01 61 05 61"],
  ["a name without a value", "40 01 61"],
  ["Huffman codes filled up with zeros", "40 01 61 81 18"],
  ["Huffman codes filled up with a whole byte", "40 01 61 82 1f ff"],
  ["the end of string as a Huffman code", "40 01 61 84 ff ff ff ff"],
])("%s breaks the block", (_, block) => {
  expect(decoded(new HpackDecoder(), hex(block))).toBeUndefined();
});

test.each([
  ["Upper: a", false],
  ["with blank: a", false],
  [": a", false],
  ["x: a\u0000b", false],
  ["x: a\r\nb", false],
  ["x: a\u007fb", false],
  ["x: \u00ff\ttab", true],
  [":status: a", true],
])("%j is a valid field: %s", (text, isValid) => {
  const at = text.indexOf(": ", 1);
  const [name, value] = at === -1 ? ["", "a"] : [text.slice(0, at), text.slice(at + 2)];
  const bytes = [Buffer.of(0, name.length), Buffer.from(name), Buffer.of(value.length), Buffer.from(value, "latin1")];
  const fields: HeaderField[] = [];
  new HpackDecoder().decode(Buffer.concat(bytes), (field) => void fields.push(field));
  expect(fields.map((field) => field.isValid)).toEqual([isValid]);
});

const names = fc.constantFrom("x-a", "x-b", "accept", "x-longer-name", "etag", "warning");
const values = fc.string({
  unit: fc.integer({ min: 0x21, max: 0x7e }).map((code) => String.fromCharCode(code)),
  minLength: 1,
  maxLength: 300,
});
const lists = fc.array(fc.dictionary(names, values, { maxKeys: 5 }), { minLength: 1, maxLength: 8 });

/** A server that answers each request with a header block. */
function answering(answerTo: (block: Buffer) => Buffer) {
  return createServer((socket) => {
    let rest: Buffer = Buffer.alloc(0);
    let prefaceLeft = PREFACE.length;
    socket.write(settings());
    socket.on("error", () => undefined);
    socket.on("data", (chunk: Buffer) => {
      const come = framesIn(Buffer.concat([rest, chunk]).subarray(prefaceLeft));
      prefaceLeft = 0;
      rest = come.rest;
      for (const { type, stream, payload } of come.frames) {
        if (type === frameTypes.HEADERS) socket.write(frame(frameTypes.HEADERS, 5, stream, answerTo(payload)));
      }
    });
  }).listen(0, "127.0.0.1");
}

/** Keeps the header blocks of node's client, and answers ":status: 200". */
const blocks: Buffer[] = [];
const keeper = answering((block) => {
  blocks.push(Buffer.from(block));
  return Buffer.of(0x88);
});

/** Answers with whatever block stands here. */
let answer: Buffer = Buffer.alloc(0);
const speaker = answering(() => answer);

afterAll(() => {
  keeper.close();
  speaker.close();
});

test.each([0, 9, 10, 123_456, Number.MAX_SAFE_INTEGER])(
  "an answer of %d bytes has its length behind the other fields",
  (length) => {
    const pairs = ["content-type", "text/plain", "x-a", "b"];
    const block = withLength(encodeHead(200, pairs), length);
    expect(block).toEqual(encodeHead(200, [...pairs, "content-length", String(length)]));
  },
);

test("what node's client sends is decoded, with its table and its Huffman codes", async () => {
  await fc.assert(
    fc.asyncProperty(lists, async (requests) => {
      const session = connect(`http://127.0.0.1:${(keeper.address() as AddressInfo).port}`);
      const decoder = new HpackDecoder();
      for (const headers of requests) {
        blocks.length = 0;
        const stream = session.request(headers);
        stream.resume();
        await once(stream, "close");
        const [block = Buffer.alloc(0)] = blocks;
        expect(
          decoded(decoder, block)
            ?.filter((text) => !text.startsWith(":"))
            .toSorted(),
        ).toEqual(
          Object.entries(headers)
            .map(([name, value]) => `${name}: ${value}`)
            .toSorted(),
        );
      }
      session.destroy();
    }),
    { numRuns: 20 },
  );
});

test("node's client decodes the heads of our answers", async () => {
  await fc.assert(
    fc.asyncProperty(fc.integer({ min: 200, max: 599 }), fc.dictionary(names, values), async (status, headers) => {
      answer = Buffer.concat([NO_TABLE, encodeHead(status, Object.entries(headers).flat())]);
      const session = connect(`http://127.0.0.1:${(speaker.address() as AddressInfo).port}`);
      const stream = session.request({});
      const [got] = (await once(stream, "response")) as [IncomingHttpHeaders];
      expect(got[":status"]).toBe(status);
      expect({ ...got }).toMatchObject(headers);
      session.destroy();
    }),
    { numRuns: 50 },
  );
});

test("each byte that a value may have is decoded from its Huffman code", async () => {
  const session = connect(`http://127.0.0.1:${(keeper.address() as AddressInfo).port}`);
  const decoder = new HpackDecoder();
  for (let code = 0x20; code <= 0xff; code++) {
    if (code === 0x7f) continue;
    // With so many short codes node's client takes them for the whole value.
    const value = `${"a".repeat(40)}${String.fromCharCode(code)}${"e".repeat(code % 8)}z`;
    blocks.length = 0;
    const stream = session.request({ "x-a": value });
    stream.resume();
    await once(stream, "close");
    expect(decoded(decoder, blocks[0] ?? Buffer.alloc(0))).toContain(`x-a: ${value}`);
  }
  session.destroy();
});

test("no bytes are no text", () => {
  expect(decodeHuffman(Buffer.alloc(0), 0, 0)).toBe("");
});
