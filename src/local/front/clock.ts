/**
 * The time of the front, in milliseconds that never go back, and work at regular intervals. Tests pass another clock. And the date in the
 * heads of its answers.
 */

export interface FrontClock {
  now(): number;
  /** Returns a function that ends it. This timer does not keep the process running. */
  every(ms: number, handler: () => void): () => void;
}

/** Callers must pass guarded handlers. */
export const systemClock: FrontClock = {
  now: () => performance.now(),
  every(ms, handler) {
    const timer = setInterval(handler, ms).unref();
    return () => clearInterval(timer);
  },
};

let second = 0;
let date = "";

/** The wall clock's time as the header `date` has it (RFC 9110, section 6.6.1). */
export function httpDate(): string {
  const now = Math.floor(Date.now() / 1000);
  if (now !== second) {
    second = now;
    date = new Date(now * 1000).toUTCString();
  }
  return date;
}
