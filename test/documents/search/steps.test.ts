/** Searches of several steps beside writes, and the statements that searches run. */
import { expect, test } from "vitest";
import type { Sql } from "../../../src/core/storage.ts";
import { ProcessMemory } from "../../../src/core/process-memory.ts";
import { MAX_RANKED_POSTINGS, MAX_SEARCHES } from "../../../src/core/search-limits.ts";
import { Searches } from "../../../src/objects/searches.ts";
import { decodeKey } from "../../../src/codec/key-codec.ts";
import type { TableDefinition } from "../../../src/documents/definition.ts";
import { withStorage } from "../../support/workerd/engine.ts";
import { type Document, Searched } from "../../support/workerd/searched.ts";
import { freeTurns } from "../../support/free-turns.ts";

function idOf(ids: Uint8Array): number {
  const decoded = decodeKey(ids);
  return Number(decoded.ok ? decoded.key[0] : Number.NaN);
}

const none = { queryType: "equal", column: "kind", value: "none" };

test("a search of several steps finds what does not change exactly once, and nothing that is gone (D78)", async () => {
  await withStorage(async (storage) => {
    const searched = new Searched(storage);
    await searched.define();
    const ids = (i: number) => [String(i).padStart(5, "0")];
    searched.putAll(
      Array.from({ length: 6000 }, (_, i) => [
        ids(i),
        { kind: i % 2 === 0 ? "even" : "odd", n: i % 7, tags: [i % 3, 9] },
      ]),
    );
    // The odd ones move, vanish and come back while the search goes on.
    let turn = 0;
    searched.inPause = () => {
      turn += 1;
      for (let i = 1; i < 6000; i += 50) {
        if (i % 4 === 1) searched.delete(ids(i));
        else searched.put(ids(i), { kind: "odd", n: turn % 7, tags: [turn % 3, 9] });
      }
    };
    const wholes: Document[] = [
      {
        querys: [{ queryType: "bool", mustNot: [none] }],
        getTotalCount: true,
        groupBy: { column: "kind" },
        sorters: [{ sorterType: "column", columnName: "n", orderType: "asc" }],
      },
      {
        querys: [
          { queryType: "equal", column: "tags", value: 9 },
          { queryType: "bool", mustNot: [none] },
        ],
        getTotalCount: true,
        groupBy: { column: "kind" },
      },
      {
        querys: [{ queryType: "range", column: "tags", rangeFrom: -1 }],
        sorters: [{ sorterType: "column", columnName: "tags" }],
        getTotalCount: true,
        groupBy: { column: "kind" },
      },
    ];
    for (const request of wholes) {
      searched.pauses = 0;
      const { data, totalCounts = 0, groups } = await searched.search({ ...request, rowsLimit: 100 });
      expect(searched.pauses).toBeGreaterThan(2);
      expect(new Set(data.map((row) => row.ids["id"])).size).toBe(100);
      expect(totalCounts).toBeGreaterThan(5800);
      expect(totalCounts).toBeLessThanOrEqual(6000);
      expect(groups?.find(({ value }) => value === "even")?.["count"]).toBe(3000);
    }
  });
});

test("a search whose indexes are replaced begins anew, and gives up when that never ends (D78)", async () => {
  await withStorage(async (storage) => {
    const searched = new Searched(storage);
    await searched.define();
    searched.putAll(Array.from({ length: 3000 }, (_, i) => [[String(i)], { n: i, kind: "x" }]));
    const request = { querys: [{ queryType: "bool", mustNot: [none] }], getTotalCount: true };
    const defined = (extra: string) =>
      searched.define([
        { name: "kind", type: "keyword", indexed: true },
        { name: extra, type: "keyword", indexed: true },
      ]);
    let times = 0;
    searched.inPause = async () => {
      times += 1;
      if (times === 1) await defined("a");
    };
    expect((await searched.search(request)).totalCounts).toBe(3000);
    searched.inPause = async () => {
      times += 1;
      await defined(`b${times}`);
    };
    expect(await searched.tried(request)).toMatch(/^unavailable: The indexes of the table were replaced/);
  });
});

