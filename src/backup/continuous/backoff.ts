/**
 * When to try a destination again that has failed: after one second, then two, up to thirty, or when it asks to, if that is sooner.
 * What is in no hurry waits longer for what does not pass by itself. The object sleeps between two tries, so where each task stands is
 * kept in storage, with the error that it met.
 */
import { backoffMs } from "../../core/backoff.ts";
import { asUnixMs, type Clock, type UnixMs } from "../../core/clock.ts";
import type { DestinationFailure } from "../destinations/destination.ts";

const LONGEST_WAIT_MS = 30_000;

/** Where a task stands that has failed so often in a row. */
export interface Failing {
  readonly failures: number;
  readonly until: UnixMs;
}

export class Backoff {
  readonly #clock: Clock;
  readonly #longestMs: number;
  #failures: number;
  #until: UnixMs | null;

  /**
   * `before`: where it stood when the object was last awake; null: it was not failing. `longestMs`: the longest wait for what somebody
   * must change.
   */
  constructor(clock: Clock, before: Failing | null, longestMs = LONGEST_WAIT_MS) {
    this.#clock = clock;
    this.#longestMs = longestMs;
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
    if (this.#until > this.#clock.now() + this.#longestMs) this.#until = this.#clock.now();
    return asUnixMs(Math.max(due, this.#until));
  }

  /** `class` left out: it may pass. */
  failed({
    class: kind = "retry",
    retryAfterMs = 0,
  }: Partial<Pick<DestinationFailure, "class" | "retryAfterMs">>): void {
    const longest = kind === "retry" ? LONGEST_WAIT_MS : this.#longestMs;
    const wait = Math.max(backoffMs(this.#failures, longest), Math.min(retryAfterMs, LONGEST_WAIT_MS));
    this.#failures += 1;
    this.#until = asUnixMs(this.#clock.now() + wait);
  }

  /** The destination does again what it did not, so it may do this, too. */
  hurry(): void {
    if (this.#until !== null) this.#until = asUnixMs(Math.min(this.#until, this.#clock.now() + LONGEST_WAIT_MS));
  }

  succeeded(): void {
    this.#failures = 0;
    this.#until = null;
  }
}
