/** The management API against the running server: hostile requests on both protocols, and kills of the server while it works. */
import { connect as connectHttp2, type ClientHttp2Session } from "node:http2";
import { connect as connectTcp } from "node:net";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { startManagedServer, Tenant, tryExchange } from "../support/management.ts";

const server = await startManagedServer();
let tenant: Tenant;
let databases: string;
let tokens: string;

beforeAll(async () => {
  tenant = await Tenant.make(server);
  databases = `/api/organizations/${tenant.organizationId}/databases`;
  tokens = `/api/organizations/${tenant.organizationId}/tokens`;
});

afterAll(() => server.close());

const nested = (depth: number): string => `${"[".repeat(depth)}${"]".repeat(depth)}`;
const good = { name: "t", permissions: ["read"], databases: "all" };

describe("a request to /api with", () => {
  test.each<[string, unknown]>([
    ["an unknown member", { ...good, scopes: ["read"] }],
    ["a wrong type", { ...good, permissions: "read" }],
    ["an unknown permission", { ...good, permissions: ["root"] }],
    ["no permission", { ...good, permissions: [] }],
    ["a line break in its name", { ...good, name: "a\r\nset-cookie: x" }],
    ["a control character in its name", { ...good, name: "a\u0000" }],
    ["a time that is over", { ...good, expiresAt: "2020-01-01T00:00:00Z" }],
    ["a time that is none", { ...good, expiresAt: "tomorrow" }],
    ["a database that is no id", { ...good, databases: ["x"] }],
    ["another tenant's database", { ...good, databases: [server.databaseId] }],
    ["a key prefix beside admin", { ...good, permissions: ["admin"], keyPrefix: ["a"] }],
    ["an empty key prefix", { ...good, keyPrefix: [] }],
    ["a key prefix of null", { ...good, keyPrefix: [null] }],
    ["a key prefix that is too long", { ...good, keyPrefix: ["x".repeat(600)] }],
    ["a member that names the prototype", `{"name":"t","permissions":["read"],"databases":"all","__proto__":{}}`],
    ["deep JSON", `{"name":${nested(15_000)}}`],
    [
      "deep JSON for a key prefix",
      `{"name":"t","permissions":["read"],"databases":"all","keyPrefix":${nested(15_000)}}`,
    ],
    ["half of a JSON", `{"name":"t"`],
    ["no object", "[]"],
    ["null", "null"],
    ["64 KiB and more", JSON.stringify({ ...good, name: "x".repeat(70_000) })],
  ])("%s is a problem of status 400 that gives nothing of it back", async (_, body) => {
    const answer = await server.send("POST", tokens, tenant.token, body);
    expect([answer.status, answer.headers.get("content-type")]).toEqual([400, "application/problem+json"]);
    expect(answer.body).toEqual({
      type: "about:blank",
      title: "Bad Request",
      status: 400,
      detail: expect.stringMatching(/^[^\r\n]{5,300}$/),
      code: expect.stringMatching(/^(invalid|limit)$/),
    });
  });

  test.each<[string, number, Record<string, string>]>([
    ["an Idempotency-Key of 10,000 characters", 400, { "idempotency-key": "x".repeat(10_000) }],
    ["an Idempotency-Key with a space", 400, { "idempotency-key": "a b" }],
    ["an Authorization of 10,000 characters", 401, { authorization: `Bearer ${"x".repeat(10_000)}` }],
    ["two Authorizations in one", 401, { authorization: `Bearer ${"x".repeat(60)}, Bearer y` }],
    ["another scheme", 401, { authorization: "Basic eDp5" }],
  ])("%s is a problem of status %i", async (_, status, headers) => {
    const token = "authorization" in headers ? null : tenant.token;
    const answer = await server.send("POST", databases, token, { name: "x" }, headers);
    expect([answer.status, answer.headers.get("content-type")]).toEqual([status, "application/problem+json"]);
    expect(answer.body.detail.length).toBeLessThan(300);
  });

  test("more headers than any request has are refused by the front, in plain text", async () => {
    for (const headers of [{ "idempotency-key": "x".repeat(100_000) }, { "x-a": "x".repeat(20_000) }]) {
      const answer = await server.send("POST", databases, tenant.token, { name: "x" }, headers);
      expect([answer.status, answer.body]).toEqual([431, expect.stringContaining("at most 16 KiB are allowed")]);
    }
  });

  test("an encoded line break in its query or path starts no header", async () => {
    const injected = "%0d%0aset-cookie:%20x=y";
    for (const path of [
      `${databases}?cursor=${injected}`,
      `/api/databases/${injected}`,
      `/api/nowhere${injected}`,
      `/v1/organizations/${tenant.organizationId}/databases?q=${injected}`,
      `/v1/${injected}`,
    ]) {
      const answer = await server.send("GET", path, tenant.token);
      expect(answer.headers.has("set-cookie")).toBe(false);
      expect([200, 400, 404]).toContain(answer.status);
    }
  });

  test("a parameter given twice, or an unknown one, is refused", async () => {
    for (const query of ["limit=1&limit=2", "page=1", "limit=1e1x", "limit=", "order=sideways", "cursor=x"]) {
      expect([query, (await server.send("GET", `${databases}?${query}`, tenant.token)).status]).toEqual([query, 400]);
    }
  });

  test("raw bytes that are no HTTP, a line break in a header, a path without end: the server refuses and lives on", async () => {
    const start = `GET ${databases} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${tenant.token}\r\n`;
    for (const [bytes, answer] of [
      [`${start}x-a: a\rb\r\n\r\n`, /^HTTP\/1\.1 400 /],
      [`${start}x-a: a\u0000b\r\n\r\n`, /^HTTP\/1\.1 400 /],
      [`GET /api/${"a".repeat(100_000)} HTTP/1.1\r\nhost: x\r\n\r\n`, /^HTTP\/1\.1 431 /],
      ["nonsense\r\n\r\n", /^HTTP\/1\.1 [45]\d\d /],
    ] as const) {
      const text = await rawAnswer(bytes);
      expect(text).toMatch(answer);
      expect(text).not.toContain(tenant.token);
    }
    expect((await server.send("GET", databases, tenant.token)).status).toBe(200);
  });

  test("headers of 100 KB over HTTP/2 end their own session and no other", async () => {
    const open = () => {
      // The client's own limit would keep it from sending them.
      const session = connectHttp2(server.url, { maxSendHeaderBlockLength: 1_000_000 });
      session.on("error", () => undefined);
      onTestFinished(() => session.destroy());
      return session;
    };
    const status = (session: ClientHttp2Session, headers: Record<string, string>) =>
      new Promise((resolve) => {
        const stream = session.request({ ":path": databases, authorization: `Bearer ${tenant.token}`, ...headers });
        stream.once("response", (answered) => resolve(answered[":status"]));
        stream.once("error", () => resolve("an error"));
        stream.resume();
        stream.end();
      });
    const [hostile, other] = [open(), open()];
    expect([await status(hostile, {}), await status(other, {})]).toEqual([200, 200]);
    expect(await status(hostile, { "x-a": "a!~|^".repeat(20_000) })).toBe("an error");
    expect(await status(other, {})).toBe(200);
  });
});

