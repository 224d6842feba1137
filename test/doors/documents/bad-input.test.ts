/** `/cdb` and `tables` through the Worker, at real objects: what is wrong with a request is said, and nothing is written. */
import { env } from "cloudflare:workers";
import { SignJWT } from "jose";
import fc from "fast-check";
import { beforeAll, describe, expect, test } from "vitest";
import { asUnixMs } from "../../../src/core/clock.ts";
import { MAX_APPS_OF_API_KEY } from "../../../src/core/document-limits.ts";
import type { Env } from "../../../src/objects/env.ts";
import { passTime } from "../../support/moved-date.ts";
import { type Answered, RestDatabase, send } from "../rest/rest-client.ts";

interface Key {
  readonly id: string;
  readonly secret: string;
}

let database: RestDatabase;
let key: Key;
let token: string;

function signed({ secret }: Key): Promise<string> {
  return new SignJWT({ identity: "cdb" }).setProtectedHeader({ alg: "HS256" }).sign(new TextEncoder().encode(secret));
}

async function newKey(of: RestDatabase, wishes: object = {}, by = of.token): Promise<Key> {
  const body = JSON.stringify({ name: "key", permissions: ["documents"], ...wishes });
  const { status, json, text } = await of.ask("POST", "keys", { body, token: by });
  if (status !== 201) throw new Error(text);
  return json;
}

beforeAll(async () => {
  database = await RestDatabase.make();
  key = await newKey(database);
  token = await signed(key);
});

function cdb(body: unknown, by: string = token): Promise<Answered> {
  const headers = { envid: database.id, keyid: key.id };
  return send("POST", "/cdb", { headers, token: by, body: typeof body === "string" ? body : JSON.stringify(body) });
}

async function keys(): Promise<number> {
  return (await database.ask("GET", "count")).json.count;
}

const good = { appId: "shop", tableId: "menu", action: "create", ids: { id: "a" }, columns: { n: 1 } };

/** Values of every type that JSON has, for members that want others. */
const ODD: readonly unknown[] = [
  null,
  true,
  0,
  -1,
  1.5,
  1e300,
  "",
  "x",
  "\ud800",
  "x".repeat(3_000),
  [],
  [1],
  {},
  { id: [] },
];

describe("each member of each action with each type (D37)", () => {
  const actions: Readonly<Record<string, Readonly<Record<string, unknown>>>> = {
    get: { ids: { id: "a" }, getColumns: ["n"] },
    getMany: { ids: { id: "a" }, endIds: { id: "b" }, orderType: "asc", rowsLimit: 1, filter: { conditionList: [] } },
    update: { ids: { id: "a" }, columns: { n: 1 }, condition: { type: "exist" }, updateType: "increment" },
    delete: { ids: { id: "a" }, condition: { type: "exist", conditionList: [{ column: "n", symbol: "=", value: 1 }] } },
    search: { querys: [], sorters: [], rowsLimit: 1, skip: 0, nextToken: "x", getTotalCount: true, getColumns: ["n"] },
  };
  const cases = Object.entries({ ...actions, create: { ids: { id: "a" }, columns: {}, condition: {} } }).flatMap(
    ([action, members]) =>
      [...Object.keys(members), "appId", "tableId", "action"].map((member) => ({ action, member })),
  );

  test.each(cases)("$action: $member", async ({ action, member }) => {
    const members = { appId: "shop", tableId: "odd", action, ...actions[action] };
    const requests = [...ODD.map((odd) => ({ ...members, [member]: odd })), { ...members, [member]: undefined }];
    for (const request of requests) {
      const { status, json, text } = await cdb(request);
      expect([status, text.length < 20_000]).toEqual([200, true]);
      expect([null, "object"]).toContain(json === null ? null : typeof json);
      if (json?.errCode === undefined) continue;
      expect(["1", "ConditionCheckFail"]).toContain(json.errCode);
      // oxlint-disable-next-line vitest/no-conditional-expect -- the answers without an error have no sentence
      expect([json.type, json.title]).toEqual([expect.not.stringMatching(/internal/), expect.stringMatching(/[.?!]$/)]);
    }
  });
});

