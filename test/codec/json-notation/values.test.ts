/** Values in the JSON notation: what each class is written as, that nothing is lost, and that nothing is refused. */
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  type StoredValue,
  storedOfJson,
  textOfStored,
  type ValueText,
} from "../../../src/codec/json-notation/stored-value.ts";
import { MAX_NOTATION_BIGINT_DIGITS, MAX_NOTATION_CHARACTERS } from "../../../src/core/limits.ts";
import { Encoding } from "../../../src/core/operations.ts";
import { storableV8 } from "../../../src/codec/v8/storable.ts";
import { build, graph } from "../v8-graphs.ts";
import { difference } from "../v8-difference.ts";
import { v8Serialize } from "../v8-oracle.ts";
import { decodedValue, kept, storedOf, storedV8, textOf, valueOf } from "./notation.ts";
import { sayable } from "./sayable.ts";

const shared = { a: 1 };
const day = new Date(0);
const buffer = Uint8Array.of(1, 2, 3, 4).buffer;
const cycle: unknown[] = [];
cycle.push(cycle);

describe("each class has its form", () => {
  test.each<[unknown, string]>([
    ['a\n"ü\ud800', String.raw`{"type":"string","value":"a\n\"ü\ud800"}`],
    ["\u001f\u007f", '{"type":"string","value":"\\u001f\u007f"}'],
    [1.5, '{"type":"number","value":1.5}'],
    [1e21, '{"type":"number","value":1e+21}'],
    [-0, '{"type":"number","value":"-0"}'],
    [Number.NaN, '{"type":"number","value":"NaN"}'],
    [-Infinity, '{"type":"number","value":"-Infinity"}'],
    [true, '{"type":"boolean","value":true}'],
    [-12n, '{"type":"bigint","value":"-12"}'],
    [null, '{"type":"null","value":null}'],
    [undefined, '{"type":"undefined"}'],
    [
      // oxlint-disable-next-line no-sparse-arrays -- holes are what is tested
      [1, , undefined],
      '{"type":"Array","value":[{"type":"number","value":1},{"type":"undefined","hole":true},{"type":"undefined"}]}',
    ],
    [new Set(["a"]), '{"type":"Set","value":[{"type":"string","value":"a"}]}'],
    [{ a: 1, "": {} }, '{"type":"object","value":{"a":{"type":"number","value":1},"":{"type":"object","value":{}}}}'],
    [new Map([["a", 1]]), '{"type":"Map","value":[[{"type":"string","value":"a"},{"type":"number","value":1}]]}'],
    [new Date(1e12), '{"type":"Date","value":"2001-09-09T01:46:40.000Z"}'],
    [/a\/b/giu, String.raw`{"type":"RegExp","value":"/a\\/b/giu"}`],
    [new ArrayBuffer(1), '{"type":"ArrayBuffer","value":"AA","byteLength":1}'],
    [new DataView(Uint8Array.of(9, 8).buffer), '{"type":"DataView","value":"CQg","byteLength":2}'],
    [Int16Array.of(-1), '{"type":"Int16Array","value":"__8","byteLength":2}'],
    [new Uint8Array(buffer, 1, 2), '{"type":"Uint8Array","value":"AgM","byteLength":2}'],
    [
      Object.assign(new TypeError("m", { cause: 1 }), { stack: "s" }),
      '{"type":"TypeError","value":{"message":"m","cause":{"type":"number","value":1},"stack":"s"}}',
    ],
    [{ a: day, b: day }, `{"type":"object","value":{"a":${textOf(day).text},"b":${textOf(day).text}}}`],
    [
      [new Uint8Array(buffer, 0, 1), new Uint8Array(buffer, 1, 1)],
      '{"type":"Array","value":[{"type":"Uint8Array","value":"AQ","byteLength":1},{"type":"Uint8Array","value":"Ag","byteLength":1}]}',
    ],
  ])("%o", (value, text) => {
    expect(textOf(value)).toEqual({ text, form: "notation" });
    expect(difference(kept(value), valueOf(JSON.parse(text)))).toBeUndefined();
  });

  test("a KvU64", () => {
    const stored = { value: new Uint8Array(8).fill(255), encoding: Encoding.le64 };
    const text = '{"type":"KvU64","value":"18446744073709551615"}';
    expect(textOfStored(stored, { plain: false })).toEqual({ text, form: "notation" });
    expect(textOfStored(stored, { plain: true })).toEqual({ text, form: "notation" });
    expect(storedOf(JSON.parse(text))).toEqual(stored);
  });

  test("raw bytes, told from a Uint8Array by a member that other readers ignore", () => {
    const stored = { value: Uint8Array.of(0, 255, 1), encoding: Encoding.bytes };
    const text = '{"type":"Uint8Array","value":"AP8B","byteLength":3,"raw":true}';
    expect(textOfStored(stored, { plain: false })).toEqual({ text, form: "notation" });
    expect(storedOf(JSON.parse(text))).toEqual(stored);
    expect(storedOf({ type: "Uint8Array", value: "AP8B" }).encoding).toBe(Encoding.v8);
  });
});