test("relevance over several windows of FTS5 is the order of all of them, also where very many are equally relevant (D73)", async () => {
  await withStorage(async (storage) => {
    const searched = new Searched(storage);
    const ids: TableDefinition["ids"] = [{ name: "id", type: "integer" }];
    await searched.define([{ name: "t", type: "text", indexed: true }], ids);
    const texts = ["pear", "pear pear", "a pear", "apple and pear", "apple apple"];
    // The order of the ids is not that in which FTS5 has numbered them.
    searched.putAll(
      Array.from({ length: 17_000 }, (_, i) => [[(i * 4_001) % 17_000], { t: texts[(i + (i >> 3)) % 5] ?? "" }]),
    );
    const [index] = searched.index.table(searched.table)?.live?.indexesOf("t") ?? [];
    const table = `document_text_${index?.id}`;
    const all = storage.sql
      .exec<{ ids: ArrayBuffer; score: number }>(
        `SELECT x.ids, -bm25(${table}) AS score FROM ${table} JOIN document_numbers x ON x.n = ${table}.rowid
         WHERE ${table} MATCH '"pear" OR "apple"'`,
      )
      .toArray()
      .map((row) => ({ id: idOf(new Uint8Array(row.ids)), score: row.score }));
    for (const orderType of ["desc", "asc"]) {
      const sign = orderType === "desc" ? 1 : -1;
      const expected = all.toSorted((a, b) => sign * (b.score - a.score) || a.id - b.id).map(({ id }) => id);
      const querys = [{ queryType: "match", column: "t", value: "pear apple" }];
      const sorters = [{ sorterType: "union", orderType }];
      searched.pauses = 0;
      for (const skip of [0, 3_390, 4_990]) {
        expect(await searched.ids({ querys, sorters, skip, rowsLimit: 30 })).toEqual(expected.slice(skip, skip + 30));
      }
      expect(searched.pauses).toBeGreaterThan(2);
      let page = await searched.search({ querys, sorters, skip: 3_300, rowsLimit: 70 });
      for (let at = 3_370; at < 3_650; at += 70) {
        page = await searched.search({ querys, nextToken: page.nextToken, rowsLimit: 70 });
        expect(page.data.map((row) => row.ids["id"])).toEqual(expected.slice(at, at + 70));
      }
    }
  });
});

test("a search that would read too many documents is refused, and says what to narrow (D79)", async () => {
  await withStorage(async (storage) => {
    const searched = new Searched(storage);
    await searched.define(
      [
        { name: "words", type: "text", indexed: true },
        { name: "n", type: "number", indexed: true },
      ],
      [{ name: "id", type: "integer" }],
    );
    // A place of a word costs a document in the index, so one document has very many words.
    const many = (at: number) => Array.from({ length: 5200 }, (_, i) => `w${at}x${i}`).join(" ");
    searched.putAll(Array.from({ length: 2 }, (_, i) => [[i], { words: many(i), n: i }]));
    const prefix = (value: string) => searched.tried({ querys: [{ queryType: "prefix", column: "words", value }] });
    expect(await prefix("w")).toMatch(/^limit: Too many words in "words" begin with "w".*Give more letters\.$/);
    expect(await searched.ids({ querys: [{ queryType: "prefix", column: "words", value: "w1" }] })).toEqual([1]);
  });
});

