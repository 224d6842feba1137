/**
 * Tells the organization how its database's backup is doing: at once what an alert depends on, and numbers after each quarter of an hour
 * in which they changed. The last report is stored, so that nothing is reported twice. For a database without a backup nothing is stored.
 */
import { BACKUP_NEWS_AFTER_MS, type BackupHealth, healthOf, nextHealthAt } from "../contracts/backup-health.ts";
import type { BackupInfo } from "../contracts/backup-commands.ts";
import { asUnixMs, type Clock, earliest, type UnixMs } from "../core/clock.ts";
import type { Task } from "./alarm-clock.ts";
import type { ObjectTables } from "./object-tables.ts";

const NUMBERS_EVERY_MS = 15 * 60 * 1000;

/** When a bucket fails, its databases report it within this time, and not all at the same moment. */
const SPREAD_MS = 30_000;

export interface BackupReportOptions {
  readonly tables: ObjectTables;
  readonly clock: Clock;
  readonly databaseId: string;
  /** null: the database has no backup. */
  readonly info: () => BackupInfo | null;
  readonly report: (health: BackupHealth | null) => Promise<void>;
}

interface Told {
  readonly health: BackupHealth;
  readonly at: UnixMs;
}

export class BackupReportTask implements Task {
  readonly name = "backup report";
  readonly #options: BackupReportOptions;
  readonly #newsAfterMs: number;
  /** The last report. null: there was none, or it said that there is no backup. */
  #told: Told | null;

  constructor(options: BackupReportOptions) {
    this.#options = options;
    this.#newsAfterMs = BACKUP_NEWS_AFTER_MS + spreadOf(options.databaseId);
    this.#told = this.#read();
  }

  dueAt(): UnixMs | null {
    const { clock, info: current } = this.#options;
    const info = current();
    const now = clock.now();
    if (info === null) return this.#told === null ? null : now;
    if (this.#told === null) {
      // While a backup is being set up, there is little to report.
      const isNew = info.status.code === "pending" && !info.paused;
      return isNew ? asUnixMs(Math.min(info.createdAt, now) + this.#newsAfterMs) : now;
    }
    const health = healthOf(info, now, this.#newsAfterMs);
    if (newsIn(health) !== newsIn(this.#told.health)) return now;
    const numbersAt = same(health, this.#told.health) ? null : numbersAfter(this.#told.at, now);
    return earliest([numbersAt, nextHealthAt(info, now, this.#newsAfterMs)]);
  }

  async run(): Promise<void> {
    const { clock, info: current, report } = this.#options;
    const info = current();
    const now = clock.now();
    const health = info === null ? null : healthOf(info, now, this.#newsAfterMs);
    if (this.#told === null ? health === null : health !== null && same(health, this.#told.health)) return;
    await report(health);
    this.#note(health === null ? null : { health, at: now });
  }

  #read(): Told | null {
    const { tables } = this.#options;
    if (!tables.has("backup_report")) return null;
    const [row] = tables.storage.sql
      .exec<{ health: string; at: number }>("SELECT health, at FROM backup_report")
      .toArray();
    // This class wrote it, from a value of this type.
    return row === undefined ? null : { health: JSON.parse(row.health) as BackupHealth, at: asUnixMs(row.at) };
  }

  #note(told: Told | null): void {
    const { tables } = this.#options;
    const { sql } = tables.storage;
    this.#told = told;
    tables.make("backup_report");
    if (told === null) {
      sql.exec("DELETE FROM backup_report");
      return;
    }
    sql.exec(
      `INSERT INTO backup_report (only, health, at) VALUES (1, ?1, ?2)
       ON CONFLICT (only) DO UPDATE SET health = excluded.health, at = excluded.at`,
      JSON.stringify(told.health),
      told.at,
    );
  }
}

/** The first full quarter of an hour after a report. */
function numbersAfter(toldAt: UnixMs, now: UnixMs): UnixMs {
  // The clock was set back: waiting until it has caught up could take days.
  if (toldAt > now) return now;
  return asUnixMs((Math.floor(toldAt / NUMBERS_EVERY_MS) + 1) * NUMBERS_EVERY_MS);
}

/** The part of the health that is reported at once when it changes. */
function newsIn({ status, paused, failing, behindSince, verification }: BackupHealth): string {
  return JSON.stringify([
    status,
    paused,
    failing?.since ?? null,
    behindSince !== null,
    verification?.finishedAt ?? null,
  ]);
}

function same(a: BackupHealth, b: BackupHealth): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}

/** Between 0 and the bound, and always the same for one database. */
function spreadOf(databaseId: string): number {
  let hash = 0;
  for (let i = 0; i < databaseId.length; i++) hash = (hash * 31 + databaseId.charCodeAt(i)) % 1_000_003;
  return hash % SPREAD_MS;
}
