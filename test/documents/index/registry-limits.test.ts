/** How many tables and indexes a database has at most, and that what was refused once does not change what is counted. */
import { expect, test } from "vitest";
import {
  MAX_DEFINITION_BYTES,
  MAX_DEFINITIONS_BYTES,
  MAX_DOCUMENTS_DELETED_PER_COMMIT,
  MAX_INDEX_CHANGES_PER_WRITE,
  MAX_INDEXED_VALUES,
  MAX_INDEXES,
  MAX_INDEXES_OF_TABLE,
  MAX_SEARCH_TREES,
  MAX_TABLES,
} from "../../../src/core/document-limits.ts";
import { Encoding, type Mutation } from "../../../src/core/operations.ts";
import { rangeOfPrefix } from "../../../src/codec/key-prefix.ts";
import { definitionKey, encodeDefinition } from "../../../src/documents/definition.ts";
import { DocumentIndex } from "../../../src/documents/index/document-index.ts";
import { Database } from "../../../src/engine/database.ts";
import { flawsOfIndex } from "../../support/workerd/document-index.ts";
import { key, MovableClock, remove, set, withStorage, write } from "../../support/workerd/engine.ts";
import { v8 } from "../../support/workerd/values.ts";

const named = (table: number | string) => ({ appId: "app", tableId: `t${table}` });

function define(table: number | string): Mutation {
  const definition = encodeDefinition({ ids: [{ name: "id", type: "string" }], columns: undefined, inferred: true });
  return set(definitionKey(named(table)), definition, { encoding: Encoding.v8 });
}

function document(table: number | string, id: string, values: object, expiresAt: number | null = null): Mutation {
  return set(key("app", `t${table}`, id), v8(values), { encoding: Encoding.v8, expiresAt });
}

function columns(from: number, to: number, value: unknown): Record<string, unknown> {
  return Object.fromEntries(Array.from({ length: to - from }, (_, i) => [`c${from + i}`, value]));
}

/** The documents of a table that has as many indexes as it can have. */
function full(table: number | string): Mutation[] {
  const halves = [0, MAX_INDEXES_OF_TABLE / 2, MAX_INDEXES_OF_TABLE];
  return [0, 1].map((i) => document(table, `${i}`, columns(halves[i] ?? 0, halves[i + 1] ?? 0, 1)));
}

async function withIndex(
  work: (
    commit: (...mutations: Mutation[]) => void,
    index: DocumentIndex,
    reopened: () => DocumentIndex,
  ) => void | Promise<void>,
): Promise<void> {
  await withStorage(async (storage) => {
    const index = new DocumentIndex({ storage, isMade: false });
    const database = new Database({ storage, clock: new MovableClock(), derivedTables: index });
    const commit = (...mutations: Mutation[]) =>
      expect(database.commit([write(mutations)])).toMatchObject([{ ok: true }]);
    await work(commit, index, () => new DocumentIndex({ storage, isMade: true }));
  });
}

