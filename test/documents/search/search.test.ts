/** What a search finds, in which order, and what it refuses. */
import { describe, expect, test } from "vitest";
import { withStorage } from "../../support/workerd/engine.ts";
import { Searched } from "../../support/workerd/searched.ts";

const food: [string[], Record<string, unknown>][] = [
  [
    ["a"],
    {
      text: "我爱吃米饭",
      city: "上海市浦东区世纪街道",
      price: 10,
      tags: ["x", "y"],
      open: true,
      at: { zip: "1", n: [1, 2] },
    },
  ],
  [
    ["b"],
    {
      text: "爱吃楼下的米饭",
      city: "上海市黄浦区南京街道",
      price: 20,
      tags: ["y"],
      open: false,
      at: [{ zip: "1" }, { zip: "2" }],
    },
  ],
  [["c"], { text: "this and that", city: "北京", price: 5.5, tags: [], open: true }],
  [["d"], { text: "米", city: "", price: 20, open: true, at: { zip: "2", deep: { key: true } } }],
  [["e"], { text: "nothing", price: null }],
  [["f"], { text: 'col:x NEAR("a" b) OR c*', city: "Größe", price: -3, tags: [1, "z", true] }],
];

async function withFood(work: (searched: Searched) => Promise<void>): Promise<void> {
  await withStorage(async (storage) => {
    const searched = new Searched(storage);
    await searched.define();
    searched.putAll(food);
    await work(searched);
  });
}

