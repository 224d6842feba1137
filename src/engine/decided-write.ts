/**
 * Writes whose mutations are decided when they are applied, from the entries as they are then. So a condition and the write that depends
 * on it are one step: no other write comes between them.
 */
import type { KeyRange } from "../codec/key-prefix.ts";
import type { UnixMs } from "../core/clock.ts";
import type { Failure } from "../core/errors.ts";
import type { AtomicWrite, Mutation, StoredEntry } from "../core/operations.ts";
import type { Version } from "../core/versionstamp.ts";
import type { EntryTable } from "./entry-table.ts";

/** What a decision may look at. */
export interface DecisionState {
  readonly now: UnixMs;
  /**
   * The last of the versions that the write takes. The write may use their numbers, because no other write takes them. The version of its
   * commit is at or above all of them.
   */
  readonly version: Version;
  /** The entry of an encoded key, after the writes that were applied before. */
  get(key: Uint8Array): StoredEntry | null;
  /** The keys of the first entries of a range, at most `limit`. */
  keys(range: KeyRange, limit: number): readonly Uint8Array[];
  /** Bytes of keys and values of the first entries of a range, at most `limit` entries. */
  bytes(range: KeyRange, limit: number): number;
}

export interface Decision {
  /** How many versions the write takes at the least; at least 1. */
  readonly versions: number;
  /** At most so many mutations. */
  readonly maxMutations: number;
  /** At most so many bytes of keys and values. */
  readonly maxBytes: number;
  /**
   * The mutations, or why nothing is written. It may be called again for the same write, when the transaction of the first call was undone;
   * the last call counts.
   */
  readonly decide: (state: DecisionState) => readonly Mutation[] | Failure;
}

/** It has no checks and no mutations besides those that are decided. */
export interface DecidedWrite extends AtomicWrite {
  readonly decision: Decision;
}

export function decidedWrite(decision: Decision): DecidedWrite {
  return { checks: [], mutations: [], enqueues: [], decision };
}

/** Returns the decision of a write that has one. */
export function decisionOf(write: AtomicWrite | DecidedWrite): Decision | undefined {
  return "decision" in write ? write.decision : undefined;
}

export function decisionState(table: EntryTable, version: Version, now: UnixMs): DecisionState {
  return {
    now,
    version,
    get: (key) => table.get(key, now),
    keys: (range, limit) => table.keys(range, limit, now).map(({ key }) => key),
    bytes: (range, limit) => table.rangeBytes({ ...range, limit, reverse: false }, now),
  };
}
