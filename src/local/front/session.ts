/**
 * One socket to a database's object (docs/spec/socket.md), over which the front sends the small reads and writes of all clients with the
 * same grant. Requests that arrive in one turn of the event loop are sent in one frame, and the writes of a frame are one commit group. A
 * request is never sent a second time from here: its caller is told what is known of it.
 */
import {
  decodeServerFrame,
  decodeSocketError,
  encodeClientFrame,
  type SentRequest,
} from "../../codec/socket-client.ts";
import { SocketField, type SocketResponse } from "../../codec/socket.ts";
import type { UnixMs } from "../../core/clock.ts";
import { failure, type Failure, isErrorCode } from "../../core/errors.ts";
import {
  MAX_SESSION_ANSWER_BYTES,
  MAX_SESSION_FRAME_BYTES,
  MAX_SESSION_REQUESTS_IN_FLIGHT,
  MAX_SOCKET_FRAME_REQUESTS,
  MAX_SOCKET_PENDING_BYTES,
  MIN_SESSION_FRAME_READS,
  SESSION_FRAME_ANSWER_BYTES,
  SESSION_HANDSHAKE_MS,
} from "../../core/limits.ts";
import type { ProcessAddress } from "../process-address.ts";
import type { Guard } from "./guard.ts";
import { type ServerConnections, touchesNoObject } from "./server-connection.ts";
import { SessionSocket } from "./session-socket.ts";

export type Outcome =
  /** A message of the data path, which now belongs to the caller. */
  | { readonly type: "answered"; readonly body: Uint8Array }
  /** Nothing was done. */
  | { readonly type: "refused"; readonly why: Failure }
  /** Nothing was done, because the request was never sent. */
  | { readonly type: "unsent" }
  /** The request was sent, and may have been carried out. */
  | { readonly type: "unknown" };

/** A request on a session. */
export interface Asked {
  readonly type: "read" | "write";
  /** A message of the data path. */
  readonly body: Uint8Array;
  /** Called once, unless the request was withdrawn before it was sent. */
  settled(outcome: Outcome): void;
}

/** The data token of the client. */
export interface ShownToken {
  readonly token: string;
  readonly endsAt: UnixMs;
}

export interface SessionParts {
  readonly connections: ServerConnections;
  readonly address: ProcessAddress;
  readonly databaseId: string;
  readonly shown: ShownToken;
  /** `end` is called when a handler throws. */
  readonly guardFor: (end: () => void) => Guard;
  /** Called once, when no request can be sent here any more. `isRefused`: the server refused this socket. */
  readonly ended: (isRefused: boolean) => void;
}

/** The session's token is renewed when a client shows one that ends this much later, or when it ends within this time. */
const RENEWED_BEFORE_MS = 60_000;

/** How fast the average of answers follows them. */
const ANSWERS_AVERAGED = 16;

export class Session {
  readonly #ended: SessionParts["ended"];
  readonly #socket: SessionSocket;
  readonly #guard: Guard;
  /** In the order in which they came. */
  readonly #waiting = new Set<Asked>();
  /** By their ids. */
  readonly #inFlight = new Map<number, Asked>();
  #bytesInFlight = 0;
  /** Bytes that the answer to a read has, on the average of the last ones. */
  #answerBytes = 0;
  #lastId = 0;
  #tokenEndsAt: UnixMs;
  #renewal: string | null = null;
  #isOpen = false;
  #isDraining = false;
  #isPlanned = false;
  #isOver = false;

  constructor({ connections, address, databaseId, shown, guardFor, ended }: SessionParts) {
    this.#ended = ended;
    this.#tokenEndsAt = shown.endsAt;
    this.#guard = guardFor(() => this.end());
    const cancelTimer = this.#guard.after(SESSION_HANDSHAKE_MS, () => this.end());
    this.#socket = new SessionSocket(
      connections,
      address,
      { databaseId, token: shown.token },
      {
        opened: (headers) => {
          cancelTimer();
          // A refused socket is accepted only so that it can be told the reason.
          if (touchesNoObject(headers)) return this.#end(true);
          this.#isOpen = true;
          this.#plan();
        },
        message: (bytes) => this.#receive(bytes),
        closed: () => this.end(),
      },
    );
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

  /** Nobody waits for the request any more. If it was sent, it continues. */
  withdraw(asked: Asked): void {
    this.#waiting.delete(asked);
  }

