/** What strangers and other tenants do to sockets, through the front of `npm start`. Nobody else may notice. */
import { readdirSync } from "node:fs";
import { afterAll, beforeAll, expect, onTestFinished, test } from "vitest";
import { encodeClientFrame } from "../../src/codec/socket-client.ts";
import { RawWebSocket } from "../support/raw-websocket.ts";
import { startManagedServer, Tenant } from "../support/management.ts";
import { rawKey } from "../support/raw-connect.ts";
import { subprotocols, watchRequest } from "../support/socket-client.ts";

const server = await startManagedServer();
let attacker: Tenant;
let attacked: string;

beforeAll(async () => {
  attacker = await Tenant.make(server, "attacker");
  attacked = await attacker.newDatabase();
});
afterAll(() => server.close());

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