test("a table beyond its number of indexes makes no more of them, and counts what it leaves out (D52)", async () => {
  await withIndex((commit, index, reopened) => {
    commit(define("a"), ...full("a"));
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
  await withIndex(async (commit, index) => {
    for (let i = 0; i < MAX_INDEXES / MAX_INDEXES_OF_TABLE; i += 1) commit(define(i), ...full(i));
    commit(define("last"), document("last", "1", { c: 1 }));
    expect(index.table(named("last"))?.live).toMatchObject({ leftOut: 1, isFull: true });
    commit(remove(definitionKey(named(0))));
    while (await index.step());
    commit(document("last", "2", { c: 1 }));
    expect(index.state(named("last"))).toMatchObject({ leftOut: 2 });
    commit(define("another"), document("another", "1", { c: 1 }));
    expect(index.state(named("another"))).toMatchObject({ leftOut: 0 });
  });
});

test("texts and places together have a number of trees (D52)", async () => {
  await withIndex((commit, index) => {
    commit(define("a"), document("a", "1", columns(0, MAX_SEARCH_TREES, "text")));
    expect(index.table(named("a"))?.live).toMatchObject({ leftOut: 0, isFull: false });
    commit(define("b"), document("b", "1", { c: "text" }));
    const { live } = index.table(named("b")) ?? {};
    expect(live).toMatchObject({ leftOut: 1, isFull: true });
    expect([live?.index("c", "", "keyword")?.type, live?.index("c", "", "text")]).toEqual(["keyword", undefined]);
  });
});

test("a write that changes more values of indexes than its limit is refused, whole and alone (D60)", async () => {
  await withStorage((storage) => {
    const derivedTables = new DocumentIndex({ storage, isMade: false });
    const errors: unknown[] = [];
    const onError = (error: unknown) => void errors.push(error);
    const database = new Database({ storage, clock: new MovableClock(), derivedTables, onError });
    const list = Array.from({ length: MAX_INDEXED_VALUES }, (_, i) => i);
    const many = (count: number, from = 0) =>
      write(Array.from({ length: count }, (_, i) => document("a", `${from + i}`, { list })));
    const most = MAX_INDEX_CHANGES_PER_WRITE / MAX_INDEXED_VALUES;
    expect(database.commit([write([define("a")]), many(most)])).toMatchObject([{ ok: true }, { ok: true }]);
    const before = database.countEntries();
    expect(database.commit([many(1, 1000), many(most + 1, 2000), many(1, 1001)])).toMatchObject([
      { ok: true },
      { code: "limit", message: expect.stringContaining("Write fewer documents at a time") },
      { ok: true },
    ]);
    expect(database.countEntries()).toBe(before + 2);
    expect(database.commit([many(most)]), "what changes nothing").toMatchObject([{ ok: true }]);
    const texts = (count: number, of: string) =>
      write(Array.from({ length: count }, (_, i) => document("a", `${of} ${i}`, { text: "x".repeat(50_000) })));
    expect(database.commit([texts(24, "some"), texts(26, "too many")])).toMatchObject([
      { ok: true },
      { code: "limit" },
    ]);
    expect([errors, flawsOfIndex(storage)]).toEqual([[], []]);
  });
});

test("documents that have expired, or lie in a range that is deleted, are deleted some at a time (D60)", async () => {
  await withStorage((storage) => {
    const derivedTables = new DocumentIndex({ storage, isMade: false });
    const clock = new MovableClock();
    const database = new Database({ storage, clock, derivedTables });
    const count = MAX_DOCUMENTS_DELETED_PER_COMMIT + 20;
    const all = (table: string, expiresAt: number | null) =>
      write(Array.from({ length: count }, (_, i) => document(table, `${1000 + i}`, { n: i }, expiresAt)));
    database.commit([
      write([define("a")]),
      all("a", clock.time + 5),
      all("none", clock.time + 9),
      all("a", clock.time + 5),
    ]);
    clock.time += 5;
    expect([database.deleteExpired(500), database.deleteExpired(500)]).toEqual([100, 20]);
    clock.time += 5;
    expect(database.deleteExpired(500), "of no table").toBe(count);
    database.commit([all("a", null)]);
    const range = rangeOfPrefix(key("app", "ta"));
    const first = database.deleteWithin(range, 1000, () => undefined);
    expect(first).toMatchObject({ deleted: 100, next: expect.any(Uint8Array) });
    const rest = { start: first.next ?? range.start, end: range.end };
    expect(database.deleteWithin(rest, 1000, () => undefined)).toMatchObject({ deleted: 20, next: null });
    expect(flawsOfIndex(storage)).toEqual([]);
  });
});

test("a definition beyond the number of tables has an index as soon as there is room (D57)", async () => {
  await withIndex(async (commit, index) => {
    for (let i = 0; i < MAX_TABLES; i += 100) commit(...Array.from({ length: 100 }, (_, k) => define(i + k)));
    expect(index.table(named(MAX_TABLES - 1))).not.toBeNull();
    commit(define("late"), document("late", "1", { c: 1 }));
    expect(index.table(named("late"))).toBeNull();
    commit(remove(definitionKey(named(7))));
    expect([index.table(named(7)), index.table(named("late"))?.live?.done]).toEqual([null, 1]);
  });
});

test("a definition for which the others leave no room has an index as soon as there is room, also one that has grown (D57)", async () => {
  const wide = (table: number | string): Mutation => {
    const hundreds = Array.from(
      { length: 500 },
      (_, i) => ({ name: `${"c".repeat(20)}${i}`, type: "keyword", indexed: false }) as const,
    );
    const definition = encodeDefinition({ ids: [{ name: "id", type: "string" }], columns: hundreds, inferred: false });
    return set(definitionKey(named(table)), definition, { encoding: Encoding.v8 });
  };
  await withIndex((commit, index, reopened) => {
    commit(define("small"));
    let made = 0;
    do commit(wide(made++));
    while (index.table(named(made - 1)) !== null);
    expect(made).toBeGreaterThan(MAX_DEFINITIONS_BYTES / MAX_DEFINITION_BYTES);
    commit(wide("small"));
    expect([index.table(named("small")), reopened().table(named("small"))]).toEqual([null, null]);
    commit(remove(definitionKey(named(0))));
    const known = [made - 1, "small"].filter((name) => index.table(named(name)) !== null);
    expect(known).toHaveLength(1);
    commit(define("small"));
    expect([index.table(named("small")), index.table(named(made - 1))]).toEqual([expect.anything(), expect.anything()]);
  });
});
