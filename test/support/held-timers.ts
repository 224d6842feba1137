/** Timers that run when the test says so. */
import type { Timers } from "../../src/core/timers.ts";

export class HeldTimers implements Timers {
  readonly #waiting = new Set<() => void>();

  after(_ms: number, callback: () => void): () => void {
    this.#waiting.add(callback);
    return () => this.#waiting.delete(callback);
  }

  /** Runs those that wait now. */
  run(): void {
    const waiting = new Set(this.#waiting);
    for (const callback of waiting) {
      if (this.#waiting.delete(callback)) callback();
    }
  }
}
