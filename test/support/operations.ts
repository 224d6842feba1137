/** Arbitrary operations within the limits, for properties. */
import * as fc from "fast-check";
import { asUnixMs } from "../../src/core/clock.ts";
import { encodeKey } from "../../src/codec/key-codec.ts";
import type { AtomicWrite, Check, Encoding, Enqueue, Entry, Mutation, ReadRange } from "../../src/core/operations.ts";
import { asVersion } from "../../src/core/versionstamp.ts";
import { key as anyParts } from "../codec/key-arbitraries.ts";

const small = fc.uint8Array({ maxLength: 40 });

export const arbitraryKey: fc.Arbitrary<Uint8Array> = anyParts
  .map((parts) => {
    const encoded = encodeKey(parts);
    if (!encoded.ok) throw new Error(encoded.message);
    return encoded.bytes;
  })
  .filter((bytes) => bytes.length <= 2048 - 22);

const version = fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }).map(asVersion);
const time = fc.integer({ min: 1, max: 8_640_000_000_000_000 }).map(asUnixMs);

/** The header of V8's serializer, as values come; what follows it is anything. */
const v8 = small.map((bytes) => Uint8Array.of(0xff, 0x0f, ...bytes));

const encodedValue: fc.Arbitrary<{ value: Uint8Array; encoding: Encoding }> = fc.oneof(
  fc.record({ value: v8, encoding: fc.constant(1 as const) }),
  fc.record({ value: fc.uint8Array({ minLength: 8, maxLength: 8 }), encoding: fc.constant(2 as const) }),
  fc.record({ value: small, encoding: fc.constant(3 as const) }),
);

export const arbitraryEntry: fc.Arbitrary<Entry> = fc
  .tuple(arbitraryKey, encodedValue, version)
  .map(([key, value, at]) => ({ key, ...value, version: at }));

export const arbitraryRange: fc.Arbitrary<ReadRange> = fc.record({
  start: fc.uint8Array({ maxLength: 20 }).map((bytes) => Uint8Array.of(1, ...bytes)),
  end: fc.uint8Array({ maxLength: 20 }).map((bytes) => Uint8Array.of(2, ...bytes)),
  limit: fc.integer({ min: 1, max: 100 }),
  reverse: fc.boolean(),
});

const check: fc.Arbitrary<Check> = fc.record({
  key: arbitraryKey,
  version: fc.oneof(version, fc.constant(null), fc.constant("other" as const)),
});

const mutation: fc.Arbitrary<Mutation> = fc.oneof(
  fc
    .tuple(arbitraryKey, encodedValue, fc.option(time), fc.boolean())
    .map(([key, value, expiresAt, versionstampedKey]) => ({
      type: "set" as const,
      key,
      ...value,
      expiresAt,
      versionstampedKey,
    })),
  arbitraryKey.map((key) => ({ type: "delete" as const, key })),
  fc
    .tuple(arbitraryKey, encodedValue, fc.option(v8), fc.option(v8), fc.boolean())
    .map(([key, value, sumMin, sumMax, clamp]) => ({ type: "sum" as const, key, ...value, sumMin, sumMax, clamp })),
  fc.tuple(fc.constantFrom("min" as const, "max" as const), arbitraryKey, encodedValue).map(([type, key, value]) => ({
    type,
    key,
    ...value,
    sumMin: null,
    sumMax: null,
    clamp: false,
  })),
);

const enqueue: fc.Arbitrary<Enqueue> = fc.record({
  payload: v8,
  deliverAt: time,
  keysIfUndelivered: fc.array(arbitraryKey, { maxLength: 10 }),
  backoffSchedule: fc.array(fc.integer({ min: 0, max: 3_600_000 }), { maxLength: 10 }),
});

export const arbitraryWrite: fc.Arbitrary<AtomicWrite> = fc.record({
  checks: fc.array(check, { maxLength: 5 }),
  mutations: fc.array(mutation, { maxLength: 8 }),
  enqueues: fc.array(enqueue, { maxLength: 2 }),
});
