/** Deletes expired entries: a bounded batch a turn, so that requests get theirs in between. */
import { asUnixMs, type UnixMs } from "../core/clock.ts";
import { MAX_EXPIRED_PER_BATCH } from "../core/limits.ts";
import type { Database } from "../engine/database.ts";
import type { Task } from "./alarm-clock.ts";

/** The alarm for an expiry stands at the next whole second, so that neighbours share one; setting it is billed as a row. */
export function alarmForExpiry(at: UnixMs): UnixMs {
  return asUnixMs(Math.ceil(at / 1000) * 1000);
}

export function expiryTask(database: Database): Task {
  return {
    name: "expiry",
    dueAt() {
      const next = database.nextExpiry();
      return next === null ? null : alarmForExpiry(next);
    },
    run() {
      database.deleteExpired(MAX_EXPIRED_PER_BATCH);
    },
  };
}
