/** Values from JSON: what is taken, and what every refusal says. */
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { parseJson } from "../../../src/codec/json-notation/bounded-json.ts";
import { storedOfJson, textOfStored } from "../../../src/codec/json-notation/stored-value.ts";
import { MAX_JSON_CONTAINERS, MAX_NOTATION_BIGINT_DIGITS, MAX_VALUE_BYTES } from "../../../src/core/limits.ts";
import { difference } from "../v8-difference.ts";
import { failureOf, storedOf, storedV8, textOf, valueOf } from "./notation.ts";
import { sayable } from "./sayable.ts";

const one = { type: "number", value: 1 };
const nested = (depth: number): unknown =>
  Array.from({ length: depth }).reduce((inner) => ({ type: "Array", value: [inner] }), one);

describe("taken where no doubt is possible", () => {
  test.each<[string, unknown, unknown]>([
    ["members that are not known", { type: "string", value: "a", note: "b", byteLength: 9 }, "a"],
    ["null without a value", { type: "null" }, null],
    ["undefined with one", { type: "undefined", value: 1 }, undefined],
    [
      "a hole where no element is",
      { type: "object", value: { a: { type: "undefined", hole: true } } },
      { a: undefined },
    ],
    // oxlint-disable-next-line no-sparse-arrays -- holes are what is tested
    ["the null that the ecosystem writes of a hole", { type: "Array", value: [one, null, one] }, [1, , 1]],
    ["-0 as a number", JSON.parse('{"type":"number","value":-0}'), -0],
    ["a bigint as an exact number", { type: "bigint", value: -12 }, -12n],
    ["zeros before a bigint", { type: "bigint", value: "-0012" }, -12n],
    ["bytes without their length", { type: "Uint8Array", value: "AP8B" }, Uint8Array.of(0, 255, 1)],
    ["padding", { type: "Uint8Array", value: "AP8=" }, Uint8Array.of(0, 255)],
    ["the ordinary alphabet", { type: "Uint8Array", value: "+/8=" }, Uint8Array.of(0xfb, 0xff)],
    ["a day", { type: "Date", value: "2024-02-29" }, new Date(Date.UTC(2024, 1, 29))],
    [
      "another offset",
      { type: "Date", value: "2024-02-29t12:34:56.7894+05:30" },
      new Date(Date.UTC(2024, 1, 29, 7, 4, 56, 789)),
    ],
    ["no seconds", { type: "Date", value: "2024-02-29T12:34Z" }, new Date(Date.UTC(2024, 1, 29, 12, 34))],
    ["a year of six digits", { type: "Date", value: "+275760-09-13T00:00:00.000Z" }, new Date(8.64e15)],
    ["the null that the ecosystem writes of an invalid date", { type: "Date", value: null }, new Date(Number.NaN)],
    ["a member of a Set twice", { type: "Set", value: [one, one] }, new Set([1])],
    ["an error without a stack", { type: "URIError", value: {} }, Object.assign(new URIError(), { stack: undefined })],
    [
      "__proto__ as a name",
      { type: "object", value: JSON.parse('{"__proto__":{"type":"null"}}') },
      JSON.parse('{"__proto__":null}'),
    ],
    ["the deepest value", nested(500), Array.from({ length: 500 }).reduce<unknown>((inner) => [inner], 1)],
  ])("%s", (_, json, value) => {
    expect(difference(valueOf(json), value)).toBeUndefined();
  });

  test("of two members of one name the last counts, as with every reader of JSON", () => {
    expect(valueOf(JSON.parse('{"type":"string","value":"a","value":"b"}'))).toBe("b");
  });

  test("what is read shares nothing with the prototype of all objects", () => {
    const json: unknown = JSON.parse(
      '{"type":"object","value":{"__proto__":{"type":"object","value":{"polluted":{"type":"null"}}}}}',
    );
    const value = valueOf(json);
    expect(Object.getPrototypeOf(value)).toBe(Object.prototype);
    expect(Reflect.get({}, "polluted")).toBeUndefined();
  });
});

/** Of a text that was read, what is written of it and read again is the same. */
function outcomeOf(text: string, plain: boolean): { of: "read" | "refused" | "noJson"; seen: string; wanted: RegExp } {
  const parsed = parseJson(text, "The body");
  if (!parsed.ok) return { of: "noJson", seen: parsed.message, wanted: /^The body is not JSON: .{1,200}\.$/s };
  const read = storedOfJson(parsed.json, "value", { plain });
  if (!read.ok) return { of: "refused", seen: read.message, wanted: /^value.{1,500}\.$/s };
  const again = storedOf(JSON.parse(textOfStored(read.stored, { plain }).text), plain);
  return { of: "read", seen: difference(again, read.stored) ?? "the same", wanted: /^the same$/ };
}

