/**
 * Saves a database's counters of use before its object sleeps. Between two saves the counters are only in memory. The platform puts an
 * object to sleep about 10 seconds after its last event, without notice, and a timer would keep the object awake, which is billed. So the
 * first use after a save sets the alarm, and the alarm saves. A burst of use costs two rows, however much was done in it.
 */
import { asUnixMs, type Clock, type UnixMs } from "../core/clock.ts";
import type { Database } from "../engine/database.ts";
import type { Task } from "./alarm-clock.ts";

/**
 * How long after the first unsaved use the counters are saved: well before the sleep, even when the alarm rings late. It is longer than
 * the time between two writes of the versions' mark, which store the counters at no extra cost.
 */
export const COUNTERS_SAVED_AFTER_MS = 6_000;

export class CountersTask implements Task {
  readonly name = "counters";
  readonly #database: Pick<Database, "isUnsaved" | "saves" | "saveCounters">;
  readonly #clock: Clock;
  /** The first use that is not saved. null: none was seen. */
  #since: UnixMs | null = null;
  /** The number of the last save at that time. */
  #saves = 0;

  constructor(database: Pick<Database, "isUnsaved" | "saves" | "saveCounters">, clock: Clock) {
    this.#database = database;
    this.#clock = clock;
  }

  /** Something was counted at this moment. Returns when it is to be saved. */
  used(): UnixMs {
    const now = this.#clock.now();
    // After the clock was set back, the save must not wait until the clock has caught up.
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
