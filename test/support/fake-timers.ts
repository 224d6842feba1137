/** A clock and timers that the test moves. */
import { asUnixMs, type Clock, type UnixMs } from "../../src/core/clock.ts";
import type { Timers } from "../../src/core/timers.ts";

export const NOW = asUnixMs(1_750_000_000_000);

export class FakeTimers implements Clock, Timers {
  #now: UnixMs;
  readonly #waiting = new Set<{ readonly at: number; readonly callback: () => void }>();

  constructor(now: UnixMs = NOW) {
    this.#now = now;
  }

  now(): UnixMs {
    return this.#now;
  }

  after(ms: number, callback: () => void): () => void {
    const timer = { at: this.#now + ms, callback };
    this.#waiting.add(timer);
    return () => this.#waiting.delete(timer);
  }

  /** How many are set. */
  get size(): number {
    return this.#waiting.size;
  }

  advance(ms: number): void {
    this.#now = asUnixMs(this.#now + ms);
    for (const timer of [...this.#waiting].toSorted((a, b) => a.at - b.at)) {
      if (timer.at <= this.#now && this.#waiting.delete(timer)) timer.callback();
    }
  }

  /** The same between turns of the event loop, so that what is under way goes as far as it can before and after. */
  async pass(ms: number): Promise<void> {
    await turns();
    this.advance(ms);
    await turns();
  }
}

/** Lets streams, sockets and promises go as far as they can without a timer of ours: no time that they depend on passes. */
export async function turns(): Promise<void> {
  for (let i = 0; i < 20; i++) await new Promise((resolve) => setTimeout(resolve, 0));
}
