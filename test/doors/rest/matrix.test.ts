/**
 * Every route of plain HTTP, of TTL records and of documents against every kind of caller. The routes come from the code: one without a row here fails, and so does one that
 * the OpenAPI document does not describe as the door takes it. Bad credentials are 401 everywhere.
 */
import { beforeAll, describe, expect, test } from "vitest";
import type { Resource } from "../../../src/doors/http/call.ts";
import { CHECKED_RECORD, RECORD, RESOURCES as RECORD_RESOURCES } from "../../../src/doors/records/resources.ts";
import { ACTIONS } from "../../../src/doors/documents/action.ts";
import { RESOURCES as DOCUMENT_RESOURCES, TABLE } from "../../../src/doors/documents/resources.ts";
import { ENTRY, JOB, RESOURCES } from "../../../src/doors/rest/resources.ts";
import { type Caller, CALLERS, callersOf } from "./callers.ts";
import { RestDatabase, send } from "./rest-client.ts";

/** Of a caller whom a row does not name. */
const REFUSED: Readonly<Record<Caller, number>> = {
  other: 404,
  read: 403,
  write: 403,
  admin: 403,
  backup: 403,
  metrics: 403,
  elsewhere: 404,
  prefix: 403,
  deployment: 401,
  data: 403,
};

interface Row {
  readonly path: string;
  readonly body?: string;
  readonly statuses: Partial<Readonly<Record<Caller, number>>>;
}

const reads = (status = 200) => ({ read: status, backup: status, prefix: status, data: status });
const writes = (status = 200) => ({ write: status, prefix: status, data: status });
/** Records lie outside of the key prefix: a read shows nothing, and a write is refused. */
const recordWrites = { write: 200, data: 200 };
const value = '{"type":"null"}';
const condition = '{"value":{},"operator":">=","unixtimeMs":0}';
const definition = '{"ids":[{"name":"id","type":"string"}]}';
const ids = '{"ids":{"id":"a"}}';
const range = '{"ids":{"id":"b"},"endIds":{"id":"a"}}';
const menuItem = '{"ids":{"id":"a"},"columns":{"n":1}}';
const line = '{"key":["mine","x"],"value":{"type":"null"}}';

const MATRIX: Readonly<Record<string, Row>> = {
  "GET entries/{key}": { path: "entries/mine/a", statuses: reads() },
  "PUT entries/{key}": { path: "entries/mine/b", body: value, statuses: writes() },
  "DELETE entries/{key}": { path: "entries/mine/b", statuses: writes() },
  "GET entries": { path: "entries", statuses: reads() },
  "POST entries:get": { path: "entries:get", body: '{"keys":[["mine","a"]]}', statuses: reads() },
  "POST entries:delete": {
    path: "entries:delete",
    body: '{"selector":{"prefix":["mine","no"]}}',
    statuses: writes(),
  },
  "POST atomic": { path: "atomic", body: "{}", statuses: writes() },
  "GET count": { path: "count", statuses: reads() },
  "GET export": { path: "export", statuses: reads() },
  "POST import": { path: "import", body: line, statuses: writes() },
  "PUT import": { path: "import", body: line, statuses: writes() },
  // A database that keeps no feed.
  "GET feed": { path: "feed?offset=-1", statuses: reads(409) },
  "GET watch": { path: 'watch?key=["mine","a"]', statuses: reads() },
  // A database without a backup.
  "GET history": { path: 'history?key=["mine","a"]', statuses: reads(404) },
  "GET diff": { path: "diff?from=-1h", statuses: reads(404) },
  "POST undelete": { path: "undelete", body: '{"at":"-1h","key":["mine","a"]}', statuses: { prefix: 404, data: 404 } },
  "GET records/{key}": { path: "records/a", statuses: reads() },
  "PUT records/{key}": { path: "records/b", body: '{"value":{}}', statuses: recordWrites },
  "DELETE records/{key}": { path: "records/b", statuses: recordWrites },
  "POST records/{key}:checkAndWrite": { path: "records/c:checkAndWrite", body: condition, statuses: recordWrites },
  "GET records": { path: "records", statuses: reads() },
  "POST records:get": { path: "records:get", body: '{"keys":["a"]}', statuses: reads() },
  "POST records:checkAndWrite": { path: "records:checkAndWrite?key=.", body: condition, statuses: recordWrites },
  "POST records:clear": { path: "records:clear?namespace=n", statuses: recordWrites },
  "GET tables": { path: "tables", statuses: reads() },
  "POST tables:batch": {
    path: "tables:batch",
    body: '{"requests":[{"appId":"none","tableId":"t","action":"get","ids":{"id":"a"}}]}',
    // Each request has an answer of its own, which says so when the token does not allow it.
    statuses: { read: 200, write: 200, backup: 200, prefix: 200, data: 200 },
  },
  "GET tables/{app}/{table}": { path: "tables/mine/none", statuses: reads(404) },
  "PUT tables/{app}/{table}": { path: "tables/mine/t", body: definition, statuses: writes(200) },
  "DELETE tables/{app}/{table}": { path: "tables/mine/none", statuses: writes(404) },
  "POST tables/{app}/{table}:get": { path: "tables/mine/docs:get", body: ids, statuses: reads() },
  "POST tables/{app}/{table}:getMany": { path: "tables/mine/docs:getMany", body: range, statuses: reads() },
  "POST tables/{app}/{table}:search": { path: "tables/mine/t:search", body: "{}", statuses: reads() },
  "POST tables/{app}/{table}:create": { path: "tables/mine/docs:create", body: menuItem, statuses: writes() },
  "POST tables/{app}/{table}:update": { path: "tables/mine/docs:update", body: menuItem, statuses: writes() },
  "POST tables/{app}/{table}:delete": { path: "tables/mine/docs:delete", body: ids, statuses: writes() },
  "GET jobs/{jobId}": { path: "jobs/00000000-0000-0000-0000-000000000000", statuses: writes(404) },
};

