/**
 * The server's side of one HTTP/2 connection (RFC 9113): frames, flow control in both directions, and the limits that keep one client from
 * taking more than its part. node's own module costs several times as much for each request, and a small read is hardly more than a request.
 *
 * What is sent while one thing that has come is handled goes to the system together. DATA is sent only while the client takes it, and the streams take
 * turns. What a client breaks of the protocol ends its stream or its connection, with the code that the RFC names.
 */
import type { Socket } from "node:net";
import {
  BROKEN_OFF_REQUESTS_PER_SECOND,
  MAX_ANSWER_PAUSE_MS,
  MAX_BROKEN_OFF_REQUESTS,
  MAX_REQUEST_HEAD_BYTES,
  MAX_REQUEST_PAUSE_MS,
  MAX_STREAMS_OF_CONNECTION,
  MAX_UNTAKEN_REPLY_BYTES,
} from "../../../core/limits.ts";
import type { Guard } from "../guard.ts";
import { FrameReader } from "./frame-reader.ts";
import { HeadDecoder } from "./head-decoder.ts";
import { HeaderBlock } from "./header-block.ts";
import { NO_TABLE } from "./hpack.ts";
import { Outbox } from "./outbox.ts";
import {
  dependsOnItself,
  ErrorCode,
  FIRST_WINDOW,
  Flag,
  FrameType,
  goawayOf,
  MAX_FRAME_BYTES,
  MAX_WINDOW,
  PRIORITY_BYTES,
  Setting,
  settingsOf,
  uint32,
  withoutPadding,
} from "./protocol.ts";
import { Http2Stream, STREAM_WINDOW_BYTES, type StreamOwner } from "./stream.ts";
import { FRAMES_PER_RESET, framesFor, type Turns } from "./turns.ts";
import { type FirstSize, ReceiveWindow, SendWindow } from "./window.ts";

/** The window of a connection, which all its streams share: how much a client may send before it is read. */
const CONNECTION_WINDOW_BYTES = 16 * 1024 * 1024;

/** DATA is sent while less than this waits in the socket. */
const MAX_SOCKET_BYTES = 64 * 1024;

/** Nothing more of a client is read while so much waits in its socket: DATA, and heads of answers and replies of the protocol. */
const MAX_UNTAKEN_BYTES_READING = 2 * MAX_SOCKET_BYTES;

/** How long a client may take nothing of that. It shows as taken only when all that was written together is. */
const MAX_UNTAKEN_MS = 2 * MAX_ANSWER_PAUSE_MS;

export interface Http2ConnectionParts {
  readonly socket: Socket;
  readonly guard: Guard;
  readonly turns: Turns;
  /** A request. Its body comes afterwards. */
  readonly opened: (stream: Http2Stream) => void;
}

export class Http2Connection implements StreamOwner {
  readonly #socket: Socket;
  readonly #guard: Guard;
  readonly #opened: Http2ConnectionParts["opened"];
  readonly #heads = new HeadDecoder();
  readonly #streams = new Map<number, Http2Stream>();
  /** Those that have bytes to send, in turn. */
  readonly #planned = new Set<Http2Stream>();
  /** Those of which only the end is to be sent. No window holds it back. */
  readonly #ending = new Set<Http2Stream>();
  /** Streams that we have reset: what the client had sent by then is no error. The newest is the last one. */
  readonly #reset = new Set<number>();
  readonly #receiveWindow = new ReceiveWindow(CONNECTION_WINDOW_BYTES);
  readonly #sendWindow = new SendWindow({ bytes: FIRST_WINDOW });
  /** Of the streams, as the client has set it. */
  readonly #streamWindow: FirstSize = { bytes: FIRST_WINDOW };
  #hasNewStreamWindow = false;
  #hasSettings = false;
  readonly #frames: FrameReader;
  readonly #outbox: Outbox;
  readonly #turns: Turns;
  #leftOfTurn: number;
  #block: HeaderBlock | undefined;
  #lastStream = 0;
  /** The last one that was not refused. */
  #lastTaken = 0;
  #resets = 0;
  #isDraining = false;
  #isOver = false;
  #isPlanned = false;
  #hasSaidNoTable = false;

