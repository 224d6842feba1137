/** Definitions of tables, at a real object. */
import { beforeAll, describe, expect, test } from "vitest";
import { decodeV8 } from "../../src/codec/v8/codec.ts";
import { MAX_DEFINED_COLUMNS, MAX_DEFINITIONS_BYTES, MAX_TABLES } from "../../src/core/document-limits.ts";
import { commit } from "../support/workerd/database-object.ts";
import { DocumentDatabase, MAX, MIN } from "../support/workerd/documents.ts";
import { key, set, write } from "../support/workerd/engine.ts";

let database: DocumentDatabase;
beforeAll(async () => void (database = await DocumentDatabase.make()));

let tables = 0;
const fresh = () => ({ tableId: `table${(tables += 1)}` });
const string = (name: string) => ({ name, type: "string" });
const integer = (name: string) => ({ name, type: "integer" });

async function stored(tableId: string): Promise<unknown> {
  const entry = await database.entry(["CDB:tables", "shop", tableId]);
  const decoded = decodeV8(entry?.value ?? new Uint8Array());
  return decoded.ok ? decoded.value : undefined;
}

describe("a definition", () => {
  test("is an entry, which is shown, listed and deleted; the documents stay (D17)", async () => {
    const table = fresh();
    const ids = [string("a"), integer("b")];
    const columns = [
      { name: "city", type: "keyword", indexed: true },
      { name: "city", type: "text", indexed: true },
      { name: "price", type: "number", indexed: false },
    ];
    const given = columns.map(({ indexed, ...column }) => (indexed ? column : { ...column, indexed }));
    const info = { appId: "shop", ...table, ids, columns, inferred: false };
    const made = await database.define({ ids, columns: given, other: "ignored" }, table);
    expect(made).toMatchObject({ ok: true, kind: "table", table: info, isNew: true });
    expect(await database.define({ ids, columns }, table)).toMatchObject({ table: info, isNew: false });
    expect(await stored(table.tableId)).toEqual({ ids, columns, inferred: false });
    expect(await database.tables({ command: "get", ...table })).toMatchObject({ table: info });
    await database.create({ b: 1, a: "x" }, { price: 1 }, table);
    expect(await database.count(["shop", table.tableId])).toBe(1);
    expect(await database.tables({ command: "delete", ...table })).toEqual({ ok: true, kind: "deleted" });
    const none = `not-found: There is no table "${table.tableId}" of app "shop". A definition makes one, or its first document.`;
    expect(await database.tables({ command: "get", ...table })).toBe(none);
    expect(await database.tables({ command: "delete", ...table })).toBe(none);
    expect(await database.count(["shop", table.tableId])).toBe(1);
  });

  test("that is the same again writes nothing (D17)", async () => {
    const table = fresh();
    await database.define({ ids: [string("a")] }, table);
    const before = await database.entry(["CDB:tables", "shop", table.tableId]);
    await database.define({ ids: [string("a")], columns: null }, table);
    expect(await database.entry(["CDB:tables", "shop", table.tableId])).toEqual(before);
  });

  test("says the order and the types of the ids, all of which must be given (D17)", async () => {
    const table = fresh();
    await database.define({ ids: [string("a"), integer("b")] }, table);
    expect(await database.create({ b: 1, a: "x" }, {}, table)).toEqual({ ids: { a: "x", b: 1 } });
    expect(await database.entry(["shop", table.tableId, "x", 1])).toBeDefined();
    const wrong: [object, string][] = [
      [{ a: "x" }, "invalid: ids.b is missing; the ids of this table are a, b."],
      [{ a: "x", b: 1, c: 1 }, "invalid: ids.c is no id of this table; its ids are a, b."],
      [{ a: "x", b: "1" }, 'type-mismatch: ids.b is "1"; in this table it is an integer.'],
      [{ a: 1, b: 1 }, "type-mismatch: ids.a is 1; in this table it is a string."],
    ];
    for (const [ids, refusal] of wrong) {
      for (const action of ["get", "create", "update", "delete"]) {
        expect(await database.ask({ action, ids, columns: {}, ...table })).toBe(refusal);
      }
      expect(await database.getMany(ids, { a: MIN, b: MIN }, table)).toBe(refusal);
      expect(await database.getMany({ a: MAX, b: MAX }, ids, table)).toBe(refusal.replaceAll("ids.", "endIds."));
    }
    expect(await database.create({ a: "x", b: 2 }, { a: 1 }, table)).toBe(
      'invalid: columns["a"] is an id of this table; an id stands in ids, not in columns.',
    );
  });

  test("refuses values of another type than the column's (D18)", async () => {
    const table = fresh();
    const types = ["keyword", "text", "integer", "number", "boolean", "geo", "nested"];
    await database.define({ ids: [string("id")], columns: types.map((type) => ({ name: type, type })) }, table);
    const good: Record<string, unknown[]> = {
      keyword: ["", "x", ["a", "b"], []],
      text: ["x", ["a"]],
      integer: [0, -5, [1, 2]],
      number: [0.5, [1, 2.5]],
      boolean: [true, [false]],
      geo: ["31.23,121.47", "-90, 180", ["0,0", "+1.5,-.5"]],
      nested: [{}, { a: 1 }, [{ a: 1 }, { b: 2 }]],
    };
    const others: Record<string, unknown[]> = {
      keyword: [1, true, {}, ["a", 1], [null]],
      text: [1, {}, [["a"]]],
      integer: [0.5, "1", 2 ** 60, [1, "2"]],
      number: ["1", true, {}],
      boolean: [0, "true", [1]],
      geo: ["91,0", "0,181", "1", "1,2,3", "a,b", 5, ["0,0", "x"], `${"0".repeat(200)},0`],
      nested: ["x", 1, [1], [[]]],
    };
    for (const type of types) {
      for (const value of good[type] ?? []) {
        expect(await database.create({ id: "x" }, { [type]: value, other: 5 }, table)).toEqual({ ids: { id: "x" } });
        expect(await database.update({ id: "x" }, { [type]: null }, table)).toEqual({ ids: { id: "x" } });
      }
      for (const value of others[type] ?? []) {
        for (const action of ["create", "update"]) {
          expect(await database.ask({ action, ids: { id: "x" }, columns: { [type]: value }, ...table })).toMatch(
            new RegExp(`^type-mismatch: columns\\["${type}"\\] is .*; the table defines it as ${type}: it must be `),
          );
        }
      }
    }
    expect(await database.update({ id: "new" }, { keyword: 1 }, { ...table, updateType: "increment" })).toMatch(
      'type-mismatch: columns["keyword"] is 1; the table defines it as keyword',
    );
    expect(await database.get({ id: "new" }, table)).toBeNull();
  });

  test("is made by the first create or update, in one commit with its document (D19)", async () => {
    for (const action of ["create", "update"]) {
      const table = fresh();
      const ids = { z: "CDB", a: 5 };
      expect(await database.ask({ action, ids, columns: {}, ...table })).toEqual({ ids });
      const inferred = { ids: [string("z"), integer("a")], inferred: true };
      expect(await stored(table.tableId)).toEqual(inferred);
      const entries = [
        await database.entry(["shop", table.tableId, "CDB", 5]),
        await database.entry(["CDB:tables", "shop", table.tableId]),
      ];
      expect(entries[0]?.versionstamp).toEqual(entries[1]?.versionstamp);
      expect(await database.tables({ command: "get", ...table })).toMatchObject({
        table: { columns: null, ...inferred },
      });
      expect(await database.ask({ action, ids: { a: 5, z: "CDB" }, columns: { n: 1 }, ...table })).toEqual({ ids });
    }
    const table = fresh();
    const refused = await database.create({ a: "x" }, {}, { ...table, condition: { type: "exist" } });
    expect(refused).toMatch("precondition-failed");
    expect(await stored(table.tableId)).toBeUndefined();
  });

  test("of a new table is decided by one of its first creates, when they come at once (D19)", async () => {
    const table = fresh();
    const orders = [
      { a: "x", b: 1 },
      { b: 1, a: "x" },
    ];
    const answers = await Promise.all(
      Array.from({ length: 20 }, (_, index) => database.create(orders[index % 2] ?? {}, {}, table)),
    );
    expect(answers.every((answer) => answer.ids.a === "x" && answer.ids.b === 1)).toBe(true);
    expect(await database.count(["shop", table.tableId])).toBe(1);
  });

  test("with other ids is refused while there is anything under the table (D20)", async () => {
    const table = fresh();
    await database.create({ a: "x" }, {}, table);
    expect(await database.define({ ids: [string("a"), string("b")] }, table)).toBe(
      "conflict: The table has documents, whose ids are a (string); a definition with other ids does not fit them. Delete the documents first, or name another table.",
    );
    expect(await database.define({ ids: [integer("a")] }, table)).toMatch("conflict");
    // Another name, and other columns.
    expect(
      await database.define({ ids: [string("c")], columns: [{ name: "n", type: "number" }] }, table),
    ).toMatchObject({
      ok: true,
    });
    expect(await database.get({ c: "x" }, table)).toEqual({ ids: { c: "x" }, columns: {} });
    // The definition that was used last is not used after it has changed, whichever program changes it.
    await database.set(["CDB:tables", "shop", table.tableId], { ids: [string("e")] });
    expect(await database.get({ e: "x" }, table)).toEqual({ ids: { e: "x" }, columns: {} });
    await database.define({ ids: [string("c")] }, table);
    await database.delete({ c: "x" }, table);
    expect(await database.define({ ids: [integer("a")] }, table)).toMatchObject({ ok: true, isNew: false });
  });

  test("that another program wrote wrong defines no table and is not overwritten by a document (D21)", async () => {
    for (const value of [5, { ids: [] }, { ids: [{ name: "a", type: "blob" }] }, [], { ids: "a" }]) {
      const table = fresh();
      await database.set(["CDB:tables", "shop", table.tableId], value);
      expect(await database.tables({ command: "get", ...table })).toMatch("not-found");
      expect(await database.create({ a: "x" }, {}, table)).toBe(
        'type-mismatch: The entry ["CDB:tables", appId, tableId] is no valid definition of this table; another program has written it. Define the table, or delete the entry.',
      );
      expect(await database.define({ ids: [string("a")] }, table)).toMatchObject({ ok: true, isNew: true });
      expect(await database.create({ a: "x" }, {}, table)).toEqual({ ids: { a: "x" } });
    }
    const table = fresh();
    await database.set(["CDB:tables", "shop", table.tableId], { ids: [string("a")], inferred: "yes", more: 1 });
    expect(await database.create({ b: "x" }, {}, table)).toMatch("ids.b is no id of this table");
  });
});

