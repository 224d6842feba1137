/** A front before a plain HTTP/1.1 server of the test's own, raw connections to it, and a clock that the test moves. */
import { isFailure } from "../../src/core/errors.ts";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { connect, type AddressInfo, type Socket } from "node:net";
import type { Duplex } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";
import { onTestFinished } from "vitest";
import { capacityOf, type Capacity } from "../../src/local/front/capacity.ts";
import { systemClock, type FrontClock } from "../../src/local/front/clock.ts";
import type { ServerProcess } from "../../src/local/front/client.ts";
import { Front } from "../../src/local/front/front.ts";

export type Handler = (request: IncomingMessage, response: ServerResponse) => void;

export async function serverWith(handler: Handler): Promise<{ readonly server: Server; readonly port: number }> {
  const server = createServer(handler);
  return { server, port: await listening(server) };
}

/** The port that the system chose. */
export async function listening(server: Server): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  // A TCP server that listens has such an address.
  return (server.address() as AddressInfo).port;
}

/** The test's own process, with a server at this port. */
export function processAt(port: number | undefined): ServerProcess | undefined {
  return port === undefined ? undefined : { address: { host: "127.0.0.1", port }, pid: process.pid };
}

/** For so many connections of clients, and requests at the server. */
export function room(connections: number, requests: number): Capacity {
  return capacityOf({ descriptors: Number.POSITIVE_INFINITY, connections, requests, sessions: 10, databases: 1000 });
}

export interface TestFront {
  readonly url: string;
  readonly port: number;
  /** What it has written for whoever runs it. */
  readonly lines: string[];
}

export async function frontBefore(
  port: number | undefined,
  { capacity = room(1000, 1000), clock = systemClock }: { capacity?: Capacity; clock?: FrontClock } = {},
): Promise<TestFront> {
  const lines: string[] = [];
  const running = processAt(port);
  const front = await Front.listen("127.0.0.1", 0, () => running, capacity, {
    write: (line) => lines.push(line),
    clock,
  });
  if (isFailure(front)) throw new Error(front.message);
  onTestFinished(() => front.close(0));
  return { url: `http://127.0.0.1:${front.port}`, port: front.port, lines };
}

/** Seconds pass when the test says so. */
export class FakeClock implements FrontClock {
  #now = 1000;
  readonly #handlers = new Set<() => void>();

  now(): number {
    return this.#now;
  }

  every(_ms: number, handler: () => void): () => void {
    this.#handlers.add(handler);
    return () => this.#handlers.delete(handler);
  }

  /** After each second `then` is waited for, and what is on its way has time to arrive. */
  async pass(seconds: number, then: (second: number) => void = () => undefined): Promise<void> {
    for (let second = 1; second <= seconds; second++) {
      this.#now += 1000;
      for (const handler of this.#handlers) handler();
      then(second);
      await sleep(2);
    }
  }

  /** All at once, as for a machine that slept. */
  jump(seconds: number): void {
    this.#now += seconds * 1000;
    for (const handler of this.#handlers) handler();
  }
}

export const echo: Handler = (request, response) => {
  response.setHeader("x-seen", JSON.stringify([request.method, request.url, request.headers]));
  request.pipe(response);
};

export interface RawConnection {
  readonly socket: Socket;
  readonly text: () => string;
}

export async function rawConnection(port: number, localAddress?: string): Promise<RawConnection> {
  const from = localAddress === undefined ? {} : { localAddress };
  const socket = connect({ port, host: "127.0.0.1", allowHalfOpen: true, noDelay: true, ...from });
  onTestFinished(() => void socket.destroy());
  let text = "";
  socket.on("data", (chunk) => (text += chunk.toString("latin1")));
  socket.on("error", () => undefined);
  // What is written before that would arrive in one piece.
  await new Promise<void>((resolve) => socket.once("connect", resolve));
  return { socket, text: () => text };
}

/** Agrees to a WebSocket at paths that end in /agree, and then echoes bytes; answers another way elsewhere. `more`: headers of its answer. */
export async function upgrading(
  more = "",
): Promise<{ readonly server: Server; readonly port: number; readonly sockets: Duplex[] }> {
  const sockets: Duplex[] = [];
  const server = createServer((_, response) => response.end("no socket"));
  server.on("upgrade", (request: IncomingMessage, socket, head: Buffer) => {
    sockets.push(socket.on("error", () => undefined));
    if (request.url?.endsWith("/agree") !== true) {
      socket.end("HTTP/1.1 401 Unauthorized\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nbad\r\n0\r\n\r\n");
      return;
    }
    socket.write(
      `HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n${more}Sec-WebSocket-Accept: x\r\n\r\n`,
    );
    socket.write(head);
    socket.pipe(socket);
  });
  const port = await listening(server);
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy();
  });
  return { server, port, sockets };
}

export const upgrade = (path: string): string =>
  `GET ${path} HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: WebSocket\r\nSec-WebSocket-Key: k\r\n\r\n`;
