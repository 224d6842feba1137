/** How long to wait before the next try of something that keeps failing: longer after each failure, up to a bound. */

/**
 * Milliseconds to wait. After the first failure (`failuresBefore` is 0): `firstMs`. Each further failure doubles it, up to `longestMs`.
 */
export function backoffMs(failuresBefore: number, longestMs: number, firstMs = 1_000): number {
  return Math.min(longestMs, firstMs * 2 ** failuresBefore);
}
