/**
 * The memory for large answers of all objects in one process. Each object limits its own answers (`large-reads.ts`), and many objects
 * share a process: on one machine all of them, elsewhere as many as the platform puts together.
 *
 * An organization may hold at most as much memory as it leaves free for others. So no organization takes all of it. Memory is given back
 * when its answer cannot be on its way any more, even if the object ended in the middle.
 */
import type { Clock } from "../core/clock.ts";

export interface Lease {
  /** Gives this many bytes back early. */
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

  /** Memory for an answer, which is held for at most `atMostMs`. Undefined: there is no room at present. */
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

  /** There is always room for the only answer. */
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
