/**
 * Which database a backup may belong to, so that a backup is found by its id alone. The row is written before the database is asked to
 * make the backup. So it does not say that the backup exists: only the database knows that. Callers hold the transaction.
 */
import type { Sql } from "../core/storage.ts";

export class BackupIds {
  readonly #sql: Sql;

  constructor(sql: Sql) {
    this.#sql = sql;
  }

  add(backupId: string, databaseId: string): void {
    this.#sql.exec("INSERT INTO backups (id, database_id) VALUES (?1, ?2)", backupId, databaseId);
  }

  databaseOf(backupId: string): string | undefined {
    const query = "SELECT database_id FROM backups WHERE id = ?1";
    return this.#sql.exec<{ database_id: string }>(query, backupId).toArray()[0]?.database_id;
  }

  remove(backupId: string): void {
    this.#sql.exec("DELETE FROM backups WHERE id = ?1", backupId);
  }

  removeOfDatabase(databaseId: string): void {
    this.#sql.exec("DELETE FROM backups WHERE database_id = ?1", databaseId);
  }
}
