/** Storage that adds up the rows that are billed: what the row budget is asserted with, exactly. */
import type { Sql, SqlCursor, SqlValue, Synchronous, SyncStorage } from "../../src/core/storage.ts";

export interface Rows {
  readonly read: number;
  readonly written: number;
}

export class CountingStorage implements SyncStorage {
  readonly sql: Sql;
  readonly #inner: SyncStorage;
  #cursors: SqlCursor<Record<string, SqlValue>>[] = [];

  constructor(inner: SyncStorage) {
    this.#inner = inner;
    const keep = (cursor: SqlCursor<Record<string, SqlValue>>) => this.#cursors.push(cursor);
    this.sql = {
      exec<Row extends Record<string, SqlValue>>(
        query: string,
        ...bindings: Parameters<Sql["exec"]> extends [string, ...infer B] ? B : never
      ) {
        const cursor = inner.sql.exec<Row>(query, ...bindings);
        keep(cursor);
        return cursor;
      },
      get databaseSize() {
        return inner.sql.databaseSize;
      },
    };
  }

  transactionSync<T>(callback: () => Synchronous<T>): T {
    return this.#inner.transactionSync(callback);
  }

  /** Rows that the statements run by `work` read and wrote. */
  count(work: () => void): Rows {
    this.#cursors = [];
    work();
    const rows = { read: 0, written: 0 };
    for (const cursor of this.#cursors) {
      rows.read += cursor.rowsRead;
      rows.written += cursor.rowsWritten;
    }
    this.#cursors = [];
    return rows;
  }
}
