/** The tables that `objects/` keeps: objects of version 0.1 keep their data, tables get columns, and what tables cost. */
import { env } from "cloudflare:workers";
import { evictDurableObject, runInDurableObject } from "cloudflare:test";
import { expect, test } from "vitest";
import { Database } from "../../src/engine/database.ts";
import { migrateDatabase } from "../../src/engine/engine-schema.ts";
import type { DatabaseObject } from "../../src/objects/database-object.ts";
import type { Env } from "../../src/objects/env.ts";
import { ObjectMode } from "../../src/objects/object-mode.ts";
import { type ObjectTable, OBJECT_TABLES, ObjectTables } from "../../src/objects/object-tables.ts";
import { CountingStorage } from "../support/counting-storage.ts";
import { commit, everything, read } from "../support/workerd/database-object.ts";
import { key, MovableClock, point, set, text, withStorage, write } from "../support/workerd/engine.ts";
import { setupFor } from "../support/workerd/lifecycle.ts";

// The plugin's environment is the deployment's.
const { DATABASES } = env as unknown as Env;

/** As version 0.1 made them, each where it was first used. */
const VERSION_0_1: Readonly<Record<Exclude<ObjectTable, "mode" | "api_keys">, string>> = {
  identity: "CREATE TABLE identity (setup TEXT NOT NULL)",
  tombstone: "CREATE TABLE IF NOT EXISTS tombstone (buried INTEGER)",
  revoked_tokens:
    "CREATE TABLE IF NOT EXISTS revoked_tokens (id TEXT PRIMARY KEY, until INTEGER NOT NULL) WITHOUT ROWID",
  usage_report: "CREATE TABLE IF NOT EXISTS usage_report (operations INTEGER NOT NULL, at INTEGER NOT NULL)",
  backup_report: `CREATE TABLE IF NOT EXISTS backup_report (
         only INTEGER PRIMARY KEY CHECK (only = 1), health TEXT NOT NULL, at INTEGER NOT NULL
       )`,
  failed_tasks:
    "CREATE TABLE IF NOT EXISTS failed_tasks (name TEXT PRIMARY KEY, attempts INTEGER NOT NULL, retry_at INTEGER NOT NULL, error TEXT NOT NULL)",
  unfinished_tasks:
    "CREATE TABLE unfinished_tasks (name TEXT PRIMARY KEY, begun INTEGER NOT NULL, not_before INTEGER) WITHOUT ROWID",
};

/** A row for each table that version 0.1 has in a database's object. Its tasks wait for a time that the test does not reach. */
function fillAs01(sql: SqlStorage, name: string): void {
  const { tombstone: _, ...tables } = VERSION_0_1;
  for (const statement of Object.values(tables)) sql.exec(statement);
  const [before, soon] = [Date.now() - 1, Date.now() + 60_000];
  sql.exec("INSERT INTO identity VALUES (?1)", JSON.stringify(setupFor(name)));
  sql.exec("INSERT INTO revoked_tokens VALUES ('revoked', 8e15)");
  sql.exec("INSERT INTO usage_report VALUES (3, ?1)", before);
  sql.exec("INSERT INTO backup_report VALUES (1, ?1, ?2)", JSON.stringify({ status: "active" }), before);
  sql.exec("INSERT INTO failed_tasks VALUES ('backup report', 7, ?1, 'Error: the organization is away')", soon);
  sql.exec("INSERT INTO unfinished_tasks VALUES ('usage', 2, ?1)", soon);
}

function rowsOf(sql: SqlStorage): unknown[] {
  const tables = OBJECT_TABLES.filter(
    (table) => sql.exec("SELECT 1 FROM sqlite_schema WHERE name = ?1", table).toArray().length > 0,
  );
  return tables.map((table) => [table, sql.exec(`SELECT * FROM ${table}`).toArray()]);
}

test("a database of version 0.1 opens with everything that it has, and opening it writes no row", async () => {
  const name = crypto.randomUUID();
  const stub = DATABASES.getByName(name);
  const before = await runInDurableObject(stub, (_, { storage }) => {
    new Database({ storage, clock: new MovableClock() }).commit([write([set(key("a"), text("old"))])]);
    fillAs01(storage.sql, name);
    return [rowsOf(storage.sql), storage.sql.databaseSize];
  });
  await evictDurableObject(stub);
  expect((await read(stub, [point(key("a"))]))[0]?.[0]?.value).toEqual(text("old"));
  await expect(read(stub, [], { ...everything, tokenId: "revoked" })).rejects.toThrow("revoked");
  expect(await stub.initialize(setupFor(name))).toEqual({ initialized: true });
  expect(await stub.initialize(setupFor("another"))).toMatchObject({ code: "conflict" });
  expect(await runInDurableObject(stub, (_, { storage }) => [rowsOf(storage.sql), storage.sql.databaseSize])).toEqual(
    before,
  );
});

test("a database that version 0.1 has deleted stays deleted, also where it was killed in the middle", async () => {
  for (const isWiping of [false, true]) {
    const name = crypto.randomUUID();
    const stub = DATABASES.getByName(name);
    await runInDurableObject(stub, (_, { storage }) => {
      if (isWiping) fillAs01(storage.sql, name);
      storage.sql.exec(VERSION_0_1.tombstone);
    });
    await evictDurableObject(stub);
    expect(await stub.stats()).toMatchObject({ code: "not-found" });
    expect(await stub.initialize(setupFor(name))).toMatchObject({ code: "conflict" });
    await stub.wipe({ deleteBackups: true });
    expect(await runInDurableObject(stub, (_, { storage }) => rowsOf(storage.sql))).toEqual([["tombstone", []]]);
  }
});

