import { describe, expect, test } from "vitest";
import { MAX_SUM_BYTES } from "../../src/core/limits.ts";
import { Encoding } from "../../src/core/operations.ts";
import { decodeV8, encodeV8 } from "../../src/codec/v8/codec.ts";
import { Database } from "../../src/engine/database.ts";
import { resolveNumeric, type StoredValue } from "../../src/engine/numeric.ts";
import {
  entryOrNull,
  key,
  MovableClock,
  numeric,
  point,
  set,
  u64,
  versionOf,
  withStorage,
  write,
} from "../support/workerd/engine.ts";

const n = key("n");

function v8(value: unknown): Uint8Array<ArrayBuffer> {
  const encoded = encodeV8(value);
  if (!encoded.ok) throw new Error(encoded.message);
  return encoded.bytes;
}

const storedV8 = (value: unknown): StoredValue => ({ value: v8(value), encoding: Encoding.v8 });
const storedU64 = (value: bigint): StoredValue => ({ value: u64(value), encoding: Encoding.le64 });
const storedBytes: StoredValue = { value: new Uint8Array(8), encoding: Encoding.bytes };

interface Options {
  readonly min?: unknown;
  readonly max?: unknown;
  readonly clamp?: boolean;
}

/** What a V8 sum comes to: the value, or the error's message. */
function sum(stored: StoredValue | null, operand: unknown, { min, max, clamp = false }: Options = {}): unknown {
  const mutation = numeric("sum", n, v8(operand), {
    encoding: Encoding.v8,
    sumMin: min === undefined ? null : v8(min),
    sumMax: max === undefined ? null : v8(max),
    clamp,
  });
  const resolved = resolveNumeric(mutation, stored);
  if (!resolved.ok) return resolved.message;
  if (resolved.encoding === Encoding.le64) return { u64: new DataView(resolved.value.buffer).getBigUint64(0, true) };
  const decoded = decodeV8(resolved.value);
  return decoded.ok ? decoded.value : decoded.message;
}

function onU64(type: "sum" | "min" | "max", stored: StoredValue | null, operand: bigint): unknown {
  const resolved = resolveNumeric(numeric(type, n, u64(operand)), stored);
  if (!resolved.ok) return resolved.message;
  expect(resolved.encoding).toBe(Encoding.le64);
  return new DataView(resolved.value.buffer).getBigUint64(0, true);
}

const greatest = (1n << 64n) - 1n;

describe("KvU64", () => {
  test("sum wraps at 2^64 (W14)", () => {
    expect(onU64("sum", storedU64(greatest), 1n)).toBe(0n);
    expect(onU64("sum", storedU64(greatest), greatest)).toBe(greatest - 1n);
    expect(onU64("sum", storedU64(2n), 3n)).toBe(5n);
  });

  test("min and max compare as unsigned (W14)", () => {
    expect(onU64("min", storedU64(greatest), 1n)).toBe(1n);
    expect(onU64("max", storedU64(greatest), 1n)).toBe(greatest);
    expect(onU64("max", storedU64(1n), 1n << 63n)).toBe(1n << 63n);
  });

  test("where there is no entry the operand becomes the value (W15)", () => {
    for (const type of ["sum", "min", "max"] as const) expect(onU64(type, null, 7n)).toBe(7n);
  });

  test.each(["sum", "min", "max"] as const)("%s on a stored value of another type is an error (W17)", (type) => {
    const message = `Failed to perform '${type}' mutation on a non-U64 value in the database.`;
    for (const stored of [storedV8(1), storedV8(1n), storedV8("1"), storedBytes]) {
      expect(onU64(type, stored, 1n)).toBe(message);
    }
  });

  test.each(["min", "max"] as const)("%s with an operand of another type is an error (W17)", (type) => {
    const message = `Failed to perform '${type}' mutation on a non-U64 operand.`;
    for (const encoding of [Encoding.v8, Encoding.bytes]) {
      expect(resolveNumeric(numeric(type, n, v8(1n), { encoding }), null)).toMatchObject({ message });
    }
  });

  test("there is no range for it", () => {
    const message = "Cannot use min/max parameters with KvU64 operands.";
    for (const range of [{ sumMin: v8(0n) }, { sumMax: v8(9n) }, { clamp: true }]) {
      expect(resolveNumeric(numeric("sum", n, u64(1n), range), null)).toMatchObject({ message });
    }
    for (const range of [{ min: 0n }, { max: 5n }, { clamp: true }])
      expect(sum(storedU64(1n), 1n, range)).toBe(message);
  });
});

