/**
 * Deletes the entries of one level of keys, a thousand in each commit. Other requests are answered between the commits. Entries that are
 * written at a place which the deletion has passed stay, and so do entries of deeper levels.
 */
import type { CommandedLevel } from "../contracts/entry-commands.ts";
import type { ClearedLevel } from "../contracts/record-commands.ts";
import { MAX_DELETED_AT_ONCE, MAX_DELETED_PER_COMMIT, MAX_LEVEL_JUMPS, MAX_RPC_ANSWER_BYTES } from "../core/limits.ts";
import type { Database } from "../engine/database.ts";
import { type Failure, isFailure } from "../core/errors.ts";

export interface LevelClearingParts {
  readonly database: Pick<Database, "readLevel" | "commit">;
  /** Lets the object answer other requests. */
  readonly breathe: () => Promise<void>;
}

export async function clearLevel(
  { database, breathe }: LevelClearingParts,
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
  while (next !== null && count < MAX_DELETED_AT_ONCE) {
    const page = database.readLevel(parent, { start: next, end }, bounds);
    const mutations = page.entries.map(({ key }) => ({ type: "delete", key }) as const);
    if (mutations.length > 0) {
      // The commit follows the read at once: no other request comes between them.
      const [outcome] = database.commit([{ checks: [], mutations, enqueues: [] }]);
      if (outcome !== undefined && isFailure(outcome) && "code" in outcome) return outcome;
    }
    count += mutations.length;
    ({ next } = page);
    if (next !== null) await breathe();
  }
  return { ok: true, count, next };
}
