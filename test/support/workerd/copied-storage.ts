/** What a copy of a data folder is to a database: the same tables with the same rows, in another object. */
import type { SqlValue, SyncStorage } from "../../../src/core/storage.ts";
import { TestBackup, type TestBackupOptions } from "./backup.ts";
import { openObject } from "./engine.ts";

interface Item extends Record<string, SqlValue> {
  readonly name: string;
  readonly type: string;
  readonly sql: string;
}

export interface StorageCopy {
  readonly statements: readonly string[];
  readonly tables: readonly { readonly insert: string; readonly rows: readonly SqlValue[][] }[];
}

const SCHEMA =
  "SELECT name, type, sql FROM sqlite_schema WHERE sql IS NOT NULL AND name NOT LIKE '\\_cf\\_%' ESCAPE '\\'";

export function copyOf({ sql }: SyncStorage): StorageCopy {
  const items = sql.exec<Item>(SCHEMA).toArray();
  const tables = items.filter(({ type }) => type === "table");
  const others = items.filter(({ type }) => type !== "table");
  return {
    statements: [...tables, ...others].map((item) => item.sql),
    tables: tables.map(({ name }) => {
      const rows = [...sql.exec(`SELECT * FROM "${name}"`).raw<SqlValue[]>()];
      const values = (rows[0] ?? []).map((_, i) => `?${i + 1}`).join(", ");
      return { insert: `INSERT INTO "${name}" VALUES (${values})`, rows };
    }),
  };
}

function paste({ statements, tables }: StorageCopy, { sql }: SyncStorage): void {
  for (const statement of statements) sql.exec(statement);
  for (const { insert, rows } of tables) for (const row of rows) sql.exec(insert, ...row);
}

/** A server on a copy: the same database in a process of its own, with a clock of its own. Whatever it does is done inside it. */
export class CopiedServer {
  readonly tested: TestBackup;
  readonly #inside: <T>(work: () => T | Promise<T>) => Promise<T>;

  private constructor(tested: TestBackup, inside: <T>(work: () => T | Promise<T>) => Promise<T>) {
    this.tested = tested;
    this.#inside = inside;
  }

  static async start(copy: StorageCopy, options: TestBackupOptions, now: number): Promise<CopiedServer> {
    const inside = openObject();
    const tested = await inside((storage) => {
      paste(copy, storage);
      const made = new TestBackup(storage, options);
      made.clock.time = now;
      return made;
    });
    return new CopiedServer(tested, (work) => inside(() => work()));
  }

  do<T>(work: (tested: TestBackup) => T | Promise<T>): Promise<T> {
    return this.#inside(() => work(this.tested));
  }
}
