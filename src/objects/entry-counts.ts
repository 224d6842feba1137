/** Counts ranges, one after the other and each in slices, with other requests in between. */
import type { CommandedRange, EntryCount } from "../contracts/entry-commands.ts";
import { type Failure, failure } from "../core/errors.ts";
import { MAX_COUNTS_WAITING } from "../core/limits.ts";
import type { WorkTurns } from "../core/process-turns.ts";
import type { Database } from "../engine/database.ts";

export interface EntryCountsParts {
  readonly database: Pick<Database, "startCount">;
  /** The turns of the organization's long requests in the process. */
  readonly turns: Pick<WorkTurns, "begin" | "piece" | "next">;
}

export class EntryCounts {
  readonly #parts: EntryCountsParts;
  #waiting = 0;
  #last: Promise<unknown> = Promise.resolve();
  #closed: Failure | null = null;

  constructor(parts: EntryCountsParts) {
    this.#parts = parts;
  }

  /** "unavailable" when too many wait already. */
  async count(range: CommandedRange): Promise<EntryCount | Failure> {
    if (this.#waiting >= MAX_COUNTS_WAITING) return BUSY;
    this.#waiting += 1;
    const counted = this.#last.then(() => this.#countNow(range));
    this.#last = counted.catch(() => undefined);
    try {
      return await counted;
    } finally {
      this.#waiting -= 1;
    }
  }

  /** Nothing is counted any more. */
  close(why: Failure): void {
    this.#closed = why;
  }

  async #countNow(range: CommandedRange): Promise<EntryCount | Failure> {
    if (this.#closed !== null) return this.#closed;
    const { database, turns } = this.#parts;
    const refused = await turns.begin();
    if (refused !== null) return refused;
    if (this.#closed !== null) return this.#closed;
    const count = turns.piece(() => database.startCount(range));
    try {
      for (;;) {
        const counted = turns.piece(() => count.next());
        if (counted !== undefined) return { ok: true, ...counted };
        await turns.next();
        if (this.#closed !== null) return this.#closed;
      }
    } finally {
      count.end();
    }
  }
}

const BUSY = failure("unavailable", `${MAX_COUNTS_WAITING} counts of this database are under way or wait. Try again.`);
