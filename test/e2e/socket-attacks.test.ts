/** What strangers and other tenants do to sockets, through the front of `npm start`. Nobody else may notice. */
import { readdirSync, readFileSync } from "node:fs";
import { afterAll, beforeAll, expect, onTestFinished, test } from "vitest";
import { Encoding } from "../../src/core/operations.ts";
import { decodeServerFrame, encodeClientFrame } from "../../src/codec/socket-client.ts";
import { clientFrame, RawWebSocket } from "../support/raw-websocket.ts";
import { startManagedServer, Tenant } from "../support/management.ts";
import { rawKey, rawPoint } from "../support/raw-connect.ts";
import { readRequest, subprotocols, tokenRequest, watchRequest, writeRequest } from "../support/socket-client.ts";

const server = await startManagedServer();
let attacker: Tenant;
let attacked: string;

beforeAll(async () => {
  attacker = await Tenant.make(server, "attacker");
  attacked = await attacker.newDatabase();
});
afterAll(() => server.close());

/** Resident memory of workerd, in bytes. */
function memory(): number {
  const status = readFileSync(`/proc/${server.workerdPid()}/status`, "utf8");
  return Number(/^VmRSS:\s+(\d+) kB/m.exec(status)?.[1]) * 1024;
}

const openFiles = (): number => readdirSync(`/proc/${server.workerdPid()}/fd`).length;

async function open(databaseId: string, protocols: readonly string[]): Promise<RawWebSocket> {
  const { hostname, port } = new URL(server.url);
  const path = `/api/databases/${databaseId}/socket`;
  const socket = await RawWebSocket.open({ host: hostname, port: Number(port), path, protocols });
  onTestFinished(() => socket.vanish());
  return socket;
}

/** So many at a time, all of them answered. */
async function crowd(count: number, protocols: readonly string[]): Promise<RawWebSocket[]> {
  return Promise.all(Array.from({ length: count }, () => open(attacked, protocols)));
}

test("clients that vanish leave no connection open, with a token or without (N24)", async () => {
  const { token } = await attacker.connect(attacked).then(({ metadata }) => metadata);
  const before = openFiles();
  const watching = await crowd(40, subprotocols(token));
  for (const socket of watching) socket.send(encodeClientFrame([watchRequest(1, rawKey("a"))]));
  await Promise.all(watching.map((socket) => new Promise<void>((told) => (socket.onMessage = () => told()))));
  const silent = await crowd(40, ["cairn.v1"]);
  expect(openFiles()).toBeGreaterThan(before + 80);
  for (const socket of [...watching, ...silent]) socket.vanish();
  await expect.poll(openFiles).toBeLessThan(before + 20);
});

test.each([0, 999, 1004, 1015, 5000, 65_535])(
  "a client that closes with %i, which no frame may carry, is closed too (N33)",
  async (code) => {
    const { token } = await attacker.connect(attacked).then(({ metadata }) => metadata);
    const [direct, relayed] = [await open(attacked, subprotocols(token)), await open(attacked, ["cairn.v1"])];
    relayed.send(encodeClientFrame([tokenRequest(1, token)]));
    await new Promise<void>((told) => (relayed.onMessage = () => told()));
    for (const socket of [direct, relayed]) {
      const closed = new Promise<number>((told) => (socket.onClose = told));
      socket.close(code);
      expect(await closed).not.toBe(1006);
    }
  },
);

const MIB = 1024 * 1024;

/** Ten values of 1 MiB each, below a key. */
const everyLarge = {
  start: rawKey("large"),
  end: Uint8Array.of(...rawKey("large"), 0xff),
  limit: 10,
  reverse: false,
};

async function storeLarge(databaseId: string, token: string): Promise<void> {
  const writer = await open(databaseId, subprotocols(token));
  let written = 0;
  const all = new Promise<void>((done) => (writer.onMessage = () => ++written === 10 && done()));
  for (let i = 0; i < 10; i++) {
    const set = { type: "set", key: rawKey("large", i), value: new Uint8Array(MIB), encoding: Encoding.bytes } as const;
    const mutations = [{ ...set, expiresAt: null, versionstampedKey: false }];
    writer.send(encodeClientFrame([writeRequest(i + 1, { checks: [], mutations, enqueues: [] })]));
  }
  await all;
}

test("clients that take nothing and showed their token late make the server keep little (N3, N25)", async () => {
  const { token } = await attacker.connect(attacked).then(({ metadata }) => metadata);
  await storeLarge(attacked, token);
  const before = memory();
  const slow = await crowd(16, ["cairn.v1"]);
  for (const socket of slow) {
    socket.socket.pause();
    socket.send(encodeClientFrame([tokenRequest(1, token)]));
    // Together 16 times 100 MiB.
    for (let i = 0; i < 10; i++) socket.send(encodeClientFrame([readRequest(i + 2, everyLarge)]));
  }
  const other = await Tenant.make(server, "other");
  const elsewhere = await other.connect(await other.newDatabase());
  for (let i = 0; i < 300; i++) await elsewhere.read({ ranges: [rawPoint(rawKey("a"))] });
  expect(memory() - before).toBeLessThan(250 * MIB);
});

const BINARY = 2;
const TEXT = 1;
const PING = 9;

test.each([
  ["frames that ask for nothing", clientFrame(BINARY, Buffer.alloc(0))],
  ["pings", clientFrame(TEXT, Buffer.from("ping"))],
  ["pings of the protocol", clientFrame(PING, Buffer.alloc(0))],
])("a client that sends %s without end keeps nobody else waiting", async (_what, frame) => {
  const { token } = await attacker.connect(attacked).then(({ metadata }) => metadata);
  const { socket } = await open(attacked, subprotocols(token));
  const many = Buffer.concat(Array.from({ length: 5000 }, () => frame));
  const flood = (): void => {
    while (!socket.destroyed && socket.write(many));
  };
  socket.on("drain", flood);
  flood();
  const other = await Tenant.make(server, "other");
  const elsewhere = await other.connect(await other.newDatabase());
  const pid = server.workerdPid();
  for (let i = 0; i < 100; i++) await elsewhere.read({ ranges: [rawPoint(rawKey("a"))] });
  expect(socket.destroyed).toBe(false);
  expect(server.workerdPid()).toBe(pid);
  socket.destroy();
});

test("while a frame of 256,000 mutations is carried out, others get their turns", async () => {
  const { token } = await attacker.connect(attacked).then(({ metadata }) => metadata);
  const other = await Tenant.make(server, "other");
  const elsewhere = await other.connect(await other.newDatabase());
  await elsewhere.read({ ranges: [rawPoint(rawKey("a"))] });
  const socket = await open(attacked, subprotocols(token));
  const mutations = Array.from({ length: 1000 }, (_, i) => ({ type: "delete", key: rawKey("k", i) }) as const);
  const write = { checks: [], mutations, enqueues: [] };
  const answered = { writes: 0 };
  socket.onMessage = (data) => {
    const frame = decodeServerFrame(data);
    if (frame.ok) answered.writes += frame.responses.length;
  };
  socket.send(encodeClientFrame(Array.from({ length: 256 }, (_, i) => writeRequest(i + 1, write))));
  let turns = 0;
  while (answered.writes < 256) {
    await elsewhere.read({ ranges: [rawPoint(rawKey("a"))] });
    // Until the first answer the frame may still be on its way.
    if (answered.writes > 0) turns += 1;
  }
  expect(turns).toBeGreaterThan(10);
});
