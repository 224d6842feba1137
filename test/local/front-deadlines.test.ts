/**
 * What waits for a client has an end, and what makes progress has none, however slow it is. Time passes as the test says, on both
 * protocols alike.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import { expect, test } from "vitest";
import {
  frame,
  frameFlags,
  frameTypes,
  PREFACE,
  request,
  settings,
  uint32,
  type HeaderList,
} from "../support/raw-http2.ts";
import { FakeClock, frontBefore, type Handler, type RawConnection, rawConnection, room, serverWith } from "./fronts.ts";

const { DATA, WINDOW_UPDATE } = frameTypes;

/** What a request is to the server: how much of its body came, and whether it broke off. */
interface Seen {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  bytes: number;
  ended: boolean;
  closed: boolean;
}

async function setUp(answer: Handler = () => undefined) {
  const seen: Seen[] = [];
  const { port } = await serverWith((incoming, response) => {
    const entry: Seen = { request: incoming, response, bytes: 0, ended: false, closed: false };
    seen.push(entry);
    incoming.on("data", (piece: Buffer) => (entry.bytes += piece.length));
    incoming.on("end", () => (entry.ended = true));
    incoming.on("error", () => undefined);
    response.on("close", () => (entry.closed = true));
    answer(incoming, response);
  });
  const clock = new FakeClock();
  const front = await frontBefore(port, { clock });
  return { clock, front, seen };
}

/** A client of one of the protocols that sends and takes what it is told to. */
interface Client {
  readonly connection: RawConnection;
  /** A POST whose body of 1,000,000 bytes is to come. */
  begin(): void;
  send(bytes: number): void;
  /** Takes so much more of the answer. */
  take(bytes: number): void;
}

const post: HeaderList = [
  [":method", "POST"],
  [":path", "/"],
  [":scheme", "http"],
  [":authority", "h"],
  ["content-length", "1000000"],
];

/** It has room for `window` bytes of an answer. */
async function overHttp2(port: number, window = 65_535): Promise<Client> {
  const connection = await rawConnection(port);
  const { socket } = connection;
  socket.write(Buffer.concat([PREFACE, settings({ 4: window })]));
  return {
    connection,
    begin: () => void socket.write(request(1, post, 0)),
    send: (bytes) => void socket.write(frame(DATA, 0, 1, Buffer.alloc(bytes))),
    take(bytes) {
      for (const id of [0, 1]) socket.write(frame(WINDOW_UPDATE, 0, id, uint32(bytes)));
    },
  };
}

async function overHttp1(port: number): Promise<Client> {
  const connection = await rawConnection(port);
  const { socket } = connection;
  return {
    connection,
    begin: () => void socket.write("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1000000\r\n\r\n"),
    send: (bytes) => void socket.write(Buffer.alloc(bytes)),
    take: () => undefined,
  };
}

const protocols = [
  ["HTTP/1.1", overHttp1, /HTTP\/1\.1 408 /],
  // 408 as a literal of the header block, Huffman-coded by node or not.
  ["HTTP/2", overHttp2, /The rest of the request did not come in time/],
] as const;

test.each(protocols)(
  "a body that stops is answered with 408 after 30 seconds, and the server's request ends, over %s",
  async (_, open, refusal) => {
    const { clock, front, seen } = await setUp();
    const client = await open(front.port);
    client.begin();
    client.send(1000);
    await expect.poll(() => seen[0]?.bytes).toBe(1000);
    await clock.pass(29);
    expect([client.connection.text(), seen[0]?.closed]).toEqual([expect.not.stringMatching(refusal), false]);
    await clock.pass(3);
    await expect.poll(client.connection.text).toMatch(refusal);
    await expect.poll(() => seen[0]?.closed).toBe(true);
  },
);

