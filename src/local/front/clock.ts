/** The time of the front, in milliseconds that never go back, and work at regular intervals. Tests pass another clock. */

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
