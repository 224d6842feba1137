/**
 * One request of a client and its answer, over either protocol. It is passed on to the server process. Both bodies are streamed, with
 * backpressure in both directions. A client that goes away ends its request. When the server breaks off, the answer to the client breaks
 * off too, because a request that was sent may have been carried out.
 *
 * Whatever waits for its client has an end (`check`). When places run short, it makes room for others before that (`Exchanges`).
 */
import {
  HANDSHAKE_TURN_MS,
  LEAVING_TURN_MS,
  MAX_ANSWER_PAUSE_MS,
  MAX_CROWDED_PAUSE_MS,
  MAX_DISCARDED_BODY_BYTES,
  MAX_LINGER_MS,
  MAX_LINGER_PAUSE_MS,
  MAX_REQUEST_PAUSE_MS,
  MAX_SESSION_ANSWER_BYTES,
  MAX_UNCOUNTED_BODY_BYTES,
  MAX_STREAMED_REQUEST_BYTES,
  PIECES_PER_REQUEST,
  REQUEST_BYTES_STEP,
} from "../../core/limits.ts";
import type { AnswerHead, Client, ClientReader, ServerProcess } from "./client.ts";
import { withAddress } from "./client-address.ts";
import { Arrears } from "./arrears.ts";
import type { ClientConnection } from "./client-connections.ts";
import { SessionRequest, type DataPath, type SessionTaker, type SmallRequest } from "./data-path.ts";
import type { Exchanges, PlaceHolder } from "./exchanges.ts";
import type { FairTurns, Turn } from "../fair-turns.ts";
import { isStreamed, lasts } from "./long-requests.ts";
import type { OpenDatabases, Use } from "./open-databases.ts";
import type { Places } from "./places.ts";
import { PassedSocket } from "./passed-socket.ts";
import type { PassedPiece, ServerPace } from "./server-pace.ts";
import {
  connectRefusal,
  crowdedRefusal,
  lateRefusal,
  manyDatabasesRefusal,
  malformedRefusal,
  unavailableRefusal,
  type Refusal,
} from "./refusals.ts";
import {
  headOf,
  type AnswerTaker,
  type HeaderPairs,
  type RequestSink,
  type ServerConnections,
  touchesNoObject,
} from "./server-connection.ts";

export interface ExchangeParts {
  /** The running server process. undefined while there is none. */
  readonly server: () => ServerProcess | undefined;
  readonly databases: OpenDatabases;
  readonly servers: ServerConnections;
  readonly exchanges: Exchanges;
  readonly turns: FairTurns;
  readonly pace: ServerPace;
  readonly dataPath: DataPath;
}

interface Held {
  readonly places: Places;
  readonly count: number;
}

export class Exchange implements AnswerTaker, ClientReader, SessionTaker, PlaceHolder {
  readonly #client: Client;
  readonly #parts: ExchangeParts;
  readonly #held: Held[] = [];
  #server: RequestSink | undefined;
  #use: Use | undefined;
  #requestEnded: boolean;
  #inputPaused = false;
  #answered = false;
  #answerEnded = false;
  readonly #sending = new Arrears();
  readonly #taking = new Arrears();
  #lingeredMs = 0;
  #received = 0;
  /** How many bytes had been received when the answer ended. */
  #receivedByThen = 0;
  /** Bytes of the request that are counted. */
  #counted = REQUEST_BYTES_STEP;
  /** The turn in which the request goes to the server: of a WebSocket's handshake until it is answered, of others while they wait for it. */
  #turn: Turn | undefined;
  /** Tells that the server has read the request. */
  #read: () => void = () => undefined;
  #isReading = false;
  /** Whether the server was told that the client of a WebSocket sends no more. */
  #leaving: "not" | "in turn" | "told" = "not";
  #isOver = false;
  /** Once the server has switched to it. */
  #socket: PassedSocket | undefined;
  #written = 0;
  /** Bytes of the whole answer, if its length is known. */
  #announced = 0;

  constructor(client: Client, parts: ExchangeParts) {
    this.#client = client;
    this.#parts = parts;
    // Over HTTP/2 a request may have the length 0 and go on, so its end has to come too.
    this.#requestEnded = client.body === "none";
  }

