/**
 * HTTP/2 with prior knowledge in front of a server that speaks HTTP/1.1: each stream becomes one request on a kept-alive
 * connection, both bodies streamed, with backpressure both ways. A stream that the client gives up ends its request, and a
 * request that the server breaks off resets its stream: what was sent may have been done, so it is never sent a second time.
 *
 * Clients share the connections behind, so each request must say where its body ends. A content-length may: a stream whose DATA
 * is shorter or longer is reset by the protocol's own rules (RFC 9113, section 8.1.1), and its connection with it. Any other
 * body is chunked, whatever its method.
 */
import {
  Agent,
  request,
  type ClientRequest,
  type IncomingHttpHeaders,
  type IncomingMessage,
  type OutgoingHttpHeaders,
} from "node:http";
import {
  constants,
  performServerHandshake,
  type IncomingHttpHeaders as Http2Headers,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from "node:http2";
import type { Socket } from "node:net";
import type { Readable, Writable } from "node:stream";
import { Guard, type ReportBug } from "./guard.ts";
import type { Places } from "./places.ts";
import { connectRefusal, crowdedRefusal, unavailableRefusal, type Refusal } from "./refusals.ts";

/** Well below the 15 seconds after which workerd closes an idle connection, so that no request meets a closing one. */
const IDLE_CONNECTION_MS = 5000;

/** One client's streams at the same time, its watches among them. */
const MAX_STREAMS = 1000;

/** Uploads need not wait for a window update every 64 KiB. */
const WINDOW_BYTES = 1024 * 1024;

/** The same for the connection, which all its streams share; what a client may have under way unread. */
const CONNECTION_WINDOW_BYTES = 16 * 1024 * 1024;

/** Megabytes of one session's buffers; node's own 10 are passed by a few large reads at once. */
const MAX_SESSION_MEMORY = 256;

/** How long a client may still send after its answer has ended. */
const LINGER_MS = 5000;

/**
 * Headers of one connection, not of the message (RFC 9113, section 8.2.2); `expect`, which the front has answered; and `trailer`:
 * trailers are not passed on, and node throws when a body that is not chunked announces some.
 */
const ofTheConnection = new Set([
  "connection",
  "keep-alive",
  "proxy-connection",
  "transfer-encoding",
  "upgrade",
  "http2-settings",
  "te",
  "trailer",
  "expect",
]);

export class Http2Bridge {
  readonly #port: () => number | undefined;
  readonly #places: Places;
  readonly #report: ReportBug;
  readonly #agent = new Agent({ keepAlive: true, timeout: IDLE_CONNECTION_MS, scheduling: "lifo" });
  readonly #sessions = new Set<ServerHttp2Session>();

  /** `port`: where the server listens now on 127.0.0.1, or undefined while none runs. */
  constructor(port: () => number | undefined, places: Places, report: ReportBug) {
    this.#port = port;
    this.#places = places;
    this.#report = report;
  }

  /** Takes over a connection whose first bytes, still unread, are the HTTP/2 preface. Called by a handler of that connection. */
  accept(socket: Socket): void {
    const session = performServerHandshake(socket, {
      maxSessionMemory: MAX_SESSION_MEMORY,
      settings: { maxConcurrentStreams: MAX_STREAMS, initialWindowSize: WINDOW_BYTES },
    });
    // Destroying a session lets what is queued leave first, and the socket is what must go.
    const guard = new Guard(() => {
      session.destroy();
      socket.destroy();
    }, this.#report);
    // A setting says nothing of the connection's own window, which would stay at 64 KiB.
    session.setLocalWindowSize(CONNECTION_WINDOW_BYTES);
    // HTTP/2 knows no half-closed connection: a client that ends its side is gone.
    guard.once(socket, "end", () => session.destroy());
    this.#sessions.add(session);
    guard.once(session, "close", () => this.#sessions.delete(session));
    // A connection that breaks or breaks the protocol closes the session and each of its streams, which end their requests.
    guard.on(session, "error", () => undefined);
    guard.on(session, "stream", (stream, headers) => this.#forward(guard, stream, headers));
  }

  /** Takes no new streams; those under way may finish. */
  drain(): void {
    for (const session of this.#sessions) session.close();
  }

  destroy(): void {
    for (const session of this.#sessions) session.destroy();
    this.#agent.destroy();
  }

  #forward(guard: Guard, stream: ServerHttp2Stream, headers: Http2Headers): void {
    // What went wrong with a stream is told to its client by the reset itself.
    guard.on(stream, "error", () => undefined);
    // The client may have reset it by now, in the same segment.
    if (isOver(stream)) return;
    const answerBy = (refusal: Refusal): void => refuse(guard, stream, refusal);
    // In any case: node's client sends every method in upper case.
    if (headers[":method"]?.toUpperCase() === "CONNECT") return answerBy(connectRefusal);
    const port = this.#port();
    if (port === undefined) return answerBy(unavailableRefusal);
    if (!this.#places.take(guard, stream)) return answerBy(crowdedRefusal);

    const outgoing = request({
      agent: this.#agent,
      host: "127.0.0.1",
      port,
      method: headers[":method"],
      path: headers[":path"],
      headers: forwardedHeaders(headers, stream.endAfterHeaders),
    });
    let connected = false;
    guard.once(outgoing, "socket", (socket) => {
      if (socket.connecting) guard.once(socket, "connect", () => (connected = true));
      else connected = true;
    });
    guard.on(outgoing, "error", () => {
      // The answer is there, and tells of itself if it breaks off.
      if (stream.headersSent) return;
      // Nothing was sent if there was never a connection; else only a reset is honest.
      if (connected) reset(stream);
      else answerBy(unavailableRefusal);
    });
    guard.once(outgoing, "response", (response) => passBack(guard, response, stream));
    guard.once(stream, "close", () => abandon(outgoing));
    passOn(guard, stream, outgoing);
    // A server may answer and hang up before the client has sent all: the rest is read and dropped.
    guard.once(outgoing, "close", () => stream.resume());
    // By itself node sends the head with the body's first part, which a client may hold back until it has an answer.
    guard.soon(() => {
      if (!outgoing.headersSent && !outgoing.destroyed) outgoing.flushHeaders();
    });
  }
}

/** What `pipe` does, by handlers of our own: what throws inside of node's is in no guard. */
function passOn(guard: Guard, from: Readable, to: Writable): void {
  guard.on(from, "data", (piece: Buffer) => {
    if (!to.destroyed && !to.write(piece)) from.pause();
  });
  guard.on(to, "drain", () => from.resume());
  guard.once(from, "end", () => to.end());
}

/** The client has reset it, or its connection is gone: nothing may be sent on it, though node may not have destroyed it yet. */
function isOver(stream: ServerHttp2Stream): boolean {
  return stream.destroyed || stream.closed;
}

/** Ends a request that is still under way with a reset: of a mere end the server would learn at its second write from now. */
function abandon(outgoing: ClientRequest): void {
  if (!outgoing.closed) outgoing.socket?.resetAndDestroy();
  outgoing.destroy();
}

function passBack(guard: Guard, response: IncomingMessage, stream: ServerHttp2Stream): void {
  guard.on(response, "error", () => reset(stream));
  if (isOver(stream)) return;
  // node answers a request of method HEAD with END_STREAM by itself, and a stream that is over takes no body.
  stream.respond({ ":status": response.statusCode, ...returnedHeaders(response.headers) });
  guard.once(response, "end", () => letGo(guard, stream));
  passOn(guard, response, stream);
}

/** After the answer: HTTP/2 lets a server ask for no more of a request that is answered (RFC 9113, section 8.1). */
function letGo(guard: Guard, stream: ServerHttp2Stream): void {
  const cancel = guard.after(LINGER_MS, () => {
    if (!stream.readableEnded) stream.close(constants.NGHTTP2_NO_ERROR);
  });
  guard.once(stream, "close", cancel);
}

/** `close(code)` would end the stream in good order first, and a cut answer would look like a whole one. */
function reset(stream: ServerHttp2Stream): void {
  stream.destroy(new Error("the server broke off"));
}

function refuse(guard: Guard, stream: ServerHttp2Stream, { status, headers, sentence }: Refusal): void {
  if (isOver(stream) || stream.headersSent) return;
  // node ends the stream itself where the request was a HEAD, and what is written then would be an error.
  stream.respond({ ":status": status, ...headers });
  if (!stream.writableEnded) stream.end(sentence);
  stream.resume();
  letGo(guard, stream);
}

function forwardedHeaders(headers: Http2Headers, withoutBody: boolean): OutgoingHttpHeaders {
  const forwarded: OutgoingHttpHeaders = {};
  for (const [name, value] of Object.entries(headers)) {
    if (name.startsWith(":") || ofTheConnection.has(name)) continue;
    forwarded[name] = value;
  }
  const authority = headers[":authority"];
  if (authority !== undefined) forwarded["host"] = authority;
  // By itself node would send the body of a GET, a HEAD, a DELETE and some others bare.
  if (!withoutBody && headers["content-length"] === undefined) forwarded["transfer-encoding"] = "chunked";
  return forwarded;
}

function returnedHeaders(headers: IncomingHttpHeaders): OutgoingHttpHeaders {
  const returned: OutgoingHttpHeaders = {};
  for (const [name, value] of Object.entries(headers)) if (!ofTheConnection.has(name)) returned[name] = value;
  return returned;
}
