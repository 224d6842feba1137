/**
 * Where versions come from: a hybrid logical clock, `max(last + 1, now)`, in microseconds. The last version is not written with
 * each commit. A mark ahead of it is, every few seconds of writing, and a restart continues above the mark: versions may then
 * run a few seconds ahead of the time, and never go back.
 */
import { asUnixMs, type UnixMs } from "../core/clock.ts";
import type { Sql } from "../core/storage.ts";
import { asVersion, type Version, versionAtTime } from "../core/versionstamp.ts";

/** How far ahead of the clock the mark is set: one row written per this much writing. */
const RESERVE_MS = 5_000;

/** And at the least this far ahead of the version in hand, for when versions run ahead of the clock. */
const RESERVE_VERSIONS = 1_000;

export class VersionClock {
  readonly #sql: Sql;
  /** The last version given out, or the mark that a start found: nothing above it was ever given out. */
  #last: Version;
  /** The mark that is known to be stored. */
  #mark: Version;

  constructor(sql: Sql) {
    this.#sql = sql;
    const [row] = sql.exec<{ value: number }>("SELECT value FROM meta WHERE name = 'version_mark'").toArray();
    this.#mark = asVersion(row?.value ?? 0);
    this.#last = this.#mark;
  }

  get last(): Version {
    return this.#last;
  }

  /**
   * Makes sure that the next `count` versions may be given out: writes a mark above them if the stored one is not. To be called
   * inside the transaction that uses the versions, before its first change. Returns what to call once that transaction has
   * returned; a mark written by one that was rolled back does not count.
   */
  reserve(count: number, now: UnixMs): () => void {
    const next = this.#next(1, now);
    const highest = next + count - 1;
    if (highest <= this.#mark) return nothingWritten;
    const mark = asVersion(Math.max(versionAtTime(asUnixMs(now + RESERVE_MS)), highest + RESERVE_VERSIONS));
    this.#write(mark);
    return () => {
      this.#mark = mark;
    };
  }

  /** Takes `width` consecutive versions within what `reserve` made sure of, and returns the greatest. */
  take(width: number, now: UnixMs): Version {
    this.#last = this.#next(width, now);
    return this.#last;
  }

  /** Every later version will be above `floor`: for restores and imports. In the caller's transaction. */
  raise(floor: Version): () => void {
    if (floor <= this.#last) return nothingWritten;
    const mark = asVersion(Math.max(floor, this.#mark));
    this.#write(mark);
    return () => {
      this.#last = asVersion(Math.max(floor, this.#last));
      this.#mark = mark;
    };
  }

  #next(width: number, now: UnixMs): Version {
    return asVersion(Math.max(this.#last + width, versionAtTime(now)));
  }

  #write(mark: Version): void {
    this.#sql.exec(
      "INSERT INTO meta (name, value) VALUES ('version_mark', ?1) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
      mark,
    );
  }
}

function nothingWritten(): void {
  // The stored mark covers what is asked for already.
}