const wrongDefinitions: [string, unknown, string][] = [
  ["no object", 5, 'definition is 5; it must be an object like {"ids":[{"name":"id","type":"string"}]}'],
  ["no ids", {}, "definition.ids is missing; it must be an array"],
  ["empty ids", { ids: [] }, "definition.ids is empty; a table has at least one id"],
  ["five ids", { ids: ["a", "b", "c", "d", "e"].map(string) }, "definition.ids has 5 members; the limit is 4"],
  [
    "an id without a type",
    { ids: [{ name: "a" }] },
    "definition.ids[0].type is missing; it must be one of string, integer",
  ],
  [
    "an id without a name",
    { ids: [{ type: "string" }] },
    "definition.ids[0].name is missing; it must be the name of a column: a string of at least one character",
  ],
  [
    "a number as id",
    { ids: [string("1")] },
    'definition.ids[0].name is "1"; it must not be a number, because JSON does not keep the order of such ids',
  ],
  ["an id twice", { ids: [string("a"), integer("a")] }, 'definition.ids[1].name is "a", which another id has already'],
  ["a long id", { ids: [string("é".repeat(128))] }, "definition.ids[0].name has 256 bytes; the limit is 255"],
  [
    "half a character",
    { ids: [string("\ud800")] },
    "definition.ids[0].name has half of a surrogate pair, which is no character",
  ],
  [
    "columns of another type",
    { ids: [string("a")], columns: {} },
    "definition.columns is an object; it must be an array",
  ],
  [
    "too many columns",
    { ids: [string("a")], columns: Array.from({ length: MAX_DEFINED_COLUMNS + 1 }, () => 1) },
    `definition.columns has ${MAX_DEFINED_COLUMNS + 1} members; the limit is ${MAX_DEFINED_COLUMNS}`,
  ],
  [
    "a column without a type",
    { ids: [string("a")], columns: [{ name: "b" }] },
    "definition.columns[0].type is missing; it must be one of keyword, text, integer, number, boolean, geo, nested",
  ],
  [
    "a column that is an id",
    { ids: [string("a")], columns: [{ name: "a", type: "text" }] },
    'definition.columns[0].name is "a", which is an id; an id is no column',
  ],
  [
    "a column twice",
    {
      ids: [string("a")],
      columns: [
        { name: "b", type: "text" },
        { name: "b", type: "number" },
      ],
    },
    'definition.columns[1].name is "b", which another column has already. Only a string may have two types: keyword and text',
  ],
  [
    "a column twice with one type",
    {
      ids: [string("a")],
      columns: [
        { name: "b", type: "text" },
        { name: "b", type: "text" },
      ],
    },
    'definition.columns[1].name is "b", which another column has already',
  ],
  [
    "indexed of another type",
    { ids: [string("a")], columns: [{ name: "b", type: "text", indexed: "no" }] },
    'definition.columns[0].indexed is "no"; it must be true or false',
  ],
];