describe("V8 sums", () => {
  test("number and number, bigint and bigint (W18)", () => {
    expect(sum(storedV8(1.5), 2)).toBe(3.5);
    expect(sum(storedV8(2 ** 31), 1)).toBe(2 ** 31 + 1);
    expect(sum(storedV8(10n ** 40n), -1n)).toBe(10n ** 40n - 1n);
    expect(sum(storedV8(1), Number.NaN)).toBeNaN();
  });

  test("where there is no entry the operand becomes the value, -0 too, within the range (W19)", () => {
    expect(sum(null, -0)).toBe(-0);
    expect(sum(null, 5n)).toBe(5n);
    expect(sum(null, 50, { max: 10, clamp: true })).toBe(10);
    expect(sum(null, 50, { max: 10 })).toBe("The result of a Sum operation would exceed its range limit.");
  });

  test("out of range is clamped or an error; the bounds themselves are in range (W19)", () => {
    expect(sum(storedV8(5), 5, { min: 0, max: 10 })).toBe(10);
    expect(sum(storedV8(5), 6, { min: 0, max: 10, clamp: true })).toBe(10);
    expect(sum(storedV8(5n), -6n, { min: 0n, clamp: true })).toBe(0n);
    expect(sum(storedV8(5n), -5n, { min: 0n })).toBe(0n);
    expect(sum(storedV8(5n), -6n, { min: 0n })).toBe("The result of a Sum operation would exceed its range limit.");
    expect(sum(storedV8(5), 6, { clamp: true })).toBe(11);
  });

  test("a stored KvU64 takes a bigint that fits, as KvU64 (W18)", () => {
    expect(sum(storedU64(1n), 2n)).toEqual({ u64: 3n });
    expect(sum(storedU64(greatest), 1n)).toEqual({ u64: 0n });
    expect(sum(storedU64(1n), -1n)).toBe("Cannot sum KvU64 with BigInt.");
    expect(sum(storedU64(1n), 1n << 64n)).toBe("Cannot sum KvU64 with BigInt.");
    expect(sum(storedU64(1n), 1)).toBe("Cannot sum KvU64 with Number.");
  });

  test("types that do not fit each other are errors in Deno's words (W20)", () => {
    expect(sum(storedV8(1), 1n)).toBe("Cannot sum Number with BigInt.");
    expect(sum(storedV8(1n), 1)).toBe("Cannot sum BigInt with Number.");
    expect(sum(storedV8(1), 1, { min: 0n })).toBe("Min/max parameters have different types than the operand.");
    expect(sum(storedV8(1n), 1n, { max: 5 })).toBe("Min/max parameters have different types than the operand.");
    expect(sum(storedV8("1"), 1)).toBe("unsupported value type.");
    expect(sum(storedV8({ n: 1 }), 1)).toBe("unsupported value type.");
    expect(sum(storedBytes, 1)).toBe("unsupported value type.");
    expect(sum(null, "1")).toBe("unsupported value type.");
    const broken = numeric("sum", n, new Uint8Array([0xff, 15, 0x5a]), { encoding: Encoding.v8 });
    expect(resolveNumeric(broken, null)).toMatchObject({ message: "Some of the parameters are not valid V8 values." });
  });
});

test("what takes part in a sum is bounded, and so is what comes out of it; nothing changes where it is not (W21)", async () => {
  await withStorage((storage) => {
    const database = new Database({ storage, clock: new MovableClock() });
    // As many 64-bit words of ones as fit: one bit more takes one word more.
    const operand = v8((1n << BigInt(64 * (MAX_SUM_BYTES / 8 - 1))) - 1n);
    expect(operand.length).toBeLessThanOrEqual(MAX_SUM_BYTES);
    const sumOf = (value: Uint8Array) => write([numeric("sum", n, value, { encoding: Encoding.v8 })]);
    versionOf(database.commit([sumOf(operand)])[0]);
    const before = entryOrNull(database.read([point(n)], MAX_SUM_BYTES * 2));
    const refused = { code: "limit", message: expect.stringContaining(`the limit is ${MAX_SUM_BYTES}`) };
    expect(database.commit([sumOf(operand)])[0]).toMatchObject(refused);
    expect(database.commit([sumOf(v8(1n << BigInt(8 * MAX_SUM_BYTES)))])[0]).toMatchObject(refused);
    expect(entryOrNull(database.read([point(n)], MAX_SUM_BYTES * 2))?.version).toBe(before?.version);
    const long = set(n, v8(1n << BigInt(8 * MAX_SUM_BYTES)), { encoding: Encoding.v8 });
    expect(database.commit([write([long]), sumOf(v8(1n))])[1]).toMatchObject(refused);
  });
});