describe("refused with what, where and the form that is wanted", () => {
  const types =
    '"string", "number", "boolean", "bigint", "null", "undefined", "object" or the name of a class like "Array", "Map", "Date", "Uint8Array", "TypeError".';
  const base64 = 'it must be bytes in base64url, for example "AP8B" for 0, 255, 1.';
  const number = 'a number is written 1.5, "NaN", "Infinity", "-Infinity" or "-0".';
  const form = 'a value is an object like {"type":"string","value":"a"} or {"type":"null"}.';
  const date = 'it must be a time in ISO 8601, for example "2026-11-26T12:00:00.000Z".';
  const integer = 'it must be the digits of an integer as a string, for example "-12".';
  test.each<[unknown, string]>([
    ["a", `value is "a"; ${form}`],
    [null, `value is null; ${form}`],
    [undefined, `value is missing; ${form}`],
    [[one], `value is an array; ${form}`],
    [{}, `value.type is missing; a type is ${types}`],
    [{ type: "Foo", value: 1 }, `value.type is "Foo"; a type is ${types}`],
    [{ type: "toString" }, `value.type is "toString"; a type is ${types}`],
    [{ type: ["x"] }, `value.type is an array; a type is ${types}`],
    [{ type: "string", value: 1 }, "value.value is 1; it must be a string."],
    [{ type: "string" }, "value.value is missing; it must be a string."],
    [{ type: "boolean", value: "true" }, 'value.value is "true"; it must be true or false.'],
    [{ type: "number", value: "1.5" }, `value.value is "1.5"; ${number}`],
    [{ type: "number", value: null }, `value.value is null; ${number}`],
    [JSON.parse('{"type":"number","value":1e999}'), `value.value is beyond the range of a number; ${number}`],
    [{ type: "bigint", value: "1e3" }, `value.value is "1e3"; ${integer}`],
    [{ type: "bigint", value: "" }, `value.value is ""; ${integer}`],
    [{ type: "bigint", value: 2 ** 53 }, `value.value is 9007199254740992; ${integer}`],
    [
      { type: "bigint", value: "9".repeat(MAX_NOTATION_BIGINT_DIGITS + 1) },
      "value.value has 5001 characters; the limit is 5000 digits. A larger bigint is written as the v8 form.",
    ],
    [{ type: "Array", value: { 0: one } }, "value.value is an object; it must be an array."],
    [{ type: "Set" }, "value.value is missing; it must be an array."],
    [{ type: "Array", value: [one, one, one, { type: "Foo" }] }, `value.value[3].type is "Foo"; a type is ${types}`],
    [{ type: "Array", value: [one, 1] }, `value.value[1] is 1; ${form}`],
    [
      { type: "Map", value: [[one, one], [one]] },
      "value.value[1] is an array of 1; it must be an array of a key and a value.",
    ],
    [{ type: "Map", value: [{}] }, "value.value[0] is an object; it must be an array of a key and a value."],
    [{ type: "Map", value: [[one, { type: "string" }]] }, "value.value[0][1].value is missing; it must be a string."],
    [{ type: "object", value: [one] }, "value.value is an array; it must be an object with a value for each name."],
    [
      { type: "object", value: { a: { type: "object", value: { "b c": 1 } } } },
      `value.value.a.value["b c"] is 1; ${form}`,
    ],
    [{ type: "Date", value: "29.2.2024" }, `value.value is "29.2.2024"; ${date}`],
    [{ type: "Date", value: "2023-02-29" }, `value.value is "2023-02-29"; ${date}`],
    [{ type: "Date", value: "2024-02-29T12:34:56" }, `value.value is "2024-02-29T12:34:56"; ${date}`],
    [{ type: "Date", value: "2024-02-29T25:00:00Z" }, `value.value is "2024-02-29T25:00:00Z"; ${date}`],
    [{ type: "Date", value: 0 }, `value.value is 0; ${date}`],
    [
      { type: "RegExp", value: "a+b" },
      'value.value is "a+b"; it must be a regular expression between slashes, for example "/a+b/i".',
    ],
    [
      { type: "RegExp", value: "//i" },
      'value.value is "//i"; it must be a regular expression between slashes, for example "/a+b/i".',
    ],
    [{ type: "RegExp", value: "/(/" }, 'value.value is "/(/", whose pattern or flags this runtime does not take.'],
    [{ type: "RegExp", value: "/a/uv" }, 'value.value is "/a/uv", whose pattern or flags this runtime does not take.'],
    [{ type: "Uint8Array", value: "A" }, `value.value is "A"; ${base64}`],
    [{ type: "Uint8Array", value: "AP8B=" }, `value.value is "AP8B="; ${base64}`],
    [{ type: "Uint8Array", value: "AP=" }, `value.value is "AP="; ${base64}`],
    [{ type: "Uint8Array", value: "A=8B" }, `value.value is "A=8B"; ${base64}`],
    [{ type: "Uint8Array", value: "AP9" }, `value.value is "AP9"; ${base64}`],
    [{ type: "Uint8Array", value: "AB" }, `value.value is "AB"; ${base64}`],
    [{ type: "Uint8Array", value: "AP8\n" }, String.raw`value.value is "AP8\n"; ${base64}`],
    [{ type: "Uint8Array", value: "AP\u0150B" }, `value.value is "AP\u0150B"; ${base64}`],
    [{ type: "ArrayBuffer", value: [0] }, `value.value is an array; ${base64}`],
    [
      { type: "Uint8Array", value: "AP8B", byteLength: 4 },
      "value.byteLength is 4 and value has 3 bytes; they must agree.",
    ],
    [
      { type: "Uint32Array", value: "AP8B", byteLength: 3 },
      "value.value has 3 bytes; the elements of a Uint32Array have 4 bytes each.",
    ],
    [{ type: "Error", value: "bad" }, 'value.value is "bad"; it must be an object like {"message":"…","stack":"…"}.'],
    [{ type: "Error", value: { message: 1 } }, "value.value.message is 1; it must be a string."],
    [{ type: "Error", value: { stack: null } }, "value.value.stack is null; it must be a string."],
    [{ type: "Error", value: { cause: "why" } }, `value.value.cause is "why"; ${form}`],
    [{ type: "KvU64", value: "-1" }, 'value.value is "-1"; a KvU64 is from 0 to 18446744073709551615.'],
    [
      { type: "KvU64", value: "18446744073709551616" },
      'value.value is "18446744073709551616"; a KvU64 is from 0 to 18446744073709551615.',
    ],
    [{ type: "KvU64", value: "x" }, `value.value is "x"; ${integer}`],
    [{ type: "v8", value: "?" }, `value.value is "?"; ${base64}`],
    [{ type: "Uint8Array", value: "?", raw: true }, `value.value is "?"; ${base64}`],
    [
      { type: "Array", value: [{ type: "KvU64", value: "1" }] },
      'value.value[0].type is "KvU64", which stands for a whole value and not for a part of one.',
    ],
    [
      { type: "Array", value: [{ type: "v8", value: "" }] },
      'value.value[0].type is "v8", which stands for a whole value and not for a part of one.',
    ],
    [{ type: "string", value: { long: "x" } }, "value.value is an object; it must be a string."],
    [{ type: "x".repeat(50) }, `value.type is "${"x".repeat(40)}"…; a type is ${types}`],
    [{ type: "object", value: { ["x".repeat(50)]: 1 } }, `value.value["${"x".repeat(40)}"…] is 1; ${form}`],
  ])("case %#", (json, message) => {
    expect(failureOf(json)).toBe(message);
  });

  test("of a long path the ends are shown", () => {
    expect(failureOf(nested(501))).toBe(
      "value.value[0].value[0].value[0]….value[0].value[0].value[0] is nested deeper than 500 levels, which is the limit.",
    );
  });

  test("more errors than a V8 value may hold", () => {
    const errors = Array.from({ length: 10_001 }, () => ({ type: "Error", value: {} }));
    expect(valueOf({ type: "Array", value: errors.slice(1) })).toHaveLength(10_000);
    expect(failureOf({ type: "Array", value: errors })).toBe(
      "value.value[10000].value is one of more than 10000 errors, which is the limit.",
    );
  });

  test("the caller names the place, and a limit is told from a mistake", () => {
    const options = { plain: false };
    const where = "mutations[2].value";
    expect(storedOfJson(1, where, options)).toMatchObject({ code: "invalid", message: `${where} is 1; ${form}` });
    expect(storedOfJson(nested(501), where, options)).toMatchObject({ code: "limit" });
    const long = { type: "string", value: "x".repeat(MAX_VALUE_BYTES) };
    expect(storedOfJson(long, where, options)).toMatchObject({
      code: "limit",
      message: `${where} has 1048582 bytes as it is stored; the limit is 1048576.`,
    });
    const deepDate = Array.from({ length: 500 }).reduce<unknown>((inner) => ({ type: "Array", value: [inner] }), {
      type: "Date",
      value: "2024-01-01",
    });
    expect(storedOfJson(deepDate, where, options)).toMatchObject({
      code: "limit",
      message: `${where}: a value nested deeper than 500 levels cannot be stored.`,
    });
  });

  test("any JSON is read, or refused in a sentence of bounded length", () => {
    const damage = fc.tuple(
      fc.nat(),
      fc.constantFrom("type", "Foo", "Array", "Map", "object", '"', "{", "[", "]", "1", "null", "\\ud800"),
    );
    const text = fc.oneof(
      fc.json(),
      fc.tuple(sayable, fc.array(damage, { maxLength: 3 })).map(([value, damages]) => {
        let written = textOf(value).text;
        for (const [place, inserted] of damages) {
          const at = place % written.length;
          written = written.slice(0, at) + inserted + written.slice(at + (place % 7));
        }
        return written;
      }),
    );
    const counts = { read: 0, refused: 0, noJson: 0 };
    fc.assert(
      fc.property(text, fc.boolean(), (each, plain) => {
        const outcome = outcomeOf(each, plain);
        counts[outcome.of]++;
        expect(outcome.seen).toMatch(outcome.wanted);
      }),
      { numRuns: 5000 },
    );
    expect(Math.min(...Object.values(counts))).toBeGreaterThan(100);
  });
});

