/**
 * Every operation of archives, in both spellings, against every kind of caller. The operations come from the code: one without a row here
 * fails, and so does one that the OpenAPI document does not describe as the door takes it. Bad credentials are 401 everywhere.
 */
import { beforeAll, describe, expect, test } from "vitest";
import { OPERATIONS, operationNames } from "../../../src/doors/backups/operations.ts";
import { targetOf } from "../../../src/doors/backups/targets.ts";
import { ARCHIVE_ROUTES } from "../../../src/doors/management/api/archive-routes.ts";
import { type Caller, CALLERS, callersOf } from "../rest/callers.ts";
import { RestDatabase, send } from "../rest/rest-client.ts";

/** Of a caller whom a row does not name: nobody learns of another tenant's, and what is not allowed is refused. */
const REFUSED: Readonly<Record<Caller, number>> = {
  other: 404,
  read: 403,
  write: 403,
  admin: 403,
  backup: 403,
  metrics: 403,
  elsewhere: 404,
  prefix: 403,
  deployment: 403,
  data: 401,
};

type Row = Partial<Readonly<Record<Caller, number>>>;
const both = (status: number): Row => ({ admin: status, backup: status });
const nobodyYet = both(404);

/** On a database without archives. By the spelling of actions; the other one answers alike, except that there a removal is 204. */
const MATRIX: Readonly<Record<string, Row>> = {
  "backups:create": both(202),
  "backups:list": both(200),
  "backups:get": nobodyYet,
  "backups:download": nobodyYet,
  "backups:restore": nobodyYet,
  // Only a token of all databases may make one.
  "backups:fork": { ...nobodyYet, elsewhere: 403 },
  "backups:verify": nobodyYet,
  "backups:cancel": nobodyYet,
  "backups:destroy": nobodyYet,
  // It is checked when it has come.
  "backups:upload": both(202),
  "backupSchedule:get": both(200),
  "backupSchedule:update": { admin: 200 },
  "backupDestinations:create": { admin: 201 },
  "backupDestinations:list": both(200),
  "backupDestinations:get": nobodyYet,
  "backupDestinations:test": nobodyYet,
  "backupDestinations:update": { admin: 404 },
  "backupDestinations:destroy": { admin: 404 },
};

const BODIES: Readonly<Record<string, string>> = {
  "backups:restore": '{"confirm":true}',
  "backups:fork": '{"name":"copy"}',
  "backups:upload": "no archive",
  "backupSchedule:update": '{"retention":7}',
  "backupDestinations:create": '{"type":"local","name":"here"}',
  "backupDestinations:update": '{"enabled":false}',
};

const routes = Object.entries(OPERATIONS).flatMap(([resource, operations]) =>
  Object.entries(operations).map(([name, operation]) => ({ route: `${resource}:${name}`, resource, name, operation })),
);

let tokens: ReadonlyMap<Caller, string>;
let tenant: RestDatabase;

beforeAll(async () => {
  tenant = await RestDatabase.make();
  tokens = await callersOf(tenant);
});

test("every operation has a row, and every row an operation (Z27)", () => {
  expect(Object.keys(MATRIX).toSorted()).toEqual(routes.map(({ route }) => route).toSorted());
});

test.each(routes)("$route lets through who may, and nobody else (Z27)", async ({ route, operation }) => {
  const seen: Partial<Record<Caller, number>> = {};
  const id = operation.takesId === true ? "/7" : "";
  const body = BODIES[route] ?? "{}";
  for (const caller of CALLERS) {
    const database = await tenant.another();
    const token = caller === "data" ? await database.dataToken() : (tokens.get(caller) ?? null);
    seen[caller] = (await database.ask("POST", route + id, { token, body })).status;
  }
  expect(seen).toEqual({ ...REFUSED, ...MATRIX[route] });
  for (const token of [null, "nonsense", "0".repeat(40)]) {
    const answer = await tenant.ask("POST", route + id, { token, body });
    expect([answer.status, answer.headers.get("www-authenticate")]).toEqual([401, "Bearer"]);
  }
});

describe("the OpenAPI document", () => {
  // oxlint-disable-next-line typescript/no-explicit-any -- a document of its own shape
  let document: any;
  beforeAll(async () => void (document = (await send("GET", "/openapi.json")).json));

  test.each(routes)("describes $route with its parameters (Z27)", ({ route, operation }) => {
    const described = document.paths[`/api/databases/{databaseId}/${route}`]?.post;
    const named = described.parameters
      .filter((one: { in: string }) => one.in === "query")
      .map((one: { name: string }) => one.name);
    const taken = (operation.query ?? []).filter((name) => name !== "sort[]");
    expect(named.toSorted()).toEqual([...taken, ...(operation.takesId === true ? ["filterByTk"] : [])].toSorted());
    expect("requestBody" in described).toBe(operation.takesValues === true || route === "backups:upload");
  });

  test("describes only addresses that the door takes, in both spellings (Z27)", () => {
    const described = Object.entries(ARCHIVE_ROUTES).flatMap(([path, methods]) =>
      Object.keys(methods).map((method) => [path, method] as const),
    );
    const reached = described.map(([path, method]) => {
      const target = targetOf(path.replace(/\{\w+\}/, "7"), operationNames);
      return [path, method, target?.operations[method.toUpperCase()] ?? "none"] as const;
    });
    expect(reached.filter(([, , name]) => name === "none")).toEqual([]);
    const bySpelling = (isAction: boolean) =>
      new Set(
        reached
          .filter(([path]) => /^\w+:/.test(path) === isAction)
          .map(([path, , name]) => `${/^\w+/.exec(path)?.[0]}:${name}`),
      );
    expect([...bySpelling(true)].toSorted()).toEqual(routes.map(({ route }) => route).toSorted());
    expect([...bySpelling(false)].toSorted()).toEqual(
      routes
        .map(({ route }) => route)
        .filter((route) => route !== "backups:upload")
        .toSorted(),
    );
  });
});
