/**
 * What a call of an object that threw means to whoever sent the request. The platform marks what may be sent again: the object was
 * restarted or moved (`retryable`, `durableObjectReset`), or has more to do than it can (`overloaded`); the marks survive a call through
 * another object. Anything else is a bug of ours: it is logged and not shown.
 */
import type { Clock, UnixMs } from "../../core/clock.ts";
import { failure, type Failure } from "../../core/errors.ts";

/** `what` is the object that was called. */
export function failureOfThrown(error: unknown, what: "database" | "organization", clock: Clock): Failure {
  if (isMarked(error, "overloaded")) {
    logLostCall(error, clock.now());
    return failure("unavailable", `The ${what} has more requests than it can answer. Try again in a moment.`);
  }
  if (isMarked(error, "retryable") || isMarked(error, "durableObjectReset")) {
    logLostCall(error, clock.now());
    return failure("unavailable", `The ${what} was restarted or moved while it answered. Try again.`);
  }
  console.error(`a call of the ${what}'s object failed`, error);
  return failure("internal", "The request failed because of an error in this server.");
}

function isMarked(error: unknown, mark: string): boolean {
  return typeof error === "object" && error !== null && Reflect.get(error, mark) === true;
}

const LOST_CALLS_LINE_MS = 10_000;

/** Of this isolate: calls since the last line, and when that was written. */
const lostCalls = { count: 0, loggedAt: Number.NEGATIVE_INFINITY };

/** At most one line in ten seconds: whatever takes an object away may last. */
function logLostCall(error: unknown, now: UnixMs): void {
  lostCalls.count += 1;
  // Also when the clock was set back by more than that.
  if (Math.abs(now - lostCalls.loggedAt) < LOST_CALLS_LINE_MS) return;
  console.error(`calls of objects that were answered with 503: ${lostCalls.count}, the latest`, error);
  lostCalls.count = 0;
  lostCalls.loggedAt = now;
}
