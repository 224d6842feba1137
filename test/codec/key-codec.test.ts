import { isUtf8 } from "node:buffer";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { compareBytes, toHex } from "../../src/core/bytes.ts";
import {
  appendStringPart,
  decodeKey,
  encodeKey,
  endOfPlainPart,
  isEncodedKey,
  type Key,
  type KeyPart,
} from "../../src/codec/key-codec.ts";
import { anyKey, bitsOfDouble, key, keyPair, negativeNan } from "./key-arbitraries.ts";

function encoded(parts: Key): Uint8Array {
  const result = encodeKey(parts);
  if (!result.ok) throw new Error(result.message);
  return result.bytes;
}

function decoded(bytes: Uint8Array): KeyPart[] {
  const result = decodeKey(bytes);
  if (!result.ok) throw new Error(result.message);
  return result.key;
}

function refusal(result: ReturnType<typeof encodeKey> | ReturnType<typeof decodeKey>): string {
  if (result.ok) throw new Error("expected a failure");
  expect(result.code).toBe("invalid");
  return result.message;
}

function fromHex(hex: string): Uint8Array {
  return new Uint8Array(Buffer.from(hex.replaceAll(" ", ""), "hex"));
}

/** The order of the manual, written down without regard to any encoding. */
function compareKeys(a: Key, b: Key): number {
  for (const [index, part] of a.entries()) {
    const other = b[index];
    if (other === undefined) return 1;
    const order = compareParts(part, other);
    if (order !== 0) return order;
  }
  return a.length - b.length;
}

function compareParts(a: KeyPart, b: KeyPart): number {
  const types = rankOfType(a) - rankOfType(b);
  if (types !== 0) return types;
  if (a instanceof Uint8Array && b instanceof Uint8Array) return Buffer.compare(a, b);
  if (typeof a === "string" && typeof b === "string") return Buffer.compare(Buffer.from(a), Buffer.from(b));
  if (typeof a === "number" && typeof b === "number")
    return rankOfNumber(a) - rankOfNumber(b) || (a < b ? -1 : a > b ? 1 : 0);
  return a < b ? -1 : a > b ? 1 : 0;
}

function rankOfType(part: KeyPart): number {
  return part instanceof Uint8Array ? 0 : ["string", "bigint", "number", "boolean"].indexOf(typeof part) + 1;
}

/** -NaN, the negative, -0, 0, the positive, NaN. */
function rankOfNumber(value: number): number {
  const negative = bitsOfDouble(value) >= 2n ** 63n;
  const rank = Number.isNaN(value) ? 3 : value === 0 ? 1 : 2;
  return negative ? -rank : rank;
}

/** Whether decoder and validator both refuse the bytes, or the bytes are the encoding of what they decode to. */
function isConsistent(bytes: Uint8Array): boolean {
  const result = decodeKey(bytes);
  if (isEncodedKey(bytes) !== result.ok) return false;
  // A NaN may lose its sign in an array of numbers.
  return !result.ok || result.key.some((part) => Number.isNaN(part)) || toHex(encoded(result.key)) === toHex(bytes);
}

