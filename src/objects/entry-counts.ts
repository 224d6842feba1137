/** Counts ranges, one after the other and each in slices, with other requests in between. */
import type { CommandedRange, EntryCount } from "../contracts/entry-commands.ts";
import { type Failure, failure } from "../core/errors.ts";
import { MAX_COUNTS_WAITING } from "../core/limits.ts";
import type { Database } from "../engine/database.ts";

export interface EntryCountsParts {
  readonly database: Pick<Database, "startCount">;
  /** Lets other requests be answered. */
  readonly breathe: () => Promise<void>;
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
    const count = this.#parts.database.startCount(range);
    try {
      for (;;) {
        const counted = count.next();
        if (counted !== undefined) return { ok: true, ...counted };
        await this.#parts.breathe();
        if (this.#closed !== null) return this.#closed;
      }
    } finally {
      count.end();
    }
  }
}

const BUSY = failure("unavailable", `${MAX_COUNTS_WAITING} counts of this database are under way or wait. Try again.`);
