/**
 * One socket to a database's object (docs/spec/socket.md), over which the front carries the small reads and writes of all clients that have
 * the same grant. What arrives in one turn of the event loop goes in one frame, and the writes of a frame are one commit group. A request
 * is never sent a second time from here: its caller is told what is known of it.
 */
import { connect } from "node:net";
import { WebSocket } from "ws";
import {
  decodeServerFrame,
  decodeSocketError,
  encodeClientFrame,
  type SentRequest,
} from "../../codec/socket-client.ts";
import { SocketField, type SocketResponse } from "../../codec/socket.ts";
import { socketProtocol } from "../../contracts/socket.ts";
import type { UnixMs } from "../../core/clock.ts";
import { failure, type Failure, isErrorCode } from "../../core/errors.ts";
import {
  MAX_SESSION_ANSWER_BYTES,
  MAX_SESSION_FRAME_BYTES,
  MAX_SESSION_REQUESTS_IN_FLIGHT,
  MAX_SOCKET_FRAME_REQUESTS,
  MAX_SOCKET_PENDING_BYTES,
  SESSION_HANDSHAKE_MS,
} from "../../core/limits.ts";
import type { ProcessAddress } from "../process-address.ts";
import type { Guard } from "./guard.ts";

export type Outcome =
  /** With a message of the data path, the caller's to keep. */
  | { readonly type: "answered"; readonly body: Uint8Array }
  /** Nothing was done. */
  | { readonly type: "refused"; readonly why: Failure }
  /** Nothing was done, because it was never sent. */
  | { readonly type: "unsent" }
  /** It was sent, and perhaps done. */
  | { readonly type: "unknown" };

/** What is asked on a session. */
export interface Asked {
  readonly type: "read" | "write";
  /** A message of the data path. */
  readonly body: Uint8Array;
  /** Called once, unless it was withdrawn before it was sent. */
  settled(outcome: Outcome): void;
}

/** The data token of whoever asks. */
export interface ShownToken {
  readonly token: string;
  readonly endsAt: UnixMs;
}

export interface SessionParts {
  readonly address: ProcessAddress;
  readonly databaseId: string;
  readonly shown: ShownToken;
  /** `end`: what a handler that throws ends. */
  readonly guardFor: (end: () => void) => Guard;
  /** Called once, when nothing can be asked here any more. `isRefused`: the server would not have this socket. */
  readonly ended: (isRefused: boolean) => void;
}

/** The token is renewed when one is shown that ends so much later, or when it ends itself within so long. */
const RENEWED_BEFORE_MS = 60_000;

export class Session {
  readonly #ended: SessionParts["ended"];
  readonly #socket: WebSocket;
  readonly #guard: Guard;
  /** In the order in which they came. */
  readonly #waiting = new Set<Asked>();
  /** By their ids. */
  readonly #inFlight = new Map<number, Asked>();
  #bytesInFlight = 0;
  #lastId = 0;
  #tokenEndsAt: UnixMs;
  #renewal: string | null = null;
  #isOpen = false;
  #isDraining = false;
  #isPlanned = false;
  #isOver = false;

