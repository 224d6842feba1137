/**
 * A socket whose client had no token when it connected: the first message carries the token. Until it comes, no object is called. So the
 * Worker holds this socket itself, and passes everything on to the object's socket afterwards. Nothing can pile up here in either
 * direction: the object is told how much the client has taken of its messages, and sends no more while much is left; and pings among the
 * client's messages show how much the object has taken.
 */
import {
  decodeClientFrame,
  doneResponse,
  encodeServerFrame,
  errorResponse,
  type SocketRequest,
} from "../../codec/socket.ts";
import { decodeTextFrame, textOfDone, textOfError, textOfFrame } from "../../codec/socket-text.ts";
import type { ObjectSocket } from "../../contracts/database.ts";
import {
  BROKE_OFF,
  closeCodeOf,
  closeReason,
  isCarried,
  SocketClose,
  socketProtocol,
  unsentBytes,
} from "../../contracts/socket.ts";
import { failure, type Failure, isFailure } from "../../core/errors.ts";
import {
  MAX_SOCKET_PENDING_BYTES,
  MAX_SOCKET_TOKEN_FRAME_BYTES,
  MAX_SOCKET_TOKEN_WAIT_MS,
  MAX_SOCKETS_BYTES_UNDER_WAY,
} from "../../core/limits.ts";
import type { Timers } from "../../core/timers.ts";

/** How many bytes are passed on to the object between two pings. The answer to a ping shows that everything before it has arrived. */
const PING_EVERY_BYTES = 1024 * 1024;

/** What a message takes beside its own bytes: an empty one is not for nothing. */
const MESSAGE_BYTES = 64;

/** How often the client's intake is checked while anything waits for it. */
const REPORT_MS = 20;

type Message = string | ArrayBuffer;

export interface RelayParts {
  /** Already accepted. */
  readonly client: ObjectSocket;
  readonly timers: Timers;
  /** Connects to the object for a client with this token. */
  readonly connect: (token: string) => Promise<ObjectSocket | Failure>;
}

export function relay(parts: RelayParts): void {
  new Relay(parts).start();
}

class Relay {
  readonly #parts: RelayParts;
  readonly #client: ObjectSocket;
  #object: ObjectSocket | undefined;
  #cancelWait: () => void = () => undefined;
  #askedToConnect = false;
  #ended = false;
  /** Messages that came while the connection to the object is being made. */
  readonly #waiting: Message[] = [];
  #waitingBytes = 0;
  /** Bytes that were passed on since the last ping; and pings without an answer. */
  #bytesSincePing = 0;
  #pings = 0;
  /** How much of the object's messages was sent to the client, and how much of it the object knows to be taken. */
  #sent = 0;
  #reported = 0;
  #cancelReport: (() => void) | undefined;
  /** The form in which errors are sent. */
  #isText = true;

  constructor(parts: RelayParts) {
    this.#parts = parts;
    this.#client = parts.client;
  }

