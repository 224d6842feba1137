/** Seeded writes of every kind, for backups of which every moment is compared with the model. */
import * as fc from "fast-check";
import { asUnixMs } from "../../src/core/clock.ts";
import { encodeKey, type Key } from "../../src/codec/key-codec.ts";
import { type AtomicWrite, Encoding, type Mutation, type SetMutation } from "../../src/core/operations.ts";
import { encodeV8 } from "../../src/codec/v8/codec.ts";

/** Milliseconds from now until an entry of the write expires. */
const SHORT_LIVES_MS = [300, 1_000, 4_000, 3_600_000];

type PlannedMutation = (now: number) => Mutation;
export type PlannedWrite = (now: number) => AtomicWrite;

const number = fc.integer({ min: 0, max: 39 });
const value = fc.oneof(
  { weight: 8, arbitrary: fc.oneof(fc.string({ maxLength: 30 }), fc.double(), fc.bigInt()).map(v8) },
  { weight: 1, arbitrary: fc.uint8Array({ minLength: 0, maxLength: 100 }).map(raw) },
  { weight: 1, arbitrary: fc.integer({ min: 900, max: 5_000 }).map((length) => raw(new Uint8Array(length).fill(7))) },
);
const u64 = fc.bigInt({ min: 0n, max: (1n << 64n) - 1n }).map(littleEndian);

const mutation: fc.Arbitrary<PlannedMutation> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.tuple(number, value).map(
      ([i, v]) =>
        () =>
          set(["plain", i], v),
    ),
  },
  {
    weight: 2,
    arbitrary: fc.tuple(number, value, fc.constantFrom(...SHORT_LIVES_MS)).map(([i, v, life]) => (now: number) => ({
      ...set(["expiring", i], v),
      expiresAt: asUnixMs(now + life),
    })),
  },
  { weight: 1, arbitrary: value.map((v) => () => ({ ...set(["journal"], v), versionstampedKey: true })) },
  {
    weight: 3,
    arbitrary: fc.tuple(fc.constantFrom("plain", "expiring", "nothing"), number).map(([folder, i]) => () => ({
      type: "delete" as const,
      key: key([folder, i]),
    })),
  },
  {
    weight: 3,
    arbitrary: fc
      .tuple(fc.constantFrom("sum" as const, "min" as const, "max" as const), number, u64)
      .map(([type, i, operand]) => () => ({
        type,
        key: key(["counter", i]),
        value: operand,
        encoding: Encoding.le64,
        sumMin: null,
        sumMax: null,
        clamp: false,
      })),
  },
);

const plannedWrite: fc.Arbitrary<PlannedWrite> = fc
  .array(mutation, { minLength: 1, maxLength: 6 })
  .map((mutations) => (now) => ({ checks: [], mutations: mutations.map((plan) => plan(now)), enqueues: [] }));

/** The same writes for the same seed. Every 400th has 1,000 mutations. */
export function workload(count: number, seed: number): PlannedWrite[] {
  return fc.sample(plannedWrite, { numRuns: count, seed }).map((write, i) => (i % 400 === 399 ? thousand(i) : write));
}

function thousand(tag: number): PlannedWrite {
  const mutations = Array.from({ length: 1_000 }, (_, i) => set(["many", i], v8(`${tag} ${i}`)));
  return () => ({ checks: [], mutations, enqueues: [] });
}

export function set(parts: Key, { value: bytes, encoding }: Pick<SetMutation, "value" | "encoding">): SetMutation {
  return { type: "set", key: key(parts), value: bytes, encoding, expiresAt: null, versionstampedKey: false };
}

export function raw(bytes: Uint8Array): Pick<SetMutation, "value" | "encoding"> {
  return { value: bytes, encoding: Encoding.bytes };
}

export function v8(plain: unknown): Pick<SetMutation, "value" | "encoding"> {
  const encoded = encodeV8(plain);
  if (!encoded.ok) throw new Error(encoded.message);
  return { value: encoded.bytes, encoding: Encoding.v8 };
}

export function key(parts: Key): Uint8Array {
  const encoded = encodeKey(parts);
  if (!encoded.ok) throw new Error(encoded.message);
  return encoded.bytes;
}

function littleEndian(operand: bigint): Uint8Array {
  return Uint8Array.from({ length: 8 }, (_, i) => Number((operand >> BigInt(8 * i)) & 255n));
}