test.each(wrongDefinitions)(
  "a definition with %s is refused, and nothing is written (D22)",
  async (_what, definition, said) => {
    const table = fresh();
    const refused = await database.tables({ command: "define", definition, ...table });
    expect(refused).toMatch(/^(invalid|limit): /);
    expect(refused).toContain(said);
    expect(await stored(table.tableId)).toBeUndefined();
  },
);

test("a definition with 500 columns fits; one that is longer than 32 KiB is refused, and defines nothing where another program wrote it (D22)", async () => {
  const table = fresh();
  const columnsOf = (length: number) =>
    Array.from({ length: MAX_DEFINED_COLUMNS }, (_, index) => ({
      name: `${index}`.padStart(length, "x"),
      type: "keyword",
    }));
  const ids = [string("id")];
  expect(await database.define({ ids, columns: columnsOf(20) }, table)).toMatchObject({ ok: true, isNew: true });
  expect(await database.define({ ids, columns: columnsOf(40) }, table)).toMatch(
    /^limit: definition has \d+ bytes as it is stored; the limit is 32768\.$/,
  );
  const long = fresh();
  await database.set(["CDB:tables", "shop", long.tableId], { ids, columns: columnsOf(40) });
  expect(await database.tables({ command: "get", ...long })).toMatch("not-found");
});

