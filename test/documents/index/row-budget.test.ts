/** Rows that a document costs in the indexes of its table: exactly. Those of databases without tables: test/engine/row-budget.test.ts. */
import { expect, test } from "vitest";
import { Encoding, type Mutation } from "../../../src/core/operations.ts";
import type { BulkStorage } from "../../../src/core/storage.ts";
import { type ColumnDefinition, definitionKey, encodeDefinition } from "../../../src/documents/definition.ts";
import { DocumentIndex } from "../../../src/documents/index/document-index.ts";
import { Database } from "../../../src/engine/database.ts";
import { CountingStorage, type Rows } from "../../support/counting-storage.ts";
import { key, MovableClock, remove, set, withStorage, write } from "../../support/workerd/engine.ts";
import { v8 } from "../../support/workerd/values.ts";

const name = { appId: "app", tableId: "t" };
const a = key("app", "t", "a");
const later = 1_900_000_000_000;

const column = (of: string, type: ColumnDefinition["type"], indexed = true): ColumnDefinition => ({
  name: of,
  type,
  indexed,
});
const values = [
  column("city", "keyword"),
  column("n", "number"),
  column("ok", "boolean"),
  column("note", "keyword", false),
];
const trees = [column("title", "text"), column("body", "text"), column("at", "geo")];

const define = (columns?: ColumnDefinition[]) =>
  set(
    definitionKey(name),
    encodeDefinition({ ids: [{ name: "id", type: "string" }], columns, inferred: columns === undefined }),
    {
      encoding: Encoding.v8,
    },
  );
const document = (of: Uint8Array, columns: object, expiresAt: number | null = null) =>
  set(of, v8(columns), { encoding: Encoding.v8, expiresAt });

interface Case {
  readonly what: string;
  /** undefined: the columns are indexed as they come. */
  readonly columns?: ColumnDefinition[];
  readonly before?: Mutation[];
  readonly measured: Mutation;
  readonly rows: Rows;
}

const row = { city: "Köln", n: 5, ok: true, note: "not indexed" };
const place = { title: "A museum", body: "Open on Sundays", at: "48.1,11.5" };

const cases: Case[] = [
  {
    what: "a new document with three indexed columns",
    columns: values,
    measured: document(a, row),
    rows: { written: 4, read: 0 },
  },
  {
    what: "a new document with an expiry",
    columns: values,
    measured: document(a, row, later),
    rows: { written: 5, read: 0 },
  },
  {
    what: "a list of three distinct values",
    columns: values,
    measured: document(a, { n: [1, 2, 3, 2] }),
    rows: { written: 4, read: 0 },
  },
  {
    what: "a new document with two texts and a place",
    columns: trees,
    measured: document(a, place),
    rows: { written: 6, read: 1 },
  },
  {
    what: "a new document with one text",
    columns: trees,
    measured: document(a, { title: "A museum" }),
    rows: { written: 4, read: 1 },
  },
  {
    what: "a string, a number, a boolean and an object, indexed as they come",
    measured: document(a, { ...row, note: { deep: 1 } }),
    rows: { written: 8, read: 1 },
  },
  {
    what: "an overwrite that changes no indexed column",
    columns: values,
    before: [document(a, row)],
    measured: document(a, { ...row, note: "x" }),
    rows: { written: 1, read: 2 },
  },
  {
    what: "an overwrite that changes one value",
    columns: values,
    before: [document(a, row)],
    measured: document(a, { ...row, n: 6 }),
    rows: { written: 3, read: 3 },
  },
  {
    what: "an overwrite that changes a text",
    columns: trees,
    before: [document(a, place)],
    measured: document(a, { ...place, title: "A zoo" }),
    rows: { written: 3, read: 3 },
  },
  {
    what: "an overwrite that changes a place",
    columns: trees,
    before: [document(a, place)],
    measured: document(a, { ...place, at: "1,1" }),
    rows: { written: 3, read: 3 },
  },
  { what: "a delete", columns: values, before: [document(a, row)], measured: remove(a), rows: { written: 4, read: 5 } },
  {
    what: "a delete of a document with texts and a place",
    columns: trees,
    before: [document(a, place)],
    measured: remove(a),
    rows: { written: 5, read: 4 },
  },
  {
    what: "an entry that is no document",
    columns: values,
    measured: set(a, Uint8Array.of(1)),
    rows: { written: 3, read: 1 },
  },
  {
    what: "a value of another type than the defined one",
    columns: values,
    measured: document(a, { n: "five" }),
    rows: { written: 3, read: 1 },
  },
  {
    what: "an entry of no table",
    columns: values,
    measured: document(key("app", "u", "a"), row),
    rows: { written: 1, read: 0 },
  },
];

test.each(cases)("reads and writes exactly its rows: $what (D58)", async ({ columns, before = [], measured, rows }) => {
  await withStorage((inner) => {
    const transaction = <T>(work: () => Promise<T>) => inner.transaction(work);
    const storage = Object.assign(new CountingStorage(inner), { transaction });
    const derivedTables = new DocumentIndex({ storage, isMade: false });
    const database = new Database({ storage, clock: new MovableClock(), derivedTables });
    // The first document with a column makes the column's index, which costs rows once.
    const first = { ...row, ...place, note: { deep: 1 } };
    database.commit([write([define(columns), document(key("app", "t", "first"), first)])]);
    database.commit([
      write([
        document(key("app", "t", "list"), { n: [1, 2], x: new Date(1) }),
        document(key("app", "t", "odd"), { n: "x" }),
      ]),
    ]);
    for (const mutation of before) database.commit([write([mutation])]);
    expect(storage.count(() => database.commit([write([measured])]))).toEqual(rows);
  });
});

test("a database without tables runs the same statements and transactions as one that could have none, from its opening on (D59)", async () => {
  const doneWith = (isFollowed: boolean) =>
    withStorage(async (storage) => {
      const done: string[] = [];
      const watched: BulkStorage = {
        sql: {
          exec: (query, ...bindings) => {
            done.push(query);
            return storage.sql.exec(query, ...bindings);
          },
          databaseSize: 0,
        },
        transactionSync: (work) => {
          done.push("transaction");
          return storage.transactionSync(work);
        },
        transaction: (work) => {
          done.push("transaction");
          return storage.transaction(work);
        },
      };
      const derivedTables = new DocumentIndex({ storage: watched, isMade: false });
      const clock = new MovableClock();
      const database = new Database({ storage: watched, clock, ...(isFollowed ? { derivedTables } : {}) });
      database.commit([write([document(a, row)])]);
      database.commit([write([document(a, row, clock.time + 5), document(key("a"), row)]), write([remove(key("a"))])]);
      clock.time += 5;
      database.deleteExpired(10);
      expect([derivedTables.hasWork, derivedTables.table(name), await derivedTables.step()]).toEqual([
        false,
        null,
        false,
      ]);
      return done;
    });
  expect(await doneWith(true)).toEqual(await doneWith(false));
});
