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

/**
 * The deadline of waits that come one after the other, as those for the pieces of a stream. A timer for each would add up: the runtime keeps
 * what a cancelled timer takes until the timer would have run, and a fast stream has thousands of pieces a second. So there is one, which
 * goes on for the present wait when it runs.
 */
export class RepeatedDeadline {
  readonly #timers: Timers;
  readonly #now: () => number;
  /** The wait that goes on. null: none does. */
  #wait: { readonly since: number; readonly ms: number; readonly late: () => void } | null = null;
  /** For which wait, and until when, the timer was set. */
  #timer: { readonly until: number; readonly cancel: () => void } | null = null;

  constructor(timers: Timers, now: () => number) {
    this.#timers = timers;
    this.#now = now;
  }

  /** As `inTime`. Not to be called before the last call was answered. */
  inTime<T>(ms: number, work: Promise<T>, late: () => T): Promise<T> {
    return new Promise((resolve, reject) => {
      const since = this.#now();
      const wait = { since, ms, late: () => resolve(late()) };
      this.#wait = wait;
      if (this.#timer === null || this.#timer.until > since + ms) this.#set(ms);
      const over = (): void => {
        if (this.#wait === wait) this.#wait = null;
      };
      void work.then(resolve, reject).finally(over);
    });
  }

  /** After the last wait. */
  end(): void {
    this.#timer?.cancel();
    this.#timer = null;
  }

  #set(ms: number): void {
    this.#timer?.cancel();
    const first = this.#wait;
    const cancel = this.#timers.after(ms, () => {
      this.#timer = null;
      const wait = this.#wait;
      if (wait === null) return;
      // When the clock was set back, the wait begins anew.
      const left = Math.min(wait.since + wait.ms - this.#now(), wait.ms);
      if (wait === first || left <= 0) wait.late();
      else this.#set(left);
    });
    this.#timer = { until: this.#now() + ms, cancel };
  }
}
