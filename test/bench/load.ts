/**
 * The load generator: HTTP/1.1 with keep-alive over plain sockets, because it shares the machine's cores with what it measures.
 * Requests are bytes made beforehand; of an answer it reads the status and the length. Each connection sends its next request
 * when the last was answered.
 */
import { connect, type Socket } from "node:net";
import { loadResult } from "./statistics.ts";

export interface Address {
  readonly host: string;
  readonly port: number;
}

export interface Answer {
  readonly status: number;
  readonly body: Buffer;
}

/** What one stretch of load came to. Latencies are from the last byte sent to the last byte received. */
export interface LoadResult {
  readonly perSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

const RECEIVE_BYTES = 64 * 1024;
const END_OF_HEAD = Buffer.from("\r\n\r\n");

class Connection {
  readonly #socket: Socket;
  #head: Buffer | undefined;
  #status = 0;
  /** Bytes of the body still to come; -1: the head is not complete. */
  #left = -1;
  /** Kept only where somebody reads it: for a single exchange, and to say what went wrong. */
  #kept: Buffer[] | undefined;
  #keepAlways = false;
  #done: (status: number) => void = () => undefined;
  #failed: (error: Error) => void;
  #usedAt = performance.now();

  private constructor({ host, port }: Address, ready: () => void, failed: (error: Error) => void) {
    this.#failed = failed;
    this.#socket = connect(
      {
        host,
        port,
        noDelay: true,
        onread: {
          buffer: Buffer.allocUnsafe(RECEIVE_BYTES),
          callback: (count, buffer) => {
            this.#receive(buffer.subarray(0, count) as Buffer);
            return true;
          },
        },
      },
      ready,
    );
    this.#socket.on("error", (error) => this.#failed(error));
    this.#socket.on("close", () => this.#failed(new Error(`${host}:${port} closed the connection`)));
  }

  static open(address: Address): Promise<Connection> {
    return new Promise((resolve, reject) => {
      const connection = new Connection(address, () => resolve(connection), reject);
    });
  }

  get idleMs(): number {
    return performance.now() - this.#usedAt;
  }

  send(request: Buffer, keepBody: boolean, done: (status: number) => void, failed: (error: Error) => void): void {
    this.#done = done;
    this.#failed = failed;
    this.#keepAlways = keepBody;
    this.#kept = undefined;
    this.#socket.write(request);
  }

