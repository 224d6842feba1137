/** Writes that wait for their turn at a key, and the decision whether they write when the turn comes. */
import { ageHolds, type AgeCondition, createdAt } from "../codec/record.ts";
import type { UnixMs } from "../core/clock.ts";
import type { AtomicWrite, LostTurn } from "../core/operations.ts";
import type { Arrival } from "./arrivals.ts";
import type { DecidedWrite } from "./decided-write.ts";
import type { EntryTable } from "./entry-table.ts";

/** A write that is applied if its key has no entry, or one whose age fulfils the condition. */
export interface WriteAtTurn extends AtomicWrite {
  readonly turn: { readonly arrival: Arrival; readonly condition: AgeCondition };
}

export type EngineWrite = AtomicWrite | WriteAtTurn | DecidedWrite;

/** Returns the arrival of a write that waits for its turn. */
export function arrivalOf(write: EngineWrite): Arrival | undefined {
  return "turn" in write ? write.turn.arrival : undefined;
}

/**
 * Returns why the write must not be applied, or null if it must. A write that was overtaken is not applied, whatever the key holds now.
 */
export function lostTurn(write: EngineWrite, table: EntryTable, now: UnixMs): LostTurn | null {
  if (!("turn" in write)) return null;
  const { arrival, condition } = write.turn;
  if (arrival.isOvertaken) return "overtaken";
  const version = table.version(arrival.key, now);
  return version === null || ageHolds(createdAt(version, now), condition) ? null : "condition";
}