const wrongNames: [unknown, string][] = [
  ["", 'is ""; it must be a string of at least one character, for example "shop"'],
  [5, "is 5; it must be a string of at least one character"],
  [undefined, "is missing; it must be a string"],
  ["a/b", 'is "a/b"; it must have no slash, which parts an app from its table'],
  ["CDB:tables", "begins with CDB:, which is reserved"],
  ["x".repeat(256), "has 256 bytes; the limit is 255"],
  ["\udfff", "has half of a surrogate pair, which is no character"],
];

test.each(wrongNames)("the name %j of an app or a table is refused (D22)", async (name, said) => {
  for (const member of ["appId", "tableId"]) {
    expect(await database.define({ ids: [string("a")] }, { [member]: name })).toContain(`${member} ${said}`);
    for (const action of ["get", "getMany", "create", "update", "delete", "search"]) {
      expect(await database.ask({ action, ids: { a: "x" }, columns: {}, [member]: name })).toContain(
        `${member} ${said}`,
      );
    }
  }
});

test("a list of tables has pages, in the order of apps and tables (D17)", async () => {
  const own = await DocumentDatabase.make();
  const names = ["a/1", "a/2", "b/1", "b/2", "c/1"].map((name) => name.split("/"));
  for (const [appId, tableId] of names) await own.define({ ids: [string("id")] }, { appId, tableId });
  await own.set(["CDB:tables", "b", "1", "more"], {});
  await own.set(["CDB:tables", "b", "1b"], "no definition");
  for (const limit of [1, 2, 3, 100]) {
    const seen: string[][] = [];
    let cursor: string | null = null;
    for (let pages = 0; pages < 10; pages++) {
      const page = await own.tables({ command: "list", appId: null, limit, cursor });
      expect(page.tables.length).toBeLessThanOrEqual(limit);
      seen.push(...page.tables.map(({ appId, tableId }: { appId: string; tableId: string }) => [appId, tableId]));
      cursor = page.next;
      if (cursor === null) break;
    }
    expect(seen).toEqual(names);
  }
  const ofApp = await own.tables({ command: "list", appId: "b", limit: 10, cursor: null });
  expect(ofApp.tables.map(({ tableId }: { tableId: string }) => tableId)).toEqual(["1", "2"]);
  for (const cursor of ["?", "_w"]) {
    expect(await own.tables({ command: "list", appId: null, limit: 10, cursor })).toMatch(
      "invalid: cursor is not one that this list of tables has given.",
    );
  }
});

