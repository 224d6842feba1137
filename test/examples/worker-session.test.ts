/** examples/worker-session in wrangler's runtime, on a database of a server as `npm start` runs it. */
import { once } from "node:events";
import { createServer, request as send } from "node:http";
import { connect, type AddressInfo } from "node:net";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { openKv } from "@deno/kv";
import { afterAll, beforeAll, expect, onTestFinished, test } from "vitest";
import { type CutProxy, startCutProxy } from "../support/cut-proxy.ts";
import { type ManagedServer, type MintedToken, startManagedServer, Tenant } from "../support/management.ts";
import { type RunningWorker, startWorker } from "../support/worker-program.ts";

const config = join(import.meta.dirname, "../../examples/worker-session/wrangler.toml");

let server: ManagedServer;
let tenant: Tenant;
let network: CutProxy;

beforeAll(async () => {
  server = await startManagedServer();
  tenant = await Tenant.make(server);
  network = await startCutProxy(Number(new URL(server.url).port));
});

afterAll(async () => {
  await network.close();
  await server.close();
});

/** The Worker, on this database at this port, with this token. */
async function startSession(databaseId: string, port: number, { token }: MintedToken): Promise<RunningWorker> {
  const CONNECT_URL = `http://127.0.0.1:${port}/databases/${databaseId}/connect`;
  return startWorker({ config }, { CONNECT_URL, ACCESS_TOKEN: token });
}

async function answer(worker: RunningWorker, method: "GET" | "POST", path: string): Promise<[number, unknown]> {
  const response = await worker.fetch(`http://views.example${path}`, { method });
  return [response.status, await response.json()];
}

test("it counts over one socket, and other clients of the database see the counts", async () => {
  const id = await tenant.newDatabase();
  const token = await tenant.newToken({ databases: [id], keyPrefix: ["views"] });
  const proxy = await startProxy(() => token.token);
  const worker = await startSession(id, proxy.port, token);
  expect(await answer(worker, "GET", "/views/home")).toEqual([200, { views: 0 }]);
  const counted = await Promise.all(Array.from({ length: 40 }, () => answer(worker, "POST", "/views/home")));
  const numbers = counted.map(([, body]) => (body as { readonly views: number }).views);
  expect(numbers.toSorted((a, b) => a - b)).toEqual(Array.from({ length: 40 }, (_, i) => i + 1));
  expect(await answer(worker, "GET", "/views/home")).toEqual([200, { views: 40 }]);
  expect(await answer(worker, "GET", `/views/${"x".repeat(3_000)}`)).toEqual([400, { error: expect.any(String) }]);
  expect([proxy.exchanges, proxy.sockets]).toEqual([1, 1]);

  const { connectUrl, accessToken } = tenant.opening(id);
  const kv = await openKv(connectUrl, { accessToken });
  onTestFinished(() => kv.close());
  expect((await kv.get(["views", "home"])).value).toBe(40);
});

test("after a break reads are sent again, and a write of unknown outcome is not", async () => {
  const id = await tenant.newDatabase();
  const worker = await startSession(id, network.port, await tenant.newToken({ databases: [id] }));
  onTestFinished(() => network.mend());
  expect(await answer(worker, "POST", "/views/a")).toEqual([200, { views: 1 }]);
  network.swallow();
  const written = answer(worker, "POST", "/views/a");
  await expect.poll(() => network.swallowedBytes()).toBeGreaterThan(0);
  const ofTheWrite = network.swallowedBytes();
  const read = answer(worker, "GET", "/views/a");
  await expect.poll(() => network.swallowedBytes()).toBeGreaterThan(ofTheWrite);
  network.mend();
  expect(await written).toEqual([503, { error: expect.stringContaining("may have been counted or not") }]);
  expect(await read).toEqual([200, { views: 1 }]);
  // What was never sent has no unknown outcome: it waits for the next connection.
  process.kill(server.workerdPid(), "SIGKILL");
  expect(await answer(worker, "GET", "/views/a")).toEqual([200, { views: 1 }]);
  expect(await answer(worker, "POST", "/views/a")).toEqual([200, { views: 2 }]);
});

test("its token is renewed in place, and is worth nothing when it is revoked", async () => {
  const id = await tenant.newDatabase();
  const [first, second] = [await tenant.newToken({ databases: [id] }), await tenant.newToken({ databases: [id] })];
  // The session has a token that soon ends, and gets one of another access token when it asks again.
  const proxy = await startProxy((exchanges) => (exchanges === 0 ? first.token : second.token), 400);
  const worker = await startSession(id, proxy.port, first);
  expect(await answer(worker, "POST", "/views/a")).toEqual([200, { views: 1 }]);
  await expect.poll(() => proxy.exchanges).toBeGreaterThan(1);
  // With the renewal behind it, the answer to this shows that the renewal was taken.
  await answer(worker, "GET", "/views/a");
  await tenant.revoke(first);
  expect(await answer(worker, "POST", "/views/a")).toEqual([200, { views: 2 }]);
  expect(proxy.sockets).toBe(1);
  await tenant.revoke(second);
  await expect
    .poll(() => answer(worker, "POST", "/views/a"))
    .toEqual([503, { error: "The database is not available." }]);
});

/** Passes everything on to the server; at an exchange with this access token, and with an end of the data token so many milliseconds ahead. */
async function startProxy(tokenOf: (exchanges: number) => string, lastsMs?: number) {
  const seen = { exchanges: 0, sockets: 0 };
  const target = new URL(server.url);
  const proxy = createServer((incoming, outgoing) => {
    const authorization = `Bearer ${tokenOf(seen.exchanges++)}`;
    const passed = send(`${server.url}${incoming.url}`, { method: "POST", headers: { authorization } }, (answered) => {
      void text(answered).then((metadata) => {
        const over = lastsMs === undefined ? {} : { expiresAt: new Date(Date.now() + lastsMs).toISOString() };
        const body = answered.statusCode === 200 ? JSON.stringify({ ...JSON.parse(metadata), ...over }) : metadata;
        outgoing.writeHead(answered.statusCode ?? 502).end(body);
      });
    });
    incoming.pipe(passed);
  });
  proxy.on("upgrade", (incoming, client) => {
    seen.sockets += 1;
    const upstream = connect(Number(target.port), target.hostname);
    const headers = Array.from({ length: incoming.rawHeaders.length / 2 }, (_, i) =>
      incoming.rawHeaders.slice(2 * i, 2 * i + 2).join(": "),
    );
    upstream.write(`GET ${incoming.url} HTTP/1.1\r\n${headers.join("\r\n")}\r\n\r\n`);
    client.pipe(upstream).pipe(client);
    for (const [one, other] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      one.on("error", () => other.destroy());
      one.on("close", () => other.destroy());
    }
  });
  proxy.listen(0, "127.0.0.1");
  await once(proxy, "listening");
  onTestFinished(() => {
    proxy.closeAllConnections();
    proxy.close();
  });
  return {
    // Of a server on TCP.
    port: (proxy.address() as AddressInfo).port,
    get exchanges() {
      return seen.exchanges;
    },
    get sockets() {
      return seen.sockets;
    },
  };
}
