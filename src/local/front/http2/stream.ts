/**
 * One stream of an HTTP/2 connection: a request, whose body is read at the pace of its reader, and the answer to it. It is as small as it can
 * be, because each read and each write of Deno's client is one.
 */
import type { BodyKind } from "../server-connection.ts";
import { encodeHead } from "./hpack.ts";
import { Pieces } from "./pieces.ts";
import { ErrorCode } from "./protocol.ts";
import type { RequestHead } from "./request-head.ts";
import { type FirstSize, ReceiveWindow, SendWindow } from "./window.ts";

/** What a stream needs of its connection. */
export interface StreamOwner {
  sendHead(stream: Http2Stream, block: Buffer): void;
  /** Sends what the stream has, as soon as there is room for it. */
  plan(stream: Http2Stream): void;
  /** This much of the body was read. `opened`: by how much the client's window opens. */
  read(stream: Http2Stream, bytes: number, opened: number): void;
  /** Ends the stream at once, and tells the client. */
  reset(stream: Http2Stream, code: ErrorCode): void;
  /** Nothing more is sent or received on it. */
  closed(stream: Http2Stream): void;
}

/** Is told what happens on a stream. An `EventEmitter` for each stream would be a good part of the cost of a small request. */
export interface StreamHandler {
  /** Takes a piece of the request's body. */
  received(piece: Buffer): void;
  /** The request is complete. */
  receivedAll(): void;
  /** After `write` has returned false: the answer may go on. */
  taken(): void;
  /** Nothing more is sent or received, for whatever reason. */
  closed(): void;
}

export const NO_HANDLER: StreamHandler = {
  received: () => undefined,
  receivedAll: () => undefined,
  taken: () => undefined,
  closed: () => undefined,
};

/** The window of a stream. With this size, uploads need not wait for a window update every 64 KiB. */
export const STREAM_WINDOW_BYTES = 1024 * 1024;

/** With more than this waiting for the client, an answer is to pause. */
const MAX_WAITING_BYTES = 64 * 1024;

export class Http2Stream {
  handler = NO_HANDLER;
  readonly id: number;
  readonly head: RequestHead;
  readonly body: BodyKind;
  readonly sendWindow: SendWindow;
  readonly #owner: StreamOwner;
  readonly #receiveWindow = new ReceiveWindow(STREAM_WINDOW_BYTES);
  /** Bytes of the body that are still to come, if their number is known. */
  #announced: number | undefined;
  /** Pieces of the body that nobody has read yet. */
  readonly #unread = new Pieces();
  #isFlowing = false;
  #isReading = false;
  #hasWhole: boolean;
  /** Whether the reader has been told that the request is complete. */
  #hasToldEnd = false;
  /** Pieces of the answer that wait for the client. */
  readonly #waiting: Uint8Array[] = [];
  #waitingBytes = 0;
  #needsDrain = false;
  #isEnding = false;
  #hasEnded = false;
  #isClosed = false;
  #resetsAtEnd = false;

  constructor(id: number, head: RequestHead, endsWithHead: boolean, window: FirstSize, owner: StreamOwner) {
    this.id = id;
    this.head = head;
    this.body = head.bodyKind(endsWithHead);
    this.#announced = head.length;
    this.#hasWhole = endsWithHead;
    this.#hasToldEnd = endsWithHead;
    this.sendWindow = new SendWindow(window);
    this.#owner = owner;
  }

  // The request.

  pause(): void {
    this.#isFlowing = false;
  }

  /** Gives what has come, and all that comes, to the handler. */
  resume(): void {
    this.#isFlowing = true;
    this.#give();
  }

  /** Bytes of the body that wait for their reader. */
  get readableLength(): number {
    return this.#unread.bytes;
  }

  /** Whether the request is complete. */
  get hasWhole(): boolean {
    return this.#hasWhole;
  }

  /** Takes a frame of the body, and says what is wrong with it. `counted`: its bytes with the padding. */
  receive(piece: Buffer, counted: number, isLast: boolean): ErrorCode | undefined {
    const wrong = this.#wrongWith(piece, counted);
    if (wrong !== undefined) {
      // Nobody reads it, so it makes room at once.
      this.#owner.read(this, counted, 0);
      return wrong;
    }
    if (counted > piece.length) this.#read(counted - piece.length);
    if (piece.length > 0) this.#unread.push(piece);
    return isLast ? this.receiveEnd() : this.#give();
  }