const queries: [string, unknown[], string][] = [
  ["everything", [], "abcdef"],
  ["everything by matchAll", [{ queryType: "matchAll" }], "abcdef"],
  ["match finds any of the words", [{ queryType: "match", column: "text", value: "this is 米饭" }], "abcd"],
  ["match with and", [{ queryType: "match", column: "text", value: "this that", operator: "and" }], "c"],
  ["match with and of characters", [{ queryType: "match", column: "text", value: "米饭", operator: "and" }], "ab"],
  ["minimumMatch", [{ queryType: "match", column: "text", value: "this 米饭 that 爱吃", minimumMatch: 2 }], "abc"],
  [
    "minimumMatch 1 with and",
    [{ queryType: "match", column: "text", value: "米饭 that no", operator: "and", minimumMatch: 1 }],
    "abcd",
  ],
  ["matchPhrase", [{ queryType: "matchPhrase", column: "text", value: "爱吃米饭" }], "a"],
  ["equal", [{ queryType: "equal", column: "price", value: 20 }], "bd"],
  ["equal by columnName", [{ queryType: "equal", columnName: "open", value: true }], "acd"],
  ["equal of a list", [{ queryType: "equal", column: "tags", value: "y" }], "ab"],
  ["equal knows types", [{ queryType: "equal", column: "tags", value: 1 }], "f"],
  ["equal of another type", [{ queryType: "equal", column: "price", value: "20" }], ""],
  ["equalMany", [{ queryType: "equalMany", column: "tags", values: ["x", "y", true] }], "abf"],
  ["equalMany by value", [{ queryType: "equalMany", column: "price", value: [20, 5.5] }], "bcd"],
  ["constScore", [{ queryType: "constScore", column: "price", value: 20 }], "bd"],
  ["range", [{ queryType: "range", column: "price", rangeFrom: 5.5, rangeTo: 20 }], "abcd"],
  [
    "range without its ends",
    [{ queryType: "range", column: "price", rangeFrom: 5.5, rangeTo: 20, includeFrom: false, includeTo: false }],
    "a",
  ],
  ["range from", [{ queryType: "range", column: "price", rangeFrom: 6 }], "abd"],
  ["range to", [{ queryType: "range", column: "price", rangeTo: 6 }], "cf"],
  ["range of texts", [{ queryType: "range", column: "city", rangeFrom: "A", rangeTo: "上海市9" }], "f"],
  ["prefix", [{ queryType: "prefix", column: "city", value: "上海市" }], "ab"],
  ["prefix of all", [{ queryType: "prefix", column: "city", value: "" }], "abcdf"],
  ["wildcard", [{ queryType: "wildcard", column: "city", value: "上海市??区*街道" }], "ab"],
  ["wildcard at the start", [{ queryType: "wildcard", column: "city", value: "*南京*" }], "b"],
  ["wildcard of all", [{ queryType: "wildcard", column: "city", value: "*" }], "abcdf"],
  ["exist", [{ queryType: "exist", column: "city" }], "abcf"],
  ["exist of a list", [{ queryType: "exist", column: "tags" }], "abf"],
  ["exist of objects", [{ queryType: "exist", column: "at" }], "abd"],
  ["nested", [{ queryType: "nested", column: "at", searchKey: "zip", searchValue: "2" }], "bd"],
  ["nested, the column in the path", [{ queryType: "nested", searchKey: "at.deep.key", searchValue: true }], "d"],
  ["nested in a list", [{ queryType: "nested", column: "at", searchKey: "n", searchValue: 2 }], "a"],
  ["nested deeper", [{ queryType: "nested", column: "at", searchKey: "deep.key", searchValue: true }], "d"],
  ["functionScore", [{ queryType: "functionScore", column: "text", value: "米", factor: "price" }], "abd"],
  [
    "all queries must hold",
    [
      { queryType: "equal", column: "price", value: 20 },
      { queryType: "equal", column: "open", value: true },
    ],
    "d",
  ],
  [
    "bool",
    [
      {
        queryType: "bool",
        must: [{ queryType: "equal", column: "open", value: true }],
        mustNot: [{ queryType: "equal", column: "price", value: 20 }],
      },
    ],
    "ac",
  ],
  [
    "bool should",
    [
      {
        queryType: "bool",
        should: [
          { queryType: "equal", column: "price", value: 20 },
          { queryType: "equal", column: "open", value: true },
          { queryType: "prefix", column: "city", value: "北" },
        ],
        minimumShouldMatch: 2,
      },
    ],
    "cd",
  ],
  ["bool mustNot alone", [{ queryType: "bool", mustNot: [{ queryType: "exist", column: "tags" }] }], "cde"],
  ["bool of nothing", [{ queryType: "bool" }], "abcdef"],
  ["FTS5 syntax is text", [{ queryType: "match", column: "text", value: 'NEAR("x" z) {y} "' }], "f"],
  ["FTS5 columns are text", [{ queryType: "matchPhrase", column: "text", value: "col:x" }], "f"],
  ["no words", [{ queryType: "match", column: "text", value: "!?" }], ""],
  ["a column that no document has", [{ queryType: "equal", column: "none", value: 1 }], ""],
];

const orders = [
  [{ sorterType: "union" }],
  [{ sorterType: "column", columnName: "price", orderType: "asc" }],
  [{ sorterType: "column", columnName: "city" }],
];

const compareText = (a: string, b: string): number => (a < b ? -1 : 1);

/** The ids of all pages of two rows. */
async function inPages(searched: Searched, querys: unknown[], sorters: unknown[]): Promise<unknown[]> {
  const ids: unknown[] = [];
  let nextToken: string | undefined;
  do {
    const place = nextToken === undefined ? { sorters } : { nextToken };
    const page = await searched.search({ querys, rowsLimit: 2, ...place });
    ids.push(...page.data.map((row) => row.ids["id"]));
    nextToken = page.nextToken;
  } while (nextToken !== undefined);
  return ids;
}

