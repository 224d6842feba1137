/** The Worker as it is deployed: what it refuses to run without, which door gets which path, and what reaches from one object to another. */
import { isFailure } from "../../src/core/errors.ts";
import { env } from "cloudflare:workers";
import { evictDurableObject, runDurableObjectAlarm } from "cloudflare:test";
import { afterEach, describe, expect, test, vi } from "vitest";
import type { Grant } from "../../src/contracts/grant.ts";
import { encodeAtomicWrite } from "../../src/codec/datapath-requests.ts";
import { DataTokens, FOREVER } from "../../src/contracts/data-token.ts";
import { deploymentOf } from "../../src/directory/deployment.ts";
import type { Env } from "../../src/objects/env.ts";
import { systemClock } from "../../src/objects/system.ts";
import worker from "../../src/worker.ts";
import { CAIRN_DEPLOYMENT_TOKEN, CAIRN_SIGNING_KEYS } from "../support/deployment-secrets.ts";
import { key, set, text, write } from "../support/workerd/engine.ts";

// The plugin's environment is the deployment's, without its secrets.
const { CAIRN_SIGNING_KEYS: _, ...bindings } = env as unknown as Env;
const configured: Env = { ...bindings, CAIRN_DEPLOYMENT_TOKEN, CAIRN_SIGNING_KEYS };

function send(method: string, path: string, token?: string, body?: object | Uint8Array, by = configured) {
  const headers = token === undefined ? {} : { authorization: `Bearer ${token}` };
  const sent = body === undefined ? {} : { body: body instanceof Uint8Array ? body : JSON.stringify(body) };
  return worker.fetch(new Request(`https://cairn.test${path}`, { method, headers, ...sent }), by);
}

async function json(answer: Promise<Response>): Promise<Record<string, string>> {
  // What the doors' own tests hold.
  return (await (await answer).json()) as Record<string, string>;
}

interface Opened {
  readonly token: string;
  readonly databaseId: string;
  readonly dataToken: string;
}

/** A database of an organization of its own, exchanged with. */
async function openDatabase(): Promise<Opened> {
  const made = (await json(send("POST", "/api/organizations", CAIRN_DEPLOYMENT_TOKEN, { name: "o" }))) as unknown as {
    token: string;
    organization: { id: string };
  };
  const databases = `/api/organizations/${made.organization.id}/databases`;
  const { id: databaseId = "" } = await json(send("POST", databases, made.token, {}));
  const body = { supportedVersions: [3] };
  const { token: dataToken = "" } = await json(send("POST", `/databases/${databaseId}/connect`, made.token, body));
  return { token: made.token, databaseId, dataToken };
}

describe("a deployment", () => {
  test.each([
    ["CAIRN_DEPLOYMENT_TOKEN is not set.", { CAIRN_SIGNING_KEYS }],
    ["CAIRN_SIGNING_KEYS is not set.", { CAIRN_DEPLOYMENT_TOKEN }],
    [/CAIRN_SIGNING_KEYS, entry 1: /, { CAIRN_DEPLOYMENT_TOKEN, CAIRN_SIGNING_KEYS: "k1:c2hvcnQ=" }],
  ])("refuses everything and says why: %s", async (why, secrets) => {
    for (const path of ["/healthz", "/api", "/v1/organizations/x", "/databases/x/connect", "/"]) {
      const answer = await send("POST", path, CAIRN_DEPLOYMENT_TOKEN, undefined, { ...bindings, ...secrets });
      expect(answer.status).toBe(500);
      const sentence = await answer.text();
      expect(sentence).toMatch(/^This deployment is not configured: [^\n]+\n$/);
      expect(sentence).toMatch(why);
      expect(sentence).not.toContain("c2hvcnQ");
    }
  });

  /** What `.dev.vars.example` once held: whoever copied the file to a deployment was open to everybody. */
  test.each([
    ["CAIRN_DEPLOYMENT_TOKEN", "choose-a-long-random-token"],
    ["CAIRN_SIGNING_KEYS", "k1:c2lnbmluZyBrZXkgZm9yIGxvY2FsIGRldmVsb3BtZW50IQ=="],
    ["CAIRN_ENCRYPTION_KEYS", "k1:ZW5jcnlwdGlvbiBrZXkgZm9yIGxvY2FsIHVzZSAgISE="],
  ])("whose %s was published answers on loopback names only (T28)", async (name, value) => {
    const published = { ...configured, [name]: value };
    const at = (host: string) => worker.fetch(new Request(`http://${host}/healthz`), published);
    for (const host of ["localhost:8787", "127.0.0.1:4512", "[::1]:4512"]) expect((await at(host)).status).toBe(200);
    for (const host of ["cairn.example.workers.dev", "localhost.example.com", "10.0.0.5:4512", "127.0.0.1.nip.io"]) {
      const answer = await at(host);
      expect(answer.status).toBe(500);
      expect(await answer.text()).toMatch(new RegExp(`^This deployment is not configured: ${name}, entry 1: .*\n$`));
    }
  });
});

