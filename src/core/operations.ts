/**
 * What a database is asked and what it answers, free of any protocol. Doors decode their requests into these types, and the engine acts
 * on them. Keys are encoded keys (`key-codec.ts`), values are bytes with their encoding, as stored.
 */
import type { UnixMs } from "./clock.ts";
import type { Version } from "./versionstamp.ts";

/** 1 V8 serializer bytes, 2 a 64-bit unsigned little-endian integer (`KvU64`), 3 raw bytes. The numbers are the protocol's. */
export const Encoding = { v8: 1, le64: 2, bytes: 3 } as const;
export type Encoding = (typeof Encoding)[keyof typeof Encoding];

export interface Entry {
  readonly key: Uint8Array;
  readonly value: Uint8Array;
  readonly encoding: Encoding;
  readonly version: Version;
}

/** An entry with all that is stored of it. */
export interface StoredEntry extends Entry {
  readonly expiresAt: UnixMs | null;
}

/** Entries with `start <= key < end` in raw bytes. Neither bound needs to be a whole key. */
export interface ReadRange {
  readonly start: Uint8Array;
  readonly end: Uint8Array;
  /** The greatest number of entries, at least 1. */
  readonly limit: number;
  /** Greatest key first; start and end keep their meaning. */
  readonly reverse: boolean;
}

/** `version` null: there must be no entry. "other": a well-formed stamp that no commit of ours can carry, so the check never holds. */
export interface Check {
  readonly key: Uint8Array;
  readonly version: Version | null | "other";
}

export interface SetMutation {
  readonly type: "set";
  readonly key: Uint8Array;
  readonly value: Uint8Array;
  readonly encoding: Encoding;
  readonly expiresAt: UnixMs | null;
  /** The key gets one more part, a string: the 20 hex digits of the commit's versionstamp. */
  readonly versionstampedKey: boolean;
}

export interface DeleteMutation {
  readonly type: "delete";
  readonly key: Uint8Array;
}

/** `sumMin`, `sumMax`: V8 values, only with sum; `clamp` without either has no effect. */
export interface NumericMutation {
  readonly type: "sum" | "min" | "max";
  readonly key: Uint8Array;
  readonly value: Uint8Array;
  readonly encoding: Encoding;
  readonly sumMin: Uint8Array | null;
  readonly sumMax: Uint8Array | null;
  readonly clamp: boolean;
}

export type Mutation = SetMutation | DeleteMutation | NumericMutation;

/**
 * The change of one key, with sums resolved and expiries judged. The tables, the log, a replay of the log and the watchers all act on it.
 */
export type Effect =
  | {
      readonly type: "set";
      readonly key: Uint8Array;
      readonly value: Uint8Array;
      readonly encoding: Encoding;
      readonly expiresAt: UnixMs | null;
    }
  | DeleteMutation;

export interface Enqueue {
  readonly payload: Uint8Array;
  readonly deliverAt: UnixMs;
  readonly keysIfUndelivered: readonly Uint8Array[];
  /** Milliseconds between tries; empty: the default. */
  readonly backoffSchedule: readonly number[];
}

export interface AtomicWrite {
  readonly checks: readonly Check[];
  readonly mutations: readonly Mutation[];
  readonly enqueues: readonly Enqueue[];
}

/**
 * `failedChecks`: the indexes of the checks that did not hold, ascending. Nothing was written. `turn`: why a write that waited for its turn
 * at a key was not applied.
 */
export type CommitResult =
  | { readonly ok: true; readonly version: Version }
  | { readonly ok: false; readonly failedChecks: readonly number[]; readonly turn?: LostTurn };

/** "overtaken": the key was changed after the write had arrived. "condition": the write's condition does not hold. */
export type LostTurn = "overtaken" | "condition";

/** How a state that was built beside the live one takes its place. */
export interface Adoption {
  /** How many entries the new state has. */
  readonly entries: number;
  /** New commits go on above this version. */
  readonly floor: Version;
  /** The new state is that of the keys under this encoded key, and replaces only those. null: it is that of all keys. */
  readonly prefix: Uint8Array | null;
}