  #wrongWith(piece: Buffer, counted: number): ErrorCode | undefined {
    if (this.#hasWhole) return ErrorCode.streamClosed;
    if (!this.#receiveWindow.take(counted)) return ErrorCode.flowControlError;
    if (this.#announced === undefined) return undefined;
    this.#announced -= piece.length;
    return this.#announced < 0 ? ErrorCode.protocolError : undefined;
  }

  receiveEnd(): ErrorCode | undefined {
    if (this.#hasWhole) return ErrorCode.streamClosed;
    if ((this.#announced ?? 0) > 0) return ErrorCode.protocolError;
    this.#hasWhole = true;
    this.#give();
    if (this.#hasEnded) this.close();
    return undefined;
  }

  #give(): undefined {
    // A handler may pause, or resume, and may end the stream.
    if (this.#isReading) return;
    this.#isReading = true;
    while (this.#isFlowing && !this.#isClosed) {
      const piece = this.#unread.shift();
      if (piece === undefined) break;
      this.#read(piece.length);
      this.handler.received(piece);
    }
    this.#isReading = false;
    if (!this.#isFlowing || this.#isClosed || !this.#hasWhole || this.#hasToldEnd) return;
    this.#hasToldEnd = true;
    this.handler.receivedAll();
  }

  #read(bytes: number): void {
    const opened = this.#receiveWindow.release(bytes);
    this.#owner.read(this, bytes, this.#hasWhole ? 0 : opened);
  }

  // The answer.

  /** Nothing can be sent any more. */
  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** Whether the answer is complete, with the bytes that wait. */
  get isEnding(): boolean {
    return this.#isEnding;
  }

  /** Bytes of the answer that wait for the client. */
  get writableLength(): number {
    return this.#waitingBytes;
  }

  /** `pairs`: as in `encodeHead`. */
  respond(status: number, pairs: readonly string[]): void {
    this.respondWith(encodeHead(status, pairs));
  }

  /** `block`: the head as `encodeHead` makes it. */
  respondWith(block: Buffer): void {
    if (!this.#isClosed) this.#owner.sendHead(this, block);
  }

  /** Sends a piece, which now belongs to the stream. False: the next one should wait for `drain`. */
  write(piece: Uint8Array | string): boolean {
    if (this.#isClosed || this.#isEnding) return true;
    const bytes = typeof piece === "string" ? Buffer.from(piece) : piece;
    if (bytes.length === 0) return true;
    this.#waiting.push(bytes);
    this.#waitingBytes += bytes.length;
    this.#owner.plan(this);
    this.#needsDrain ||= this.#waitingBytes > MAX_WAITING_BYTES;
    return !this.#needsDrain;
  }

  end(last?: Uint8Array): void {
    if (this.#isClosed || this.#isEnding) return;
    if (last !== undefined) this.write(last);
    this.#isEnding = true;
    this.#owner.plan(this);
  }

  /** Breaks off, so that the client cannot take what it has for a whole answer. */
  breakOff(code: ErrorCode): void {
    if (!this.#isClosed) this.#owner.reset(this, code);
  }

  /** After its answer the client need not send the rest of its request (section 8.1). */
  letGo(): void {
    if (this.#isClosed) return;
    this.end();
    this.#resetsAtEnd = true;
    if (this.#hasEnded) this.#owner.reset(this, ErrorCode.noError);
  }

  /** Takes the next bytes to be sent, up to so many. */
  take(limit: number): Uint8Array {
    const first = this.#waiting[0];
    const bytes = Math.min(limit, this.sendWindow.left);
    if (first === undefined || bytes <= 0) return NO_BYTES;
    const isWhole = first.length <= bytes;
    const piece = isWhole ? first : first.subarray(0, bytes);
    if (!isWhole) this.#waiting[0] = first.subarray(bytes);
    else if (this.#waiting.length === 1) this.#waiting.pop();
    else this.#waiting.shift();
    this.#waitingBytes -= piece.length;
    this.sendWindow.use(piece.length);
    return piece;
  }

  /** To be called after bytes were sent. `isLast`: with the end of the answer. */
  sent(isLast: boolean): void {
    if (isLast) {
      this.#hasEnded = true;
      if (this.#hasWhole) this.close();
      else if (this.#resetsAtEnd) this.#owner.reset(this, ErrorCode.noError);
    } else if (this.#needsDrain && this.#waitingBytes <= MAX_WAITING_BYTES / 2) {
      this.#needsDrain = false;
      this.handler.taken();
    }
  }

  /** Both sides are done with the stream, or one has broken it off, or the connection is gone. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    const unread = this.#unread.bytes;
    this.#unread.clear();
    this.#waiting.length = 0;
    this.#waitingBytes = 0;
    if (unread > 0) this.#owner.read(this, unread, 0);
    this.#owner.closed(this);
    this.handler.closed();
  }
}

const NO_BYTES = Buffer.alloc(0);
