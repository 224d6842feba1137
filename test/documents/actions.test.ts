/** What each action does, at a real object. */
import { beforeAll, describe, expect, test } from "vitest";
import { toBase64Url } from "../../src/codec/base64url.ts";
import { decodeV8 } from "../../src/codec/v8/codec.ts";
import { asUnixMs } from "../../src/core/clock.ts";
import { toHex } from "../../src/core/bytes.ts";
import { Encoding } from "../../src/core/operations.ts";
import { everything } from "../support/workerd/database-object.ts";
import { DocumentDatabase, MAX, MIN } from "../support/workerd/documents.ts";
import { key } from "../support/workerd/engine.ts";

let database: DocumentDatabase;
beforeAll(async () => void (database = await DocumentDatabase.make()));

let ids = 0;
const fresh = () => ({ orderId: `order${(ids += 1)}` });

describe("one document", () => {
  test("is created, read, updated and deleted (D1, D2, D8, D9)", async () => {
    const id = fresh();
    expect(await database.get(id)).toBeNull();
    expect(await database.create(id, { city: "上海", price: 5, gone: null })).toEqual({ ids: id });
    expect(await database.get(id)).toEqual({ ids: id, columns: { city: "上海", price: 5 } });
    expect(await database.get(id, { getColumns: ["price", "none"] })).toEqual({ ids: id, columns: { price: 5 } });
    expect(await database.update(id, { city: null, tags: ["a", "b"] })).toEqual({ ids: id });
    expect(await database.get(id)).toEqual({ ids: id, columns: { price: 5, tags: ["a", "b"] } });
    expect(await database.create(id, { only: true })).toEqual({ ids: id });
    expect(await database.get(id)).toEqual({ ids: id, columns: { only: true } });
    expect(await database.delete(id)).toEqual({ success: true });
    expect(await database.delete(id)).toEqual({ success: true });
    expect(await database.get(id)).toBeNull();
    expect(await database.update(id, { made: "by update" })).toEqual({ ids: id });
    expect(await database.get(id)).toEqual({ ids: id, columns: { made: "by update" } });
  });

  test("is the entry [appId, tableId, ...ids] with its columns as a V8 object (D1)", async () => {
    const id = fresh();
    const columns = { nested: { deep: [1, { two: 2 }], type: "Date", value: "no notation" }, __proto__: "lost" };
    const text = JSON.stringify({ appId: "shop", tableId: "orders", action: "create", ids: id, columns });
    await database.send(text.replace('"nested"', '"__proto__":{"own":1},"nested"'));
    const entry = await database.entry(["shop", "orders", id.orderId]);
    expect(entry?.encoding).toBe(Encoding.v8);
    const decoded = decodeV8(entry?.value ?? new Uint8Array());
    expect(JSON.stringify(decoded.ok && decoded.value)).toBe(
      '{"__proto__":{"own":1},"nested":{"deep":[1,{"two":2}],"type":"Date","value":"no notation"}}',
    );
    const answer = await database.stub.documents(everything, {
      text: JSON.stringify({ appId: "shop", tableId: "orders", action: "get", ids: id }),
    });
    expect(answer.ok && answer.results).toEqual([
      {
        subject: { appId: "shop", tableId: "orders", action: "get" },
        result: {
          ok: true,
          json: `{"ids":{"orderId":"${id.orderId}"},"columns":{"__proto__":{"own":1},"nested":{"deep":[1,{"two":2}],"type":"Date","value":"no notation"}}}`,
        },
      },
    ]);
  });

  test("of another program is shown in JSON, and in the notation where JSON cannot say it; an update keeps it (D3)", async () => {
    const id = fresh();
    const target = ["shop", "orders", id.orderId];
    const shared = { a: 1 };
    await database.set(target, {
      at: new Date(0),
      big: 12n,
      bytes: Uint8Array.of(0, 255),
      map: new Map([["k", 1]]),
      none: undefined,
      plain: [1, "x", null],
      one: shared,
      other: shared,
    });
    const columns = {
      at: { type: "Date", value: "1970-01-01T00:00:00.000Z" },
      big: { type: "bigint", value: "12" },
      bytes: { type: "Uint8Array", value: "AP8", byteLength: 2 },
      map: {
        type: "Map",
        value: [
          [
            { type: "string", value: "k" },
            { type: "number", value: 1 },
          ],
        ],
      },
      none: { type: "undefined" },
      plain: [1, "x", null],
      one: { a: 1 },
      other: { a: 1 },
    };
    expect(await database.get(id)).toEqual({ ids: id, columns });
    await database.update(id, { plain: 1 });
    expect(await database.get(id)).toEqual({ ids: id, columns: { ...columns, plain: 1 } });
    const entry = await database.entry(target);
    const decoded = decodeV8(entry?.value ?? new Uint8Array());
    expect(decoded.ok && decoded.value).toMatchObject({ at: new Date(0), big: 12n, map: new Map([["k", 1]]) });
  });

  test("whose columns share one large object is shown as its bytes, not many times as long (D3)", async () => {
    const id = fresh();
    const shared = Array.from({ length: 2_000 }, (_, index) => index);
    const columns = Object.fromEntries(Array.from({ length: 5_000 }, (_, index) => [`c${index}`, shared]));
    await database.set(["shop", "orders", id.orderId], columns);
    const found = await database.get(id);
    expect(found.columns).toMatchObject({ type: "v8", value: expect.any(String) });
    expect(await database.get(id, { getColumns: ["c7"] })).toEqual({ ids: id, columns: { c7: shared } });
  });

  test("keeps its expiry when it is updated, not when it is created anew, and is none once it has expired (D4)", async () => {
    const [kept, renewed, past] = [fresh(), fresh(), fresh()];
    const soon = Date.now() + 600_000;
    for (const { orderId } of [kept, renewed]) await database.set(["shop", "orders", orderId], { n: 1 }, soon);
    await database.update(kept, { n: 2 });
    await database.update(kept, { n: 1 }, { updateType: "increment" });
    await database.create(renewed, { n: 2 });
    const { stub } = database;
    const list = await stub.entries(everything, {
      command: "get",
      keys: [kept, renewed].map(({ orderId }) => key("shop", "orders", orderId)),
    });
    const { decodeEntryList } = await import("../../src/codec/entry-list.ts");
    const entries = list instanceof Uint8Array ? decodeEntryList(list) : list;
    expect(entries.ok && entries.entries.map((entry) => entry?.expiresAt)).toEqual([asUnixMs(soon), null]);
    await database.set(["shop", "orders", past.orderId], { n: 1 }, Date.now() - 1);
    expect(await database.get(past)).toBeNull();
    expect(await database.create(past, {}, { condition: { type: "notExist" } })).toEqual({ ids: past });
  });

  test("has the integer 0 as id, also where a request says -0 (D1)", async () => {
    const text = (action: string) =>
      `{"appId":"shop","tableId":"zero","action":"${action}","ids":{"n":-0},"columns":{}}`;
    expect(await database.send(text("create"))).toEqual({ ids: { n: 0 } });
    expect(await database.get({ n: 0 }, { tableId: "zero" })).toEqual({ ids: { n: 0 }, columns: {} });
    expect(await database.entry(["shop", "zero", 0])).toBeDefined();
  });

  test("is not what holds no object: that is shown by no action and never overwritten (D5)", async () => {
    const refused =
      "type-mismatch: The entry with these ids is no document, because its value is no object. Another program has written it; it stays as it is.";
    for (const value of [5, null, [1], new Date(0), new Map(), "text"]) {
      const id = fresh();
      await database.set(["shop", "orders", id.orderId], value);
      expect(await database.get(id)).toBeNull();
      expect(await database.create(id, {})).toBe(refused);
      expect(await database.update(id, {})).toBe(refused);
      expect(await database.delete(id)).toBe(refused);
      expect(await database.update(id, { n: 1 }, { updateType: "increment" })).toBe(refused);
      const entry = await database.entry(["shop", "orders", id.orderId]);
      const decoded = decodeV8(entry?.value ?? new Uint8Array());
      expect(decoded).toEqual({ ok: true, value });
    }
    const id = fresh();
    await database.setBytes(["shop", "orders", id.orderId], new Uint8Array(8), Encoding.le64);
    expect(await database.create(id, {})).toBe(refused);
  });
});