  constructor({ socket, guard, turns, opened }: Http2ConnectionParts) {
    this.#socket = socket;
    this.#guard = guard;
    this.#turns = turns;
    this.#leftOfTurn = turns.frames;
    this.#opened = opened;
    this.#outbox = new Outbox(socket);
    this.#frames = new FrameReader({
      socket,
      take: (...frame) => this.#take(...frame),
      fail: (code) => this.end(code),
      isOver: () => this.#isOver,
      mustWait: () => !this.#hasTurn || this.untaken > MAX_UNTAKEN_BYTES_READING,
    });
    guard.on(socket, "data", (bytes) => this.#frames.receive(bytes));
    guard.on(socket, "drain", () => this.#flush());
    // HTTP/2 has no half-closed connections: a client that ends its side is gone.
    guard.once(socket, "end", () => socket.destroy());
    guard.once(socket, "close", () => this.#over());
    const settings = settingsOf([
      [Setting.maxConcurrentStreams, MAX_STREAMS_OF_CONNECTION],
      [Setting.initialWindowSize, STREAM_WINDOW_BYTES],
      [Setting.maxHeaderListSize, MAX_REQUEST_HEAD_BYTES],
    ]);
    this.#send(FrameType.settings, 0, 0, settings);
    // No setting changes the connection's own window.
    this.#send(FrameType.windowUpdate, 0, 0, uint32(CONNECTION_WINDOW_BYTES - FIRST_WINDOW));
  }

  /** Takes no new streams. Those under way may finish, then the connection ends. */
  drain(): void {
    if (this.#isDraining || this.#isOver) return;
    this.#isDraining = true;
    this.#send(FrameType.goaway, 0, 0, goawayOf(this.#lastTaken, ErrorCode.noError));
    this.#endIfDrained();
  }

  /** Ends the connection now. The client is told which requests were not looked at. */
  end(code: ErrorCode = ErrorCode.noError): void {
    if (this.#isOver) return;
    this.#send(FrameType.goaway, 0, 0, goawayOf(this.#lastTaken, code));
    this.#outbox.write();
    this.#socket.destroy();
    this.#over();
  }

  /** To be called every second or so. Ends the connection when it has waited for its client for too long. */
  check(elapsedMs: number): void {
    this.#resets = Math.max(0, this.#resets - (BROKEN_OFF_REQUESTS_PER_SECOND * elapsedMs) / 1000);
    this.#outbox.check(elapsedMs);
    if (this.#block !== undefined) this.#block.waitedMs += elapsedMs;
    if (this.untakenMs > MAX_UNTAKEN_MS || (this.#block?.waitedMs ?? 0) > MAX_REQUEST_PAUSE_MS) this.end();
  }

  /** How long the client has taken nothing of what waits for it. */
  get untakenMs(): number {
    return this.#outbox.untakenMs;
  }

  /** Bytes that wait for the client to take them, after they have left their streams. */
  get untaken(): number {
    return this.#outbox.untaken;
  }

  sendHead(stream: Http2Stream, head: Buffer): void {
    const block = this.#hasSaidNoTable ? head : Buffer.concat([NO_TABLE, head]);
    this.#hasSaidNoTable = true;
    for (let from = 0, type: number = FrameType.headers; ; type = FrameType.continuation) {
      const to = Math.min(block.length, from + MAX_FRAME_BYTES);
      this.#send(type, to === block.length ? Flag.endHeaders : 0, stream.id, block.subarray(from, to));
      if (to === block.length) return;
      from = to;
    }
  }

  plan(stream: Http2Stream): void {
    if (stream.writableLength > 0) this.#planned.add(stream);
    else this.#ending.add(stream);
    this.#plan();
  }

  read(stream: Http2Stream, bytes: number, opened: number): void {
    if (this.#isOver) return;
    if (opened > 0) this.#send(FrameType.windowUpdate, 0, stream.id, uint32(opened));
    this.#release(bytes);
  }

  reset(stream: Http2Stream, code: ErrorCode): void {
    this.#sendReset(stream.id, code);
    stream.close();
  }

  closed(stream: Http2Stream): void {
    this.#streams.delete(stream.id);
    this.#planned.delete(stream);
    this.#ending.delete(stream);
    if (this.#isDraining) this.#plan();
  }

  // What is sent.

  /** `payload`: must stay as it is. */
  #send(type: number, flags: number, stream: number, payload: Uint8Array): void {
    this.#outbox.add(type, flags, stream, payload);
    this.#plan();
  }

  /** Bytes that the client has sent are read, or are nobody's. */
  #release(bytes: number): void {
    const opened = this.#receiveWindow.release(bytes);
    if (opened > 0) this.#send(FrameType.windowUpdate, 0, 0, uint32(opened));
  }

  #sendReset(stream: number, code: ErrorCode): void {
    this.#reset.add(stream);
    if (this.#reset.size > MAX_STREAMS_OF_CONNECTION) {
      for (const oldest of this.#reset) {
        this.#reset.delete(oldest);
        break;
      }
    }
    this.#send(FrameType.rstStream, 0, stream, uint32(code));
  }

  #plan(): void {
    if (this.#isPlanned || this.#isOver) return;
    this.#isPlanned = true;
    this.#guard.next(() => this.#flush());
  }

  #flush(): void {
    if (this.#isOver) return;
    if (this.#hasNewStreamWindow && !this.#planByNewWindow()) return this.end(ErrorCode.flowControlError);
    // What is added meanwhile is sent here.
    this.#isPlanned = true;
    this.#sendPlanned();
    this.#isPlanned = false;
    this.#outbox.write();
    if (this.#planned.size > 0 && this.#maySendMore) this.#plan();
    if (this.untaken > MAX_UNTAKEN_REPLY_BYTES) return this.end(ErrorCode.enhanceYourCalm);
    this.#endIfDrained();
    this.#frames.goOn();
  }

  get #hasTurn(): boolean {
    return this.#leftOfTurn > 0;
  }

  #spend(frames: number): void {
    const had = this.#hasTurn;
    this.#leftOfTurn -= frames;
    if (!had || this.#hasTurn) return;
    this.#turns.wait();
    this.#guard.soon(() => {
      this.#turns.begin();
      this.#leftOfTurn = this.#turns.frames;
      this.#flush();
    });
  }

  get #maySendMore(): boolean {
    return this.#sendWindow.left > 0 && this.untaken < MAX_SOCKET_BYTES && this.#hasTurn;
  }

  /** The streams take turns, a frame each. */
  #sendPlanned(): void {
    for (const stream of this.#ending) {
      this.#ending.delete(stream);
      this.#sendFrame(stream);
    }
    for (const stream of this.#planned) {
      if (!this.#maySendMore) return;
      this.#planned.delete(stream);
      // With its own window closed a stream waits until its client opens it.
      if (stream.sendWindow.left > 0) this.#sendFrame(stream);
    }
  }

  #sendFrame(stream: Http2Stream): void {
    this.#spend(1);
    const piece = stream.take(Math.min(MAX_FRAME_BYTES, this.#sendWindow.left));
    if (stream.writableLength > 0) this.#planned.add(stream);
    const isLast = stream.isEnding && stream.writableLength === 0;
    this.#sendWindow.use(piece.length);
    this.#send(FrameType.data, isLast ? Flag.endStream : 0, stream.id, piece);
    stream.sent(isLast);
  }

  #endIfDrained(): void {
    if (!this.#isDraining || this.#streams.size > 0) return;
    this.#outbox.write();
    this.#socket.destroySoon();
  }

  #over(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#planned.clear();
    this.#ending.clear();
    for (const stream of this.#streams.values()) stream.close();
  }

  // What is received.

  #take(type: number, flags: number, stream: number, payload: Buffer): void {
    this.#spend(framesFor(type, payload.length));
    if (!this.#hasSettings && type !== FrameType.settings) return this.end(ErrorCode.protocolError);
    if (this.#block !== undefined) {
      const goesOn = type === FrameType.continuation && stream === this.#block.stream;
      return goesOn ? this.#takeOfBlock(this.#block, flags, payload) : this.end(ErrorCode.protocolError);
    }
    switch (type) {
      case FrameType.data:
        return this.#takeData(flags, stream, payload);
      case FrameType.headers:
        return this.#takeHeaders(flags, stream, payload);
      case FrameType.priority:
        return this.#takePriority(stream, payload);
      case FrameType.rstStream:
        return this.#takeReset(stream, payload);
      case FrameType.settings:
        return this.#takeSettings(flags, stream, payload);
      case FrameType.ping:
        return this.#takePing(flags, stream, payload);
      case FrameType.goaway:
        // The client opens no more streams. It ends the connection itself.
        if (stream !== 0) this.end(ErrorCode.protocolError);
        else if (payload.length < 8) this.end(ErrorCode.frameSizeError);
        return;
      case FrameType.windowUpdate:
        return this.#takeWindowUpdate(stream, payload);
      case FrameType.pushPromise:
      case FrameType.continuation:
        return this.end(ErrorCode.protocolError);
      default:
      // Of an extension (section 5.5).
    }
  }

  #isIdle(stream: number): boolean {
    return stream > this.#lastStream || stream % 2 === 0;
  }

  #takeData(flags: number, id: number, payload: Buffer): void {
    if (id === 0 || this.#isIdle(id)) return this.end(ErrorCode.protocolError);
    if (!this.#receiveWindow.take(payload.length)) return this.end(ErrorCode.flowControlError);
    const body = withoutPadding(flags, payload);
    if (body === undefined) return this.end(ErrorCode.protocolError);
    const stream = this.#streams.get(id);
    if (stream === undefined) {
      this.#release(payload.length);
      if (!this.#reset.has(id)) this.#refuse(id, ErrorCode.streamClosed);
      return;
    }
    // A copy: with a view, a small body that waits would keep all that came with it.
    const wrong = stream.receive(Buffer.from(body), payload.length, (flags & Flag.endStream) !== 0);
    if (wrong !== undefined) this.#breakOff(stream, wrong);
  }

  #takeHeaders(flags: number, id: number, payload: Buffer): void {
    if (id % 2 === 0) return this.end(ErrorCode.protocolError);
    const unpadded = withoutPadding(flags, payload);
    if (unpadded === undefined) return this.end(ErrorCode.protocolError);
    let fragment = unpadded;
    if ((flags & Flag.priority) !== 0) {
      if (fragment.length < PRIORITY_BYTES) return this.end(ErrorCode.frameSizeError);
      if (dependsOnItself(id, fragment)) return this.end(ErrorCode.protocolError);
      fragment = fragment.subarray(PRIORITY_BYTES);
    }
    this.#takeOfBlock(new HeaderBlock(id, (flags & Flag.endStream) !== 0), flags, fragment);
  }

  #takeOfBlock(block: HeaderBlock, flags: number, fragment: Buffer): void {
    const whole = block.take(fragment, (flags & Flag.endHeaders) !== 0);
    this.#block = whole === "more" ? block : undefined;
    if (whole === "too large") this.end(ErrorCode.enhanceYourCalm);
    else if (whole !== "more") this.#takeBlock(block, whole);
  }

  #takeBlock({ stream: id, endsStream }: HeaderBlock, bytes: Buffer): void {
    // The block changes the table, whatever becomes of its request.
    const head = this.#heads.decode(bytes);
    if (head === undefined) return this.end(ErrorCode.compressionError);
    if (id <= this.#lastStream) return this.#takeTrailers(id, endsStream);
    this.#lastStream = id;
    if (this.#isDraining || this.#streams.size >= MAX_STREAMS_OF_CONNECTION) {
      this.#spend(FRAMES_PER_RESET);
      return this.#sendReset(id, ErrorCode.refusedStream);
    }
    this.#lastTaken = id;
    if (head.isMalformed || (endsStream && (head.length ?? 0) > 0)) {
      return this.#refuse(id, ErrorCode.protocolError);
    }
    const stream = new Http2Stream(id, head, endsStream, this.#streamWindow, this);
    this.#streams.set(id, stream);
    this.#opened(stream);
  }

  /** Trailers end the request. What they say is of no use here. */
  #takeTrailers(id: number, endsStream: boolean): void {
    const stream = this.#streams.get(id);
    if (stream === undefined) {
      if (!this.#reset.has(id)) this.end(ErrorCode.streamClosed);
      return;
    }
    const wrong = endsStream || stream.hasWhole ? stream.receiveEnd() : ErrorCode.protocolError;
    if (wrong !== undefined) this.#breakOff(stream, wrong);
  }

  /** Priorities are no part of HTTP/2 any more (section 5.3.2). */
  #takePriority(stream: number, payload: Buffer): void {
    if (stream === 0) this.end(ErrorCode.protocolError);
    else if (payload.length !== PRIORITY_BYTES) this.end(ErrorCode.frameSizeError);
    else if (dependsOnItself(stream, payload)) this.end(ErrorCode.protocolError);
  }

  #takeReset(id: number, payload: Buffer): void {
    if (payload.length !== 4) return this.end(ErrorCode.frameSizeError);
    if (id === 0 || this.#isIdle(id)) return this.end(ErrorCode.protocolError);
    this.#streams.get(id)?.close();
    this.#countReset();
  }

  /** Ends a stream by whose frames the client has broken the protocol. */
  #breakOff(stream: Http2Stream, code: ErrorCode): void {
    this.reset(stream, code);
    this.#countReset();
  }

  /** The same for a stream that is not open. */
  #refuse(stream: number, code: ErrorCode): void {
    this.#sendReset(stream, code);
    this.#countReset();
  }

  #countReset(): void {
    this.#spend(FRAMES_PER_RESET);
    this.#resets += 1;
    if (this.#resets > MAX_BROKEN_OFF_REQUESTS) this.end(ErrorCode.enhanceYourCalm);
  }

  #takeSettings(flags: number, stream: number, payload: Buffer): void {
    if (stream !== 0) return this.end(ErrorCode.protocolError);
    const isAck = (flags & Flag.ack) !== 0;
    if (payload.length % 6 !== 0 || (isAck && payload.length > 0)) return this.end(ErrorCode.frameSizeError);
    this.#hasSettings = true;
    if (isAck) return;
    for (let at = 0; at < payload.length; at += 6) {
      const wrong = this.#set(payload.readUInt16BE(at), payload.readUInt32BE(at + 2));
      if (wrong !== undefined) return this.end(wrong);
    }
    this.#send(FrameType.settings, Flag.ack, 0, NO_BYTES);
  }

  #set(setting: number, value: number): ErrorCode | undefined {
    switch (setting) {
      case Setting.enablePush:
        return value > 1 ? ErrorCode.protocolError : undefined;
      case Setting.maxFrameSize:
        // We send no frame that is larger than the smallest that may be set.
        return value < MAX_FRAME_BYTES || value > 0xff_ffff ? ErrorCode.protocolError : undefined;
      case Setting.initialWindowSize:
        return this.#setStreamWindow(value);
      default:
        return undefined;
    }
  }

  /** The streams look at their windows once for all settings that have come together: a frame alone may have thousands. */
  #setStreamWindow(size: number): ErrorCode | undefined {
    if (size > MAX_WINDOW) return ErrorCode.flowControlError;
    this.#streamWindow.bytes = size;
    this.#hasNewStreamWindow = true;
    this.#plan();
    return undefined;
  }

  /** False: a window became larger than any may be. */
  #planByNewWindow(): boolean {
    this.#hasNewStreamWindow = false;
    for (const stream of this.#streams.values()) {
      if (!stream.sendWindow.isValid) return false;
      if (stream.writableLength > 0 && stream.sendWindow.left > 0) this.#planned.add(stream);
    }
    return true;
  }

  #takePing(flags: number, stream: number, payload: Buffer): void {
    if (stream !== 0) return this.end(ErrorCode.protocolError);
    if (payload.length !== 8) return this.end(ErrorCode.frameSizeError);
    if ((flags & Flag.ack) === 0) this.#send(FrameType.ping, Flag.ack, 0, Buffer.from(payload));
  }

  #takeWindowUpdate(id: number, payload: Buffer): void {
    if (payload.length !== 4) return this.end(ErrorCode.frameSizeError);
    const opened = payload.readUInt32BE() & MAX_WINDOW;
    if (id === 0) {
      if (opened === 0) this.end(ErrorCode.protocolError);
      else if (!this.#sendWindow.open(opened)) this.end(ErrorCode.flowControlError);
      else this.#plan();
      return;
    }
    if (this.#isIdle(id)) return this.end(ErrorCode.protocolError);
    const stream = this.#streams.get(id);
    if (stream === undefined) return;
    if (opened === 0) this.#breakOff(stream, ErrorCode.protocolError);
    else if (!stream.sendWindow.open(opened)) this.#breakOff(stream, ErrorCode.flowControlError);
    else if (stream.writableLength > 0) this.plan(stream);
  }
}

const NO_BYTES = Buffer.alloc(0);
