/** What a database's object offers for TTL records (`codec/record.ts`), besides its methods for entries. */
import type { AgeCondition } from "../codec/record.ts";
import type { Failure } from "../core/errors.ts";
import type { LostTurn } from "../core/operations.ts";
import type { Version } from "../core/versionstamp.ts";
import type { CommandedLevel } from "./entry-commands.ts";
import type { Grant } from "./grant.ts";

/** The result of a write whose condition was judged at its turn. */
export type TurnOutcome =
  | { readonly ok: true; readonly written: Version }
  | { readonly ok: true; readonly written: null; readonly why: LostTurn };

/** How much one request has deleted. */
export interface ClearedLevel {
  readonly ok: true;
  readonly count: number;
  /** Where the rest of the range begins. null: there is no rest. */
  readonly next: Uint8Array | null;
}

export interface RecordStub {
  /**
   * Applies an AtomicWrite of one set when its turn at the key comes. It writes if the key has no entry, or one whose age fulfils the
   * condition, unless the key has been changed since the call arrived. Of the calls for one key that are under way together, exactly one
   * writes.
   */
  writeAtTurn(grant: Grant, request: Uint8Array, condition: AgeCondition): Promise<TurnOutcome | Failure>;
  /** Deletes the first entries of a level, about 10,000, in several commits. */
  clearLevel(grant: Grant, level: CommandedLevel): Promise<ClearedLevel | Failure>;
}
