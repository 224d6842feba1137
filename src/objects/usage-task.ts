/**
 * Tells the organization what its database was used for: every quarter of an hour in which it was, and never otherwise. After an idle
 * quarter it tells as soon as the counters are saved, with the same alarm, so that a burst is one report.
 */
import { asUnixMs, type Clock, type UnixMs } from "../core/clock.ts";
import type { UsageCounters } from "../contracts/management.ts";
import type { Database } from "../engine/database.ts";
import type { Task } from "./alarm-clock.ts";
import { COUNTERS_SAVED_AFTER_MS } from "./counters-task.ts";
import type { ObjectTables } from "./object-tables.ts";

const INTERVAL_MS = 15 * 60 * 1000;

/** An alarm that rings this late is as good as punctual. */
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
  /** Reads and writes that the organization knows of. */
  #reported: number;
  /** When it was told, or began to be told; at first, long ago: a new database's first burst is told without delay. */
  #reportedAt: UnixMs;
  /** The first use since then; null while there is none. Kept in memory only. */
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

  /** It is used now. When that is to be reported. */
  used(): UnixMs {
    const now = this.#options.clock.now();
    // A clock that was set back must not make reports wait until it has caught up.
    if (this.#usedAt === null || this.#usedAt > now) this.#usedAt = now;
    if (this.#reportedAt > now) {
      this.#reportedAt = now;
      this.#note();
    }
    return this.#nextReport();
  }

  /** When there is something to report: the next whole quarter of an hour, or when the first use is saved, if that is later. */
  #nextReport(): UnixMs {
    const saved = this.#usedAt === null ? 0 : this.#usedAt + COUNTERS_SAVED_AFTER_MS;
    return asUnixMs(Math.max(this.#quarterEnd(), saved));
  }

  /** Of the quarter of an hour in which the last report was made. */
  #quarterEnd(): UnixMs {
    return asUnixMs((Math.floor(this.#reportedAt / INTERVAL_MS) + 1) * INTERVAL_MS);
  }
  dueAt(): UnixMs | null {
    return this.#options.database.operations === this.#reported ? null : this.#nextReport();
  }

  /** About when it was used that has not been reported, after a restart: after the last report, if the next one is not overdue. */
  #usedBefore(): UnixMs {
    const now = this.#options.clock.now();
    return now < this.#quarterEnd() + ALARM_DELAY_MS ? this.#reportedAt : now;
  }

  async run(): Promise<void> {
    const { database, tables, clock, report } = this.#options;
    const { operations } = database;
    const { reads, writes, readUnits, writeUnits } = database.counters();
    const before = { reportedAt: this.#reportedAt, usedAt: this.#usedAt };
    // Before the organization answers, so that what is done meanwhile waits for the next report.
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