test(`a database has at most ${MAX_TABLES} tables (D22)`, async () => {
  const own = await DocumentDatabase.make();
  const keys = Array.from({ length: MAX_TABLES - 1 }, (_, index) => key("CDB:tables", "app", `t${index}`));
  await commit(own.stub, write(keys.map((one) => set(one, new Uint8Array(1)))));
  expect(await own.create({ a: "x" }, {})).toEqual({ ids: { a: "x" } });
  const refused = `limit: This database has ${MAX_TABLES} tables; the limit is ${MAX_TABLES}. Delete the definition of one that is not needed.`;
  expect(await own.create({ a: "x" }, {}, { tableId: "more" })).toBe(refused);
  expect(await own.define({ ids: [string("a")] }, { tableId: "more" })).toBe(refused);
  expect(await own.define({ ids: [string("b")] })).toMatchObject({ ok: true });
});

test(`definitions have at most ${MAX_DEFINITIONS_BYTES} bytes together (D22)`, async () => {
  const own = await DocumentDatabase.make();
  const columns = (count: number) =>
    Array.from({ length: count }, (_, i) => ({
      name: `a long name of a column ${i}`,
      type: "keyword",
      indexed: false,
    }));
  const wide = { ids: [string("a")], columns: columns(MAX_DEFINED_COLUMNS) };
  let made = 0;
  let answer: unknown;
  do answer = await own.define(wide, { tableId: `t${made++}` });
  while (typeof answer !== "string" && made < 200);
  expect(answer).toMatch(
    /^limit: With this definition .* have definitions of 2\d{6} bytes; the limit is 2097152\. Name/,
  );
  expect(made).toBeGreaterThan(50);
  // A narrower definition of a table that is there has room, also when that is used up.
  expect(await own.define({ ids: [string("a")], columns: columns(1) }, { tableId: "t0" })).toMatchObject({ ok: true });
  expect(await own.define(wide, { tableId: "t0" })).toMatchObject({ ok: true });
});
