/**
 * The short retries that every driver does by itself: a few tries within seconds, with exponential waits and jitter. Longer
 * outages are the caller's, who backs off without holding anything open.
 */
import { backoffMs } from "../../core/backoff.ts";
import type { Clock } from "../../core/clock.ts";
import type { Timers } from "../../core/timers.ts";
import { destinationFailure, type DestinationFailure } from "./destination.ts";

/** Time and chance, passed in so that tests move them. */
export interface Timing extends Timers {
  readonly clock: Clock;
  /** Uniform in [0, 1). */
  random(): number;
}

export interface RetryPolicy {
  /** Tries in all, at least 1. */
  readonly tries: number;
  /** The wait before the second try lies between half of this and all of it; each later one doubles. */
  readonly firstWaitMs: number;
  /** No wait is longer; a destination that asks for more gets its answer passed to the caller instead. */
  readonly longestWaitMs: number;
}

/**
 * What every destination is talked to by; tests wait less. The tasks and jobs of a backup try again by themselves, later: a second try
 * covers a connection that went stale.
 */
export const RETRY_POLICY: RetryPolicy = { tries: 2, firstWaitMs: 200, longestWaitMs: 5_000 };

/** Runs `attempt` until it answers anything but a "retry" failure, or the policy ends. */
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

/** What a driver answers when the time is over. */
export function lateFailure(ms: number): DestinationFailure {
  return destinationFailure("retry", `The destination did not answer within ${Math.ceil(ms / 1000)} s.`);
}

function sleep(timing: Timing, ms: number): Promise<void> {
  return new Promise((resolve) => {
    timing.after(ms, resolve);
  });
}
