/** Lines of NDJSON files: ours out and in, the ecosystem's in. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { asUnixMs } from "../../../src/core/clock.ts";
import { entryOfLine, type EntryToWrite, textOfEntry } from "../../../src/codec/json-notation/entry-line.ts";
import {
  MAX_ENTRY_LINE_CHARACTERS,
  MAX_NOTATION_CHARACTERS,
  MAX_TIME_MS,
  MAX_VALUE_BYTES,
} from "../../../src/core/limits.ts";
import { decodeKey, type KeyPart } from "../../../src/codec/key-codec.ts";
import { Encoding } from "../../../src/core/operations.ts";
import { asVersion } from "../../../src/core/versionstamp.ts";
import { difference } from "../v8-difference.ts";
import { v8Deserialize } from "../v8-oracle.ts";
import { keyBytes, storedV8 } from "./notation.ts";

const plain = { plain: true };
const notation = { plain: false };
const line = '{"key":["a"],"value":{"type":"number","value":1}}';
const version = asVersion(0x3b);
const expiring = { key: keyBytes("a"), ...storedV8(1), version };

function entryOf(text: string, options = notation): EntryToWrite {
  const read = entryOfLine(text, options);
  if (!read.ok || read.entry === null) throw new Error(read.ok ? "no entry" : read.message);
  return read.entry;
}

function failureOf(text: string, options = notation): string {
  const read = entryOfLine(text, options);
  if (read.ok) throw new Error("expected a failure");
  return read.message;
}

describe("the file that the Deno team's own export function wrote", () => {
  /** The entries that were exported, by the last part of their keys; those below ["key"] all have the value 1. */
  const values: Readonly<Record<string, unknown>> = {
    array: [1, "x", null, undefined, [2n]],
    bi64: BigInt64Array.of(-7n),
    bigint: 10n ** 30n,
    bu64: BigUint64Array.of(7n),
    buffer: Uint8Array.of(1, 2, 3).buffer,
    dataview: new DataView(Uint8Array.of(9, 8, 7).buffer),
    date: new Date("2024-02-29T12:34:56.789Z"),
    emptyarray: [],
    emptyobject: {},
    emptystring: "",
    error: withStack(new Error("bad", { cause: "why" })),
    f32: Float32Array.of(0.5),
    f64: Float64Array.of(0.1, Number.NaN),
    false: false,
    i16: Int16Array.of(-1),
    i32: Int32Array.of(-7),
    i8: Int8Array.of(-1, 2),
    inf: Infinity,
    map: new Map<unknown, unknown>([
      ["a", 1],
      [2, { x: 1 }],
    ]),
    nan: Number.NaN,
    nbigint: -5n,
    // It was -0: theirs loses the sign.
    negzero: 0,
    ninf: -Infinity,
    null: null,
    number: 1.25,
    object: { a: 1, "b c": { d: [true] }, u: undefined },
    rangeerror: withStack(new RangeError("r")),
    regexp: /a\/b+/giu,
    set: new Set([1, "b"]),
    string: 'a\n"ü米',
    true: true,
    typeerror: withStack(new TypeError("t")),
    u16: Uint16Array.of(1, 65_535),
    u32: Uint32Array.of(2 ** 32 - 1),
    u8: Uint8Array.of(1, 2),
    u8c: Uint8ClampedArray.of(1, 2),
    undefined: undefined,
  };
  const keys: readonly (readonly KeyPart[])[] = [
    [new Uint8Array()],
    [Uint8Array.of(0, 255, 1)],
    [""],
    ["string", "ä 米 \0 ~"],
    [-(2n ** 70n)],
    [12n],
    [-Infinity],
    // Of 0 and -0, which were two entries, theirs made this one.
    [0],
    [1.5],
    [Infinity],
    [Number.NaN],
    [false],
    [true],
  ];

  function withStack(error: Error): Error {
    return Object.assign(error, { stack: `${error.name}: ${error.message}\n    at file:///app/main.ts:9:10` });
  }

  // shared/cases/ndjson of this project: written by exportEntries of denoland/kv-utils, in Deno.
  const lines = readFileSync(join(import.meta.dirname, "../../support/ndjson/kv-utils-export.ndjson"), "utf8")
    .trimEnd()
    .split("\n");

  test("has every key that was exported", () => {
    const read = lines.map((each) => decodeKey(entryOf(each).key)).map((each) => (each.ok ? each.key : []));
    expect(read.filter(([first]) => first === "key").map(([, ...rest]) => rest)).toEqual(keys);
    const names = read.filter(([first]) => first === "value").map(([, name]) => name);
    expect(names).toEqual([...Object.keys(values), "u64"].toSorted());
  });

  test.each(Object.entries(values))("has the value %s that was exported", (name, value) => {
    const found = lines.filter((each) =>
      each.includes(`"value":"value"},{"type":"string","value":${JSON.stringify(name)}}]`),
    );
    expect(found).toHaveLength(1);
    const { value: bytes, encoding } = entryOf(found[0] ?? "");
    expect(encoding).toBe(Encoding.v8);
    expect(difference(v8Deserialize(bytes)?.value, value)).toBeUndefined();
  });

  test("has the KvU64 that was exported", () => {
    const found = lines.find((each) => each.includes('"KvU64"')) ?? "";
    expect(entryOf(found)).toEqual({
      key: keyBytes("value", "u64"),
      value: new Uint8Array(8).fill(255),
      encoding: Encoding.le64,
      expiresAt: null,
    });
  });

  test("is what we write of its entries, to the letter", () => {
    for (const each of lines) {
      const stamp = /"versionstamp":"(.{16})0000"/.exec(each)?.[1] ?? "";
      const entry = { ...entryOf(each), version: asVersion(Number.parseInt(stamp, 16)) };
      expect(textOfEntry(entry, notation)).toEqual({ text: each, form: "notation" });
    }
  });
});

