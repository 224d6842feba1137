/** The WebSocket under a session: its handshake, its frames however they are cut, and what it makes of a server that breaks the rules. */
import * as fc from "fast-check";
import { createServer, type Socket } from "node:net";
import type { AddressInfo } from "node:net";
import { expect, onTestFinished, test } from "vitest";
import { systemClock } from "../../src/local/front/clock.ts";
import { ServerConnections } from "../../src/local/front/server-connection.ts";
import { SessionSocket } from "../../src/local/front/session-socket.ts";

const AGREED = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nX-Some: thing\r\n\r\n";
const BINARY = 2;
const CLOSE = 8;
const PING = 9;
const PONG = 10;

function frame(opcode: number, body: Buffer): Buffer {
  const head = [0x80 | opcode];
  const { length } = body;
  if (length < 126) head.push(length);
  else if (length < 65_536) head.push(126, length >> 8, length & 0xff);
  else head.push(127, 0, 0, 0, 0, 0, length >> 16, (length >> 8) & 0xff, length & 0xff);
  return Buffer.concat([Buffer.from(head), body]);
}

/** The frames that a client has sent, without their masks, which are zeros. */
function framesOf(bytes: Buffer): (readonly [number, Buffer])[] {
  const frames: (readonly [number, Buffer])[] = [];
  for (let at = 0; at < bytes.length;) {
    const [opcode, second] = [bytes.readUInt8(at) & 0x0f, bytes.readUInt8(at + 1)];
    expect(second & 0x80).toBe(0x80);
    const short = second & 0x7f;
    const length =
      short === 127 ? Number(bytes.readBigUInt64BE(at + 2)) : short === 126 ? bytes.readUInt16BE(at + 2) : short;
    at += 2 + (short === 127 ? 8 : short === 126 ? 2 : 0);
    expect(bytes.subarray(at, at + 4)).toEqual(Buffer.alloc(4));
    frames.push([opcode, bytes.subarray(at + 4, at + 4 + length)]);
    at += 4 + length;
  }
  return frames;
}

interface Peer {
  readonly client: SessionSocket;
  /** The server's side of the connection. */
  readonly server: Socket;
  /** What the client has sent after its handshake. */
  readonly sent: () => Buffer;
  readonly handshake: string;
  readonly headers: readonly string[];
  readonly messages: Buffer[];
  /** How often the taker was told of an end. */
  readonly ends: () => number;
  readonly bugs: string[];
}

async function peer(answer = AGREED): Promise<Peer> {
  const accepted = Promise.withResolvers<Socket>();
  const listener = createServer({ noDelay: true }, (socket) => accepted.resolve(socket));
  await new Promise<void>((resolve) => listener.listen(0, "127.0.0.1", resolve));
  // A TCP server that listens has such an address.
  const { port } = listener.address() as AddressInfo;
  const bugs: string[] = [];
  const connections = new ServerConnections(systemClock, (error) => bugs.push(String(error)));
  const [messages, opened] = [[] as Buffer[], Promise.withResolvers<readonly string[]>()];
  let ends = 0;
  const client = new SessionSocket(
    connections,
    { host: "127.0.0.1", port },
    { databaseId: "some-database", token: "some.token" },
    {
      opened: (headers) => opened.resolve(headers),
      message: (bytes) => messages.push(bytes),
      closed: () => {
        ends += 1;
        opened.resolve(["closed"]);
      },
    },
  );
  const server = await accepted.promise;
  onTestFinished(() => {
    connections.destroy();
    server.destroy();
    listener.close();
  });
  let got = Buffer.alloc(0);
  const whole = Promise.withResolvers<void>();
  server.on("error", () => undefined);
  server.on("data", (piece) => {
    got = Buffer.concat([got, piece]);
    if (got.includes("\r\n\r\n")) whole.resolve();
  });
  await whole.promise;
  const end = got.indexOf("\r\n\r\n") + 4;
  const handshake = got.toString("latin1", 0, end);
  server.write(answer);
  const headers = await opened.promise;
  return { client, server, sent: () => got.subarray(end), handshake, headers, messages, ends: () => ends, bugs };
}

test("the handshake asks for our protocol with the token, and the answer's headers are told", async () => {
  const { handshake, headers } = await peer();
  expect(handshake).toMatch(/^GET \/api\/databases\/some-database\/socket HTTP\/1\.1\r\n/);
  for (const line of [
    "Authorization: Bearer some.token",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Protocol: cairn.v1",
    "x-cairn-awake: 1",
    "Upgrade: websocket",
  ]) {
    expect(handshake).toContain(`\r\n${line}\r\n`);
  }
  expect(handshake).toMatch(/Sec-WebSocket-Key: [A-Za-z0-9+/]{22}==\r\n/);
  expect(headers).toEqual(["X-Some", "thing"]);
});

