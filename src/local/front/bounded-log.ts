/**
 * Log lines about things that clients can cause, for the operator of the server: never more than one a minute, so that they fill no disk.
 */

import type { FrontClock } from "./clock.ts";

const INTERVAL_MS = 60_000;

export class BoundedLog {
  readonly #write: (line: string) => void;
  readonly #lineOf: (count: number, latest: string) => string;
  readonly #clock: Pick<FrontClock, "now">;
  #writtenAt = Number.NEGATIVE_INFINITY;
  #count = 0;

  /** `lineOf`: the line for so many occurrences since the last line. */
  constructor(
    write: (line: string) => void,
    lineOf: (count: number, latest: string) => string,
    clock: Pick<FrontClock, "now">,
  ) {
    this.#write = write;
    this.#lineOf = lineOf;
    this.#clock = clock;
  }

  add(latest: string): void {
    this.#count += 1;
    const now = this.#clock.now();
    if (now - this.#writtenAt < INTERVAL_MS) return;
    this.#writtenAt = now;
    const count = this.#count;
    this.#count = 0;
    this.#write(`${this.#lineOf(count, latest)}\n`);
  }
}
