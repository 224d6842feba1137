/**
 * When to try a destination again that has failed: after one second, then two, up to thirty, or when it asks to, if that is sooner.
 * The object sleeps between two tries, so where each task stands is kept in storage, with the error that it met.
 */
import { backoffMs } from "../core/backoff.ts";
import { asUnixMs, type Clock, type UnixMs } from "../core/clock.ts";
import type { DestinationFailure } from "./destinations/destination.ts";

const LONGEST_WAIT_MS = 30_000;

/** Where a task stands that has failed so often in a row. */
export interface Failing {
  readonly failures: number;
  readonly until: UnixMs;
}

export class Backoff {
  readonly #clock: Clock;
  #failures: number;
  #until: UnixMs | null;

  /** `before`: where it stood when the object was last awake; null: it was not failing. */
  constructor(clock: Clock, before: Failing | null) {
    this.#clock = clock;
    this.#failures = before?.failures ?? 0;
    this.#until = before?.until ?? null;
  }

  /** null: it is not failing. */
  get failing(): Failing | null {
    return this.#until === null ? null : { failures: this.#failures, until: this.#until };
  }

  /** `due`, or when the wait is over, if that is later. */
  notBefore(due: UnixMs | null): UnixMs | null {
    if (due === null || this.#until === null) return due;
    // The clock was set back.
    if (this.#until > this.#clock.now() + LONGEST_WAIT_MS) this.#until = this.#clock.now();
    return asUnixMs(Math.max(due, this.#until));
  }

  failed({ retryAfterMs = 0 }: Pick<DestinationFailure, "retryAfterMs">): void {
    const wait = Math.max(backoffMs(this.#failures, LONGEST_WAIT_MS), Math.min(retryAfterMs, LONGEST_WAIT_MS));
    this.#failures += 1;
    this.#until = asUnixMs(this.#clock.now() + wait);
  }

  succeeded(): void {
    this.#failures = 0;
    this.#until = null;
  }
}
