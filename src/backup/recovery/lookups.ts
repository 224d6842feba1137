/**
 * Runs questions that are answered from the bucket, a few at a time: each keeps an object of the bucket in memory, and everybody who may
 * read the database may ask.
 */
import { type Failure, failure } from "../../core/errors.ts";
import { MAX_BACKUP_LOOKUPS_AT_ONCE, MAX_BACKUP_LOOKUPS_WAITING } from "../../core/limits.ts";

export class Lookups {
  #running = 0;
  readonly #waiting: (() => void)[] = [];

  /** Questions are answered in order of arrival. "unavailable" when too many wait already. */
  async run<T>(lookup: () => Promise<T>): Promise<T | Failure> {
    if (this.#running < MAX_BACKUP_LOOKUPS_AT_ONCE) {
      this.#running += 1;
    } else {
      if (this.#waiting.length >= MAX_BACKUP_LOOKUPS_WAITING) {
        return failure(
          "unavailable",
          "Too many questions about this database's backup are waiting: try again in a moment",
        );
      }
      // A question that has ended hands its place on.
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
    try {
      return await lookup();
    } finally {
      const next = this.#waiting.shift();
      if (next === undefined) this.#running -= 1;
      else next();
    }
  }
}
