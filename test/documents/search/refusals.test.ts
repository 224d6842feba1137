/** What a search refuses, and what it does beside writes. */
import { expect, test } from "vitest";
import fc from "fast-check";
import { MAX_SEARCH_TREES } from "../../../src/core/document-limits.ts";
import { withStorage } from "../../support/workerd/engine.ts";
import { type Document, Searched } from "../../support/workerd/searched.ts";

const on = (queryType: string, more: Document): Document => ({ querys: [{ queryType, column: "kw", ...more }] });
const deep = (levels: number): Document =>
  levels === 0 ? { queryType: "matchAll" } : { queryType: "bool", must: [deep(levels - 1)] };

const refusals: [Document, RegExp][] = [
  [{ querys: 1 }, /^invalid: querys is 1; it must be an array/],
  [{ querys: [1] }, /^invalid: querys\[0\] is 1; it must be an object like \{"queryType"/],
  [{ querys: [{}] }, /^invalid: querys\[0\]\.queryType is missing; it must be one of equal, equalMany/],
  [{ querys: [{ queryType: "equal", value: 1 }] }, /^invalid: querys\[0\]\.column is missing/],
  [on("equal", {}), /^invalid: querys\[0\]\.value is missing; it must be a string, a number/],
  [on("equal", { value: ["a"] }), /^invalid: querys\[0\]\.value is an array/],
  [on("equal", { value: "x".repeat(8193) }), /^limit: querys\[0\]\.value has 8193 characters; the limit is 8192/],
  [on("equal", { value: 1 }), /^invalid: querys\[0\] needs an index of type number, and "kw" has one of type keyword/],
  [on("equalMany", { values: "a" }), /^invalid: querys\[0\]\.values is "a"; it must be an array/],
  [
    on("equalMany", { values: Array.from({ length: 201 }, (_, i) => i) }),
    /^limit: querys\[0\]\.values has 201 members; the limit is 200/,
  ],
  [on("range", {}), /^invalid: querys\[0\] needs rangeFrom, rangeTo or both/],
  [on("range", { rangeFrom: true }), /^invalid: querys\[0\]\.rangeFrom is true; it must be a number or a string/],
  [on("range", { rangeFrom: 1, rangeTo: "a" }), /both must be numbers or both strings/],
  [
    on("range", { rangeFrom: "a", includeFrom: 1 }),
    /^invalid: querys\[0\]\.includeFrom is 1; it must be true or false/,
  ],
  [
    on("wildcard", { value: "*".repeat(257) }),
    /^limit: querys\[0\]\.value has 257 characters; the limit of a wildcard is 256/,
  ],
  [
    on("wildcard", { column: "txt", value: "*" }),
    /^invalid: querys\[0\] needs an index of type keyword, and "txt" has one of type text/,
  ],
  [on("match", { column: "txt", value: "word ".repeat(10_000) }), /^limit: querys\[0\]\.value has 50000 characters/],
  [
    on("match", { column: "txt", value: Array.from({ length: 129 }, (_, i) => `w${i}`).join(" ") }),
    /^limit: querys\[0\] brings the words of this search to 129; the limit is 128/,
  ],
  [on("match", { column: "txt", value: "a", operator: "xor" }), /^invalid: querys\[0\]\.operator is "xor"/],
  [
    on("match", { column: "txt", value: "a", minimumMatch: 2 }),
    /^invalid: querys\[0\]\.minimumMatch is 2; it must be an integer from 0 to 1/,
  ],
  [
    on("matchPhrase", { value: "a" }),
    /^invalid: querys\[0\] needs an index of type text, and "kw" has one of type keyword: PUT \/api\/databases/,
  ],
  [on("functionScore", { column: "txt", value: "a" }), /^invalid: querys\[0\]\.factor is missing/],
  [on("nested", { column: "obj", searchKey: "a..b", searchValue: 1 }), /^invalid: querys\[0\]\.searchKey is "a..b"/],
  [on("nested", { searchKey: "a", searchValue: 1 }), /^invalid: querys\[0\] needs an index of type nested/],
  [
    on("distance", { column: "loc", centerPoint: "91,0", distance: 1 }),
    /^invalid: querys\[0\]\.centerPoint is "91,0"; it must be "latitude,longitude"/,
  ],
  [on("distance", { column: "loc", centerPoint: "1,0", distance: -1 }), /^invalid: querys\[0\]\.distance is -1/],
  [
    on("distanceBounding", { column: "loc", topLeft: "1,0", bottomRight: "2,0" }),
    /^invalid: querys\[0\]\.topLeft lies south of bottomRight/,
  ],
  [
    on("distancePolygon", { column: "loc", points: ["1,0", "2,0"] }),
    /^invalid: querys\[0\]\.points has 2 members; a polygon has at least 3/,
  ],
  [
    on("distancePolygon", { column: "loc", points: Array.from({ length: 101 }, () => "1,0") }),
    /^limit: querys\[0\]\.points has 101 members; the limit is 100/,
  ],
  [{ querys: [deep(9)] }, /^limit: querys\[0\](\.must\[0\]){8} is a bool within 8 others; the limit is 8/],
  [
    { querys: Array.from({ length: 65 }, () => ({ queryType: "matchAll" })) },
    /^limit: querys has 65 members; the limit is 64/,
  ],
  [
    { querys: [{ queryType: "bool", must: Array.from({ length: 64 }, () => ({ queryType: "matchAll" })) }] },
    /^limit: querys has more than 64 queries/,
  ],
  [
    { querys: [{ queryType: "bool", should: [], minimumShouldMatch: 1 }] },
    /^invalid: querys\[0\]\.minimumShouldMatch is 1; it must be an integer from 0 to 0/,
  ],
  [
    on("equal", { column: "off", value: "a" }),
    /^invalid: querys\[0\] asks for "off", which is not indexed: PUT \/api\/databases\/\{id\}\/tables\/app\/table with \{"name":"off","type":"keyword"\}/,
  ],
  [on("equal", { column: "other", value: 1 }), /asks for "other", which is not indexed.*"type":"number"/],
  [on("equal", { column: "id", value: "a" }), /asks for "id", which is an id/],
  [{ sorters: {} }, /^invalid: sorters is an object; it must be an array/],
  [
    { sorters: [{ sorterType: "size" }] },
    /^invalid: sorters\[0\]\.sorterType is "size"; it must be one of column, ids, union, distance/,
  ],
  [{ sorters: [{ sorterType: "ids", orderType: "up" }] }, /^invalid: sorters\[0\]\.orderType is "up"/],
  [
    { sorters: Array.from({ length: 6 }, () => ({ sorterType: "ids" })) },
    /^limit: sorters has 6 members; the limit is 5/,
  ],
  [
    { sorters: [{ sorterType: "column", columnName: "txt" }] },
    /^invalid: sorters\[0\] needs an index of type keyword, and "txt" has one of type text/,
  ],
  [
    { sorters: [{ sorterType: "column", columnName: "kw" }], getColumns: ["num"] },
    /^invalid: sorters\[0\] names "kw", which is not among getColumns/,
  ],
  [{ sorters: [{ sorterType: "distance", columnName: "loc", points: [] }] }, /^invalid: sorters\[0\]\.points is empty/],
  [{ rowsLimit: 101 }, /^invalid: rowsLimit is 101; it must be an integer from 0 to 100/],
  [{ rowsLimit: "1" }, /^invalid: rowsLimit is "1"/],
  [{ skip: 5001 }, /^invalid: skip is 5001; it must be an integer from 0 to 5000/],
  [{ getTotalCount: 1 }, /^invalid: The request\.getTotalCount is 1/],
  [{ nextToken: 1 }, /^invalid: nextToken is 1/],
  [{ nextToken: "x" }, /^invalid: nextToken is not one that a search has returned/],
  [{ nextToken: "A".repeat(40_000) }, /^limit: nextToken has 40000 characters; the limit is 32768/],
  [{ groupBy: { column: "off" } }, /^invalid: groupBy\.column asks for "off", which is not indexed/],
  [{ groupBy: { column: "kw", sum: ["kw"] } }, /^invalid: groupBy\.sum\[0\] needs an index of type number/],
  [{ highlight: { columns: "txt" } }, /^invalid: highlight\.columns is "txt"; it must be an array/],
  [
    { highlight: { columns: ["txt"], fragments: 0 } },
    /^invalid: highlight\.fragments is 0; it must be an integer from 1 to 10/,
  ],
  [{ suggest: { column: "kw", prefix: "a" } }, /^invalid: suggest\.column needs an index of type text/],
  [
    { suggest: { column: "txt", prefix: "a", limit: 21 } },
    /^invalid: suggest\.limit is 21; it must be an integer from 1 to 20/,
  ],
];

const COLUMNS = [
  { name: "kw", type: "keyword", indexed: true },
  { name: "txt", type: "text", indexed: true },
  { name: "num", type: "number", indexed: true },
  { name: "loc", type: "geo", indexed: true },
  { name: "obj", type: "nested", indexed: true },
  { name: "off", type: "keyword", indexed: false },
] as const;

test("each wrong member gets a sentence that names it and says what is wanted (D76, D77)", async () => {
  await withStorage(async (storage) => {
    const searched = new Searched(storage);
    await searched.define(COLUMNS);
    searched.put(["a"], { kw: "a", txt: "a", num: 1 });
    for (const [request, message] of refusals) {
      const answer = await searched.tried(request);
      expect(answer).toMatch(message);
      expect(answer).toMatch(/\.$/);
    }
  });
});

test("a table that nobody defined, a place in a table without a definition of places (D77)", async () => {
  await withStorage(async (storage) => {
    const searched = new Searched(storage);
    expect(await searched.tried({})).toMatch(/^not-found: The table "table" of app "app" does not exist/);
    await searched.define();
    searched.put(["a"], { loc: "1,2" });
    const querys = [{ queryType: "distance", column: "loc", centerPoint: "1,2", distance: 5 }];
    expect(await searched.tried({ querys })).toMatch(
      /^invalid: querys\[0\] asks for "loc", which has no index of places: PUT .*"type":"geo"/,
    );
  });
});

test("a query that needs an index for which there was no room is refused, also where the column has another index (D77)", async () => {
  await withStorage(async (storage) => {
    const searched = new Searched(storage);
    await searched.define();
    const names = Array.from({ length: MAX_SEARCH_TREES + 1 }, (_, i) => `c${i}`);
    searched.put(["a"], Object.fromEntries(names.map((name) => [name, "some words"])));
    const last = names.at(-1);
    const asked = (query: object) => searched.tried({ querys: [{ column: last, value: "some words", ...query }] });
    for (const queryType of ["match", "matchPhrase"]) {
      expect(await asked({ queryType })).toMatch(
        /^invalid: querys\[0\] asks for "c200", which is not indexed, because/,
      );
    }
    expect(await asked({ queryType: "equal", value: 1 })).toMatch(
      /which is not indexed, because this table has too many/,
    );
    expect(await searched.ids({ querys: [{ queryType: "equal", column: last, value: "some words" }] })).toEqual(["a"]);
    expect(await searched.ids({ querys: [{ queryType: "match", column: "c199", value: "words" }] })).toEqual(["a"]);
  });
});

test("a nextToken serves the search that it came from and no other (D74)", async () => {
  await withStorage(async (storage) => {
    const searched = new Searched(storage);
    await searched.define(COLUMNS);
    searched.putAll(Array.from({ length: 9 }, (_, i) => [[String(i)], { kw: "a", num: i % 3 }]));
    const querys = [{ queryType: "equal", column: "kw", value: "a" }];
    const sorters = [{ sorterType: "column", columnName: "num", orderType: "asc" }];
    const { nextToken = "" } = await searched.search({ querys, sorters, rowsLimit: 4 });
    expect(await searched.ids({ querys, nextToken })).toEqual(["4", "7", "2", "5", "8"]);
    expect(await searched.ids({ querys, sorters, nextToken, rowsLimit: 1 })).toEqual(["4"]);
    // It is the same search, whatever the order of members.
    const reordered = querys.map((query) => Object.fromEntries(Object.entries(query).toReversed()));
    expect(await searched.ids({ querys: reordered, nextToken, rowsLimit: 1 })).toEqual(["4"]);
    const all = await searched.search({ rowsLimit: 8 });
    expect(await searched.ids({ querys: [], nextToken: all.nextToken })).toEqual(["8"]);
    expect(await searched.tried({ querys: [], nextToken })).toMatch(/^invalid: nextToken was made for another search/);
    expect(await searched.tried({ querys, sorters: [], nextToken })).toMatch(/^invalid: sorters are others than those/);
    expect(await searched.tried({ querys, nextToken, skip: 1 })).toMatch(
      /^invalid: skip and nextToken exclude each other/,
    );
    // Whatever is changed in it, the answer is a page or a refusal.
    const bytes = atob(nextToken.replaceAll("-", "+").replaceAll("_", "/"));
    await fc.assert(
      fc.asyncProperty(fc.nat(bytes.length - 1), fc.nat(255), async (at, byte) => {
        const changed = btoa(bytes.slice(0, at) + String.fromCharCode(byte) + bytes.slice(at + 1));
        const answer = await searched.tried({ querys, nextToken: changed });
        expect(typeof answer === "string" ? answer : "limit: a page").toMatch(/^(invalid|limit): /);
      }),
      { seed: 5, numRuns: 200 },
    );
  });
});

test("no request makes a search throw (D76)", async () => {
  await withStorage(async (storage) => {
    const searched = new Searched(storage);
    await searched.define(COLUMNS);
    searched.putAll([[["a"], { kw: "a", txt: "some words 米饭", num: 1, loc: "1,2", obj: { a: 1 } }]]);
    const types = [
      "equal",
      "equalMany",
      "match",
      "matchPhrase",
      "range",
      "prefix",
      "wildcard",
      "exist",
      "nested",
      "constScore",
      "functionScore",
      "distance",
      "distanceBounding",
      "distancePolygon",
      "bool",
      "matchAll",
    ];
    const value = fc.oneof(
      fc.string({ unit: "binary" }),
      fc.constantFrom<unknown>(
        "a",
        '"',
        "NEAR(",
        "*",
        "txt:a",
        "1,2",
        "",
        "a.b",
        "\ud800",
        -0,
        Number.POSITIVE_INFINITY,
        null,
        true,
        {},
        [],
        ["1,2", "2,3", "3,1"],
      ),
      fc.double(),
    );
    const members = [
      "column",
      "value",
      "values",
      "rangeFrom",
      "rangeTo",
      "searchKey",
      "searchValue",
      "centerPoint",
      "distance",
      "topLeft",
      "bottomRight",
      "points",
      "factor",
      "operator",
      "minimumMatch",
      "includeFrom",
    ];
    const query = fc
      .record({
        queryType: fc.constantFrom(...types),
        column: fc.constantFrom("kw", "txt", "num", "loc", "obj", "off"),
      })
      .chain((base) =>
        fc
          .dictionary(fc.constantFrom(...members.slice(1)), value, { maxKeys: 6 })
          .map((more) => ({ ...more, ...base })),
      );
    const request = fc.record({
      querys: fc.array(query, { maxLength: 1 }),
      sorters: fc.oneof(
        fc.constant([]),
        value,
        fc.array(
          fc.record({
            sorterType: fc.constantFrom("column", "ids", "union", "distance"),
            columnName: fc.constantFrom("kw", "num", "loc"),
            points: value,
          }),
          { maxLength: 2 },
        ),
      ),
      getTotalCount: fc.boolean(),
      groupBy: fc.option(value, { freq: 1 }),
      highlight: fc.oneof(fc.constant(null), fc.constant({ columns: ["txt"] }), value),
      suggest: fc.option(value, { freq: 1 }),
    });
    let answered = 0;
    await fc.assert(
      fc.asyncProperty(request, async (given) => {
        const answer = await searched.tried(given);
        expect(typeof answer === "string" ? answer : "limit: an answer.").toMatch(/^(invalid|limit): .*\.$/s);
        if (typeof answer !== "string") answered += 1;
      }),
      { seed: 6, numRuns: 500 },
    );
    expect(answered).toBeGreaterThan(25);
  });
});
