import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { encodeKey } from "../../src/codec/key-codec.ts";
import {
  ageHolds,
  type AgeOperator,
  createdAt,
  nameOfRecord,
  parentOfRecords,
  rangeOfRecords,
  recordKey,
  storedRecord,
  textOfRecord,
} from "../../src/codec/record.ts";
import { encodeV8 } from "../../src/codec/v8/codec.ts";
import { compareBytes } from "../../src/core/bytes.ts";
import { asUnixMs } from "../../src/core/clock.ts";
import { type Failure, isFailure } from "../../src/core/errors.ts";
import { MAX_KEY_BYTES, MAX_TIME_MS, MAX_VALUE_BYTES } from "../../src/core/limits.ts";
import { Encoding } from "../../src/core/operations.ts";
import { asVersion, versionAtTime } from "../../src/core/versionstamp.ts";

const NOW = asUnixMs(1_795_694_400_123);

function ok<T>(value: T | Failure): T {
  if (isFailure(value)) throw new Error(JSON.stringify(value));
  return value;
}

const encoded = (...parts: string[]) => ok(encodeKey(parts)).bytes;

function shown(value: unknown, { key = "k", version = versionAtTime(NOW), expiresAt = null as number | null } = {}) {
  const stored = ok(storedRecord(value));
  const expiry = expiresAt === null ? null : asUnixMs(expiresAt);
  const entry = { ...stored, key: encoded("kvs", key), version, expiresAt: expiry };
  return JSON.parse(`{${textOfRecord(entry, NOW)}}`);
}

test("a record is the entry [kvs, key], or [kvs, namespace, key] (A1)", () => {
  expect(recordKey(ok(parentOfRecords(null)), "a")).toEqual(encoded("kvs", "a"));
  expect(recordKey(ok(parentOfRecords("shop")), "a")).toEqual(encoded("kvs", "shop", "a"));
  expect(nameOfRecord(encoded("kvs", "shop", "a/b"))).toBe("a/b");
});

test("the records of a parent are in its range, and neither the parent nor its neighbours are (A1)", () => {
  const { start, end } = rangeOfRecords(ok(parentOfRecords("shop")));
  const isWithin = (key: Uint8Array) => compareBytes(start, key) <= 0 && compareBytes(key, end) < 0;
  expect(["", "a", "\u{10ffff}", "\0"].map((key) => isWithin(encoded("kvs", "shop", key)))).toEqual(
    Array(4).fill(true),
  );
  const others = [encoded("kvs", "shop"), encoded("kvs", "shop\0"), encoded("kvs", "shops", "a"), encoded("kvs", "s")];
  expect(others.map(isWithin)).toEqual(Array(4).fill(false));
  for (const part of [1, 1n, true, new Uint8Array(1)]) {
    expect(isWithin(ok(encodeKey(["kvs", "shop", part])).bytes)).toBe(false);
  }
});

test("a number beyond the range of a number is refused, and not stored as Infinity (A6)", () => {
  expect(storedRecord(JSON.parse('{"a":[{"b":-1e999}]}'))).toMatchObject({
    code: "invalid",
    message: "value has a number that is beyond the range of a number.",
  });
});

test("any JSON object comes back as it was written, whatever its form (A6)", () => {
  fc.assert(
    fc.property(fc.dictionary(fc.string({ unit: "binary" }), fc.jsonValue({ maxDepth: 4 })), (value) => {
      // JSON has no -0: a text with one is read as -0, and programs write 0.
      const json = JSON.parse(JSON.stringify(value));
      expect(shown(json).k.value).toEqual(json);
    }),
  );
  for (const form of ['{"type":"string","value":"a"}', '{"type":"Date","value":"x"}', '{"__proto__":{"a":1}}']) {
    expect(JSON.stringify(shown(JSON.parse(form)).k.value)).toBe(form);
  }
  expect(JSON.stringify(shown(JSON.parse('{"n":-0}')).k.value)).toBe('{"n":0}');
});