describe("what the notation cannot say is written as its bytes", () => {
  const nested = (leaf: unknown): unknown => Array.from({ length: 500 }).reduce<unknown>((inner) => [inner], leaf);
  const asKey = { a: new Map([[day, 1]]), b: day };
  // oxlint-disable-next-line unicorn/no-new-array -- a length without elements
  const sparse = Object.assign(new Array<unknown>(5_000), { 7: 1 });
  test.each<[string, unknown]>([
    ["a cycle", cycle],
    ["an object that stands in two places", [shared, shared]],
    ["a buffer beside a view of it", [buffer, new Uint8Array(buffer)]],
    ["views that share bytes", [new Uint8Array(buffer, 0, 3), new Uint8Array(buffer, 2, 1)]],
    ["a date that is a key and stands elsewhere after it", asKey],
    ["a date that is a key and stands elsewhere before it", { b: day, a: new Set([day]) }],
    ["a date that is a key twice", [new Set([day]), new Set([day])]],
    ["boxed primitives", [Object(1), Object("a"), Object(true), Object(1n)]],
    ["an invalid date", new Date(Number.NaN)],
    ["a resizable buffer", new ArrayBuffer(1, { maxByteLength: 2 })],
    ["a view of one", new Uint8Array(new ArrayBuffer(1, { maxByteLength: 2 }))],
    ["an array with a property", Object.assign([1], { name: "a" })],
    ["an array of one element and a great length", sparse],
    ["a bigint of too many digits", 10n ** BigInt(MAX_NOTATION_BIGINT_DIGITS)],
    ["a negative one", -(10n ** BigInt(MAX_NOTATION_BIGINT_DIGITS))],
    ["a date deeper than the codec writes it", nested(day)],
    ["another object so deep", nested(/a/)],
    ["a text that would be too long", "\u0001".repeat(MAX_NOTATION_CHARACTERS / 6)],
    ["a shared buffer, seen in many places", Array.from({ length: 1000 }, () => new Uint8Array(buffer))],
  ])("%s", (_, value) => {
    const stored = storedV8(value);
    const { text, form } = textOfStored(stored, { plain: false });
    expect(form).toBe("v8");
    expect(storedOf(JSON.parse(text))).toEqual(stored);
  });

  test("the longest bigint that has a form", () => {
    const value = 10n ** BigInt(MAX_NOTATION_BIGINT_DIGITS) - 1n;
    for (const each of [value, -value]) {
      expect(textOf(each).form).toBe("notation");
      expect(valueOf(JSON.parse(textOf(each).text))).toBe(each);
    }
  });

  test("a Float16Array, which the ecosystem's readers do not know, and which is read", () => {
    const float16 = decodedValue(Uint8Array.from(Buffer.from("ff0f4202003c56680002 00".replace(" ", ""), "hex")));
    expect(Object.prototype.toString.call(float16?.value)).toBe("[object Float16Array]");
    expect(textOf(float16?.value).form).toBe("v8");
    expect(difference(valueOf({ type: "Float16Array", value: "ADw" }), float16?.value)).toBeUndefined();
  });

  test("bytes that are no V8 value, and a KvU64 that is damaged", () => {
    for (const value of [new Uint8Array(), Uint8Array.of(1, 2, 3), Uint8Array.of(0xff, 0x0f, 0x5c, 1)]) {
      const text = textOfStored({ value, encoding: Encoding.v8 }, { plain: true });
      expect(text.form).toBe("v8");
      expect(storedOf(JSON.parse(text.text))).toEqual({ value, encoding: Encoding.v8 });
    }
    const damaged = textOfStored({ value: Uint8Array.of(1), encoding: Encoding.le64 }, { plain: false });
    expect(damaged).toEqual({ text: '{"type":"v8","value":"AQ","encoding":2}', form: "v8" });
    expect(storedOfJson(JSON.parse(damaged.text), "value", { plain: false })).toMatchObject({
      message: "value.encoding is 2: such bytes were damaged where they were stored, and are no value.",
    });
  });

  test("bytes of version 16 get the header that every client reads, as when a client sends them", () => {
    expect(storedOf({ type: "v8", value: "_xBf" }).value).toEqual(Uint8Array.of(0xff, 0x0f, 0x5f));
  });
});