  get peer(): string {
    return this.#client.connection.peer;
  }

  get connection(): ClientConnection {
    return this.#client.connection;
  }

  /** Whether the server is working on the request. */
  get isAtServer(): boolean {
    return this.#server !== undefined;
  }

  holds(places: Places): boolean {
    return this.#held.some((held) => held.places === places);
  }

  start(): void {
    const { exchanges } = this.#parts;
    exchanges.add(this);
    if (!this.#take(exchanges.places.clients)) return this.#client.turnAway();
    const refusal = this.#forward();
    if (refusal !== undefined) this.#refuse(refusal);
  }

  /** The client has its answer and has sent its request, or it is gone. Nothing happens afterwards. */
  over(): void {
    this.#isOver = true;
    if (this.#socket !== undefined && this.#server !== undefined) this.#leaveInTurn();
    else this.#giveBackAll();
    this.#use?.answered(undefined);
    this.#use = undefined;
    this.#parts.exchanges.delete(this);
  }

  /** Bytes of the answer that wait for the client, as far as they are known. 0 when the client has taken all that came. */
  get untaken(): number {
    const waiting = this.#client.output.writableLength;
    return waiting === 0 ? 0 : Math.max(waiting, this.#announced - this.#written + waiting);
  }

  /** Ends the request of a client that keeps others waiting. */
  giveUp(): void {
    this.#giveBackAll();
    this.#client.breakOff();
  }

  /** Ends a request whose rest will not come. */
  cutShort(refusal: Refusal): void {
    this.#server?.abandon();
    this.#server = undefined;
    if (this.#answered) this.giveUp();
    else this.#refuse(refusal);
  }

  /**
   * Ends the request when its client has kept it waiting for too long. To be called every second or so. Returns whether it should make
   * room for others.
   */
  check(elapsedMs: number): boolean {
    const waiting = this.#client.output.writableLength;
    if (waiting > 0) this.#taking.wait(elapsedMs, this.#written - waiting);
    else this.#taking.settle(this.#written);
    if (this.#requestEnded) this.#sending.settle(0);
    else if (!this.#inputPaused && (this.#client.body !== "upgrade" || this.#answerEnded))
      this.#sending.wait(elapsedMs, this.#received);
    // A WebSocket that the server has closed ends when the client has taken that. No client needs long to answer it.
    const isClosed = this.#socket?.isClosed === true && waiting === 0;
    const isLingering = (this.#answerEnded && !this.#requestEnded) || isClosed;
    const isStalled = isLingering || Math.max(this.#taking.crowdedMs, this.#sending.crowdedMs) > MAX_CROWDED_PAUSE_MS;

    if (this.#taking.ms > MAX_ANSWER_PAUSE_MS) this.giveUp();
    else if (isClosed) this.#awaitClose(elapsedMs);
    else if (isLingering) this.#linger(elapsedMs);
    else if (this.#sending.ms > MAX_REQUEST_PAUSE_MS) this.cutShort(lateRefusal);
    // What waits here until the server reads on is in memory, too.
    else if (this.#inputPaused && !this.#countReceived()) this.cutShort(crowdedRefusal);
    return isStalled;
  }

  /** Passes the request on. Returns why it was not passed on. */
  #forward(): Refusal | undefined {
    const { server, databases, dataPath } = this.#parts;
    const { method, flaw } = this.#client;
    if (method.toUpperCase() === "CONNECT") return connectRefusal;
    if (flaw !== undefined) return flaw;
    const running = server();
    if (running === undefined) return unavailableRefusal;
    const small = dataPath.smallRequest(this.#client);
    const way = small && dataPath.way(small, running);
    if (way !== undefined && "status" in way) return way;
    const use = databases.use(this.#client.facts.opens, this.peer);
    if (use === undefined) return manyDatabasesRefusal;
    this.#use = use;
    if (small !== undefined && way !== undefined && this.#hasRoomFor(small)) {
      this.#server = new SessionRequest(small, way, this);
      this.#client.goOn();
      if (this.#requestEnded) this.#server.end();
      else this.#readRequest();
      return undefined;
    }
    return this.#client.body === "upgrade" ? this.#handshakeInTurn() : this.#longWayInTurn();
  }

  /** Sends the request to the Worker when its turn has come. Until then its client is not asked for its body. */
  #longWayInTurn(): Refusal | undefined {
    const { pace, server } = this.#parts;
    const { connection } = this.#client;
    const head = headOf(withAddress(this.#client));
    if (head === undefined) return malformedRefusal;
    const refusal = this.#takePlaces();
    if (refusal !== undefined) return refusal;
    let isBegun = false;
    this.#inputPaused = true;
    const begin = connection.guard.wrap(({ weigh, read }: PassedPiece) => {
      isBegun = true;
      this.#turn = undefined;
      this.#inputPaused = false;
      weigh(PIECES_PER_REQUEST);
      this.#read = read;
      const running = server();
      if (running === undefined) return this.#refuse(unavailableRefusal);
      this.#send(running, head);
      if (!this.#requestEnded) this.#readRequest();
    });
    const turn = pace.enter(connection, begin);
    if (!isBegun) this.#turn = turn;
    return undefined;
  }

  /** Sends the request to the Worker. */
  #longWay(running: ServerProcess): RequestSink | Refusal {
    const head = headOf(withAddress(this.#client));
    if (head === undefined) return malformedRefusal;
    return this.#takePlaces() ?? this.#send(running, head);
  }

  /** Sends the handshake of a WebSocket to the Worker when its turn has come. */
  #handshakeInTurn(): Refusal | undefined {
    const { turns, server } = this.#parts;
    const { guard } = this.#client.connection;
    const head = headOf(this.#client);
    if (head === undefined) return malformedRefusal;
    const refusal = this.#takePlaces();
    if (refusal !== undefined) return refusal;
    const begin = guard.wrap(() => {
      // A handshake that takes long gives up its turn.
      guard.after(HANDSHAKE_TURN_MS, () => this.#turn?.over());
      const running = server();
      if (running === undefined) this.#refuse(unavailableRefusal);
      else this.#send(running, head);
    });
    this.#turn = turns.enter(this.#pathOfTurns, begin);
    return undefined;
  }

  /** Tells the server in turn that the client of a WebSocket sends no more, or is gone. */
  #leaveInTurn(): void {
    if (this.#leaving === "told" && this.#isOver) this.#giveBackAll();
    if (this.#leaving !== "not") return;
    this.#leaving = "in turn";
    const { guard } = this.#client.connection;
    const begin = guard.wrap(() => {
      this.#leaving = "told";
      guard.after(LEAVING_TURN_MS, () => turn.over());
      if (this.#isOver) this.#giveBackAll();
      else this.#server?.end();
    });
    const turn = this.#parts.turns.enter(this.#pathOfTurns, begin);
  }

  get #pathOfTurns(): string {
    return this.#client.path.split("?", 1)[0] ?? "";
  }

  /** Returns the refusal if there is no place. */
  #takePlaces(): Refusal | undefined {
    const { exchanges } = this.#parts;
    const { path, body } = this.#client;
    const { requests, lasting } = exchanges.places;
    if (lasts(path, body === "upgrade") && !this.#take(lasting)) return crowdedRefusal;
    return this.#take(requests) ? undefined : crowdedRefusal;
  }

  #send({ address }: ServerProcess, head: string): RequestSink {
    const sink = this.#parts.servers.request(address, head, this.#client, this);
    this.#server = sink;
    this.#client.goOn();
    this.#client.tellTaken(this);
    return sink;
  }

  /**
   * Whether the front can hold the request, and an answer of the greatest size. Nobody makes room for it, because the request can also be
   * sent to the Worker.
   */
  #hasRoomFor({ head: { type }, bytes }: SmallRequest): boolean {
    const { requestBytes, answerBytes } = this.#parts.exchanges.places;
    return (
      (bytes <= MAX_UNCOUNTED_BODY_BYTES || this.#takeFree(requestBytes, bytes)) &&
      (type === "write" || this.#takeFree(answerBytes, MAX_SESSION_ANSWER_BYTES))
    );
  }

  #takeFree(places: Places, count: number): boolean {
    if (places.take(this.peer, count) !== "taken") return false;
    this.#held.push({ places, count });
    return true;
  }

  #readRequest(): void {
    if (!this.#isReading) this.#client.read(this);
    this.#isReading = true;
    this.#client.input.resume();
  }

  received(piece: Buffer): void {
    this.#received += piece.length;
    // After the answer the rest of a request is read and dropped.
    if (this.#server === undefined || piece.length === 0) return;
    if (this.#socket !== undefined) return this.#socket.receive(piece);
    if (!this.#countReceived()) return this.cutShort(crowdedRefusal);
    if (this.#server.write(piece)) return;
    this.#inputPaused = true;
    this.#client.input.pause();
  }

  receivedAll(): void {
    this.#requestEnded = true;
    if (this.#socket === undefined) this.#server?.end();
    else this.#leaveInTurn();
  }

  taken(): void {
    this.#server?.resume();
  }

  #sendOfSocket(piece: Buffer): boolean {
    if (!this.#countReceived()) {
      this.cutShort(crowdedRefusal);
      return false;
    }
    const isTaken = this.#server?.write(piece) ?? false;
    this.#endIfClosed();
    return isTaken;
  }

  /**
   * Ends a WebSocket that both sides have closed. workerd keeps the connection of one that its object has closed when the client had sent
   * nothing before. The client would wait, because the server ends the connection first (RFC 6455, section 7.1.1).
   */
  #endIfClosed(): void {
    if (this.#socket?.isOver !== true || this.#server === undefined) return;
    this.#server.abandon();
    this.end();
  }

  /** Whether there is room for what the server may hold of the request by now; of a WebSocket, that is the message that has not ended. */
  #countReceived(): boolean {
    const { requestBytes } = this.#parts.exchanges.places;
    const mayHold = this.#socket === undefined ? this.#heldOfRequest() : this.#socket.unfinished;
    while (mayHold > this.#counted) {
      if (!this.#take(requestBytes, REQUEST_BYTES_STEP)) return false;
      this.#counted += REQUEST_BYTES_STEP;
    }
    while (this.#socket !== undefined && this.#counted - REQUEST_BYTES_STEP >= Math.max(mayHold, REQUEST_BYTES_STEP)) {
      const at = this.#held.findLastIndex(({ places }) => places === requestBytes);
      if (at === -1) break;
      this.#held.splice(at, 1);
      requestBytes.giveBack(this.peer, REQUEST_BYTES_STEP);
      this.#counted -= REQUEST_BYTES_STEP;
    }
    return true;
  }

  #heldOfRequest(): number {
    const { path, input } = this.#client;
    const bytes = this.#received + input.readableLength;
    return isStreamed(path) ? Math.min(bytes, MAX_STREAMED_REQUEST_BYTES) : bytes;
  }

  head(status: number, reason: string, headers: HeaderPairs, length: number | undefined): void {
    this.#turn?.over();
    this.#read();
    this.#announced = length ?? 0;
    this.#use?.answered(touchesNoObject(headers) ? 401 : status);
    this.#use = undefined;
    if (this.#client.isGone) return;
    this.#answered = true;
    this.#client.respond(status, reason, headers);
    if (status !== 101) return;
    const { input, connection } = this.#client;
    const send = (piece: Buffer): boolean => this.#sendOfSocket(piece);
    const { pace } = this.#parts;
    this.#socket = new PassedSocket({ path: this.#pathOfTurns, pace, guard: connection.guard, input, send });
    this.#readRequest();
  }

  answered(body: Uint8Array, head: AnswerHead): void {
    this.#server = undefined;
    this.#use?.answered(head.status);
    this.#use = undefined;
    this.#keepOfAnswer(body.length);
    if (this.#client.isGone) return;
    this.#answered = true;
    this.#written = body.length;
    this.#endAnswer();
    this.#client.answer(head, body);
    this.#readRest();
  }

  refused(refusal: Refusal): void {
    this.#server = undefined;
    this.#use?.answered(refusal.status);
    this.#use = undefined;
    this.#refuse(refusal);
  }

  unanswered(body: Buffer): void {
    this.#server = undefined;
    this.#keepOfAnswer(0);
    const running = this.#parts.server();
    const sink = running === undefined ? unavailableRefusal : this.#longWay(running);
    if ("status" in sink) return this.#refuse(sink);
    if (body.length === 0) return;
    sink.write(body);
    sink.end();
  }

  piece(bytes: Buffer): void {
    if (this.#client.isGone) return;
    this.#written += bytes.length;
    this.#socket?.answered(bytes);
    if (!this.#client.output.write(bytes)) this.#server?.pause();
    this.#endIfClosed();
  }

  end(): void {
    this.#server = undefined;
    this.#giveBack();
    this.#finish();
  }

  drain(): void {
    this.#inputPaused = false;
    if (this.#socket === undefined) this.#client.input.resume();
    else this.#socket.drained();
  }

  broken(sent: boolean): void {
    this.#server = undefined;
    this.#giveBack();
    // Without a connection nothing was sent. Otherwise only breaking off tells the client the truth.
    if (sent || this.#answered) this.#client.breakOff();
    else this.#refuse(unavailableRefusal);
  }

  /** Whether there was a place, or a client that kept others waiting could make room. */
  #take(places: Places, count = 1): boolean {
    if (!this.#parts.exchanges.take(places, this.peer, count)) return false;
    this.#held.push({ places, count });
    return true;
  }

  /** The server has done its part. The client's place at the front stays taken until the client has done its part. */
  #giveBack(): void {
    this.#turn?.over();
    const { clients, answerBytes } = this.#parts.exchanges.places;
    for (const held of this.#held.splice(0)) {
      if (held.places === clients || held.places === answerBytes) this.#held.push(held);
      else held.places.giveBack(this.peer, held.count);
    }
  }

  /** Gives back what was taken for a larger answer. */
  #keepOfAnswer(bytes: number): void {
    const { answerBytes } = this.#parts.exchanges.places;
    const at = this.#held.findIndex(({ places }) => places === answerBytes);
    const held = this.#held[at];
    if (held === undefined) return;
    answerBytes.giveBack(this.peer, Math.max(0, held.count - bytes));
    this.#held[at] = { places: answerBytes, count: Math.min(held.count, bytes) };
  }

  #giveBackAll(): void {
    this.#turn?.over();
    this.#socket?.over();
    this.#server?.abandon();
    this.#server = undefined;
    for (const { places, count } of this.#held.splice(0)) places.giveBack(this.peer, count);
  }

  #refuse({ status, reason, headers, sentence }: Refusal): void {
    this.#giveBack();
    if (this.#client.isGone || this.#answered) return;
    this.#answered = true;
    this.#client.respond(status, reason, [
      ...Object.entries(headers).flat(),
      "content-length",
      String(Buffer.byteLength(sentence)),
    ]);
    if (this.#client.method !== "HEAD") this.#client.output.write(sentence);
    this.#finish();
  }

  #finish(): void {
    this.#endAnswer();
    if (!this.#client.isGone) this.#client.end();
    this.#readRest();
  }

  #endAnswer(): void {
    this.#answerEnded = true;
    this.#receivedByThen = this.#received;
    this.#sending.settle(this.#received);
  }

  /**
   * The rest that the client is still sending is read: after unread bytes the system resets the connection, and the answer would be lost.
   */
  #readRest(): void {
    this.#inputPaused = false;
    if (this.#client.body === "upgrade" || this.#requestEnded) this.#client.input.resume();
    else this.#readRequest();
  }

  #awaitClose(elapsedMs: number): void {
    this.#lingeredMs += elapsedMs;
    if (this.#lingeredMs > MAX_LINGER_PAUSE_MS) this.giveUp();
  }

  #linger(elapsedMs: number): void {
    this.#lingeredMs += elapsedMs;
    const isEnough =
      this.#lingeredMs > MAX_LINGER_MS || this.#received - this.#receivedByThen > MAX_DISCARDED_BODY_BYTES;
    if (isEnough || this.#sending.ms > MAX_LINGER_PAUSE_MS) this.#client.letGo();
  }
}
