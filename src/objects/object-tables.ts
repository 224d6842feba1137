/**
 * The tables that `objects/` keeps in an object, besides those of the engine, of a backup and of the directory. Each is made by the first
 * write to it, because making a table costs two rows and most objects never need most of them. Each has a version of its own, and its
 * migrations are append-only (`core/migrations.ts`): to add a column, append a migration to the table's list.
 *
 * The first version of a table has no stored number: version 0.1 of Cairn stored none, and a new object saves the row. The second and
 * later versions are in `object_schema`, one row for each table.
 */
import { migrate, type Schema } from "../core/migrations.ts";
import type { SyncStorage } from "../core/storage.ts";

/** A table's migrations, from the first to the newest. */
type Migrations = readonly (readonly string[])[];

/** docs/ARCHITECTURE.md, "What is stored", says what each table holds. */
const TABLES = {
  /** Only in a database's object. */
  identity: [["CREATE TABLE IF NOT EXISTS identity (setup TEXT NOT NULL)"]],
  /** Only in the object of a database that was deleted. */
  tombstone: [["CREATE TABLE IF NOT EXISTS tombstone (buried INTEGER)"]],
  /**
   * Version 0.1 kept the mode in the engine's `meta`. Before there was `as_of_ms`, it kept the version of the commit, in microseconds.
   */
  mode: [
    [
      `CREATE TABLE IF NOT EXISTS mode (
         only INTEGER PRIMARY KEY CHECK (only = 1), mode TEXT NOT NULL, as_of_ms INTEGER, used_at INTEGER NOT NULL
       )`,
      `INSERT INTO mode (only, mode, as_of_ms, used_at)
         SELECT 1, value,
           coalesce((SELECT value FROM meta WHERE name = 'as_of_ms'),
             (SELECT CAST(value / 1000 AS INTEGER) FROM meta WHERE name = 'as_of')),
           coalesce((SELECT value FROM meta WHERE name = 'used_at'), 0)
         FROM meta WHERE name = 'mode'`,
      `DELETE FROM meta WHERE name IN ('mode', 'as_of_ms', 'as_of', 'used_at')`,
    ],
  ],
  revoked_tokens: [
    ["CREATE TABLE IF NOT EXISTS revoked_tokens (id TEXT PRIMARY KEY, until INTEGER NOT NULL) WITHOUT ROWID"],
  ],
  api_keys: [
    [
      `CREATE TABLE IF NOT EXISTS api_keys (
         id TEXT PRIMARY KEY, name TEXT NOT NULL, permissions TEXT NOT NULL, require_expiry INTEGER NOT NULL, apps TEXT,
         secret TEXT NOT NULL, signing_key TEXT NOT NULL, created_by TEXT NOT NULL, created_at INTEGER NOT NULL, expires_at INTEGER, idempotency TEXT
       ) WITHOUT ROWID`,
    ],
  ],
  usage_report: [["CREATE TABLE IF NOT EXISTS usage_report (operations INTEGER NOT NULL, at INTEGER NOT NULL)"]],
  backup_report: [
    [
      `CREATE TABLE IF NOT EXISTS backup_report (
         only INTEGER PRIMARY KEY CHECK (only = 1), health TEXT NOT NULL, at INTEGER NOT NULL
       )`,
    ],
  ],
  failed_tasks: [
    [
      `CREATE TABLE IF NOT EXISTS failed_tasks (
         name TEXT PRIMARY KEY, attempts INTEGER NOT NULL, retry_at INTEGER NOT NULL, error TEXT NOT NULL
       )`,
    ],
  ],
  unfinished_tasks: [
    [
      `CREATE TABLE IF NOT EXISTS unfinished_tasks (
         name TEXT PRIMARY KEY, begun INTEGER NOT NULL, not_before INTEGER
       ) WITHOUT ROWID`,
    ],
  ],
} satisfies Record<string, Migrations>;

export type ObjectTable = keyof typeof TABLES;

// `Object.keys` returns strings, although the keys are known.
export const OBJECT_TABLES = Object.keys(TABLES) as readonly ObjectTable[];

export class ObjectTables {
  readonly storage: SyncStorage;
  readonly #migrations: Readonly<Record<ObjectTable, Migrations>>;
  readonly #made: Set<string>;
  readonly #found: ReadonlySet<string>;
  /** Whether any table has a stored number. */
  #isNumbered: boolean;

  /**
   * Checks once which tables exist, and brings them to their newest version. Writes nothing when they have it. After everything was
   * deleted from the storage, a new instance is needed. Throws and changes nothing when a newer version of Cairn has changed the tables.
   */
  constructor(storage: SyncStorage, migrations: Readonly<Record<ObjectTable, Migrations>> = TABLES) {
    this.storage = storage;
    this.#migrations = migrations;
    const found = storage.sql.exec<{ name: string }>("SELECT name FROM sqlite_schema WHERE type = 'table'").toArray();
    const names = new Set(found.map(({ name }) => name));
    this.#found = names;
    this.#isNumbered = names.has(NUMBERS);
    this.#made = new Set(OBJECT_TABLES.filter((table) => names.has(table)));
    for (const table of OBJECT_TABLES) if (this.#made.has(table)) this.#bringUpToDate(table);
  }

  /** Whether there was a table of this name, anybody's, when the object was opened. */
  found(name: string): boolean {
    return this.#found.has(name);
  }

  has(table: ObjectTable): boolean {
    return this.#made.has(table);
  }

  /** To be called before each write to the table. Costs nothing when the table exists. The caller's transaction, if any, must succeed. */
  make(table: ObjectTable): void {
    if (this.#made.has(table)) return;
    this.storage.transactionSync(() => {
      for (const statement of this.#migrations[table][0] ?? []) this.storage.sql.exec(statement);
      this.#bringUpToDate(table);
    });
    this.#made.add(table);
  }

  #bringUpToDate(table: ObjectTable): void {
    const migrations = this.#migrations[table];
    // The number is read even where none is expected: a newer version may have written it, and then this version must not continue.
    if (migrations.length === 1 && !this.#isNumbered) return;
    migrate(this.storage, numbered(table, migrations));
    this.#isNumbered ||= migrations.length > 1;
  }
}

const NUMBERS = "object_schema";

/** The schema of a table that exists; its number is how many migrations it has beyond the first. */
function numbered(table: ObjectTable, [, ...later]: Migrations): Schema {
  return {
    table: NUMBERS,
    create: [`CREATE TABLE ${NUMBERS} (name TEXT PRIMARY KEY, version INTEGER NOT NULL) WITHOUT ROWID`],
    read: `SELECT coalesce((SELECT version FROM ${NUMBERS} WHERE name = '${table}'), 0) AS version`,
    write: `INSERT INTO ${NUMBERS} (name, version) VALUES ('${table}', ?1)
            ON CONFLICT (name) DO UPDATE SET version = excluded.version`,
    migrations: later,
  };
}
