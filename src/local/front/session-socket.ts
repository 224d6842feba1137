/**
 * The WebSocket under a session (RFC 6455): binary messages both ways between the front and our own server process. The front speaks it
 * over its connections to that process, and only the part that the two need.
 */
import { randomBytes } from "node:crypto";
import { socketProtocol } from "../../contracts/socket.ts";
import type { ProcessAddress } from "../process-address.ts";
import { headBytes, LONG, MASK_BYTES, MASKED, payloadBytes, SHORT } from "./frame-head.ts";
import {
  type HeaderPairs,
  headOf,
  type RequestSink,
  type ServerConnections,
  type ServerRequest,
} from "./server-connection.ts";

export interface SocketTaker {
  /** `headers`: those of the server's answer. */
  opened(headers: HeaderPairs): void;
  /** The message now belongs to the taker. */
  message(bytes: Buffer): void;
  /** Called when the socket has ended, or was never opened. Not called after `end`. */
  closed(): void;
}

/** Far above what a database answers in one frame. */
const MAX_MESSAGE_BYTES = 64 * 1024 * 1024;

const NO_BYTES = Buffer.alloc(0);

const FINAL = 0x80;
const BINARY = 2;
const CLOSE = 8;
const PING = 9;
const PONG = 10;

export class SessionSocket {
  readonly #taker: SocketTaker;
  readonly #sink: RequestSink;
  /** Bytes of a frame that has not come as a whole. */
  #begun: Buffer[] = [];
  #begunBytes = 0;
  /** So many bytes are needed to go on. */
  #wanted = 2;

  /** `token`: was verified. */
  constructor(
    connections: ServerConnections,
    address: ProcessAddress,
    { databaseId, token }: { readonly databaseId: string; readonly token: string },
    taker: SocketTaker,
  ) {
    const request: ServerRequest = {
      method: "GET",
      path: `/api/databases/${databaseId}/socket`,
      headers: [
        "Host",
        "localhost",
        "Authorization",
        `Bearer ${token}`,
        "Sec-WebSocket-Version",
        "13",
        "Sec-WebSocket-Key",
        randomBytes(16).toString("base64"),
        "Sec-WebSocket-Protocol",
        socketProtocol.name,
        socketProtocol.awakeHeader,
        "1",
      ],
      body: "upgrade",
    };
    const head = headOf(request);
    if (head === undefined) throw new Error("expected a token that a header can carry");
    this.#taker = taker;
    this.#sink = connections.request(address, head, request, {
      head: (status, _reason, headers) => {
        if (status === 101) taker.opened(headers);
        else this.#close();
      },
      piece: (bytes) => this.#receive(bytes),
      end: () => taker.closed(),
      drain: () => undefined,
      broken: () => taker.closed(),
    });
  }

  /** Sends a message in one frame. */
  send(message: Uint8Array): void {
    this.#sendFrame(BINARY, message);
  }

  /** At once. The taker is not called any more. */
  end(): void {
    this.#sink.abandon();
  }

  #close(): void {
    this.end();
    this.#taker.closed();
  }

  #receive(piece: Buffer): void {
    this.#begun.push(piece);
    this.#begunBytes += piece.length;
    if (this.#begunBytes < this.#wanted) return;
    let rest = this.#begun.length === 1 ? piece : Buffer.concat(this.#begun);
    for (;;) {
      this.#wanted = wantedBytes(rest);
      if (rest.length < this.#wanted) break;
      const isLast = rest.length === this.#wanted;
      const frame = isLast ? rest : rest.subarray(0, this.#wanted);
      rest = isLast ? NO_BYTES : rest.subarray(this.#wanted);
      if (!this.#take(frame)) return;
    }
    this.#begun = rest.length === 0 ? [] : [rest];
    this.#begunBytes = rest.length;
  }

  /** Returns whether the socket goes on. */
  #take(frame: Buffer): boolean {
    const body = frame.subarray(headBytes(frame[1] ?? 0));
    const first = frame[0] ?? 0;
    switch (first) {
      case FINAL | BINARY:
        this.#taker.message(body);
        return true;
      case FINAL | PING:
        this.#sendFrame(PONG, body);
        return true;
      case FINAL | PONG:
        return true;
      case FINAL | CLOSE:
        this.#sendFrame(CLOSE, body);
        this.#close();
        return false;
      default:
        throw new Error(`expected a whole binary message of the server, got a frame that begins with ${first}`);
    }
  }

  /** The mask is zeros. It is there for what lies between a browser and a server (RFC 6455, section 10.3), and here nothing does. */
  #sendFrame(opcode: number, body: Uint8Array): void {
    const { length } = body;
    const head = 2 + (length < SHORT ? 0 : length <= 0xffff ? 2 : 8);
    const frame = Buffer.allocUnsafe(head + MASK_BYTES + length);
    frame[0] = FINAL | opcode;
    frame[1] = MASKED | (head === 2 ? length : head === 4 ? SHORT : LONG);
    if (head === 4) frame.writeUInt16BE(length, 2);
    if (head === 10) frame.writeBigUInt64BE(BigInt(length), 2);
    frame.writeUInt32BE(0, head);
    frame.set(body, head + MASK_BYTES);
    this.#sink.write(frame);
  }
}

/** How long the frame is with which these bytes begin; while its head has not come as a whole, how long that is. */
function wantedBytes(bytes: Buffer): number {
  const second = bytes[1] ?? 0;
  if ((second & MASKED) !== 0) throw new Error("expected a frame without a mask: only clients send one");
  const head = headBytes(second);
  if (bytes.length < head) return head;
  const size = payloadBytes(bytes);
  if (size > MAX_MESSAGE_BYTES)
    throw new Error(`expected a message of at most ${MAX_MESSAGE_BYTES} bytes, got ${size}`);
  return head + size;
}
