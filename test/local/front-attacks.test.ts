/**
 * Clients without a token, and tenants, that hold what others need: places, connections, answers. Each is done to the real `npm start`
 * from the address that the ordinary client has, too, as behind a proxy. That one must be served within a bound all along and after it.
 * The limit of open files makes the server's room small enough to be used up.
 */
import { once } from "node:events";
import { connect as connectHttp2, type ClientHttp2Session, type OutgoingHttpHeaders } from "node:http2";
import { connect, type Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, expect, onTestFinished, test } from "vitest";
import { encodeRead, encodeWatch, RawConnect, rawKey, rawPoint, rawSet } from "../support/raw-connect.ts";
import { get, PREFACE, request, settings } from "../support/raw-http2.ts";
import { startTestServer } from "../support/server.ts";

const server = await startTestServer({}, { shell: "ulimit -n 2000" });
const tenant = await RawConnect.open(server);
const workerd = server.workerdPid();
const { port: portText, pathname: connectPath } = new URL(server.connectUrl);
const port = Number(portText);
const readPath = new URL(tenant.url("snapshot_read")).pathname;
const watchPath = new URL(tenant.url("watch")).pathname;
const none = new Uint8Array(0);
const watch = encodeWatch({ keys: [{ key: rawKey("a") }] });
const read = encodeRead({ ranges: [rawPoint(rawKey("a"))] });

/** Requests that workerd takes at a time with 2,000 open files, and connections of clients beside them. */
const PLACES = 570;
const CONNECTIONS = 1330;

/** Half a second on a quiet machine, and ten beside eight other tests. Without an end by the front an attack holds for 30 seconds or more. */
const BOUND_MS = 25_000;

afterAll(async () => {
  tenant.close();
  await server.close();
});

interface Client {
  readonly sockets: Socket[];
  readonly sessions: ClientHttp2Session[];
}

function attacker(): Client {
  const client: Client = { sockets: [], sessions: [] };
  onTestFinished(() => {
    for (const socket of client.sockets) socket.destroy();
    for (const session of client.sessions) session.destroy();
  });
  return client;
}

/** A connection on which these bytes were sent, and of which nothing is read. */
async function send({ sockets }: Client, bytes: Buffer | string): Promise<void> {
  const socket = connect({ port, host: "127.0.0.1", noDelay: true });
  sockets.push(socket);
  socket.on("error", () => undefined);
  await new Promise((resolve) => socket.once("connect", resolve).once("close", resolve));
  socket.write(bytes);
}

async function times(count: number, action: (index: number) => Promise<void>): Promise<void> {
  for (let from = 0; from < count; from += 100) {
    await Promise.all(Array.from({ length: Math.min(100, count - from) }, (_, i) => action(from + i)));
  }
}

async function openSession({ sessions }: Client, window?: number): Promise<ClientHttp2Session> {
  const opened = connectHttp2(server.url, window === undefined ? {} : { settings: { initialWindowSize: window } });
  sessions.push(opened);
  opened.on("error", () => undefined);
  await once(opened, "remoteSettings");
  return opened;
}

/** Streams on a session, with this of their bodies and no end. Resolves when all were answered, or after five seconds: some never are. */
async function streams(
  on: ClientHttp2Session,
  count: number,
  headers: OutgoingHttpHeaders,
  body = none,
): Promise<void> {
  const answered = Array.from({ length: count }, () => {
    const stream = on.request(headers, { endStream: false });
    stream.on("error", () => undefined);
    if (body.length > 0) stream.write(body);
    return new Promise((resolve) => stream.once("response", resolve).once("close", resolve));
  });
  await Promise.race([Promise.all(answered), sleep(5000)]);
}

/** Within seconds a new client of each protocol, and one that reads its database, are answered with 200. */
async function expectServed(): Promise<void> {
  const started = performance.now();
  const ordinary = [
    () => fetch(`${server.url}/healthz`, { headers: { connection: "close" } }).then(({ status }) => status),
    () => statusOverHttp2(),
    () => tenant.post("snapshot_read", read).then(({ status }) => status),
  ];
  for (const ask of ordinary) {
    while ((await ask().catch(() => 0)) !== 200) await sleep(50);
  }
  expect(performance.now() - started).toBeLessThan(BOUND_MS);
}

