import { isFailure } from "../../../src/core/errors.ts";
import { beforeAll, describe, expect, test } from "vitest";
import { passTime } from "../../support/moved-date.ts";
import {
  DEPLOYMENT_TOKEN,
  bindings,
  dataTokens,
  newDatabase,
  newTenant,
  newToken,
  send,
  type Tenant,
} from "../../support/workerd/directory.ts";
import { accessTokens, context, exchangeToken, ok } from "../../support/workerd/directory.ts";
import { asVersion, versionstampHex } from "../../../src/core/versionstamp.ts";
import { DirectoryAuthority, type DirectoryAuthorityParts } from "../../../src/directory/directory-authority.ts";

import { systemClock } from "../../../src/objects/system.ts";

const deployment = { token: DEPLOYMENT_TOKEN };
/** What databases were asked about their past. */
const askedOfPast: unknown[] = [];
const commitOfThePast = asVersion(1_234_567);
const parts: DirectoryAuthorityParts = {
  accessTokens,
  dataTokens,
  clock: systemClock,
  organization: (id) => context.organization(id),
  pastKeeper: (databaseId) => ({
    owner: async () => ({ ok: true, organizationId: "nobody" }),
    async openPast({ tokenId, read, write }, at, eviction) {
      askedOfPast.push([databaseId, { tokenId, read, write }, at, eviction]);
      return { version: commitOfThePast, name: "", ready: false };
    },
  }),
};
const authority = new DirectoryAuthority(parts);

let tenant: Tenant;
let organization: string;

beforeAll(async () => {
  tenant = await newTenant();
  organization = `/api/organizations/${tenant.organizationId}`;
});

describe("organizations", () => {
  test("are created, found, renamed, listed, and deleted when empty", async () => {
    const created = await send("POST", "/api/organizations", { ...deployment, body: { name: "one" } });
    expect(created.status).toBe(201);
    const { organization: info, token } = created.body;
    const path = `/api/organizations/${info.id}`;
    expect(created.headers.get("location")).toBe(path);
    expect((await send("GET", path, { token })).body).toEqual(info);
    expect((await send("PATCH", path, { token, body: { name: "two" } })).body).toMatchObject({
      id: info.id,
      name: "two",
    });
    const list = async () => (await send("GET", "/api/organizations?limit=100", deployment)).body.items;
    expect(await list()).toContainEqual(expect.objectContaining({ id: info.id, name: "two" }));
    const databaseId = await newDatabase({ organizationId: info.id, token, tokenId: "" });
    expect(await send("DELETE", path, { token })).toMatchObject({ status: 409, body: { code: "conflict" } });
    await send("DELETE", `/api/databases/${databaseId}`, { token });
    expect(await send("DELETE", path, { token })).toMatchObject({ status: 204 });
    expect(await list()).not.toContainEqual(expect.objectContaining({ id: info.id }));
    const indexed = ok(await context.index().list({ kind: "deployment" }, 100, null));
    expect(indexed.items, "its row is gone, too").not.toContain(info.id);
    expect(await send("GET", path, { token })).toMatchObject({ status: 401 });
    expect(await send("GET", path, deployment)).toMatchObject({ status: 404 });
  });

  test("are listed in pages, whose last has no cursor", async () => {
    for (let i = 0; i < 3; i++) await newTenant();
    const seen: string[] = [];
    let cursor: string | undefined;
    do {
      const query: string = cursor === undefined ? "" : `&cursor=${cursor}`;
      const { body } = await send("GET", `/api/organizations?limit=2${query}`, deployment);
      seen.push(...body.items.map(({ id }: { id: string }) => id));
      expect(body.next === undefined || typeof body.next === "string").toBe(true);
      cursor = body.next;
    } while (cursor !== undefined);
    expect(new Set(seen).size).toBe(seen.length);
    expect(seen.length).toBeGreaterThan(3);
  });

  test("with the same Idempotency-Key come with the same token, which works", async () => {
    const sending = { ...deployment, body: { name: "once" }, headers: { "idempotency-key": crypto.randomUUID() } };
    const first = await send("POST", "/api/organizations", sending);
    const again = await send("POST", "/api/organizations", sending);
    expect(again.body).toEqual(first.body);
    expect(
      (await send("GET", `/api/organizations/${first.body.organization.id}`, { token: again.body.token })).status,
    ).toBe(200);
    expect(await send("POST", "/api/organizations", { ...sending, body: { name: "twice" } })).toMatchObject({
      status: 409,
    });
  });
});

