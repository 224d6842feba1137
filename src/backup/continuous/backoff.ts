/**
 * When a failed destination is tried again: after one second, then two, up to thirty seconds; or when the destination asks for it, if
 * that is sooner. A task that is not urgent waits longer when somebody must remove the cause. The object sleeps between two tries, so the
 * state of each failing task is stored, with its error.
 */
import { backoffMs } from "../../core/backoff.ts";
import { asUnixMs, type Clock, type UnixMs } from "../../core/clock.ts";
import type { DestinationFailure } from "../destinations/destination.ts";

const LONGEST_WAIT_MS = 30_000;

/** The state of a task that has failed so many times in a row. */
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
   * `before`: the state of the task when the object was last awake; null: it was not failing. `longestMs`: the longest wait for an error
   * whose cause somebody must remove.
   */
  constructor(clock: Clock, before: Failing | null, longestMs = LONGEST_WAIT_MS) {
    this.#clock = clock;
    this.#longestMs = longestMs;
    this.#failures = before?.failures ?? 0;
    this.#until = before?.until ?? null;
  }

  /** null: the task is not failing. */
  get failing(): Failing | null {
    return this.#until === null ? null : { failures: this.#failures, until: this.#until };
  }

  /** The later of `due` and the end of the wait. */
  notBefore(due: UnixMs | null): UnixMs | null {
    if (due === null || this.#until === null) return due;
    // The clock was set back.
    if (this.#until > this.#clock.now() + this.#longestMs) this.#until = this.#clock.now();
    return asUnixMs(Math.max(due, this.#until));
  }

  /** Without `class`, the error may pass by itself. */
  failed({
    class: kind = "retry",
    retryAfterMs = 0,
  }: Partial<Pick<DestinationFailure, "class" | "retryAfterMs">>): void {
    const longest = kind === "retry" ? LONGEST_WAIT_MS : this.#longestMs;
    const wait = Math.max(backoffMs(this.#failures, longest), Math.min(retryAfterMs, LONGEST_WAIT_MS));
    this.#failures += 1;
    this.#until = asUnixMs(this.#clock.now() + wait);
  }

  /** The destination now does something that it refused before, so the task is tried soon. */
  hurry(): void {
    if (this.#until !== null) this.#until = asUnixMs(Math.min(this.#until, this.#clock.now() + LONGEST_WAIT_MS));
  }

  succeeded(): void {
    this.#failures = 0;
    this.#until = null;
  }
}