describe("increments (D10)", () => {
  test("add integers, from 0 where there is none, and answer the results", async () => {
    const id = fresh();
    const increment = (columns: object) => database.update(id, columns, { updateType: "increment" });
    expect(await increment({ n: 5, m: -2 })).toEqual({ columns: { n: 5, m: -2 } });
    expect(await increment({ n: -5 })).toEqual({ columns: { n: 0 } });
    expect(await database.get(id)).toEqual({ ids: id, columns: { n: 0, m: -2 } });
    await database.update(id, { n: Number.MAX_SAFE_INTEGER, text: "x", half: 0.5 });
    await database.set(["shop", "orders", "big"], { n: 5n });
    expect(await increment({ m: 1, n: 1 })).toBe(
      'type-mismatch: columns["n"] would be 9007199254740991 + 1, which is not from -(2^53-1) to 2^53-1. Nothing was written.',
    );
    for (const column of ["text", "half"]) {
      expect(await increment({ [column]: 1 })).toBe(
        `type-mismatch: columns["${column}"] of the document is not an integer from -(2^53-1) to 2^53-1, so it cannot be incremented.`,
      );
    }
    expect(await database.update({ orderId: "big" }, { n: 1 }, { updateType: "increment" })).toMatch("type-mismatch");
    expect(await database.get(id)).toMatchObject({ columns: { m: -2 } });
    for (const wrong of [1.5, "1", null, true, [], 1e300]) {
      expect(await increment({ n: wrong })).toMatch(/^invalid: columns\["n"\] is .*; it must be an integer from/);
    }
  });

  test("of one column at once are all counted", async () => {
    const id = fresh();
    const answers = await Promise.all(
      Array.from({ length: 50 }, () => database.update(id, { n: 1 }, { updateType: "increment" })),
    );
    expect(answers.map(({ columns }) => columns.n).toSorted((a, b) => a - b)).toEqual(
      Array.from({ length: 50 }, (_, index) => index + 1),
    );
  });
});

