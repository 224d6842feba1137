/**
 * One socket of a client (docs/spec/socket.md): divides its frames into requests, carries them out in order, and answers. What the socket
 * needs after the object has slept, its grant and its watches, is in its attachment. Nothing else is stored, because an object with
 * requests under way does not sleep.
 *
 * Frames are begun in the order in which they came. The end of a frame does not wait for its writes, so frames that come close together
 * share a commit. Within a frame a read sees the writes before it.
 */
import { decodeAtomicWrite, decodeSnapshotRead, withExpiries } from "../codec/datapath.ts";
import { decodeClientFrame, type ReadRequest, type SocketRequest } from "../codec/socket.ts";
import { decodeTextFrame } from "../codec/socket-text.ts";
import {
  type Access,
  admittedRanges,
  type Grant,
  refusedAccess,
  refusedPage,
  refusedWrite,
} from "../contracts/grant.ts";
import { closeCodeOf, closeReason, SocketClose, socketProtocol, unsentBytes } from "../contracts/socket.ts";
import { unreachable } from "../core/assert.ts";
import type { Clock } from "../core/clock.ts";
import { failure, type Failure, isFailure } from "../core/errors.ts";
import { MAX_GROUP_BYTES, MAX_GROUP_CHANGES, MAX_SOCKET_ANSWER_BYTES, MAX_SOCKET_FRAME_BYTES } from "../core/limits.ts";
import type { Timers } from "../core/timers.ts";
import type { CommitOutcome } from "../engine/commit-path.ts";
import { firstPiece, type WorkTurns } from "../core/process-turns.ts";
import type { Database } from "../engine/database.ts";
import type { BytesUnderWay, Sender } from "./bytes-under-way.ts";
import { changesOf, type CommitQueue, type SubmittedWrite, writeMemory } from "./commit-queue.ts";
import type { Feeds } from "./feeds.ts";
import { entriesOfRanges, isLongRead } from "./long-reads.ts";
import type { LateWatchers } from "./late-watchers.ts";
import type { Room } from "./room.ts";
import { type Form, SocketAnswers } from "./socket-answers.ts";
import { type AttachedWatches, SocketWatches } from "./socket-watches.ts";
import { UnansweredRequests, type UnansweredRequestsParts } from "./unanswered-requests.ts";

/** The attachment of a socket. */
export interface SessionState extends SocketPeer {
  readonly watches: AttachedWatches;
}

/** Who holds the other end of a socket. */
export interface SocketPeer {
  readonly grant: Grant;
  /** The origin of the page that opened the socket, when that is a page of another origin. */
  readonly page: string | null;
  /** Whether it is the Worker, which passes messages on and reports what the client has taken. */
  readonly isRelayed: boolean;
}

export interface SessionParts extends Omit<UnansweredRequestsParts, "isWatch"> {
  readonly database: Pick<Database, "read" | "watches">;
  readonly commits: Pick<CommitQueue, "submitAll">;
  readonly room: Pick<Room, "refusal">;
  readonly refusedByMode: (access: Access) => Failure | null;
  readonly late: LateWatchers;
  readonly feeds: Pick<Feeds, "refusal" | "oldest" | "before">;
  readonly underWay: BytesUnderWay;
  /** The turns of the organization's long requests in the process. */
  readonly longWork: WorkTurns;
  readonly clock: Clock;
  readonly timers: Timers;
  /** What a data token of this database grants. */
  readonly grantOf: (token: string) => Grant | Failure | Promise<Grant | Failure>;
  /** The socket has another grant. */
  readonly onGrant: (grant: Grant) => void;
  /** The socket has ended, whichever side ended it. */
  readonly onEnd: (session: SocketSession) => void;
}

/** Bytes or characters that are made in less than a millisecond. */
const MAX_SHORT_MESSAGE = 16 * 1024;

interface Frame {
  readonly requests: readonly SocketRequest[];
  /** The form of each answer. Without one: binary. */
  readonly forms: readonly Form[];
  readonly bytes: number;
}

