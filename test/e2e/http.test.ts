/** Plain HTTP as clients have it: through the front of `npm start`, with bodies that stream, stall and are not read. */
import { once } from "node:events";
import { connect } from "node:net";
import { afterAll, beforeAll, expect, onTestFinished, test } from "vitest";
import { startManagedServer, Tenant, tryExchange } from "../support/management.ts";

const server = await startManagedServer();
let tenant: Tenant;

beforeAll(async () => void (tenant = await Tenant.make(server)));
afterAll(() => server.close());

const addressOf = (databaseId: string, path: string): string => `${server.url}/api/databases/${databaseId}/${path}`;
const headers = () => ({ authorization: `Bearer ${tenant.token}` });
const lineOf = (i: number, length = 60) =>
  `{"key":["file",${i}],"value":{"type":"string","value":"${"x".repeat(length)}"}}\n`;

async function read(databaseId: string, path: string): Promise<unknown> {
  const answer = await fetch(addressOf(databaseId, path), { headers: headers() });
  if (!answer.ok) throw new Error(`${answer.status} ${await answer.text()}`);
  return answer.json();
}

function importInto(databaseId: string, body: ReadableStream | string, more: Record<string, string> = {}) {
  const init = { method: "POST", headers: { ...headers(), ...more }, body, duplex: "half" } as const;
  return fetch(addressOf(databaseId, "import"), init);
}

test("a database streams from one into another while it is read (H20, H21)", async () => {
  const [source, target] = [await tenant.newDatabase(), await tenant.newDatabase()];
  const lines = Array.from({ length: 20_000 }, (_, i) => lineOf(i)).join("");
  expect(await (await importInto(source, lines)).json()).toMatchObject({ count: 20_000, errors: 0 });
  const exported = await fetch(addressOf(source, "export"), { headers: headers() });
  if (exported.body === null) throw new Error("expected a body");
  expect(await (await importInto(target, exported.body)).json()).toMatchObject({ count: 20_000, errors: 0 });
  expect(await read(target, "count")).toMatchObject({ count: 20_000 });
});

test("an import that pauses goes on, and tells how far it is meanwhile (H23, H28)", async () => {
  const database = await tenant.newDatabase();
  const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>();
  const writer = writable.getWriter();
  const encoder = new TextEncoder();
  const send = (from: number) =>
    writer.write(encoder.encode(Array.from({ length: 1500 }, (_, i) => lineOf(from + i)).join("")));
  const answering = importInto(database, readable, { accept: "application/x-ndjson" });
  await send(0);
  await expect.poll(() => read(database, "count")).toMatchObject({ count: 1000 });
  await send(1500);
  await writer.close();
  const told = (await (await answering).text()).trimEnd().split("\n");
  expect(JSON.parse(told[0] ?? "")).toMatchObject({ count: 1000, nextLine: 1001 });
  expect(JSON.parse(told.at(-1) ?? "")).toMatchObject({ done: true, count: 3000, nextLine: 3001 });
});

