/** Writes that wait for their turn at a key, and what becomes of them then. */
import { ageHolds, type AgeCondition, createdAt } from "../codec/record.ts";
import type { UnixMs } from "../core/clock.ts";
import type { AtomicWrite, LostTurn } from "../core/operations.ts";
import type { Arrival } from "./arrivals.ts";
import type { EntryTable } from "./entry-table.ts";

/** It writes where the key has no entry, or one whose age fulfils the condition. */
export interface WriteAtTurn extends AtomicWrite {
  readonly turn: { readonly arrival: Arrival; readonly condition: AgeCondition };
}

export type EngineWrite = AtomicWrite | WriteAtTurn;

/** The arrival of a write that waits for its turn. */
export function arrivalOf(write: EngineWrite): Arrival | undefined {
  return "turn" in write ? write.turn.arrival : undefined;
}

/** Why it is not to write. null: it writes. Whether somebody was faster is looked at first, whatever is there now. */
export function lostTurn(write: EngineWrite, table: EntryTable, now: UnixMs): LostTurn | null {
  if (!("turn" in write)) return null;
  const { arrival, condition } = write.turn;
  if (arrival.isOvertaken) return "overtaken";
  const version = table.version(arrival.key, now);
  return version === null || ageHolds(createdAt(version, now), condition) ? null : "condition";
}
