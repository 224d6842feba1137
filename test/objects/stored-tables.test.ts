/** docs/ARCHITECTURE.md says what is stored: exactly the tables and columns that real objects have. */
import { env } from "cloudflare:workers";
import { runInDurableObject } from "cloudflare:test";
import { expect, test } from "vitest";
import architecture from "../../docs/ARCHITECTURE.md?raw";
import { definitionKey, encodeDefinition } from "../../src/documents/definition.ts";
import { Encoding } from "../../src/core/operations.ts";
import { migrateArchiveTables } from "../../src/backup/archives/archive-schema.ts";
import { makePlanTables } from "../../src/backup/archives/plan-schema.ts";
import { asUnixMs } from "../../src/core/clock.ts";
import { MonitoringTables } from "../../src/directory/monitoring-schema.ts";
import type { DatabaseObject } from "../../src/objects/database-object.ts";
import { Database } from "../../src/engine/database.ts";
import type { Env } from "../../src/objects/env.ts";
import { systemClock } from "../../src/objects/system.ts";
import type { IndexObject } from "../../src/objects/index-object.ts";
import { type ObjectTable, OBJECT_TABLES, ObjectTables } from "../../src/objects/object-tables.ts";
import { commit } from "../support/workerd/database-object.ts";
import { key, set, text, write } from "../support/workerd/engine.ts";
import { v8 as valueOf } from "../support/workerd/values.ts";
import { deletion, LivingObject, orderFor, setupFor } from "../support/workerd/lifecycle.ts";

// The plugin's environment is the deployment's.
const { DATABASES, ORGANIZATIONS, INDEX } = env as unknown as Env;

type Tables = Record<string, string>;

function tablesOf({ sql }: DurableObjectStorage): Tables {
  const names = sql
    .exec<{ name: string }>(
      "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE '\\_cf%' ESCAPE '\\' AND name <> 'sqlite_sequence'",
    )
    .toArray()
    // The tables that FTS5 and R*Tree keep beside theirs.
    .filter(({ name }) => !/^document_(text|geo)_\d+_/.test(name));
  return Object.fromEntries(
    names.map(({ name }) => [
      name,
      sql
        .exec<{ name: string }>(`PRAGMA table_info(${name})`)
        .toArray()
        .map((column) => column.name)
        .join(", "),
    ]),
  );
}

function make(storage: DurableObjectStorage, tables: readonly ObjectTable[]): void {
  const made = new ObjectTables(storage);
  for (const table of tables) made.make(table);
}

/** The tables that the chapter has below this heading, each with its columns. */
function documented(...headings: string[]): Tables {
  const [, chapter = ""] = architecture.split("\n## What is stored\n");
  const parts = chapter.split("\n## ")[0]?.split("\n### ") ?? [];
  return Object.fromEntries(
    headings.flatMap((heading) => {
      const part = parts.find((one) => one.startsWith(`${heading}\n`));
      if (part === undefined) throw new Error(`the chapter has no part "${heading}"`);
      return [...part.matchAll(/^\| `(\w+)` +\| (.*?) +\|/gm)].map(([, name = "", columns = ""]) => [
        name,
        columns.replaceAll("`", ""),
      ]);
    }),
  );
}

const OWN = "Of `objects/`";
const ENGINE = "A database: its entries";
const BACKUP = "A database: its backup";
const ARCHIVES = "A database: its archives";
const DOCUMENTS = "A database: the indexes of its documents";

test("a database, with all that it can have", async () => {
  const name = crypto.randomUUID();
  const stub = DATABASES.getByName(name);
  await stub.initialize(setupFor(name));
  await commit(stub, write([set(key("a"), text("1"))]));
  const table = { appId: "app", tableId: "places" };
  const definition = encodeDefinition({
    ids: [{ name: "id", type: "string" }],
    columns: [
      { name: "name", type: "text", indexed: true },
      { name: "at", type: "geo", indexed: true },
    ],
    inferred: false,
  });
  const v8 = { encoding: Encoding.v8 };
  await commit(stub, write([set(definitionKey(table), definition, v8)]));
  await commit(stub, write([set(key("app", "places", "m"), valueOf({ name: "Munich", at: "48.1,11.5" }), v8)]));
  const destination = { kind: "r2", prefix: "" } as const;
  const id = crypto.randomUUID();
  await stub.backup({ command: "enable", id, databaseId: name, destination, intervalMs: 60_000, retentionDays: 7 });
  const found = await runInDurableObject(stub, (_, { storage }) => {
    make(storage, OBJECT_TABLES);
    migrateArchiveTables(storage);
    makePlanTables(storage);
    new Database({ storage, clock: systemClock }).freeze();
    return tablesOf(storage);
  });
  const all = documented(OWN, ENGINE, ARCHIVES, BACKUP, DOCUMENTS);
  const { entries_side: entries, large_values_side: large, ...stored } = all;
  delete stored["object_schema"];
  expect(found).toEqual(stored);
  expect([entries, large]).toEqual([stored["entries"], stored["large_values"]]);
});

test("a state beside the live one, as long as a backup is brought here", async () => {
  const { stub } = await LivingObject.in("empty");
  // Nobody answers for its destination while the tables are looked at.
  const found = await runInDurableObject(stub, async (instance: DatabaseObject, { storage }) => {
    await instance.receive(orderFor("past"));
    return tablesOf(storage);
  });
  const { entries_side: entries, large_values_side: large } = documented(ENGINE);
  expect(found).toMatchObject({ entries_side: entries, large_values_side: large });
  const { identity: _, ...rest } = documented(OWN, ENGINE, BACKUP);
  expect(Object.keys(found).filter((table) => !(table in rest))).toEqual([]);
});

test("an object that deletes a backup has the tables of a backup, and an organization and the index have their own", async () => {
  const object = await LivingObject.in("empty");
  await object.stub.deleteBackup(deletion);
  expect(await runInDurableObject(object.stub, (_, { storage }) => tablesOf(storage))).toEqual(documented(BACKUP));
  const alarms = ["failed_tasks", "unfinished_tasks"] as const;
  const { failed_tasks, unfinished_tasks } = documented(OWN);
  const organization = ORGANIZATIONS.getByName("stored tables");
  const token = { id: "root", secretHash: new Uint8Array(32), signingKey: "k", name: "root" };
  const setup = { id: "stored tables", name: "n", createdAt: asUnixMs(1), token };
  await organization.initialize(setup);
  const ofOrganization = await runInDurableObject(organization, (_, { storage }) => {
    make(storage, alarms);
    new MonitoringTables(storage).make();
    return tablesOf(storage);
  });
  expect(ofOrganization).toEqual({ failed_tasks, unfinished_tasks, ...documented("An organization") });
  const ofIndex = await runInDurableObject(
    INDEX.getByName("stored tables"),
    async (index: IndexObject, { storage }) => {
      await index.create({ kind: "deployment" }, { setup: { ...setup, id: "another" }, idempotency: null });
      make(storage, alarms);
      return tablesOf(storage);
    },
  );
  expect(ofIndex).toEqual({ failed_tasks, unfinished_tasks, ...documented("The index of organizations") });
});
