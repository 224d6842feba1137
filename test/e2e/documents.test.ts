/** Documents against a server as `npm start` runs it: keys, tokens signed by `jsonwebtoken`, other clients of the same entries, and strangers. */
import { randomUUID } from "node:crypto";
import { readdirSync } from "node:fs";
import { Agent, request } from "node:http";
import { join } from "node:path";
import { openKv } from "@deno/kv";
import jsonwebtoken from "jsonwebtoken";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { openFilesOf } from "../../src/local/front/open-databases.ts";
import { http2Request, http2Session } from "../local/stand-in-server.ts";
import { type ManagedServer, startManagedServer, Tenant } from "../support/management.ts";

let server: ManagedServer;

beforeAll(async () => {
  // A limit of files that strangers would pass with 300 databases.
  server = await startManagedServer({}, { shell: "ulimit -n 1024" });
});

afterAll(() => server.close());

interface Key {
  readonly id: string;
  readonly secret: string;
}

interface Environment extends Key {
  readonly databaseId: string;
  readonly admin: string;
}

async function newKey(databaseId: string, admin: string, wishes: object = {}): Promise<Key> {
  const body = { name: "key", permissions: ["documents"], ...wishes };
  const { status, body: made } = await server.send("POST", `/api/databases/${databaseId}/keys`, admin, body);
  expect([status, made]).toMatchObject([201, { name: "key", secret: expect.stringMatching(/^[0-9a-f]{64}$/) }]);
  return { id: made.id, secret: made.secret };
}

/** A database of an organization of its own, with a key. */
async function newEnvironment(wishes: object = {}): Promise<Environment> {
  const tenant = await Tenant.make(server);
  const databaseId = await tenant.newDatabase();
  return { databaseId, admin: tenant.token, ...(await newKey(databaseId, tenant.token, wishes)) };
}

interface Signing {
  readonly secret?: string;
  readonly token?: string;
  readonly keyId?: string;
  readonly envId?: string;
}

async function cdb(environment: Environment, body: unknown, signing: Signing = {}) {
  const { secret = environment.secret, keyId = environment.id, envId = environment.databaseId } = signing;
  const token = signing.token ?? jsonwebtoken.sign({ identity: "cdb" }, secret, { expiresIn: "1h" });
  const headers = { envid: envId, keyid: keyId, authorization: `Bearer ${token}` };
  const response = await fetch(`${server.url}/cdb`, { method: "POST", headers, body: JSON.stringify(body) });
  expect(response.status).toBe(200);
  // What an answer holds is what the tests are about.
  // oxlint-disable-next-line typescript/no-explicit-any
  return (await response.json()) as any;
}

const menu = (action: string, members: object) => ({ appId: "shop", tableId: "menu", action, ...members });