describe("the encoding", () => {
  test.each<[string, Key, string]>([
    ["bytes", [Uint8Array.of(1, 0, 255)], "01 01 00ff ff 00"],
    ["no bytes", [new Uint8Array()], "01 00"],
    ["a string with a zero", ["a\0é"], "02 61 00ff c3a9 00"],
    ["a string with a byte order mark", ["\ufeffa"], "02 efbbbf 61 00"],
    ["0n", [0n], "14"],
    ["1n", [1n], "15 01"],
    ["-256n", [-256n], "12 feff"],
    ["8 bytes", [2n ** 64n - 1n], "1c ffffffffffffffff"],
    ["9 bytes", [2n ** 64n], "1d 09 010000000000000000"],
    ["9 negative bytes", [-(2n ** 64n)], "0b f6 feffffffffffffffff"],
    ["1", [1], "21 bff0000000000000"],
    ["-0", [-0], "21 7fffffffffffffff"],
    ["NaN", [Number.NaN], "21 fff8000000000000"],
    ["booleans", [false, true], "26 27"],
  ])("of %s is what the manual says (K6)", (_, parts, hex) => {
    expect(toHex(encoded(parts))).toBe(hex.replaceAll(" ", ""));
    expect(decoded(fromHex(hex))).toEqual(parts);
    expect(isEncodedKey(fromHex(hex))).toBe(true);
  });

  test("of a key decodes to that key (K7)", () => {
    fc.assert(
      fc.property(key, (parts) => {
        const bytes = encoded(parts);
        expect(decoded(bytes)).toEqual(parts);
        expect(isEncodedKey(bytes)).toBe(true);
      }),
      { numRuns: 2000 },
    );
  });

  test("replaces a lone surrogate by U+FFFD (K10)", () => {
    expect(decoded(encoded(["a\ud800", "\udc00b"]))).toEqual(["a\ufffd", "\ufffdb"]);
  });

  test("keeps the sign of a NaN", () => {
    expect(toHex(encoded(["", negativeNan]))).toBe("0200210007ffffffffffff");
    const [, back] = decoded(fromHex("0200 210007ffffffffffff"));
    expect(back).toBeNaN();
  });

  test("decoded parts neither share memory with their bytes nor change them, also when these are a Buffer", () => {
    const bytes = Buffer.from(encoded([Uint8Array.of(1, 2), -1.5, 0.5]));
    const before = bytes.toString("hex");
    const parts = decoded(bytes);
    expect(bytes.toString("hex")).toBe(before);
    bytes.fill(9);
    expect(parts).toEqual([Uint8Array.of(1, 2), -1.5, 0.5]);
  });

  test("takes bigints of 255 bytes and no longer (K11)", () => {
    for (const sign of [1n, -1n]) {
      const largest = sign * (2n ** 2040n - 1n);
      expect(decoded(encoded([largest]))).toEqual([largest]);
      expect(refusal(encodeKey(["a", sign * 2n ** 2040n]))).toContain("part 1 of the key is a bigint of 256 bytes");
    }
  });

  test("refuses an empty key and parts of other types (K1)", () => {
    expect(refusal(encodeKey([]))).toContain("at least one part");
    for (const part of [
      undefined,
      null,
      {},
      [],
      Symbol("a"),
      () => 1,
      new Date(0),
      new ArrayBuffer(1),
      new Uint16Array(1),
    ]) {
      // What a caller without types can pass.
      expect(refusal(encodeKey([1, part] as Key))).toMatch(/^part 1 of the key is (null|of type)/);
    }
    // oxlint-disable-next-line no-sparse-arrays -- a hole is what is tested
    expect(refusal(encodeKey([, 1] as Key))).toContain("part 0 of the key is of type undefined");
  });

  test("appends a string part (W23)", () => {
    fc.assert(
      fc.property(anyKey, fc.string(), (parts, text) => {
        expect(toHex(appendStringPart(encoded(parts), text))).toBe(toHex(encoded([...parts, text])));
      }),
    );
  });
});

describe("the order", () => {
  test("of encoded bytes is the order of the keys (K2, K6)", () => {
    fc.assert(
      fc.property(keyPair, ([a, b]) => {
        expect(Math.sign(compareBytes(encoded(a), encoded(b)))).toBe(Math.sign(compareKeys(a, b)));
      }),
      { numRuns: 10_000 },
    );
  });

  test("of numbers runs from -NaN to NaN (K4)", () => {
    const ascending = [
      negativeNan,
      -Infinity,
      -Number.MAX_VALUE,
      -1,
      -Number.MIN_VALUE,
      -0,
      0,
      Number.MIN_VALUE,
      1,
      Infinity,
      Number.NaN,
    ];
    const keys = ascending.map((value) => toHex(encoded([value])));
    expect(keys.toSorted()).toEqual(keys);
    expect(new Set(keys).size).toBe(keys.length);
  });
});

