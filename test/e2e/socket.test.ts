/** Sockets as clients have them: Node's own WebSocket, through the front of `npm start`. */
import { readFileSync } from "node:fs";
import { connect } from "node:net";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { encodeClientFrame } from "../../src/codec/socket-client.ts";
import { encodeKey, type Key } from "../../src/codec/key-codec.ts";
import { Encoding, type AtomicWrite, type ReadRange } from "../../src/core/operations.ts";
import { startManagedServer, Tenant, tryExchange } from "../support/management.ts";
import {
  ack,
  readRequest,
  type Said,
  SocketClient,
  subprotocols,
  tokenRequest,
  watchRequest,
  writeRequest,
} from "../support/socket-client.ts";

const server = await startManagedServer();
let tenant: Tenant;

beforeAll(async () => void (tenant = await Tenant.make(server)));
afterAll(() => server.close());

function key(...parts: Key): Uint8Array {
  const encoded = encodeKey(parts);
  if (!encoded.ok) throw new Error(encoded.message);
  return encoded.bytes;
}

const point = (target: Uint8Array): ReadRange => ({
  start: target,
  end: Uint8Array.of(...target, 0),
  limit: 1,
  reverse: false,
});
const put = (target: Uint8Array, value: string | Uint8Array): AtomicWrite => ({
  checks: [],
  mutations: [
    {
      type: "set",
      key: target,
      value: typeof value === "string" ? new TextEncoder().encode(value) : value,
      encoding: Encoding.bytes,
      expiresAt: null,
      versionstampedKey: false,
    },
  ],
  enqueues: [],
});
const stamp = expect.stringMatching(/^[0-9a-f]{20}$/);

const addressOf = (databaseId: string): string =>
  `${server.url.replace("http", "ws")}/api/databases/${databaseId}/socket`;

const byId = (said: readonly Said[]) => said.toSorted(([x], [y]) => x - y);

async function dataToken(databaseId: string, accessToken?: string): Promise<string> {
  const exchanged = await tryExchange(tenant.opening(databaseId, accessToken));
  if (!("token" in exchanged)) throw new Error(exchanged.sentence);
  return exchanged.token;
}

async function open(databaseId: string, protocols: string[]): Promise<SocketClient> {
  const socket = new WebSocket(addressOf(databaseId), protocols);
  onTestFinished(() => socket.close());
  const client = new SocketClient(socket);
  await new Promise((resolve) => {
    socket.addEventListener("open", resolve);
    socket.addEventListener("close", resolve);
  });
  return client;
}

test("reads, writes and watches pass through the front, and all doors see one keyspace (N1, N18)", async () => {
  const id = await tenant.newDatabase();
  const token = await dataToken(id);
  const [one, other] = [await open(id, subprotocols(token)), await open(id, ["cairn.v1"])];
  other.send(tokenRequest(1, token));
  expect(await other.next(1)).toEqual([[1, "done"]]);
  other.send(watchRequest(2, key("a")));
  expect(await other.next(1)).toEqual([[2, "watch", null]]);
  one.send(writeRequest(1, put(key("a"), "1")), readRequest(2, point(key("a"))));
  expect(await one.next(2)).toEqual([
    [1, "written", stamp],
    [2, "read", ["1"]],
  ]);
  other.send(ack(2));
  expect(await other.next(1)).toEqual([[2, "watch", "1"]]);
  one.socket.send("ping");
  expect(await one.nextText()).toBe("pong");
});

test("a refused handshake shows its reason (N4)", async () => {
  const id = await tenant.newDatabase();
  const client = await open(id, subprotocols("x".repeat(40)));
  expect(await client.closed()).toEqual({ code: 4401, why: expect.stringMatching(/^The token is not a data token/) });
});

test.each([
  { code: undefined, closedWith: 1005 },
  { code: 1000, closedWith: 1000 },
  { code: 3000, closedWith: 3000 },
])("a socket that its client closes with $code is closed with $closedWith (N33)", async ({ code, closedWith }) => {
  const id = await tenant.newDatabase();
  const token = await dataToken(id);
  const [direct, relayed] = [await open(id, subprotocols(token)), await open(id, ["cairn.v1"])];
  relayed.send(tokenRequest(1, token));
  await relayed.next(1);
  for (const client of [direct, relayed]) client.socket.close(code);
  for (const client of [direct, relayed]) expect((await client.closed()).code).toBe(closedWith);
});