  body(): Buffer {
    return Buffer.concat(this.#kept ?? []);
  }

  close(): void {
    this.#failed = () => undefined;
    this.#socket.destroy();
  }

  #receive(chunk: Buffer): void {
    let rest = chunk;
    if (this.#left === -1) {
      if (this.#head !== undefined) rest = Buffer.concat([this.#head, rest]);
      const end = rest.indexOf(END_OF_HEAD);
      if (end === -1) {
        this.#head = Buffer.from(rest);
        return;
      }
      this.#head = undefined;
      this.#begin(rest.toString("latin1", 0, end));
      rest = rest.subarray(end + END_OF_HEAD.length);
    }
    if (this.#kept !== undefined) this.#kept.push(Buffer.from(rest));
    this.#left -= rest.length;
    if (this.#left > 0) return;
    this.#left = -1;
    this.#usedAt = performance.now();
    this.#done(this.#status);
  }

  #begin(head: string): void {
    this.#status = Number(head.slice(9, 12));
    const length = /\r\ncontent-length: *(\d+)/i.exec(head)?.[1];
    if (length === undefined) {
      this.#failed(new Error(`an answer without content-length, which this client does not read:\n${head}`));
    }
    this.#left = Number(length ?? 0);
    if (this.#keepAlways || this.#status !== 200) this.#kept = [];
  }
}

/** Servers close connections on which nothing comes for a while, workerd after 5 seconds: older ones are opened anew. */
const MAX_IDLE_MS = 1000;

/** Some connections to one server, kept open from one stretch of load to the next. */
export class Connections {
  readonly #address: Address;
  #connections: Connection[] = [];

  private constructor(address: Address) {
    this.#address = address;
  }

  static async open(address: Address, count: number): Promise<Connections> {
    const connections = new Connections(address);
    connections.#connections = await Promise.all(Array.from({ length: count }, () => Connection.open(address)));
    return connections;
  }

  close(): void {
    for (const connection of this.#connections) connection.close();
  }

  /** Sends the requests in turn for that long, all connections together. Any answer but 200 rejects, with its text. */
  load(requests: readonly Buffer[], seconds: number): Promise<LoadResult> {
    const deadline = performance.now() + seconds * 1000;
    return this.loadUntil(requests, () => performance.now() >= deadline);
  }

  /** As `load`, until it is over: each connection asks after an answer. */
  async loadUntil(requests: readonly Buffer[], isOver: () => boolean): Promise<LoadResult> {
    await this.#renew();
    const latencies: number[] = [];
    const start = performance.now();
    let next = 0;
    await this.#all((connection, finished, failed) => {
      let sent = 0;
      const sendNext = () => {
        const request = requests[next++ % requests.length];
        if (request === undefined) return failed(new Error("expected at least one request"));
        sent = performance.now();
        connection.send(request, false, answered, failed);
      };
      const answered = (status: number) => {
        const now = performance.now();
        latencies.push(now - sent);
        if (status !== 200) failed(new Error(`answered ${status}: ${connection.body().toString("utf8", 0, 500)}`));
        else if (isOver()) finished();
        else sendNext();
      };
      sendNext();
    });
    return loadResult(latencies, start);
  }

  /** Sends each of the requests once. Any answer but 200 rejects. */
  async sendAll(requests: Iterable<Buffer>): Promise<void> {
    await this.#renew();
    const iterator = requests[Symbol.iterator]();
    await this.#all((connection, finished, failed) => {
      const sendNext = () => {
        const request = iterator.next();
        if (request.done === true) finished();
        else connection.send(request.value, false, answered, failed);
      };
      const answered = (status: number) => {
        if (status === 200) sendNext();
        else failed(new Error(`answered ${status}: ${connection.body().toString("utf8", 0, 500)}`));
      };
      sendNext();
    });
  }

  /** One request on the first connection, and its answer whatever it is. */
  async exchange(request: Buffer): Promise<Answer> {
    await this.#renew();
    const [connection] = this.#connections;
    if (connection === undefined) throw new Error("expected at least one connection");
    const status = await new Promise<number>((done, failed) => connection.send(request, true, done, failed));
    return { status, body: connection.body() };
  }

  async #renew(): Promise<void> {
    this.#connections = await Promise.all(
      this.#connections.map(async (connection) => {
        if (connection.idleMs < MAX_IDLE_MS) return connection;
        connection.close();
        return Connection.open(this.#address);
      }),
    );
  }

  async #all(
    work: (connection: Connection, finished: () => void, failed: (error: Error) => void) => void,
  ): Promise<void> {
    await Promise.all(
      this.#connections.map(
        (connection) => new Promise<void>((finished, failed) => work(connection, finished, failed)),
      ),
    );
  }
}

/** A whole POST request in one buffer. */
export function postRequest(
  url: URL,
  headers: Readonly<Record<string, string>>,
  body: Uint8Array,
): Buffer<ArrayBuffer> {
  return withBody("POST", url, headers, body);
}

export function putRequest(url: URL, headers: Readonly<Record<string, string>>, body: Uint8Array): Buffer<ArrayBuffer> {
  return withBody("PUT", url, headers, body);
}

export function getRequest(url: URL, headers: Readonly<Record<string, string>>): Buffer<ArrayBuffer> {
  return headOf("GET", url, Object.entries({ host: url.host, ...headers }));
}

function withBody(
  method: string,
  url: URL,
  headers: Readonly<Record<string, string>>,
  body: Uint8Array,
): Buffer<ArrayBuffer> {
  const lines = Object.entries({ host: url.host, ...headers, "content-length": String(body.length) });
  return Buffer.concat([headOf(method, url, lines), body]);
}

function headOf(method: string, url: URL, lines: readonly (readonly [string, string])[]): Buffer<ArrayBuffer> {
  const headers = lines.map(([name, value]) => `${name}: ${value}\r\n`).join("");
  return Buffer.from(`${method} ${url.pathname}${url.search} HTTP/1.1\r\n${headers}\r\n`, "latin1");
}