test("long keywords that all contain a wildcard's longest text are compared in steps (D78)", async () => {
  await withStorage(async (storage) => {
    const searched = new Searched(storage);
    await searched.define([{ name: "kw", type: "keyword", indexed: true }]);
    searched.putAll(Array.from({ length: 4_000 }, (_, i) => [[String(i)], { kw: `${"a".repeat(240)}${i}` }]));
    searched.pauses = 0;
    for (const value of [`*${"a?".repeat(100)}*b`, `${"*a".repeat(127)}*b`, `*${"?".repeat(200)}a*b`]) {
      const { totalCounts } = await searched.search({
        querys: [{ queryType: "wildcard", column: "kw", value }],
        getTotalCount: true,
      });
      expect(totalCounts).toBe(0);
    }
    expect(searched.pauses).toBeGreaterThanOrEqual(8);
    // Only some values contain the text: they are found among those that SQLite passes over, and so is the rest of a dense window.
    for (const [value, total] of [
      ["*a39?", 10],
      ["*a39??", 100],
      ["*7*", 1084],
      ["*a1*", 1111],
    ]) {
      const found = await searched.search({
        querys: [{ queryType: "wildcard", column: "kw", value }],
        getTotalCount: true,
        rowsLimit: 0,
      });
      expect([value, found.totalCounts]).toEqual([value, total]);
    }
  });
});

test("relevance of many words that many documents have takes steps, and is refused beyond its limit (D79)", async () => {
  await withStorage(async (storage) => {
    const searched = new Searched(storage);
    await searched.define([{ name: "t", type: "text", indexed: true }]);
    const words = Array.from({ length: 128 }, (_, i) => String.fromCodePoint(0x3400 + i)).join(" ");
    const querys = [{ queryType: "match", column: "t", value: words }];
    const sorters = [{ sorterType: "union" }];
    const documents = Math.floor(MAX_RANKED_POSTINGS / 128);
    const put = (from: number, to: number) =>
      searched.putAll(Array.from({ length: to - from }, (_, i) => [[String(from + i)], { t: words }]));
    put(0, documents);
    searched.pauses = 0;
    const { data } = await searched.search({ querys, sorters });
    expect(data[0]?.ids).toEqual({ id: "0" });
    expect(searched.pauses).toBeGreaterThan(documents / 2_000);
    put(documents, documents + 1);
    expect(await searched.tried({ querys, sorters })).toMatch(
      /^limit: The words are in more than 1000000 documents of "t", added up over the words, .*use fewer or rarer words, or sort by a column\.$/,
    );
    expect((await searched.search({ querys, getTotalCount: true })).totalCounts).toBe(documents + 1);
  });
});

test("only so many searches are under way at once, and each that answers is counted as a read", async () => {
  await withStorage(async (storage) => {
    const searched = new Searched(storage);
    await searched.define();
    searched.putAll(Array.from({ length: 2000 }, (_, i) => [[String(i)], { n: i, kind: "x" }]));
    let resume: () => void = () => undefined;
    const held = new Promise<void>((resolve) => (resume = resolve));
    const read: number[] = [];
    const searches = new Searches({
      sql: storage.sql,
      index: searched.index,
      clock: searched.clock,
      mayHaveExpired: () => searched.database.mayHaveExpired(),
      onRead: (bytes) => read.push(bytes),
      memory: new ProcessMemory(Number.MAX_SAFE_INTEGER, searched.clock),
      owner: "",
      turns: freeTurns(() => held),
    });
    const json = { querys: [{ queryType: "bool", mustNot: [none] }], getTotalCount: true, rowsLimit: 1 };
    const one = () => searches.search({ action: "search", table: searched.table, json, columns: null });
    const running = Array.from({ length: MAX_SEARCHES }, one);
    expect(await one()).toMatchObject({ ok: false, code: "unavailable" });
    resume();
    const answers = await Promise.all(running);
    const { json: text = "" } = answers[0]?.ok ? answers[0] : {};
    expect(JSON.parse(text)).toMatchObject({ totalCounts: 2000 });
    expect(read).toEqual(answers.map(() => text.length));
    expect((await one()).ok).toBe(true);
  });
});

const filled: Document[] = Array.from({ length: 40 }, (_, i) => ({
  kw: `k${i % 5}`,
  txt: `some words 米饭 ${i}`,
  num: i,
  loc: `${i},${i}`,
  obj: { a: i },
  tags: [i, i + 1],
}));

