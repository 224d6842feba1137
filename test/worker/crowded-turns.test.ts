/** An organization of which as many long requests wait for their turn as may: what its next one is told at each door, and others are not. */
import { env } from "cloudflare:workers";
import { expect, onTestFinished, test } from "vitest";
import { DataTokens } from "../../src/contracts/data-token.ts";
import type { Grant } from "../../src/contracts/grant.ts";
import { signingKeys } from "../../src/contracts/signing-keys.ts";
import { encodeSnapshotRead } from "../../src/codec/datapath-requests.ts";
import { asUnixMs } from "../../src/core/clock.ts";
import { isFailure } from "../../src/core/errors.ts";
import { MAX_WAITING_TURNS } from "../../src/core/limits.ts";
import { processTurns } from "../../src/objects/database-wiring.ts";
import type { Env } from "../../src/objects/env.ts";
import worker from "../../src/worker.ts";
import { CAIRN_DEPLOYMENT_TOKEN, CAIRN_SIGNING_KEYS } from "../support/deployment-secrets.ts";
import { readRequest, SocketClient, subprotocols } from "../support/socket-client.ts";
import { key } from "../support/workerd/engine.ts";

// The plugin's environment is the deployment's, without its secrets.
const configured: Env = { ...(env as unknown as Env), CAIRN_DEPLOYMENT_TOKEN, CAIRN_SIGNING_KEYS };
const all = { start: key("a"), end: key("b"), reverse: false };
const CROWDED = "Other long requests of this organization wait for their turn already, as many or as long as may be.";

async function databaseOf(organizationId: string) {
  const databaseId = `crowded-turns-of-${organizationId}`;
  await configured.DATABASES.getByName(databaseId).initialize({ organizationId, databaseId, jurisdiction: null });
  const keys = signingKeys(CAIRN_SIGNING_KEYS);
  if (isFailure(keys)) throw new Error(keys.message);
  const now = asUnixMs(Date.now());
  const grant: Grant = { tokenId: "00000000000000ab", read: true, write: true, expiresAt: asUnixMs(now + 600_000) };
  const { token } = await new DataTokens(keys).mint(grant, databaseId, now);
  const ask = async (path: string, headers: Record<string, string>, body?: Uint8Array<ArrayBuffer>) => {
    const method = body === undefined ? "GET" : "POST";
    const asked = new Request(`https://cairn.test${path}`, {
      method,
      headers,
      ...(body === undefined ? {} : { body }),
    });
    return worker.fetch(asked, configured);
  };
  const authorization = { authorization: `Bearer ${token}` };
  const list = (limit: number) => encodeSnapshotRead([{ ...all, limit }]);
  return {
    overKvConnect: (limit: number) => ask(`/databases/${databaseId}/snapshot_read`, authorization, list(limit)),
    overHttp: (limit: number) => ask(`/api/databases/${databaseId}/entries?limit=${limit}`, authorization),
    onSocket: async () => {
      const headers = { upgrade: "websocket", "sec-websocket-protocol": subprotocols(token).join(", ") };
      const { webSocket } = await ask(`/api/databases/${databaseId}/socket`, headers);
      if (!webSocket) throw new Error("expected a WebSocket");
      const client = new SocketClient(webSocket);
      webSocket.accept();
      return client;
    },
  };
}

/** Work that the clock shows. */
function work(ms: number): void {
  const end = Date.now() + ms;
  while (Date.now() < end);
}

/** Until the test ends, as many long requests of the organization wait as may: for each that has its turn another one comes. */
function keepWaiting(organizationId: string): void {
  const turns = processTurns.of(organizationId);
  processTurns.used("another organization");
  turns.piece(() => work(20));
  const crowd = { isOver: false };
  onTestFinished(() => void (crowd.isOver = true));
  const comeAgain = async (): Promise<void> => {
    while (!crowd.isOver) await turns.begin();
  };
  for (let i = 0; i < MAX_WAITING_TURNS; i += 1) void comeAgain();
}

test("its next long request is refused at every door, and its short ones and those of others are answered (D84)", async () => {
  const [own, other] = [await databaseOf("crowd"), await databaseOf("neighbour")];
  const socket = await own.onSocket();
  keepWaiting("crowd");

  const refused = await own.overKvConnect(1000);
  expect([refused.status, await refused.text()]).toEqual([503, expect.stringContaining(CROWDED)]);
  const problem = await own.overHttp(1000);
  expect([problem.status, await problem.json()]).toMatchObject([
    503,
    { code: "unavailable", detail: expect.stringContaining(CROWDED) },
  ]);
  socket.send(readRequest(1, { ...all, limit: 1000 }), readRequest(2, { ...all, limit: 1 }));
  expect(await socket.next(2)).toEqual([
    [1, "error", "unavailable", expect.stringContaining(CROWDED)],
    [2, "read", []],
  ]);

  expect((await own.overKvConnect(1)).status).toBe(200);
  expect([(await other.overKvConnect(1000)).status, (await other.overHttp(1000)).status]).toEqual([200, 200]);
});
