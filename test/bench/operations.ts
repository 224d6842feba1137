/** The keys, values and operations that are measured: shared by the load generator and the object that measures the engine. */
import type { UnixMs } from "../../src/core/clock.ts";
import { encodeKey, type Key } from "../../src/codec/key-codec.ts";
import {
  type AtomicWrite,
  Encoding,
  type Mutation,
  type NumericMutation,
  type ReadRange,
} from "../../src/core/operations.ts";

export function keyOf(...parts: Key): Uint8Array<ArrayBuffer> {
  const encoded = encodeKey(parts);
  if (!encoded.ok) throw new Error(encoded.message);
  return encoded.bytes;
}

/** The entries that are read and overwritten. Numbered from 0. */
export function entryKey(index: number): Uint8Array<ArrayBuffer> {
  return keyOf("bench", index);
}

/** A counter of the sums. */
export function counterKey(index: number): Uint8Array<ArrayBuffer> {
  return keyOf("counter", index);
}

/** Bytes of the given length that no other `seed` gives: 4 bytes at the least. */
export function valueOf(length: number, seed: number): Uint8Array<ArrayBuffer> {
  const value = new Uint8Array(length).fill(0x61);
  new DataView(value.buffer).setUint32(0, seed);
  return value;
}

export function setOf(key: Uint8Array, value: Uint8Array, expiresAt: UnixMs | null = null): Mutation {
  return { type: "set", key, value, encoding: Encoding.bytes, expiresAt, versionstampedKey: false };
}

export function sumOf(key: Uint8Array): NumericMutation {
  const value = new Uint8Array(8);
  value[0] = 1;
  return { type: "sum", key, value, encoding: Encoding.le64, sumMin: null, sumMax: null, clamp: false };
}

export function writeOf(mutations: readonly Mutation[]): AtomicWrite {
  return { checks: [], mutations, enqueues: [] };
}

/** The range that holds one key alone, as Deno asks for it. */
export function pointOf(key: Uint8Array): ReadRange {
  return { start: key, end: Uint8Array.of(...key, 0), limit: 1, reverse: false };
}

/** `limit` entries from this one on. */
export function listFrom(index: number, limit: number): ReadRange {
  return { start: entryKey(index), end: Uint8Array.of(...keyOf("bench"), 0xff), limit, reverse: false };
}

/** A permutation of 0 to `count` - 1 that is the same each time and looks like chance. */
export function scattered(index: number, count: number): number {
  const bits = Math.max(2, Math.ceil(Math.log2(count)));
  const mask = 2 ** bits - 1;
  let place = index;
  do {
    // Each step maps the numbers of that many bits onto themselves; those past the count are sent on.
    for (const factor of [0x2c1b3c6d, 0x297a2d39, 0x1b56c4e9]) {
      place = Math.imul(place, factor) & mask;
      place ^= place >>> (bits >> 1);
    }
  } while (place >= count);
  return place;
}
