/**
 * The tables of a backup. They are made when the first backup is enabled, so a database that never had one pays nothing. Append-only: see
 * `core/migrations.ts`.
 */
import { hasSchema, migrate, schemaOf } from "../core/migrations.ts";
import type { SyncStorage } from "../core/storage.ts";

/**
 * `backup` has at most one row. `backup_generations` has one row for each generation that is in the bucket, as far as is known here. Its
 * pending ranges are stored before they are sent. A generation gets no commit after its `ends_at`. `backup_claims` has the generations of
 * a disabled backup, and the names under which they were written. `backup_jobs` are restores and verifications, of which at most one is
 * running; `jobs.ts` explains `begun` and `noticed`.
 */
const SCHEMA = schemaOf("backup_schema", [
  [
    `CREATE TABLE backup (
       only INTEGER PRIMARY KEY CHECK (only = 1), id TEXT NOT NULL, database_id TEXT NOT NULL, destination TEXT NOT NULL,
       secret TEXT, interval_ms INTEGER NOT NULL, retention_days INTEGER NOT NULL, created_at INTEGER NOT NULL,
       paused INTEGER NOT NULL DEFAULT 0, active INTEGER NOT NULL DEFAULT 0, failed TEXT,
       error TEXT, error_since INTEGER, error_at INTEGER,
       manifest_at INTEGER NOT NULL DEFAULT 0, manifest_stale INTEGER NOT NULL DEFAULT 1
     )`,
    `CREATE TABLE backup_generations (
       start INTEGER PRIMARY KEY, state TEXT NOT NULL, created_at INTEGER NOT NULL,
       exported INTEGER NOT NULL, pending_up_to INTEGER, exported_at INTEGER, first_point INTEGER,
       counted_up_to INTEGER, counted_bytes INTEGER NOT NULL DEFAULT 0,
       log_objects INTEGER NOT NULL DEFAULT 0, log_bytes INTEGER NOT NULL DEFAULT 0, log_head TEXT, log_sha256 TEXT,
       snapshot_end BLOB, snapshot_after BLOB, snapshot_pending BLOB, sequence INTEGER NOT NULL DEFAULT 0, scanned_at INTEGER,
       snapshot_objects INTEGER NOT NULL DEFAULT 0, snapshot_bytes INTEGER NOT NULL DEFAULT 0,
       snapshot_head TEXT, snapshot_sha256 TEXT,
       consistent_from INTEGER, gap_after INTEGER, gap_up_to INTEGER, gap_cause TEXT
     )`,
  ],
  [
    `CREATE TABLE backup_jobs (
       id TEXT PRIMARY KEY, kind TEXT NOT NULL, status TEXT NOT NULL, input TEXT NOT NULL, state TEXT,
       phase TEXT NOT NULL, done INTEGER NOT NULL DEFAULT 0, total INTEGER NOT NULL DEFAULT 0, version INTEGER,
       error TEXT, damaged_object TEXT, report TEXT, attempts INTEGER NOT NULL DEFAULT 0,
       retry_at INTEGER NOT NULL DEFAULT 0, created_at INTEGER NOT NULL, finished_at INTEGER
     ) WITHOUT ROWID`,
    `CREATE TABLE past_states (version INTEGER PRIMARY KEY, used_at INTEGER NOT NULL)`,
    `CREATE TABLE verification_schedule (
       only INTEGER PRIMARY KEY CHECK (only = 1), every_ms INTEGER NOT NULL, next_at INTEGER NOT NULL
     )`,
  ],
  [`ALTER TABLE backup_generations ADD COLUMN ends_at INTEGER`],
  [`UPDATE backup_generations SET state = 'ended' WHERE state = 'broken'`],
  [`ALTER TABLE backup ADD COLUMN failing TEXT`],
  [
    `ALTER TABLE backup ADD COLUMN line TEXT`,
    `ALTER TABLE backup ADD COLUMN notice TEXT`,
    `ALTER TABLE backup ADD COLUMN notice_since INTEGER`,
    `ALTER TABLE backup ADD COLUMN notice_over INTEGER NOT NULL DEFAULT 0`,
    `ALTER TABLE backup ADD COLUMN inspected_at INTEGER NOT NULL DEFAULT 0`,
    `ALTER TABLE backup ADD COLUMN manifest_sha256 TEXT`,
    `ALTER TABLE backup ADD COLUMN renew_at INTEGER NOT NULL DEFAULT 0`,
    `ALTER TABLE backup_generations ADD COLUMN owned INTEGER NOT NULL DEFAULT 1`,
    `ALTER TABLE backup_generations ADD COLUMN claim TEXT`,
    `ALTER TABLE backup_generations ADD COLUMN claiming TEXT`,
    `ALTER TABLE backup_generations ADD COLUMN seen_head TEXT`,
    `ALTER TABLE backup_generations ADD COLUMN seen_sha256 TEXT`,
    `ALTER TABLE backup_generations ADD COLUMN seen_objects INTEGER NOT NULL DEFAULT 0`,
    `UPDATE backup_generations SET seen_head = log_head, seen_sha256 = log_sha256, seen_objects = log_objects`,
    `CREATE TABLE backup_others (only INTEGER PRIMARY KEY CHECK (only = 1), generations TEXT NOT NULL)`,
    `CREATE TABLE backup_claims (start INTEGER PRIMARY KEY, writer TEXT NOT NULL)`,
  ],
  [
    `ALTER TABLE backup_generations ADD COLUMN verified_at INTEGER`,
    `ALTER TABLE verification_schedule ADD COLUMN automatic INTEGER NOT NULL DEFAULT 0`,
    // Older backups had no schedule. Each gets a different time of the day.
    `INSERT INTO verification_schedule (only, every_ms, next_at, automatic)
       SELECT 1, 0, (unixepoch() + abs(random()) % 86400) * 1000, 1 FROM backup
       WHERE NOT EXISTS (SELECT 1 FROM verification_schedule)`,
  ],
  [
    `ALTER TABLE backup_jobs ADD COLUMN begun INTEGER NOT NULL DEFAULT 0`,
    `ALTER TABLE backup_jobs ADD COLUMN noticed INTEGER NOT NULL DEFAULT 0`,
  ],
  [`ALTER TABLE backup_jobs ADD COLUMN outcome TEXT`],
  [`ALTER TABLE backup_generations ADD COLUMN abandoned TEXT`],
  // Nothing read it.
  [`DROP TABLE backup_others`],
]);

/** Writes nothing. */
export function hasBackupTables(storage: SyncStorage): boolean {
  return hasSchema(storage, SCHEMA);
}

/** Brings the tables to their newest version. */
export function migrateBackupTables(storage: SyncStorage): void {
  migrate(storage, SCHEMA);
}
