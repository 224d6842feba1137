/**
 * Saves a database's counters of use before its object sleeps. Between two saves they live in memory alone, the platform puts an
 * object to sleep about 10 seconds after its last event and says so to nobody, and a timer would keep it awake, which is billed. So
 * the first use after a save sets the alarm, and the alarm saves: two rows written for a burst of use, however much was done in it.
 */
import { asUnixMs, type Clock, type UnixMs } from "../core/clock.ts";
import type { Database } from "../engine/database.ts";
import type { Task } from "./alarm-clock.ts";

/**
 * Counters are stored this long after the first use that they lack: well before the sleep, also when the alarm rings late. And later
 * than writing that goes on moves the mark of versions, which stores them for nothing.
 */
export const COUNTERS_SAVED_AFTER_MS = 6_000;

export class CountersTask implements Task {
  readonly name = "counters";
  readonly #database: Pick<Database, "isUnsaved" | "saves" | "saveCounters">;
  readonly #clock: Clock;
  /** The first use that the stored counters lack; null: none was seen. */
  #since: UnixMs | null = null;
  /** The save, by its number, that was the last one then. */
  #saves = 0;

  constructor(database: Pick<Database, "isUnsaved" | "saves" | "saveCounters">, clock: Clock) {
    this.#database = database;
    this.#clock = clock;
  }

  /** Something was counted just now. When it is to be saved. */
  used(): UnixMs {
    const now = this.#clock.now();
    // A clock that was set back must not make them wait until it has caught up.
    if (this.#since === null || this.#saves !== this.#database.saves || this.#since > now) {
      this.#saves = this.#database.saves;
      this.#since = now;
    }
    return asUnixMs(this.#since + COUNTERS_SAVED_AFTER_MS);
  }

  dueAt(): UnixMs | null {
    if (this.#since === null || !this.#database.isUnsaved) return null;
    return asUnixMs(this.#since + COUNTERS_SAVED_AFTER_MS);
  }

  run(): void {
    this.#database.saveCounters();
  }
}