describe("databases", () => {
  test("are created with their wishes, listed, changed, measured and deleted", async () => {
    const body = { name: "n", description: "d", locationHint: "weur" };
    const created = await send("POST", `${organization}/databases`, { ...tenant, body });
    expect(created.status).toBe(201);
    expect(created.body).toMatchObject({ ...body, jurisdiction: null, organizationId: tenant.organizationId });
    const path = `/api/databases/${created.body.id}`;
    expect(created.headers.get("location")).toBe(path);
    expect((await send("GET", path, tenant)).body).toEqual(created.body);
    expect((await send("PATCH", path, { ...tenant, body: { name: "m" } })).body).toMatchObject({
      name: "m",
      description: "d",
    });
    expect((await send("GET", `${path}/stats`, tenant)).body).toMatchObject({
      entries: 1,
      reads: 3,
      versionstamp: null,
    });
    const { body: page } = await send("GET", `${organization}/databases?sort=updatedAt&order=desc`, tenant);
    expect(page.items).toContainEqual(expect.objectContaining({ id: created.body.id }));
    expect(page).not.toHaveProperty("next");
    expect(await send("DELETE", `${path}?backups=burn`, tenant)).toMatchObject({ status: 400 });
    const deleted = await send("DELETE", `${path}?backups=keep`, tenant);
    expect(deleted).toMatchObject({ status: 202, body: { status: "completed", databaseId: created.body.id } });
    const job = await send("GET", deleted.headers.get("location") ?? "", tenant);
    expect(job.body).toEqual(deleted.body);
    expect((await send("DELETE", path, tenant)).body).toEqual(deleted.body);
    expect(await send("POST", `/api/jobs/${job.body.id}:cancel`, tenant)).toMatchObject({ status: 409 });
    expect((await send("GET", path, tenant)).status).toBe(404);
    expect(await bindings.DATABASES.getByName(created.body.id).told()).toMatchObject({
      wiped: { deleteBackups: false },
    });
  });

  test("with the same Idempotency-Key are one", async () => {
    const sending = { ...tenant, body: { name: "once" }, headers: { "idempotency-key": "k" } };
    const first = await send("POST", `${organization}/databases`, sending);
    expect((await send("POST", `${organization}/databases`, sending)).body).toEqual(first.body);
    expect(await send("POST", `${organization}/databases`, { ...sending, body: {} })).toMatchObject({ status: 409 });
  });

  test("in a jurisdiction are refused here, where the platform knows none", async () => {
    const answer = await send("POST", `${organization}/databases`, { ...tenant, body: { jurisdiction: "eu" } });
    expect(answer).toMatchObject({ status: 501, body: { code: "unsupported" } });
  });

  test.each<[string, unknown]>([
    ["an empty name", { name: "" }],
    ["a name of 101 characters", { name: "x".repeat(101) }],
    ["a name with a line break", { name: "a\r\nb" }],
    ["a number for a name", { name: 1 }],
    ["a description of 1,001 characters", { description: "x".repeat(1001) }],
    ["an unknown member", { nmae: "x" }],
    ["an unknown place", { locationHint: "moon" }],
    ["an unknown jurisdiction", { jurisdiction: "moon" }],
    ["an array", []],
    ["what is not JSON", "{"],
    ["deep JSON", `{"name":${"[".repeat(20_000)}${"]".repeat(20_000)}}`],
    ["64 KiB and more", { description: "x".repeat(70_000) }],
  ])("%s is a problem of status 400", async (_, body) => {
    const answer = await send("POST", `${organization}/databases`, { ...tenant, body });
    expect(answer.status).toBe(400);
    expect(answer.headers.get("content-type")).toBe("application/problem+json");
    expect(answer.body).toEqual({
      type: "about:blank",
      title: "Bad Request",
      status: 400,
      detail: expect.stringMatching(/.{10}/),
      code: expect.stringMatching(/^(invalid|limit)$/),
    });
  });

  test.each([
    "limit=0",
    "limit=101",
    "limit=x",
    "cursor=",
    "cursor=x",
    "sort=name",
    "order=up",
    "x=1",
    "limit=1&limit=2",
  ])("a list with ?%s is 400", async (query) =>
    expect(await send("GET", `${organization}/databases?${query}`, tenant)).toMatchObject({ status: 400 }),
  );

  test.each(["limit=0x10", "limit=1e1", "limit=+1", "limit=%205", "limit=1.0", "limit="])(
    "a list with ?%s is 400: a number is decimal digits",
    async (query) => {
      const { status, body } = await send("GET", `${organization}/databases?${query}`, tenant);
      expect([status, body.detail]).toEqual([
        400,
        "In the query, limit: must be a whole number from 1 to 100, in decimal digits.",
      ]);
    },
  );

  test.each([
    ["databases", { name: "" }, "In the body, name: must not be empty."],
    ["tokens", { name: "t", permissions: [], databases: "all" }, "In the body, permissions: must not be empty."],
    [
      "restores",
      { destination: { kind: "r2" }, databaseId: crypto.randomUUID(), at: "" },
      "In the body, at: must not be empty.",
    ],
  ])("what must not be empty to make %s is said so", async (path, body, detail) =>
    expect(await send("POST", `${organization}/${path}`, { ...tenant, body })).toMatchObject({
      status: 400,
      body: { detail },
    }),
  );

  test("a restore in place that is not confirmed is 400, and says what it undoes (G12)", async () => {
    const path = `/api/databases/${await newDatabase(tenant)}/restores`;
    const { status, body } = await send("POST", path, { ...tenant, body: { at: "2026-01-01T00:00:00Z" } });
    expect([status, body.detail]).toEqual([
      400,
      "In the body, confirm: must be true, because what was written since that moment is undone.",
    ]);
  });

  test("unknown members are named one and not all, shortened", async () => {
    const body = Object.fromEntries(
      Array.from({ length: 500 }, (_, i) => [`${"x".repeat(40)}\n"${i}${"y".repeat(40)}`, 1]),
    );
    const { status, body: problem } = await send("POST", `${organization}/databases`, { ...tenant, body });
    expect([status, problem.detail]).toEqual([
      400,
      `In the body: ${JSON.stringify(`${"x".repeat(40)}\n"0${"y".repeat(7)}`)} is not known here. It takes name, description, locationHint, jurisdiction.`,
    ]);
    const token = { name: "t", permissions: ["read"], databases: "all" };
    const nested = { ...token, keyPrefix: [{ type: "bigint", value: "1", more: 1 }] };
    expect((await send("POST", `${organization}/tokens`, { ...tenant, body: nested })).body.detail.length).toBeLessThan(
      200,
    );
    const { body: queried } = await send("GET", `${organization}/databases?${"x".repeat(5000)}=1`, tenant);
    expect(queried.detail).toBe(
      `In the query: "${"x".repeat(50)}" is not known here. It takes limit, cursor, q, sort, order.`,
    );
  });

  test.each(["", "x".repeat(256), "a b", "é"])("the Idempotency-Key %j is 400", async (key) => {
    const sending = { ...tenant, body: {}, headers: { "idempotency-key": key } };
    expect(await send("POST", `${organization}/databases`, sending)).toMatchObject({ status: 400 });
  });
});

