import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { compareBytes } from "../../src/core/bytes.ts";
import { encodeKey, type KeyPart } from "../../src/codec/key-codec.ts";
import { admitsKey, intersectRange } from "../../src/codec/key-prefix.ts";

function encoded(...parts: KeyPart[]): Uint8Array {
  const key = encodeKey(parts);
  if (!key.ok) throw new Error(key.message);
  return key.bytes;
}

// Few values, so that one part is often the beginning of another.
const part: fc.Arbitrary<KeyPart> = fc.oneof(
  fc.string({ unit: fc.constantFrom("a", "b", "\0", "ÿ"), maxLength: 3 }),
  fc.uint8Array({ maxLength: 2 }),
  fc.constantFrom(0, 1, -1, 0n, 255n, -255n, true, false),
);
const key = fc.array(part, { minLength: 1, maxLength: 4 });

function startsWith(whole: KeyPart[], prefix: KeyPart[]): boolean {
  return (
    prefix.length <= whole.length && prefix.every((one, i) => compareBytes(encoded(one), encoded(whole[i] ?? 0)) === 0)
  );
}

describe("a key prefix", () => {
  test("admits exactly the keys that begin with all of its parts (T8)", () => {
    fc.assert(
      fc.property(key, key, fc.boolean(), (prefix, other, under) => {
        const candidate = under ? [...prefix, ...other] : other;
        expect(admitsKey(encoded(...prefix), encoded(...candidate))).toBe(startsWith(candidate, prefix));
      }),
      { numRuns: 2000 },
    );
  });

  test.each<[string, KeyPart[]]>([
    ["the key itself", ["user"]],
    ["a key under it", ["user", "a"]],
    ["a key under it, of the least part", ["user", new Uint8Array(0)]],
    ["a key under it, of the greatest part", ["user", true]],
  ])("admits %s", (_, candidate) => expect(admitsKey(encoded("user"), encoded(...candidate))).toBe(true));

  test.each<[string, KeyPart[]]>([
    ["a part that begins with its bytes", ["users"]],
    ["its last part going on with a zero", ["user\0"]],
    ["its last part going on with a zero and more", ["user\0a", "x"]],
    ["a part that its own begins with", ["use"]],
    ["the same bytes as another type", [new TextEncoder().encode("user")]],
    ["a key that only ends with it", ["x", "user"]],
  ])("does not admit %s", (_, candidate) => expect(admitsKey(encoded("user"), encoded(...candidate))).toBe(false));

  test("intersecting a range leaves exactly the admitted keys of the range (T9)", () => {
    const bound = fc.oneof(
      key.map((parts) => encoded(...parts)),
      fc.uint8Array({ maxLength: 4 }),
    );
    fc.assert(
      fc.property(key, bound, bound, fc.array(key), (prefix, start, end, keys) => {
        const range = intersectRange(encoded(...prefix), start, end);
        for (const parts of [...keys, ...keys.map((more) => [...prefix, ...more]), prefix]) {
          const bytes = encoded(...parts);
          const inRange = compareBytes(bytes, start) >= 0 && compareBytes(bytes, end) < 0;
          const left =
            range !== undefined && compareBytes(bytes, range.start) >= 0 && compareBytes(bytes, range.end) < 0;
          expect(left).toBe(inRange && startsWith(parts, prefix));
        }
      }),
      { numRuns: 1000 },
    );
  });
});
