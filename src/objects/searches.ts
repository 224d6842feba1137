/** The searches of an object. One that takes several steps lets everything else in the process run between them; only so many are under way at once. */
import type { DocumentResult } from "../contracts/document-commands.ts";
import type { Clock } from "../core/clock.ts";
import { failure } from "../core/errors.ts";
import type { ProcessMemory } from "../core/process-memory.ts";
import { MAX_SEARCHES, SEARCH_MEMORY_BYTES } from "../core/search-limits.ts";
import type { WorkTurns } from "../core/process-turns.ts";
import type { Sql } from "../core/storage.ts";
import type { DocumentIndex } from "../documents/index/document-index.ts";
import type { SearchRequest } from "../documents/request.ts";
import { search } from "../documents/search/search.ts";

export interface SearchesParts {
  readonly sql: Sql;
  /** Of all objects in the process, and whose part the object's searches take. */
  readonly memory: ProcessMemory;
  readonly owner: string;
  /** null: a state of the past, or a trial. */
  readonly index: Pick<DocumentIndex, "table"> | null;
  readonly clock: Clock;
  /** As in `SearchParts`. */
  readonly mayHaveExpired: () => boolean;
  /** Called after a search with the size of what it has found. */
  readonly onRead: (bytes: number) => void;
  /** The turns of the organization's long work in the process. */
  readonly turns: Pick<WorkTurns, "begin" | "worked" | "next">;
}

/** A search that has not ended by then is no longer counted: its object may have ended in the middle. */
const MAX_SEARCH_MS = 120_000;

const NO_INDEX = failure(
  "unsupported",
  "A state of the past has no search indexes: restore it into a new database to search it.",
);

export class Searches {
  readonly #parts: SearchesParts;
  #running = 0;

  constructor(parts: SearchesParts) {
    this.#parts = parts;
  }

  async search({ table, json, columns }: SearchRequest): Promise<DocumentResult> {
    const { sql, index, clock, mayHaveExpired, onRead, turns, memory, owner } = this.#parts;
    if (index === null) return NO_INDEX;
    if (this.#running >= MAX_SEARCHES) {
      return failure(
        "unavailable",
        `${MAX_SEARCHES} searches of this database are under way, which is the limit: ask again.`,
      );
    }
    const lease = memory.take(owner, SEARCH_MEMORY_BYTES, MAX_SEARCH_MS);
    if (lease === undefined) {
      return failure("unavailable", "Other searches take all the memory that there is for searches: ask again.");
    }
    this.#running += 1;
    try {
      const waiting = turns.begin();
      const refused = waiting === null ? null : await waiting;
      if (refused !== null) return refused;
      let since = clock.now();
      const worked = (microseconds: number): void => {
        turns.worked(since, microseconds / 1000);
        since = clock.now();
      };
      const answer = await search(table, json, columns, {
        sql,
        table: (name) => index.table(name),
        now: () => clock.now(),
        mayHaveExpired,
        pause: async (microseconds) => {
          worked(microseconds);
          await turns.next();
          since = clock.now();
        },
        ended: worked,
      });
      if (answer.ok) onRead(answer.json.length);
      return answer;
    } finally {
      this.#running -= 1;
      lease.giveBack(SEARCH_MEMORY_BYTES);
    }
  }
}