test.each(protocols)("a body of 100 bytes a second ends after a while, over %s", async (_, open, refusal) => {
  const { clock, front, seen } = await setUp();
  const client = await open(front.port);
  client.begin();
  await expect.poll(() => seen.length).toBe(1);
  await clock.pass(60, () => client.send(100));
  expect(client.connection.text()).toMatch(refusal);
});

test.each(protocols)("a body of 2 KiB a second is taken for as long as it takes, over %s", async (_, open) => {
  const { clock, front, seen } = await setUp((incoming, response) =>
    incoming.on("end", () => response.end("all of it")),
  );
  const client = await open(front.port);
  client.begin();
  await clock.pass(488, () => client.send(2048));
  client.send(1_000_000 - 488 * 2048);
  if (open === overHttp2) client.connection.socket.write(frame(DATA, frameFlags.END_STREAM, 1));
  await expect.poll(client.connection.text).toContain("all of it");
  expect(seen[0]).toMatchObject({ bytes: 1_000_000, ended: true });
});

test("a server that takes nothing of a body is not the client's fault", async () => {
  const { port } = await serverWith((incoming, response) => {
    setTimeout(() => incoming.resume().on("end", () => response.end("all of it")), 500);
  });
  const clock = new FakeClock();
  const client = await overHttp1((await frontBefore(port, { clock })).port);
  const large = Buffer.alloc(20_000_000);
  client.connection.socket.write(`POST / HTTP/1.1\r\nHost: h\r\nContent-Length: ${large.length}\r\n\r\n`);
  client.connection.socket.write(large);
  await clock.pass(100);
  await expect.poll(client.connection.text).toContain("all of it");
});