describe("conditions", () => {
  test("of existence are looked at first (D6)", async () => {
    const id = fresh();
    const exist = { condition: { type: "exist" } };
    const notExist = { condition: { type: "notExist" } };
    const missing =
      'precondition-failed: The condition does not hold: there is no document with these ids, and condition.type is "exist". Nothing was written.';
    const there =
      'precondition-failed: The condition does not hold: there is a document with these ids, and condition.type is "notExist". Nothing was written.';
    expect(await database.create(id, { n: 1 }, exist)).toBe(missing);
    expect(await database.update(id, { n: 1 }, exist)).toBe(missing);
    expect(await database.delete(id, exist)).toBe(missing);
    expect(await database.get(id)).toBeNull();
    expect(await database.update(id, { n: 1 }, notExist)).toEqual({ ids: id });
    expect(await database.create(id, { n: 2 }, notExist)).toBe(there);
    expect(await database.update(id, { n: 2 }, notExist)).toBe(there);
    expect(await database.delete(id, notExist)).toBe(there);
    expect(await database.get(id)).toEqual({ ids: id, columns: { n: 1 } });
    expect(await database.create(id, { n: 3 }, exist)).toEqual({ ids: id });
  });

  test("of columns hold or not, and decide each write (D6)", async () => {
    const id = fresh();
    const condition = (column: string, symbol: string, value: unknown) => ({
      condition: { conditionList: [{ column, symbol, value }] },
    });
    const refused =
      "precondition-failed: The condition does not hold: condition.conditionList does not hold for the document's price. Nothing was written.";
    await database.create(id, { price: 5 });
    expect(await database.update(id, { price: 6 }, condition("price", "<", 5))).toBe(refused);
    expect(await database.delete(id, condition("price", "<", 5))).toBe(refused);
    expect(await database.create(id, {}, condition("price", "<", 5))).toBe(refused);
    expect(await database.update(id, { price: 6 }, condition("price", "<=", 5))).toEqual({ ids: id });
    expect(await database.update(id, { price: 7 }, condition("orderId", "=", id.orderId))).toEqual({ ids: id });
    expect(await database.delete(id, condition("price", "=", 7))).toEqual({ success: true });
    // There is no document, so the column is missing.
    expect(await database.delete(id, condition("price", "=", 7))).toBe(refused);
    expect(await database.create(id, {}, condition("price", "!=", 7))).toEqual({ ids: id });
  });

  test("and their writes are one step: of twenty at once exactly one wins (D7)", async () => {
    const [made, locked] = [fresh(), fresh()];
    const at = <T>(work: () => Promise<T>) => Promise.all(Array.from({ length: 20 }, work));
    const creates = await at(() => database.create(made, {}, { condition: { type: "notExist" } }));
    expect(creates.filter((answer) => typeof answer !== "string")).toHaveLength(1);
    await database.create(locked, { version: 1 });
    const lock = { condition: { conditionList: [{ column: "version", symbol: "=", value: 1 }] } };
    const updates = await at(() => database.update(locked, { version: 2 }, lock));
    expect(updates.filter((answer) => typeof answer !== "string")).toHaveLength(1);
    expect(updates.filter((answer) => String(answer).startsWith("precondition-failed"))).toHaveLength(19);
  });
});

