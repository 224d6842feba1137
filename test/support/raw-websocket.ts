/**
 * A WebSocket over a plain TCP connection: cheap enough for ten thousand in one process, and able to do what well-behaved clients cannot,
 * such as never to read, to vanish without a word, or to send a frame in halves.
 */
import { randomBytes } from "node:crypto";
import { connect, type Socket } from "node:net";

export interface RawTarget {
  readonly host: string;
  readonly port: number;
  readonly path: string;
  readonly protocols: readonly string[];
  readonly headers?: Readonly<Record<string, string>>;
}

const Opcode = { more: 0, text: 1, binary: 2, close: 8, ping: 9, pong: 10 } as const;

const END_OF_HEAD = Buffer.from("\r\n\r\n");
/** A close code that no frame carries: the connection broke off. */
const BROKE_OFF = 1006;
const OPEN_DEADLINE_MS = 30_000;

export class RawWebSocket {
  /** A message as its bytes. */
  onMessage: (data: Buffer, isText: boolean) => void = () => undefined;
  /** Called once. */
  onClose: (code: number, reason: string) => void = () => undefined;
  /** False: it never answers a close, nor ends the connection. */
  answersClose = true;
  /** The connection, for what no client does. */
  readonly socket: Socket;
  #chunks: Buffer[] = [];
  #bytes = 0;
  /** So many bytes are needed to go on. */
  #needed = 2;
  #parts: Buffer[] = [];
  #isText = false;
  #closedWith: { readonly code: number; readonly reason: string } = { code: BROKE_OFF, reason: "" };

  private constructor(socket: Socket) {
    this.socket = socket;
  }

  /** Rejects with the answer's head when it is no WebSocket. */
  static open({ host, port, path, protocols, headers = {} }: RawTarget): Promise<RawWebSocket> {
    return new Promise((resolve, reject) => {
      const socket = connect({ host, port, noDelay: true });
      const failed = (why: string): void => {
        socket.destroy();
        reject(new Error(`${host}:${port}${path}: ${why}`));
      };
      const lines = {
        host: `${host}:${port}`,
        connection: "Upgrade",
        upgrade: "websocket",
        "sec-websocket-version": "13",
        "sec-websocket-key": randomBytes(16).toString("base64"),
        ...(protocols.length === 0 ? {} : { "sec-websocket-protocol": protocols.join(", ") }),
        ...headers,
      };
      socket.setTimeout(OPEN_DEADLINE_MS, () => failed("the handshake was not answered in time"));
      socket.once("connect", () => {
        const head = Object.entries(lines).map(([name, value]) => `${name}: ${value}\r\n`);
        socket.write(`GET ${path} HTTP/1.1\r\n${head.join("")}\r\n`);
      });
      socket.once("error", (error) => failed(error.message));
      socket.once("close", () => failed("the connection was closed"));
      let head = Buffer.alloc(0);
      const readHead = (chunk: Buffer): void => {
        head = Buffer.concat([head, chunk]);
        const end = head.indexOf(END_OF_HEAD);
        if (end === -1) return;
        const text = head.toString("latin1", 0, end);
        if (!text.startsWith("HTTP/1.1 101")) {
          failed(text);
          return;
        }
        socket.removeAllListeners();
        socket.setTimeout(0);
        const opened = new RawWebSocket(socket);
        opened.#listen();
        resolve(opened);
        const rest = head.subarray(end + END_OF_HEAD.length);
        // When whoever waits for it has set its handlers.
        if (rest.length > 0) setImmediate(() => opened.#receive(rest));
      };
      socket.on("data", readHead);
    });
  }

  send(message: Uint8Array | string): void {
    const isText = typeof message === "string";
    this.socket.write(clientFrame(isText ? Opcode.text : Opcode.binary, isText ? Buffer.from(message) : message));
  }

  /** The closing handshake; the server's answer ends the connection. */
  close(code = 1000): void {
    const body = Buffer.alloc(2);
    body.writeUInt16BE(code);
    this.socket.write(clientFrame(Opcode.close, body));
  }

  /** Goes away without a word. */
  vanish(): void {
    this.socket.destroy();
  }

  #listen(): void {
    this.socket.on("data", (chunk: Buffer) => this.#receive(chunk));
    // The close event follows.
    this.socket.on("error", () => undefined);
    this.socket.on("close", () => this.onClose(this.#closedWith.code, this.#closedWith.reason));
  }

  #receive(chunk: Buffer): void {
    this.#chunks.push(chunk);
    this.#bytes += chunk.length;
    while (this.#bytes >= this.#needed) {
      const all =
        this.#chunks.length === 1 && this.#chunks[0] !== undefined ? this.#chunks[0] : Buffer.concat(this.#chunks);
      const taken = this.#take(all);
      this.#chunks = taken === all.length ? [] : [all.subarray(taken)];
      this.#bytes = all.length - taken;
      if (taken === 0) return;
    }
  }

  /** How many bytes the frame at the beginning has; 0: it is not complete, and `#needed` says how many it takes. */
  #take(bytes: Buffer): number {
    const short = (bytes[1] ?? 0) & 0x7f;
    const head = short < 126 ? 2 : short === 126 ? 4 : 10;
    this.#needed = head;
    if (bytes.length < head) return 0;
    const length = short < 126 ? short : short === 126 ? bytes.readUInt16BE(2) : Number(bytes.readBigUInt64BE(2));
    this.#needed = head + length;
    if (bytes.length < this.#needed) return 0;
    this.#needed = 2;
    const first = bytes[0] ?? 0;
    this.#frame(first & 0x0f, (first & 0x80) !== 0, bytes.subarray(head, head + length));
    return head + length;
  }

  #frame(opcode: number, isLast: boolean, body: Buffer): void {
    switch (opcode) {
      case Opcode.ping:
        this.socket.write(clientFrame(Opcode.pong, body));
        return;
      case Opcode.close:
        this.#closedWith = { code: body.length < 2 ? 1005 : body.readUInt16BE(0), reason: body.toString("utf8", 2) };
        // Answered in case that it is no answer; the server ends the connection.
        if (this.answersClose) this.socket.end(clientFrame(Opcode.close, body));
        return;
      case Opcode.more:
      case Opcode.text:
      case Opcode.binary:
        if (opcode !== Opcode.more) this.#isText = opcode === Opcode.text;
        this.#parts.push(body);
        if (isLast) this.onMessage(this.#parts.length === 1 ? body : Buffer.concat(this.#parts), this.#isText);
        if (isLast) this.#parts = [];
        return;
      default:
    }
  }
}

/** Masked, as a client's must be, with a key of zeros: the bytes stay as they are. */
export function clientFrame(opcode: number, body: Uint8Array): Buffer {
  const { length } = body;
  const head = Buffer.alloc(length < 126 ? 6 : length < 65_536 ? 8 : 14);
  head[0] = 0x80 | opcode;
  if (length < 126) {
    head[1] = 0x80 | length;
  } else if (length < 65_536) {
    head[1] = 0x80 | 126;
    head.writeUInt16BE(length, 2);
  } else {
    head[1] = 0x80 | 127;
    head.writeBigUInt64BE(BigInt(length), 2);
  }
  return Buffer.concat([head, body]);
}
