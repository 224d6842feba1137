/** Waiting is passed in, like the clock, so that tests need not wait. */
export interface Timers {
  /** Runs `callback` once, `ms` milliseconds from now, unless the function that it returns is called before. */
  after(ms: number, callback: () => void): () => void;
}

/**
 * Gives `work` so many milliseconds. When they are over, its signal aborts and the answer is `late`, whether or not the work
 * notices: some of the platform's calls cannot be aborted.
 */
export function withDeadline<T>(
  timers: Timers,
  ms: number,
  work: (signal: AbortSignal) => Promise<T>,
  late: () => T,
): Promise<T> {
  const abort = new AbortController();
  return new Promise((resolve, reject) => {
    const cancel = timers.after(ms, () => {
      resolve(late());
      abort.abort();
    });
    void work(abort.signal).then(resolve, reject).finally(cancel);
  });
}
