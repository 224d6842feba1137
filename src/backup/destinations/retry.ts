/**
 * The short retries that every driver does by itself: a few tries within seconds, with exponential waits and jitter. During a longer
 * outage the caller waits, by a backoff that holds nothing open.
 */
import { backoffMs } from "../../core/backoff.ts";
import type { Clock } from "../../core/clock.ts";
import type { Timers } from "../../core/timers.ts";
import { destinationFailure, type DestinationFailure } from "./destination.ts";

/** Time and randomness, passed in so that tests control them. */
export interface Timing extends Timers {
  readonly clock: Clock;
  /** Uniform in [0, 1). */
  random(): number;
}

export interface RetryPolicy {
  /** All tries together, at least 1. */
  readonly tries: number;
  /** The wait before the second try lies between half of this and all of it. Each later wait is twice as long. */
  readonly firstWaitMs: number;
  /** The longest wait. When a destination asks for a longer one, its answer is passed to the caller. */
  readonly longestWaitMs: number;
}

/**
 * The policy for every destination. Tests wait less. The tasks and jobs of a backup try again later by themselves, so a second try here
 * only helps when a connection had gone stale.
 */
export const RETRY_POLICY: RetryPolicy = { tries: 2, firstWaitMs: 200, longestWaitMs: 5_000 };

/** Runs `attempt` until its answer is not a "retry" failure, or the tries are used up. */
export async function withRetries<T extends { readonly ok: true }, F extends DestinationFailure>(
  timing: Timing,
  policy: RetryPolicy,
  attempt: () => Promise<T | F>,
): Promise<T | F> {
  for (let tryNumber = 1; ; tryNumber++) {
    const outcome = await attempt();
    if (outcome.ok || outcome.class !== "retry" || tryNumber >= policy.tries) return outcome;
    const asked = outcome.retryAfterMs ?? 0;
    if (asked > policy.longestWaitMs) return outcome;
    const backoff = backoffMs(tryNumber - 1, policy.longestWaitMs, policy.firstWaitMs);
    await sleep(timing, Math.max(asked, backoff * (0.5 + timing.random() / 2)));
  }
}

/** The answer of a driver after its deadline. */
export function lateFailure(ms: number): DestinationFailure {
  return destinationFailure("retry", `The destination did not answer within ${Math.ceil(ms / 1000)} s.`);
}

function sleep(timing: Timing, ms: number): Promise<void> {
  return new Promise((resolve) => {
    timing.after(ms, resolve);
  });
}
