/**
 * Deletes the entries of one level of keys, a thousand in each commit. Other requests are answered between the commits. Entries that are
 * written at a place which the deletion has passed stay, and so do entries of deeper levels.
 */
import type { CommandedLevel } from "../contracts/entry-commands.ts";
import type { ClearedLevel } from "../contracts/record-commands.ts";
import { MAX_DELETED_AT_ONCE, MAX_DELETED_PER_COMMIT, MAX_LEVEL_JUMPS, MAX_RPC_ANSWER_BYTES } from "../core/limits.ts";
import type { WorkTurns } from "../core/process-turns.ts";
import type { Database } from "../engine/database.ts";
import { type Failure, isFailure } from "../core/errors.ts";

export interface LevelClearingParts {
  readonly database: Pick<Database, "readLevel" | "commit">;
  /** The turns of the organization's long requests in the process. */
  readonly turns: Pick<WorkTurns, "begin" | "stored" | "next">;
  /** Resolves when what was written is on disk. */
  readonly flushed: () => Promise<void>;
  /** Asked after each wait: why nothing more may be deleted. */
  readonly refusal: () => Failure | null;
}

export async function clearLevel(
  { database, turns, flushed, refusal }: LevelClearingParts,
  { parent, start, end }: CommandedLevel,
): Promise<ClearedLevel | Failure> {
  let count = 0;
  let next: Uint8Array | null = start;
  const bounds = {
    limit: MAX_DELETED_PER_COMMIT,
    maxBytes: MAX_RPC_ANSWER_BYTES,
    maxJumps: MAX_LEVEL_JUMPS,
    keysOnly: true,
  };
  const clearFrom = (first: Uint8Array): { readonly cleared: number; readonly next: Uint8Array | null } | Failure => {
    const page = database.readLevel(parent, { start: first, end }, bounds);
    const mutations = page.entries.map(({ key }) => ({ type: "delete", key }) as const);
    if (mutations.length > 0) {
      // The commit follows the read at once: no other request comes between them.
      const [outcome] = database.commit([{ checks: [], mutations, enqueues: [] }]);
      if (outcome !== undefined && isFailure(outcome) && "code" in outcome) return outcome;
    }
    return { cleared: mutations.length, next: page.next };
  };
  const crowded = await turns.begin();
  if (crowded !== null) return crowded;
  while (next !== null && count < MAX_DELETED_AT_ONCE) {
    const refused = refusal();
    if (refused !== null) return refused;
    const first: Uint8Array = next;
    const slice = await turns.stored(() => clearFrom(first), flushed);
    if (isFailure(slice)) return slice;
    count += slice.cleared;
    ({ next } = slice);
    if (next !== null) await turns.next();
  }
  return { ok: true, count, next };
}