interface AskedRead {
  readonly id: number;
  readonly form: Form;
  readonly read: ReturnType<typeof decodeSnapshotRead>;
  /** Bytes that the answer may have. */
  readonly most: number;
}

interface AskedWrite extends SubmittedWrite {
  readonly id: number;
  readonly form: Form;
}

export class SocketSession implements Sender {
  readonly socket: WebSocket;
  readonly #parts: SessionParts;
  readonly #answers: SocketAnswers;
  readonly #watches: SocketWatches;
  readonly #unanswered: UnansweredRequests;
  readonly #frames: Frame[] = [];
  #grant: Grant;
  readonly #page: string | null;
  readonly #isRelayed: boolean;
  /** What a relayed socket was sent, and its client has not taken by the last report. */
  #untaken = 0;
  /** Whether the last message was the work of milliseconds. */
  #sentMuch = false;
  #running = false;
  #ended = false;
  /** Why it was ended. null: it was not, or its peer is gone. */
  #endedBy: Failure | null = null;
  /** The form in which errors of the whole socket are sent. */
  #form: Form = "notation";

  constructor(socket: WebSocket, { grant, page, isRelayed }: SocketPeer, parts: SessionParts) {
    this.socket = socket;
    this.#parts = parts;
    this.#grant = grant;
    this.#page = page;
    this.#isRelayed = isRelayed;
    this.#answers = new SocketAnswers((message) => this.#send(message));
    this.#watches = new SocketWatches({
      hub: parts.database.watches,
      late: parts.late,
      feeds: parts.feeds,
      timers: parts.timers,
      answers: this.#answers,
      remember: () => this.#remember(),
    });
    const { takePending, givePendingBack } = parts;
    this.#unanswered = new UnansweredRequests({ takePending, givePendingBack, isWatch: (id) => this.#watches.has(id) });
  }

  get grant(): Grant {
    return this.#grant;
  }

  get bytesUnderWay(): number {
    return Math.max(unsentBytes(this.socket), this.#untaken);
  }

  /** The socket was accepted. */
  begin(): void {
    this.#remember();
  }

  /** The object has slept in between. */
  resume({ watches }: SessionState): void {
    if (watches === "too long") {
      this.end(failure("unavailable", "The watches of this socket were too many to be remembered: connect again"));
      return;
    }
    this.#watches.resume(watches);
  }

  receive(message: string | ArrayBuffer): void {
    if (this.#ended) return;
    if (this.#isRelayed && typeof message === "string" && message.startsWith(socketProtocol.taken)) {
      // Of what was sent before the object slept, nothing is counted any more.
      this.#untaken = Math.max(0, this.#untaken - Number(message.slice(socketProtocol.taken.length)));
      return;
    }
    this.#form = typeof message === "string" ? "notation" : "binary";
    const bytes = sizeOf(message);
    if (bytes > MAX_SOCKET_FRAME_BYTES) {
      this.end(failure("limit", `The frame has ${bytes} bytes; the limit is ${MAX_SOCKET_FRAME_BYTES}.`));
      return;
    }
    const frame = frameOf(message, bytes);
    const refused = isFailure(frame) ? frame : this.#admit(frame);
    if (refused !== null) {
      this.end(refused);
    } else if (!isFailure(frame)) {
      this.#frames.push(frame);
      if (!this.#running) void this.#run();
    }
  }

  /** Sends the reason, and closes the socket. */
  end(why: Failure, code: number = closeCodeOf(why.code)): void {
    if (this.#ended) return;
    this.#endedBy = why;
    this.#answers.error(0, why, this.#form);
    this.#answers.flush();
    this.gone();
    try {
      this.socket.close(code, closeReason(why.message));
    } catch {
      // The socket closed at this moment: the peer is gone, as intended.
    }
  }

  giveUp(): void {
    this.end(
      failure("unavailable", "The messages of this socket were taken too slowly: connect again"),
      SocketClose.tooSlow,
    );
  }

  /** The socket is closed, or nothing is to be done for it any more. */
  gone(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#watches.close();
    this.#unanswered.clear();
    this.#frames.length = 0;
    this.#parts.underWay.gone(this);
    this.#parts.onEnd(this);
  }

  /** Why the whole socket is refused because of the frame. null: the frame's requests are under way, or were refused for lack of room. */
  #admit(frame: Frame): Failure | null {
    const admitted = this.#unanswered.admit(frame.requests, frame.bytes);
    if (isFailure(admitted)) return admitted;
    if (!admitted) {
      for (const [index, { id, type }] of frame.requests.entries()) {
        if (type !== "ack") this.#answers.error(id, NO_ROOM, formOf(frame, index));
      }
    }
    return null;
  }

  async #run(): Promise<void> {
    this.#running = true;
    try {
      for (let frame = this.#frames.shift(); frame !== undefined; frame = this.#frames.shift())
        await this.#carryOut(frame);
    } catch (error) {
      console.error("a request on a socket failed:", error);
      this.end(failure("internal", "A request failed because of an error in this server."));
    } finally {
      this.#running = false;
    }
  }

  async #carryOut(frame: Frame): Promise<void> {
    const { requests } = frame;
    for (let index = 0; index < requests.length && !this.#ended;) {
      if (!this.#parts.underWay.hasRoom(this)) await this.#parts.underWay.room(this);
      const request = requests[index];
      const form = formOf(frame, index);
      // A request for which there was no room is already answered, and an acknowledgement gets no answer.
      if (request === undefined || this.#ended) return;
      if (request.type !== "ack" && !this.#unanswered.has(request.id)) {
        index += 1;
      } else if (request.type === "write") {
        const group = this.#takeWrites(frame, index);
        index = group.next;
        const admitted = this.#withRoom(group.writes);
        const applied = this.#write(admitted instanceof Promise ? await admitted : admitted);
        if (applied !== undefined && index < requests.length) await applied;
      } else {
        index += 1;
        const waits = this.#carryOutOne(request, form);
        if (waits !== undefined) await waits;
      }
    }
  }

  #carryOutOne(request: Exclude<SocketRequest, { type: "write" }>, form: Form): Promise<void> | undefined {
    switch (request.type) {
      case "read":
        return this.#read(request, form);
      case "watch":
        return this.#openWatch(request, form);
      case "watchPrefix":
        return this.#atTurn(request.id, form, () => this.#openWatch(request, form));
      case "feed":
        return this.#atTurn(request.id, form, () => this.#openFeed(request.id, request.body, form));
      case "unwatch":
        this.#watches.end(request.watch);
        this.#unanswered.answered(request.id);
        this.#answers.done(request.id, form);
        return undefined;
      case "ack":
        return this.#acknowledge(request.watch);
      case "token":
        return this.#renew(request.id, request.token, form);
      case "refused":
        this.#fail(request.id, request.why, form);
        return undefined;
      default:
        return unreachable(request);
    }
  }

  #openWatch(request: Extract<SocketRequest, { type: "watch" | "watchPrefix" }>, form: Form): undefined {
    const refused = this.#refusal("read") ?? this.#watches.open(request, form, this.#grant);
    if (refused === null) this.#unanswered.answered(request.id);
    else this.#fail(request.id, refused, form);
  }

  /** The next update of a watch of which the last one was large may be large, too. */
  #acknowledge(watch: number): Promise<void> | undefined {
    const { longWork } = this.#parts;
    const acknowledge = (): void => {
      longWork.piece(() => this.#watches.acknowledge(watch));
    };
    if (this.#sentMuch && !longWork.isAlone) return longWork.next().then(acknowledge);
    acknowledge();
    return undefined;
  }

  async #openFeed(id: number, body: Uint8Array, form: Form): Promise<void> {
    const refused = this.#refusal("read") ?? (await this.#watches.openFeed(id, body, form, this.#grant));
    if (this.#ended) return;
    if (refused === null) this.#unanswered.answered(id);
    else this.#fail(id, refused, form);
  }

  /** A promise that settles when the read is answered. undefined: it already is. */
  #read({ id, body, maxBytes = MAX_SOCKET_ANSWER_BYTES }: ReadRequest, form: Form): Promise<void> | undefined {
    const read = decodeSnapshotRead(body);
    const asked = { id, form, read, most: Math.min(maxBytes, MAX_SOCKET_ANSWER_BYTES) };
    if (!read.ok || !isLongRead(entriesOfRanges(read.ranges))) return this.#readNow(asked);
    return this.#atTurn(id, form, () => this.#readNow(asked));
  }

  /** Work that may take milliseconds. */
  #atTurn(id: number, form: Form, work: () => Promise<void> | undefined): Promise<void> | undefined {
    const done = firstPiece(this.#parts.longWork, () => (this.#ended ? undefined : work()));
    return done?.then((refused) => {
      if (refused !== undefined) this.#fail(id, refused, form);
    });
  }

  #readNow(asked: AskedRead): Promise<void> | undefined {
    const { id, form, most } = asked;
    const allowance = this.#parts.underWay.allowance(this);
    if (this.#readUpTo(Math.min(most, allowance), asked)) return undefined;
    if (most > allowance) return this.#readInTurn(asked);
    this.#fail(id, tooLarge(most), form);
    return undefined;
  }

  /** Sends an answer that is larger than this socket's share. */
  async #readInTurn(asked: AskedRead): Promise<void> {
    const { id, form, most } = asked;
    await this.#parts.underWay.turn(this, most);
    if (this.#ended) return;
    if (!this.#readUpTo(most, asked)) this.#fail(id, tooLarge(most), form);
    this.#answers.flush();
    this.#parts.underWay.largeSent(this);
  }

  /** False: the read was not answered, because the answer is larger. */
  #readUpTo(most: number, { id, form, read: decoded }: AskedRead): boolean {
    const read = this.#refusal("read") ?? decoded;
    if (!read.ok) {
      this.#fail(id, read, form);
      return true;
    }
    const entries = this.#parts.database.read(admittedRanges(this.#grant, read.ranges), most);
    if (entries === null) return false;
    this.#unanswered.answered(id);
    this.#answers.read(id, read.expiries === true ? withExpiries(entries) : entries, form);
    return true;
  }

  /** The consecutive writes from there on, decoded, as many as one group holds. Refused writes are answered. */
  #takeWrites(frame: Frame, from: number): { readonly writes: readonly AskedWrite[]; readonly next: number } {
    const writes: AskedWrite[] = [];
    let next = from;
    let kept = 0;
    let changes = 0;
    for (; next < frame.requests.length && kept < MAX_GROUP_BYTES && changes < MAX_GROUP_CHANGES; next++) {
      const request = frame.requests[next];
      if (request?.type !== "write") break;
      const form = formOf(frame, next);
      const { id, body } = request;
      const decoded = this.#refusal("write") ?? decodeAtomicWrite(body);
      const refused = decoded.ok ? refusedWrite(this.#grant, decoded.write) : decoded;
      if (refused === null && decoded.ok) {
        const bytes = writeMemory(decoded.write, body.length);
        kept += bytes;
        changes += changesOf(decoded.write);
        writes.push({ id, form, write: decoded.write, bytes, refusal: this.#refusalOfWrite });
      } else if (refused !== null) {
        this.#fail(id, refused, form);
      }
    }
    return { writes, next };
  }

  /** The writes that there is room to store. The others are answered. */
  #withRoom(asked: readonly AskedWrite[]): readonly AskedWrite[] | Promise<readonly AskedWrite[]> {
    const refusals = asked.map(({ write, bytes }) => this.#parts.room.refusal(write, bytes));
    const settle = (settled: readonly (Failure | null)[]): readonly AskedWrite[] =>
      asked.filter(({ id, form }, index) => {
        const refused = settled[index] ?? null;
        if (refused !== null) this.#fail(id, refused, form);
        return refused === null;
      });
    const known: (Failure | null)[] = [];
    for (const refused of refusals) if (!(refused instanceof Promise)) known.push(refused);
    if (known.length === refusals.length) return settle(known);
    return Promise.all(refusals.map((refused) => Promise.resolve(refused))).then(settle);
  }

  /** A promise that settles when the writes are applied and answered. undefined: they already are. */
  #write(admitted: readonly AskedWrite[]): Promise<void> | undefined {
    if (admitted.length === 0 || this.#ended) return undefined;
    const outcomes = this.#parts.commits.submitAll(admitted);
    const answer = (settled: readonly CommitOutcome[]): void => {
      for (const [index, { id, form }] of admitted.entries()) {
        const outcome = settled[index];
        if (outcome === undefined) continue;
        if ("code" in outcome) {
          this.#fail(id, outcome, form);
        } else {
          this.#unanswered.answered(id);
          this.#answers.write(id, outcome, form);
        }
      }
    };
    if (outcomes instanceof Promise) return outcomes.then(answer);
    answer(outcomes);
    return undefined;
  }

  async #renew(id: number, token: string, form: Form): Promise<void> {
    const grant = await this.#parts.grantOf(token);
    if (this.#ended) return;
    const refused = isFailure(grant) ? grant : refusedPage(grant, this.#page);
    if (refused !== null) this.#fail(id, refused, form);
    if (refused !== null || isFailure(grant)) return;
    this.#grant = grant;
    this.#watches.endForbidden(grant, this.#refusal("read"));
    this.#remember();
    this.#parts.onGrant(grant);
    this.#unanswered.answered(id);
    this.#answers.done(id, form);
  }

  #refusal(access: Access): Failure | null {
    return refusedAccess(this.#grant, access, this.#parts.clock.now()) ?? this.#parts.refusedByMode(access);
  }

  /** For a write that has waited. Its socket may have been ended because the token was revoked. What a peer sent before it went is written. */
  readonly #refusalOfWrite = (): Failure | null => this.#endedBy ?? this.#refusal("write");

  #fail(id: number, why: Failure, form: Form): void {
    this.#unanswered.answered(id);
    this.#answers.error(id, why, form);
  }

  #remember(): void {
    if (this.#ended) return;
    const attached: SessionState = {
      grant: this.#grant,
      page: this.#page,
      isRelayed: this.#isRelayed,
      watches: this.#watches.attached(),
    };
    this.socket.serializeAttachment(attached);
  }

  #send(message: Uint8Array<ArrayBuffer> | string): void {
    if (this.#ended) return;
    try {
      this.socket.send(message);
      this.#sentMuch = sizeOf(message) > MAX_SHORT_MESSAGE;
      if (this.#isRelayed) this.#untaken += sizeOf(message);
      this.#parts.underWay.sent(this);
    } catch {
      // The peer is gone, and the close event is on its way or was lost. In both cases nobody waits here any more. The session ends a
      // little later, because the hub may be telling others at this moment.
      queueMicrotask(() => this.gone());
    }
  }
}

function sizeOf(message: string | ArrayBuffer | Uint8Array): number {
  return typeof message === "string" ? message.length : message.byteLength;
}

function formOf({ forms }: Frame, index: number): Form {
  return forms[index] ?? "binary";
}

function frameOf(message: string | ArrayBuffer, bytes: number): Frame | Failure {
  if (typeof message === "string") {
    const decoded = decodeTextFrame(message);
    if (!decoded.ok) return decoded;
    const { requests } = decoded;
    return { requests, forms: requests.map(({ plain }) => (plain ? "plain" : "notation")), bytes };
  }
  const decoded = decodeClientFrame(new Uint8Array(message));
  return decoded.ok ? { requests: decoded.requests, forms: [], bytes } : decoded;
}

function tooLarge(most: number): Failure {
  const whose = most === MAX_SOCKET_ANSWER_BYTES ? "the limit on a socket" : "its own limit";
  return failure(
    "limit",
    `The entries that the read asks for have more than ${most} bytes, ${whose}. Lower the limit of its ranges, or send it over HTTP.`,
  );
}

const NO_ROOM = failure(
  "unavailable",
  "The sockets of this database, or of the server, have sent more than can be answered at a time: try again",
);
