/**
 * The tables of what an owner has set for archives: where they go, when they are made, and who is told when one fails. They are made by the
 * first setting, so a database without any pays nothing. Append-only: see `core/migrations.ts`.
 */
import { hasSchema, migrate, schemaOf } from "../../core/migrations.ts";
import type { SyncStorage } from "../../core/storage.ts";

/**
 * `archive_schedule` has at most one row. `anchor_at`: runs up to this time are over, or were before the schedule was set.
 * `run_job`: the job of a run that is about to begin. `archive_notices` has a row for each failure that somebody is still to be told of.
 */
const SCHEMA = schemaOf("archive_plan_schema", [
  [
    `CREATE TABLE archive_destinations (
       id TEXT PRIMARY KEY, name TEXT NOT NULL, enabled INTEGER NOT NULL, max_backups INTEGER, config TEXT NOT NULL, secret TEXT,
       result_at INTEGER, result_error TEXT, created_at INTEGER NOT NULL, updated_at INTEGER NOT NULL
     )`,
    `CREATE TABLE archive_schedule (
       only INTEGER PRIMARY KEY CHECK (only = 1), enabled INTEGER NOT NULL, cron TEXT NOT NULL, timezone TEXT NOT NULL, type TEXT NOT NULL,
       retention_days INTEGER, max_backups INTEGER, notify TEXT, secret TEXT, updated_at INTEGER NOT NULL, anchor_at INTEGER NOT NULL,
       run_at INTEGER, run_archive TEXT, run_job TEXT, run_ended INTEGER NOT NULL DEFAULT 1, run_error TEXT, retry_at INTEGER NOT NULL DEFAULT 0
     )`,
    `CREATE TABLE archive_notices (
       id TEXT PRIMARY KEY, url TEXT, secret TEXT, body TEXT NOT NULL, attempts INTEGER NOT NULL, due_at INTEGER NOT NULL, error TEXT
     )`,
  ],
]);

export function hasPlanTables(storage: SyncStorage): boolean {
  return hasSchema(storage, SCHEMA);
}

/** To be called before each write, outside of a transaction. */
export function makePlanTables(storage: SyncStorage): void {
  migrate(storage, SCHEMA);
}