test("a body that is no request is refused with what is wrong (D37)", async () => {
  const bodies: readonly [string, string][] = [
    ["", "invalid"],
    ["{", "invalid"],
    ["null", "invalid"],
    ["[]", "invalid"],
    ['"x"', "invalid"],
    ["{}", "invalid"],
    ['{"requests":{}}', "invalid"],
    ['{"requests":[]}', "invalid"],
    ['{"requests":[1],"atomic":1}', "invalid"],
    [`{"requests":[${Array(101).fill("{}").join(",")}]}`, "limit"],
    [`{"a":${"[".repeat(5_000)}${"]".repeat(5_000)}}`, "limit"],
  ];
  const before = await keys();
  for (const [body, type] of bodies) {
    const { status, json } = await cdb(body);
    expect([body.slice(0, 30), status, json]).toMatchObject([body.slice(0, 30), 200, { errCode: "1", type }]);
  }
  expect(await keys()).toBe(before);
});

test("requests put together at random are answered, and none is an error of the server (D37)", async () => {
  const word = fc.constantFrom(
    "CDB:tables",
    "CDB:nanoId",
    "CDB:tableMinId",
    "id",
    "a",
    "",
    "\0",
    "__proto__",
    "x".repeat(300),
  );
  const value = fc.oneof(word, fc.jsonValue({ maxDepth: 3 }));
  const member = fc.constantFrom(
    "ids",
    "endIds",
    "columns",
    "condition",
    "filter",
    "getColumns",
    "rowsLimit",
    "querys",
  );
  const action = fc.oneof(fc.constantFrom("get", "getMany", "create", "update", "delete", "search"), value);
  const request = fc
    .tuple(fc.record({ appId: word, tableId: word, action }), fc.dictionary(member, value))
    .map(([named, members]) => ({ ids: { id: "a" }, columns: {}, ...members, ...named }));
  const body = fc.oneof(
    request,
    fc.record({
      requests: fc.array(fc.oneof(request, value), { maxLength: 4 }),
      atomic: fc.oneof(fc.boolean(), value),
    }),
  );
  await fc.assert(
    fc.asyncProperty(body, async (asked) => {
      const { status, json } = await cdb(asked);
      expect(status).toBe(200);
      expect(JSON.stringify(json)).not.toContain('"type":"internal"');
    }),
    { numRuns: 300 },
  );
  expect((await cdb(good)).json).toEqual({ ids: { id: "a" } });
});

test("a path that names no table, and a body that is no object, are problems (D39)", async () => {
  for (const [method, path, status] of [
    ["GET", "tables/shop", 400],
    ["GET", "tables/shop/a/b", 400],
    ["GET", "tables/%ff/a", 400],
    ["GET", `tables/${"x".repeat(20_000)}/a`, 400],
    ["PUT", "tables/shop", 400],
    ["DELETE", "tables/shop/a/b", 400],
    ["POST", "tables/shop/a/b:get", 400],
    ["GET", "tables?limit=1", 200],
    ["GET", "tables?limit=100", 200],
    ["POST", "tables/shop/menu", 405],
    ["POST", "tables/shop/menu:other", 405],
    ["GET", "tables?limit=0", 400],
    ["GET", "tables?limit=101", 400],
    ["GET", "tables?cursor=x&other=1", 400],
    ["GET", "tables:batch", 405],
  ] as const) {
    expect([path.slice(0, 40), (await database.ask(method, path)).status]).toEqual([path.slice(0, 40), status]);
  }
  for (const body of ["[]", "1", '"x"', "{", "null"]) {
    const { status, json } = await database.ask("POST", "tables/shop/menu:create", { body });
    expect([body, status, json.code]).toEqual([body, 400, "invalid"]);
  }
  const batch = await database.ask("POST", "tables:batch", { body: JSON.stringify(good) });
  expect([batch.status, batch.json.detail]).toEqual([400, expect.stringContaining('{"requests":[…]}')]);
});