test("no statement of a search looks through a whole table", async () => {
  await withStorage(async (storage) => {
    const plans = new Map<string, string[]>();
    const { sql } = storage;
    const watched: Sql = {
      exec: (query, ...bindings) => {
        if (!plans.has(query)) {
          const steps = sql.exec<{ detail: string }>(`EXPLAIN QUERY PLAN ${query}`, ...bindings).toArray();
          plans.set(
            query,
            steps.map(({ detail }) => detail),
          );
        }
        return sql.exec(query, ...bindings);
      },
      get databaseSize() {
        return sql.databaseSize;
      },
    };
    const searched = new Searched(storage, false, watched);
    await searched.define([
      { name: "kw", type: "keyword", indexed: true },
      { name: "txt", type: "text", indexed: true },
      { name: "num", type: "number", indexed: true },
      { name: "loc", type: "geo", indexed: true },
      { name: "obj", type: "nested", indexed: true },
      { name: "tags", type: "number", indexed: true },
    ]);
    filled.forEach((document, i) => searched.put([`d${i}`], document, i === 3 ? 1 : null));
    const queries: Document[] = [
      { queryType: "matchAll" },
      { queryType: "equal", column: "kw", value: "k1" },
      { queryType: "equalMany", column: "num", values: [1, 2] },
      { queryType: "range", column: "num", rangeFrom: 3 },
      { queryType: "range", column: "kw", rangeTo: "k2" },
      { queryType: "range", column: "tags", rangeFrom: 3, rangeTo: 9 },
      { queryType: "prefix", column: "kw", value: "k" },
      { queryType: "prefix", column: "txt", value: "wo" },
      { queryType: "wildcard", column: "kw", value: "*1" },
      { queryType: "exist", column: "txt" },
      { queryType: "exist", column: "loc" },
      { queryType: "nested", column: "obj", searchKey: "a", searchValue: 3 },
      { queryType: "match", column: "txt", value: "some 米饭" },
      { queryType: "matchPhrase", column: "txt", value: "words 米饭" },
      { queryType: "distance", column: "loc", centerPoint: "5,5", distance: 500_000 },
      {
        queryType: "bool",
        must: [
          { queryType: "equal", column: "kw", value: "k1" },
          { queryType: "match", column: "txt", value: "some" },
        ],
      },
    ];
    const orders: Document[][] = [
      [],
      [{ sorterType: "ids" }],
      [{ sorterType: "union" }],
      [{ sorterType: "column", columnName: "num" }],
      [{ sorterType: "column", columnName: "kw", orderType: "asc" }],
      [{ sorterType: "distance", columnName: "loc", points: ["0,0"], orderType: "asc" }],
    ];
    for (const query of queries) {
      for (const sorters of orders) {
        for (const getTotalCount of [true, false]) {
          const { nextToken } = await searched.search({ querys: [query], sorters, getTotalCount, rowsLimit: 3 });
          if (nextToken !== undefined) await searched.search({ querys: [query], nextToken, rowsLimit: 3 });
        }
      }
    }
    const scans = Array.from(plans, ([query, steps]) => ({
      query,
      // What FTS5, R*Tree and lists in JSON do with an index is said behind "VIRTUAL TABLE INDEX"; all of FTS5 is asked for by `exist`.
      scans: steps.filter(
        (step) =>
          step.startsWith("SCAN") && !/VIRTUAL TABLE INDEX|^SCAN (f|h|\(subquery-\d+\)|CONSTANT ROW)$/.test(step),
      ),
    })).filter(({ scans: some }) => some.length > 0);
    expect(scans).toEqual([]);
    const spans = Array.from(plans).filter(([query]) => query.includes("document_values"));
    expect(spans.length).toBeGreaterThan(3);
    for (const [, steps] of spans) expect(steps.join("\n")).toMatch(/PRIMARY KEY \(ix=\? AND \(?v/);
  });
});