  start(): void {
    const { client, timers } = this.#parts;
    this.#cancelWait = timers.after(MAX_SOCKET_TOKEN_WAIT_MS, () => this.#refuse(NO_TOKEN));
    client.addEventListener("message", ({ data }) => this.#fromClient(data));
    client.addEventListener("close", ({ code, reason }) => this.#clientGone(code, reason));
    client.addEventListener("error", () => this.#clientGone(BROKE_OFF, ""));
  }

  #fromClient(message: Message): void {
    if (this.#ended) return;
    if (message === socketProtocol.ping) {
      this.#toClient(socketProtocol.pong);
    } else if (this.#object !== undefined) {
      this.#toObject(this.#object, message);
    } else if (this.#askedToConnect) {
      this.#waitingBytes += sizeOf(message) + MESSAGE_BYTES;
      if (this.#waitingBytes > MAX_SOCKET_PENDING_BYTES) this.#refuse(TOO_MUCH);
      else this.#waiting.push(message);
    } else {
      this.#cancelWait();
      this.#askedToConnect = true;
      void this.#first(message);
    }
  }

  async #first(message: Message): Promise<void> {
    this.#isText = typeof message === "string";
    if (sizeOf(message) > MAX_SOCKET_TOKEN_FRAME_BYTES) {
      this.#refuse(FIRST_TOO_LARGE);
      return;
    }
    const decoded = typeof message === "string" ? decodeTextFrame(message) : decodeClientFrame(new Uint8Array(message));
    const request = decoded.ok ? tokenAmong(decoded.requests) : decoded;
    if (isFailure(request)) {
      this.#refuse(request);
      return;
    }
    const object = await this.#parts.connect(request.token);
    if (isFailure(object)) {
      this.#refuse(object);
      return;
    }
    if (this.#ended) {
      object.accept();
      object.close(1000);
      return;
    }
    this.#object = object;
    object.binaryType = "arraybuffer";
    object.addEventListener("message", ({ data }) => this.#fromObject(data));
    object.addEventListener("close", ({ code, reason }) => this.#objectGone(code, reason));
    object.addEventListener("error", () => this.#objectGone(BROKE_OFF, ""));
    this.#toClient(
      this.#isText ? textOfFrame([textOfDone(request.id)]) : encodeServerFrame([doneResponse(request.id)]),
    );
    object.accept();
    for (const waiting of this.#waiting.splice(0)) this.#toObject(object, waiting);
  }

  #toObject(object: ObjectSocket, message: Message): void {
    // Reports are the relay's own. To the client such a text is a frame that cannot be read.
    const forged = isReport(message) ? decodeTextFrame(message) : undefined;
    if (isFailure(forged)) {
      this.#refuse(forged);
      return;
    }
    try {
      object.send(typeof message === "string" ? message : new Uint8Array(message));
      this.#bytesSincePing += sizeOf(message) + MESSAGE_BYTES;
      if (this.#bytesSincePing < PING_EVERY_BYTES) return;
      this.#bytesSincePing = 0;
      this.#pings += 1;
      object.send(socketProtocol.ping);
      if (this.#pings * PING_EVERY_BYTES > MAX_SOCKET_PENDING_BYTES) this.#refuse(TOO_MUCH);
    } catch {
      this.#objectGone(BROKE_OFF, "");
    }
  }

  #fromObject(message: Message): void {
    if (message === socketProtocol.pong) {
      this.#pings -= 1;
      return;
    }
    this.#toClient(typeof message === "string" ? message : new Uint8Array(message));
    this.#sent += sizeOf(message);
    this.#reportLater();
    if (unsentBytes(this.#client) > MAX_SOCKETS_BYTES_UNDER_WAY) this.#refuse(TOO_SLOW, SocketClose.tooSlow);
  }

  #reportLater(): void {
    if (this.#ended) return;
    this.#cancelReport ??= this.#parts.timers.after(REPORT_MS, () => this.#report());
  }

  /** Tells the object what the client has taken since the last report. */
  #report(): void {
    this.#cancelReport = undefined;
    const taken = this.#sent - unsentBytes(this.#client) - this.#reported;
    if (taken > 0) {
      this.#reported += taken;
      try {
        this.#object?.send(`${socketProtocol.taken}${taken}`);
      } catch {
        this.#objectGone(BROKE_OFF, "");
      }
    }
    if (this.#reported < this.#sent) this.#reportLater();
  }

  #toClient(message: string | Uint8Array): void {
    if (this.#ended) return;
    try {
      this.#client.send(message);
    } catch {
      this.#clientGone(BROKE_OFF, "");
    }
  }

  /** Sends the reason, and closes both sides. */
  #refuse(why: Failure, code: number = closeCodeOf(why.code)): void {
    this.#toClient(this.#isText ? textOfFrame([textOfError(0, why)]) : encodeServerFrame([errorResponse(0, why)]));
    this.#end();
    close(this.#client, code, closeReason(why.message));
    if (this.#object !== undefined) close(this.#object, 1000, "");
  }

  #clientGone(code: number, reason: string): void {
    if (this.#ended) return;
    this.#end();
    close(this.#client, passedOn(code, 1000), reason);
    if (this.#object !== undefined) close(this.#object, passedOn(code, 1000), reason);
  }

  #objectGone(code: number, reason: string): void {
    if (this.#ended) return;
    this.#end();
    close(this.#client, passedOn(code, SocketClose.again), reason);
  }

  #end(): void {
    this.#ended = true;
    this.#cancelWait();
    this.#cancelReport?.();
    this.#waiting.length = 0;
  }
}

function tokenAmong(requests: readonly SocketRequest[]): Extract<SocketRequest, { type: "token" }> | Failure {
  const [first, ...more] = requests;
  if (first?.type === "token" && more.length === 0) return first;
  return failure(
    "unauthenticated",
    'The first message must carry the token and nothing else, as in {"id":1,"token":"…"}.',
  );
}

function isReport(message: Message): message is string {
  return typeof message === "string" && message.startsWith(socketProtocol.taken);
}

function sizeOf(message: Message): number {
  return typeof message === "string" ? message.length : message.byteLength;
}

/** A code that a close frame may carry. */
function passedOn(code: number, otherwise: number): number {
  return isCarried(code) ? code : otherwise;
}

function close(socket: ObjectSocket, code: number, reason: string): void {
  try {
    socket.close(code, reason);
  } catch {
    // It was already closed, as intended.
  }
}

const NO_TOKEN = failure(
  "unauthenticated",
  `No token came within ${MAX_SOCKET_TOKEN_WAIT_MS / 1000} seconds. Send it first, or in a subprotocol.`,
);

const FIRST_TOO_LARGE = failure(
  "limit",
  `The first message of a socket without a token has at most ${MAX_SOCKET_TOKEN_FRAME_BYTES} bytes: the token and nothing else, as in {"id":1,"token":"…"}.`,
);

const TOO_MUCH = failure(
  "limit",
  `More than ${MAX_SOCKET_PENDING_BYTES} bytes were sent that the database has not taken yet.`,
);

const TOO_SLOW = failure("unavailable", "The messages of this socket were taken too slowly: connect again.");
