import { beforeAll, describe, expect, test } from "vitest";
import {
  DEPLOYMENT_TOKEN,
  newDatabase,
  newTenant,
  newToken,
  send,
  type Tenant,
} from "../../support/workerd/directory.ts";

const uuid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
const time = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/;
const shape = {
  id: expect.stringMatching(uuid),
  organizationId: expect.stringMatching(uuid),
  description: expect.any(String),
  updatedAt: expect.stringMatching(time),
  createdAt: expect.stringMatching(time),
};

let tenant: Tenant;
let databases: string;

beforeAll(async () => {
  tenant = await newTenant("a tenant");
  databases = `/v1/organizations/${tenant.organizationId}/databases`;
});

describe("/v1 organizations", () => {
  test("get answers with exactly these members", async () => {
    const { status, body } = await send("GET", `/v1/organizations/${tenant.organizationId}`, tenant);
    expect(status).toBe(200);
    expect(body).toStrictEqual({
      id: tenant.organizationId,
      name: "a tenant",
      createdAt: expect.stringMatching(time),
      updatedAt: expect.stringMatching(time),
    });
  });
});

describe("/v1 databases", () => {
  test.each([
    [{ description: "hello" }, "hello"],
    [{ description: null }, ""],
    [{}, ""],
    [undefined, ""],
    [{ description: "😀".repeat(1000) }, "😀".repeat(1000)],
  ])("create with %j", async (body, description) => {
    const answer = await send("POST", databases, { ...tenant, body });
    expect(answer.status).toBe(200);
    expect(answer.body).toStrictEqual({ ...shape, description, organizationId: tenant.organizationId });
  });

  test("update changes the description and its time; null changes nothing", async () => {
    const { body: before } = await send("POST", databases, { ...tenant, body: { description: "one" } });
    const path = `/v1/databases/${before.id}`;
    const changed = await send("PATCH", path, { ...tenant, body: { description: "two" } });
    expect(changed.status).toBe(200);
    expect(changed.body).toStrictEqual({ ...before, description: "two", updatedAt: expect.stringMatching(time) });
    expect((await send("PATCH", path, { ...tenant, body: { description: null } })).body).toStrictEqual(changed.body);
    expect((await send("PATCH", path, { ...tenant, body: {} })).body).toStrictEqual(changed.body);
    expect((await send("PATCH", path, { ...tenant, body: { description: "" } })).body).toMatchObject({
      description: "",
    });
  });

  test.each([
    ["a description of 1,001 characters", { description: "x".repeat(1001) }],
    ["a description that is a number", { description: 1 }],
    ["an unknown member", { descriptoin: "x" }],
    ["an array", []],
    ["null", "null"],
    ["what is not JSON", "{"],
    ["JSON that is deep", "[".repeat(30_000)],
    ["a body of 64 KiB and more", JSON.stringify({ description: "x".repeat(70_000) })],
  ])("%s is 400, for create and for update", async (_, body) => {
    const id = await newDatabase(tenant);
    for (const [method, path] of [["POST", databases] as const, ["PATCH", `/v1/databases/${id}`] as const]) {
      const answer = await send(method, path, { ...tenant, body });
      expect(answer.status).toBe(400);
      expect(answer.body).toStrictEqual({ code: "badRequest", message: expect.stringMatching(/.{10}/) });
    }
  });
});

