/**
 * How the backups of an organization's databases are doing, as the databases have reported. A report without news writes nothing. Callers
 * hold the transaction.
 */
import type { BackupHealth } from "../contracts/backup-health.ts";
import { asUnixMs, type UnixMs } from "../core/clock.ts";
import { MAX_DATABASES_IN_METRICS } from "../core/limits.ts";
import type { BackupMetrics, BackupTotals } from "../contracts/resources.ts";
import type { Sql } from "../core/storage.ts";
import type { MonitoringTables } from "./monitoring-schema.ts";

const NO_BACKUPS: BackupTotals = { backups: 0, failing: 0, behind: 0, paused: 0, unverified: 0 };

export class BackupHealths {
  readonly #sql: Sql;
  readonly #tables: MonitoringTables;

  constructor(sql: Sql, tables: MonitoringTables) {
    this.#sql = sql;
    this.#tables = tables;
  }

  /** null: the database has no backup, or has reported none. */
  get(databaseId: string): BackupHealth | null {
    if (!this.#tables.exist) return null;
    const [row] = this.#sql
      .exec<{ health: string }>("SELECT health FROM backup_health WHERE database_id = ?1", databaseId)
      .toArray();
    return row === undefined ? null : parsed(row.health);
  }

  /**
   * Stores what a database has reported, and returns what was known before. null: there is no backup any more. Anything else needs the
   * tables.
   */
  set(databaseId: string, health: BackupHealth | null, now: UnixMs): BackupHealth | null {
    const before = this.get(databaseId);
    if (JSON.stringify(health) === JSON.stringify(before)) return before;
    if (health === null) {
      this.#sql.exec("DELETE FROM backup_health WHERE database_id = ?1", databaseId);
    } else {
      this.#sql.exec(
        `INSERT INTO backup_health (database_id, health, failing, reported_at) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT (database_id)
         DO UPDATE SET health = excluded.health, failing = excluded.failing, reported_at = excluded.reported_at`,
        databaseId,
        JSON.stringify(health),
        health.failing === null ? 0 : 1,
        now,
      );
    }
    this.#count(before, health);
    return before;
  }

  /** The totals, and as many databases as are shown: first those whose backup fails, then those that reported a change last. */
  metrics(): BackupMetrics {
    if (!this.#tables.exist) return { totals: NO_BACKUPS, perDatabase: [] };
    const { backups, failing, behind, paused, unverified } = this.#sql
      .exec<Record<keyof BackupTotals, number>>("SELECT * FROM backup_totals")
      .one();
    const perDatabase = this.#sql
      .exec<{ database_id: string; health: string; reported_at: number }>(
        "SELECT * FROM backup_health ORDER BY failing DESC, reported_at DESC LIMIT ?1",
        MAX_DATABASES_IN_METRICS,
      )
      .toArray()
      .map((row) => ({ id: row.database_id, reportedAt: asUnixMs(row.reported_at), health: parsed(row.health) }));
    return { totals: { backups, failing, behind, paused, unverified }, perDatabase };
  }

  #count(before: BackupHealth | null, after: BackupHealth | null): void {
    const [was, is] = [counted(before), counted(after)];
    const growth = [
      is.backups - was.backups,
      is.failing - was.failing,
      is.behind - was.behind,
      is.paused - was.paused,
      is.unverified - was.unverified,
    ];
    if (growth.every((difference) => difference === 0)) return;
    this.#sql.exec(
      `UPDATE backup_totals SET backups = backups + ?1, failing = failing + ?2, behind = behind + ?3,
         paused = paused + ?4, unverified = unverified + ?5`,
      ...growth,
    );
  }
}

/** What the backup of one database adds to the totals. */
function counted(health: BackupHealth | null): BackupTotals {
  if (health === null) return NO_BACKUPS;
  return {
    backups: 1,
    failing: health.failing === null ? 0 : 1,
    behind: health.behindSince === null ? 0 : 1,
    paused: health.paused ? 1 : 0,
    unverified: health.verification?.good === false ? 1 : 0,
  };
}

function parsed(health: string): BackupHealth {
  // This class wrote it, from a value of this type.
  return JSON.parse(health) as BackupHealth;
}