describe("JSON from outside, before it is parsed", () => {
  test.each<[string, string, string]>([
    ["nothing", "", "The body is not JSON: Unexpected end of JSON input."],
    ["half of an object", '{"a":', "The body is not JSON: Unexpected end of JSON input."],
    ["a string without its end", '"\\', "The body is not JSON: "],
    ["brackets that close alone", "]]]]", "The body is not JSON: "],
    ["deep arrays", "[".repeat(100_000), "The body is nested deeper than 1520 levels, which is the limit."],
    ["deep objects", '{"a":'.repeat(1521), "The body is nested deeper than 1520 levels, which is the limit."],
    [
      "masses of arrays",
      `[${"[],".repeat(MAX_JSON_CONTAINERS)}1]`,
      "The body has more than 350000 objects and arrays, which is the limit.",
    ],
    [
      "masses of objects",
      `[${"{},".repeat(MAX_JSON_CONTAINERS)}1]`,
      "The body has more than 350000 objects and arrays, which is the limit.",
    ],
  ])("%s", (_, text, message) => {
    const parsed = parseJson(text, "The body");
    expect(parsed.ok ? "" : parsed.message).toContain(message);
  });

  test.each<[string, string]>([
    ["as many arrays as are allowed", `[${"[],".repeat(MAX_JSON_CONTAINERS - 2)}[]]`],
    ["brackets inside of strings", JSON.stringify("[{".repeat(MAX_JSON_CONTAINERS))],
    ["brackets after quotes that are escaped", JSON.stringify('"['.repeat(MAX_JSON_CONTAINERS))],
    ["brackets after backslashes", JSON.stringify(['\\"[\\', "[".repeat(MAX_JSON_CONTAINERS), "\\\\"])],
    [
      "the deepest value in the notation, a Map in a Map",
      textOf(Array.from({ length: 499 }).reduce<unknown>((inner) => new Map([[1, inner]]), new Map())).text,
    ],
  ])("%s are taken", (_, text) => {
    const parsed = parseJson(text, "The body");
    expect(parsed.ok ? JSON.stringify(parsed.json) : parsed.message).toBe(text);
  });

  test("300,000 members, empty or with names of their own, are read", () => {
    const empty = { type: "Array", value: Array.from({ length: 150_000 }, () => ({ type: "object", value: {} })) };
    expect(storedOf(empty).value).toEqual(storedV8(Array.from({ length: 150_000 }, () => ({}))).value);
    const plain = Object.fromEntries(Array.from({ length: 100_000 }, (_, i) => [i.toString(36), i % 7]));
    expect(valueOf(plain, true)).toEqual(plain);
    const holes = { type: "Array", value: Array.from({ length: 300_000 }, () => ({ type: "undefined", hole: true })) };
    expect(valueOf(holes)).toHaveLength(300_000);
  });
});
