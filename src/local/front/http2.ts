/** HTTP/2 clients with prior knowledge, as Deno's client: each stream becomes an exchange. */
import { MAX_CROWDED_PAUSE_MS } from "../../core/limits.ts";
import type { ClientConnection } from "./client-connections.ts";
import type { AnswerHead, Client } from "./client.ts";
import { httpDate } from "./clock.ts";
import { Exchange, type ExchangeParts } from "./exchange.ts";
import { encodeHead, withLength } from "./http2/hpack.ts";
import { Http2Connection } from "./http2/connection.ts";
import { ErrorCode } from "./http2/protocol.ts";
import { Turns } from "./http2/turns.ts";
import type { Http2Stream, StreamHandler } from "./http2/stream.ts";
import { largeHeadRefusal, type Refusal } from "./refusals.ts";
import type { RequestFacts } from "./request-facts.ts";
import type { BodyKind, HeaderPairs } from "./server-connection.ts";

export class Http2Side {
  readonly #parts: ExchangeParts;
  readonly #untakenBytes: number;
  readonly #connections = new Set<Http2Connection>();
  readonly #turns = new Turns();

  /** `untakenBytes`: how many bytes may wait in the sockets of all connections. */
  constructor(parts: ExchangeParts, untakenBytes: number) {
    this.#parts = parts;
    this.#untakenBytes = untakenBytes;
  }

  /** Takes over a connection whose first bytes, still unread, are the HTTP/2 preface. */
  accept(client: ClientConnection): void {
    const { socket, guard } = client;
    const opened = (stream: Http2Stream): void => this.#open(client, stream);
    const connection = new Http2Connection({ socket, guard, turns: this.#turns, opened });
    client.awaitsHead = false;
    client.end = () => connection.end();
    this.#connections.add(connection);
    guard.once(socket, "close", () => this.#connections.delete(connection));
  }

  /** Takes no new streams. Those under way may finish. */
  drain(): void {
    for (const connection of this.#connections) connection.drain();
  }

  /** To be called every second or so. */
  check(elapsedMs: number): void {
    for (const connection of this.#connections) connection.check(elapsedMs);
    limitUntaken(this.#connections, this.#untakenBytes);
  }

  #open(connection: ClientConnection, stream: Http2Stream): void {
    const client = new Http2Client(connection, stream);
    const exchange = new Exchange(client, this.#parts);
    connection.begin();
    client.exchange = exchange;
    exchange.start();
  }
}

/**
 * What has left its stream is no part of an exchange any more, and it may wait for a client, too. Beyond this many bytes those connections
 * end that have taken nothing for longest.
 */
export function limitUntaken(connections: Iterable<Http2Connection>, bytes: number): void {
  const waiting = [...connections].filter(({ untaken }) => untaken > 0);
  let all = waiting.reduce((sum, { untaken }) => sum + untaken, 0);
  if (all <= bytes) return;
  const stalled = waiting.filter(({ untakenMs }) => untakenMs > MAX_CROWDED_PAUSE_MS);
  for (const connection of stalled.toSorted((a, b) => b.untakenMs - a.untakenMs)) {
    if (all <= bytes) return;
    all -= connection.untaken;
    connection.end();
  }
}

/** The last answer's header block without its length: most answers begin like the one before. */
let begun: { readonly head: AnswerHead; readonly date: string; readonly block: Buffer } | undefined;

function blockOf(head: AnswerHead, length: number): Buffer {
  const date = httpDate();
  if (begun?.head !== head || begun.date !== date)
    begun = { head, date, block: encodeHead(head.status, [...head.pairs, "date", date]) };
  return withLength(begun.block, length);
}

class Http2Client implements Client, StreamHandler {
  readonly connection: ClientConnection;
  readonly method: string;
  readonly path: string;
  readonly facts: RequestFacts;
  readonly body: BodyKind;
  readonly flaw: Refusal | undefined;
  readonly input: Http2Stream;
  readonly output: Http2Stream;
  /** Of this request. Set before anything is read. */
  exchange: Exchange | undefined;
  #awaitsContinue: boolean;

  constructor(connection: ClientConnection, stream: Http2Stream) {
    const { head } = stream;
    this.connection = connection;
    this.method = head.method;
    this.path = head.path;
    this.facts = head.facts;
    this.body = stream.body;
    this.flaw = head.isTooLarge ? largeHeadRefusal : undefined;
    this.input = stream;
    this.output = stream;
    stream.handler = this;
    this.#awaitsContinue = head.awaitsContinue;
  }

  get headers(): HeaderPairs {
    return this.input.head.headers;
  }

  get isGone(): boolean {
    return this.output.isClosed;
  }

  read(): void {
    // The exchange is told by the stream.
  }

  tellTaken(): void {
    // The same.
  }

  // What happens on a stream may be caused by another connection, or by one to the server, which must not end for it.

  received(piece: Buffer): void {
    this.connection.guard.run(() => this.exchange?.received(piece));
  }

  receivedAll(): void {
    this.connection.guard.run(() => this.exchange?.receivedAll());
  }

  taken(): void {
    this.connection.guard.run(() => this.exchange?.taken());
  }

  closed(): void {
    this.connection.guard.run(() => {
      this.exchange?.over();
      this.connection.finish();
    });
  }

  answer(head: AnswerHead, body: Uint8Array): void {
    this.output.respondWith(blockOf(head, body.length));
    this.output.end(body);
  }

  respond(status: number, _reason: string, pairs: HeaderPairs): void {
    const headers: string[] = [];
    let hasDate = false;
    for (let i = 0; i + 1 < pairs.length; i += 2) {
      const [name = "", value = ""] = [pairs[i]?.toLowerCase(), pairs[i + 1]];
      hasDate ||= name === "date";
      headers.push(name, value);
    }
    if (!hasDate) headers.push("date", httpDate());
    this.output.respond(status, headers);
  }

  goOn(): void {
    if (!this.#awaitsContinue) return;
    this.#awaitsContinue = false;
    this.output.respond(100, []);
  }

  end(): void {
    this.output.end();
  }

  breakOff(): void {
    this.output.breakOff(ErrorCode.internalError);
  }

  letGo(): void {
    this.output.letGo();
  }

  /** The client may send the request again, because nothing was done (RFC 9113, section 8.7). */
  turnAway(): void {
    this.output.breakOff(ErrorCode.refusedStream);
  }
}