const resources: Readonly<Record<string, Resource>> = {
  "entries/{key}": ENTRY,
  "jobs/{jobId}": JOB,
  ...RESOURCES,
  "records/{key}": RECORD,
  "records/{key}:checkAndWrite": CHECKED_RECORD,
  ...RECORD_RESOURCES,
  "tables/{app}/{table}": TABLE,
  ...Object.fromEntries(Object.entries(ACTIONS).map(([name, POST]) => [`tables/{app}/{table}:${name}`, { POST }])),
  ...DOCUMENT_RESOURCES,
};
const routes = Object.entries(resources).flatMap(([path, resource]) =>
  Object.entries(resource).map(([method, operation]) => ({ route: `${method} ${path}`, path, method, operation })),
);

let database: RestDatabase;
let tokens: Map<Caller, string>;

beforeAll(async () => {
  database = await RestDatabase.make();
  await database.put("mine/a", 1);
  await database.ask("PUT", "tables/mine/t", { body: definition, token: database.token });
  tokens = await callersOf(database);
  tokens.set("data", await database.dataToken());
});

test("every route has a row, and every row a route (A18, H10)", () => {
  expect(Object.keys(MATRIX).toSorted()).toEqual(routes.map(({ route }) => route).toSorted());
});

describe.each(routes)("$route", ({ route, method }) => {
  const { path, body, statuses } = MATRIX[route] ?? { path: "none", body: undefined, statuses: {} };
  const sending = body === undefined ? {} : { body };

  test.each(CALLERS)("by %s (A18, H10)", async (caller) => {
    const { status } = await database.ask(method, path, { ...sending, token: tokens.get(caller) ?? null });
    expect(status).toBe(statuses[caller] ?? REFUSED[caller]);
  });

  test.each([null, "nonsense", "0".repeat(40)])("by nobody: %s (H3)", async (token) => {
    expect((await database.ask(method, path, { ...sending, token })).status).toBe(401);
  });
});

describe("the OpenAPI document", () => {
  // oxlint-disable-next-line typescript/no-explicit-any -- a document of its own shape
  let document: any;
  beforeAll(async () => void (document = (await send("GET", "/openapi.json")).json));

  test.each(routes.filter(({ route }) => route !== "PUT import"))(
    "describes $route with its parameters (H11)",
    ({ path, method, operation }) => {
      const described = document.paths[`/api/databases/{databaseId}/${path}`]?.[method.toLowerCase()];
      const named = (described?.parameters ?? []).flatMap((one: { in: string; name: string }) =>
        one.in === "query" ? [one.name] : [],
      );
      const ofPast = operation.past === true ? ["at"] : [];
      const mayNameOne = ["entries", "records"].includes(path) && method === "GET";
      const taken = [...operation.query, ...ofPast, ...(mayNameOne ? ["key"] : [])];
      expect(named.toSorted()).toEqual([...new Set(taken)].toSorted());
      expect(Object.keys(described.responses)).toContain("default");
    },
  );

  test("refers to schemas that it has (H11)", () => {
    const names = new Set(JSON.stringify(document).match(/(?<="#\/components\/schemas\/)\w+/g));
    expect([...names].filter((name) => !(name in document.components.schemas))).toEqual([]);
    expect(document.paths["/api/databases/{databaseId}/count"].get.responses["200"].description).toMatch(/\.$/);
  });
});
