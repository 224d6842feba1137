/**
 * The turns of long work in one process. All objects of a process share one thread: a piece of work of each of thirty objects, one after the
 * other, would hold everybody else for the sum of them. So the pieces of all objects are spread out in time:
 *
 * - Between two pieces of long work, also of different objects, everything else gets a turn.
 * - While anybody uses databases of the process, long work takes about half of the time. Otherwise it takes all of it.
 * - Organizations whose work waits take turns in equal parts.
 *
 * Work begins at once, unless too much was done just before. Objects send each other nothing: each that waits looks at the clock and at the queue
 * again after a while. So an object that ends in the middle keeps nobody waiting.
 */
import type { Clock } from "./clock.ts";

/** Work that others have not been given time for yet, in milliseconds: with more of it, none begins. It is one piece. */
const MAX_OWED_MS = 10;

/** How long a longer piece has taken must be known before another one begins. */
const SHORT_MS = 1;

/** A piece takes no longer, however slow the machine is. What a turn took beyond it was the work of others. */
const MAX_PIECE_MS = 50;

/** After a use of a database others are expected for so long. */
const USED_MS = 1_000;

/** Each that waits looks again within this time. One that has not looked for longer is gone. */
const MAX_SLEEP_MS = 100;
const GONE_MS = 300;

/** More is owed only by a clock that was set back, and then nothing is. */
const MOST_OWED_MS = 10_000;

export interface ProcessTurnsParts {
  readonly clock: Clock;
  /** `wait(0)` lets everything run that waits for its turn. */
  readonly wait: (ms: number) => Promise<void>;
}

/** For the long work of one owner. */
export interface WorkTurns {
  /** To be called before work begins. null: it may begin at once. */
  begin(): Promise<void> | null;
  /** After a piece of work of about so many milliseconds: resolves when the next piece may begin. */
  next(ms: number): Promise<void>;
  /** After the last piece of work, of at most so many milliseconds. */
  end(ms: number): void;
}

interface Waiting {
  readonly owner: string;
  /** When it last looked. */
  seen: number;
}

export class ProcessTurns {
  readonly #clock: Clock;
  readonly #wait: (ms: number) => Promise<void>;
  /** Work that has not begun, and work that goes on, each in the order in which it came. Most of the former is short, and does not wait for the latter. */
  readonly #beginning = new Set<Waiting>();
  readonly #goingOn = new Set<Waiting>();
  /** Milliseconds of work of each owner whose work waits, or did so lately. Only the differences count. */
  readonly #worked = new Map<string, number>();
  /** When the next piece may begin. */
  #next = 0;
  /** Of the last long piece, until it is known how long that has taken. */
  #lock: { readonly until: number } | null = null;
  #isUsed = false;
  #usedAt = Number.NEGATIVE_INFINITY;

  constructor({ clock, wait }: ProcessTurnsParts) {
    this.#clock = clock;
    this.#wait = wait;
  }

  /** A database was used. It is called often, and reads no clock. */
  used(): void {
    this.#isUsed = true;
  }

  of(owner: string): WorkTurns {
    return {
      begin: () =>
        this.#beginning.size === 0 && this.#delay(MAX_OWED_MS) <= 0
          ? null
          : this.#turn(owner, this.#beginning, MAX_OWED_MS),
      next: async (ms) => {
        await this.#done(owner, ms, MAX_PIECE_MS);
        await this.#turn(owner, this.#goingOn, 0);
      },
      end: (ms) => void this.#done(owner, ms, ms),
    };
  }

  /** Notes a piece of work. It took about so many milliseconds, and at most `most`. */
  async #done(owner: string, ms: number, most: number): Promise<void> {
    const began = this.#clock.now();
    if (this.#isUsed) [this.#isUsed, this.#usedAt] = [false, began];
    const share = Math.abs(began - this.#usedAt) < USED_MS ? 2 : 1;
    // Its own time is over then, and while databases are used others get as much.
    const charge = (more: number): void => {
      this.#next += more * share;
      this.#worked.set(owner, this.#workedBy(owner) + more);
    };
    this.#next = this.#next - began > MOST_OWED_MS ? began : Math.max(this.#next, began);
    charge(ms);
    const lock = { until: began + GONE_MS };
    if (ms > SHORT_MS) this.#lock = lock;
    await this.#wait(0);
    // The clock of a Worker stands still while code runs, and shows only now how long that was.
    const took = Math.max(0, Math.min(most, this.#clock.now() - began));
    if (this.#lock === lock) this.#lock = null;
    charge(took - ms);
  }

  /** Waits until it is the turn of a piece of the owner's among those that wait. */
  async #turn(owner: string, waiting: Set<Waiting>, mostOwed: number): Promise<void> {
    const own: Waiting = { owner, seen: this.#clock.now() };
    for (;;) {
      // Also when it was taken for gone meanwhile.
      waiting.add(own);
      own.seen = this.#clock.now();
      const [delay, before] = [this.#delay(mostOwed), this.#before(own, waiting)];
      if (delay <= 0 && before === 0) break;
      await this.#wait(Math.min(MAX_SLEEP_MS, Math.max(1, Math.ceil(delay)) + before));
    }
    waiting.delete(own);
  }

  /** How many have their turn before it: those whose owner has worked less, and of those with as much those who came earlier. */
  #before(own: Waiting, waiting: Set<Waiting>): number {
    const worked = this.#workedBy(own.owner);
    let before = 0;
    let isEarlier = true;
    for (const other of waiting) {
      if (other === own) {
        isEarlier = false;
      } else if (Math.abs(own.seen - other.seen) > GONE_MS) {
        waiting.delete(other);
      } else {
        const more = worked - this.#workedBy(other.owner);
        if (more > 0 || (more === 0 && isEarlier)) before += 1;
      }
    }
    return before;
  }

  /** Who comes anew has worked as little as anybody, and no less. */
  #workedBy(owner: string): number {
    let worked = this.#worked.get(owner);
    if (worked !== undefined) return worked;
    if (this.#worked.size >= MAX_OWNERS) this.#worked.clear();
    worked = this.#worked.size === 0 ? 0 : Math.min(...this.#worked.values());
    this.#worked.set(owner, worked);
    return worked;
  }

  /** Milliseconds until a piece may begin, with so many still owed. */
  #delay(mostOwed: number): number {
    const now = this.#clock.now();
    const owed = this.#next - now > MOST_OWED_MS ? 0 : this.#next - now;
    const locked = (this.#lock?.until ?? 0) - now;
    return locked > 0 && locked <= GONE_MS ? Math.max(1, owed - mostOwed) : owed - mostOwed;
  }
}

/** Owners whose work is known. When there are more, all begin anew. */
const MAX_OWNERS = 1_000;
