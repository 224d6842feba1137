/** What a database's object offers for TTL records (`codec/record.ts`), beside what it offers for entries. */
import type { AgeCondition } from "../codec/record.ts";
import type { Failure } from "../core/errors.ts";
import type { LostTurn } from "../core/operations.ts";
import type { Version } from "../core/versionstamp.ts";
import type { CommandedLevel } from "./entry-commands.ts";
import type { Grant } from "./grant.ts";

/** What a write came to at its turn. */
export type TurnOutcome =
  | { readonly ok: true; readonly written: Version }
  | { readonly ok: true; readonly written: null; readonly why: LostTurn };

/** What was deleted by one request. */
export interface ClearedLevel {
  readonly ok: true;
  readonly count: number;
  /** Where the rest begins. null: there is no more. */
  readonly next: Uint8Array | null;
}

export interface RecordStub {
  /**
   * An AtomicWrite of one set, whose condition is judged when its turn comes: it writes where the key has no entry, or one whose age
   * fulfils the condition, unless somebody has changed the key since the call arrived. Of the calls for one key that are under way
   * together, exactly one writes.
   */
  writeAtTurn(grant: Grant, request: Uint8Array, condition: AgeCondition): Promise<TurnOutcome | Failure>;
  /** Deletes the first some thousand entries of a level. It is not one commit. */
  clearLevel(grant: Grant, level: CommandedLevel): Promise<ClearedLevel | Failure>;
}
