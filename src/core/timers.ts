/** Waiting is passed in, like the clock, so that tests need not wait. */
export interface Timers {
  /** Runs `callback` once, `ms` milliseconds from now, unless the function that it returns is called before. */
  after(ms: number, callback: () => void): () => void;
}
