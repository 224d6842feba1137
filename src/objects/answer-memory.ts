/**
 * The memory for large answers of all objects in one process. Each object bounds its own (`large-reads.ts`), and many objects share a
 * process: all of them on one machine, as many as the platform puts together elsewhere.
 *
 * An organization may hold as much as it leaves to the others, so that none of them takes all. What an object has taken is given up when
 * its answer cannot be on its way any more, also when the object has ended in the middle and says nothing.
 */
import type { Clock } from "../core/clock.ts";

export interface Lease {
  /** So much of it is free again. */
  giveBack(bytes: number): void;
}

interface Held {
  readonly owner: string;
  readonly until: number;
  bytes: number;
}

export class AnswerMemory {
  readonly #total: number;
  readonly #clock: Clock;
  readonly #held = new Set<Held>();

  constructor(total: number, clock: Clock) {
    this.#total = total;
    this.#clock = clock;
  }

  /** Undefined: there is no room now. It is held for at most so long. */
  take(owner: string, bytes: number, atMostMs: number): Lease | undefined {
    if (!this.hasRoom(owner, bytes)) return undefined;
    const held: Held = { owner, until: this.#clock.now() + atMostMs, bytes };
    this.#held.add(held);
    return {
      giveBack: (freed) => {
        held.bytes -= freed;
        if (held.bytes <= 0) this.#held.delete(held);
      },
    };
  }

  /** Alone an answer always has room. */
  hasRoom(owner: string, bytes: number): boolean {
    const now = this.#clock.now();
    let all = 0;
    let own = 0;
    for (const held of this.#held) {
      if (held.until <= now) this.#held.delete(held);
      else {
        all += held.bytes;
        if (held.owner === owner) own += held.bytes;
      }
    }
    return all === 0 || own + bytes <= this.#total - all - bytes;
  }
}
