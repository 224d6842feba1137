/**
 * How the jobs of archives leave the object to its clients: they pause between pieces of work of about a millisecond. When somebody has
 * used the database since the last pause, the pause is longer. So a request in progress, which needs several turns, meets no work in between.
 *
 * A commit stops all requests while it is flushed: for less than a millisecond, and for ten when SQLite moves its log into its file. A job
 * cannot make such a stop shorter. So it makes stops rare: after a long one it rests a hundred times as long. Then at most one request in a
 * hundred meets one.
 */
import type { Clock } from "../../core/clock.ts";
import type { Timers } from "../../core/timers.ts";

const PAUSE_MS = 3;

/** A stop of this length is no longer than what requests take anyway. */
const SHORT_STOP_MS = 3;

const REST_PER_STOP = 100;

/** However long a stop was. It bounds how long an archive takes on a slow disk and on a server under load. */
const LONGEST_REST_MS = 1_000;

export interface Courtesy {
  /** To be awaited between pieces of work. */
  readonly breathe: () => Promise<void>;
  /** To be awaited after a transaction that stores much. */
  readonly rest: () => Promise<void>;
}

export interface CourtesyParts {
  /** Lets requests have their turn. */
  readonly breathe: () => Promise<void>;
  readonly timers: Timers;
  readonly clock: Clock;
  readonly database: { readonly operations: number };
}

export function courtesy({ breathe, timers, clock, database }: CourtesyParts): Courtesy {
  const wait = (ms: number): Promise<void> => new Promise((resolve) => void timers.after(ms, resolve));
  let [atPause, atRest] = [database.operations, database.operations];
  return {
    async breathe() {
      await breathe();
      if (database.operations === atPause) return;
      await wait(PAUSE_MS);
      atPause = database.operations;
    },
    async rest() {
      const before = clock.now();
      await breathe();
      if (database.operations === atRest) return;
      // The runtime commits during the pause.
      await wait(PAUSE_MS);
      const stop = clock.now() - before - PAUSE_MS - SHORT_STOP_MS;
      if (stop > 0) await wait(Math.min(stop * REST_PER_STOP, LONGEST_REST_MS));
      atRest = database.operations;
    },
  };
}