describe("generated ids (D11)", () => {
  test("have their forms, and are filled in the answer", async () => {
    const table = { tableId: "generated" };
    const create = async (idsOf: object) => (await database.create(idsOf, { n: 1 }, table)).ids;
    const before = Date.now();
    const { a, b, c } = await create({ a: "CDB:nanoId", b: "CDB:timeId", c: "CDB:microsecondId" });
    expect(a).toMatch(/^[\w-]{21}$/);
    expect(b).toMatch(/^\d{13}[\w-]{10}$/);
    expect(Number.isSafeInteger(c) && String(c)).toMatch(/^\d{16}$/);
    expect(Math.abs(Number(b.slice(0, 13)) - before)).toBeLessThan(60_000);
    expect(Math.abs(c / 1000 - before)).toBeLessThan(60_000);
    expect(await database.get({ a, b, c }, table)).toEqual({ ids: { a, b, c }, columns: { n: 1 } });
    const batch = await database.batch(
      Array.from({ length: 5 }, () => ({
        action: "create",
        ids: { a: "x", b: "y", c: "CDB:microsecondId" },
        columns: {},
        ...table,
      })),
      true,
    );
    const numbers = batch.map(({ ids: one }: { ids: { c: number } }) => one.c);
    expect(numbers).toEqual(numbers.toSorted((x: number, y: number) => x - y));
    expect(new Set([c, ...numbers]).size).toBe(6);
    expect(Math.min(...numbers)).toBeGreaterThan(c);
  });

  test("are asked for by create alone, in a place of their type", async () => {
    const id = { orderId: "CDB:nanoId" };
    for (const action of ["get", "update", "delete"]) {
      expect(await database.ask({ action, ids: id, columns: {} })).toBe(
        'invalid: ids.orderId is "CDB:nanoId"; ids that begin with CDB: are reserved, and this one means nothing here.',
      );
    }
    for (const word of ["CDB:tableMaxId", "CDB:other", "CDB:"]) {
      expect(await database.create({ orderId: word }, {})).toMatch("invalid: ids.orderId is");
    }
    expect(await database.create({ orderId: "CDB:microsecondId" }, {})).toBe(
      'type-mismatch: ids.orderId is "CDB:microsecondId"; in this table it is a string.',
    );
  });
});

