/**
 * Brings the tables of a part of an object to their newest version. A list of migrations is append-only: a migration that has run
 * somewhere is never edited. Each migration runs in one transaction together with the number that records it. So after a kill the tables
 * are at the version before it or after it.
 */
import { assert } from "./assert.ts";
import type { Sql, SyncStorage } from "./storage.ts";

export interface Schema {
  /** The table that holds the number. It exists from the first migration on. */
  readonly table: string;
  /** Makes the table, with the number 0. */
  readonly create: readonly string[];
  /** Reads one row with the number, as `version`. */
  readonly read: string;
  /** Sets the number to ?1. */
  readonly write: string;
  readonly migrations: readonly (readonly string[])[];
}

/** A schema whose number has a table of its own. */
export function schemaOf(table: string, migrations: Schema["migrations"]): Schema {
  return {
    table,
    create: [`CREATE TABLE ${table} (version INTEGER NOT NULL) STRICT`, `INSERT INTO ${table} VALUES (0)`],
    read: `SELECT version FROM ${table}`,
    write: `UPDATE ${table} SET version = ?1`,
    migrations,
  };
}

/** Whether any migration has run here. Reads only SQLite's own schema, and writes nothing. */
export function hasSchema({ sql }: SyncStorage, { table }: Schema): boolean {
  return hasTable(sql, table);
}

/** Reads only SQLite's own schema. */
export function hasTable(sql: Sql, name: string): boolean {
  return sql.exec("SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?1", name).toArray().length > 0;
}

/**
 * Costs one row read when there is nothing to do. When the tables are newer than this program, it throws and changes nothing: the program
 * would lose what it does not know of.
 */
export function migrate(storage: SyncStorage, schema: Schema): void {
  const { sql } = storage;
  const isNew = !hasSchema(storage, schema);
  const current = isNew ? 0 : sql.exec<{ version: number }>(schema.read).one().version;
  assert(
    current <= schema.migrations.length,
    `${schema.table} of at most ${schema.migrations.length}, which is what this version of Cairn knows, got ${current}: a newer version wrote it`,
  );
  for (const [index, statements] of schema.migrations.entries()) {
    if (index < current) continue;
    storage.transactionSync(() => {
      if (isNew && index === 0) for (const statement of schema.create) sql.exec(statement);
      for (const statement of statements) sql.exec(statement);
      sql.exec(schema.write, index + 1);
    });
  }
}
