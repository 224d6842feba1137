/**
 * Brings a directory object's schema to its newest version. Lists of migrations are append-only: what has run somewhere is never
 * edited. Each runs in one transaction with the number that records it, so a kill leaves the version before.
 */
import type { SyncStorage } from "../core/storage.ts";

/** Whether any migration has run here. Writes nothing. */
export function hasSchema(storage: SyncStorage): boolean {
  return (
    storage.sql.exec("SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'schema_version'").toArray().length >
    0
  );
}

export function migrate(storage: SyncStorage, migrations: readonly (readonly string[])[]): void {
  const { sql } = storage;
  const current = hasSchema(storage)
    ? sql.exec<{ version: number }>("SELECT version FROM schema_version").one().version
    : 0;
  for (const [index, statements] of migrations.entries()) {
    if (index < current) continue;
    storage.transactionSync(() => {
      if (index === 0) {
        sql.exec("CREATE TABLE schema_version (version INTEGER NOT NULL) STRICT");
        sql.exec("INSERT INTO schema_version VALUES (0)");
      }
      for (const statement of statements) sql.exec(statement);
      sql.exec("UPDATE schema_version SET version = ?1", index + 1);
    });
  }
}