test("small requests with a data token, which the front carries itself, are answered as the Worker answers them (H1)", async () => {
  const database = await tenant.newDatabase();
  const { token: narrow } = await tenant.newToken({ keyPrefix: ["a"] });
  const { token: reader } = await tenant.newToken({ permissions: ["read"] });
  const octets = { "content-type": "application/octet-stream" };
  const requests: readonly [
    method: string,
    path: string,
    body?: string | Uint8Array<ArrayBuffer> | undefined,
    more?: Record<string, string>,
  ][] = [
    ["PUT", "a/~n1", '{"type":"Map","value":[]}'],
    ["GET", "a/~n1"],
    ["GET", "a/~n1?values=plain"],
    ["PUT", "a/plain?values=plain", '{"x":[1,null]}'],
    ["GET", "a/plain?values=plain"],
    ["GET", "a/plain?values=yaml"],
    ["PUT", "a/expiring?expireIn=3600000", '{"type":"null"}'],
    ["GET", "a/expiring"],
    ["PUT", "a/bytes", Uint8Array.of(0, 255), octets],
    ["GET", "a/bytes"],
    ["GET", "a/bytes", undefined, { accept: "application/octet-stream" }],
    ["HEAD", "a/bytes"],
    ["GET", "a/none"],
    ["GET", "b/~btrue/~uAP8B/a%2Fb/%C3%BC"],
    ["GET", "a/../a/~n1"],
    ["GET", "a/~x"],
    ["GET", "a//b"],
    ["PUT", "a/bad", "{"],
    ["PUT", "a/bad", Uint8Array.of(0x7b, 0xff)],
    ["PUT", "a/bad", '{"type":"Temporal"}'],
    ["PUT", "a/empty", ""],
    ["PUT", `a/${"x".repeat(2048)}`, '{"type":"null"}'],
    ["PUT", "b/outside", '{"type":"null"}'],
    ["GET", "b/outside"],
    ["PUT", "a/~n1", '{"type":"null"}', { "if-none-match": "*" }],
    ["DELETE", "a/plain"],
    ["DELETE", "a/plain?values=plain"],
    ["DELETE", "b/none"],
    ["POST", "a/~n1", "{}"],
  ];
  const stamped = (text: string) =>
    text.replaceAll(/000[0-9a-f]{13}0000/g, "STAMP").replaceAll(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, "TIME");
  const asked = async (token: string) => {
    const answers: unknown[] = [];
    for (const [method, path, body = null, more = {}] of requests) {
      const init = {
        method,
        headers: { authorization: `Bearer ${token}`, ...more },
        body: method === "GET" ? null : body,
      };
      const answer = await fetch(addressOf(database, `entries/${path}`), init);
      const { date: _, "keep-alive": __, ...kept } = Object.fromEntries(answer.headers);
      answers.push([method, path, answer.status, stamped(JSON.stringify(kept)), stamped(await answer.text())]);
    }
    return answers;
  };
  for (const token of [tenant.token, narrow, reader]) {
    const exchanged = await tryExchange(tenant.opening(database, token));
    if (!("token" in exchanged)) throw new Error(exchanged.sentence);
    const byWorker = await asked(token);
    // The first request with a token opens the socket, and the next ones may go over it.
    await asked(exchanged.token);
    expect(await asked(exchanged.token)).toEqual(byWorker);
  }
});

test("a large delete goes on after the server process was killed, and counts each entry once (H19)", async () => {
  const database = await tenant.newDatabase();
  const entries = 60_000;
  const lines = Array.from({ length: entries }, (_, i) => lineOf(i, 10)).join("");
  expect(await (await importInto(database, lines)).json()).toMatchObject({ count: entries });
  const begun = await fetch(addressOf(database, "entries:delete"), {
    method: "POST",
    headers: headers(),
    body: '{"selector":{"prefix":["file"]}}',
  });
  expect(begun.status).toBe(202);
  process.kill(server.workerdPid(), "SIGKILL");
  const location = begun.headers.get("location") ?? "";
  const job = async (): Promise<unknown> =>
    (await fetch(server.url + location, { headers: headers() })).json().catch(() => undefined);
  await expect.poll(job).toMatchObject({ status: "completed", done: entries, total: entries });
  expect(await read(database, "count")).toMatchObject({ count: 0 });
});

test("exports that nobody reads keep nobody from theirs (H20)", async () => {
  const [large, other] = [await tenant.newDatabase(), await tenant.newDatabase()];
  const lines = Array.from({ length: 400 }, (_, i) => lineOf(i, 100_000)).join("");
  expect((await importInto(large, lines)).status).toBe(200);
  const { hostname, port } = new URL(server.url);
  // More than an organization may have at a time.
  for (let i = 0; i < 20; i++) {
    const socket = connect(Number(port), hostname);
    onTestFinished(() => void socket.destroy());
    await once(socket, "connect");
    socket.pause();
    socket.write(
      `GET /api/databases/${large}/export HTTP/1.1\r\nHost: ${hostname}\r\nAuthorization: Bearer ${tenant.token}\r\n\r\n`,
    );
  }
  expect((await importInto(other, lineOf(1))).status).toBe(200);
  expect(await read(other, "count")).toMatchObject({ count: 1 });
  expect(await read(large, "count")).toMatchObject({ count: 400 });
  const whole = await fetch(addressOf(large, "export"), { headers: headers() });
  expect((await whole.text()).split("\n")).toHaveLength(401);
});