describe("a path", () => {
  test.each([
    ["GET", "/healthz", 200],
    ["GET", "/openapi.json", 200],
    ["GET", "/api", 200],
    ["GET", "/metrics", 401],
    ["GET", "/v1/organizations/x", 401],
    ["GET", "/api/organizations", 401],
    ["POST", "/databases/x/connect", 401],
    ["POST", "/databases/x/snapshot_read", 401],
    ["GET", "/", 404],
    ["GET", "/v1", 404],
    ["GET", "/apix", 404],
    ["GET", "/metrics/x", 404],
    ["POST", "/databases", 404],
  ])("%s %s is answered %i", async (method, path, status) => {
    expect((await send(method, path)).status).toBe(status);
  });
});

test("where nothing is, the answer names the address of each door", async () => {
  expect(await (await send("GET", "/nothing")).text()).toBe(
    "There is nothing at this address. A database's connect URL is /databases/{id}/connect. Documents are at POST /cdb. Archives are at /api/databases/{id}/backups. The API's reference is at /api.\n",
  );
});

describe("the body of a request", () => {
  const MIB = 1024 * 1024;

  /** `send` with a body of that many MiB, or one that stops there without an end; what of it was taken, in MiB. */
  async function sendParts(path: string, token: string | undefined, count: number, ends = true) {
    let taken = 0;
    const body = new ReadableStream<Uint8Array>(
      {
        async pull(controller) {
          if (taken < count) {
            taken++;
            controller.enqueue(new Uint8Array(MIB));
          } else if (ends) controller.close();
          else await new Promise(() => undefined);
        },
      },
      { highWaterMark: 0 },
    );
    const headers = token === undefined ? {} : { authorization: `Bearer ${token}` };
    const answer = await worker.fetch(
      new Request(`https://cairn.test${path}`, { method: "POST", headers, body }),
      configured,
    );
    return { status: answer.status, taken };
  }

  test.each([
    ["/databases/x/atomic_write", undefined, 401],
    ["/databases/x/atomic_write", "wrong", 401],
    ["/databases/x/snapshot_read", "wrong", 401],
    ["/databases/x/watch", "wrong", 401],
    ["/databases/x/connect", undefined, 401],
    ["/databases/x/connect", "wrong", 401],
    ["/v2/databases/x/connect", "wrong", 401],
    ["/databases/x/at/now/connect", "wrong", 401],
    ["/databases/x/other", undefined, 404],
    ["/v1/organizations/x/databases", undefined, 401],
    ["/v1/nothing", undefined, 404],
    ["/api/organizations", "wrong", 401],
    ["/api/nothing", "wrong", 404],
    ["/nothing", undefined, 404],
  ])("is not waited for without a token that could be one: %s with %s is %i (T29)", async (path, token, status) => {
    for (const ends of [true, false]) expect(await sendParts(path, token, 5, ends)).toEqual({ status, taken: 0 });
  });

  test("is looked at no further than its limit by the management API", async () => {
    expect(await sendParts("/api/organizations", CAIRN_DEPLOYMENT_TOKEN, 5)).toEqual({ status: 400, taken: 1 });
  });
});

test.each(["http://a b/databases/x/connect", "http://a b/api", "http://[::1/v1/x"])(
  "a URL that is none is refused: %s",
  async (url) => {
    // The runtime hands on what the Host header says; the constructor would refuse it.
    const request = new Proxy(new Request("https://cairn.test/", { method: "GET" }), {
      get: (target, name) => (name === "url" ? url : Reflect.get(target, name, target)),
    });
    expect((await worker.fetch(request, configured)).status).toBe(400);
  },
);

