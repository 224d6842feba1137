/** The indexes of documents in real objects: the alarm that builds them, evictions, restores in place, forks and states of the past. */
import { env } from "cloudflare:workers";
import { evictDurableObject, runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { expect, test } from "vitest";
import { Encoding, type Mutation } from "../../src/core/operations.ts";
import { toHex } from "../../src/core/bytes.ts";
import { type Version, versionstampHex } from "../../src/core/versionstamp.ts";
import { definitionKey, encodeDefinition } from "../../src/documents/definition.ts";
import type { Env } from "../../src/objects/env.ts";
import { ask, finished, job, newDatabase, put, until, withBackup } from "../support/workerd/backed-up-database.ts";
import { everything, type Stub } from "../support/workerd/database-object.ts";
import { flawsOfIndex } from "../support/workerd/document-index.ts";
import { failure, type Failure } from "../../src/core/errors.ts";
import type { BulkStorage } from "../../src/core/storage.ts";
import { DocumentIndex } from "../../src/documents/index/document-index.ts";
import { Database } from "../../src/engine/database.ts";
import { documentIndexTask } from "../../src/objects/document-index-task.ts";
import { systemClock } from "../../src/objects/system.ts";
import { key, remove, set, withStorage, write } from "../support/workerd/engine.ts";
import { v8 } from "../support/workerd/values.ts";
import { freeTurns } from "../support/free-turns.ts";

// The plugin's environment is the deployment's.
const { DATABASES } = env as unknown as Env;

const table = { appId: "shop", tableId: "orders" };

function define(...columns: readonly ("city" | "title")[]): Mutation {
  const types = { city: "keyword", title: "text" } as const;
  const definition = encodeDefinition({
    ids: [{ name: "id", type: "integer" }],
    columns: columns.map((name) => ({ name, type: types[name], indexed: true })),
    inferred: false,
  });
  return set(definitionKey(table), definition, { encoding: Encoding.v8 });
}

function order(id: number, city: string): Mutation {
  return set(key("shop", "orders", id), v8({ city, title: `Order ${id} of 米饭` }), { encoding: Encoding.v8 });
}

async function state(stub: Stub) {
  const answer = await stub.documentTables(everything, { command: "get", ...table });
  if (!answer.ok || answer.kind !== "table") throw new Error(JSON.stringify(answer));
  return answer.table.index;
}

/** How many documents the live index finds in each city, and what is wrong with the indexes. */
function found(stub: Stub) {
  return runInDurableObject(stub, (_, { storage }) => ({
    flaws: flawsOfIndex(storage),
    cities: storage.sql
      .exec(
        `SELECT v AS city, count(*) AS orders FROM document_values WHERE ix IN (
           SELECT i.id FROM document_indexes i JOIN document_tables t ON t.id = i.table_id
           WHERE t.state = 'live' AND i.name = 'city') GROUP BY v`,
      )
      .toArray(),
  }));
}

/** Two entries a step. The rows of about four orders are gathered. */
const bounds = { entries: 2, bytes: 1e6, gathered: { least: 200, most: 300 } };

/** The alarm rings until nothing is left to build or to remove. */
async function settled(stub: Stub): Promise<void> {
  await until(async () => {
    await runDurableObjectAlarm(stub);
    return runInDurableObject(stub, (_, { storage }) => {
      const left = storage.sql.exec("SELECT 1 FROM document_tables WHERE state <> 'live'").toArray();
      return left.length === 0;
    });
  });
}

test("the alarm builds an index in pieces, goes on after an eviction, and searches keep the old one until then (D54, D55)", async () => {
  const { stub } = await newDatabase();
  await put(stub, define("city"), order(0, "Köln"));
  expect(await state(stub)).toEqual({ state: "live", done: null, total: null, skipped: 0, leftOut: 0 });
  for (let i = 0; i < 3000; i += 250) {
    await put(stub, ...Array.from({ length: 250 }, (_, k) => order(i + k, k % 2 === 0 ? "Köln" : "Bonn")));
  }
  const wanted = [
    { city: "Bonn", orders: 1500 },
    { city: "Köln", orders: 1500 },
  ];
  await put(stub, define("city", "title"));
  expect(await state(stub)).toMatchObject({ state: "building", done: 500, total: null });
  expect(await found(stub)).toEqual({ flaws: [], cities: wanted });
  await evictDurableObject(stub);
  // Reached already, and not reached yet.
  await put(stub, order(1, "Trier"), remove(key("shop", "orders", 2900)));
  const now = [
    { city: "Bonn", orders: 1499 },
    { city: "Köln", orders: 1499 },
    { city: "Trier", orders: 1 },
  ];
  expect(await state(stub)).toMatchObject({ state: "building" });
  expect(await found(stub)).toEqual({ flaws: [], cities: now });
  await settled(stub);
  expect(await state(stub)).toEqual({ state: "live", done: null, total: null, skipped: 0, leftOut: 0 });
  expect(await found(stub)).toEqual({ flaws: [], cities: now });
  await evictDurableObject(stub);
  await put(stub, remove(definitionKey(table)));
  await settled(stub);
  expect(await found(stub)).toEqual({ flaws: [], cities: [] });
});

test("where there is no room a build waits, and says why; what is to be removed is removed (D57)", async () => {
  await withStorage(async (storage) => {
    const index = new DocumentIndex({ storage, isMade: false, bounds });
    const database = new Database({ storage, clock: systemClock, derivedTables: index });
    database.commit([write([define("city"), ...Array.from({ length: 9 }, (_, id) => order(id, "Köln"))])]);
    while (await index.step());
    database.commit([write([define("title")])]);
    database.commit([write([define("city", "title")])]);
    const full = failure("insufficient-storage", "The disk is full.");
    let refused: Failure | null = full;
    let asked = 0;
    const refusalOfJob = async () => {
      asked += 1;
      return refused;
    };
    const parts = { index, room: { refusalOfJob }, clock: systemClock, turns: freeTurns() };
    const task = documentIndexTask(parts);
    expect(task.dueAt()).not.toBeNull();
    await task.run();
    const states = () => storage.sql.exec("SELECT state FROM document_tables ORDER BY id").toArray();
    expect(states(), "the build of the definition between the two is gone").toEqual([
      { state: "live" },
      { state: "building" },
    ]);
    await expect((async () => task.run())()).rejects.toThrow("The disk is full.");
    expect(flawsOfIndex(storage)).toEqual([]);
    refused = null;
    for (; task.dueAt() !== null; expect(asked).toBeLessThan(20)) await task.run();
    expect([states(), flawsOfIndex(storage)]).toEqual([[{ state: "live" }], []]);
  });
});

test("a step is one transaction without a savepoint, and the turns of the process are told before it begins (D55)", async () => {
  await withStorage(async (storage) => {
    const done: string[] = [];
    const watched: BulkStorage = {
      sql: storage.sql,
      transactionSync: (work) => {
        done.push("savepoint");
        return storage.transactionSync(work);
      },
      transaction: (work) =>
        storage.transaction(() => {
          done.push("begun");
          return work();
        }),
    };
    const index = new DocumentIndex({ storage: watched, isMade: false, bounds });
    const database = new Database({ storage, clock: systemClock, derivedTables: index });
    database.commit([write([define("city"), ...Array.from({ length: 9 }, (_, id) => order(id, "Köln"))])]);
    database.commit([write([define("title")])]);
    done.length = 0;
    const worked = () => void done.push("told");
    const parts = {
      index,
      room: { refusalOfJob: async () => null },
      clock: systemClock,
      turns: { ...freeTurns(), worked },
    };
    const task = documentIndexTask(parts);
    while (task.dueAt() !== null) await task.run();
    expect(done.length).toBeGreaterThan(10);
    expect(done).toEqual(done.map((_, i) => (i % 2 === 0 ? "told" : "begun")));
    expect(flawsOfIndex(storage)).toEqual([]);
  });
});

test("what a step has changed in memory is forgotten before anything else runs when the step fails (D55)", async () => {
  await withStorage(async (storage) => {
    let fails = false;
    const exec: typeof storage.sql.exec = (query, ...bindings) => {
      if (fails && query.startsWith("UPDATE document_tables")) throw new Error("broken");
      return storage.sql.exec(query, ...bindings);
    };
    let known: unknown = null;
    const sql = { exec, databaseSize: 0 };
    const transaction: BulkStorage["transaction"] = (work) =>
      storage.transaction(() => work().finally(() => (known = index.state(table))));
    const watched: BulkStorage = { sql, transaction, transactionSync: (work) => storage.transactionSync(work) };
    const index = new DocumentIndex({ storage: watched, isMade: false, bounds });
    const database = new Database({ storage, clock: systemClock, derivedTables: index });
    database.commit([write(Array.from({ length: 9 }, (_, id) => order(id, "Köln")))]);
    database.commit([write([define("city")])]);
    const before = index.state(table);
    // The first step counts, the next ones gather.
    await index.step();
    fails = true;
    await expect(index.step()).rejects.toThrow("broken");
    expect(known).toEqual({ ...before, total: 9 });
    fails = false;
    while (await index.step());
    expect([index.state(table)?.state, flawsOfIndex(storage)]).toEqual(["live", []]);
  });
});

test("a step does nothing when its database goes away before the step begins (D55)", async () => {
  await withStorage(async (storage) => {
    const index = new DocumentIndex({ storage, isMade: false, bounds });
    const database = new Database({ storage, clock: systemClock, derivedTables: index });
    database.commit([write([define("city"), ...Array.from({ length: 9 }, (_, id) => order(id, "Köln"))])]);
    const before = storage.sql.exec("SELECT * FROM document_tables").toArray();
    const step = index.step();
    index.close();
    expect([await step, storage.sql.exec("SELECT * FROM document_tables").toArray()]).toEqual([false, before]);
  });
});

test("after a restore in place, of all or of a prefix, and in a fork, the indexes are those of the entries; a state of the past has none (D56)", async () => {
  const { stub } = await withBackup();
  const first = await put(stub, define("city", "title"), order(1, "Köln"), order(2, "Bonn"));
  const second = await put(stub, define("city"), order(1, "Trier"), remove(key("shop", "orders", 2)), order(3, "Bonn"));
  await put(stub, remove(definitionKey(table)));
  const restore = async (jobId: string, at: Version, prefix?: string) => {
    const moment = versionstampHex(at);
    await job(stub, { command: "restore", jobId, at: moment, ...(prefix === undefined ? {} : { prefix }) });
    expect(await finished(stub, jobId)).toMatchObject({ status: "completed" });
    await settled(stub);
    return found(stub);
  };
  const cities = (...names: string[]) => ({ flaws: [], cities: names.map((city) => ({ city, orders: 1 })) });
  expect(await restore("all", first)).toEqual(cities("Bonn", "Köln"));
  expect(await restore("the documents", second, toHex(key("shop")))).toEqual(cities("Bonn", "Trier"));
  expect(await restore("the definitions", second, toHex(key("CDB:tables")))).toEqual(cities("Bonn", "Trier"));
  const { id, stub: fork } = await newDatabase();
  await job(stub, {
    command: "fork",
    jobId: "fork",
    at: versionstampHex(first),
    intoDatabaseId: id,
    intoJurisdiction: null,
  });
  expect(await finished(fork, "fork")).toMatchObject({ status: "completed" });
  await settled(fork);
  expect(await found(fork)).toEqual(cities("Bonn", "Köln"));
  await put(fork, order(4, "Kiel"));
  expect(await found(fork)).toEqual(cities("Bonn", "Kiel", "Köln"));
  const past = await ask(stub, { command: "past", at: versionstampHex(first), eviction: "least-recently-used" });
  if (!past.ok || past.kind !== "past") throw new Error(JSON.stringify(past));
  await until(async () => {
    const again = await ask(stub, { command: "past", at: versionstampHex(first), eviction: "least-recently-used" });
    return again.ok && again.kind === "past" && again.past.ready;
  });
  const tables = await runInDurableObject(DATABASES.getByName(past.past.name), (_, { storage }) =>
    storage.sql.exec("SELECT name FROM sqlite_schema WHERE name LIKE 'document%'").toArray(),
  );
  expect(tables).toEqual([]);
});
