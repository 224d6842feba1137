/** The time of the front, in milliseconds that never go back, and what is done every so often. Tests hand it another. */

export interface FrontClock {
  now(): number;
  /** Returns what ends it. It alone keeps no process running. */
  every(ms: number, handler: () => void): () => void;
}

/** The handlers are to be guarded by those who give them. */
export const systemClock: FrontClock = {
  now: () => performance.now(),
  every(ms, handler) {
    const timer = setInterval(handler, ms).unref();
    return () => clearInterval(timer);
  },
};
