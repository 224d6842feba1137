/** Generated keys, rich in what encodings get wrong: zeros and ff, magnitudes around a byte's end, surrogates, both NaNs. */
import * as fc from "fast-check";
import type { Key, KeyPart } from "../../src/codec/key-codec.ts";

const trickyBytes = fc.uint8Array({ maxLength: 12 }).chain((bytes) =>
  fc.constantFrom(
    bytes,
    Uint8Array.from(bytes, (byte) => [0x00, 0x01, 0xfe, 0xff][byte % 4] ?? 0),
  ),
);

const trickyUnit = fc.constantFrom(
  "\0",
  "\u0001",
  "a",
  "b",
  "\u007f",
  "\u0080",
  "ÿ",
  "߿",
  "ࠀ",
  "\ufeff",
  "￿",
  "𐀀",
  "\u{10ffff}",
);
const wellFormedString = fc.oneof(
  fc.string({ maxLength: 10, unit: trickyUnit }),
  fc.string({ maxLength: 10, unit: "binary" }),
  fc.string({ maxLength: 10 }),
);
const loneSurrogates = fc.string({
  maxLength: 6,
  unit: fc.constantFrom("a", "\ud800", "\udbff", "\udc00", "\udfff", "\ufffd"),
});

const largestKeyBigint = 2n ** 2040n - 1n;
const nearPowerOf256 = fc
  .tuple(
    fc.oneof(fc.integer({ min: 0, max: 10 }), fc.constantFrom(126, 127, 128, 254)),
    fc.bigInt({ min: -2n, max: 2n }),
    fc.boolean(),
  )
  .map(([bytes, step, negative]) => {
    const magnitude = 256n ** BigInt(bytes) + step;
    return negative ? -magnitude : magnitude;
  });
const bigint = fc.oneof(
  nearPowerOf256,
  fc.bigInt({ min: -(2n ** 80n), max: 2n ** 80n }),
  fc.constantFrom(largestKeyBigint, -largestKeyBigint),
);

export const negativeNan = doubleOfBits(0xfff8_0000_0000_0000n);
const number = fc.oneof(
  fc.double(),
  fc.integer(),
  fc.constantFrom(
    0,
    -0,
    Number.NaN,
    Infinity,
    -Infinity,
    Number.MIN_VALUE,
    -Number.MIN_VALUE,
    Number.MAX_VALUE,
    -Number.MAX_VALUE,
  ),
  fc.constant(0).map(() => negativeNan),
);

function partOf(text: fc.Arbitrary<string>): fc.Arbitrary<KeyPart> {
  return fc.oneof(trickyBytes, text, bigint, number, fc.boolean());
}

/** Keys that decode to themselves: without lone surrogates. */
export const key: fc.Arbitrary<Key> = fc.array(partOf(wellFormedString), { minLength: 1, maxLength: 4 });

/** Keys as a program may pass them. */
export const anyKey: fc.Arbitrary<Key> = fc.array(partOf(fc.oneof(wellFormedString, loneSurrogates)), {
  minLength: 1,
  maxLength: 4,
});

/** Two keys of which one often is a prefix of the other or differs in one part only. */
export const keyPair: fc.Arbitrary<readonly [Key, Key]> = fc.oneof(
  fc.tuple(anyKey, anyKey),
  fc
    .tuple(anyKey, fc.array(partOf(wellFormedString), { maxLength: 2 }))
    .map(([a, more]) => [a, [...a, ...more]] as const),
  fc.tuple(anyKey, partOf(wellFormedString), partOf(wellFormedString)).map(
    ([a, b, c]) =>
      [
        [...a, b],
        [...a, c],
      ] as const,
  ),
  fc.tuple(wellFormedString, wellFormedString).map(([a, b]) => [[a], [a + b]] as const),
  fc
    .tuple(trickyBytes, trickyBytes, fc.boolean())
    .map(([a, b, more]) => [[a, more], [Uint8Array.of(...a, ...b)]] as const),
);

export function doubleOfBits(bits: bigint): number {
  const view = new DataView(new ArrayBuffer(8));
  view.setBigUint64(0, bits);
  return view.getFloat64(0);
}

export function bitsOfDouble(value: number): bigint {
  const view = new DataView(new ArrayBuffer(8));
  view.setFloat64(0, value);
  return view.getBigUint64(0);
}
