/** Waiting is passed in, like the clock, so that tests need not wait. */
export interface Timers {
  /** Runs `callback` once, `ms` milliseconds from now, unless the function that it returns is called before. */
  after(ms: number, callback: () => void): () => void;
}

/** What `work` comes to if that takes at most so many milliseconds, and else what `late` says. It goes on meanwhile. */
export function inTime<T>(timers: Timers, ms: number, work: Promise<T>, late: () => T): Promise<T> {
  return new Promise((resolve, reject) => {
    const cancel = timers.after(ms, () => resolve(late()));
    void work.then(resolve, reject).finally(cancel);
  });
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
  return inTime(timers, ms, work(abort.signal), () => {
    const answer = late();
    abort.abort();
    return answer;
  });
}
