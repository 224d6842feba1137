/**
 * What a client may do to the front over HTTP/2 with frames that no library sends: each has a bounded cost, an end, and no effect on
 * others. Time passes as the test says.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import { expect, test, vi } from "vitest";
import { Turns } from "../../src/local/front/http2/turns.ts";
import { Http2Stream } from "../../src/local/front/http2/stream.ts";
import {
  type Frame,
  frame,
  frameFlags,
  framesIn,
  frameTypes,
  get,
  type HeaderList,
  PREFACE,
  request,
  settings,
  uint32,
} from "../support/raw-http2.ts";
import { limitUntaken } from "../../src/local/front/http2.ts";
import { held, turn } from "./held-http2.ts";
import { FakeClock, frontBefore, type Handler, rawConnection, room, serverWith } from "./fronts.ts";

const { DATA, GOAWAY, HEADERS, PING, RST_STREAM, SETTINGS, WINDOW_UPDATE } = frameTypes;

async function setUp(handler: Handler, capacity = room(1000, 1000)) {
  const clock = new FakeClock();
  const front = await frontBefore((await serverWith(handler)).port, { clock, capacity });
  const open = async (windows = settings()) => {
    const { socket, text } = await rawConnection(front.port);
    socket.write(Buffer.concat([PREFACE, windows]));
    const frames = (type: number): Frame[] =>
      framesIn(Buffer.from(text(), "latin1")).frames.filter((one) => one.type === type);
    let pings = 0;
    /** Resolves when the front has handled all that was sent. */
    const handled = async (): Promise<void> => {
      const mark = Buffer.alloc(8, (pings += 1));
      socket.write(frame(PING, 0, 0, mark));
      while (!text().endsWith(mark.toString("latin1"))) await sleep(1);
    };
    return { socket, frames, handled };
  };
  return { clock, front, open };
}

const answered: Handler = (_: IncomingMessage, response: ServerResponse) => void response.end("answer");

test("a request with the length 0 that does not end is answered with 408, and its stream ends", async () => {
  const { clock, open } = await setUp(answered);
  const { socket, frames } = await open();
  socket.write(request(1, [...get("/"), ["content-length", "0"]], 0));
  await clock.pass(40);
  await expect.poll(() => frames(RST_STREAM).map(({ stream }) => stream)).toEqual([1]);
  expect(frames(HEADERS).length).toBe(1);
  // Its place is free again.
  socket.write(request(3, [...get("/"), ["content-length", "0"]], 0));
  socket.write(frame(DATA, frameFlags.END_STREAM, 3));
  await expect.poll(() => frames(DATA).findLast(({ stream }) => stream === 3)?.flags).toBe(frameFlags.END_STREAM);
});

/** The Worker reads the address of a request from both, one after the other: a host with a path would lead to another address. */
const lures = [
  ["a/databases/1/watch?", "/healthz"],
  ["a/databases/1/watch#", "/healthz"],
  ["a?", "/"],
  ["a\\b", "/"],
  ["u@a", "/"],
  ["a b", "/"],
  ["a", "/databases/1/watch#"],
] as const;

