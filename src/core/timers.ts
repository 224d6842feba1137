/** Waiting is passed in, like the clock, so that tests need not wait. */
export interface Timers {
  /** Runs `callback` once, `ms` milliseconds from now, unless the returned function is called before. */
  after(ms: number, callback: () => void): () => void;
}

/** The result of `work` if it takes at most `ms` milliseconds, else what `late` returns. `work` is not stopped. */
export function inTime<T>(timers: Timers, ms: number, work: Promise<T>, late: () => T): Promise<T> {
  return new Promise((resolve, reject) => {
    const cancel = timers.after(ms, () => resolve(late()));
    void work.then(resolve, reject).finally(cancel);
  });
}

/**
 * Gives `work` at most `ms` milliseconds. Then its signal aborts and the answer is `late`, whether or not `work` reacts to the signal:
 * some of the platform's calls cannot be aborted.
 */
export function withDeadline<T>(
  timers: Timers,
  ms: number,
  work: (signal: AbortSignal) => Promise<T>,
  late: () => T,
): Promise<T> {
  const abort = new AbortController();
  return inTime(timers, ms, work(abort.signal), () => {
    const answer = late();
    abort.abort();
    return answer;
  });
}
