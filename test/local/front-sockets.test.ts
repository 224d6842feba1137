/** WebSockets that pass through the front: what the server may hold of one, and when one ends. */
import { createServer } from "node:http";
import type { Duplex } from "node:stream";
import { expect, onTestFinished, test } from "vitest";
import { MAX_LINGER_PAUSE_MS, MAX_SOCKET_TURNS, REQUEST_BYTES_STEP } from "../../src/core/limits.ts";
import { clientFrame } from "../support/raw-websocket.ts";
import { FakeClock, frontBefore, listening, rawConnection, room, upgrade, upgrading } from "./fronts.ts";

const BINARY = 2;
const CLOSE = 8;

async function opened(port: number) {
  const { socket, text } = await rawConnection(port);
  let isOver = false;
  socket.on("close", () => (isOver = true)).on("end", () => (isOver = true));
  socket.write(upgrade("/agree"));
  await expect.poll(text).toContain("\r\n\r\n");
  return { socket, text, isOver: () => isOver };
}

test("a socket may send any number of messages: only the one that has not ended counts as bytes of a request", async () => {
  const { port } = await upgrading();
  const requestBytes = 8 * REQUEST_BYTES_STEP;
  const front = await frontBefore(port, { capacity: { ...room(1000, 100), requestBytes } });
  const { socket, isOver, text } = await opened(front.port);
  const message = clientFrame(BINARY, Buffer.alloc(2 * REQUEST_BYTES_STEP));
  let echoed = 0;
  const before = text().length;
  socket.on("data", (bytes) => (echoed += bytes.length));
  for (let i = 1; i <= 12; i++) {
    socket.write(message);
    await expect.poll(() => echoed).toBe(i * message.length);
  }
  expect(text().length - before).toBe(12 * message.length);

  // Another one sends a message without an end: it is cut off, and the first goes on.
  const endless = await opened(front.port);
  endless.socket.write(clientFrame(BINARY, Buffer.alloc(16 * REQUEST_BYTES_STEP)).subarray(0, -1));
  await expect.poll(endless.isOver).toBe(true);
  socket.write(message);
  await expect.poll(() => echoed).toBe(13 * message.length);
  expect(isOver()).toBe(false);
});

test("a socket that the server has closed ends when its client does not answer, and gives its place back", async () => {
  const { port, sockets } = await upgrading();
  const clock = new FakeClock();
  const front = await frontBefore(port, { capacity: { ...room(1000, 100), lasting: 1 }, clock });
  const first = await opened(front.port);
  expect((await opened(front.port)).text()).toContain("503");
  sockets[0]?.write(Buffer.of(0x88, 2, 0x11, 0x31));
  await clock.pass(MAX_LINGER_PAUSE_MS / 1000 - 1);
  expect(first.isOver()).toBe(false);
  await clock.pass(3);
  await expect.poll(first.isOver).toBe(true);
  const next = await opened(front.port);
  expect(next.text()).toContain("101");
  await clock.pass(60);
  expect(next.isOver()).toBe(false);
});

test("a socket that both sides have closed ends at once, though the server keeps its connection (N22)", async () => {
  const { port, sockets } = await upgrading();
  const front = await frontBefore(port, { capacity: { ...room(1000, 100), lasting: 1 }, clock: new FakeClock() });
  const first = await opened(front.port);
  sockets[0]?.write(Buffer.of(0x88, 2, 0x11, 0x31));
  await expect.poll(() => first.text().length).toBeGreaterThan(first.text().indexOf("\r\n\r\n") + 4);
  expect(first.isOver()).toBe(false);
  first.socket.write(clientFrame(CLOSE, Buffer.of(0x11, 0x31)));
  await expect.poll(first.isOver).toBe(true);
  // Its place is free again.
  expect((await opened(front.port)).text()).toContain("101");
});

test("an answer with 426 names the protocol that is wanted, which workerd leaves out (N6)", async () => {
  const port = await listening(createServer((_, answer) => answer.writeHead(426).end("a WebSocket is wanted")));
  const front = await frontBefore(port);
  const answer = await fetch(`http://127.0.0.1:${front.port}/`);
  expect(answer.status).toBe(426);
  expect([answer.headers.get("upgrade"), answer.headers.get("connection")]).toEqual(["websocket", "Upgrade"]);
});

test("when many connect at once, a few handshakes at a time are at the server, and all of them get there", async () => {
  let [underWay, most, answered] = [0, 0, 0];
  const server = createServer();
  server.on("upgrade", (_request, socket: Duplex) => {
    underWay += 1;
    most = Math.max(most, underWay);
    onTestFinished(() => void socket.destroy());
    setImmediate(() => {
      underWay -= 1;
      answered += 1;
      socket.write("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
    });
  });
  const port = await listening(server);
  const front = await frontBefore(port);
  const clients = await Promise.all(Array.from({ length: 100 }, () => rawConnection(front.port)));
  for (const { socket } of clients) socket.write(upgrade("/agree"));
  await expect.poll(() => clients.every(({ text }) => text().includes("101"))).toBe(true);
  expect(answered).toBe(100);
  expect(most).toBeLessThanOrEqual(MAX_SOCKET_TURNS);
});

test("handshakes that the server does not answer make way for others", async () => {
  let asked = 0;
  const server = createServer();
  server.on("upgrade", (_request, socket: Duplex) => {
    asked += 1;
    onTestFinished(() => void socket.destroy());
  });
  const front = await frontBefore(await listening(server));
  const clients = await Promise.all(Array.from({ length: 3 * MAX_SOCKET_TURNS }, () => rawConnection(front.port)));
  for (const { socket } of clients) socket.write(upgrade("/agree"));
  await expect.poll(() => asked).toBe(clients.length);
});
