/**
 * HTTP/1.1 clients. node's server parses their requests, and each becomes an exchange. The exchanges of a connection run one after the
 * other: a pipelined request waits for the answers before it.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import { MAX_LINGER_PAUSE_MS, MAX_PIPELINED_REQUESTS, MAX_REQUEST_HEAD_BYTES } from "../../core/limits.ts";
import type { HeaderLookup } from "../../doors/http/header-lookup.ts";
import type { ClientConnection } from "./client-connections.ts";
import type { Client } from "./client.ts";
import { Exchange, type ExchangeParts } from "./exchange.ts";
import { Guard, type ReportBug } from "./guard.ts";
import {
  codingRefusal,
  connectRefusal,
  largeHeadRefusal,
  lateRefusal,
  malformedRefusal,
  wholeAnswer,
  type Refusal,
} from "./refusals.ts";
import { NodeClient } from "./node-client.ts";
import { RequestFacts } from "./request-facts.ts";
import { isHost, ofTheConnection, type BodyKind, type HeaderPairs } from "./server-connection.ts";
import { UpgradeClient } from "./upgrade.ts";

export class Http1Side {
  readonly #parts: ExchangeParts;
  readonly #server: Server;
  readonly #connections = new Map<Duplex, Http1Connection>();

  constructor(parts: ExchangeParts, report: ReportBug) {
    this.#parts = parts;
    this.#server = createServer({
      maxHeaderSize: MAX_REQUEST_HEAD_BYTES,
      // node's time limits are off. The front has its own (client-connections.ts, exchange.ts), which tell a slow client from one that
      // stands still.
      headersTimeout: 0,
      requestTimeout: 0,
      keepAliveTimeout: 0,
      shouldUpgradeCallback: ({ method, headers }) =>
        method === "GET" && headers.upgrade?.toLowerCase() === "websocket",
    });
    // A client that ends its side after its request still gets the answer. This is not among node's options, but has been a property
    // since its first versions.
    Object.assign(this.#server, { httpAllowHalfOpen: true });

    // Each event belongs to a connection, whose own guard is called inside of this one.
    const guard = new Guard(() => undefined, report);
    const of = (socket: Duplex, action: (connection: Http1Connection) => void): void => {
      const connection = this.#connections.get(socket);
      connection?.guard.run(() => action(connection));
    };
    guard.on(this.#server, "request", (request, response) =>
      of(request.socket, (connection) => connection.add(request, response, false)),
    );
    guard.on(this.#server, "checkContinue", (request, response) =>
      of(request.socket, (connection) => connection.add(request, response, true)),
    );
    guard.on(this.#server, "upgrade", (request, socket, head) => {
      if (socket !== undefined && head !== undefined) of(socket, (connection) => connection.addUpgrade(request, head));
    });
    guard.on(this.#server, "connect", (_request, socket) => {
      if (socket !== undefined) of(socket, (connection) => connection.refuse(connectRefusal));
    });
    guard.on(this.#server, "clientError", (error, socket) =>
      of(socket, (connection) =>
        connection.parserFailed(error.code === "HPE_HEADER_OVERFLOW" ? largeHeadRefusal : malformedRefusal),
      ),
    );
  }

  /** Takes over a connection whose first bytes are still unread. */
  accept(client: ClientConnection): void {
    const { socket, guard } = client;
    const connection = new Http1Connection(client, this.#parts);
    this.#connections.set(socket, connection);
    guard.once(socket, "close", () => {
      this.#connections.delete(socket);
      connection.closed();
    });
    this.#server.emit("connection", socket);
  }

  /** Each connection ends when everything under way on it has ended. */
  drain(): void {
    for (const connection of this.#connections.values()) connection.guard.run(() => connection.drain());
  }
}

/** What waits on a connection: requests, and refusals that come after them. */
type Pipelined = () => void;

class Http1Connection {
  readonly #connection: ClientConnection;
  readonly #parts: ExchangeParts;
  #current: Exchange | undefined;
  /** Its body may still be coming. */
  #last: Http1Client | undefined;
  readonly #waiting: Pipelined[] = [];
  #isDraining = false;
  #isRefused = false;

  constructor(connection: ClientConnection, parts: ExchangeParts) {
    this.#connection = connection;
    this.#parts = parts;
    connection.refuseLate = () => this.refuse(lateRefusal);
  }

  get guard(): Guard {
    return this.#connection.guard;
  }

  add(request: IncomingMessage, response: ServerResponse, awaitsContinue: boolean): void {
    if (this.#isRefused) return;
    const client = new Http1Client(this.#connection, request, response, awaitsContinue);
    this.#last = client;
    this.#inTurn(() => {
      if (this.#isDraining) response.shouldKeepAlive = false;
      const exchange = this.#begin(client);
      const finish = (): void => {
        if (response.closed && client.hasWhole) this.#finish(exchange);
      };
      this.guard.once(response, "close", finish);
      if (client.body !== "none" && client.body !== 0) this.guard.once(request, "end", finish);
      exchange.start();
      if (client.cutBy !== undefined) exchange.cutShort(client.cutBy);
    });
  }

  addUpgrade(request: IncomingMessage, head: Buffer): void {
    if (this.#isRefused) return;
    this.#inTurn(() => {
      const client = new UpgradeClient(this.#connection, request, head, headersOf(request), flawOfHost(request));
      // Handlers of the client end with the connection.
      this.#begin(client).start();
    });
  }

  /** The bytes are not HTTP: they belong to the last request, or come after it. */
  parserFailed(refusal: Refusal): void {
    if (this.#isRefused || !this.#connection.socket.writable) return;
    if (this.#last === undefined || this.#last.hasWhole) return this.refuse(refusal);
    this.#isRefused = true;
    this.#last.cutBy = refusal;
    if (this.#waiting.length === 0) this.#current?.cutShort(refusal);
  }

  /** Answers what is no request, after the answers to earlier requests, and ends the connection. */
  refuse(refusal: Refusal): void {
    if (this.#isRefused) return;
    this.#isRefused = true;
    this.#inTurn(() => {
      const { socket, guard } = this.#connection;
      socket.end(wholeAnswer(refusal));
      // The rest that the client is still sending is read: after unread bytes the system resets the connection, and the answer would be
      // lost.
      socket.resume();
      guard.once(socket, "end", () => socket.destroySoon());
      guard.once(
        socket,
        "close",
        guard.after(MAX_LINGER_PAUSE_MS, () => socket.destroy()),
      );
    });
  }

  drain(): void {
    this.#isDraining = true;
    if (this.#current === undefined) this.#connection.socket.destroySoon();
  }

  closed(): void {
    this.#waiting.length = 0;
    if (this.#current !== undefined) this.#finish(this.#current);
  }

  #begin(client: Client): Exchange {
    const exchange = new Exchange(client, this.#parts);
    this.#current = exchange;
    this.#connection.begin();
    return exchange;
  }

  #finish(exchange: Exchange): void {
    if (this.#current !== exchange) return;
    this.#current = undefined;
    exchange.over();
    this.#connection.finish();
    const next = this.#waiting.shift();
    if (next !== undefined) next();
    else if (this.#isDraining || this.#isRefused) this.#connection.socket.destroySoon();
  }

  #inTurn(next: Pipelined): void {
    if (this.#current === undefined) next();
    else if (this.#waiting.length < MAX_PIPELINED_REQUESTS) this.#waiting.push(next);
    else this.#connection.socket.resetAndDestroy();
  }
}

const WEBSOCKET_WANTED = ["Connection", "Upgrade", "Upgrade", "websocket"] as const;

class Http1Client extends NodeClient implements Client {
  readonly connection: ClientConnection;
  readonly method: string;
  readonly path: string;
  readonly facts: RequestFacts;
  readonly body: BodyKind;
  readonly flaw: Refusal | undefined;
  readonly input: IncomingMessage;
  readonly output: ServerResponse;
  /** Why the rest of its body will not come. */
  cutBy: Refusal | undefined;
  readonly #socket: Socket;
  /** The body comes only after the client was told to send it. */
  #awaitsContinue: boolean;
  #endsWithRequest = false;

  constructor(
    connection: ClientConnection,
    request: IncomingMessage,
    response: ServerResponse,
    awaitsContinue: boolean,
  ) {
    super();
    this.connection = connection;
    // A request of a server has both.
    this.method = request.method ?? "";
    this.path = request.url ?? "";
    this.facts = factsOf(request);
    this.body = bodyOf(request);
    const coding = request.headers["transfer-encoding"];
    const isKnown = coding === undefined || coding.toLowerCase() === "chunked";
    this.flaw = isKnown ? flawOfHost(request) : codingRefusal;
    this.input = request;
    this.output = response;
    this.#socket = request.socket;
    this.#awaitsContinue = awaitsContinue;
  }

  get headers(): HeaderPairs {
    return headersOf(this.input);
  }

  get isGone(): boolean {
    return this.#socket.destroyed || this.output.destroyed;
  }

  /** The client has sent all of its request, or nothing more of it is read. */
  get hasWhole(): boolean {
    return this.input.complete || this.#awaitsContinue || this.cutBy !== undefined || this.#socket.destroyed;
  }

  respond(status: number, reason: string, headers: HeaderPairs): void {
    // A client that was not told to send its body may send it or leave it out. So it is unknown what the next bytes are.
    if (this.#awaitsContinue) this.output.shouldKeepAlive = false;
    // Such an answer names the protocol that is wanted (RFC 9110, section 15.5.22). workerd takes the header from the Worker's answers.
    const wanted = status === 426 && this.output.shouldKeepAlive ? WEBSOCKET_WANTED : [];
    this.output.writeHead(status, reason, [...headers, ...wanted]);
  }

  goOn(): void {
    if (!this.#awaitsContinue) return;
    this.#awaitsContinue = false;
    this.output.writeContinue();
  }

  /**
   * node closes such a connection together with its answer. While the request is still coming, that would be a reset, and the answer
   * would be lost.
   */
  end(last?: Uint8Array): void {
    if (this.output.shouldKeepAlive || this.hasWhole) {
      if (last === undefined) this.output.end();
      else this.output.end(last);
    } else if (!this.#endsWithRequest) {
      this.#endsWithRequest = true;
      if (last !== undefined) this.output.write(last);
      this.connection.guard.once(this.input, "end", () => this.output.end());
    }
  }

  breakOff(): void {
    this.#socket.resetAndDestroy();
  }

  letGo(): void {
    this.#socket.destroySoon();
  }

  turnAway(): void {
    this.#socket.resetAndDestroy();
  }
}

/** node takes a request with several hosts, and leaves it open which of them counts. RFC 9112, section 3.2, refuses it. */
function flawOfHost({ rawHeaders }: IncomingMessage): Refusal | undefined {
  let hosts = 0;
  for (let i = 0; i + 1 < rawHeaders.length; i += 2) {
    const name = rawHeaders[i];
    if (name?.length !== 4 || name.toLowerCase() !== "host") continue;
    hosts += 1;
    if (hosts > 1 || !isHost(rawHeaders[i + 1] ?? "")) return malformedRefusal;
  }
  return undefined;
}

function bodyOf({ headers }: IncomingMessage): BodyKind {
  if (headers["transfer-encoding"] !== undefined) return "chunked";
  const length = headers["content-length"];
  return length === undefined ? "none" : Number(length);
}

function factsOf(request: IncomingMessage): RequestFacts {
  return new RequestFacts({
    method: request.method ?? "",
    path: request.url ?? "",
    fields: fieldsOf(request),
    isAuthorized: request.headers.authorization !== undefined,
  });
}

/** All values of a name, also where node keeps only the first. */
function fieldsOf({ rawHeaders }: IncomingMessage): HeaderLookup {
  return {
    get(name) {
      let values: string | null = null;
      for (let i = 0; i + 1 < rawHeaders.length; i += 2) {
        const each = rawHeaders[i];
        if (each?.length !== name.length || each.toLowerCase() !== name) continue;
        values = values === null ? (rawHeaders[i + 1] ?? "") : `${values}, ${rawHeaders[i + 1] ?? ""}`;
      }
      return values;
    },
  };
}

/**
 * The headers without those of the connection and of the body's framing, and without those that the client names as such (RFC 9110,
 * section 7.6.1).
 */
function headersOf({ rawHeaders, headers }: IncomingMessage): HeaderPairs {
  const connection = headers.connection?.toLowerCase();
  const named = connection === undefined || connection === "keep-alive" || connection === "close" ? "" : connection;
  const ofThisConnection = new Set(named.split(",").map((name) => name.trim()));
  const pairs: string[] = [];
  for (let i = 0; i + 1 < rawHeaders.length; i += 2) {
    const [name = "", value = ""] = [rawHeaders[i], rawHeaders[i + 1]];
    const lower = name.toLowerCase();
    if (ofTheConnection.has(lower) || lower === "content-length" || lower === "expect") continue;
    if (ofThisConnection.has(lower) && lower !== "host") continue;
    pairs.push(name, value);
  }
  if (headers.host === undefined) pairs.push("Host", "localhost");
  return pairs;
}
