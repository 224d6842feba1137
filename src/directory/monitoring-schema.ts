/**
 * The tables of what an organization watches over, made when the first thing is to be kept in them: one without backups and
 * webhooks has none. Times are milliseconds since 1970. Append-only: see `core/migrations.ts`.
 *
 * `backup_health` has a row for each database with a backup, as the database told it last; `backup_totals` one row that counts them, so
 * that nothing counts rows.
 */
import { schemaOf } from "../core/migrations.ts";

export const MONITORING_SCHEMA = schemaOf("monitoring_schema", [
  [
    `CREATE TABLE backup_health (
       database_id TEXT PRIMARY KEY, health TEXT NOT NULL, failing INTEGER NOT NULL, reported_at INTEGER NOT NULL
     ) STRICT, WITHOUT ROWID`,
    `CREATE INDEX backup_health_shown ON backup_health (failing DESC, reported_at DESC)`,
    `CREATE TABLE backup_totals (
       one INTEGER PRIMARY KEY CHECK (one = 1), backups INTEGER NOT NULL DEFAULT 0, failing INTEGER NOT NULL DEFAULT 0,
       behind INTEGER NOT NULL DEFAULT 0, paused INTEGER NOT NULL DEFAULT 0, unverified INTEGER NOT NULL DEFAULT 0
     ) STRICT`,
    `INSERT INTO backup_totals (one) VALUES (1)`,
  ],
]);