describe("a key", () => {
  test("opens its database with a token that its owner signs, and no other does (D30, D31)", async () => {
    const own = await newEnvironment();
    const other = await newEnvironment();
    const get = menu("get", { ids: { id: "a" } });
    expect(await cdb(own, get)).toBeNull();
    expect(await cdb(own, get, { token: jsonwebtoken.sign({ identity: "cdb" }, own.secret) })).toBeNull();
    const refused: readonly Signing[] = [
      { secret: other.secret },
      { keyId: other.id },
      { envId: other.databaseId },
      { keyId: other.id, secret: other.secret },
      { token: jsonwebtoken.sign({ identity: "cdb" }, null, { algorithm: "none" }) },
      { token: jsonwebtoken.sign({ identity: "cdb" }, own.secret, { algorithm: "HS512" }) },
      { token: jsonwebtoken.sign({ identity: "cdb" }, own.secret, { expiresIn: -1 }) },
      { token: jsonwebtoken.sign({ identity: "admin" }, own.secret) },
      { token: own.admin },
    ];
    for (const signing of refused) {
      expect([signing, await cdb(own, get, signing)]).toMatchObject([
        signing,
        { errCode: "1", type: "unauthenticated" },
      ]);
    }
  });

  test("is made once by requests with the same Idempotency-Key (D32)", async () => {
    const own = await newEnvironment();
    const path = `/api/databases/${own.databaseId}/keys`;
    const body = { name: "once", permissions: ["documents"] };
    const headers = { "idempotency-key": "k1" };
    const made = await Promise.all([1, 2, 3].map(() => server.send("POST", path, own.admin, body, headers)));
    expect(new Set(made.map(({ body: { id, secret } }) => `${id} ${secret}`)).size).toBe(1);
    expect(made.map(({ headers: got }) => got.get("location"))).toContain(`${path}/${made[0]?.body.id}`);
    const other = await server.send("POST", path, own.admin, { ...body, name: "twice" }, headers);
    expect([other.status, other.body.code]).toEqual([409, "conflict"]);
  });

  test("can require exp, and be for some tables (D31, D35)", async () => {
    const own = await newEnvironment({ requireExpiry: true, apps: ["shop", "crm/contacts"] });
    const token = jsonwebtoken.sign({ identity: "cdb" }, own.secret);
    expect((await cdb(own, menu("get", { ids: { id: "a" } }), { token })).title).toContain('"exp"');
    const create = (appId: string, tableId: string) => ({
      appId,
      tableId,
      action: "create",
      ids: { id: "a" },
      columns: { n: 1 },
    });
    const answers = await cdb(own, {
      requests: [create("shop", "x"), create("crm", "contacts"), create("crm", "x"), create("shop2", "x")],
    });
    expect(answers).toMatchObject([{ ids: {} }, { ids: {} }, { type: "forbidden" }, { type: "forbidden" }]);
  });

  test("stays when the token that made it is revoked, and goes with minted=revoke (T19)", async () => {
    const tenant = await Tenant.make(server);
    const databaseId = await tenant.newDatabase();
    const leaked = await tenant.newToken({ permissions: ["read", "write", "admin"] });
    const own = { databaseId, admin: tenant.token, ...(await newKey(databaseId, leaked.token)) };
    const stays = { databaseId, admin: tenant.token, ...(await newKey(databaseId, tenant.token)) };
    const get = menu("get", { ids: { id: "a" } });
    const path = `/api/organizations/${tenant.organizationId}/tokens/${leaked.id}`;
    expect((await server.send("DELETE", path, tenant.token)).status).toBe(200);
    expect(await cdb(own, get)).toBeNull();
    expect((await server.send("DELETE", `${path}?minted=revoke`, tenant.token)).status).toBe(200);
    expect(await cdb(own, get)).toMatchObject({ type: "unauthenticated" });
    expect(await cdb(stays, get)).toBeNull();
    const { body } = await server.send("GET", `/api/databases/${databaseId}/keys`, tenant.token);
    expect(body.items.map(({ id }: Key) => id)).toEqual([stays.id]);
  });

  test("that is deleted opens nothing from the answer on, and is not shown again (D32, D33)", async () => {
    const own = await newEnvironment();
    const get = menu("get", { ids: { id: "a" } });
    const token = jsonwebtoken.sign({ identity: "cdb" }, own.secret);
    expect(await cdb(own, get, { token })).toBeNull();
    const path = `/api/databases/${own.databaseId}/keys`;
    const list = await server.send("GET", path, own.admin);
    expect(list.body).toMatchObject({
      items: [{ id: own.id, permissions: ["documents"], apps: null, expiresAt: null }],
    });
    expect(JSON.stringify(list.body)).not.toContain(own.secret);
    expect((await server.send("DELETE", `${path}/${own.id}`, own.admin)).status).toBe(204);
    expect(await cdb(own, get, { token })).toMatchObject({ type: "unauthenticated" });
    expect((await server.send("GET", `${path}/${own.id}`, own.admin)).status).toBe(404);
    expect((await server.send("GET", path, own.admin)).body).toEqual({ items: [] });
    expect(JSON.parse((await cdb(own, get, { token })).instance)).toMatchObject({
      clientIP: "127.0.0.1",
      userAgent: "node",
    });
  });
});

test("HTTP/2 reaches /cdb, too (D30)", async () => {
  const own = await newEnvironment();
  const authorization = `Bearer ${jsonwebtoken.sign({ identity: "cdb" }, own.secret)}`;
  const headers = { ":method": "POST", ":path": "/cdb", envid: own.databaseId, keyid: own.id, authorization };
  const body = JSON.stringify(menu("create", { ids: { id: "a" }, columns: {} }));
  const session = http2Session(server.url);
  const answer = await http2Request(session, headers, body);
  expect([answer.status, answer.body]).toEqual([200, '{"ids":{"id":"a"}}']);
  // What a client says of its address counts nothing.
  const refused = await http2Request(session, { ...headers, keyid: "x", "cf-connecting-ip": "192.0.2.1" }, body);
  expect(JSON.parse(JSON.parse(refused.body).instance).clientIP).toBe("127.0.0.1");
});

