/**
 * What an atomic write would do, found by reading only: which checks fail, what each sum results in, and which keys change to which
 * values. Every failure that a request can cause is found here, before the first row is written. So carrying out a plan cannot fail half
 * way, and needs no savepoint.
 */
import { toHex } from "../core/bytes.ts";
import type { UnixMs } from "../core/clock.ts";
import { type Failure, isFailure } from "../core/errors.ts";
import { appendStringPart } from "../codec/key-codec.ts";
import type { AtomicWrite, Effect, Mutation, NumericMutation, SetMutation } from "../core/operations.ts";
import { type Version, versionstampHex } from "../core/versionstamp.ts";
import type { EntryTable } from "./entry-table.ts";
import { resolveNumeric, type StoredValue } from "./numeric.ts";

/** The indexes of the checks that fail, ascending. */
export function failedChecks(write: AtomicWrite, table: EntryTable, now: UnixMs): number[] {
  const failed: number[] = [];
  for (const [index, check] of write.checks.entries()) {
    if (table.version(check.key, now) !== check.version) failed.push(index);
  }
  return failed;
}

/** The effects of the mutations, in order. A later mutation of a key sees the earlier ones. */
export function planEffects(
  mutations: readonly Mutation[],
  table: EntryTable,
  version: Version,
  now: UnixMs,
): readonly Effect[] | Failure {
  const overlay = mutations.some(isNumeric) ? new Overlay(table, now) : null;
  const effects: Effect[] = [];
  for (const mutation of mutations) {
    const effect = effectOf(mutation, overlay, version, now);
    if (isFailure(effect)) return effect;
    overlay?.note(effect);
    effects.push(effect);
  }
  return effects;
}

function effectOf(mutation: Mutation, overlay: Overlay | null, version: Version, now: UnixMs): Effect | Failure {
  switch (mutation.type) {
    case "set":
      return setEffect(mutation, version, now);
    case "delete":
      return mutation;
    case "sum":
    case "min":
    case "max": {
      const resolved = resolveNumeric(mutation, overlay?.read(mutation.key) ?? null);
      if (!resolved.ok) return resolved;
      const { value, encoding } = resolved;
      return { type: "set", key: mutation.key, value, encoding, expiresAt: null };
    }
  }
}

/** A set whose expiry has already passed leaves no entry. */
function setEffect(mutation: SetMutation, version: Version, now: UnixMs): Effect {
  const key = mutation.versionstampedKey ? appendStringPart(mutation.key, versionstampHex(version)) : mutation.key;
  if (mutation.expiresAt !== null && mutation.expiresAt <= now) return { type: "delete", key };
  if (key === mutation.key) return mutation;
  return { type: "set", key, value: mutation.value, encoding: mutation.encoding, expiresAt: mutation.expiresAt };
}

function isNumeric(mutation: Mutation): mutation is NumericMutation {
  return mutation.type !== "set" && mutation.type !== "delete";
}

/** The table as it will be after the effects that are planned so far. */
class Overlay {
  readonly #table: EntryTable;
  readonly #now: UnixMs;
  readonly #changed = new Map<string, StoredValue | null>();

  constructor(table: EntryTable, now: UnixMs) {
    this.#table = table;
    this.#now = now;
  }

  read(key: Uint8Array): StoredValue | null {
    const changed = this.#changed.get(toHex(key));
    return changed === undefined ? this.#table.get(key, this.#now) : changed;
  }

  note(effect: Effect): void {
    this.#changed.set(toHex(effect.key), effect.type === "set" ? effect : null);
  }
}