test("ids in the path win over those in the body, and names are percent-encoded (D39)", async () => {
  const body = JSON.stringify({ ...good, appId: "other", action: "delete", ids: { id: "x" } });
  expect((await database.ask("POST", "tables/a%20b/caf%C3%A9%3Ax:create", { body })).json).toEqual({
    ids: { id: "x" },
  });
  const list = await database.ask("GET", "tables?app=a%20b");
  expect(list.json.items).toMatchObject([{ appId: "a b", tableId: "café:x" }]);
  expect((await database.ask("GET", "tables/a%20b/caf%C3%A9%3Ax")).json).toMatchObject({ inferred: true });
});

describe("making keys", () => {
  test.each<[string, object | string, string]>([
    ["no name", { name: undefined }, "name"],
    ["another permission", { permissions: ["admin"] }, "permissions"],
    ["no permission", { permissions: [] }, "permissions"],
    ["the same twice", { permissions: ["documents", "documents"] }, "permissions"],
    ["no apps", { apps: [] }, "apps"],
    ["an app that is empty", { apps: [""] }, "apps"],
    ["a table without an app", { apps: ["/x"] }, "apps"],
    ["an app without its table", { apps: ["x/"] }, "apps"],
    ["a table with a slash", { apps: ["x/y/z"] }, "apps"],
    ["too many apps", { apps: Array.from({ length: MAX_APPS_OF_API_KEY + 1 }, (_, i) => `${i}`) }, "apps"],
    ["half a character", { apps: ["\ud800"] }, "apps"],
    ["requireExpiry as a text", { requireExpiry: "yes" }, "requireExpiry"],
    ["a member that is not known", { expiresAt: null }, "expiresAt"],
  ])("%s is refused (D32)", async (_, wishes, named) => {
    const body = JSON.stringify({ name: "key", permissions: ["documents"], ...(wishes as object) });
    const { status, json } = await database.ask("POST", "keys", { body });
    expect([status, json.code, json.detail]).toEqual([400, "invalid", expect.stringContaining(named)]);
  });

  test("takes a token that may itself read and write, and the key ends with it (D34)", async () => {
    const expiresAt = new Date(Date.now() + 60_000).toISOString();
    const { token: reader } = await database.newToken({ permissions: ["admin", "read"] });
    const refused = await database.ask("POST", "keys", {
      body: '{"name":"x","permissions":["documents"]}',
      token: reader,
    });
    expect([refused.status, refused.json.detail]).toEqual([403, expect.stringContaining("admin, read and write")]);
    const minter = await database.newToken({ permissions: ["admin", "read", "write"], expiresAt });
    const ending = await newKey(database, {}, minter.token);
    const shown = await database.ask("GET", `keys/${ending.id}`);
    expect(shown.json).toMatchObject({ expiresAt, createdBy: minter.id });
    expect(shown.json).not.toHaveProperty("secret");
    const ask = async () =>
      send("POST", "/cdb", {
        headers: { envid: database.id, keyid: ending.id },
        token: await signed(ending),
        body: JSON.stringify({ ...good, action: "get" }),
      });
    expect((await ask()).json).toEqual({ ids: { id: "a" }, columns: { n: 1 } });
    passTime(61_000);
    expect((await ask()).json).toMatchObject({ type: "unauthenticated" });
  });
});

test("a key that is deleted while its batch is under way writes nothing after the answer (D33)", async () => {
  const of = await RestDatabase.make();
  const doomed = await newKey(of);
  // The plugin's environment is the deployment's.
  const stub = (env as unknown as Env).DATABASES.getByName(of.id);
  const grant = { tokenId: doomed.id, apiKey: doomed.id, read: true, write: true, expiresAt: asUnixMs(8e15) };
  // Each is a step of its own, and others have a turn after it.
  const columns = { pad: "x".repeat(1_000_000) };
  const requests = Array.from({ length: 8 }, (_, i) => ({ ...good, ids: { id: `${i}` }, columns }));
  const batch = stub.documents(grant, { text: JSON.stringify({ requests }) });
  expect((await of.ask("DELETE", `keys/${doomed.id}`)).status).toBe(204);
  const written = (await of.ask("GET", "count")).json.count;
  const answer = await batch;
  const codes = answer.ok ? answer.results.map(({ result }) => (result.ok ? "written" : result.code)) : [answer.code];
  expect(codes.at(-1)).toBe("unauthenticated");
  expect((await of.ask("GET", "count")).json.count).toBe(written);
});
