/** The JSON of a stored object, against reading the value and writing it. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { concatBytes } from "../../src/core/bytes.ts";
import { decodeV8, encodeV8 } from "../../src/codec/v8/codec.ts";
import { JsonBytes } from "../../src/codec/json-bytes.ts";
import { plainJsonOfObject, writePlainObject } from "../../src/codec/v8/plain-json.ts";

function encoded(value: unknown): Uint8Array {
  const bytes = encodeV8(value);
  if (!bytes.ok) throw new Error(bytes.message);
  return bytes.bytes;
}

const text = fc.oneof(
  fc.string({ unit: "binary" }),
  fc.string({ minLength: 40, maxLength: 60 }),
  fc.constantFrom("é", "米饭", "\ud800", '"\\\n', "__proto__"),
);
const json = fc.letrec((tie) => ({
  value: fc.oneof(
    { maxDepth: 4 },
    text,
    fc.integer(),
    fc.double({ noNaN: true, noDefaultInfinity: true }),
    fc.boolean(),
    fc.constant(null),
    fc.constant(-0),
    fc.array(tie("value"), { maxLength: 4 }),
    tie("object"),
  ),
  object: fc.dictionary(text, tie("value"), { maxKeys: 5, noNullPrototype: true }),
})).object;

test("what JSON says is written as JSON.stringify writes it, or left to the reader", () => {
  let written = 0;
  fc.assert(
    fc.property(json, (value) => {
      const bytes = encoded(value);
      const found = plainJsonOfObject(bytes, null);
      if (found !== null) written += 1;
      const read = decodeV8(bytes);
      expect(found ?? JSON.stringify(value)).toBe(JSON.stringify(read.ok ? read.value : null));
    }),
    { seed: 3, numRuns: 1000 },
  );
  expect(written).toBeGreaterThan(500);
});

test("values that are written one after the other have the same JSON, and those that are left to the reader leave nothing", () => {
  fc.assert(
    fc.property(fc.array(fc.oneof(json, fc.constant({ a: "x", b: new Date(0) })), { maxLength: 5 }), (values) => {
      const together = new JsonBytes(16);
      let expected = "";
      for (const value of values) {
        const alone = plainJsonOfObject(encoded(value), null);
        expect(writePlainObject(encoded(value), null, together)).toBe(alone !== null);
        expected += alone ?? "";
      }
      expect(together.toString()).toBe(expected);
    }),
    { seed: 3, numRuns: 300 },
  );
});

test("what grows most, a value of control characters, has room", () => {
  const value = { ["\u0001".repeat(99)]: "\u0002".repeat(5000), a: Array.from({ length: 2000 }, () => false) };
  expect(plainJsonOfObject(encoded(value), null)).toBe(JSON.stringify(value));
});

test("a member whose name is there twice, also in two forms, is left to the reader", () => {
  const [name, wide] = [Uint8Array.of(0x22, 1, 0x61), Uint8Array.of(0x63, 2, 0x61, 0)];
  for (const names of [
    [name, name],
    [name, wide],
  ]) {
    const members = names.map((one) => concatBytes([one, Uint8Array.of(0x54)]));
    const bytes = concatBytes([Uint8Array.of(0xff, 15, 0x6f), ...members, Uint8Array.of(0x7b, 2)]);
    expect(plainJsonOfObject(bytes, null)).toBeNull();
  }
});

test("only the named members", () => {
  expect(plainJsonOfObject(encoded({ a: 1, b: { a: 2 }, c: [3] }), new Set(["b", "x"]))).toBe('{"b":{"a":2}}');
  expect(plainJsonOfObject(encoded({ a: 1 }), new Set())).toBe("{}");
});

test.each([
  [1],
  [[1]],
  ["a"],
  [{ a: undefined }],
  [{ a: 1n }],
  [{ a: new Date(0) }],
  [{ a: Number.NaN }],
  [{ 1: 2 }],
  [{ a: new Map() }],
  [{ a: [undefined] }],
  [new Date(0)],
])("%o is left to the reader", (value) => {
  expect(plainJsonOfObject(encoded(value), null)).toBeNull();
});

test("bytes that the reader refuses are left to it", () => {
  const bytes = encoded({ a: "some text", b: [1, 2.5, { c: null }] });
  fc.assert(
    fc.property(fc.nat(bytes.length - 1), fc.nat(255), fc.boolean(), (at, byte, isCut) => {
      const changed = isCut ? bytes.slice(0, at) : Uint8Array.from(bytes, (one, i) => (i === at ? byte : one));
      const found = plainJsonOfObject(changed, null);
      const read = decodeV8(changed);
      if (read.ok || found === null) return;
      throw new Error(`${found} from bytes that are no value: ${read.message}`);
    }),
    { seed: 4, numRuns: 3000 },
  );
});