test.each(lures)(
  "a host %j with the path %j is refused on both protocols, and is never passed on",
  async (host, path) => {
    const passed: (string | undefined)[] = [];
    const { front, open } = await setUp((incoming, response) => {
      passed.push(incoming.url);
      response.end();
    });
    const { socket, frames } = await open();
    const head: HeaderList = [
      [":method", "GET"],
      [":path", path],
      [":scheme", "http"],
    ];
    socket.write(request(1, [...head, [":authority", host]]));
    socket.write(request(3, [...head, ["host", host]]));
    await expect.poll(() => frames(DATA).length).toBe(2);
    for (const { payload } of frames(DATA)) expect(payload.toString()).toMatch(/The request is not HTTP/);

    const http1 = await rawConnection(front.port);
    http1.socket.write(`GET ${path} HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
    await expect.poll(http1.text).toMatch(/^HTTP\/1\.1 400 /);
    expect(passed).toEqual([]);
  },
);

test.each([
  ["GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"],
  ["GET / HTTP/1.1\r\nhost: a\r\nHOST: a\r\n\r\n"],
  ["GET / HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n"],
  ["GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"],
])("a request with two hosts is refused over HTTP/1.1, and is never passed on: %j", async (head) => {
  const passed: unknown[] = [];
  const { front } = await setUp((incoming) => void passed.push(incoming.url));
  const { socket, text } = await rawConnection(front.port);
  socket.write(head);
  await expect.poll(text).toMatch(/^HTTP\/1\.1 400 .*The request is not HTTP/s);
  expect(passed).toEqual([]);
});

test.each(["a", "a.example:8080", "127.0.0.1:1", "[::1]:4512", "a_b-c", "xn--a", "%41"])(
  "the host %j is passed on",
  async (host) => {
    const seen: (string | undefined)[] = [];
    const { front } = await setUp((incoming, response) => {
      seen.push(incoming.headers.host);
      response.end();
    });
    const { socket, text } = await rawConnection(front.port);
    socket.write(`GET / HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
    await expect.poll(text).toMatch(/^HTTP\/1\.1 200 /);
    expect(seen).toEqual([host]);
  },
);

const GOAWAY_CODE = 4;
const FLOW_CONTROL_ERROR = 3;
const ENHANCE_YOUR_CALM = 11;
const bodyToCome: HeaderList = [
  [":method", "POST"],
  [":path", "/"],
  [":scheme", "http"],
  ["content-length", "1"],
];

/** What makes a stream end before its answer: by the client itself, or by a fault of the client for which the front ends it. */
const resets: readonly [how: string, make: (stream: number) => Buffer[]][] = [
  ["resets them", (id) => [request(id, get("/")), frame(RST_STREAM, 0, id, uint32(8))]],
  ["opens their windows by nothing", (id) => [request(id, get("/")), frame(WINDOW_UPDATE, 0, id, uint32(0))]],
  ["opens their windows too far", (id) => [request(id, get("/")), frame(WINDOW_UPDATE, 0, id, uint32(2 ** 31 - 1))]],
  ["sends bodies after their ends", (id) => [request(id, get("/")), frame(DATA, 0, id)]],
  ["sends longer bodies than announced", (id) => [request(id, bodyToCome, 0), frame(DATA, 0, id, Buffer.alloc(2))]],
  ["sends trailers that are no end", (id) => [request(id, bodyToCome, 0), request(id, [["a", "b"]], 0)]],
  ["sends trailers after their ends", (id) => [request(id, get("/")), request(id, [["a", "b"]])]],
  ["sends malformed heads", (id) => [request(id, [[":method", "GET"]])]],
];

test.each(resets)(
  "a client that opens thousands of streams and %s is told to calm down, and others are not",
  async (_, make) => {
    let [begun, ended] = [0, 0];
    const { front, open } = await setUp((asked, response) => {
      // The front's own question.
      if (asked.url === "/healthz") return void response.end();
      begun += 1;
      response.on("close", () => (ended += 1));
    });
    const { socket, frames } = await open();
    const bytes = Array.from({ length: 3000 }, (__, i) => make(2 * i + 1)).flat();
    socket.write(Buffer.concat(bytes));
    await expect.poll(() => frames(GOAWAY)[0]?.payload.readUInt32BE(GOAWAY_CODE)).toBe(ENHANCE_YOUR_CALM);
    await expect.poll(() => begun - ended).toBe(0);
    expect(begun).toBeLessThan(1100);
    expect(front.lines).toEqual([]);
  },
);

/** Milliseconds of CPU of the test's process, with the front. */
async function cpuOf(action: () => Promise<void>): Promise<number> {
  const before = process.cpuUsage();
  await action();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1000;
}

const MANY = 1000;
const STREAM_WINDOW = 4;

/** A connection with as many streams as one may have, of whose answers there is more to come than the windows let pass. */
async function manyBlocked(window: number) {
  const { open } = await setUp((_, response) => void response.end(Buffer.alloc(10_000)), room(1000, 2000));
  const client = await open(settings({ [STREAM_WINDOW]: window }));
  client.socket.write(Buffer.concat(Array.from({ length: MANY }, (_, i) => request(2 * i + 1, get("/")))));
  await expect.poll(() => client.frames(HEADERS).length).toBe(MANY);
  await client.handled();
  return client;
}

test("thousands of settings in a frame, and thousands of frames, cost little however many streams are open", async () => {
  const { socket, handled } = await manyBlocked(0);
  const one = (value: number): Buffer => Buffer.concat([Buffer.of(0, STREAM_WINDOW), uint32(value)]);
  const large = frame(SETTINGS, 0, 0, Buffer.concat(Array.from({ length: 2700 }, (_, i) => one(i % 2))));
  const ms = await cpuOf(async () => {
    for (let i = 0; i < 100; i++) socket.write(large);
    for (let i = 0; i < 10_000; i++) socket.write(frame(SETTINGS, 0, 0, one(0)));
    await handled();
  });
  // Six seconds if each setting were carried out for each stream.
  expect(ms).toBeLessThan(1500);
});

test("streams that wait for the connection's window cost nothing while it is closed", async () => {
  const { socket, frames, handled } = await manyBlocked(1_000_000);
  const bytesOf = (): number => frames(DATA).reduce((sum, { payload }) => sum + payload.length, 0);
  expect(bytesOf()).toBe(65_535);
  const take = vi.spyOn(Http2Stream.prototype, "take");
  for (let i = 0; i < 10; i++) await handled();
  expect(take).not.toHaveBeenCalled();
  take.mockRestore();
  socket.write(frame(WINDOW_UPDATE, 0, 0, uint32(MANY * 10_000)));
  await expect.poll(bytesOf).toBe(MANY * 10_000);
  expect(frames(DATA).filter(({ flags }) => flags === frameFlags.END_STREAM).length).toBe(MANY);
});

test("an answer without a body ends although the connection's window is closed", async () => {
  const { open } = await setUp(
    (incoming, response) => void response.end(incoming.url === "/" ? Buffer.alloc(10_000) : ""),
  );
  const { socket, frames } = await open();
  for (let i = 0; i < 10; i++) socket.write(request(2 * i + 1, get("/")));
  await expect.poll(() => frames(HEADERS).length).toBe(10);
  socket.write(request(21, get("/none")));
  await expect.poll(() => frames(DATA).at(-1)).toMatchObject({ stream: 21, flags: frameFlags.END_STREAM });
});

test("a setting that makes the window of an open stream too large ends the connection", async () => {
  const { open } = await setUp(() => undefined);
  const { socket, frames } = await open();
  socket.write(Buffer.concat([request(1, get("/")), frame(WINDOW_UPDATE, 0, 1, uint32(2 ** 31 - 1 - 65_535))]));
  socket.write(settings({ [STREAM_WINDOW]: 65_536 }));
  await expect.poll(() => frames(GOAWAY)[0]?.payload.readUInt32BE(GOAWAY_CODE)).toBe(FLOW_CONTROL_ERROR);
});

const pings = (count: number): Buffer =>
  Buffer.concat(Array.from({ length: count }, () => frame(PING, 0, 0, Buffer.alloc(8))));

test("a connection that sends thousands of frames at once lets the others take their turns", async () => {
  const { socket } = held();
  socket.emit("data", pings(4000));
  await Promise.resolve();
  const first = socket.frames(PING).length;
  expect([first < 1000, socket.isReading]).toEqual([true, false]);
  for (let before = first; before < 4000;) {
    await turn();
    const now = socket.frames(PING).length;
    expect(now - before).toBeLessThan(1000);
    expect(now).toBeGreaterThan(before);
    before = now;
  }
  await turn();
  expect(socket.isReading).toBe(true);
});

test("the turns of many connections are shorter, so that all of them together take no longer", async () => {
  const turns = new Turns();
  const all = Array.from({ length: 100 }, () => held(undefined, turns).socket);
  const replies = (): number => all.reduce((sum, socket) => sum + socket.frames(PING).length, 0);
  for (const socket of all) socket.emit("data", pings(2000));
  await turn();
  const before = replies();
  await turn();
  expect(replies() - before).toBeLessThan(1500);
  expect(Math.min(...all.map((socket) => socket.frames(PING).length))).toBeGreaterThan(0);
});

test.each([
  ["settings", (id: number) => frame(SETTINGS, 0, 0, Buffer.alloc(16_380, id))],
  // 16,384 times the first field of the static table that is no pseudo-header.
  ["fields", (id: number) => frame(HEADERS, frameFlags.END_HEADERS, id, Buffer.alloc(16_384, 0x80 | 15))],
])("frames with thousands of %s count more, too", async (_, make) => {
  const { socket } = held();
  socket.emit("data", Buffer.concat([...Array.from({ length: 10 }, (__, i) => make(2 * i + 1)), pings(1)]));
  await turn();
  expect(socket.frames(PING)).toEqual([]);
  for (let i = 0; i < 10; i++) await turn();
  expect(socket.frames(PING).length).toBe(1);
});

test("requests count more than other frames", async () => {
  const opened: number[] = [];
  const { socket } = held((stream) => {
    opened.push(stream.id);
    stream.respond(200, []);
    stream.end();
  });
  socket.emit("data", Buffer.concat(Array.from({ length: 1000 }, (_, i) => request(2 * i + 1, get("/")))));
  expect(opened.length).toBeLessThan(100);
  while (opened.length < 1000) await turn();
  await turn();
  expect(socket.frames(HEADERS).length).toBe(1000);
});

test.each(resets)("requests of a client that %s count still more, because nothing comes of them", async (_, make) => {
  let opened = 0;
  const { socket } = held(() => (opened += 1));
  socket.emit("data", Buffer.concat(Array.from({ length: 100 }, (__, i) => make(2 * i + 1)).flat()));
  socket.emit("data", pings(1));
  expect(opened).toBeLessThan(10);
  for (let turns = 0; turns < 50; turns++) await turn();
  expect([socket.frames(PING).length, opened <= 100]).toEqual([1, true]);
});

test("requests beyond the limit of streams count as those that break off", async () => {
  const opened: number[] = [];
  const { socket } = held(({ id }) => opened.push(id));
  const many = Array.from({ length: MANY + 100 }, (_, i) => request(2 * i + 1, get("/")));
  socket.emit("data", Buffer.concat([...many, pings(1)]));
  while (opened.length < MANY) await turn();
  const begun = socket.frames(RST_STREAM).length;
  for (let turns = 0; turns < 5; turns++) await turn();
  expect(socket.frames(RST_STREAM).length - begun).toBeLessThan(50);
  for (let turns = 0; turns < 50; turns++) await turn();
  expect([socket.frames(RST_STREAM).length, socket.frames(PING).length]).toEqual([100, 1]);
});

test("thousands of small frames of an answer are sent in turns, too", async () => {
  const streams: Http2Stream[] = [];
  const { socket } = held((stream) => {
    streams.push(stream);
    stream.respond(200, []);
    stream.write(Buffer.alloc(1000));
  });
  socket.emit("data", settings({ [STREAM_WINDOW]: 0 }));
  socket.emit("data", Buffer.concat(Array.from({ length: 900 }, (_, i) => request(2 * i + 1, get("/")))));
  while (streams.length < 900) await turn();
  for (let i = 0; i < 3; i++) await turn();
  socket.emit("data", settings({ [STREAM_WINDOW]: 1 }));
  await Promise.resolve();
  expect(socket.frames(DATA).length).toBeLessThan(600);
  for (let i = 0; i < 3; i++) await turn();
  expect(socket.frames(DATA).map(({ payload }) => payload.length)).toEqual(Array.from({ length: 900 }, () => 1));
});

test("a client that takes no replies is not read any further, and loses none of them", async () => {
  const { socket, connection } = held();
  socket.isHeld = true;
  for (let i = 0; i < 5; i++) {
    socket.emit("data", pings(4000));
    for (let j = 0; j < 20; j++) await turn();
  }
  expect([socket.destroyed, socket.isReading, socket.writableLength < 200_000]).toEqual([false, false, true]);
  socket.isHeld = false;
  while (!socket.isReading) {
    socket.takeAll();
    await turn();
  }
  expect(socket.frames(PING).length).toBe(20_000);
  connection.end();
});

test("a header block that is not completed within 30 seconds ends its connection, with or without other streams", async () => {
  const { socket, connection } = held();
  socket.emit("data", request(1, get("/")));
  socket.emit("data", frame(HEADERS, 0, 3, Buffer.of(0x82)));
  for (let second = 0; second < 30; second++) connection.check(1000);
  expect(socket.destroyed).toBe(false);
  connection.check(1000);
  await turn();
  expect(socket.destroyed).toBe(true);
});

test("a client that takes nothing for two minutes of what waits for it is gone; one that takes a little stays", async () => {
  const { socket, connection } = held();
  const wait = async (seconds: number): Promise<void> => {
    for (let second = 0; second < seconds; second++) connection.check(1000);
    await turn();
  };
  await turn();
  await wait(1000);
  socket.isHeld = true;
  socket.emit("data", pings(10));
  await turn();
  await wait(119);
  socket.takeSome(1);
  await wait(119);
  expect(socket.destroyed).toBe(false);
  await wait(3);
  expect(socket.destroyed).toBe(true);
});

test("replies that many connections do not take are bounded all together: those that have taken nothing for longest end", async () => {
  const all = Array.from({ length: 20 }, () => held());
  for (const [i, { socket }] of all.entries()) {
    socket.isHeld = true;
    socket.emit("data", pings(1000));
    for (let j = 0; j < 5; j++) await turn();
    // The last five take a little all along.
    for (let second = 0; second < 5; second++) {
      for (const { connection } of all) connection.check(1000);
      for (const other of all.slice(15)) other.socket.takeSome(1);
    }
    expect(socket.writableLength).toBeGreaterThan(17_000 - i);
  }
  const connections = all.map(({ connection }) => connection);
  limitUntaken(connections, 20 * 18_000);
  expect(all.filter(({ socket }) => socket.destroyed)).toEqual([]);
  limitUntaken(connections, 10 * 17_000);
  const gone = all.map(({ socket }) => socket.destroyed);
  expect(gone.slice(0, 9)).toEqual(Array.from({ length: 9 }, () => true));
  expect(gone.slice(12)).toEqual(Array.from({ length: 8 }, () => false));
  limitUntaken(connections, 0);
  expect(all.slice(15).map(({ socket }) => socket.destroyed)).toEqual(Array.from({ length: 5 }, () => false));
});

test("a connection that ends while it drains does not take back which requests were not looked at", async () => {
  const { socket, connection } = held();
  socket.emit("data", request(1, get("/")));
  connection.drain();
  socket.emit("data", request(3, get("/")));
  await turn();
  expect(socket.frames(RST_STREAM).map(({ stream, payload }) => [stream, payload.readUInt32BE()])).toEqual([[3, 7]]);
  connection.end();
  expect(socket.frames(GOAWAY).map(({ payload }) => payload.readUInt32BE())).toEqual([1, 1]);
});