  constructor({ address, databaseId, shown, guardFor, ended }: SessionParts) {
    this.#ended = ended;
    this.#tokenEndsAt = shown.endsAt;
    this.#guard = guardFor(() => this.end());
    this.#socket = new WebSocket(`ws://localhost/api/databases/${databaseId}/socket`, socketProtocol.name, {
      headers: { authorization: `Bearer ${shown.token}` },
      createConnection: () => connect("path" in address ? address : { ...address, noDelay: true }),
      handshakeTimeout: SESSION_HANDSHAKE_MS,
      perMessageDeflate: false,
    });
    this.#guard.once(this.#socket, "upgrade", ({ headers }) => {
      // One that is refused is accepted only to be told why.
      if (headers[socketProtocol.objectHeader] === socketProtocol.untouched) this.#end(true);
    });
    this.#guard.once(this.#socket, "open", () => {
      this.#isOpen = true;
      this.#plan();
    });
    this.#guard.on(this.#socket, "message", (message) => this.#receive(message));
    // What went wrong is of no use to anybody: that the socket is closed says what follows from it.
    this.#guard.on(this.#socket, "error", () => undefined);
    this.#guard.once(this.#socket, "close", () => this.end());
  }

  get isBusy(): boolean {
    return this.#inFlight.size > 0 || this.#waiting.size > 0;
  }

  /** `shown`: a token with the grant of this session. */
  ask(asked: Asked, shown: ShownToken, now: UnixMs): void {
    if (this.#isOver) {
      asked.settled({ type: "unsent" });
      return;
    }
    const later = shown.endsAt - this.#tokenEndsAt;
    if (later > RENEWED_BEFORE_MS || (later > 0 && this.#tokenEndsAt - now < RENEWED_BEFORE_MS)) {
      this.#renewal = shown.token;
      this.#tokenEndsAt = shown.endsAt;
    }
    this.#waiting.add(asked);
    this.#plan();
  }

  /** Nobody waits for it any more. What was sent goes on. */
  withdraw(asked: Asked): void {
    this.#waiting.delete(asked);
  }

  /** Ends when what is under way is answered. */
  drain(): void {
    this.#isDraining = true;
    if (!this.isBusy) this.end();
  }

  end(): void {
    this.#end(false);
  }

  #end(isRefused: boolean): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#socket.terminate();
    this.#ended(isRefused || !this.#isOpen);
    const [sent, unsent] = [[...this.#inFlight.values()], [...this.#waiting]];
    this.#inFlight.clear();
    this.#waiting.clear();
    for (const asked of sent) asked.settled({ type: "unknown" });
    for (const asked of unsent) asked.settled({ type: "unsent" });
  }

  /** What arrives until this turn of the event loop is over is sent together. */
  #plan(): void {
    if (this.#isPlanned || !this.#isOpen || this.#waiting.size === 0) return;
    this.#isPlanned = true;
    this.#guard.soon(() => {
      this.#isPlanned = false;
      while (!this.#isOver && this.#sendFrame());
    });
  }

  /** Reads first, so that they wait for no write that came with them. Returns whether more may be sent. */
  #sendFrame(): boolean {
    const room = Math.min(MAX_SOCKET_FRAME_REQUESTS - 1, MAX_SESSION_REQUESTS_IN_FLIGHT - this.#inFlight.size);
    const reads: SentRequest[] = [];
    const writes: SentRequest[] = [];
    let bytes = 0;
    for (const asked of this.#waiting) {
      const isFull = reads.length + writes.length >= room || bytes > MAX_SESSION_FRAME_BYTES;
      if (isFull || this.#bytesInFlight + bytes > MAX_SOCKET_PENDING_BYTES / 2) break;
      this.#waiting.delete(asked);
      const { type, body } = asked;
      const id = this.#nextId();
      this.#inFlight.set(id, asked);
      bytes += body.length;
      if (type === "write") writes.push({ type, id, body });
      else reads.push({ type, id, body, maxBytes: MAX_SESSION_ANSWER_BYTES });
    }
    if (reads.length + writes.length === 0) return false;
    this.#bytesInFlight += bytes;
    const renewal = this.#renewal;
    this.#renewal = null;
    const first: SentRequest[] = renewal === null ? [] : [{ type: "token", id: this.#nextId(), token: renewal }];
    this.#socket.send(encodeClientFrame([...first, ...reads, ...writes]));
    return this.#waiting.size > 0;
  }

  #nextId(): number {
    do this.#lastId = this.#lastId === 0xffff_ffff ? 1 : this.#lastId + 1;
    while (this.#inFlight.has(this.#lastId));
    return this.#lastId;
  }

  #receive(message: unknown): void {
    // The library gives a message in one piece.
    const frame = message instanceof Uint8Array ? decodeServerFrame(message) : failure("internal", "no bytes");
    if (!frame.ok) {
      this.end();
      return;
    }
    for (const response of frame.responses) this.#answer(response);
    this.#plan();
    if (this.#isDraining && !this.isBusy) this.end();
  }

  #answer({ id, field, body }: SocketResponse): void {
    const asked = this.#inFlight.get(id);
    // The answer to a renewal; or, with the id 0, why the socket is closed next.
    if (asked === undefined) return;
    this.#inFlight.delete(id);
    this.#bytesInFlight -= asked.body.length;
    if (field === SocketField.read || field === SocketField.write) {
      // Not the view: an answer that waits for its client would keep the whole frame.
      asked.settled({ type: "answered", body: Buffer.from(body) });
    } else {
      asked.settled({ type: "refused", why: failureOf(body) });
    }
  }
}

function failureOf(body: Uint8Array): Failure {
  const error = decodeSocketError(body);
  return error.ok && isErrorCode(error.code) ? failure(error.code, error.message) : NOT_UNDERSTOOD;
}

const NOT_UNDERSTOOD = failure("internal", "The database answered in a way that this server does not understand.");