describe("malformed keys", () => {
  test.each([
    ["", "no bytes"],
    ["00", "does not begin with the tag"],
    ["0a", "does not begin with the tag"],
    ["1e", "does not begin with the tag"],
    ["28", "does not begin with the tag"],
    ["2600", "part 1 of the encoded key, at byte 1, does not begin"],
    ["0161", "is cut short"],
    ["0100ff", "is cut short"],
    ["026100ff", "is cut short"],
    ["02c3", "is cut short"],
    ["1500", "leading zeros"],
    ["13ff", "leading zeros"],
    ["1600ff", "leading zeros"],
    ["1d08 0101010101010101", "leading zeros"],
    ["1d00", "leading zeros"],
    ["1d09 000101010101010101", "leading zeros"],
    ["0bf6 ff0101010101010101", "leading zeros"],
    ["0bf6 fe01010101010101", "is cut short"],
    ["1d", "is cut short"],
    ["2180", "is cut short"],
    ["21 fff8000000000001", "NaN"],
    ["21 fff0000000000001", "NaN"],
    ["21 ffffffffffffffff", "NaN"],
    ["21 000fffffffffff00", "NaN"],
    ["21 0000000000000000", "NaN"],
    ["02 c080 00", "not UTF-8"],
    ["02 eda080 00", "not UTF-8"],
    ["02 f4908080 00", "not UTF-8"],
    ["02 ff 00", "not UTF-8"],
  ])("%s fails", (hex, reason) => {
    expect(refusal(decodeKey(fromHex(hex)))).toContain(reason);
    expect(isEncodedKey(fromHex(hex))).toBe(false);
  });

  test("a key that is cut anywhere fails, or is the encoding of another", () => {
    fc.assert(
      fc.property(key, (parts) => {
        const bytes = encoded(parts);
        const cuts = Array.from(bytes, (_, length) => bytes.subarray(0, length));
        expect(cuts.every(isConsistent)).toBe(true);
      }),
      { numRuns: 300 },
    );
  });

  test("any bytes fail, or decode to a key that encodes to them, and the validator agrees (K8)", () => {
    const tag = fc.constantFrom(0x01, 0x02, 0x0b, 0x0c, 0x13, 0x14, 0x15, 0x1c, 0x1d, 0x21, 0x26, 0x27);
    const byte = fc.oneof(tag, fc.constantFrom(0x00, 0xff, 0x80, 0xbf, 0xc2, 0xe0, 0xed, 0xf0, 0xf4), fc.nat(255));
    fc.assert(
      fc.property(tag, fc.array(byte, { maxLength: 24 }), (first, rest) => {
        expect(isConsistent(Uint8Array.of(first, ...rest))).toBe(true);
      }),
      { numRuns: 10_000 },
    );
  });

  test("a string is accepted exactly when a strict UTF-8 decoder accepts it", () => {
    const disagreements: string[] = [];
    const check = (...content: number[]): void => {
      if (isEncodedKey(Uint8Array.of(2, ...content, 0)) !== isUtf8(Uint8Array.from(content)))
        disagreements.push(content.join());
    };
    const edges = [0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0];
    for (let a = 1; a < 256; a++) {
      check(a);
      for (let b = 1; b < 256; b++) {
        check(a, b);
        if (a >= 0xc0) for (const c of edges) for (const d of edges) check(a, b, c, d);
        if (a >= 0xc0) for (const c of edges) check(a, b, c);
      }
    }
    expect(disagreements).toEqual([]);
  });
});

test("the end of a part whose text is that of a JSON string, or that there is none", () => {
  fc.assert(
    fc.property(key, (parts) => {
      const bytes = encoded(parts);
      const [first] = parts;
      const end = endOfPlainPart(bytes, 0);
      const isPlain = typeof first === "string" && /^[ -~]*$/.test(first) && JSON.stringify(first) === `"${first}"`;
      const text = end === -1 ? null : Buffer.from(bytes.subarray(1, end)).toString("latin1");
      expect(text).toBe(isPlain ? first : null);
    }),
  );
  expect(endOfPlainPart(encoded(["a", "b"]), 3)).toBe(5);
  expect(endOfPlainPart(Uint8Array.of(2, 97), 0)).toBe(-1);
});