describe("/v1 lists", () => {
  let paged: Tenant;
  let ids: string[];
  let path: string;

  beforeAll(async () => {
    paged = await newTenant();
    path = `/v1/organizations/${paged.organizationId}/databases`;
    ids = [];
    for (let i = 0; i < 7; i++) ids.push(await newDatabase(paged));
    // Several may share a millisecond: their ids say which comes first.
    const { body } = await send("GET", path, paged);
    expect(new Set(body.map(({ id }: { id: string }) => id))).toEqual(new Set(ids));
    ids = body.map(({ id }: { id: string }) => id);
  });

  test("are bare arrays of databases, 20 at first", async () => {
    const { body, headers } = await send("GET", path, paged);
    expect(body).toStrictEqual(ids.map((id) => ({ ...shape, id, organizationId: paged.organizationId })));
    expect(headers.get("link")).toBe(
      ["first", "last"].map((rel) => `<https://cairn.test${path}?page=1&limit=20>; rel="${rel}"`).join(", "),
    );
  });

  test.each([
    [1, ["first", "next", "last"], { first: 1, next: 2, last: 3 }],
    [2, ["first", "prev", "next", "last"], { first: 1, prev: 1, next: 3, last: 3 }],
    [3, ["first", "prev", "last"], { first: 1, prev: 2, last: 3 }],
    [9, ["first", "prev", "last"], { first: 1, prev: 3, last: 3 }],
  ])("page %i links to %j", async (page, rels, numbers) => {
    const { body, headers } = await send("GET", `${path}?page=${page}&limit=3&order=desc`, paged);
    expect(body.map(({ id }: { id: string }) => id)).toEqual(ids.toReversed().slice((page - 1) * 3, page * 3));
    const links = [...(headers.get("link") ?? "").matchAll(/<([^>]*)>; rel="(\w+)"/g)];
    expect(links.map(([, , rel]) => rel)).toEqual(rels);
    for (const [, href = "", rel = ""] of links) {
      const { searchParams } = new URL(href);
      expect(Object.fromEntries(searchParams)).toEqual({
        page: String(numbers[rel as "first"]),
        limit: "3",
        order: "desc",
      });
    }
  });

  test("q matches the id", async () => {
    const [first = ""] = ids;
    for (const q of [first, first.slice(0, 8), first.slice(4, 20).toUpperCase()]) {
      const { body } = await send("GET", `${path}?q=${q}`, paged);
      expect(body.map(({ id }: { id: string }) => id)).toContain(first);
    }
    expect((await send("GET", `${path}?q=nothing-like-it`, paged)).body).toEqual([]);
  });

  test("of nothing have one page", async () => {
    const empty = await newTenant();
    const { body, headers } = await send("GET", `/v1/organizations/${empty.organizationId}/databases`, empty);
    expect(body).toEqual([]);
    expect(headers.get("link")).toMatch(/page=1&limit=20>; rel="first", .*page=1&limit=20>; rel="last"$/);
  });

  test("an empty parameter counts as none", async () => {
    expect((await send("GET", `${path}?page=&limit=&sort=&order=&q=`, paged)).body).toHaveLength(7);
  });

  test.each([
    "page=0",
    "page=-1",
    "page=x",
    "page=1.5",
    "limit=0",
    "limit=101",
    "sort=name",
    "sort=constructor",
    "order=up",
  ])("%s is 400", async (query) => {
    const { status, body } = await send("GET", `${path}?${query}`, paged);
    expect(status).toBe(400);
    expect(body.message).toContain(query.slice(0, query.indexOf("=")));
  });
});

describe("/v1 backups", () => {
  const body = {
    kind: "s3",
    endpoint: "https://s3.example",
    bucketName: "bucket",
    bucketRegion: "auto",
    accessKeyId: "id",
    secretAccessKey: "hidden",
  };
  const { secretAccessKey: _, ...shown } = body;

  test("one is made, listed, found by its id and deleted; the secret never comes back", async () => {
    const path = `/v1/databases/${await newDatabase(tenant)}/database_backups`;
    expect(await send("GET", path, tenant)).toMatchObject({ status: 200, body: [] });
    const made = await send("POST", path, { ...tenant, body: { ...body, prefix: "p" } });
    const backup = { id: expect.any(String), ...shown, prefix: "p", status: { code: "active" } };
    expect([made.status, made.body]).toEqual([200, backup]);
    expect((await send("GET", path, tenant)).body).toEqual([backup]);
    const byId = `/v1/database_backups/${made.body.id}`;
    expect((await send("GET", byId, tenant)).body).toEqual(backup);
    const again = await send("POST", path, { ...tenant, body });
    expect(again).toMatchObject({ status: 409, body: { code: "conflict" } });
    expect((await send("GET", byId, tenant)).body).toEqual(backup);
    expect(await send("DELETE", byId, tenant)).toMatchObject({ status: 200, body: {} });
    for (const method of ["GET", "DELETE"]) {
      expect(await send(method, byId, tenant)).toMatchObject({ status: 404, body: { code: "notFound" } });
    }
    expect((await send("GET", path, tenant)).body).toEqual([]);
  });

  test.each([
    ["kind", { kind: "gcs" }],
    ["kind", { kind: "r2" }],
    ["kind", { kind: "toString" }],
    ["endpoint", { endpoint: "" }],
    ["secretAccessKey", { secretAccessKey: 1 }],
    ["prefix", { prefix: 1 }],
    ["colour", { colour: "red" }],
    ["The bucket refuses the key.", { prefix: "refused" }],
  ])("what is wrong is 400 and named, and nothing is made: %s", async (named, change) => {
    const path = `/v1/databases/${await newDatabase(tenant)}/database_backups`;
    const answer = await send("POST", path, { ...tenant, body: { ...body, ...change } });
    expect(answer).toMatchObject({
      status: 400,
      body: { code: "badRequest", message: expect.stringContaining(named) },
    });
    expect((await send("GET", path, tenant)).body).toEqual([]);
  });

  test("an id ends with its database", async () => {
    const databaseId = await newDatabase(tenant);
    const { body: made } = await send("POST", `/v1/databases/${databaseId}/database_backups`, { ...tenant, body });
    await send("DELETE", `/api/databases/${databaseId}`, tenant);
    expect(await send("GET", `/v1/database_backups/${made.id}`, tenant)).toMatchObject({ status: 404 });
  });
});

