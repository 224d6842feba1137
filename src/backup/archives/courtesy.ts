/**
 * How the jobs of archives leave the thread, which serves all databases of the process, to clients. While nobody uses a database, a job only
 * lets others have their turn between pieces of work of about a millisecond. While somebody does, it pauses there, so that a request in
 * progress, which needs several turns, meets no work in between. All jobs of the process together take as much as one: they get their
 * turns one after the other, the jobs of each organization as often as those of another.
 *
 * A commit stops all requests while it is flushed: for less than a millisecond, and for ten when SQLite moves its log into its file. A job
 * cannot make such a stop shorter. So it makes stops rare: after a long one it rests two hundred times as long. Then at most one request in
 * two hundred meets one.
 */
import type { Clock } from "../../core/clock.ts";
import type { Timers } from "../../core/timers.ts";

const PAUSE_MS = 3;

/** A stop of this length is no longer than what requests take anyway. */
const SHORT_STOP_MS = 3;

const REST_PER_STOP = 200;

/** However long a stop was. It bounds how long an archive takes on a slow disk and on a server under load. */
const LONGEST_REST_MS = 1_500;

export interface Courtesy {
  /** To be awaited between pieces of work. */
  readonly breathe: () => Promise<void>;
  /** To be awaited after a transaction that stores much, and after a piece of work that may be long. */
  readonly rest: () => Promise<void>;
}

/** What the jobs of a process know of each other, and of clients. */
export class ProcessPace {
  /** What clients have read and written in all databases. */
  operations = 0;
  /** By organization: until when its jobs have their turns. */
  readonly #takenUntil = new Map<string, number>();

  /** How long a job waits for its turn, with the pause after it. */
  turn(owner: string, now: number): number {
    for (const [one, until] of this.#takenUntil) {
      // When it is further away than any turn, the clock was set back.
      if (until <= now || until > now + LONGEST_LINE_MS) this.#takenUntil.delete(one);
    }
    const from = this.#takenUntil.get(owner) ?? now;
    this.#takenUntil.set(owner, from);
    const until = from + PAUSE_MS * this.#takenUntil.size;
    this.#takenUntil.set(owner, until);
    return until - now;
  }

  /** The turns of the organization's jobs come so much later, after those that are given: each stop has a rest of its own. */
  pause(owner: string, now: number, ms: number): void {
    this.#takenUntil.set(owner, Math.max(this.#takenUntil.get(owner) ?? 0, now) + ms);
  }
}

/** More than the turns of all jobs that an organization can have. */
const LONGEST_LINE_MS = 10 * 60 * 1000;

export interface CourtesyParts {
  /** Lets requests have their turn. */
  readonly breathe: () => Promise<void>;
  readonly timers: Timers;
  readonly clock: Clock;
  readonly pace: ProcessPace;
  /** The organization whose database it is. */
  readonly owner: string;
}

export function courtesy({ breathe, timers, clock, pace, owner }: CourtesyParts): Courtesy {
  const wait = (ms: number): Promise<void> => new Promise((resolve) => void timers.after(ms, resolve));
  let [atPause, atRest] = [pace.operations, pace.operations];
  return {
    async breathe() {
      await breathe();
      if (pace.operations === atPause) return;
      await wait(pace.turn(owner, clock.now()));
      atPause = pace.operations;
    },
    async rest() {
      const before = clock.now();
      await breathe();
      if (pace.operations === atRest) return;
      // The runtime commits during the wait.
      const turn = pace.turn(owner, clock.now());
      await wait(turn);
      const stop = clock.now() - before - turn - SHORT_STOP_MS;
      if (stop > 0) {
        const rest = Math.min(stop * REST_PER_STOP, LONGEST_REST_MS);
        pace.pause(owner, clock.now(), rest);
        await wait(rest);
      }
      atRest = pace.operations;
    },
  };
}
