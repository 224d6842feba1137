/** How the front carries KV Connect's small reads and writes over sessions, before a server process of the test's own. */
import { request as httpRequest } from "node:http";
import { expect, test } from "vitest";
import { errorResponse, SocketField, type SocketRequest, type SocketResponse } from "../../src/codec/socket.ts";
import { asUnixMs } from "../../src/core/clock.ts";
import {
  MAX_SESSION_ANSWER_BYTES,
  MAX_SESSION_BODY_BYTES,
  MAX_SESSION_REQUESTS_IN_FLIGHT,
} from "../../src/core/limits.ts";
import { FakeClock, rawConnection } from "./fronts.ts";
import { databaseId, sessionServer, type SessionServer, type StandInSession } from "./session-server.ts";
import { http2Answer, http2Request, http2Session, type Answer } from "./stand-in-server.ts";

const path = (operation: string, database = databaseId) => `/databases/${database}/${operation}`;

function headersOf(token: string, operation: string, database = databaseId) {
  return { ":method": "POST", ":path": path(operation, database), authorization: `Bearer ${token}` };
}

interface Asking {
  readonly read: (body: string) => Promise<Answer>;
  readonly write: (body: string) => Promise<Answer>;
}

/** Over one HTTP/2 connection. */
function asking(server: SessionServer, token: string, database = databaseId): Asking {
  const session = http2Session(server.url);
  const post = (operation: string, body: string) => {
    const headers = { ...headersOf(token, operation, database), "content-length": Buffer.byteLength(body) };
    return http2Request(session, headers, body);
  };
  return { read: (body) => post("snapshot_read", body), write: (body) => post("atomic_write", body) };
}

/** Says what it was asked. */
function echo(request: SocketRequest): SocketResponse | undefined {
  if (request.type !== "read" && request.type !== "write") return undefined;
  return { id: request.id, field: SocketField[request.type], body: request.body };
}

const shapeOf = (frame: readonly SocketRequest[]) =>
  frame.map((request) =>
    "body" in request ? `${request.type} ${Buffer.from(request.body).toString()}` : request.type,
  );

test("a read and a write go over one session, and are answered like the Worker's", async () => {
  const server = await sessionServer({ answer: echo });
  const { read, write } = asking(server, await server.mint());
  const answer = await read("one");
  expect(answer).toMatchObject({ status: 200, body: "one" });
  expect(answer.headers).toMatchObject({ "content-type": "application/x-protobuf", "content-length": "3" });
  expect(await write("two")).toMatchObject({ status: 200, body: "two" });
  expect(server.sessions.map(({ frames }) => frames.map(shapeOf))).toEqual([[["read one"], ["write two"]]]);
  expect(server.sessions[0]?.frames[0]).toMatchObject([{ maxBytes: MAX_SESSION_ANSWER_BYTES }]);
  expect(server.longWays).toEqual([]);
});