describe("batches (D12)", () => {
  test("answer in order, each request on its own", async () => {
    const [a, b] = [fresh(), fresh()];
    const answers = await database.batch([
      { action: "create", ids: a, columns: { n: 1 } },
      { action: "get", ids: a },
      { action: "create", ids: a, columns: {}, condition: { type: "notExist" } },
      { action: "nothing" },
      { action: "update", ids: a, columns: { n: 1 }, updateType: "increment" },
      { action: "delete", ids: b },
      { action: "getMany", ids: a, endIds: a },
    ]);
    expect(answers).toEqual([
      { ids: a },
      { ids: a, columns: { n: 1 } },
      expect.stringMatching(/^precondition-failed/),
      expect.stringMatching(/^invalid: action is "nothing"/),
      { columns: { n: 2 } },
      { success: true },
      { data: [{ ids: a, columns: { n: 2 } }] },
    ]);
  });

  test("that are atomic do all or nothing, in one commit, and later requests see earlier ones", async () => {
    const [a, b] = [fresh(), fresh()];
    const table = { tableId: "atomic" };
    const done = await database.batch(
      [
        { action: "create", ids: a, columns: { n: 1 }, ...table },
        { action: "update", ids: a, columns: { n: 4 }, updateType: "increment", ...table },
        { action: "create", ids: b, columns: { m: 1 }, condition: { type: "notExist" }, ...table },
        { action: "delete", ids: b, condition: { type: "exist" }, ...table },
      ],
      true,
    );
    expect(done).toEqual([{ ids: a }, { columns: { n: 5 } }, { ids: b }, { success: true }]);
    const [one, definition] = [
      await database.entry(["shop", "atomic", a.orderId]),
      await database.entry(["CDB:tables", "shop", "atomic"]),
    ];
    expect(toHex(one?.versionstamp ?? new Uint8Array())).toBe(toHex(definition?.versionstamp ?? new Uint8Array(1)));
    const again = { action: "update", ids: b, columns: { m: 2 }, condition: { type: "notExist" }, ...table };
    const gone = { action: "delete", ids: b, ...table };
    expect(await database.batch([{ ...again, columns: { l: 1 } }, gone, again, gone, again], true)).toHaveLength(5);
    expect(await database.get(b, table)).toEqual({ ids: b, columns: { m: 2 } });
    await database.delete(b, table);
    const because = "conflict: Nothing was written, because requests[1] of this atomic batch was refused.";
    const undone = await database.batch(
      [
        { action: "update", ids: a, columns: { n: 9 }, ...table },
        { action: "create", ids: a, columns: {}, condition: { type: "notExist" }, ...table },
        { action: "create", ids: b, columns: {}, ...table },
      ],
      true,
    );
    expect(undone).toEqual([because, expect.stringMatching(/^precondition-failed/), because]);
    expect(await database.get(a, table)).toEqual({ ids: a, columns: { n: 5 } });
    expect(await database.get(b, table)).toBeNull();
    const wrong = await database.batch(
      [
        { action: "delete", ids: a, ...table },
        { action: "get", ids: a, ...table },
      ],
      true,
    );
    expect(wrong).toEqual([
      because,
      'invalid: action is "get"; an atomic batch takes only "create", "update" and "delete".',
    ]);
    expect(await database.get(a, table)).not.toBeNull();
  });
});