describe("finds", () => {
  test("each kind of query, with its count, by ids and in every other order (D72)", async () => {
    await withFood(async (searched) => {
      for (const [what, querys, wanted] of queries) {
        const counted = await searched.search({ querys, getTotalCount: true });
        const only = await searched.search({ querys, rowsLimit: 0, getTotalCount: true });
        const found = {
          what,
          counted: counted.data.map(({ ids }) => ids["id"]).join(""),
          counts: [counted.totalCounts, only.totalCounts, only.data.length],
          nextToken: counted.nextToken,
          // Without the count, other ways lead to the rows.
          byIds: (await searched.ids({ querys })).join(""),
          backwards: (await searched.ids({ querys, sorters: [{ sorterType: "ids" }] })).toReversed().join(""),
        };
        const { length } = wanted;
        const expected = { what, counted: wanted, counts: [length, length, 0], byIds: wanted, backwards: wanted };
        expect(found).toEqual({ ...expected, nextToken: undefined });
        for (const sorters of orders) {
          const sorted = await searched.ids({ querys, sorters });
          expect({ what, sorters, ids: sorted.map(String).toSorted(compareText).join("") }).toEqual({
            what,
            sorters,
            ids: wanted,
          });
          expect({ what, sorters, ids: await inPages(searched, querys, sorters) }).toEqual({
            what,
            sorters,
            ids: sorted,
          });
        }
      }
    });
  });

  test("rows in the order of the sorters, missing ones last (D73)", async () => {
    await withFood(async (searched) => {
      const by = async (...sorters: unknown[]) => (await searched.ids({ sorters })).join("");
      const price = { sorterType: "column", columnName: "price" };
      expect(await by({ ...price, orderType: "asc" })).toBe("fcabde");
      expect(await by(price)).toBe("bdacfe");
      expect(await by({ ...price, orderType: "desc" }, { sorterType: "ids", orderType: "desc" })).toBe("dbacfe");
      expect(await by({ sorterType: "column", columnName: "tags", orderType: "asc" })).toBe("fabcde");
      expect(await by({ sorterType: "column", columnName: "tags", orderType: "desc" })).toBe("fabcde");
      expect(await by({ sorterType: "column", columnName: "open", orderType: "asc" }, price)).toBe(
        "bdaccfe".replace("cc", "c").replace("fe", "fe"),
      );
    });
  });

  test("rows by the distance of their places, of which the greatest counts descending (D73)", async () => {
    await withStorage(async (storage) => {
      const searched = new Searched(storage);
      await searched.define([{ name: "at", type: "geo", indexed: true }]);
      searched.putAll([
        [["a"], { at: ["0,1", "0,9"] }],
        [["b"], { at: "0,3" }],
        [["c"], { at: ["0,2", "0,4"] }],
        [["d"], {}],
      ]);
      const by = async (orderType: string, ...points: string[]) =>
        (await searched.ids({ sorters: [{ sorterType: "distance", columnName: "at", points, orderType }] })).join("");
      expect(await by("asc", "0,0")).toBe("acbd");
      expect(await by("desc", "0,0")).toBe("acbd");
      // The nearest of the points counts: 0,9 is at one of them.
      expect(await by("desc", "0,0", "0,9")).toBe("cbad");
      const querys = [{ queryType: "distance", column: "at", centerPoint: "0,0", distance: 350_000 }];
      const sorters = [{ sorterType: "distance", columnName: "at", points: ["0,0"] }];
      expect((await searched.ids({ querys, sorters })).join("")).toBe("acb");
    });
  });

  test("functionScore by any number of the document, indexed or not (D73)", async () => {
    await withStorage(async (storage) => {
      const searched = new Searched(storage);
      await searched.define([
        { name: "text", type: "text", indexed: true },
        { name: "weight", type: "number", indexed: false },
      ]);
      searched.putAll([
        [["a"], { text: "rice", weight: 1, other: 3 }],
        [["b"], { text: "rice", weight: 2, other: -1 }],
        [["c"], { text: "rice", other: 9 }],
      ]);
      const by = async (factor: string) =>
        (
          await searched.ids({
            querys: [{ queryType: "functionScore", column: "text", value: "rice", factor }],
            sorters: [{ sorterType: "union" }],
          })
        ).join("");
      expect(await by("weight")).toBe("bac");
      expect(await by("other")).toBe("cab");
      expect(await by("none")).toBe("abc");
    });
  });

  test("rows with a whole word before those with its characters (D71)", async () => {
    await withFood(async (searched) => {
      const querys = [{ queryType: "match", column: "text", value: "爱吃米饭" }];
      expect((await searched.ids({ querys, sorters: [{ sorterType: "union" }] })).join("")).toBe("abd");
    });
  });
});