test("a document is an entry for @deno/kv, and an entry of its is a document", async () => {
  const own = await newEnvironment();
  expect(await cdb(own, menu("create", { ids: { id: "a" }, columns: { name: "米饭", price: 8 } }))).toEqual({
    ids: { id: "a" },
  });
  const kv = await openKv(`${server.url}/databases/${own.databaseId}/connect`, { accessToken: own.admin });
  onTestFinished(() => kv.close());
  expect((await kv.get(["shop", "menu", "a"])).value).toEqual({ name: "米饭", price: 8 });
  await kv.set(["shop", "menu", "b"], { name: "noodles", price: 7 });
  const many = { ids: { id: "CDB:tableMinId" }, endIds: { id: "CDB:tableMaxId" }, orderType: "asc" };
  expect((await cdb(own, menu("getMany", many))).data).toEqual([
    { ids: { id: "a" }, columns: { name: "米饭", price: 8 } },
    { ids: { id: "b" }, columns: { name: "noodles", price: 7 } },
  ]);
  const search = (query: object) => cdb(own, menu("search", { querys: [query], getTotalCount: true }));
  const noodles = { data: [{ ids: { id: "b" }, columns: { name: "noodles", price: 7 } }], totalCounts: 1 };
  expect(await search({ queryType: "match", column: "name", value: "Noodles" })).toEqual(noodles);
  expect(await search({ queryType: "range", column: "price", rangeTo: 7 })).toEqual(noodles);
  await kv.delete(["shop", "menu", "b"]);
  expect(await search({ queryType: "exist", column: "name" })).toMatchObject({ totalCounts: 1 });
});

describe.skipIf(process.platform !== "linux")("strangers", () => {
  interface Asked {
    readonly status: number;
    readonly text: string;
  }

  function ask(agent: Agent, headers: Readonly<Record<string, string>>, method = "POST"): Promise<Asked> {
    return new Promise((resolve, reject) => {
      const asked = request(`${server.url}/cdb`, { method, headers, agent }, (answer) => {
        let text = "";
        answer.setEncoding("utf8").on("data", (piece: string) => (text += piece));
        answer.on("end", () => resolve({ status: answer.statusCode ?? 0, text }));
      });
      asked.on("error", reject);
      asked.end(method === "POST" ? "{}" : undefined);
    });
  }

  // Not those that an open database has for a while.
  const files = (): number =>
    readdirSync(join(server.folder, "data"), { recursive: true }).filter((name) => !/-(wal|shm)$/.test(String(name)))
      .length;

  test("who ask with made-up keys, for more databases than may be open, open none and keep nobody out (D36)", async () => {
    const own = await newEnvironment();
    const get = menu("get", { ids: { id: "a" } });
    expect(await cdb(own, get)).toBeNull();
    const agent = new Agent({ keepAlive: true, maxSockets: 16 });
    onTestFinished(() => agent.destroy());
    const authorization = `Bearer ${jsonwebtoken.sign({ identity: "cdb" }, "x")}`;
    const keys = ["", "x", own.id, `key_${"0".repeat(16)}_${"0".repeat(24)}`];
    const pid = server.workerdPid();
    const before = files();
    let [begun, mostFiles] = [0, 0];
    const opened = openFilesOf(pid) ?? 0;
    const stranger = async (): Promise<void> => {
      while (begun < 2_000) {
        const keyid = keys[begun++ % keys.length] ?? "";
        const [method, expected] = begun % 7 === 0 ? (["OPTIONS", 204] as const) : (["POST", 200] as const);
        const { status, text } = await ask(agent, { envid: randomUUID(), keyid, authorization }, method);
        expect([status, text === "" || text.includes('"type":"unauthenticated"')]).toEqual([expected, true]);
        if (begun % 50 === 0) mostFiles = Math.max(mostFiles, openFilesOf(pid) ?? 0);
      }
    };
    await Promise.all(Array.from({ length: 16 }, stranger));
    // Connections of the front to workerd, and no three files for each of 2,000 databases.
    expect(mostFiles).toBeLessThan(opened + 100);
    expect(files()).toBe(before);
    expect(await cdb(own, get)).toBeNull();
    expect(server.log()).toBe("");
  });
});
