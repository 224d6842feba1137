/** How long to leave alone what keeps failing: ever longer, up to a bound. */

/** Milliseconds after so many failures, 0 for the first: `firstMs`, doubled by each, and never more than `longestMs`. */
export function backoffMs(failuresBefore: number, longestMs: number, firstMs = 1_000): number {
  return Math.min(longestMs, firstMs * 2 ** failuresBefore);
}
