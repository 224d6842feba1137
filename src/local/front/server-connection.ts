/**
 * HTTP/1.1 to the server process behind the front (RFC 9112): one request at a time on each connection, over connections that are kept
 * for a moment. A request is never sent a second time, because it may have been carried out.
 *
 * Clients share these connections, so the end of each request must be certain. Its head is written here from checked parts. Its body has
 * the announced length, or is chunked here. The answers are those of our own server process.
 */
import { connect, type Socket } from "node:net";
import { socketProtocol } from "../../contracts/socket.ts";
import { UNTOUCHED } from "../../contracts/untouched.ts";
import type { ProcessAddress } from "../process-address.ts";
import type { FrontClock } from "./clock.ts";
import { Guard, type ReportBug } from "./guard.ts";

/** Names and values alternate. */
export type HeaderPairs = readonly string[];

/** "none"; a length; "chunked" when the length is not known; "upgrade" when bytes follow after the server has switched protocols. */
export type BodyKind = "none" | number | "chunked" | "upgrade";

export interface ServerRequest {
  readonly method: string;
  readonly path: string;
  /** Without the headers of the connection and of the body's framing. */
  readonly headers: HeaderPairs;
  readonly body: BodyKind;
}

/** Where the rest of a request is written, and how its answer is paused. */
export interface RequestSink {
  /** A piece of the request's body, of at least one byte. False: `drain` says when there is room for more. */
  write(piece: Buffer): boolean;
  /** The request's body is complete. */
  end(): void;
  pause(): void;
  resume(): void;
  /** Nobody waits for the answer any more. */
  abandon(): void;
}

/** Takes the answer. Nothing is called any more after `end`, `broken`, or an `abandon`. */
export interface AnswerTaker {
  /** `headers`: without those of the connection. `length`: of the body, if it is known. */
  head(status: number, reason: string, headers: HeaderPairs, length: number | undefined): void;
  /** A piece of the body, which now belongs to the taker. */
  piece(bytes: Buffer): void;
  end(): void;
  /** More of the request's body may be sent. */
  drain(): void;
  /** `sent` is false if there was never a connection, so nothing was done. */
  broken(sent: boolean): void;
}

/** Well below the 15 seconds after which workerd closes an idle connection, so that no request meets a closing one. */
const MAX_IDLE_MS = 5000;

/** The head of an answer, or the line before a chunk. Those of our own server are far smaller. */
const MAX_HEAD_BYTES = 1024 * 1024;

/** Answers are taken out of this buffer at once, so all connections share it. */
const receiveBuffer = Buffer.allocUnsafe(64 * 1024);

const END_OF_HEAD = Buffer.from("\r\n\r\n");
const LAST_CHUNK = Buffer.from("0\r\n\r\n");
const CRLF = Buffer.from("\r\n");

/** The connections to one server process at a time. Those to the process before break by themselves. */
export class ServerConnections {
  readonly #clock: Pick<FrontClock, "now">;
  readonly #report: ReportBug;
  readonly #all = new Set<ServerConnection>();
  #connecting = 0;
  /** The connection that was used last is the last one. */
  readonly #idle: ServerConnection[] = [];

  constructor(clock: Pick<FrontClock, "now">, report: ReportBug) {
    this.#clock = clock;
    this.#report = report;
  }

  /** Sends the head, which belongs to the request. The rest of the request goes through the returned connection. */
  request(address: ProcessAddress, head: string, request: ServerRequest, taker: AnswerTaker): ServerConnection {
    let connection = this.#idle.pop();
    while (connection !== undefined && !connection.isFor(address)) {
      connection.abandon();
      connection = this.#idle.pop();
    }
    if (connection === undefined) {
      connection = new ServerConnection(address, this.#report, {
        idle: (idle) => {
          idle.idleSince = this.#clock.now();
          this.#idle.push(idle);
        },
        accepted: () => (this.#connecting -= 1),
        closed: (gone) => this.#forget(gone),
      });
      this.#all.add(connection);
      this.#connecting += 1;
    }
    connection.begin(head, request, taker);
    return connection;
  }

  /** Connections that the server may not have accepted yet. */
  get connecting(): number {
    return this.#connecting;
  }