describe("answers", () => {
  test("the columns of getColumns, and nextToken only where more follows (D74)", async () => {
    await withFood(async (searched) => {
      const { data, nextToken } = await searched.search({ getColumns: ["price"], rowsLimit: 6 });
      expect(data[0]).toEqual({ ids: { id: "a" }, columns: { price: 10 } });
      expect(nextToken).toBeUndefined();
    });
  });

  test("marked fragments (D80)", async () => {
    await withFood(async (searched) => {
      const querys = [{ queryType: "match", column: "text", value: "this 米饭 near" }];
      const { data } = await searched.search({ querys, highlight: { columns: ["text", "city"] } });
      expect(data.map(({ highlight }) => highlight)).toEqual([
        { text: ["我爱吃<em>米饭</em>"] },
        { text: ["爱吃楼下的<em>米饭</em>"] },
        { text: ["<em>this</em> and that"] },
        { text: ["<em>米</em>"] },
        { text: ['col:x <em>NEAR</em>("a" b) OR c*'] },
      ]);
      searched.put(["g"], { text: ["x", `${"lorem ".repeat(50)}Größe STRASSE ${"ipsum ".repeat(50)}straße 😀`] });
      const long = await searched.search({
        querys: [{ queryType: "matchPhrase", column: "text", value: "grosse straße" }],
        highlight: { columns: ["text"], preTag: "[", postTag: "]", fragmentSize: 40, fragments: 2 },
      });
      expect(long.data[0]?.highlight).toEqual({ text: ["rem lorem [Größe] [STRASSE] ipsum ipsum ipsu"] });
    });
  });

  test("groups with what is computed of them (D81)", async () => {
    await withFood(async (searched) => {
      const groupBy = { column: "open", sum: ["price"], avg: ["price"], min: ["price"], max: ["price"] };
      const { groups, data } = await searched.search({ groupBy, rowsLimit: 1 });
      expect(data.length).toBe(1);
      expect(groups).toEqual([
        {
          value: true,
          count: 3,
          min: { price: 5.5 },
          max: { price: 20 },
          sum: { price: 35.5 },
          avg: { price: 35.5 / 3 },
        },
        { value: false, count: 1, min: { price: 20 }, max: { price: 20 }, sum: { price: 20 }, avg: { price: 20 } },
      ]);
      const tags = await searched.search({ groupBy: { column: "tags" }, rowsLimit: 0 });
      expect(tags.groups?.map(({ value, count }) => [value, count])).toEqual([
        ["y", 2],
        [1, 1],
        ["x", 1],
        ["z", 1],
        [true, 1],
      ]);
      searched.putAll(Array.from({ length: 1001 }, (_, i) => [[`n${i}`], { many: i }]));
      expect(await searched.tried({ groupBy: { column: "many" } })).toMatch(
        /^limit: groupBy.column has more than 1000 values/,
      );
    });
  });

  test("suggestions for what somebody begins to write (D82)", async () => {
    await withFood(async (searched) => {
      searched.putAll([
        [["s1"], { text: "Restaurant am Ring" }],
        [["s2"], { text: "Das Restaurant und das Rathaus" }],
        [["s3"], { text: ["die Rasten", "我去饭馆吃饭"] }],
      ]);
      const texts = async (prefix: string) =>
        (await searched.search({ rowsLimit: 0, suggest: { column: "text", prefix } })).suggestions;
      expect(await texts("R")).toEqual([
        { text: "restaurant", documents: 2 },
        { text: "rasten", documents: 1 },
        { text: "rathaus", documents: 1 },
        { text: "ring", documents: 1 },
      ]);
      expect(await texts("das re")).toEqual([{ text: "das restaurant", documents: 1 }]);
      expect(await texts("饭")).toContainEqual({ text: "饭馆", documents: 1 });
      expect(await texts("!")).toEqual([]);
    });
  });
});
