/** The tables of archives. They are made by the first archive, so a database that has none pays nothing. Append-only: see `core/migrations.ts`. */
import { hasSchema, migrate, schemaOf } from "../../core/migrations.ts";
import type { SyncStorage } from "../../core/storage.ts";

/**
 * `archives` has a row for each archive; an id is never used again. `archive_spool` has the bytes of the file that is being made, by their
 * offset; it is empty while no job makes one. `archive_leftovers` are objects and uploads that are to be removed from a destination,
 * and archives that are being destroyed.
 */
const SCHEMA = schemaOf("archive_schema", [
  [
    `CREATE TABLE archives (
       id INTEGER PRIMARY KEY AUTOINCREMENT, job_id TEXT NOT NULL, type TEXT NOT NULL, origin TEXT NOT NULL, status TEXT NOT NULL,
       description TEXT NOT NULL, object TEXT NOT NULL, encrypted INTEGER NOT NULL, database_id TEXT NOT NULL, version INTEGER,
       entries INTEGER, bytes INTEGER, size INTEGER, checksum TEXT, places TEXT NOT NULL, created_at INTEGER NOT NULL,
       completed_at INTEGER, error TEXT
     )`,
    `CREATE TABLE archive_spool (at INTEGER PRIMARY KEY, bytes BLOB NOT NULL)`,
    `CREATE TABLE archive_leftovers (
       id INTEGER PRIMARY KEY, destination_id TEXT NOT NULL, object TEXT NOT NULL, upload TEXT, attempts INTEGER NOT NULL,
       retry_at INTEGER NOT NULL
     )`,
  ],
]);

/** Writes nothing. */
export function hasArchiveTables(storage: SyncStorage): boolean {
  return hasSchema(storage, SCHEMA);
}

/** Brings the tables to their newest version. */
export function migrateArchiveTables(storage: SyncStorage): void {
  migrate(storage, SCHEMA);
}