describe("getMany", () => {
  const table = { tableId: "many" };
  const range = (from: unknown, to: unknown, more: object = {}) =>
    database.getMany({ a: from, b: MIN }, { a: to, b: MAX }, { ...table, orderType: "asc", ...more });
  const shown = ({ data }: { data: readonly { ids: { a: string; b: number } }[] }) =>
    data.map(({ ids: { a, b } }) => `${a}${b}`).join(" ");

  beforeAll(async () => {
    await database.batch(
      ["x", "y", "z"].flatMap((a) =>
        [-1, 2, 10].map((b) => ({ action: "create", ids: { a, b }, columns: { n: b, even: b % 2 === 0 }, ...table })),
      ),
    );
    // No documents of this table.
    await database.set(["shop", "many", "y"], { n: 0 });
    await database.set(["shop", "many", "y", 1.5], { n: 0 });
    await database.set(["shop", "many", "y", 2, "deeper"], { n: 0 });
    await database.set(["shop", "many", "y", 3], 5);
    await database.set(["shop", "many", Uint8Array.of(1), 3], { n: 0 });
  });

  test("goes in both directions, with both ends (D13)", async () => {
    expect(shown(await range(MIN, MAX))).toBe("x-1 x2 x10 y-1 y2 y10 z-1 z2 z10");
    expect(shown(await range("y", "y"))).toBe("y-1 y2 y10");
    expect(shown(await range("x", "y"))).toBe("x-1 x2 x10 y-1 y2 y10");
    const between = { ids: { a: "x", b: 2 }, endIds: { a: "y", b: 2 } };
    expect(shown(await database.ask({ action: "getMany", ...between, ...table, orderType: "asc" }))).toBe(
      "x2 x10 y-1 y2",
    );
    expect(shown(await database.getMany({ a: "y", b: 2 }, { a: "x", b: 2 }, table))).toBe("y2 y-1 x10 x2");
    expect(shown(await database.getMany({ a: "y", b: MAX }, { a: MIN, b: 5 }, { ...table, orderType: "desc" }))).toBe(
      "y10 y2 y-1 x10 x2 x-1",
    );
    expect(shown(await database.getMany({ a: "y", b: 2 }, { a: "y", b: 2 }, table))).toBe("y2");
    expect(await range(MAX, MAX)).toEqual({ data: [] });
    expect(await database.getMany({ a: "x", b: 2 }, { a: "y", b: 2 }, table)).toBe(
      'invalid: ids is below endIds; with orderType "desc" the page goes from the greater ids to the smaller endIds.',
    );
    expect(await range("y", "x")).toBe(
      'invalid: ids is above endIds; with orderType "asc" the page goes from the smaller ids to the greater endIds.',
    );
  });

  test.each(["asc", "desc"])("of any size give every row once, %s (D14)", async (orderType) => {
    for (const rowsLimit of [1, 2, 3, 8, 9, 10]) {
      let [from, to]: [object, object] = [
        { a: MIN, b: MIN },
        { a: MAX, b: MAX },
      ];
      if (orderType === "desc") [from, to] = [to, from];
      const seen: string[] = [];
      for (let pages = 0; pages < 20; pages++) {
        const page = await database.getMany(from, to, { ...table, orderType, rowsLimit });
        expect(page.data.length).toBeLessThanOrEqual(rowsLimit);
        seen.push(shown(page));
        if (page.nextId === undefined) break;
        from = page.nextId.ids;
      }
      const all = "x-1 x2 x10 y-1 y2 y10 z-1 z2 z10".split(" ");
      expect(seen.filter(Boolean).join(" ")).toBe((orderType === "asc" ? all : all.toReversed()).join(" "));
    }
  });

  test("drops rows by a filter, whose columns need not be among getColumns (D15)", async () => {
    const filter = { conditionList: [{ column: "even", symbol: "=", value: true }] };
    const page = await range(MIN, MAX, { filter, getColumns: [], rowsLimit: 3 });
    expect(page).toEqual({
      data: [
        { ids: { a: "x", b: 2 }, columns: {} },
        { ids: { a: "x", b: 10 }, columns: {} },
        { ids: { a: "y", b: 2 }, columns: {} },
      ],
      nextId: { ids: { a: expect.stringMatching(/^CDB:place:/), b: MIN } },
    });
    const rest = await database.getMany(page.nextId.ids, { a: MAX, b: MAX }, { ...table, orderType: "asc", filter });
    expect(shown(rest)).toBe("y10 z2 z10");
    expect(rest.nextId).toBeUndefined();
    expect(shown(await range(MIN, MAX, { filter: [{ column: "b", symbol: ">=", value: 10 }] }))).toBe("x10 y10 z10");
  });

  test("begins and ends within its table, whatever place a program makes up (D14)", async () => {
    const [mine, other] = [{ tableId: "mine" }, { tableId: "mine\0other" }];
    await database.create({ id: "a" }, {}, mine);
    await database.create({ id: "b" }, {}, other);
    const place = (...bytes: number[]) => ({ id: `CDB:place:${toBase64Url(Uint8Array.from(bytes))}` });
    const one = { ids: { id: "a" }, columns: {} };
    const asc = { ...mine, orderType: "asc", rowsLimit: 1 };
    expect(await database.getMany({ id: MIN }, place(0xff, 0xff), asc)).toEqual({ data: [one] });
    expect(await database.getMany(place(0xff), place(0xff, 0xff), asc)).toEqual({ data: [] });
    expect(await database.getMany(place(0xff, 0xff), { id: MIN }, { ...mine, rowsLimit: 1 })).toEqual({ data: [one] });
    expect(await database.getMany(place(), place(), asc)).toEqual({ data: [] });
  });

  test("of a table that nobody has defined reads what is there, in the order of the ids given (D16)", async () => {
    await database.set(["shop", "undefined", "a", 1], { n: 1 });
    await database.set(["shop", "undefined", "a", "b"], { n: 2 });
    const asked = { tableId: "undefined", orderType: "asc" };
    expect(await database.getMany({ x: MIN, y: MIN }, { y: MAX, x: MAX }, asked)).toEqual({
      data: [
        { ids: { x: "a", y: "b" }, columns: { n: 2 } },
        { ids: { x: "a", y: 1 }, columns: { n: 1 } },
      ],
    });
    expect(await database.get({ x: "a", y: 1 }, asked)).toEqual({ ids: { x: "a", y: 1 }, columns: { n: 1 } });
    expect(await database.entry(["CDB:tables", "shop", "undefined"])).toBeUndefined();
  });
});
