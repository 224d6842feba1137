/** The tables of one database, and their migrations. Append-only: see `core/migrations.ts`. */
import { hasSchema, migrate, type Schema } from "../core/migrations.ts";
import type { SyncStorage } from "../core/storage.ts";

/**
 * `entries` has no rowid: each entry is one row, and rows are in key order on disk. A row of more than 1,000 bytes would spill into pages
 * of its own, so such a value lies in `large_values`, and the entry holds its id. `mutation_log_1` and its successors (`mutation-log.ts`)
 * have one row for each commit, whose number is the commit's version. Only a commit that is too big for one row has more rows, on the
 * versions just below, which it reserved; `parts_after` counts the rows that follow. `clock_readings` has what the clock showed when a
 * version far ahead of it was given out (`clock-readings.ts`).
 */
const MIGRATIONS: readonly (readonly string[])[] = [
  [
    `CREATE TABLE entries (
       k BLOB PRIMARY KEY, v BLOB, large INTEGER, encoding INTEGER NOT NULL, version INTEGER NOT NULL, expires_at INTEGER
     ) WITHOUT ROWID`,
    `CREATE INDEX entries_expiry ON entries (expires_at) WHERE expires_at IS NOT NULL`,
    `CREATE TABLE large_values (id INTEGER PRIMARY KEY, v BLOB NOT NULL)`,
    `CREATE TABLE mutation_log_1 (version INTEGER PRIMARY KEY, parts_after INTEGER NOT NULL, entries BLOB NOT NULL)`,
    `CREATE TABLE log_readers (name TEXT PRIMARY KEY, after INTEGER NOT NULL) WITHOUT ROWID`,
  ],
  [
    `CREATE TABLE mark (
       version INTEGER NOT NULL, entries INTEGER NOT NULL,
       reads INTEGER NOT NULL, read_units INTEGER NOT NULL, writes INTEGER NOT NULL, write_units INTEGER NOT NULL
     )`,
    `INSERT INTO mark
       SELECT coalesce((SELECT value FROM meta WHERE name = 'version_mark'), 0), (SELECT count(*) FROM entries), 0, 0, 0, 0`,
    `DELETE FROM meta WHERE name = 'version_mark'`,
  ],
  ["ALTER TABLE mark ADD COLUMN peak_bytes INTEGER NOT NULL DEFAULT 0"],
  ["CREATE TABLE clock_readings (version INTEGER PRIMARY KEY, time INTEGER NOT NULL)"],
  // Whether a state was replaced before this column existed is not known.
  ["ALTER TABLE mark ADD COLUMN replaced_at INTEGER NOT NULL DEFAULT 0", "UPDATE mark SET replaced_at = version"],
  [
    "ALTER TABLE log_readers ADD COLUMN prefix BLOB",
    "ALTER TABLE log_readers ADD COLUMN retention_ms INTEGER",
    "CREATE TABLE log_segments (number INTEGER PRIMARY KEY, bytes INTEGER NOT NULL)",
  ],
];

const SCHEMA: Schema = {
  table: "meta",
  create: [
    "CREATE TABLE meta (name TEXT PRIMARY KEY, value) WITHOUT ROWID",
    "INSERT INTO meta (name, value) VALUES ('schema_version', 0)",
  ],
  read: "SELECT value AS version FROM meta WHERE name = 'schema_version'",
  write: "UPDATE meta SET value = ?1 WHERE name = 'schema_version'",
  migrations: MIGRATIONS,
};

/** Whether there has ever been a database here. Writes nothing. */
export function isInitialized(storage: SyncStorage): boolean {
  return hasSchema(storage, SCHEMA);
}

/** Brings the tables to their newest version. Costs one row read when there is nothing to do. */
export function migrateDatabase(storage: SyncStorage): void {
  migrate(storage, SCHEMA);
}
