/**
 * Tells the organization how its database was used: after every quarter of an hour with use, and never otherwise. After an idle quarter
 * it tells as soon as the counters are saved, with the same alarm, so that a burst is one report.
 */
import { asUnixMs, type Clock, type UnixMs } from "../core/clock.ts";
import type { UsageCounters } from "../contracts/resources.ts";
import type { Database } from "../engine/database.ts";
import type { Task } from "./alarm-clock.ts";
import { COUNTERS_SAVED_AFTER_MS } from "./counters-task.ts";
import type { ObjectTables } from "./object-tables.ts";

const INTERVAL_MS = 15 * 60 * 1000;

/** An alarm that rings at most this late counts as punctual. */
const ALARM_DELAY_MS = 60 * 1000;

export interface UsageTaskOptions {
  readonly tables: ObjectTables;
  readonly database: Database;
  readonly clock: Clock;
  /** `usedAt`: the first use since the last report. */
  readonly report: (counters: UsageCounters, usedAt: UnixMs) => Promise<void>;
}

export class UsageTask implements Task {
  readonly name = "usage";
  readonly #options: UsageTaskOptions;
  /** How many reads and writes the organization knows of. */
  #reported: number;
  /** When the last report began. At first a time long ago: the first burst of a new database is reported without delay. */
  #reportedAt: UnixMs;
  /** The first use since then. null while there is none. Kept only in memory. */
  #usedAt: UnixMs | null;

  constructor(options: UsageTaskOptions) {
    this.#options = options;
    const { tables } = options;
    const { sql } = tables.storage;
    tables.make("usage_report");
    const [row] = sql.exec<{ operations: number; at: number }>("SELECT operations, at FROM usage_report").toArray();
    this.#reported = row?.operations ?? 0;
    this.#reportedAt = asUnixMs(row?.at ?? 0);
    if (row === undefined) sql.exec("INSERT INTO usage_report (operations, at) VALUES (0, 0)");
    this.#usedAt = this.dueAt() === null ? null : this.#usedBefore();
  }

  /** The database is used now. Returns when that is to be reported. */
  used(): UnixMs {
    const now = this.#options.clock.now();
    // After the clock was set back, reports must not wait until it has caught up.
    if (this.#usedAt === null || this.#usedAt > now) this.#usedAt = now;
    if (this.#reportedAt > now) {
      this.#reportedAt = now;
      this.#note();
    }
    return this.#nextReport();
  }

  /** When the next report is due: at the next full quarter of an hour, or when the first use is saved, if that is later. */
  #nextReport(): UnixMs {
    const saved = this.#usedAt === null ? 0 : this.#usedAt + COUNTERS_SAVED_AFTER_MS;
    return asUnixMs(Math.max(this.#quarterEnd(), saved));
  }

  /** The end of the quarter of an hour in which the last report was made. */
  #quarterEnd(): UnixMs {
    return asUnixMs((Math.floor(this.#reportedAt / INTERVAL_MS) + 1) * INTERVAL_MS);
  }
  dueAt(): UnixMs | null {
    return this.#options.database.operations === this.#reported ? null : this.#nextReport();
  }

  /** After a restart, about when the use began that is not reported yet: after the last report, if the next one is not overdue. */
  #usedBefore(): UnixMs {
    const now = this.#options.clock.now();
    return now < this.#quarterEnd() + ALARM_DELAY_MS ? this.#reportedAt : now;
  }

  async run(): Promise<void> {
    const { database, tables, clock, report } = this.#options;
    const { operations } = database;
    const { reads, writes, readUnits, writeUnits } = database.counters();
    const before = { reportedAt: this.#reportedAt, usedAt: this.#usedAt };
    // Set before the organization answers, so that use during the call waits for the next report.
    this.#reportedAt = clock.now();
    this.#usedAt = null;
    try {
      const counters = { reads, writes, readUnits, writeUnits, bytes: tables.storage.sql.databaseSize };
      await report(counters, before.usedAt ?? this.#reportedAt);
    } catch (error) {
      this.#reportedAt = before.reportedAt;
      this.#usedAt = before.usedAt ?? this.#usedAt;
      throw error;
    }
    this.#reported = operations;
    database.saveCounters();
    this.#note();
  }

  #note(): void {
    const { sql } = this.#options.tables.storage;
    sql.exec("UPDATE usage_report SET operations = ?1, at = ?2", this.#reported, this.#reportedAt);
  }
}
