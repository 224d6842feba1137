/** Searches that are made to take long or to keep much: they let others run between their parts, and what they keep is bounded. */
import { expect, test } from "vitest";
import fc from "fast-check";
import { ProcessMemory } from "../../../src/core/process-memory.ts";
import {
  MAX_NEXT_TOKEN_CHARS,
  MAX_PROCESS_SEARCH_BYTES,
  SEARCH_MEMORY_BYTES,
} from "../../../src/core/search-limits.ts";
import { FirstRows } from "../../../src/documents/search/order.ts";
import { Steps } from "../../../src/documents/search/steps.ts";
import { wildcardTest } from "../../../src/documents/search/wildcard.ts";
import { Searches } from "../../../src/objects/searches.ts";
import { MovableClock, withStorage } from "../../support/workerd/engine.ts";
import { type Document, Searched } from "../../support/workerd/searched.ts";
import { freeTurns } from "../../support/free-turns.ts";

const should = (count: number, of: (i: number) => Document): Document[] => [
  { queryType: "bool", should: Array.from({ length: count }, (_, i) => of(i)) },
];

test("a wildcard finds the same as a regular expression", () => {
  const letters = fc.array(fc.constantFrom("a", "b", "😀"), { maxLength: 80 }).map((some) => some.join(""));
  const pattern = fc.array(fc.constantFrom("a", "b", "😀", "?", "*"), { maxLength: 70 }).map((some) => some.join(""));
  fc.assert(
    fc.property(letters, pattern, fc.boolean(), (text, given, isPart) => {
      const wanted = isPart ? `*${text.slice(text.length / 3).toWellFormed()}${given}*` : given;
      const expression = new RegExp(`^${wanted.replaceAll("*", ".*").replaceAll("?", ".")}$`, "su");
      expect(wildcardTest(wanted)(text)).toBe(expression.test(text));
    }),
    { numRuns: 2000 },
  );
});

test("a large document is compared with one query after the other, with pauses between them (D79)", async () => {
  await withStorage(async (storage) => {
    const searched = new Searched(storage);
    await searched.define();
    // What is compared in each place, and fits nowhere or only at the end.
    searched.put(["keyword"], { k: `${"a".repeat(900_000)}z` });
    searched.put(["text"], { t: "ab ".repeat(20_000) });
    const letter = (i: number) => String.fromCharCode(98 + i);
    const wildcards = (last: string) =>
      should(16, (i) => ({
        queryType: "wildcard",
        column: "k",
        value: `*${"a".repeat(120)}?${"a".repeat(120)}${i === 15 ? last : letter(i)}*`,
      }));
    expect(await searched.ids({ querys: wildcards("y") })).toEqual([]);
    expect(searched.pauses).toBeGreaterThanOrEqual(15);
    expect(await searched.ids({ querys: wildcards("z") })).toEqual(["keyword"]);
    searched.pauses = 0;
    const texts = should(32, (i) => ({ queryType: "matchPhrase", column: "t", value: `ab ab c${i}` }));
    expect(await searched.ids({ querys: [{ queryType: "bool", mustNot: texts }] })).toEqual(["keyword", "text"]);
    expect(searched.pauses).toBeGreaterThanOrEqual(15);
    // It changes between two of the comparisons, so it is compared anew.
    searched.pauses = 0;
    searched.inPause = () => {
      if (searched.pauses === 4) searched.put(["keyword"], { k: `${"a".repeat(900_000)}y` });
    };
    expect(await searched.ids({ querys: wildcards("z") })).toEqual([]);
  });
});

test("texts that a search keeps are bounded, and large documents are not kept", async () => {
  await withStorage(async (storage) => {
    const searched = new Searched(storage);
    await searched.define();
    const long = (i: number) => `${i}${"x".repeat(500_000)}`;
    for (let i = 0; i < 20; i += 1) searched.put([String(i).padStart(2, "0")], { k: long(i), n: i });
    expect(await searched.tried({ groupBy: { column: "k" }, rowsLimit: 0 })).toMatch(
      /^limit: The values of groupBy\.column have more than 4194304 characters together/,
    );
    const sorters = [{ sorterType: "column", columnName: "k", orderType: "asc" }];
    expect(await searched.ids({ sorters, rowsLimit: 3 })).toEqual(["00", "10", "11"]);
    expect(await searched.ids({ sorters, skip: 10, rowsLimit: 3 })).toEqual(["19", "01", "02"]);
    // Eight documents have room in an answer; the next page begins after them.
    const byNumber: Document = {
      querys: [{ queryType: "range", column: "n", rangeFrom: 0 }],
      sorters: [{ sorterType: "column", columnName: "n", orderType: "asc" }],
    };
    const first = await searched.search(byNumber);
    expect(first.data.map(({ columns }) => columns["n"])).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
    const second = await searched.search({ querys: byNumber["querys"], nextToken: first.nextToken });
    expect(second.data.map(({ columns }) => columns["n"])).toEqual([8, 9, 10, 11, 12, 13, 14, 15]);
  });
});

