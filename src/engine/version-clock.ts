/**
 * Where versions come from: a hybrid logical clock, `max(last + 1, now)`, in microseconds. The last version is not written with each
 * commit. Instead a mark ahead of it is written every few seconds of writing, and a restart continues above the mark. So after a crash
 * versions may be a few seconds ahead of the time, and never go back. An object that saves its counters before it sleeps sets the mark
 * back to the last version (`settle`), so a sleep leaves no such gap.
 */
import { asUnixMs, type UnixMs } from "../core/clock.ts";
import { asVersion, type Version, versionAtTime } from "../core/versionstamp.ts";
import type { Mark } from "./mark.ts";

/** How far ahead of the clock the mark is set. One row is written for each such time of writing. */
const RESERVE_MS = 5_000;

/** The mark is also at least this far ahead of the current version, for when versions run ahead of the clock. */
const RESERVE_VERSIONS = 1_000;

export class VersionClock {
  readonly #stored: Mark;
  /** The last version given out, or the mark that was found at the start. Nothing above it was ever given out. */
  #last: Version;
  /** The mark that is known to be stored. */
  #mark: Version;

  constructor(mark: Mark) {
    this.#stored = mark;
    this.#mark = mark.version;
    this.#last = this.#mark;
  }

  get last(): Version {
    return this.#last;
  }

  /**
   * Makes sure that the next `count` versions may be given out: when the stored mark is not above them, a new one is written. To be
   * called before the first change that uses the versions, inside its transaction if there is one. Returns a function to call after the
   * transaction: a mark that may have been rolled back does not count.
   */
  reserve(count: number, now: UnixMs): () => void {
    const next = this.#next(1, now);
    const highest = next + count - 1;
    if (highest <= this.#mark) return nothingWritten;
    const mark = asVersion(Math.max(versionAtTime(asUnixMs(now + RESERVE_MS)), highest + RESERVE_VERSIONS));
    this.#stored.write(mark);
    return () => {
      this.#mark = mark;
    };
  }

  /** The last of the `width` versions that can be given out next. With 1 it is the least version that can be. */
  next(now: UnixMs, width = 1): Version {
    return this.#next(width, now);
  }

  /** Takes `width` consecutive versions, which `reserve` has made sure of, and returns the greatest. */
  take(width: number, now: UnixMs): Version {
    this.#last = this.#next(width, now);
    return this.#last;
  }

  /**
   * Stores the last version as the mark. Writes one row. A restart then continues from it, and not from some seconds ahead of the clock.
   * Not to be called in a transaction.
   */
  settle(): void {
    this.#stored.write(this.#last);
    this.#mark = this.#last;
  }

  /** Every later version will be above `floor`. For restores and imports. In the caller's transaction. */
  raise(floor: Version): () => void {
    if (floor <= this.#last) return nothingWritten;
    const mark = asVersion(Math.max(floor, this.#mark));
    this.#stored.write(mark);
    return () => {
      this.#last = asVersion(Math.max(floor, this.#last));
      this.#mark = mark;
    };
  }

  /** A version at or above every version so far, and as near to the present as a later commit's version can be told from it. */
  upToNow(now: UnixMs): Version {
    return asVersion(Math.max(this.#last, versionAtTime(now) - 1));
  }

  #next(width: number, now: UnixMs): Version {
    return asVersion(Math.max(this.#last + width, versionAtTime(now)));
  }
}

function nothingWritten(): void {
  // The stored mark already covers the request.
}
