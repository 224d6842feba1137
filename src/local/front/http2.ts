/** HTTP/2 clients with prior knowledge, as Deno's client: each stream becomes an exchange. */
import {
  constants,
  performServerHandshake,
  type IncomingHttpHeaders,
  type OutgoingHttpHeaders,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from "node:http2";
import { MAX_STREAMS_OF_CONNECTION } from "../../core/limits.ts";
import type { HeaderLookup } from "../../doors/http/header-lookup.ts";
import type { ClientConnection } from "./client-connections.ts";
import type { Client } from "./client.ts";
import { Exchange, type ExchangeParts } from "./exchange.ts";
import { ofTheConnection, type BodyKind, type HeaderPairs } from "./server-connection.ts";

/** The window of a stream. With this size, uploads need not wait for a window update every 64 KiB. */
const WINDOW_BYTES = 1024 * 1024;

/** The window of a connection, which all its streams share: how much a client may send before it is read. */
const CONNECTION_WINDOW_BYTES = 16 * 1024 * 1024;

/** Megabytes of one session's buffers. A few large reads at once exceed node's default of 10. */
const MAX_SESSION_MEMORY = 256;

/** How many streams of one connection may find no room within a second. Each leaves a frame behind that its client may never take. */
const MAX_TURNED_AWAY = 1000;

export class Http2Side {
  readonly #parts: ExchangeParts;
  readonly #sessions = new Map<ServerHttp2Session, Http2Connection>();

  constructor(parts: ExchangeParts) {
    this.#parts = parts;
  }

  /** Takes over a connection whose first bytes, still unread, are the HTTP/2 preface. */
  accept(connection: ClientConnection): void {
    const { socket, guard } = connection;
    const session = performServerHandshake(socket, {
      maxSessionMemory: MAX_SESSION_MEMORY,
      settings: { maxConcurrentStreams: MAX_STREAMS_OF_CONNECTION, initialWindowSize: WINDOW_BYTES },
    });
    // The setting does not change the connection's own window, which would stay at 64 KiB.
    session.setLocalWindowSize(CONNECTION_WINDOW_BYTES);
    // HTTP/2 has no half-closed connections: a client that ends its side is gone.
    guard.once(socket, "end", () => session.destroy());
    const held = new Http2Connection(connection, session, this.#parts);
    this.#sessions.set(session, held);
    guard.once(session, "close", () => this.#sessions.delete(session));
    // When a connection breaks, or breaks the protocol, the session and all its streams close, and their requests end.
    guard.on(session, "error", () => undefined);
    guard.on(session, "stream", (stream, headers) => held.add(stream, headers));
  }

  /** Takes no new streams. Those under way may finish. */
  drain(): void {
    for (const session of this.#sessions.keys()) session.close();
  }

  /** To be called every second. */
  check(): void {
    for (const held of this.#sessions.values()) held.turnedAway = 0;
  }
}

class Http2Connection {
  /** Streams that found no room within this second. */
  turnedAway = 0;
  readonly #connection: ClientConnection;
  readonly #session: ServerHttp2Session;
  readonly #parts: ExchangeParts;

  constructor(connection: ClientConnection, session: ServerHttp2Session, parts: ExchangeParts) {
    this.#connection = connection;
    this.#session = session;
    this.#parts = parts;
    connection.awaitsHead = false;
    connection.end = () => {
      if (session.destroyed) return;
      // Tells the client that requests without an answer were not carried out.
      session.goaway(constants.NGHTTP2_NO_ERROR);
      session.destroy();
    };
  }

  add(stream: ServerHttp2Stream, headers: IncomingHttpHeaders): void {
    const { guard } = this.#connection;
    // The reset itself tells the client that something went wrong with the stream.
    guard.on(stream, "error", () => undefined);
    const client = new Http2Client(this.#connection, stream, headers, () => this.#turnAway(stream));
    // The client may already have reset the stream, in the same segment.
    if (client.isGone) return;
    const exchange = new Exchange(client, this.#parts);
    this.#connection.begin();
    guard.once(stream, "close", () => {
      exchange.over();
      this.#connection.finish();
    });
    exchange.start();
    // A request without a body also has an end that must be read.
    if (client.body === "none" || client.body === 0) stream.resume();
  }

  #turnAway(stream: ServerHttp2Stream): void {
    this.turnedAway += 1;
    if (this.turnedAway > MAX_TURNED_AWAY) this.#session.destroy();
    // The client may send the request again, because nothing was done (RFC 9113, section 8.7).
    else stream.close(constants.NGHTTP2_REFUSED_STREAM);
  }
}

class Http2Client implements Client {
  readonly connection: ClientConnection;
  readonly method: string;
  readonly path: string;
  readonly fields: HeaderLookup;
  readonly body: BodyKind;
  readonly isAuthorized: boolean;
  readonly flaw = undefined;
  readonly input: ServerHttp2Stream;
  readonly output: ServerHttp2Stream;
  readonly turnAway: () => void;
  readonly #headers: IncomingHttpHeaders;
  #awaitsContinue: boolean;

  constructor(
    connection: ClientConnection,
    stream: ServerHttp2Stream,
    headers: IncomingHttpHeaders,
    turnAway: () => void,
  ) {
    this.connection = connection;
    this.method = headers[":method"] ?? "";
    this.path = headers[":path"] ?? "";
    this.#headers = headers;
    this.fields = { get: (name) => fieldOf(headers, name) };
    this.body = bodyOf(stream, headers);
    this.isAuthorized = headers.authorization !== undefined;
    this.input = stream;
    this.output = stream;
    this.turnAway = turnAway;
    this.#awaitsContinue = headers.expect?.toLowerCase() === "100-continue";
  }

  get headers(): HeaderPairs {
    return pairsOf(this.#headers);
  }

  /** The stream was reset, or its connection is gone. Nothing may be sent on it, although node may not have destroyed it yet. */
  get isGone(): boolean {
    return this.output.destroyed || this.output.closed;
  }

  respond(status: number, _reason: string, pairs: HeaderPairs): void {
    const headers: OutgoingHttpHeaders = { ":status": status };
    for (let i = 0; i + 1 < pairs.length; i += 2) {
      const [name = "", value = ""] = [pairs[i]?.toLowerCase(), pairs[i + 1]];
      const before = headers[name];
      if (before === undefined) headers[name] = value;
      else headers[name] = [...(Array.isArray(before) ? before : [String(before)]), value];
    }
    // node itself ends the answer to a HEAD, and a stream that has ended takes no body.
    this.output.respond(headers);
  }

  goOn(): void {
    if (!this.#awaitsContinue || this.isGone) return;
    this.#awaitsContinue = false;
    this.output.additionalHeaders({ ":status": 100 });
  }

  end(last?: Uint8Array): void {
    if (this.output.writableEnded) return;
    if (last === undefined) this.output.end();
    else this.output.end(last);
  }

  /** `close(code)` would first end the stream regularly, and a cut answer would look like a complete one. */
  breakOff(): void {
    this.output.destroy(new Error("the answer breaks off"));
  }

  /** HTTP/2 lets a server ask for no more of a request that it has answered (RFC 9113, section 8.1). */
  letGo(): void {
    this.output.close(constants.NGHTTP2_NO_ERROR);
  }
}

/** A content-length is reliable: a stream with less or more DATA is reset by the rules of the protocol (RFC 9113, section 8.1.1). */
function bodyOf(stream: ServerHttp2Stream, headers: IncomingHttpHeaders): BodyKind {
  if (stream.endAfterHeaders) return "none";
  const length = headers["content-length"];
  return length === undefined ? "chunked" : Number(length);
}

function fieldOf(headers: IncomingHttpHeaders, name: string): string | null {
  const value = headers[name];
  if (value === undefined) return null;
  return typeof value === "string" ? value : value.join(", ");
}

/** The headers without those of the connection. `:authority` becomes the host. */
function pairsOf(headers: IncomingHttpHeaders): HeaderPairs {
  const pairs: string[] = ["host", headers[":authority"] ?? headers.host ?? "localhost"];
  for (const name in headers) {
    if (name.startsWith(":") || name === "host" || name === "content-length" || name === "expect") continue;
    if (ofTheConnection.has(name)) continue;
    const value = headers[name];
    if (typeof value === "string") pairs.push(name, value);
    else for (const each of value ?? []) pairs.push(name, each);
  }
  return pairs;
}