async function statusOverHttp2(): Promise<number> {
  const opened = connectHttp2(server.url);
  opened.on("error", () => undefined);
  try {
    const asked = opened.request({ ":path": "/healthz" });
    // Attackers have the same address: a connection of this one may be ended for them, which closes the stream without an error.
    return await new Promise<number>((resolve) => {
      asked.once("response", (headers) => resolve(headers[":status"] ?? 0)).once("close", () => resolve(0));
      asked.on("error", () => undefined).resume();
    });
  } finally {
    opened.destroy();
  }
}

const noBody = (path: string, token: string): string =>
  `POST ${path} HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer ${token}\r\nContent-Type: application/x-protobuf\r\nContent-Length: 1000\r\n\r\n`;

const attacks: readonly [title: string, attack: (client: Client) => Promise<void>][] = [
  [
    "streams of one connection that take nothing of their answers",
    async (client) => {
      await streams(await openSession(client, 0), PLACES, { ":path": "/openapi.json" });
    },
  ],
  [
    "streams of many connections that take nothing of their answers",
    async (client) => {
      const requests = Array.from({ length: 100 }, (_, i) => request(2 * i + 1, get("/openapi.json")));
      await times(50, () => send(client, Buffer.concat([PREFACE, settings({ 4: 0 }), ...requests])));
    },
  ],
  [
    "connections that read nothing of their answers",
    (client) => times(PLACES, () => send(client, "GET /openapi.json HTTP/1.1\r\nHost: h\r\n\r\n".repeat(20))),
  ],
  [
    "bodies that never come, to a database's connect URL, without a token that could be one",
    (client) => times(CONNECTIONS + 500, () => send(client, noBody(connectPath, "wrong"))),
  ],
  [
    "bodies that never come, over HTTP/2",
    async (client) => {
      const headers = { ":method": "POST", ":path": connectPath, authorization: "Bearer wrong" };
      await Promise.all(
        [1, 2, 3].map(async () => streams(await openSession(client), PLACES, headers, Buffer.alloc(1))),
      );
    },
  ],
  [
    "bodies of a tenant that never come: to a read with a good token",
    (client) => times(PLACES + 200, () => send(client, noBody(readPath, tenant.metadata.token))),
  ],
  [
    "watches of a tenant, as many as there is room for",
    async (client) => {
      const headers = {
        ":method": "POST",
        ":path": watchPath,
        ...tenant.headers(),
        "content-length": String(watch.length),
      };
      await Promise.all([1, 2].map(async () => streams(await openSession(client), PLACES, headers, watch)));
    },
  ],
  ["idle HTTP/2 connections", (client) => times(2100, () => send(client, Buffer.concat([PREFACE, settings()])))],
  [
    "idle HTTP/1.1 connections",
    (client) => times(2100, () => send(client, "GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n")),
  ],
  ["heads that never end", (client) => times(2100, () => send(client, "GET /healthz HTTP/1.1\r\nHost: "))],
  ["connections that say nothing", (client) => times(2100, () => send(client, ""))],
  ["TLS handshakes", (client) => times(2100, () => send(client, Buffer.of(0x16, 3, 1, 2, 0, 1)))],
];

test.each(attacks)("%s keep nobody else from being served", async (_title, attack) => {
  await tenant.write({ mutations: [rawSet(rawKey("a"), Uint8Array.of(1))] });
  const client = attacker();
  const attacked = attack(client).then(() => true);
  do await expectServed();
  while (!(await Promise.race([attacked, sleep(0, false)])));
  for (let i = 0; i < 3; i++) await expectServed();

  for (const socket of client.sockets) socket.destroy();
  for (const opened of client.sessions) opened.destroy();
  await expectServed();
  expect(server.workerdPid()).toBe(workerd);
  expect(server.log()).toMatch(/^(TLS handshakes on this port, which speaks plain HTTP: 1\. .*\n)?$/);
});
