/** How many tables and indexes a database has at most, and that what was refused once does not change what is counted. */
import { expect, test } from "vitest";
import { MAX_INDEXES, MAX_INDEXES_OF_TABLE, MAX_SEARCH_TREES, MAX_TABLES } from "../../../src/core/document-limits.ts";
import { Encoding, type Mutation } from "../../../src/core/operations.ts";
import { definitionKey, encodeDefinition } from "../../../src/documents/definition.ts";
import { DocumentIndex } from "../../../src/documents/index/document-index.ts";
import { Database } from "../../../src/engine/database.ts";
import { key, MovableClock, remove, set, withStorage, write } from "../../support/workerd/engine.ts";
import { v8 } from "../../support/workerd/values.ts";

const named = (table: number | string) => ({ appId: "app", tableId: `t${table}` });

function define(table: number | string): Mutation {
  const definition = encodeDefinition({ ids: [{ name: "id", type: "string" }], columns: undefined, inferred: true });
  return set(definitionKey(named(table)), definition, { encoding: Encoding.v8 });
}

function document(table: number | string, id: string, values: object): Mutation {
  return set(key("app", `t${table}`, id), v8(values), { encoding: Encoding.v8 });
}

function columns(count: number, value: unknown): Record<string, unknown> {
  return Object.fromEntries(Array.from({ length: count }, (_, i) => [`c${i}`, value]));
}

async function withIndex(
  work: (commit: (...mutations: Mutation[]) => void, index: DocumentIndex, reopened: () => DocumentIndex) => void,
): Promise<void> {
  await withStorage((storage) => {
    const index = new DocumentIndex({ storage, isMade: false });
    const database = new Database({ storage, clock: new MovableClock(), derivedTables: index });
    const commit = (...mutations: Mutation[]) =>
      expect(database.commit([write(mutations)])).toMatchObject([{ ok: true }]);
    work(commit, index, () => new DocumentIndex({ storage, isMade: true }));
  });
}

test("a table beyond its number of indexes makes no more of them, and counts what it leaves out (D52)", async () => {
  await withIndex((commit, index, reopened) => {
    commit(define("a"), document("a", "1", columns(MAX_INDEXES_OF_TABLE, 1)));
    expect(index.table(named("a"))?.live).toMatchObject({ leftOut: 0, isFull: false });
    commit(document("a", "2", { one: 1, more: 1, c0: 1 }));
    expect(index.state(named("a"))).toMatchObject({ leftOut: 2 });
    expect(index.table(named("a"))?.live?.index("one", "", "number")).toBeUndefined();
    expect(reopened().table(named("a"))?.live).toMatchObject({ leftOut: 2, isFull: true });
    commit(document("a", "2", { one: 1 }));
    expect(index.state(named("a"))).toMatchObject({ leftOut: 1 });
    commit(remove(key("app", "ta", "2")));
    expect(index.state(named("a"))).toMatchObject({ leftOut: 0 });
  });
});

test("all tables together have a number of indexes, too, and what was refused stays so when there is room again (D52)", async () => {
  await withIndex((commit, index) => {
    const full = MAX_INDEXES / MAX_INDEXES_OF_TABLE;
    for (let i = 0; i < full; i += 1) commit(define(i), document(i, "1", columns(MAX_INDEXES_OF_TABLE, 1)));
    commit(define("last"), document("last", "1", { c: 1 }));
    expect(index.table(named("last"))?.live).toMatchObject({ leftOut: 1, isFull: true });
    commit(remove(definitionKey(named(0))));
    while (index.step());
    commit(document("last", "2", { c: 1 }));
    expect(index.state(named("last"))).toMatchObject({ leftOut: 2 });
    commit(define("another"), document("another", "1", { c: 1 }));
    expect(index.state(named("another"))).toMatchObject({ leftOut: 0 });
  });
});

test("texts and places together have a number of trees (D52)", async () => {
  await withIndex((commit, index) => {
    commit(define("a"), document("a", "1", columns(MAX_SEARCH_TREES, "text")));
    expect(index.table(named("a"))?.live).toMatchObject({ leftOut: 0, isFull: false });
    commit(define("b"), document("b", "1", { c: "text" }));
    const { live } = index.table(named("b")) ?? {};
    expect(live).toMatchObject({ leftOut: 1, isFull: true });
    expect([live?.index("c", "", "keyword")?.type, live?.index("c", "", "text")]).toEqual(["keyword", undefined]);
  });
});

test("a definition beyond the number of tables has an index as soon as there is room (D57)", async () => {
  await withIndex((commit, index) => {
    for (let i = 0; i < MAX_TABLES; i += 100) commit(...Array.from({ length: 100 }, (_, k) => define(i + k)));
    expect(index.table(named(MAX_TABLES - 1))).not.toBeNull();
    commit(define("late"), document("late", "1", { c: 1 }));
    expect(index.table(named("late"))).toBeNull();
    commit(remove(definitionKey(named(7))));
    expect([index.table(named(7)), index.table(named("late"))?.live?.done]).toEqual([null, 1]);
  });
});