describe("a request to /v1 with", () => {
  test.each<[string, unknown]>([
    ["an unknown member", { description: "x", name: "y" }],
    ["a wrong type", { description: 1 }],
    ["deep JSON", `{"description":${nested(15_000)}}`],
    ["no object", "[]"],
    ["half of a JSON", `{"description":`],
    ["a body of 70 KB", { description: "x".repeat(70_000) }],
  ])("%s is an error of status 400 in that form", async (_, body) => {
    const path = `/v1/organizations/${tenant.organizationId}/databases`;
    const answer = await server.send("POST", path, tenant.token, body);
    expect(answer.status).toBe(400);
    expect(answer.body).toEqual({ code: "badRequest", message: expect.stringMatching(/^[^\r\n]{5,300}$/) });
  });
});

test("workerd killed while databases are made: each is made once, and what is listed can be opened", async () => {
  const killed = await Tenant.make(server);
  const path = `/api/organizations/${killed.organizationId}/databases`;
  const make = async (key: string): Promise<string> => {
    for (;;) {
      const headers = { "idempotency-key": key };
      // A connection that broke with the server, or 503 until it is there again: the same request once more.
      const answer = await server.send("POST", path, killed.token, { name: key }, headers).catch(() => undefined);
      if (answer?.status === 201) return answer.body.id;
      expect([undefined, 503]).toContain(answer?.status);
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  };
  const making = Array.from({ length: 30 }, (_, index) => make(`key-${index}`));
  for (let kill = 0; kill < 2; kill++) {
    await making[kill * 10];
    const pid = server.workerdPid();
    process.kill(pid, "SIGKILL");
    await expect.poll(() => server.workerdPid()).not.toBe(pid);
  }
  const made = await Promise.all(making);
  // All may have been made before the second kill: the server is there when it answers again.
  const list = () => server.send("GET", `${path}?limit=100`, killed.token);
  await expect.poll(async () => (await list()).status).toBe(200);
  const listed = await list();
  expect(listed.body.items.map(({ id }: { id: string }) => id).toSorted()).toEqual(made.toSorted());
  for (const id of made) expect(await tryExchange(killed.opening(id))).toHaveProperty("token");
  await killed.connect(made[0] ?? "").then((connect) => connect.close());
});

test("a jurisdiction, which this platform cannot keep, is refused before anything is made", async () => {
  const answer = await server.send("POST", databases, tenant.token, { jurisdiction: "eu" });
  expect(answer).toMatchObject({ status: 501, body: { code: "unsupported" } });
  expect((await server.send("GET", databases, tenant.token)).body.items).toEqual([]);
});

/** What a connection is answered with that sends these bytes and nothing more. */
function rawAnswer(bytes: string): Promise<string> {
  return new Promise((resolve) => {
    let text = "";
    const socket = connectTcp(Number(new URL(server.url).port), "127.0.0.1", () => socket.end(bytes));
    socket.setEncoding("utf8").on("data", (chunk: string) => (text += chunk));
    socket.on("error", () => undefined);
    socket.on("close", () => resolve(text));
  });
}