describe("tokens", () => {
  const keyPrefix = ["users", 1, true, { type: "bigint", value: "-12" }, { type: "bytes", value: "AAH/" }];

  test("are shown once, listed without their secret, and come with what was asked (T2)", async () => {
    const body = {
      name: "browser",
      permissions: ["read", "write"],
      databases: "all",
      keyPrefix,
      expiresAt: "2100-01-01T00:00:00.000Z",
    };
    const created = await send("POST", `${organization}/tokens`, { ...tenant, body });
    expect(created.status).toBe(201);
    const { token, ...info } = created.body;
    expect(info).toMatchObject({
      ...body,
      createdBy: tenant.tokenId,
      lastUsedAt: null,
      revokedAt: null,
      signingKey: "k1",
    });
    const list = await send("GET", `${organization}/tokens?limit=100`, tenant);
    expect(list.body.items).toContainEqual(info);
    expect(JSON.stringify(list.body)).not.toContain(token.split("_")[3]);
  });

  test("with the same Idempotency-Key are one, with the same secret (T27)", async () => {
    const body = { name: "once", permissions: ["read"], databases: "all" };
    const sending = { ...tenant, body, headers: { "idempotency-key": "token" } };
    const first = await send("POST", `${organization}/tokens`, sending);
    expect((await send("POST", `${organization}/tokens`, sending)).body).toEqual(first.body);
    expect((await send("GET", organization, { token: first.body.token })).status).toBe(200);
  });

  test("made with an Idempotency-Key are answered again when what they are for is gone or over", async () => {
    const databaseId = await newDatabase(tenant);
    const body = { name: "t", permissions: ["read"], databases: [databaseId] };
    const forDatabase = { ...tenant, body, headers: { "idempotency-key": crypto.randomUUID() } };
    const expiresAt = new Date(Date.now() + 60_000).toISOString();
    const ending = { ...forDatabase, body: { ...body, databases: "all", expiresAt } };
    ending.headers = { "idempotency-key": crypto.randomUUID() };
    const first = await Promise.all(
      [forDatabase, ending].map((sending) => send("POST", `${organization}/tokens`, sending)),
    );
    expect(first.map(({ status }) => status)).toEqual([201, 201]);
    await send("DELETE", `/api/databases/${databaseId}`, tenant);
    passTime(60_000);
    for (const [i, sending] of [forDatabase, ending].entries()) {
      expect((await send("POST", `${organization}/tokens`, sending)).body).toEqual(first[i]?.body);
      const anew = { ...sending, headers: {} };
      expect(await send("POST", `${organization}/tokens`, anew)).toMatchObject({ status: 400 });
    }
  });

  test("may be minted by the deployment, for an organization that lost its own", async () => {
    const body = { name: "found again", permissions: ["admin"], databases: "all" };
    const { body: minted } = await send("POST", `${organization}/tokens`, { ...deployment, body });
    expect((await send("GET", organization, { token: minted.token })).status).toBe(200);
  });

  test.each<[string, unknown]>([
    ["no permissions", { permissions: [] }],
    ["an unknown permission", { permissions: ["root"] }],
    ["a database that is not there", { databases: [crypto.randomUUID()] }],
    ["a database that is no UUID", { databases: ["x"] }],
    ["an empty prefix", { keyPrefix: [] }],
    ["a prefix of null", { keyPrefix: [null] }],
    ["a prefix with half a surrogate pair", { keyPrefix: ["\ud800"] }],
    ["a prefix with admin", { permissions: ["admin"], keyPrefix: ["a"] }],
    ["an end in the past", { expiresAt: "2020-01-01T00:00:00Z" }],
    ["an end that is no time", { expiresAt: "soon" }],
    ["an unknown member", { scope: "all" }],
  ])("with %s are refused", async (_, part) => {
    const body = { name: "t", permissions: ["read"], databases: "all", ...(part as object) };
    expect(await send("POST", `${organization}/tokens`, { ...tenant, body })).toMatchObject({ status: 400 });
  });

  test("a narrower one cannot mint a wider one (T12)", async () => {
    const databaseId = await newDatabase(tenant);
    const { token } = await newToken(tenant, { permissions: ["read", "admin"], databases: [databaseId] });
    const mint = (part: object) =>
      send("POST", `${organization}/tokens`, {
        token,
        body: { name: "t", permissions: ["read"], databases: [databaseId], ...part },
      });
    expect((await mint({})).status).toBe(201);
    expect(await mint({ databases: "all" })).toMatchObject({ status: 403 });
    expect(await mint({ permissions: ["write"] })).toMatchObject({ status: 403 });
    expect(await mint({ databases: [await newDatabase(tenant)] })).toMatchObject({ status: 400 });
  });

  test("are revoked with what they minted when that is asked, and otherwise without it (T19)", async () => {
    const first = await newToken(tenant, { permissions: ["read", "admin"] });
    const mint = { name: "minted", permissions: ["read"], databases: "all" };
    const { body: second } = await send("POST", `${organization}/tokens`, { token: first.token, body: mint });
    expect(second.createdBy).toBe(first.id);
    const isGood = async () => (await send("GET", organization, { token: second.token })).status === 200;
    const path = `${organization}/tokens/${first.id}`;
    expect(await send("DELETE", `${path}?minted=all`, tenant)).toMatchObject({ status: 400 });
    expect((await send("GET", organization, { token: first.token })).status).toBe(200);
    expect(await send("DELETE", path, tenant)).toMatchObject({ status: 200 });
    expect(await isGood()).toBe(true);
    expect(await send("DELETE", `${path}?minted=revoke`, tenant)).toMatchObject({
      status: 200,
      body: { id: first.id },
    });
    expect(await isGood()).toBe(false);
  });

  test("are revoked for exactly the databases that they opened, before the answer", async () => {
    const databaseId = await newDatabase(tenant);
    const { id, token } = await newToken(tenant, { permissions: ["read"] });
    const exchanged = ok(await exchangeToken(authority, token, databaseId));
    expect(await authority.verify(exchanged.token, databaseId)).toMatchObject({
      tokenId: id,
      read: true,
      write: false,
    });
    const path = `${organization}/tokens/${id}`;
    expect(await send("DELETE", path, tenant)).toMatchObject({
      status: 200,
      body: { id, revokedAt: expect.any(String) },
    });
    expect(await bindings.DATABASES.getByName(databaseId).told()).toMatchObject({
      revoked: { [id]: expect.any(Number) },
    });
    expect(await exchangeToken(authority, token, databaseId)).toMatchObject({ code: "unauthenticated" });
    expect(await send("DELETE", path, tenant)).toMatchObject({ status: 200 });
  });

  test("a database that cannot be told makes it 503, and the same request answers later", async () => {
    const databaseId = await newDatabase(tenant);
    const { id, token } = await newToken(tenant, {});
    ok(await exchangeToken(authority, token, databaseId));
    await bindings.DATABASES.getByName(databaseId).fail(1);
    const refused = await send("DELETE", `${organization}/tokens/${id}`, tenant);
    expect(refused).toMatchObject({ status: 503, body: { code: "unavailable" } });
    expect(refused.headers.get("retry-after")).toBe("1");
    expect(await send("DELETE", `${organization}/tokens/${id}`, tenant)).toMatchObject({ status: 200 });
  });
});

