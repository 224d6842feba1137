/** How the front carries single entries of plain HTTP over its sessions, before a server process of the test's own. */
import { expect, test } from "vitest";
import {
  decodeAtomicWrite,
  decodeSnapshotRead,
  encodeAtomicWriteOutput,
  encodeSnapshotReadOutput,
} from "../../src/codec/datapath.ts";
import { errorResponse, SocketField, type SocketRequest, type SocketResponse } from "../../src/codec/socket.ts";
import { asUnixMs } from "../../src/core/clock.ts";
import { Encoding } from "../../src/core/operations.ts";
import { asVersion } from "../../src/core/versionstamp.ts";
import { databaseId, sessionServer } from "./session-server.ts";

const VERSION = asVersion(0x6_0000_0000_0001);
const STAMP = "00060000000000010000";
const bytes = Uint8Array.of(1, 2);

/** Every key but "none" has these bytes, which expire. */
function database({ type, id, ...request }: SocketRequest): SocketResponse | undefined {
  if (type === "write" && "body" in request) {
    return { id, field: SocketField.write, body: encodeAtomicWriteOutput({ ok: true, version: VERSION }) };
  }
  if (type !== "read" || !("body" in request)) return undefined;
  const read = decodeSnapshotRead(request.body);
  if (!read.ok) throw new Error(read.message);
  const [range] = read.ranges;
  if (range === undefined) throw new Error("expected a range");
  const isThere = !new TextDecoder().decode(range.start).includes("none");
  const expiry = read.expiries === true ? { expiry: asUnixMs(4_070_908_800_000) } : {};
  const entry = { key: range.start, value: bytes, encoding: Encoding.bytes, version: VERSION, ...expiry };
  return { id, field: SocketField.read, body: encodeSnapshotReadOutput([isThere ? [entry] : []]) };
}

interface Asked {
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Uint8Array<ArrayBuffer>;
}

async function start(answer = database) {
  const server = await sessionServer({ answer });
  const token = await server.mint();
  const ask = (method: string, path: string, { headers = {}, body }: Asked = {}, shown = token) =>
    fetch(`${server.url}/api/databases/${databaseId}/${path}`, {
      method,
      headers: { authorization: `Bearer ${shown}`, ...headers },
      ...(body === undefined ? {} : { body }),
    });
  return { server, ask };
}

test("an entry is read, set and deleted over a session, and answered as the door does (H1, H9)", async () => {
  const { server, ask } = await start();
  const got = await ask("GET", "entries/a/~n1");
  expect([got.status, got.headers.get("etag"), got.headers.get("cairn-expires-at")]).toEqual([
    200,
    `"${STAMP}"`,
    "2099-01-01T00:00:00.000Z",
  ]);
  expect(await got.json()).toMatchObject({
    value: { type: "Uint8Array", value: "AQI" },
    versionstamp: STAMP,
    expiresAt: "2099-01-01T00:00:00.000Z",
  });
  const none = await ask("GET", "entries/none");
  expect([none.status, none.headers.get("content-type")]).toEqual([404, "application/problem+json"]);
  expect(await (await ask("PUT", "entries/a?values=plain", { body: "[1]" })).json()).toEqual({
    ok: true,
    versionstamp: STAMP,
  });
  expect((await ask("DELETE", "entries/a")).status).toBe(200);
  const [session] = server.sessions;
  const asked = (session?.frames ?? []).flat().map((request) => request.type);
  expect(asked).toEqual(["read", "read", "write", "write"]);
  const write = (session?.frames ?? []).flat()[2];
  const decoded = write !== undefined && "body" in write ? decodeAtomicWrite(Uint8Array.from(write.body)) : undefined;
  expect(decoded).toMatchObject({
    ok: true,
    write: { mutations: [{ type: "set", encoding: Encoding.v8, expiresAt: null }] },
  });
  expect(server.longWays).toEqual([]);
});

test("what is not so plain goes to the Worker, with its body (H1)", async () => {
  const { server, ask } = await start();
  const access = `cairn_${"0".repeat(32)}_${"0".repeat(16)}_${"0".repeat(64)}_${"0".repeat(24)}`;
  const body = '{"type":"null"}';
  await ask("GET", "entries/a", { headers: { "if-none-match": "*" } });
  await ask("PUT", "entries/a", { body, headers: { "if-match": "*" } });
  await ask("PUT", "entries/a?expireIn=1", { body });
  await ask("PUT", "entries/a", { body, headers: { "cairn-expires-at": "1" } });
  await ask("GET", "entries/a", { headers: { accept: "application/octet-stream" } });
  await ask("GET", "entries/a", { headers: { origin: "https://app.example" } });
  await ask("GET", "entries/~x");
  await ask("GET", 'entries?key=["a"]');
  await ask("GET", "entries");
  await ask("HEAD", "entries/a");
  await ask("GET", "entries/a", {}, access);
  await ask("GET", "entries/a", {}, "nonsense");
  await ask("PUT", "entries/a", { body: "{" });
  await ask("PUT", "entries/a", { body: Uint8Array.of(0xff) });
  expect(server.longWays).toHaveLength(14);
  expect(server.longWays.at(-2)?.body.toString()).toBe("{");
  expect(server.sessions.flatMap(({ frames }) => frames)).toEqual([]);
});

test("what the database refuses on a session is asked again at the Worker, whose words it is answered with (H11)", async () => {
  const { server, ask } = await start(({ id }) => errorResponse(id, { code: "forbidden", message: "No." }));
  await ask("GET", "entries/a");
  await ask("PUT", "entries/a", { body: '{"type":"null"}' });
  await ask("DELETE", "entries/a");
  expect(server.longWays.map(({ body }) => body.toString())).toEqual(["", '{"type":"null"}', ""]);
});

test("when a session breaks, a read is asked again and a write is not (H1)", async () => {
  const { server, ask } = await start(() => {
    for (const { socket } of server.sessions) socket.terminate();
    return undefined;
  });
  expect((await ask("GET", "entries/a")).status).toBe(200);
  expect(server.longWays).toHaveLength(1);
  await expect(ask("PUT", "entries/a", { body: '{"type":"null"}' })).rejects.toThrow("fetch failed");
  expect(server.longWays).toHaveLength(1);
});
