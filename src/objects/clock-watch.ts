/**
 * In workerd the time that an object reads never goes back while the object is in use: when the server's clock was ahead and is set back,
 * the object's stands still until the real time has caught up, which may be days. Fresh tokens are over then, entries that expire are
 * never stored, and alarms are set for days ahead. Only a new start makes the object read the time as it is.
 *
 * A Worker reads the time anew with every request. So each call carries the time of whoever calls, by which tokens are judged, and
 * which tells the object that its own stands still. One that is ahead and moves is another machine's, and no reason for anything.
 */
import type { Clock, UnixMs } from "../core/clock.ts";
import { failure } from "../core/errors.ts";

/** Calls take their time, and the clocks of two machines differ by less than this. */
const AHEAD_MS = 5_000;

/** It is seen to stand still when the caller's clock has gone on by so much. */
const STOOD_STILL_MS = 250;

export const STARTS_ANEW = failure(
  "unavailable",
  "The server's clock was set back, and what was asked starts anew for that: try again",
);

export class ClockWatch {
  readonly #clock: Clock;
  readonly #startAnew: () => void;
  /** When it was first seen to be ahead at this very time, by the caller's clock. */
  #ahead: { readonly own: UnixMs; readonly since: UnixMs } | null = null;

  /** `startAnew`: ends the object, which the next call starts again. */
  constructor(clock: Clock, startAnew: () => void) {
    this.#clock = clock;
    this.#startAnew = startAnew;
  }

  /**
   * As `goesOn`, for a call whose answer depends on the object's own time: false also until it is known whether one that is ahead
   * moves. Nothing can be waited for meanwhile, since timers stand still along with it: whoever asked asks again.
   */
  isRight(askedAt: UnixMs): boolean {
    const before = this.#ahead;
    if (!this.goesOn(askedAt)) return false;
    return this.#ahead === null || (before !== null && before.own !== this.#ahead.own);
  }

  /** A call was made at this time. False: the object starts anew, and the call is to be answered with `STARTS_ANEW`. */
  goesOn(askedAt: UnixMs): boolean {
    const own = this.#clock.now();
    if (own - askedAt < AHEAD_MS) {
      this.#ahead = null;
      return true;
    }
    if (this.#ahead?.own !== own) this.#ahead = { own, since: askedAt };
    if (askedAt - this.#ahead.since < STOOD_STILL_MS) return true;
    this.#startAnew();
    return false;
  }
}