test("rows that are sorted by too much text are refused", () => {
  const rows = new FirstRows([{ type: "column", column: "k", descending: false, where: "sorters[0]" }], 20_000);
  const add = () => {
    for (let i = 0; i < 40_000; i += 1) rows.add({ values: ["x".repeat(256)], ids: Uint8Array.of(i >> 8, i) });
  };
  expect(add).toThrow(/sorted by texts of more than 4194304 characters/);
});

test("a nextToken has room for the longest values, names and places, and goes on exactly (D74)", async () => {
  await withStorage(async (storage) => {
    const searched = new Searched(storage);
    const [wide, name] = ["\u0001".repeat(254), (i: number) => `${i}${"\u0001".repeat(254)}`];
    await searched.define(undefined, [{ name: "id", type: "string" }]);
    const id = (i: number) => `${i}${wide.repeat(7)}`;
    for (let i = 0; i < 6; i += 1) {
      const columns = [1, 2, 3, 4, 5].map((n) => [name(n), `${wide}\u0001\u0001${(i * 5) % 6}${"y".repeat(60_000)}`]);
      searched.put([id(i)], Object.fromEntries(columns));
    }
    const sorters = [1, 2, 3, 4, 5].map((n) => ({
      sorterType: "column",
      columnName: name(n),
      orderType: "desc",
      more: "z".repeat(100_000),
    }));
    const found: unknown[] = [];
    let page = await searched.search({ sorters, rowsLimit: 2, getColumns: sorters.map((one) => one.columnName) });
    for (;;) {
      found.push(...page.data.map(({ ids }) => String(ids["id"])[0]));
      if (page.nextToken === undefined) break;
      expect(page.nextToken.length).toBeLessThanOrEqual(MAX_NEXT_TOKEN_CHARS);
      page = await searched.search({ nextToken: page.nextToken, rowsLimit: 2 });
    }
    // The first 256 characters are the same, so the ids decide.
    expect(found).toEqual(["0", "1", "2", "3", "4", "5"]);
  });
});

test("a page with marked fragments is written with pauses", async () => {
  await withStorage(async (storage) => {
    const searched = new Searched(storage);
    await searched.define();
    for (let i = 0; i < 40; i += 1) searched.put([String(i)], { t: "some words ".repeat(900) });
    const querys = [{ queryType: "match", column: "t", value: "words" }];
    const { data } = await searched.search({ querys, highlight: { columns: ["t", "t", "t"] }, rowsLimit: 40 });
    expect(data.every(({ highlight }) => highlight?.["t"] !== undefined)).toBe(true);
    expect(searched.pauses).toBeGreaterThanOrEqual(5);
  });
});

test("a document in many groups with long lists is computed once", async () => {
  await withStorage(async (storage) => {
    const searched = new Searched(storage);
    await searched.define();
    const list = Array.from({ length: 9_000 }, () => 1);
    searched.put(["a"], { g: Array.from({ length: 900 }, (_, i) => i), n: list });
    const { groups } = await searched.search({ groupBy: { column: "g", sum: ["n"] }, rowsLimit: 0 });
    expect(groups).toHaveLength(900);
    expect(groups?.[0]).toEqual({ value: 0, count: 1, sum: { n: 9_000 } });
  });
});

test("a search that does more work than one may is refused", async () => {
  const pieces: number[] = [];
  const pause = async (microseconds: number) => {
    pieces.push(microseconds);
    await Promise.resolve();
  };
  const work = async (steps: Steps, times: number, microseconds: number) => {
    for (let i = 0; i < times; i += 1) {
      steps.spend(microseconds);
      await steps.rest();
    }
  };
  const resumed = () => undefined;
  await work(new Steps(pause, resumed), 100, 1_000);
  expect(pieces).toEqual(Array.from({ length: 10 }, () => 10_000));
  await expect(work(new Steps(pause, resumed), 301, 100_000)).rejects.toMatchObject({
    why: { code: "limit" },
  });
});

test("an organization has at most half of the memory for searches of a process", async () => {
  await withStorage(async (storage) => {
    const searched = new Searched(storage);
    await searched.define();
    searched.put(["a"], { n: 1 });
    const clock = new MovableClock();
    const memory = new ProcessMemory(MAX_PROCESS_SEARCH_BYTES, clock);
    const most = MAX_PROCESS_SEARCH_BYTES / 2 / SEARCH_MEMORY_BYTES;
    for (let i = 0; i < most; i += 1) expect(memory.take("greedy", SEARCH_MEMORY_BYTES, 120_000)).toBeDefined();
    const of = (owner: string) =>
      new Searches({
        sql: storage.sql,
        index: searched.index,
        clock,
        mayHaveExpired: () => searched.database.mayHaveExpired(),
        onRead: () => undefined,
        turns: freeTurns(),
        memory,
        owner,
      });
    const request = { action: "search" as const, table: searched.table, json: {}, columns: null };
    expect(await of("greedy").search(request)).toMatchObject({ ok: false, code: "unavailable" });
    expect(await of("another").search(request)).toMatchObject({ ok: true });
    clock.time += 120_000;
    expect(await of("greedy").search(request)).toMatchObject({ ok: true });
  });
});