describe("the exchange", () => {
  test("carries prefix and end into the data token, and refuses what the scopes do not cover", async () => {
    const [databaseId, other] = [await newDatabase(tenant), await newDatabase(tenant)];
    const expiresAt = new Date(Date.now() + 600_000);
    const { token } = await newToken(tenant, {
      databases: [databaseId],
      keyPrefix: ["a"],
      expiresAt: expiresAt.toISOString(),
    });
    const exchanged = ok(await exchangeToken(authority, token, databaseId));
    expect(exchanged.expiresAt).toBe(expiresAt.getTime());
    const grant = await authority.verify(exchanged.token, databaseId);
    expect(grant).toMatchObject({ read: true, write: false, keyPrefix: "026100" });
    expect(isFailure(grant) ? 0 : grant.expiresAt).toBeLessThanOrEqual(expiresAt.getTime());
    const refused = await exchangeToken(authority, token, other);
    expect(refused).toMatchObject({ code: "not-found" });
    expect(await exchangeToken(authority, token, crypto.randomUUID())).toEqual(refused);
  });

  test("as of a moment, gives what the token may read of that database as of the commit before", async () => {
    const databaseId = await newDatabase(tenant);
    const { id, token } = await newToken(tenant, { permissions: ["write", "backup"], databases: [databaseId] });
    const exchanged = ok(await exchangeToken(authority, token, databaseId, "2026-11-17T12:00:00Z"));
    const at = versionstampHex(commitOfThePast);
    expect(exchanged.at).toBe(at);
    expect(askedOfPast.splice(0)).toEqual([
      [databaseId, { tokenId: id, read: true, write: true }, "2026-11-17T12:00:00Z", "least-recently-used"],
    ]);
    expect(await authority.verify(exchanged.token, databaseId, at)).toMatchObject({ read: true, write: false, at });
    expect(await authority.verify(exchanged.token, databaseId)).toMatchObject({ code: "unauthenticated" });
  });

  test("as of a moment, asks no database for who may not read it or may not know of it", async () => {
    const databaseId = await newDatabase(tenant);
    const writer = await newToken(tenant, { permissions: ["write"] });
    expect(await exchangeToken(authority, writer.token, databaseId, "x")).toMatchObject({ code: "forbidden" });
    const stranger = await newTenant();
    const foreign = await exchangeToken(authority, stranger.token, databaseId, "x");
    expect(foreign).toMatchObject({ code: "not-found" });
    expect(await exchangeToken(authority, stranger.token, crypto.randomUUID(), "x")).toEqual(foreign);
    expect(askedOfPast).toEqual([]);
  });

  test("reaches no object with a token that nobody minted (T3)", async () => {
    const asked: string[] = [];
    const watched = new DirectoryAuthority({
      ...parts,
      organization(id) {
        asked.push(id);
        return context.organization(id);
      },
    });
    const made = `cairn_${tenant.organizationId.replaceAll("-", "")}_${"0".repeat(16)}_${"0".repeat(64)}_${"0".repeat(24)}`;
    expect(await exchangeToken(watched, made, crypto.randomUUID())).toMatchObject({
      code: "unauthenticated",
    });
    expect(asked).toEqual([]);
  });
});