describe("an entry as a line", () => {
  test.each<[number | null, string]>([
    [null, ""],
    [1_795_694_400_000, ',"expiresAt":"2026-11-26T12:00:00.000Z"'],
    [0, ',"expiresAt":"1970-01-01T00:00:00.000Z"'],
    [253_402_300_799_999, ',"expiresAt":"9999-12-31T23:59:59.999Z"'],
    // RFC 3339 has no such year.
    [253_402_300_800_000, ',"expiresAt":253402300800000'],
    [MAX_TIME_MS, ',"expiresAt":8640000000000000'],
  ])("that expires at %s", (ms, member) => {
    const expiresAt = ms === null ? null : asUnixMs(ms);
    const { text } = textOfEntry({ ...expiring, expiresAt }, notation);
    expect(text).toBe(
      `{"key":[{"type":"string","value":"a"}],"value":{"type":"number","value":1},"versionstamp":"000000000000003b0000"${member}}`,
    );
    const { key, value, encoding } = expiring;
    expect(entryOf(text)).toEqual({ key, value, encoding, expiresAt });
  });

  test("says the form of its value", () => {
    const date = { ...expiring, expiresAt: null, ...storedV8(new Date(Number.NaN)) };
    expect(textOfEntry(date, plain).form).toBe("v8");
    expect(textOfEntry({ ...expiring, expiresAt: null }, plain)).toEqual({
      text: '{"key":[{"type":"string","value":"a"}],"value":1,"versionstamp":"000000000000003b0000"}',
      form: "plain",
    });
  });

  test("the longest line that is written is read", () => {
    const key = keyBytes(...Array.from({ length: 2048 }, () => false));
    // Each character takes six, and so the text is as long as it may be.
    const stored = storedV8("\u0001".repeat(Math.floor((MAX_NOTATION_CHARACTERS - 28) / 6)));
    const { text, form } = textOfEntry({ key, ...stored, version, expiresAt: asUnixMs(MAX_TIME_MS) }, notation);
    expect(form).toBe("notation");
    expect(text.length).toBeGreaterThan(MAX_NOTATION_CHARACTERS);
    expect(entryOf(text).value).toEqual(stored.value);
    const raw = { key, value: new Uint8Array(MAX_VALUE_BYTES), encoding: Encoding.bytes, version, expiresAt: null };
    expect(entryOf(textOfEntry(raw, notation).text).value).toEqual(raw.value);
  });
});