  /** Ends when every request under way is answered. */
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
    this.#socket.end();
    this.#ended(isRefused || !this.#isOpen);
    const [sent, unsent] = [[...this.#inFlight.values()], [...this.#waiting]];
    this.#inFlight.clear();
    this.#waiting.clear();
    for (const asked of sent) asked.settled({ type: "unknown" });
    for (const asked of unsent) asked.settled({ type: "unsent" });
  }

  /** Requests that arrive before this turn of the event loop ends are sent together. */
  #plan(): void {
    if (this.#isPlanned || !this.#isOpen || this.#waiting.size === 0) return;
    this.#isPlanned = true;
    this.#guard.soon(() => {
      this.#isPlanned = false;
      this.#sendWaiting();
    });
  }

  /** Sends what there is room for. Reads come first, so that they do not wait for writes that came with them. */
  #sendWaiting(): void {
    const reads: SentRequest[] = [];
    const writes: SentRequest[] = [];
    for (const asked of this.#waiting) {
      const isFull = this.#inFlight.size >= MAX_SESSION_REQUESTS_IN_FLIGHT;
      if (isFull || this.#bytesInFlight > MAX_SOCKET_PENDING_BYTES / 2) break;
      this.#waiting.delete(asked);
      const { type, body } = asked;
      const id = this.#nextId();
      this.#inFlight.set(id, asked);
      this.#bytesInFlight += body.length;
      if (type === "write") writes.push({ type, id, body });
      else reads.push({ type, id, body, maxBytes: MAX_SESSION_ANSWER_BYTES });
    }
    if (reads.length + writes.length === 0) return;
    const renewal = this.#renewal;
    this.#renewal = null;
    const first: SentRequest[] = renewal === null ? [] : [{ type: "token", id: this.#nextId(), token: renewal }];
    const requests = [...first, ...reads, ...writes];
    const frames = requests.length === 1 ? [requests] : framesOf(requests, this.#readsOfFrame());
    for (const frame of frames) this.#socket.send(encodeClientFrame(frame));
  }

  /**
   * How many reads a frame has. While the database reads for one frame, the front and its clients are at work on the answers of the frame
   * before. So there are at least two frames where the reads are many, and a frame has fewer where their answers are large.
   */
  #readsOfFrame(): number {
    const byCount = Math.max(MIN_SESSION_FRAME_READS, Math.ceil(this.#inFlight.size / 2));
    const byAnswers = Math.floor(SESSION_FRAME_ANSWER_BYTES / Math.max(1, this.#answerBytes));
    return Math.max(1, Math.min(byCount, byAnswers));
  }

  #nextId(): number {
    do this.#lastId = this.#lastId === 0xffff_ffff ? 1 : this.#lastId + 1;
    while (this.#inFlight.has(this.#lastId));
    return this.#lastId;
  }

  #receive(message: Buffer): void {
    const frame = decodeServerFrame(message);
    if (!frame.ok) {
      this.end();
      return;
    }
    for (const response of frame.responses) this.#answer(response, message);
    this.#plan();
    if (this.#isDraining && !this.isBusy) this.end();
  }

  /** `frame`: the bytes of which the response's body is a part. */
  #answer({ id, field, body }: SocketResponse, frame: Buffer): void {
    const asked = this.#inFlight.get(id);
    // This is the answer to a renewal; or, with the id 0, the reason for which the socket is closed next.
    if (asked === undefined) return;
    this.#inFlight.delete(id);
    this.#bytesInFlight -= asked.body.length;
    if (field === SocketField.read) this.#answerBytes += (body.length - this.#answerBytes) / ANSWERS_AVERAGED;
    if (field === SocketField.read || field === SocketField.write) {
      // With a view, an answer that waits for its client keeps the whole frame. So only the greater part of a frame is no copy.
      asked.settled({ type: "answered", body: body.length > frame.length / 2 ? body : Buffer.from(body) });
    } else {
      asked.settled({ type: "refused", why: failureOf(body) });
    }
  }
}

/** The same requests in the same order. */
function framesOf(requests: readonly SentRequest[], maxReads: number): SentRequest[][] {
  let frame: SentRequest[] = [];
  const frames = [frame];
  let [reads, bytes] = [0, 0];
  for (const request of requests) {
    const isRead = request.type === "read";
    const isFull = frame.length === MAX_SOCKET_FRAME_REQUESTS || bytes > MAX_SESSION_FRAME_BYTES;
    if (isFull || (isRead && reads === maxReads)) {
      frames.push((frame = []));
      [reads, bytes] = [0, 0];
    }
    frame.push(request);
    if (isRead) reads += 1;
    if ("body" in request) bytes += request.body.length;
  }
  return frames;
}

function failureOf(body: Uint8Array): Failure {
  const error = decodeSocketError(body);
  return error.ok && isErrorCode(error.code) ? failure(error.code, error.message) : NOT_UNDERSTOOD;
}

const NOT_UNDERSTOOD = failure("internal", "The database answered in a way that this server does not understand.");