describe("tokens", () => {
  test("are renewed in place, with the rights of the new one (N20)", async () => {
    const [id, elsewhere] = [await tenant.newDatabase(), await tenant.newDatabase()];
    const client = await open(id, subprotocols(await dataToken(id)));
    const { token: reader } = await tenant.newToken({ permissions: ["read"], keyPrefix: ["mine"] });
    client.send(watchRequest(1, key("mine", 1)), watchRequest(2, key("theirs")));
    await client.next(2);
    client.send(tokenRequest(3, await dataToken(elsewhere)), writeRequest(4, put(key("theirs"), "1")));
    expect(byId(await client.next(2))).toEqual([
      [3, "error", "unauthenticated", expect.any(String)],
      [4, "written", stamp],
    ]);
    client.send(tokenRequest(5, await dataToken(id, reader)), writeRequest(6, put(key("mine", 1), "1")));
    const said = byId(await client.next(3));
    expect(said).toEqual([
      [2, "error", "forbidden", expect.stringContaining("key prefix")],
      [5, "done"],
      [6, "error", "forbidden", "The token does not allow writing."],
    ]);
  });

  test("that are revoked close what they opened, whichever way it came (N22)", async () => {
    const id = await tenant.newDatabase();
    const minted = await tenant.newToken({ permissions: ["read"] });
    const token = await dataToken(id, minted.token);
    const [direct, relayed] = [await open(id, subprotocols(token)), await open(id, ["cairn.v1"])];
    relayed.send(tokenRequest(1, token));
    await relayed.next(1);
    direct.send(readRequest(1, point(key("a"))));
    await direct.next(1);
    const renewed = await open(id, subprotocols(await dataToken(id)));
    renewed.send(tokenRequest(1, token));
    await renewed.next(1);
    const other = await open(id, subprotocols(await dataToken(id)));
    await tenant.revoke(minted);
    for (const client of [direct, relayed, renewed])
      expect(await client.closed()).toEqual({ code: 4401, why: "The token was revoked." });
    other.send(readRequest(1, point(key("a"))));
    expect(await other.next(1)).toEqual([[1, "read", []]]);
  });
});

/** Resident memory of workerd, in bytes. */
function memory(): number {
  const status = readFileSync(`/proc/${server.workerdPid()}/status`, "utf8");
  return Number(/^VmRSS:\s+(\d+) kB/m.exec(status)?.[1]) * 1024;
}

test("a client that takes nothing makes the server keep little, and others go on (N25)", async () => {
  const id = await tenant.newDatabase();
  const token = await dataToken(id);
  const other = await open(id, subprotocols(token));
  const value = new Uint8Array(1024 * 1024).fill(7);
  for (let i = 0; i < 10; i++) {
    other.send(writeRequest(i + 1, put(key("large", i), value)));
    await other.next(1);
  }
  const before = memory();
  const { hostname, port } = new URL(server.url);
  const socket = connect(Number(port), hostname);
  onTestFinished(() => void socket.destroy());
  socket.write(
    [
      `GET ${new URL(addressOf(id)).pathname} HTTP/1.1`,
      `Host: ${hostname}:${port}`,
      "Connection: Upgrade",
      "Upgrade: websocket",
      "Sec-WebSocket-Version: 13",
      "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
      `Sec-WebSocket-Protocol: ${subprotocols(token).join(", ")}`,
      "\r\n",
    ].join("\r\n"),
  );
  await new Promise((resolve) => socket.once("data", resolve));
  socket.pause();
  const range = { start: key("large"), end: Uint8Array.of(...key("large"), 0xff), limit: 10, reverse: false };
  // 10 GiB of answers.
  for (let i = 0; i < 4; i++) {
    const frame = encodeClientFrame(Array.from({ length: 256 }, (_, n) => readRequest(256 * i + n + 1, range)));
    const head = Buffer.alloc(8);
    head.writeUInt16BE(0x82fe);
    head.writeUInt16BE(frame.length, 2);
    socket.write(Buffer.concat([head, frame]));
  }
  for (let i = 100; i < 300; i++) {
    other.send(readRequest(i, point(key("a"))));
    expect(await other.next(1)).toEqual([[i, "read", []]]);
  }
  expect(memory() - before).toBeLessThan(250 * 1024 * 1024);
});
