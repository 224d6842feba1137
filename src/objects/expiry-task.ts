/** Deletes expired entries, a bounded batch at a time, so that requests get their turn in between. */
import { asUnixMs, type UnixMs } from "../core/clock.ts";
import { MAX_EXPIRED_PER_BATCH } from "../core/limits.ts";
import type { WorkTurns } from "../core/process-turns.ts";
import type { Database } from "../engine/database.ts";
import type { Task } from "./alarm-clock.ts";

/** The alarm for an expiry is set to the next whole second, so that neighbouring expiries share one: setting it is billed as a row. */
export function alarmForExpiry(at: UnixMs): UnixMs {
  return asUnixMs(Math.ceil(at / 1000) * 1000);
}

/** `mayDelete`: false in a state of the past, where nothing expires any more. */
export function expiryTask(
  database: Database,
  mayDelete: () => boolean,
  turns: Pick<WorkTurns, "stored" | "next">,
  flushed: () => Promise<void>,
): Task {
  return {
    name: "expiry",
    dueAt() {
      const next = mayDelete() ? database.nextExpiry() : null;
      return next === null ? null : alarmForExpiry(next);
    },
    async run() {
      await turns.next();
      await turns.stored(() => database.deleteExpired(MAX_EXPIRED_PER_BATCH), flushed);
    },
  };
}
