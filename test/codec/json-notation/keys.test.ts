/** Keys in the notation and as paths. */
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { concatBytes, toHex } from "../../../src/core/bytes.ts";
import { keyOfNotation, keyOfNotationText, textOfKeyNotation } from "../../../src/codec/json-notation/key-notation.ts";
import { keyOfPath, pathOfKey } from "../../../src/codec/json-notation/key-path.ts";
import { encodeKey, type KeyPart } from "../../../src/codec/key-codec.ts";
import { MAX_KEY_BYTES, MAX_KEY_PATH_CHARACTERS } from "../../../src/core/limits.ts";
import { key } from "../key-arbitraries.ts";
import { keyBytes } from "./notation.ts";

const negativeNan = Uint8Array.of(0x21, 0, 7, 255, 255, 255, 255, 255, 255);
const manyFalses = keyBytes(...Array.from({ length: MAX_KEY_BYTES }, () => false));

/** Encoded keys, those with a NaN of either sign among them. */
const encodedKey = fc.tuple(key, fc.boolean(), key).map(([before, withNan, after]) => {
  const [first, second] = [keyBytes(...before), keyBytes(...after)];
  return withNan ? concatBytes([first, negativeNan, second]) : first;
});

function expectKey(read: ReturnType<typeof keyOfPath>, bytes: Uint8Array): void {
  expect(read.ok ? toHex(read.bytes) : read.message).toBe(toHex(bytes));
}

function failureOf(read: ReturnType<typeof keyOfPath>): string {
  if (read.ok) throw new Error("expected a failure");
  return read.message;
}

describe("in the notation", () => {
  test.each<[KeyPart, string]>([
    ['a"\n😀', String.raw`{"type":"string","value":"a\"\n😀"}`],
    ["", '{"type":"string","value":""}'],
    [1.5, '{"type":"number","value":1.5}'],
    [-0, '{"type":"number","value":"-0"}'],
    [Number.NaN, '{"type":"number","value":"NaN"}'],
    [Infinity, '{"type":"number","value":"Infinity"}'],
    [-Infinity, '{"type":"number","value":"-Infinity"}'],
    [-12n, '{"type":"bigint","value":"-12"}'],
    [false, '{"type":"boolean","value":false}'],
    [Uint8Array.of(0, 255, 1), '{"type":"Uint8Array","value":"AP8B","byteLength":3}'],
  ])("the part %o", (part, text) => {
    expect(textOfKeyNotation(keyBytes("a", part))).toBe(`[{"type":"string","value":"a"},${text}]`);
    expectKey(keyOfNotationText(`["a",${text}]`, "key"), keyBytes("a", part));
  });

  test("a NaN whose sign is set is a key of its own", () => {
    const text = '[{"type":"number","value":"-NaN"},{"type":"number","value":"NaN"}]';
    const bytes = concatBytes([negativeNan, keyBytes(Number.NaN)]);
    expect(textOfKeyNotation(bytes)).toBe(text);
    expectKey(keyOfNotationText(text, "key"), bytes);
  });

  test("any key comes back as the same bytes", () => {
    fc.assert(
      fc.property(encodedKey, (bytes) => expectKey(keyOfNotationText(textOfKeyNotation(bytes), "key"), bytes)),
      {
        numRuns: 1000,
      },
    );
  });

  test("a part may be plain JSON", () => {
    expectKey(keyOfNotation(JSON.parse('["users",1,true,-0]'), "key"), keyBytes("users", 1, true, -0));
    expectKey(
      keyOfNotation(
        [
          { type: "bigint", value: 3 },
          { type: "Uint8Array", value: "+/8=" },
        ],
        "key",
      ),
      keyBytes(3n, Uint8Array.of(0xfb, 0xff)),
    );
  });

  const part = 'a part is a string, a number, a boolean, or an object like {"type":"bigint","value":"12"}.';
  test.each<[unknown, string]>([
    ["users", 'key is "users"; a key is an array of its parts, for example ["users", 1].'],
    [undefined, 'key is missing; a key is an array of its parts, for example ["users", 1].'],
    [{ 0: "a" }, 'key is an object; a key is an array of its parts, for example ["users", 1].'],
    [[], "key has no parts; a key needs at least one."],
    [["a", null], `key[1] is null; ${part}`],
    [["a", ["b"]], `key[1] is an array; ${part}`],
    [
      ["a", { type: "Date", value: 1 }],
      'key[1].type is "Date"; the type of a part is "string", "number", "boolean", "bigint" or "Uint8Array".',
    ],
    [[{ type: "string" }], "key[0].value is missing; it must be a string."],
    [[{ type: "boolean", value: 1 }], "key[0].value is 1; it must be true or false."],
    [
      [{ type: "number", value: "1" }],
      'key[0].value is "1"; a number is written 1.5, "NaN", "Infinity", "-Infinity" or "-0".',
    ],
    [
      [{ type: "bigint", value: "1.0" }],
      'key[0].value is "1.0"; it must be the digits of an integer as a string, for example "-12".',
    ],
    [
      [{ type: "Uint8Array", value: "AP8B", byteLength: 2 }],
      "key[0].byteLength is 2 and value has 3 bytes; they must agree.",
    ],
    [
      JSON.parse("[1e999]"),
      'key[0] is beyond the range of a number; infinity is {"type":"number","value":"Infinity"}.',
    ],
    [["\ud800"], "key[0] holds half of a surrogate pair, which a key cannot hold."],
    [
      [{ type: "bigint", value: "9".repeat(620) }],
      "key[0] is a bigint of more than 255 bytes, which a key cannot hold.",
    ],
    [["x".repeat(MAX_KEY_BYTES)], "key has 2050 bytes as it is stored; the limit is 2048."],
    [Array.from({ length: 3000 }, () => true), "key has 3000 parts; the limit is 2048 bytes."],
  ])("refused: case %#", (json, message) => {
    expect(failureOf(keyOfNotation(json, "key"))).toBe(message);
  });

  test("text that is no JSON", () => {
    expect(failureOf(keyOfNotationText("users/1", "prefix"))).toMatch(/^prefix is not JSON: /);
  });
});