test("a body that comes in pieces is one, on both protocols", async () => {
  const server = await sessionServer({ answer: echo });
  const token = await server.mint();
  const stream = http2Session(server.url).request({ ...headersOf(token, "atomic_write"), "content-length": "300" });
  const answered = http2Answer(stream);
  const text = Array.from({ length: 300 }, (_, i) => String.fromCharCode(97 + (i % 26))).join("");
  for (const letter of text) stream.write(letter);
  stream.end();
  expect(await answered).toMatchObject({ status: 200, body: text });

  const { socket, text: got } = await rawConnection(Number(new URL(server.url).port));
  const head = `POST ${path("atomic_write")} HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer ${token}\r\nContent-Length: 300\r\n\r\n`;
  socket.write(head);
  for (let at = 0; at < 300; at += 50) {
    socket.write(text.slice(at, at + 50));
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  await expect.poll(got).toMatch(new RegExp(`^HTTP/1\\.1 200 [^]*\r\n\r\n${text}$`));
  expect(server.longWays).toEqual([]);
});

test("HTTP/1.1 goes the same way", async () => {
  const server = await sessionServer({ answer: echo });
  const headers = { authorization: `Bearer ${await server.mint()}`, "content-type": "application/x-protobuf" };
  const answers = ["a", "b"].map((body) => fetch(server.url + path("atomic_write"), { method: "POST", headers, body }));
  expect(await Promise.all(answers.map(async (each) => (await each).text()))).toEqual(["a", "b"]);
  expect(server.longWays).toEqual([]);
});

test("what comes together goes in one frame, its reads first", async () => {
  const server = await sessionServer({ answer: echo });
  const { read, write } = asking(server, await server.mint());
  await read("first");
  const bodies = await Promise.all([write("1"), read("2"), write("3"), read("4"), read("5")]);
  expect(bodies.map(({ body }) => body)).toEqual(["1", "2", "3", "4", "5"]);
  expect(server.sessions[0]?.frames.slice(1).map(shapeOf)).toEqual([
    ["read 2", "read 4", "read 5", "write 1", "write 3"],
  ]);
});

test("reads that come together are divided among frames: in halves where they are many, and further where answers are large", async () => {
  let size = 1;
  const large: NonNullable<Parameters<typeof sessionServer>[0]>["answer"] = ({ id }) => ({
    id,
    field: SocketField.read,
    body: new Uint8Array(size),
  });
  const server = await sessionServer({ answer: large });
  const { read } = asking(server, await server.mint());
  await read("first");
  const framesOf = async (count: number) => {
    const before = server.sessions[0]?.frames.length ?? 0;
    await Promise.all(Array.from({ length: count }, () => read("one")));
    return server.sessions[0]?.frames.slice(before).map(({ length }) => length);
  };
  expect(await framesOf(12)).toEqual([12]);
  expect(await framesOf(20)).toEqual([16, 4]);
  expect(await framesOf(80)).toEqual([40, 40]);
  size = 10_000;
  // The average of the answers follows.
  await framesOf(80);
  expect(await framesOf(6)).toEqual([3, 3]);
  size = 100_000;
  await framesOf(80);
  expect(await framesOf(2)).toEqual([1, 1]);
});

test("a session has a bounded number of requests under way, in frames of a bounded size; the others wait for their turn", async () => {
  const held: SocketRequest[] = [];
  const server = await sessionServer({
    answer(request) {
      held.push(request);
      return undefined;
    },
  });
  const { write } = asking(server, await server.mint());
  const answers = Promise.all(Array.from({ length: 900 }, (_, i) => write(String(i))));
  await expect.poll(() => held.length).toBe(MAX_SESSION_REQUESTS_IN_FLIGHT);
  const [session] = server.sessions;
  if (session === undefined) throw new Error("no session");
  const answerAll = () => session.answer(...held.splice(0).flatMap((request) => echo(request) ?? []));
  answerAll();
  // What waited follows.
  await expect.poll(() => held.length).toBe(900 - MAX_SESSION_REQUESTS_IN_FLIGHT);
  answerAll();
  expect((await answers).map(({ body }) => body)).toEqual(Array.from({ length: 900 }, (_, i) => String(i)));
  expect(Math.max(...session.frames.map((frame) => frame.length))).toBeLessThanOrEqual(256);
});

test("each database and grant has a session of its own, and tokens of one grant share it", async () => {
  const server = await sessionServer({ answer: echo });
  const other = "22222222-2222-4222-8222-222222222222";
  const soon = asUnixMs(server.now + 1_800_000);
  const [first, again, reads, prefix, elsewhere, revocable] = await Promise.all([
    server.mint(),
    server.mint({ expiresAt: soon }),
    server.mint({ write: false }),
    server.mint({ keyPrefix: "026100" }),
    server.mint({}, other),
    server.mint({ tokenId: "fedcba9876543210" }),
  ]);
  for (const token of [first, again, reads, prefix, revocable]) await asking(server, token).read("x");
  await asking(server, elsewhere, other).read("x");
  expect(server.sessions.map(({ handshake }) => [handshake.url, handshake.headers.authorization])).toEqual([
    [`/api/databases/${databaseId}/socket`, `Bearer ${first}`],
    [`/api/databases/${databaseId}/socket`, `Bearer ${reads}`],
    [`/api/databases/${databaseId}/socket`, `Bearer ${prefix}`],
    [`/api/databases/${databaseId}/socket`, `Bearer ${revocable}`],
    [`/api/databases/${other}/socket`, `Bearer ${elsewhere}`],
  ]);
});

test("a client of one database reaches no other, whatever it says", async () => {
  const server = await sessionServer({ answer: echo });
  const other = "22222222-2222-4222-8222-222222222222";
  const [mine, theirs] = [await server.mint(), await server.mint({}, other)];
  await asking(server, mine).read("x");
  await asking(server, theirs, other).read("x");
  expect(await asking(server, mine, other).read("x")).toMatchObject({ status: 401 });
  expect(await asking(server, theirs).write("x")).toMatchObject({ status: 401 });
  const session = http2Session(server.url);
  for (const named of ["x-denokv-database-id", "x-transaction-domain-id"]) {
    const headers = { ...headersOf(mine, "snapshot_read"), [named]: other, "content-length": 1 };
    expect(await http2Request(session, headers, "x")).toMatchObject({ status: 400 });
  }
  for (const wrong of [
    `${path("snapshot_read")}/`,
    `/databases/${databaseId}%2f..%2f${other}/snapshot_read`,
    `//databases/${other}/snapshot_read`,
  ]) {
    await http2Request(session, { ...headersOf(mine, "snapshot_read"), ":path": wrong, "content-length": 1 }, "x");
  }
  expect(server.sessions.map(({ frames }) => frames.flat().length)).toEqual([1, 1]);
});

test("only the front keeps an object awake: a client that says so is not heard, however it writes it", async () => {
  const server = await sessionServer({ answer: echo });
  await asking(server, await server.mint()).read("of the front's own");
  for (const [at, [name, connection]] of [
    ["X-Cairn-Awake", "Upgrade"],
    ["x-cairn-awake", "Upgrade, x-cairn-awake"],
    ["X-CAIRN-AWAKE", "x-cairn-awake, upgrade"],
  ].entries()) {
    const socket = httpRequest(`${server.url}/api/databases/${databaseId}/socket`, {
      headers: {
        connection,
        upgrade: "websocket",
        "sec-websocket-version": "13",
        "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
        [name ?? ""]: "1",
      },
    });
    socket.on("error", () => undefined);
    socket.on("upgrade", (_, opened) => opened.destroy());
    socket.end();
    await expect.poll(() => server.sessions.length).toBe(at + 2);
  }
  const heard = server.sessions.map(({ handshake }) => handshake.headers["x-cairn-awake"]);
  expect(heard).toEqual(["1", undefined, undefined, undefined]);
});

test.each([
  ["a token that nobody issued", "x".repeat(40), 401],
  ["no bearer token", "", 401],
])("%s is refused by the front", async (_, token, status) => {
  const server = await sessionServer({ answer: echo });
  expect(await asking(server, token).read("x")).toMatchObject({ status });
  expect([server.sessions, server.longWays]).toEqual([[], []]);
});

test("a token counts until it ends, by the wall clock, however often the same head has come before", async () => {
  const server = await sessionServer({ answer: echo });
  const token = await server.mint({ expiresAt: asUnixMs(server.now + 5000) });
  const { read } = asking(server, token);
  for (let i = 0; i < 4; i++) expect(await read("x")).toMatchObject({ status: 200 });
  server.now = asUnixMs(server.now + 5000);
  expect(await read("x")).toMatchObject({ status: 401, headers: { "www-authenticate": "Bearer" } });
});

test("the token of a session is renewed by one that ends later, before what is asked with it", async () => {
  const server = await sessionServer({ answer: echo });
  const first = await server.mint({ expiresAt: asUnixMs(server.now + 600_000) });
  await asking(server, first).read("1");
  const later = await server.mint();
  await asking(server, later).read("2");
  await asking(server, first).read("3");
  const frames = server.sessions[0]?.frames ?? [];
  expect(frames.map(shapeOf)).toEqual([["read 1"], ["token", "read 2"], ["read 3"]]);
  expect(frames[1]?.[0]).toMatchObject({ token: later });
});

test("what is large, of a page, of the past, or not of the data path takes the long way", async () => {
  const server = await sessionServer({ answer: echo });
  const token = await server.mint();
  const session = http2Session(server.url);
  const send = (more: object, body = "x") =>
    http2Request(session, { ...headersOf(token, "snapshot_read"), "content-length": body.length, ...more }, body);
  await send({}, "y".repeat(MAX_SESSION_BODY_BYTES + 1));
  await send({ origin: "https://app.example" });
  await send({ ":path": `/databases/${databaseId}/at/00000000000000010000/snapshot_read` });
  await send({ ":path": path("watch") });
  await send({ ":path": path("connect") });
  await send({ ":path": `/v2${path("snapshot_read")}` });
  await send({ ":method": "PUT" });
  expect(server.longWays).toHaveLength(7);
  expect(server.sessions).toEqual([]);
});

test("a read whose answer is too large for a session, or for which there is no room, takes the long way; a write does not", async () => {
  let code: "limit" | "unavailable" | "invalid" = "limit";
  const server = await sessionServer({ answer: ({ id }) => errorResponse(id, { code, message: "So it is." }) });
  const { read, write } = asking(server, await server.mint());
  expect(await read("r1")).toMatchObject({ status: 200, body: "the long way" });
  expect(await write("w1")).toMatchObject({ status: 400, body: "So it is." });
  code = "unavailable";
  expect(await read("r2")).toMatchObject({ status: 200, body: "the long way" });
  expect(await write("w2")).toMatchObject({ status: 503, body: "So it is.", headers: { "retry-after": "1" } });
  code = "invalid";
  expect(await read("r3")).toMatchObject({ status: 400, body: "So it is." });
  expect(await read("\u001f\u008bgzip")).toMatchObject({ status: 400 });
  expect(server.longWays.map(({ body }) => body.toString())).toEqual(["r1", "r2"]);
});

test("where a session is refused, requests take the long way, and for a second none is tried", async () => {
  const clock = new FakeClock();
  let refuses = true;
  const server = await sessionServer({
    answer: echo,
    agreed: () => (refuses ? ["cairn-object: untouched"] : []),
    clock,
  });
  const { read, write } = asking(server, await server.mint());
  expect((await Promise.all([read("1"), write("2")])).map(({ body }) => body)).toEqual([
    "the long way",
    "the long way",
  ]);
  expect(await read("3")).toMatchObject({ body: "the long way" });
  expect(server.sessions).toHaveLength(1);
  refuses = false;
  await clock.pass(2);
  expect(await read("4")).toMatchObject({ body: "4" });
  expect(server.sessions.map(({ frames }) => frames.length)).toEqual([0, 1]);
});

/** Answers nothing, and keeps what was asked. */
async function silentServer() {
  const asked: [SocketRequest, StandInSession][] = [];
  const server = await sessionServer({
    answer(request, session) {
      asked.push([request, session]);
      return undefined;
    },
  });
  return { server, asked };
}

test("when a session breaks, the outcome of its writes is unknown and never tried again; its reads take the long way", async () => {
  const { server, asked } = await silentServer();
  const token = await server.mint();
  const { read, write } = asking(server, token);
  const [written, answered] = [write("w").catch((error: Error) => error.message), read("r")];
  const overHttp1 = fetch(server.url + path("atomic_write"), {
    method: "POST",
    headers: { authorization: `Bearer ${token}`, "content-type": "application/x-protobuf" },
    body: "w1",
  }).catch((error: Error) => error.message);
  await expect.poll(() => asked.length).toBe(3);
  server.sessions[0]?.socket.terminate();
  expect(await written).toContain("NGHTTP2_INTERNAL_ERROR");
  expect(await overHttp1).toBe("fetch failed");
  expect(await answered).toMatchObject({ status: 200, body: "the long way" });
  expect(server.longWays.map(({ body }) => body.toString())).toEqual(["r"]);
  // The next request has a new session.
  void read("again").catch(() => undefined);
  await expect.poll(() => server.sessions.length).toBe(2);
});

test("a client that is gone is not asked for, and its place in the session is free when the answer has come", async () => {
  const { server, asked } = await silentServer();
  const token = await server.mint();
  const session = http2Session(server.url);
  const stream = session.request({ ...headersOf(token, "atomic_write"), "content-length": 2 });
  stream.on("error", () => undefined);
  // Half of its body, and it is gone.
  stream.write("a");
  await new Promise((resolve) => setImmediate(resolve));
  stream.close(8);
  const sent = session.request({ ...headersOf(token, "atomic_write"), "content-length": 1 });
  sent.on("error", () => undefined);
  sent.end("b");
  await expect.poll(() => asked.length).toBe(1);
  sent.close(8);
  const [request, standIn] = asked[0] ?? [];
  if (request === undefined || standIn === undefined) throw new Error("nothing was asked");
  const next = http2Answer(session.request({ ...headersOf(token, "snapshot_read"), "content-length": 1 }).end("c"));
  await expect.poll(() => asked.length).toBe(2);
  standIn.answer(...asked.flatMap(([each]) => echo(each) ?? []));
  expect(await next).toMatchObject({ status: 200, body: "c" });
});

test("a session that nobody uses for three seconds is closed, so that its database can sleep, and one more than there may be takes the place of an idle one", async () => {
  const clock = new FakeClock();
  const server = await sessionServer({ answer: echo, clock, sessions: 1 });
  const ids = ["1", "2"].map((digit) => digit.repeat(16));
  const [one, two] = await Promise.all(ids.map((tokenId) => server.mint({ tokenId })));
  await asking(server, one ?? "").read("x");
  await asking(server, two ?? "").read("x");
  await expect.poll(() => server.sessions.map(({ socket }) => socket.readyState)).toEqual([3, 1]);
  await clock.pass(2);
  expect(server.sessions[1]?.socket.readyState).toBe(1);
  await clock.pass(3);
  await expect.poll(() => server.sessions.map(({ socket }) => socket.readyState)).toEqual([3, 3]);
  expect(server.longWays).toEqual([]);
});

test("a front that closes ends its sessions as soon as they are idle: the server process waits for its sockets", async () => {
  const { server, asked } = await silentServer();
  const token = await server.mint();
  const idle = await server.mint({ tokenId: "1".repeat(16) });
  const read = asking(server, token).read("x");
  await expect.poll(() => asked.length).toBe(1);
  const last = asking(server, idle).read("y");
  await expect.poll(() => asked.length).toBe(2);
  const answer = (index: number): void => {
    const [request, session] = asked[index] ?? [];
    if (request === undefined || session === undefined) throw new Error("nothing was asked");
    session.answer(...[echo(request) ?? []].flat());
  };
  answer(1);
  await last;
  const closed = server.front.close(10_000);
  await expect.poll(() => server.sessions.map(({ socket }) => socket.readyState)).toEqual([1, 3]);
  answer(0);
  expect(await read).toMatchObject({ body: "x" });
  await expect.poll(() => server.sessions.map(({ socket }) => socket.readyState)).toEqual([3, 3]);
  await closed;
});

test("while all sessions are busy, others take the long way", async () => {
  const { server, asked } = await silentServer();
  const busy = await Promise.all(Array.from({ length: 10 }, (_, i) => server.mint({ tokenId: String(i).repeat(16) })));
  for (const token of busy)
    void asking(server, token)
      .read("x")
      .catch(() => undefined);
  await expect.poll(() => asked.length).toBe(10);
  expect(await asking(server, await server.mint()).read("y")).toMatchObject({ body: "the long way" });
});

test("the answers that the front holds for clients that do not take them are bounded: the next go the long way", async () => {
  const large = Buffer.alloc(MAX_SESSION_ANSWER_BYTES, "z");
  const server = await sessionServer({ answer: ({ id }) => ({ id, field: SocketField.read, body: large }) });
  const token = await server.mint();
  const { port } = new URL(server.url);
  const greedy = http2Session(server.url);
  // It opens no window for what it asked for.
  for (let i = 0; i < 950; i++) {
    const stream = greedy.request({ ...headersOf(token, "snapshot_read"), "content-length": 1 });
    stream.on("error", () => undefined);
    stream.pause();
    stream.end("r");
  }
  await expect.poll(() => server.longWays.length).toBeGreaterThan(0);
  const overSession = () => server.sessions[0]?.frames.flat().length ?? 0;
  await expect.poll(overSession).toBeGreaterThan(500);
  // Four fifths of 256 MiB are for one address.
  expect(overSession()).toBeLessThanOrEqual((0.8 * 256 * 1024 * 1024) / MAX_SESSION_ANSWER_BYTES + 1);
  greedy.destroy();
  await expect
    .poll(
      () =>
        new Promise((resolve) => {
          const options = {
            port,
            method: "POST",
            path: path("snapshot_read"),
            headers: { authorization: `Bearer ${token}`, "content-length": 1 },
          };
          httpRequest(options, (answer) => resolve(answer.headers["content-type"])).end("r");
        }),
    )
    .toBe("application/x-protobuf");
});
