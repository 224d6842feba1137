/**
 * What the clock said while versions ran ahead of it. A version is the time of its commit, except after the clock was set back: until it
 * has caught up, versions go on where they were. So that a time can still be told from a commit then, the clock's reading is kept with
 * a version now and then: when it is first seen to be behind, and after that the more seldom, the further behind it is. A commit costs
 * nothing for that, except the few that have a reading; without a log, nothing is kept.
 */
import type { UnixMs } from "../core/clock.ts";
import { areOfOneSpan, type ClockReading } from "../core/clock-spans.ts";
import { CLOCK_BEHIND_MS, MAX_CLOCK_READINGS } from "../core/limits.ts";
import type { Sql } from "../core/storage.ts";
import { timeOfVersion, type Version } from "../core/versionstamp.ts";

/** At the most one a minute; and a hundredth of what the clock is behind: some hundreds for a day, a thousand for ten years. */
const LEAST_EVERY_MS = 60_000;
const READINGS_FOR_LAG = 100;

/** Our own writes vouch for the brands. (A type and not an interface: storage wants an index signature.) */
type Row = { version: Version; time: UnixMs };

export class ClockReadings {
  readonly #sql: Sql;
  /** undefined: not read yet, or perhaps undone. */
  #last: ClockReading | null | undefined;

  constructor(sql: Sql) {
    this.#sql = sql;
  }

  /**
   * A commit is being made, in the transaction that is open, and no version was given out at or above this one. At the most two rows
   * written, when the clock is behind.
   */
  note(version: Version, now: UnixMs): void {
    const behind = timeOfVersion(version) - now;
    if (behind < CLOCK_BEHIND_MS) return;
    const last = this.#newest();
    const every = Math.max(LEAST_EVERY_MS, behind / READINGS_FOR_LAG);
    if (last !== null && areOfOneSpan(last, { version, time: now }) && now - last.time < every) return;
    this.#sql.exec("INSERT INTO clock_readings (version, time) VALUES (?1, ?2)", version, now);
    this.#sql.exec(
      `DELETE FROM clock_readings WHERE version <= (
         SELECT version FROM clock_readings ORDER BY version DESC LIMIT 1 OFFSET ?1)`,
      MAX_CLOCK_READINGS,
    );
    this.#last = { version, time: now };
  }

  /** The transaction was rolled back. */
  undone(): void {
    this.#last = undefined;
  }

  /** Ascending by version. */
  all(): ClockReading[] {
    return this.#sql.exec<Row>("SELECT version, time FROM clock_readings ORDER BY version").toArray();
  }

  #newest(): ClockReading | null {
    if (this.#last !== undefined) return this.#last;
    const [row] = this.#sql
      .exec<Row>("SELECT version, time FROM clock_readings ORDER BY version DESC LIMIT 1")
      .toArray();
    this.#last = row ?? null;
    return this.#last;
  }
}