describe("as a path", () => {
  test.each<[readonly KeyPart[], string]>([
    [["users", "alice"], "users/alice"],
    [["n", 1.5], "n/~n1.5"],
    [[1e21, -0, Number.NaN, -Infinity], "~n1e%2B21/~n-0/~nNaN/~n-Infinity"],
    [[-12n, 0n], "~i-12/~i0"],
    [[true, false], "~btrue/~bfalse"],
    [[Uint8Array.of(0, 255, 1), new Uint8Array()], "~uAP8B/~u"],
    [["~n1", "~", "~~"], "~~n1/~~/~~~"],
    [["", ".", "..", "...", ".a"], "~s/~s./~s../.../.a"],
    [
      ["a/b", "a b", "50%", "?#&+=", "ä米😀", "\0"],
      "a%2Fb/a%20b/50%25/%3F%23%26%2B%3D/%C3%A4%E7%B1%B3%F0%9F%98%80/%00",
    ],
  ])("of case %#", (parts, path) => {
    expect(pathOfKey(keyBytes(...parts))).toBe(path);
    expectKey(keyOfPath(path), keyBytes(...parts));
  });

  test("a NaN whose sign is set", () => {
    expect(pathOfKey(negativeNan)).toBe("~n-NaN");
    expectKey(keyOfPath("~n-NaN"), negativeNan);
  });

  test("any key comes back as the same bytes, also through a URL", () => {
    fc.assert(
      fc.property(encodedKey, (bytes) => {
        const path = pathOfKey(bytes);
        expectKey(keyOfPath(path), bytes);
        const { pathname } = new URL(`https://cairn.example/entries/${path}?values=plain`);
        expectKey(keyOfPath(pathname.slice("/entries/".length)), bytes);
      }),
      { numRuns: 1000 },
    );
  });

  test("the longest path of a key is taken", () => {
    const path = pathOfKey(manyFalses);
    expect(path).toHaveLength(MAX_KEY_PATH_CHARACTERS - 1);
    expectKey(keyOfPath(path), manyFalses);
  });

  test.each<[string, readonly KeyPart[]]>([
    ["~sabc/~s~", ["abc", "~"]],
    ["%7En1.5", [1.5]],
    ["~n.5/~n1e3/~n007/~n1.", [0.5, 1000, 7, 1]],
    ["~i-007", [-7n]],
    ["~u+%2F8=", [Uint8Array.of(0xfb, 0xff)]],
    ["ä", ["ä"]],
  ])("%s is taken too", (path, parts) => {
    expectKey(keyOfPath(path), keyBytes(...parts));
  });

  const forms =
    "a typed part is ~n1.5 (number), ~i-12 (bigint), ~btrue or ~bfalse, ~uAP8B (bytes in base64url), ~s (a string, also an empty one) or ~~ (a string that begins with ~).";
  const segment = (number: number, text: string): string => `Segment ${number} of the path of the key, ${text}`;
  test.each<[string, string]>([
    ["", "The path of the key has no parts; a key needs at least one."],
    ["users//alice", segment(2, '"", is empty; an empty string is written ~s.')],
    ["users/", segment(2, '"", is empty; an empty string is written ~s.')],
    ["a/50%", segment(2, '"50%", is not percent-encoded UTF-8; % is written %25 and / is written %2F.')],
    ["%ff", segment(1, '"%ff", is not percent-encoded UTF-8; % is written %25 and / is written %2F.')],
    ["%ed%a0%80", segment(1, '"%ed%a0%80", is not percent-encoded UTF-8; % is written %25 and / is written %2F.')],
    ["\ud800", segment(1, String.raw`"\ud800", holds half of a surrogate pair, which a key cannot hold.`)],
    ["~", segment(1, `"~", begins with ~ and no letter of a type; ${forms}`)],
    ["~x1", segment(1, `"~x1", begins with ~ and no letter of a type; ${forms}`)],
    ["a/~nabc", segment(2, '"~nabc", is no number; one is written ~n1.5, ~n-0, ~nNaN, ~nInfinity or ~n-Infinity.')],
    ["~n", segment(1, '"~n", is no number; one is written ~n1.5, ~n-0, ~nNaN, ~nInfinity or ~n-Infinity.')],
    ["~n1e999", segment(1, '"~n1e999", is no number; one is written ~n1.5, ~n-0, ~nNaN, ~nInfinity or ~n-Infinity.')],
    ["~n0x10", segment(1, '"~n0x10", is no number; one is written ~n1.5, ~n-0, ~nNaN, ~nInfinity or ~n-Infinity.')],
    ["~i1.5", segment(1, '"~i1.5", is no bigint; one is written ~i-12.')],
    [
      `~i${"9".repeat(700)}`,
      segment(1, `"~i${"9".repeat(38)}"…, is a bigint of more than 255 bytes, which a key cannot hold.`),
    ],
    [
      `~i${"9".repeat(9000)}`,
      segment(1, `"~i${"9".repeat(38)}"…, is a bigint of more than 255 bytes, which a key cannot hold.`),
    ],
    ["~bTRUE", segment(1, '"~bTRUE", is no boolean; one is written ~btrue or ~bfalse.')],
    ["~uA", segment(1, '"~uA", is not base64url; the bytes 0, 255, 1 are written ~uAP8B.')],
    ["x".repeat(2047), "The path of the key has 2049 bytes as it is stored; the limit is 2048."],
    ["x".repeat(16_385), "The path of the key has 16385 characters; the limit is 16384."],
  ])("refused: case %#", (path, message) => {
    expect(failureOf(keyOfPath(path))).toBe(message);
  });

  test("any text is a key or refused in a sentence", () => {
    const text = fc.oneof(
      fc.string({
        unit: fc.constantFrom("~", "n", "i", "b", "u", "s", "1", "-", ".", "/", "%", "2", "F", "e", "a", "="),
      }),
      fc.string({ unit: "binary" }),
    );
    fc.assert(
      fc.property(text, (path) => {
        const read = keyOfPath(path);
        const again = read.ok ? keyOfPath(pathOfKey(read.bytes)) : read;
        expect(again).toEqual(read);
        expect(read.ok ? "" : read.message).toMatch(/^(?:|(?:Segment \d+ of the|The) path of the key.*\.)$/s);
      }),
      { numRuns: 2000 },
    );
  });
});

test("a key's parts are what the codec of keys makes of them", () => {
  expect(encodeKey(["users", 1])).toMatchObject(keyOfPath("users/~n1"));
});
