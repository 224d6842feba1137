/**
 * Keeps what the clock showed while versions ran ahead of it. A version is the time of its commit, except after the clock was set back:
 * until the clock has caught up, versions continue where they were. So that the time of such a commit can still be told, a reading of the
 * clock is stored with a version now and then: when the clock is first seen to be behind, and after that the less often, the further
 * behind it is. Only the few commits that store a reading cost more. Without a log, no readings are kept.
 */
import type { UnixMs } from "../core/clock.ts";
import { areOfOneSpan, type ClockReading } from "../core/clock-spans.ts";
import { CLOCK_BEHIND_MS, MAX_CLOCK_READINGS } from "../core/limits.ts";
import type { Sql } from "../core/storage.ts";
import { timeOfVersion, type Version } from "../core/versionstamp.ts";

/**
 * The least time between two readings is a minute, or a hundredth of the time that the clock is behind. These are some hundreds of
 * readings for a day, and a thousand for ten years.
 */
const LEAST_EVERY_MS = 60_000;
const READINGS_FOR_LAG = 100;

/** Only this file writes these rows, from values of these types. (A type and not an interface: storage wants an index signature.) */
type Row = { version: Version; time: UnixMs };

export class ClockReadings {
  readonly #sql: Sql;
  /** undefined: not read yet, or the last change may have been undone. */
  #last: ClockReading | null | undefined;

  constructor(sql: Sql) {
    this.#sql = sql;
  }

  /**
   * Called while a commit is being made, in its open transaction, when no version at or above this one was given out before. Writes at
   * most two rows, when the clock is behind.
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

  /** To be called when the transaction was rolled back. */
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