test("the data path asks the object in the jurisdiction that the grant names, and does not look up where the object is", async () => {
  const asked: [string | undefined, string][] = [];
  const namespaceIn = (jurisdiction?: string): object => ({
    jurisdiction: (name: string) => namespaceIn(name),
    getByName(id: string) {
      asked.push([jurisdiction, id]);
      return bindings.DATABASES.getByName(id);
    },
  });
  // As much of a namespace as is used here; the local platform knows no jurisdictions.
  const by: Env = { ...configured, DATABASES: namespaceIn() as Env["DATABASES"] };
  const deployment = deploymentOf(configured);
  if (isFailure(deployment)) throw new Error(deployment.message);
  const dataTokens = new DataTokens(deployment.keys);
  const grant: Grant = { tokenId: "0".repeat(16), read: true, write: true, expiresAt: FOREVER };
  const request = encodeAtomicWrite(write([set(key("a"), text("1"))]));
  for (const [id, placed] of [
    ["here", grant],
    ["there", { ...grant, jurisdiction: "eu" as const }],
  ] as const) {
    const { token } = await dataTokens.mint(placed, id, systemClock.now());
    expect((await send("POST", `/databases/${id}/atomic_write`, token, request, by)).status).toBe(404);
  }
  expect(asked).toEqual([
    [undefined, "here"],
    ["eu", "there"],
  ]);
});

describe("usage", () => {
  afterEach(() => void vi.useRealTimers());

  test("counts in the quarter of an hour in which it was, also just after one is over, and after a restart", async () => {
    const quarter = 15 * 60_000;
    const start = Math.floor(Date.now() / quarter) * quarter;
    vi.useFakeTimers({ toFake: ["Date"], now: start });
    const { token, databaseId, dataToken } = await openDatabase();
    const written = encodeAtomicWrite(write([set(key("a"), text("1"))]));
    const use = async () =>
      expect((await send("POST", `/databases/${databaseId}/atomic_write`, dataToken, written)).status).toBe(200);
    const database = bindings.DATABASES.getByName(databaseId);
    const { organizationId = "" } = await json(send("GET", `/api/databases/${databaseId}`, token));
    const path = `/v1/organizations/${organizationId}/analytics`;
    const analytics = async () => {
      const range = `since=${new Date(start).toISOString()}&until=${new Date(start + 4 * quarter).toISOString()}`;
      const { values } = (await json(send("GET", `${path}?${range}`, token))) as unknown as { values: unknown[][] };
      return values.map((row) => row[2]);
    };
    // It was idle for a quarter of an hour, so what is due is told as soon as it is saved.
    vi.setSystemTime(start + quarter + 20_000);
    await use();
    vi.setSystemTime(start + quarter + 26_000);
    await runDurableObjectAlarm(database);
    expect(await analytics()).toEqual([0, 1, 0, 0]);
    await use();
    vi.setSystemTime(start + 2 * quarter + 300);
    await runDurableObjectAlarm(database);
    expect(await analytics()).toEqual([0, 2, 0, 0]);
    await use();
    vi.setSystemTime(start + 2 * quarter + 20_000);
    await runDurableObjectAlarm(database);
    await evictDurableObject(database);
    vi.setSystemTime(start + 3 * quarter + 100);
    await runDurableObjectAlarm(database);
    expect(await analytics()).toEqual([0, 2, 1, 0]);
  });

  test("is told to the organization at the next quarter of an hour, and shows in its metrics and analytics", async () => {
    const quarter = 15 * 60_000;
    const minuteAfterQuarter = Math.floor(Date.now() / quarter) * quarter + 60_000;
    vi.useFakeTimers({ toFake: ["Date"], now: minuteAfterQuarter });
    const { token, databaseId, dataToken } = await openDatabase();
    const written = encodeAtomicWrite(write([set(key("a"), text("1"))]));
    for (let i = 0; i < 3; i++) {
      expect((await send("POST", `/databases/${databaseId}/atomic_write`, dataToken, written)).status).toBe(200);
    }
    const metrics = async () => (await send("GET", "/metrics", token)).text();
    const database = bindings.DATABASES.getByName(databaseId);
    await runDurableObjectAlarm(database);
    expect(await metrics()).toContain("\ncairn_kv_writes_total 0\n");

    vi.setSystemTime(minuteAfterQuarter + quarter);
    await runDurableObjectAlarm(database);
    expect(await metrics()).toContain("\ncairn_kv_writes_total 3\n");
    expect(await metrics()).toContain(`\ncairn_database_writes_total{database="${databaseId}"} 3\n`);
    const { organizationId = "" } = await json(send("GET", `/api/databases/${databaseId}`, token));
    const analytics = (await json(send("GET", `/v1/organizations/${organizationId}/analytics`, token))) as unknown as {
      readonly values: readonly (readonly unknown[])[];
    };
    expect(analytics.values.at(-2)).toMatchObject([
      expect.any(String),
      0,
      3,
      0,
      expect.any(Number),
      expect.any(Number),
    ]);
  });
});