  /** Closes connections that were not used for a while. To be called every second or so. */
  check(): void {
    const now = this.#clock.now();
    const old = this.#idle.findIndex((connection) => now - connection.idleSince < MAX_IDLE_MS);
    for (const connection of old === -1 ? this.#idle.splice(0) : this.#idle.splice(0, old)) connection.abandon();
  }

  destroy(): void {
    for (const connection of this.#all) connection.abandon();
  }

  #forget(connection: ServerConnection): void {
    this.#all.delete(connection);
    const at = this.#idle.indexOf(connection);
    if (at !== -1) this.#idle.splice(at, 1);
  }
}

/** What the next bytes are. "rest": all bytes until the connection ends. */
type Expected = "nothing" | "head" | "body" | "chunk size" | "chunk" | "end of chunk" | "trailers" | "rest";

interface Owner {
  /** The server has answered for the first time, or the connection closed before. */
  accepted(): void;
  idle(connection: ServerConnection): void;
  closed(connection: ServerConnection): void;
}

export class ServerConnection implements RequestSink {
  idleSince = 0;
  readonly #address: ProcessAddress;
  readonly #owner: Owner;
  readonly #socket: Socket;
  readonly #guard: Guard;
  #connected = false;
  #accepted = false;
  #taker: AnswerTaker | undefined;
  #request: ServerRequest | undefined;
  /** Written, but not sent yet: it is sent with the first piece of the body, if that comes soon. */
  #head: string | undefined;
  #requestEnded = false;
  #bodyLeft = 0;
  #expected: Expected = "nothing";
  /** The beginning of a head or a line whose end has not come. */
  #begun: Buffer | undefined;
  #left = 0;
  #keepAlive = false;