describe("/v1 analytics", () => {
  test("has buckets of 15 minutes of the last day", async () => {
    const { status, body } = await send("GET", `/v1/organizations/${tenant.organizationId}/analytics`, tenant);
    expect(status).toBe(200);
    expect(body.fields.map(({ name }: { name: string }) => name)).toEqual([
      "time",
      "kvReadCount",
      "kvWriteCount",
      "kvReadUnits",
      "kvWriteUnits",
      "kvStorageBytes",
    ]);
    expect(body.values).toHaveLength(96);
    expect(body.values[0]).toEqual([expect.stringMatching(/T\d\d:(00|15|30|45):00\.000Z$/), 0, 0, 0, 0, 0]);
  });

  test.each([
    "since=2026-01-01T00:00:00Z&until=2026-01-02T00:00:01Z",
    "since=2026-01-02T00:00:00Z&until=2026-01-01T00:00:00Z",
    "since=yesterday",
    "until=2026",
  ])("%s is 400", async (query) => {
    expect(await send("GET", `/v1/organizations/${tenant.organizationId}/analytics?${query}`, tenant)).toMatchObject({
      status: 400,
    });
  });

  test("takes any offset, and exactly a day", async () => {
    const query = "since=2026-01-01T01:00:00%2B01:00&until=2026-01-02T00:00:00Z";
    const { body } = await send("GET", `/v1/organizations/${tenant.organizationId}/analytics?${query}`, tenant);
    expect(body.values).toHaveLength(96);
    expect(body.values[0][0]).toBe("2026-01-01T00:00:00.000Z");
  });
});

describe("/v1 answers", () => {
  test("401 asks for a bearer token", async () => {
    const answer = await send("GET", `/v1/organizations/${tenant.organizationId}`);
    expect(answer).toMatchObject({ status: 401, body: { code: "unauthorized" } });
    expect(answer.headers.get("www-authenticate")).toBe("Bearer");
  });

  test("what is not there is 404, whatever the method", async () => {
    for (const [method, path] of [
      ["GET", "/v1/databases"],
      ["PUT", databases],
      ["GET", "/v1/organizations/a/b/c"],
    ] as const) {
      expect(await send(method, path, tenant)).toMatchObject({ status: 404, body: { code: "notFound" } });
    }
  });

  test("a token without the permission is told which it lacks", async () => {
    const { token } = await newToken(tenant, { permissions: ["read"] });
    expect(await send("POST", databases, { token, body: {} })).toMatchObject({
      status: 403,
      body: {
        code: "forbidden",
        message: "To create databases a token needs the permission admin; this one has read.",
      },
    });
    expect(await send("POST", databases, { token: DEPLOYMENT_TOKEN, body: {} })).toMatchObject({ status: 403 });
  });
});
