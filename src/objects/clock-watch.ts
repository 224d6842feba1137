/**
 * In workerd the time that an object reads never goes back while the object is in use. When the server's clock was ahead and is set back,
 * the object's clock stands still until the real time has caught up, which may be days. Then new tokens count as expired, entries with an
 * expiry are never stored, and alarms are set for days ahead. Only a restarted object reads the right time.
 *
 * A Worker reads the right time with every request. So each call carries the time of its caller. Tokens are judged by that time, and it
 * shows the object that its own clock stands still. An object's clock that is ahead but moves is that of another machine, and no reason
 * to restart.
 */
import type { Clock, UnixMs } from "../core/clock.ts";
import { failure } from "../core/errors.ts";

/** Calls take time, and the clocks of two machines differ by less than this. */
const AHEAD_MS = 5_000;

/** The object's clock counts as standing still when the caller's clock has moved on by this much. */
const STOOD_STILL_MS = 250;

export const STARTS_ANEW = failure(
  "unavailable",
  "The server's clock was set back, and the database restarts because of that: try again",
);

export class ClockWatch {
  readonly #clock: Clock;
  readonly #startAnew: () => void;
  /** When the object's clock was first seen ahead at exactly this time, by the caller's clock. */
  #ahead: { readonly own: UnixMs; readonly since: UnixMs } | null = null;

  /** `startAnew` ends the object. The next call starts it again. */
  constructor(clock: Clock, startAnew: () => void) {
    this.#clock = clock;
    this.#startAnew = startAnew;
  }

  /**
   * As `goesOn`, for a call whose answer depends on the object's own time. Also false while it is not known whether a clock that is ahead
   * moves. The object cannot wait for that, because its timers stand still too, so the caller asks again.
   */
  isRight(askedAt: UnixMs): boolean {
    const before = this.#ahead;
    if (!this.goesOn(askedAt)) return false;
    return this.#ahead === null || (before !== null && before.own !== this.#ahead.own);
  }

  /** A call was made at this time. False: the object restarts, and the call is to be answered with `STARTS_ANEW`. */
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