  constructor(address: ProcessAddress, report: ReportBug, owner: Owner) {
    this.#address = address;
    this.#owner = owner;
    this.#guard = new Guard(() => {
      this.#socket.destroy();
      this.#breakOff();
    }, report);
    const receive = this.#guard.wrap((count: number) => this.#receive(receiveBuffer.subarray(0, count)));
    this.#socket = connect({
      ...address,
      noDelay: true,
      onread: {
        buffer: receiveBuffer,
        callback: (count) => {
          receive(count);
          return true;
        },
      },
    });
    this.#guard.once(this.#socket, "connect", () => (this.#connected = true));
    this.#guard.on(this.#socket, "drain", () => this.#taker?.drain());
    // The error itself is of no use: the closing of the connection has the same consequences.
    this.#guard.on(this.#socket, "error", () => undefined);
    this.#guard.once(this.#socket, "end", () => {
      if (this.#expected === "rest") this.#finish();
    });
    this.#guard.once(this.#socket, "close", () => {
      this.#accept();
      this.#owner.closed(this);
      this.#breakOff();
    });
  }

  /** After a restart the process has another address; or it has the same address, and this connection is broken. */
  isFor(address: ProcessAddress): boolean {
    return this.#address === address && !this.#socket.destroyed;
  }

  begin(head: string, request: ServerRequest, taker: AnswerTaker): void {
    this.#request = request;
    this.#taker = taker;
    this.#expected = "head";
    this.#head = head;
    this.#keepAlive = false;
    this.#bodyLeft = typeof request.body === "number" ? request.body : 0;
    this.#requestEnded = request.body === "none";
    if (this.#requestEnded) this.#sendHead();
    // A client may hold its body back until it has an answer.
    else this.#guard.soon(() => this.#sendHead());
  }

  write(piece: Buffer): boolean {
    const head = this.#head;
    this.#head = undefined;
    if (this.#request?.body === "chunked") {
      const size = `${head ?? ""}${piece.length.toString(16)}\r\n`;
      const framed = Buffer.allocUnsafe(size.length + piece.length + 2);
      framed.write(size, "latin1");
      piece.copy(framed, size.length);
      CRLF.copy(framed, size.length + piece.length);
      return this.#socket.write(framed);
    }
    if (this.#request?.body !== "upgrade") {
      this.#bodyLeft -= piece.length;
      if (this.#bodyLeft < 0) throw new Error("expected a body of no more than its content-length");
    }
    if (head === undefined) return this.#socket.write(piece);
    const both = Buffer.allocUnsafe(head.length + piece.length);
    both.write(head, "latin1");
    piece.copy(both, head.length);
    return this.#socket.write(both);
  }

  end(): void {
    if (this.#bodyLeft > 0) throw new Error("expected a body of no less than its content-length");
    this.#sendHead();
    if (this.#request?.body === "chunked") this.#socket.write(LAST_CHUNK);
    if (this.#request?.body === "upgrade") this.#socket.end();
    this.#requestEnded = true;
  }

  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    this.#socket.resume();
  }

  /**
   * Over TCP the connection is reset, because after a normal end the server would notice only at its second write. Over a Unix socket it
   * notices at the first.
   */
  abandon(): void {
    this.#taker = undefined;
    if ("path" in this.#address) this.#socket.destroy();
    else this.#socket.resetAndDestroy();
  }

  #sendHead(): void {
    if (this.#head === undefined || this.#socket.destroyed) return;
    this.#socket.write(this.#head, "latin1");
    this.#head = undefined;
  }

  #accept(): void {
    if (!this.#accepted) this.#owner.accepted();
    this.#accepted = true;
  }

  #receive(bytes: Buffer): void {
    this.#accept();
    let rest: Buffer | undefined = bytes;
    while (rest !== undefined && rest.length > 0 && !this.#socket.destroyed) rest = this.#take(rest);
  }

  /** Returns the rest. undefined when nothing may follow. */
  #take(bytes: Buffer): Buffer | undefined {
    switch (this.#expected) {
      case "head": {
        const end = this.#endOf(bytes, END_OF_HEAD);
        return end === undefined ? undefined : this.#takeHead(end.text, end.rest);
      }
      case "body":
      case "chunk": {
        const piece = bytes.subarray(0, this.#left);
        this.#left -= piece.length;
        this.#taker?.piece(Buffer.from(piece));
        if (this.#left === 0) {
          if (this.#expected === "body") this.#finish();
          else this.#expected = "end of chunk";
        }
        return bytes.subarray(piece.length);
      }
      case "rest":
        this.#taker?.piece(Buffer.from(bytes));
        return undefined;
      case "chunk size":
      case "end of chunk":
      case "trailers": {
        const end = this.#endOf(bytes, CRLF);
        if (end === undefined) return undefined;
        this.#takeLine(end.text);
        return end.rest;
      }
      case "nothing":
        // No request is under way, so it is unknown what these bytes belong to.
        this.#socket.destroy();
        return undefined;
    }
  }

  /** The text up to the mark, of which a part may have come before, and the bytes after it. undefined while the mark has not come. */
  #endOf(bytes: Buffer, mark: Buffer): { readonly text: string; readonly rest: Buffer } | undefined {
    const all = this.#begun === undefined ? bytes : Buffer.concat([this.#begun, bytes]);
    const at = all.indexOf(mark);
    if (at === -1) {
      if (all.length > MAX_HEAD_BYTES) throw new Error("expected a head of the server of at most 1 MiB");
      this.#begun = this.#begun === undefined ? Buffer.from(all) : all;
      return undefined;
    }
    this.#begun = undefined;
    return { text: all.toString("latin1", 0, at), rest: all.subarray(at + mark.length) };
  }

  #takeHead(text: string, rest: Buffer): Buffer | undefined {
    const [first = "", ...lines] = text.split("\r\n");
    const status = Number(first.slice(9, 12));
    if (!/^HTTP\/1\.[01] \d{3}( |$)/.test(first)) throw new Error(`expected an answer in HTTP/1.1, got ${first}`);
    if (status < 200 && status !== 101) return rest;

    const headers: string[] = [];
    let length: number | undefined;
    let chunked = false;
    this.#keepAlive = true;
    for (const line of lines) {
      const colon = line.indexOf(":");
      const name = line.slice(0, colon);
      const value = line.slice(colon + 1).trim();
      const lower = name.toLowerCase();
      if (lower === "content-length") length = Number(value);
      else if (lower === "transfer-encoding") chunked = value.toLowerCase() === "chunked";
      else if (lower === "connection") this.#keepAlive &&= value.toLowerCase() !== "close";
      if (!ofTheConnection.has(lower)) headers.push(name, value);
    }
    const taker = this.#taker;
    const bodyless = this.#request?.method === "HEAD" || status === 204 || status === 304;
    this.#left = length ?? 0;
    if (status === 101) this.#expected = "rest";
    else if (bodyless) this.#expected = "nothing";
    else if (chunked) this.#expected = "chunk size";
    else if (length === undefined) this.#expected = "rest";
    else this.#expected = length === 0 ? "nothing" : "body";
    taker?.head(status, first.slice(13), headers, this.#expected === "body" ? length : undefined);
    if (this.#expected === "nothing" && this.#taker !== undefined) this.#finish();
    return rest;
  }

  #takeLine(line: string): void {
    if (this.#expected === "end of chunk") {
      this.#expected = "chunk size";
    } else if (this.#expected === "trailers") {
      if (line === "") this.#finish();
    } else {
      if (!/^[0-9a-f]{1,8}($|;)/i.test(line)) throw new Error(`expected the size of a chunk, got ${line}`);
      this.#left = Number.parseInt(line, 16);
      this.#expected = this.#left === 0 ? "trailers" : "chunk";
    }
  }

  /** The answer is complete. */
  #finish(): void {
    const taker = this.#taker;
    this.#taker = undefined;
    const reusable = this.#keepAlive && this.#requestEnded && this.#expected !== "rest";
    this.#expected = "nothing";
    if (reusable) {
      // The taker may have left the connection paused.
      this.#socket.resume();
      this.#owner.idle(this);
    } else {
      this.#socket.destroy();
    }
    taker?.end();
  }

  #breakOff(): void {
    const taker = this.#taker;
    this.#taker = undefined;
    taker?.broken(this.#connected);
  }
}

/** Headers of one connection, not of the message (RFC 9110, section 7.6.1), and one of the front's own connections. */
export const ofTheConnection: ReadonlySet<string> = new Set([
  "connection",
  "keep-alive",
  "proxy-connection",
  "transfer-encoding",
  "upgrade",
  "http2-settings",
  "te",
  "trailer",
  socketProtocol.awakeHeader,
]);

/** A "#" begins no part of an address that is sent: who reads the address would drop the rest. */
const NO_PATH = /[^!"$-~\u0080-\u00ff]/;
/** The host stands before the path in the address that the server reads, so nothing in the host may end it (RFC 3986, section 3.2.2). */
const NO_HOST = /[^!$%&'()*+,\-.0-9:;=A-Z[\]_a-z~]/;
const HOST = "host";

export function isHost(value: string): boolean {
  return !NO_HOST.test(value);
}
const NO_TOKEN = /[^!#$%&'*+\-.^_`|~0-9A-Za-z]/;
const NO_VALUE = /[^\t -~\u0080-\u00ff]/;

/**
 * The head of a request. Undefined when a part contains what it must not: a line end in it would begin another header or request, made by
 * the client.
 */
export function headOf({ method, path, headers, body }: ServerRequest): string | undefined {
  if (method === "" || NO_TOKEN.test(method) || path === "" || NO_PATH.test(path)) return undefined;
  let head = `${method} ${path} HTTP/1.1\r\n`;
  for (let i = 0; i + 1 < headers.length; i += 2) {
    const [name = "", value = ""] = [headers[i], headers[i + 1]];
    if (name === "" || NO_TOKEN.test(name) || NO_VALUE.test(value)) return undefined;
    if (name.length === HOST.length && name.toLowerCase() === HOST && !isHost(value)) return undefined;
    head += `${name}: ${value}\r\n`;
  }
  if (typeof body === "number") head += `Content-Length: ${body}\r\n`;
  else if (body === "chunked") head += "Transfer-Encoding: chunked\r\n";
  else if (body === "upgrade") head += "Connection: Upgrade\r\nUpgrade: websocket\r\n";
  return `${head}\r\n`;
}

/**
 * A socket whose client is refused, or has shown no token yet, is accepted too, because its browser would not get the reason otherwise.
 * `POST /cdb` answers everybody with 200. Such an answer opens no database.
 */
export function touchesNoObject(headers: HeaderPairs): boolean {
  const name = headers.findIndex((header, i) => i % 2 === 0 && header.toLowerCase() === UNTOUCHED.header);
  return name >= 0 && headers[name + 1] === UNTOUCHED.value;
}
