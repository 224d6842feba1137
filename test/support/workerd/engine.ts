/** A database engine inside a Durable Object of its own, with a clock that the test moves. */
import { env } from "cloudflare:workers";
import { runInDurableObject } from "cloudflare:test";
import { asUnixMs, type Clock, type UnixMs } from "../../../src/core/clock.ts";
import { encodeKey, type Key } from "../../../src/codec/key-codec.ts";
import {
  type AtomicWrite,
  type Check,
  Encoding,
  type Entry,
  type Mutation,
  type NumericMutation,
  type ReadRange,
} from "../../../src/core/operations.ts";
import type { Version } from "../../../src/core/versionstamp.ts";
import type { DerivedTables } from "../../../src/engine/derived-tables.ts";
import type { Env } from "../../../src/objects/env.ts";

export class MovableClock implements Clock {
  time: number;
  constructor(time = 1_800_000_000_000) {
    this.time = time;
  }
  now(): UnixMs {
    return asUnixMs(this.time);
  }
}

let objects = 0;

/** Runs the test with the storage of an object that nobody has used, and that stays uninitialised itself. */
export async function withStorage<T>(work: (storage: DurableObjectStorage) => T | Promise<T>): Promise<T> {
  return openObject()(work);
}

/** Another such object. What is done with its storage must run inside it, each time. */
export function openObject(): <T>(work: (storage: DurableObjectStorage) => T | Promise<T>) => Promise<T> {
  objects += 1;
  // The plugin's environment is the deployment's.
  const stub = (env as unknown as Env).DATABASES.getByName(`engine test ${objects}`);
  return (work) => runInDurableObject(stub, (_instance, state) => work(state.storage));
}

/** Derived tables that follow every key and do nothing but what is given. */
export function derived(given: Partial<DerivedTables>): DerivedTables {
  return {
    follows: () => true,
    apply: () => undefined,
    replaced: () => undefined,
    kept: () => undefined,
    undone: () => undefined,
    ...given,
  };
}

export function key(...parts: Key): Uint8Array {
  const encoded = encodeKey(parts);
  if (!encoded.ok) throw new Error(encoded.message);
  return encoded.bytes;
}

export function set(
  target: Uint8Array,
  value: Uint8Array,
  options: { encoding?: Encoding; expiresAt?: number | null; versionstampedKey?: boolean } = {},
): Mutation {
  const { encoding = Encoding.bytes, expiresAt = null, versionstampedKey = false } = options;
  return {
    type: "set",
    key: target,
    value,
    encoding,
    expiresAt: expiresAt === null ? null : asUnixMs(expiresAt),
    versionstampedKey,
  };
}

export function remove(target: Uint8Array): Mutation {
  return { type: "delete", key: target };
}

export function numeric(
  type: NumericMutation["type"],
  target: Uint8Array,
  value: Uint8Array,
  options: Partial<Pick<NumericMutation, "encoding" | "sumMin" | "sumMax" | "clamp">> = {},
): NumericMutation {
  return { type, key: target, value, encoding: Encoding.le64, sumMin: null, sumMax: null, clamp: false, ...options };
}

export function write(mutations: readonly Mutation[], checks: readonly Check[] = []): AtomicWrite {
  return { checks, mutations, enqueues: [] };
}

/** The range that holds just this key. */
export function point(target: Uint8Array): ReadRange {
  return { start: target, end: Uint8Array.of(...target, 0), limit: 1, reverse: false };
}

export function prefix(target: Uint8Array, limit: number, reverse = false): ReadRange {
  return { start: Uint8Array.of(...target, 0), end: Uint8Array.of(...target, 0xff), limit, reverse };
}

export function u64(value: bigint): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigUint64(0, value, true);
  return bytes;
}

export function text(value: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(new TextEncoder().encode(value));
}

/** The version of a commit that must have succeeded. */
export function versionOf(outcome: { ok: boolean; version?: Version } | undefined): Version {
  if (outcome?.version === undefined) throw new Error(`expected a commit, got ${JSON.stringify(outcome)}`);
  return outcome.version;
}

export function entryOrNull(entries: readonly Entry[][] | null): Entry | null {
  return entries?.[0]?.[0] ?? null;
}
