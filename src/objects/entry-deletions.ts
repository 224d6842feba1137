/**
 * Deletes of a range. A few thousand entries are deleted while the request waits, in commits of a thousand; a job deletes larger numbers.
 * Neither is one commit. Every key that existed when its turn came is gone afterwards. Keys that are written behind that place stay.
 */
import type { CommandedRange, RangeDeletion } from "../contracts/entry-commands.ts";
import { toHex } from "../core/bytes.ts";
import { type Failure, isFailure } from "../core/errors.ts";
import { MAX_DELETED_AT_ONCE, MAX_DELETED_PER_COMMIT } from "../core/limits.ts";
import type { WorkTurns } from "../core/process-turns.ts";
import type { Database } from "../engine/database.ts";
import type { EntryCounts } from "./entry-counts.ts";
import type { EntryJobs } from "./entry-jobs.ts";

export interface EntryDeletionsParts {
  readonly database: Pick<Database, "deleteWithin">;
  readonly counts: Pick<EntryCounts, "count">;
  readonly jobs: Pick<EntryJobs, "begin">;
  /** The turns of the organization's long requests in the process. */
  readonly turns: Pick<WorkTurns, "begin" | "stored" | "next">;
  /** Resolves when what was written is on disk. */
  readonly flushed: () => Promise<void>;
}

export class EntryDeletions {
  readonly #parts: EntryDeletionsParts;

  constructor(parts: EntryDeletionsParts) {
    this.#parts = parts;
  }

  /**
   * "conflict" when a job is needed and another job of the database is running. `refusal` is asked after each wait, and says why nothing more
   * may be deleted.
   */
  async delete(
    range: CommandedRange,
    dryRun: boolean,
    refusal: () => Failure | null,
  ): Promise<RangeDeletion | Failure> {
    const counted = await this.#parts.counts.count(range);
    if (isFailure(counted) || dryRun) return counted;
    return counted.count <= MAX_DELETED_AT_ONCE ? this.#deleteNow(range, refusal) : this.#begin(range, counted.count);
  }

  async #deleteNow({ start, end }: CommandedRange, refusal: () => Failure | null): Promise<RangeDeletion | Failure> {
    const { database, turns, flushed } = this.#parts;
    const crowded = await turns.begin();
    if (crowded !== null) return crowded;
    const deleteFrom = (first: Uint8Array) =>
      turns.stored(
        () => database.deleteWithin({ start: first, end }, MAX_DELETED_PER_COMMIT, () => undefined),
        flushed,
      );
    let count = 0;
    let from: Uint8Array | null = start;
    for (;;) {
      const refused = refusal();
      if (refused !== null) return refused;
      const slice = await deleteFrom(from);
      count += slice.deleted;
      from = slice.next;
      if (from === null) return { ok: true, count, version: slice.version };
      await turns.next();
      // Another client continues to write in the range.
      if (count > 2 * MAX_DELETED_AT_ONCE) return this.#begin({ start: from, end }, 0);
    }
  }

  async #begin({ start, end }: CommandedRange, total: number): Promise<RangeDeletion | Failure> {
    return this.#parts.jobs.begin("entries.delete", (jobId) => ({
      command: "delete",
      jobId,
      start: toHex(start),
      end: toHex(end),
      total,
    }));
  }
}
