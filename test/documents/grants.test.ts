/** What a grant allows of documents, at a real object. */
import { beforeAll, expect, test } from "vitest";
import type { Grant } from "../../src/contracts/grant.ts";
import { toHex } from "../../src/core/bytes.ts";
import { asUnixMs } from "../../src/core/clock.ts";
import { everything } from "../support/workerd/database-object.ts";
import { DocumentDatabase, MAX, MIN } from "../support/workerd/documents.ts";
import { key } from "../support/workerd/engine.ts";

let database: DocumentDatabase;
beforeAll(async () => {
  database = await DocumentDatabase.make();
  for (const id of ["a", "b"]) {
    await database.create({ id }, { n: 1 });
    await database.create({ id }, { n: 1 }, { tableId: "other" });
    await database.create({ id }, { n: 1 }, { appId: "crm" });
  }
});

const reads = { ...everything, write: false };
const writes = { ...everything, read: false };
const under = (...parts: readonly string[]): Grant => ({ ...everything, keyPrefix: toHex(key(...parts)) });
const NO_READ = "forbidden: The token does not allow reading.";
const NO_WRITE = "forbidden: The token does not allow writing.";
const id = { id: "a" };
const many = { action: "getMany", ids: { id: MIN }, endIds: { id: MAX }, orderType: "asc" };
const count = ({ data }: { data: unknown[] }) => data.length;

test("each action needs its own permission (D24)", async () => {
  const increment = { action: "update", ids: id, columns: { n: 1 }, updateType: "increment" };
  for (const request of [{ action: "get", ids: id }, many, { action: "search" }]) {
    expect(await database.ask(request, writes)).toBe(NO_READ);
  }
  for (const action of ["create", "update", "delete"]) {
    expect(await database.ask({ action, ids: id, columns: {} }, reads)).toBe(NO_WRITE);
  }
  expect(await database.ask(increment, writes)).toBe(NO_READ);
  expect(await database.ask(increment, reads)).toBe(NO_WRITE);
  expect(await database.ask({ action: "create", ids: id, columns: { n: 1 } }, writes)).toEqual({ ids: id });
  expect(await database.ask({ action: "get", ids: id }, reads)).toEqual({ ids: id, columns: { n: 1 } });
  expect(await database.tables({ command: "get" }, writes)).toBe(NO_READ);
  expect(await database.tables({ command: "delete" }, reads)).toBe(NO_WRITE);
  const ended = { ...everything, expiresAt: asUnixMs(1) };
  expect(await database.ask({ action: "get", ids: id }, ended)).toMatch("unauthenticated");
});

test("a key prefix limits apps, tables and documents (D24)", async () => {
  const outside = (named: string) =>
    `forbidden: This token allows only keys under its key prefix; the request names ${named}.`;
  const cases: [Grant, { orders: number; other: number; crm: number }][] = [
    [under("shop"), { orders: 2, other: 2, crm: 0 }],
    [under("shop", "orders"), { orders: 2, other: 0, crm: 0 }],
    [under("shop", "orders", "a"), { orders: 1, other: 0, crm: 0 }],
    [under("sho"), { orders: 0, other: 0, crm: 0 }],
  ];
  for (const [grant, { orders, other, crm }] of cases) {
    expect(count(await database.ask(many, grant))).toBe(orders);
    expect(count(await database.ask({ ...many, tableId: "other" }, grant))).toBe(other);
    expect(count(await database.ask({ ...many, appId: "crm" }, grant))).toBe(crm);
    expect(await database.ask({ action: "get", ids: id, appId: "crm" }, grant)).toBeNull();
    expect(await database.ask({ action: "create", ids: id, columns: {}, appId: "crm" }, grant)).toBe(
      outside('["crm","orders","a"]'),
    );
  }
  const one = under("shop", "orders", "a");
  expect(await database.ask({ action: "create", ids: id, columns: { n: 2 } }, one)).toEqual({ ids: id });
  expect(await database.ask({ action: "delete", ids: { id: "b" } }, one)).toBe(outside('["shop","orders","b"]'));
  expect(await database.ask({ action: "get", ids: { id: "b" } }, one)).toBeNull();
});

test("a definition, a search and the first document of a table need the whole table (D24)", async () => {
  const part = under("shop", "new", "a");
  const refused =
    'forbidden: The token\'s key prefix does not cover the whole table "new" of app "shop", which this request needs.';
  const created = { action: "create", ids: id, columns: {}, tableId: "new" };
  expect(await database.ask(created, part)).toBe(refused);
  expect(await database.ask({ action: "search", tableId: "new" }, part)).toBe(refused);
  const define = { command: "define", tableId: "new", definition: { ids: [{ name: "id", type: "string" }] } };
  expect(await database.tables(define, part)).toBe(refused);
  expect(await database.tables({ command: "delete", tableId: "new" }, part)).toBe(refused);
  expect(await database.entry(["CDB:tables", "shop", "new"])).toBeUndefined();
  expect(await database.tables(define, under("shop"))).toMatchObject({ ok: true, isNew: true });
  expect(await database.ask(created, part)).toEqual({ ids: id });
  expect(await database.tables({ command: "get", tableId: "new" }, part)).toMatchObject({ table: { tableId: "new" } });
  expect(await database.tables({ command: "get", tableId: "other" }, part)).toMatch("not-found");
  const list = { command: "list", appId: null, limit: 100, cursor: null };
  const named = async (grant: Grant) =>
    (await database.tables(list, grant)).tables.map(
      ({ appId, tableId }: { appId: string; tableId: string }) => `${appId}/${tableId}`,
    );
  expect(await named(everything)).toEqual(["crm/orders", "shop/new", "shop/orders", "shop/other"]);
  expect(await named(under("shop"))).toEqual(["shop/new", "shop/orders", "shop/other"]);
  expect(await named(part)).toEqual(["shop/new"]);
});

test("a key for some tables is refused at others, also in a batch (D24)", async () => {
  const tables = [
    { appId: "crm", tableId: null },
    { appId: "shop", tableId: "orders" },
  ];
  const ask = (more: object) => database.ask({ action: "get", ids: id, ...more }, everything, tables);
  expect(await ask({})).not.toBeNull();
  expect(await ask({ appId: "crm" })).not.toBeNull();
  expect(await ask({ appId: "crm", tableId: "any" })).toBeNull();
  const refused = 'forbidden: This key is not for the table "other" of app "shop".';
  for (const action of ["get", "create", "update", "delete", "search", "getMany"]) {
    expect(await ask({ action, tableId: "other", columns: {}, endIds: id })).toBe(refused);
  }
  const text = JSON.stringify({
    atomic: true,
    requests: [
      { action: "delete", appId: "shop", tableId: "orders", ids: id },
      { action: "delete", appId: "shop", tableId: "other", ids: id },
    ],
  });
  expect(await database.send(text, everything, tables)).toEqual([
    "conflict: Nothing was written, because requests[1] of this atomic batch was refused.",
    refused,
  ]);
  expect(await database.get(id)).not.toBeNull();
  expect(await database.ask({ action: "get", ids: id }, everything, [])).toMatch("forbidden");
});