describe("what everybody may ask", () => {
  test("/healthz", async () =>
    expect(await send("GET", "/healthz")).toMatchObject({ status: 200, body: { ok: true } }));

  test("/openapi.json is OpenAPI 3.1 with a security scheme, every path and no leftover of the router", async () => {
    const { body } = await send("GET", "/openapi.json");
    expect(body.openapi).toBe("3.1.0");
    expect(Object.keys(body.paths)).toContain("/api/jobs/{jobId}:cancel");
    expect(JSON.stringify(body)).not.toContain("[:]");
    expect(body.components.securitySchemes.token).toMatchObject({ type: "http", scheme: "bearer" });
    const operations = Object.values(body.paths).flatMap((methods) =>
      Object.values(methods as Record<string, { operationId: string }>),
    );
    expect(new Set(operations.map(({ operationId }) => operationId)).size).toBe(operations.length);
    const { requestBody } = body.paths["/api/organizations/{organizationId}/tokens"].post;
    expect(Object.keys(requestBody.content["application/json"].schema.properties)).toEqual([
      "name",
      "permissions",
      "databases",
      "keyPrefix",
      "expiresAt",
      "allowedOrigins",
    ]);
  });

  test("every pattern of /openapi.json is a regular expression as JSON Schema has it, without flags", async () => {
    const { body } = await send("GET", "/openapi.json");
    const patterns: string[] = [];
    JSON.stringify(body, (name, value: unknown) => {
      if (name === "pattern" && typeof value === "string") patterns.push(value);
      return value;
    });
    expect(patterns).not.toEqual([]);
    for (const pattern of patterns) {
      expect(() => new RegExp(pattern, "u")).not.toThrow();
      expect(pattern).not.toMatch(/\/[a-z]*$/);
    }
  });

  test("/api is a page that loads nothing", async () => {
    const { body, headers } = await send("GET", "/api");
    expect(headers.get("content-type")).toBe("text/html; charset=utf-8");
    expect(headers.get("content-security-policy")).toContain("default-src 'none'");
    expect(body).toContain("/api/databases/{databaseId}");
    expect(body).not.toMatch(/<script|<link|<img|https?:\/\//);
  });

  test("an unknown path is a problem of status 404", async () => {
    expect(await send("GET", "/api/nothing", tenant)).toMatchObject({ status: 404, body: { code: "not-found" } });
    for (const method of ["PUT", "DELETE", "OPTIONS"]) {
      expect(await send(method, "/api/nothing", tenant)).toMatchObject({ status: 404, body: { code: "not-found" } });
    }
  });

  test.each([
    ["PUT", "/api/organizations", "POST, GET, HEAD, OPTIONS"],
    ["POST", "/api/databases/x", "GET, HEAD, PATCH, DELETE, OPTIONS"],
    ["GET", "/api/databases/x/backup:pause", "POST, OPTIONS"],
    ["POST", "/metrics", "GET, HEAD, OPTIONS"],
    ["POST", "/healthz", "GET, HEAD, OPTIONS"],
    ["DELETE", "/api", "GET, HEAD, OPTIONS"],
  ])("%s %s is a problem of status 405 that says what is allowed, without a token too", async (method, path, allow) => {
    const answer = await send(method, path);
    expect(answer).toMatchObject({
      status: 405,
      body: {
        title: "Method Not Allowed",
        status: 405,
        code: "unsupported",
        detail: `${method} is not allowed here: this address takes ${allow}.`,
      },
    });
    expect([answer.headers.get("allow"), answer.headers.get("content-type")]).toEqual([
      allow,
      "application/problem+json",
    ]);
  });
});

describe("/metrics", () => {
  test("takes a token that can do nothing else, and is in the text format", async () => {
    const metered = await newTenant();
    const databaseId = await newDatabase(metered);
    const counters = { reads: 1, writes: 2, readUnits: 3, writeUnits: 4, bytes: 5 };
    await context.organization(metered.organizationId).reportUsage(databaseId, counters, systemClock.now());
    const { token } = await newToken(metered, { permissions: ["metrics"] });
    const { status, body, headers } = await send("GET", "/metrics", { token });
    expect(status).toBe(200);
    expect(headers.get("content-type")).toBe("text/plain; version=0.0.4; charset=utf-8");
    expect(body).toMatch(/^(# (HELP|TYPE) \w+ .+\n|\w+(\{(database|outcome)="[0-9a-z-]+"\})? \d+\n)+$/);
    expect(body).toContain("cairn_databases 1\n");
    expect(body).toContain("cairn_kv_writes_total 2\n");
    expect(body).toContain(`cairn_database_storage_bytes{database="${databaseId}"} 5\n`);
  });
});