/** What is lost on the way through JSON, or undefined. */
function loss(stored: StoredValue, form: ValueText["form"], json: unknown): string | undefined {
  if (form === "v8") return difference(storedOf(json), stored);
  const original = decodedValue(stored.value);
  if (form === "notation") return difference(valueOf(json), kept(original?.value));
  return difference(valueOf(json, true), JSON.parse(JSON.stringify(original?.value)));
}

describe("generated values", () => {
  test("what the notation can say is said in it, and comes back as the same value", () => {
    fc.assert(
      fc.property(sayable, (value) => {
        const { text, form } = textOf(value);
        expect(form).toBe("notation");
        expect(difference(valueOf(JSON.parse(text)), kept(value))).toBeUndefined();
      }),
      { numRuns: 1500 },
    );
  });

  test("graphs come back as the same value, or as the same bytes", () => {
    const counts = { notation: 0, v8: 0, plain: 0 };
    fc.assert(
      fc.property(graph, fc.boolean(), (plan, plain) => {
        const stored = storedV8(build(plan));
        const { text, form } = textOfStored(stored, { plain });
        counts[form]++;
        const json: unknown = JSON.parse(text);
        expect(loss(stored, form, json)).toBeUndefined();
        expect(textOfStored(storedOf(json, plain), { plain })).toEqual({ text, form });
      }),
      { numRuns: 3000 },
    );
    expect(Math.min(...Object.values(counts))).toBeGreaterThan(50);
  });

  test("any bytes of any encoding have a text, which is not much longer, and come back", () => {
    const anyBytes = fc.oneof(
      fc.uint8Array({ maxLength: 60 }),
      graph.map((plan) => v8Serialize(build(plan))).filter((bytes) => bytes.length < 2000),
    );
    const flips = fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 3 });
    fc.assert(
      fc.property(
        anyBytes,
        flips,
        fc.constantFrom(1 as const, 2 as const, 3 as const),
        fc.boolean(),
        (bytes, places, encoding, plain) => {
          const changed = bytes.slice();
          for (const [place, byte] of places) if (changed.length > 0) changed[place % changed.length] = byte;
          const value = encoding === Encoding.v8 ? storableV8(changed) : changed;
          const { text, form } = textOfStored({ value, encoding }, { plain });
          expect(text.length).toBeLessThanOrEqual(4_200 + 64 * value.length);
          const read = storedOfJson(JSON.parse(text), "value", { plain });
          const damaged = encoding === Encoding.le64 && value.length !== 8;
          expect(read.ok ? textOfStored(read.stored, { plain }) : read.code).toEqual(
            damaged ? "invalid" : { text, form },
          );
        },
      ),
      { numRuns: 5000 },
    );
  });
});