describe("a line as an entry", () => {
  test.each<[string, string]>([
    ["a line's end", `${line}\n`],
    ["CRLF", `${line}\r\n`],
    ["a byte order mark", `\ufeff${line}`],
    ["white space", ` \t${line} `],
    ["members that are not known", line.replace("{", '{"note":{"a":[]},"versionstamp":"none","__proto__":1,')],
    ["no expiry", line.replace(/\}$/, ',"expiresAt":null}')],
  ])("is read with %s", (_, text) => {
    expect(entryOf(text)).toEqual({ key: keyBytes("a"), ...storedV8(1), expiresAt: null });
  });

  test.each<[string, number]>([
    ["1795694400000", 1_795_694_400_000],
    ['"2026-11-26T12:00:00Z"', 1_795_694_400_000],
    ['"2026-11-26T13:00:00.000+01:00"', 1_795_694_400_000],
    ["0", 0],
  ])("expires at %s", (json, ms) => {
    expect(entryOf(line.replace(/\}$/, `,"expiresAt":${json}}`)).expiresAt).toBe(ms);
  });

  test.each(["", "\n", "\r\n", "  ", "\ufeff", "\ufeff\r\n"])("is none when it is empty: %j", (text) => {
    expect(entryOfLine(text, notation)).toEqual({ ok: true, entry: null });
  });

  test("plain values are taken where they are asked for", () => {
    const text = '{"key":["a"],"value":[1]}';
    expect(entryOf(text, plain).value).toEqual(storedV8([1]).value);
    expect(failureOf(text)).toBe(
      'value is an array; a value is an object like {"type":"string","value":"a"} or {"type":"null"}.',
    );
    expect(entryOf('{"key":["a"],"value":null}', plain).value).toEqual(storedV8(null).value);
    expect(entryOf(line, plain).value).toEqual(storedV8(1).value);
  });

  const expiry = 'it must be a time from 1970 on, like "2026-11-26T12:00:00Z" or 1795694400000 (milliseconds).';
  test.each<[string, string]>([
    [
      "[]",
      'The line is an array; it must be an object like {"key":["users",1],"value":{"type":"string","value":"a"}}.',
    ],
    ["1", 'The line is 1; it must be an object like {"key":["users",1],"value":{"type":"string","value":"a"}}.'],
    ["{}", 'key is missing; a key is an array of its parts, for example ["users", 1].'],
    ['{"key":[]}', "key has no parts; a key needs at least one."],
    ['{"key":["a"]}', 'value is missing; it is written like {"type":"string","value":"a"}.'],
    [
      '{"key":["a"],"value":null,"versionstamp":null}',
      'value is null; a value is an object like {"type":"string","value":"a"} or {"type":"null"}.',
    ],
    [line.replace('"number"', '"Map"'), "value.value is 1; it must be an array."],
    [line.replace(/\}$/, ',"expiresAt":"tomorrow"}'), `expiresAt is "tomorrow"; ${expiry}`],
    [line.replace(/\}$/, ',"expiresAt":1.5}'), `expiresAt is 1.5; ${expiry}`],
    [line.replace(/\}$/, ',"expiresAt":-1}'), `expiresAt is -1; ${expiry}`],
    [line.replace(/\}$/, ',"expiresAt":8640000000000001}'), `expiresAt is 8640000000000001; ${expiry}`],
    [line.replace(/\}$/, ',"expiresAt":"1969-12-31T23:59:59Z"}'), `expiresAt is "1969-12-31T23:59:59Z"; ${expiry}`],
    [line.replace(/\}$/, ',"expiresAt":{}}'), `expiresAt is an object; ${expiry}`],
    ["[".repeat(2000), "The line is nested deeper than 1520 levels, which is the limit."],
    [" ".repeat(MAX_ENTRY_LINE_CHARACTERS + 1), "The line has 4325377 characters; the limit is 4325376."],
  ])("is refused: case %#", (text, message) => {
    expect(failureOf(text)).toBe(message);
  });

  test.each(['{"key":["a"]', `${line},`, "key", "{'key':1}", `${line}${line}`])(
    "is refused when it is no JSON: %s",
    (text) => {
      expect(failureOf(text)).toMatch(/^The line is not JSON: .+\.$/);
    },
  );
});