test("an answer that does not switch protocols ends it", async () => {
  for (const answer of [
    "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi",
    "HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n",
  ]) {
    const { headers, ends, bugs } = await peer(answer);
    expect([headers, ends(), bugs]).toEqual([["closed"], 1, []]);
  }
});

test("messages of every length come as they were sent, however the bytes are cut", async () => {
  const { server, messages } = await peer();
  const sizes = fc.array(fc.oneof(fc.nat(130), fc.constantFrom(125, 126, 65_535, 65_536, 200_000)), { maxLength: 6 });
  await fc.assert(
    fc.asyncProperty(sizes, fc.array(fc.integer({ min: 1, max: 70_000 }), { minLength: 1 }), async (all, cuts) => {
      messages.length = 0;
      const bodies = all.map((size, i) => Buffer.alloc(size, `${i}`));
      const bytes = Buffer.concat(bodies.map((body) => frame(BINARY, body)));
      for (let at = 0, i = 0; at < bytes.length; i++) {
        const next = at + (cuts[i % cuts.length] ?? 1) + Math.floor(bytes.length / 50);
        await new Promise((resolve) => server.write(bytes.subarray(at, next), resolve));
        at = next;
      }
      await expect.poll(() => messages.length, { interval: 1 }).toBe(all.length);
      expect(messages.every((message, i) => message.equals(bodies[i] ?? Buffer.alloc(0)))).toBe(true);
    }),
    { numRuns: 25 },
  );
});

test("messages of every length are sent in one frame each, with a mask of zeros", async () => {
  const { client, sent } = await peer();
  const bodies = [0, 1, 125, 126, 65_535, 65_536, 300_000].map((size) => Buffer.alloc(size, "m"));
  for (const body of bodies) client.send(body);
  const bytes = bodies.reduce((sum, { length }) => sum + length + 6 + (length < 126 ? 0 : length < 65_536 ? 2 : 8), 0);
  await expect.poll(() => sent().length).toBe(bytes);
  expect(framesOf(sent()).map(([opcode, { length }]) => [opcode, length])).toEqual(
    bodies.map(({ length }) => [BINARY, length]),
  );
});

test("a ping is answered, a pong is not, and a close is answered and ends it", async () => {
  const { server, sent, ends, messages } = await peer();
  server.write(Buffer.concat([frame(PONG, Buffer.from("x")), frame(PING, Buffer.from("why"))]));
  await expect.poll(() => framesOf(sent())).toEqual([[PONG, Buffer.from("why")]]);
  const closed = new Promise((resolve) => server.once("close", resolve));
  // What follows a close is no message.
  server.write(Buffer.concat([frame(CLOSE, Buffer.from([0x03, 0xe8])), frame(BINARY, Buffer.from("late"))]));
  await closed;
  expect(framesOf(sent()).at(-1)).toEqual([CLOSE, Buffer.from([0x03, 0xe8])]);
  expect([ends(), messages]).toEqual([1, []]);
});

test("a server that breaks the rules loses the connection, and the operator reads why", async () => {
  for (const [bytes, why] of [
    [Buffer.from([0x81, 1, 0x61]), "whole binary message"],
    [Buffer.from([0x02, 1, 0x61]), "whole binary message"],
    [Buffer.from([0x80, 1, 0x61]), "whole binary message"],
    [Buffer.from([0x82, 0x81, 0, 0, 0, 0, 0x61]), "without a mask"],
    [Buffer.from([0x82, 127, 0, 0, 0, 1, 0, 0, 0, 0]), "at most 67108864 bytes"],
  ] as const) {
    const { server, ends, bugs } = await peer();
    const closed = new Promise((resolve) => server.once("close", resolve));
    server.write(bytes);
    await closed;
    expect([ends(), bugs]).toEqual([1, [expect.stringContaining(why)]]);
  }
});

test("after its end nothing is told any more", async () => {
  const { client, server, ends, messages } = await peer();
  const closed = new Promise((resolve) => server.once("close", resolve));
  server.write(frame(BINARY, Buffer.from("x")));
  client.end();
  await closed;
  expect([ends(), messages]).toEqual([0, []]);
});

test("a connection that breaks ends it once", async () => {
  const { server, ends } = await peer();
  server.resetAndDestroy();
  await expect.poll(ends).toBe(1);
});