test("a head that does not end is answered with 408 after 30 seconds, also behind another request", async () => {
  const { clock, front } = await setUp((_, response) => response.end("answer"));
  const [first, second] = [await rawConnection(front.port), await rawConnection(front.port)];
  second.socket.write("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
  await expect.poll(second.text).toContain("answer");
  first.socket.write("GET / HTTP/1.1\r\nHost: ");
  second.socket.write("GET / HT");
  await sleep(20);
  await clock.pass(29);
  for (const { text } of [first, second]) expect(text()).not.toContain("408");
  await clock.pass(3);
  for (const { text } of [first, second]) {
    await expect.poll(text).toMatch(/HTTP\/1\.1 408 [^]*The rest of the request did not come in time/);
  }
});

test("an answer of which nothing is taken breaks off after a minute, over HTTP/2", async () => {
  const { clock, front, seen } = await setUp((_, response) => response.write(Buffer.alloc(1_000_000, "x")));
  const client = await overHttp2(front.port, 0);
  client.connection.socket.write(request(1, post.slice(0, 4)));
  await expect.poll(() => seen.length).toBe(1);
  await sleep(50);
  await clock.pass(59);
  expect(seen[0]?.closed).toBe(false);
  await clock.pass(3);
  await expect.poll(() => seen[0]?.closed).toBe(true);
});

test("an answer of which nothing is taken breaks off after a minute, over HTTP/1.1", async () => {
  const { clock, front, seen } = await setUp((_, response) => response.end(Buffer.alloc(40_000_000, "x")));
  const { socket } = await rawConnection(front.port);
  socket.pause();
  socket.write("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
  await expect.poll(() => seen.length).toBe(1);
  await sleep(200);
  const closed = new Promise<boolean>((resolve) => socket.once("close", () => resolve(true)));
  await clock.pass(59);
  expect(seen[0]?.closed).toBe(false);
  await clock.pass(3);
  await expect.poll(() => seen[0]?.closed).toBe(true);
  socket.resume();
  expect(await closed).toBe(true);
});

test("when answers need more memory than there is, those that nobody reads are ended, the one that waits longest first", async () => {
  const seen: ServerResponse[] = [];
  const { port } = await serverWith((_, response) => void seen.push(response.on("error", () => undefined)));
  const clock = new FakeClock();
  const front = await frontBefore(port, { clock, capacity: { ...room(100, 100), answerBytes: 25_000_000 } });
  const [idle, later, taking] = [
    await rawConnection(front.port),
    await rawConnection(front.port),
    await rawConnection(front.port),
  ];
  for (const { socket } of [idle, later]) socket.pause();
  const closed = new Set<number>();
  for (const [index, { socket }] of [idle, later, taking].entries()) {
    socket.write("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    await expect.poll(() => seen.length).toBe(index + 1);
    seen[index]?.on("close", () => closed.add(index));
    const body = Buffer.alloc(20_000_000, "x");
    seen[index]?.setHeader("content-length", body.length);
    if (index < 2) seen[index]?.end(body);
    else seen[index]?.write(body.subarray(0, 1000));
    await sleep(50);
    await clock.pass(1);
  }
  await clock.pass(5);
  await expect.poll(() => [...closed]).toEqual([0]);
  await clock.pass(5);
  expect([...closed]).toEqual([0]);
});

test("an answer that is taken at 2 KiB a second goes on for as long as it takes", async () => {
  const { clock, front } = await setUp((_, response) => response.end(Buffer.alloc(600_000, "x")));
  const client = await overHttp2(front.port, 2048);
  client.connection.socket.write(request(1, post.slice(0, 4)));
  await clock.pass(300, () => client.take(2048));
  await expect.poll(() => client.connection.text().split("x").length - 1).toBeGreaterThanOrEqual(600_000);
});

test("a watcher that takes its keep-alives stays, and one that takes none is gone after a minute", async () => {
  const { clock, front, seen } = await setUp((_, response) => response.write("s"));
  const first = await overHttp1(front.port);
  const second = await overHttp2(front.port);
  const idle = await overHttp2(front.port, 1);
  first.connection.socket.write("GET /watch HTTP/1.1\r\nHost: h\r\n\r\n");
  for (const { connection } of [second, idle]) connection.socket.write(request(1, post.slice(0, 4)));
  await expect.poll(() => seen.length).toBe(3);
  await clock.pass(1000, (second_) => {
    if (second_ % 5 === 0) for (const { response } of seen) response.write("kkkk");
  });
  expect(seen.map(({ closed }) => closed)).toEqual([false, false, true]);
  expect(first.connection.text().split("kkkk").length).toBeGreaterThan(190);
});

test("idle connections stay longer than proxies keep theirs, and end after eleven minutes", async () => {
  const { clock, front } = await setUp((_, response) => response.end("answer"));
  const first = await rawConnection(front.port);
  first.socket.write("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
  const second = await rawConnection(front.port);
  second.socket.write(Buffer.concat([PREFACE, settings()]));
  await expect.poll(first.text).toContain("answer");
  await clock.pass(650);
  first.socket.write("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
  await expect.poll(() => first.text().split("answer").length).toBe(3);
  expect(second.socket.readableEnded).toBe(false);
  await clock.pass(662);
  for (const { socket } of [first, second]) await expect.poll(() => socket.readableEnded).toBe(true);
});

test("a connection on which nothing was ever sent ends after a minute", async () => {
  const { clock, front } = await setUp();
  const { socket } = await rawConnection(front.port);
  await sleep(20);
  await clock.pass(59);
  expect(socket.readableEnded).toBe(false);
  await clock.pass(3);
  await expect.poll(() => socket.readableEnded).toBe(true);
});

test("nothing is ended for the time that the machine slept", async () => {
  const { clock, front, seen } = await setUp((_, response) => response.write(Buffer.alloc(1_000_000)));
  const client = await overHttp1(front.port);
  client.begin();
  client.send(1000);
  const unread = await overHttp2(front.port, 0);
  unread.connection.socket.write(request(1, post.slice(0, 4)));
  await expect.poll(() => seen.length).toBe(2);
  await sleep(50);
  await clock.pass(20);
  clock.jump(3600);
  await clock.pass(1);
  expect(seen.map(({ closed }) => closed)).toEqual([false, false]);
});