test("what JSON cannot say, of another door, is in the notation (A6)", () => {
  const bytes = encodeV8(new Map([["a", 1]]));
  const value = bytes.ok ? bytes.bytes : new Uint8Array();
  const entry = { key: encoded("kvs", "m"), value, encoding: Encoding.v8, version: asVersion(1), expiresAt: null };
  const { m } = JSON.parse(`{${textOfRecord(entry, NOW)}}`);
  expect(m.value).toMatchObject({ type: "Map" });
});

test.each([[null], [[1]], ["a"], [1], [true], [undefined]])(
  "a value that is no object is refused: %j (A6)",
  (value) => {
    expect(storedRecord(value)).toMatchObject({
      code: "invalid",
      message: expect.stringContaining("must be an object"),
    });
  },
);

test("a value of the greatest size is taken, and one byte more is told in the words that programs look for (A6)", () => {
  const overhead = ok(storedRecord({ a: "" })).value.length;
  // The length of the text takes two more bytes then.
  const most = MAX_VALUE_BYTES - overhead - 2;
  expect(ok(storedRecord({ a: "x".repeat(most) })).value.length).toBe(MAX_VALUE_BYTES);
  expect(storedRecord({ a: "x".repeat(most + 1) })).toMatchObject({
    code: "limit",
    message: `The value size should be less than ${MAX_VALUE_BYTES + 1} bytes: it has ${MAX_VALUE_BYTES + 1} as it is stored.`,
  });
});

test("created_at is the time of the versionstamp, and now where that is ahead (A4)", () => {
  expect(createdAt(versionAtTime(asUnixMs(NOW - 5)), NOW)).toBe(NOW - 5);
  expect(createdAt(asVersion(versionAtTime(NOW) + 999), NOW)).toBe(NOW);
  expect(createdAt(versionAtTime(asUnixMs(NOW + 4000)), NOW)).toBe(NOW);
  expect(shown({}, { version: versionAtTime(asUnixMs(NOW + 4000)) }).k.created_at).toBe("2026-11-26T12:00:00.123Z");
  expect(shown({}, { expiresAt: NOW + 60_000 }).k.expired_at).toBe("2026-11-26T12:01:00.123Z");
  expect(shown({}, { expiresAt: MAX_TIME_MS }).k.expired_at).toBe("+275760-09-13T00:00:00.000Z");
  expect(shown({}).k.expired_at).toBeNull();
});

test.each<[AgeOperator, boolean, boolean, boolean]>([
  ["=", false, true, false],
  ["<", true, false, false],
  ["<=", true, true, false],
  [">", false, false, true],
  [">=", false, true, true],
])("created_at %s a time: before it %s, at it %s, after it %s (A11)", (operator, before, at, after) => {
  const holds = (created: number) => ageHolds(asUnixMs(created), { operator, unixtimeMs: 1000 });
  expect([holds(999), holds(1000), holds(1001)]).toEqual([before, at, after]);
});

describe("keys (A7)", () => {
  const parent = ok(parentOfRecords(null));

  test.each([".", "..", "a/b", " ", "ключ", "\0", "a:checkAndWrite", "__proto__"])("%j is a key like others", (key) => {
    expect(nameOfRecord(ok(recordKey(parent, key)))).toBe(key);
  });

  test.each([
    ["", "key is empty; it must have at least one character."],
    [5, "key is 5; it must be a string."],
    [undefined, "key is missing; it must be a string."],
    ["\ud800", "key has half of a surrogate pair, which is no character and cannot be stored."],
  ])("%j is none", (key, message) => {
    expect(recordKey(parent, key)).toMatchObject({ code: "invalid", message });
  });

  test("the longest key is taken, and one byte more is not", () => {
    const most = MAX_KEY_BYTES - parent.length - 2;
    expect(ok(recordKey(parent, "x".repeat(most))).length).toBe(MAX_KEY_BYTES);
    expect(recordKey(parent, "x".repeat(most + 1))).toMatchObject({
      code: "limit",
      message: "key is too long: the record's key has 2049 bytes as it is stored; the limit is 2048.",
    });
  });

  test.each([
    ["", "namespace is empty; it must have at least one character."],
    ["\udc00", "namespace has half of a surrogate pair, which is no character and cannot be stored."],
  ])("%j is no namespace", (namespace, message) => {
    expect(parentOfRecords(namespace)).toMatchObject({ code: "invalid", message });
  });
});