/** [the rows of `meta` in which version 0.1 kept it, what it is then] */
const modes: [[string, string | number][], unknown][] = [
  [
    [
      ["mode", "restoring"],
      ["used_at", 5],
    ],
    { mode: "restoring", usedAt: 5, now: 1_800_000_000_000 },
  ],
  [
    [
      ["mode", "past"],
      ["as_of_ms", 1_700_000_000_123],
      ["used_at", 7],
    ],
    { mode: "past", usedAt: 7, now: 1_700_000_000_123 },
  ],
  // From before it had the time.
  [
    [
      ["mode", "past"],
      ["as_of", 1_700_000_000_123_456],
      ["used_at", 7],
    ],
    { mode: "past", usedAt: 7, now: 1_700_000_000_123 },
  ],
  [[], { mode: "open", usedAt: 0, now: 1_800_000_000_000 }],
];

test.each(modes)("what an object of version 0.1 is for is kept: %j", (rows, expected) =>
  withStorage((storage) => {
    migrateDatabase(storage);
    for (const [name, value] of rows) storage.sql.exec("INSERT INTO meta VALUES (?1, ?2)", name, value);
    for (let opened = 0; opened < 2; opened++) {
      const mode = new ObjectMode(new ObjectTables(storage), new MovableClock(), "open", () => true);
      expect({ mode: mode.mode, usedAt: mode.usedAt, now: mode.now() }).toEqual(expected);
    }
    expect(storage.sql.exec("SELECT name FROM meta").toArray()).toEqual([{ name: "schema_version" }]);
  }),
);

/** What a later version of Cairn may do. */
const LATER = {
  ...Object.fromEntries(OBJECT_TABLES.map((table) => [table, [[`CREATE TABLE IF NOT EXISTS ${table} (a)`]]])),
  tombstone: [
    [VERSION_0_1.tombstone],
    ["ALTER TABLE tombstone ADD COLUMN reason TEXT NOT NULL DEFAULT 'none'"],
    ["UPDATE tombstone SET reason = reason || ', then more'"],
  ],
  usage_report: [[VERSION_0_1.usage_report], ["ALTER TABLE usage_report ADD COLUMN more INTEGER"]],
} as Record<ObjectTable, string[][]>;

test("a table gets its new column in an object that has it, with its rows, and in one that has it made later", () =>
  withStorage((storage) => {
    storage.sql.exec(VERSION_0_1.tombstone);
    storage.sql.exec("INSERT INTO tombstone VALUES (1)");
    const tables = new ObjectTables(storage, LATER);
    const reasons = () => storage.sql.exec("SELECT * FROM tombstone").toArray();
    expect(reasons()).toEqual([{ buried: 1, reason: "none, then more" }]);
    expect(tables.has("usage_report")).toBe(false);
    tables.make("usage_report");
    storage.sql.exec("INSERT INTO usage_report VALUES (1, 2, 3)");
    // Nothing is done again at the next start, and nothing is written then.
    const counting = new CountingStorage(storage);
    expect(counting.count(() => void new ObjectTables(counting, LATER)).written).toBe(0);
    expect(reasons()).toEqual([{ buried: 1, reason: "none, then more" }]);
    expect(storage.sql.exec("SELECT * FROM object_schema").toArray()).toEqual([
      { name: "tombstone", version: 2 },
      { name: "usage_report", version: 1 },
    ]);
  }));

test("a table that a newer version has changed is refused, and nothing is changed", () =>
  withStorage((storage) => {
    new ObjectTables(storage, LATER).make("tombstone");
    expect(() => new ObjectTables(storage)).toThrow("a newer version wrote it");
    expect(storage.sql.exec("SELECT * FROM object_schema").toArray()).toEqual([{ name: "tombstone", version: 2 }]);
  }));

test("a migration that fails leaves the table as it was, and a table is made whole or not at all", () =>
  withStorage((storage) => {
    const broken = (table: ObjectTable) => ({
      ...LATER,
      [table]: [...LATER[table], ["INSERT INTO no_table VALUES (1)"]],
    });
    storage.sql.exec(VERSION_0_1.tombstone);
    expect(() => new ObjectTables(storage, broken("tombstone"))).toThrow("no_table");
    expect(new ObjectTables(storage, LATER).has("tombstone")).toBe(true);
    const tables = new ObjectTables(storage, broken("usage_report"));
    expect(() => tables.make("usage_report")).toThrow("no_table");
    expect(new ObjectTables(storage, LATER).has("usage_report")).toBe(false);
  }));

test("a new database has two tables of these, for six rows; nothing more is written as long as nothing fails", async () => {
  const stub = DATABASES.getByName(crypto.randomUUID());
  const cursors: SqlStorageCursor<Record<string, SqlStorageValue>>[] = [];
  await runInDurableObject(stub, (_, { storage: { sql } }) => {
    const { exec } = sql;
    sql.exec = ((query: string, ...values: SqlStorageValue[]) => {
      const cursor = exec.call(sql, query, ...values);
      if (OBJECT_TABLES.some((table) => query.includes(table)) || query.includes("object_schema")) cursors.push(cursor);
      return cursor;
    }) as SqlStorage["exec"];
  });
  await stub.initialize(setupFor("new"));
  await commit(stub, write([set(key("a"), text("1"))]));
  const found = await runInDurableObject(stub, async (instance: DatabaseObject, { storage }) => {
    await storage.deleteAlarm();
    await instance.alarm();
    const written = cursors.reduce((sum, { rowsWritten }) => sum + rowsWritten, 0);
    return { written, tables: OBJECT_TABLES.filter((table) => new ObjectTables(storage).has(table)) };
  });
  expect(found).toEqual({ written: 6, tables: ["identity", "usage_report"] });
});
