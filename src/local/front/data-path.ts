/**
 * The data path at the front. Small reads and writes of KV Connect, and single entries over plain HTTP, go over a session. The doors' own
 * rules judge and answer them (`doors/kv-connect/admission.ts`, `doors/rest/small-entry.ts`). All other requests go to the Worker: from pages of other origins, watches, reads of the past, large
 * bodies, large answers, and the first request with a token.
 */
import { STATUS_CODES } from "node:http";
import type { Grant } from "../../contracts/grant.ts";
import type { Clock } from "../../core/clock.ts";
import { MAX_SESSION_BODY_BYTES } from "../../core/limits.ts";
import type { HeaderLookup } from "../../doors/http/header-lookup.ts";
import type { Sentence } from "../../doors/http/plain-text.ts";
import { admitted, type AdmissionParts, refusalOf } from "../../doors/kv-connect/admission.ts";
import { PROTOBUF_TYPE } from "../../doors/kv-connect/responses.ts";
import { answerTo, messageOf, type SmallEntry } from "../../doors/rest/small-entry.ts";
import type { AnswerHead, Client, ServerProcess } from "./client.ts";
import type { ClientConnection } from "./client-connections.ts";
import type { Refusal } from "./refusals.ts";
import type { RequestSink } from "./server-connection.ts";
import type { Asked, Outcome, Session, ShownToken } from "./session.ts";
import type { Sessions } from "./sessions.ts";
import type { SmallHead } from "./small-head.ts";

const NO_BYTES = Buffer.alloc(0);

/** Takes the answer to a request. After one of these calls, or an `abandon`, there is no other call. */
export interface SessionTaker {
  readonly connection: ClientConnection;
  answered(body: Uint8Array, head: AnswerHead): void;
  refused(refusal: Refusal): void;
  /** Nothing was done, or only a read: the request may be sent to the Worker, with this body. */
  unanswered(body: Buffer): void;
  /** The request was sent, and may have been carried out. */
  broken(sent: true): void;
}

/** What a request needs to go over a session. */
export interface ShortWay {
  readonly session: Session;
  readonly shown: ShownToken;
  readonly clock: Clock;
}

export type Way = ShortWay | Refusal | undefined;

/** A request that may go over a session. */
export interface SmallRequest {
  readonly head: SmallHead;
  /** Bytes of its body. */
  readonly bytes: number;
}

export class DataPath {
  readonly #admission: () => AdmissionParts | undefined;
  readonly #sessions: Sessions;

  /** `admission`: undefined where the front does not know the deployment's keys. */
  constructor(admission: () => AdmissionParts | undefined, sessions: Sessions) {
    this.#admission = admission;
    this.#sessions = sessions;
  }

  /** Undefined: the request must be sent to the Worker. */
  smallRequest({ method, body, facts }: Client): SmallRequest | undefined {
    const bytes = body === "none" ? 0 : body;
    if (typeof bytes !== "number" || bytes > MAX_SESSION_BODY_BYTES) return undefined;
    // A body belongs to these methods, and to no other.
    if (this.#admission() === undefined || bytes > 0 !== (method === "POST" || method === "PUT")) return undefined;
    const head = facts.small;
    return head === undefined ? undefined : { head, bytes };
  }

  /**
   * The session for the request, or why it is refused. undefined: it must be sent to the Worker. No promise for a token that is known.
   */
  way({ head }: SmallRequest, server: ServerProcess): Way | Promise<Way> {
    const admission = this.#admission();
    if (admission === undefined) return undefined;
    const judged = admitted(admission, head.data);
    if (judged instanceof Promise) return judged.then((settled) => this.#found(admission, head, settled, server));
    return this.#found(admission, head, judged, server);
  }

  #found({ clock }: AdmissionParts, { data, entry }: SmallHead, judged: Grant | Sentence, server: ServerProcess): Way {
    // In the form of its own door, which is the Worker's to give.
    if ("status" in judged) return entry === undefined ? refusalBy(judged) : undefined;
    const { token, databaseId } = data;
    if (typeof token !== "string") throw new Error("expected a request that was admitted to show a token");
    const shown = { token, endsAt: judged.expiresAt };
    const session = this.#sessions.for(server, databaseId, judged, shown);
    return session === undefined ? undefined : { session, shown, clock };
  }
}

/** Collects the body of a request, and sends the request when the body is complete. */
export class SessionRequest implements RequestSink, Asked {
  readonly type: Asked["type"];
  readonly #fields: HeaderLookup;
  readonly #entry: SmallEntry | undefined;
  readonly #taker: SessionTaker;
  #way: Way | Promise<Way>;
  readonly #bytes: number;
  /** The body as far as it has come. */
  #body: Buffer = NO_BYTES;
  #come = 0;
  #isWhole = false;
  /** Of an entry over plain HTTP, what its body comes to. */
  #message: Uint8Array | undefined;
  /** The taker has got the result, or does not want it any more. */
  #isOver = false;

  constructor(
    { head: { type, fields, entry }, bytes }: SmallRequest,
    way: ShortWay | Promise<Way>,
    taker: SessionTaker,
  ) {
    this.type = type;
    this.#fields = fields;
    this.#entry = entry;
    this.#bytes = bytes;
    this.#taker = taker;
    this.#way = way;
    if (!(way instanceof Promise)) return;
    void way.then(
      (found) => this.#found(found),
      (error: unknown) =>
        taker.connection.guard.run(() => {
          throw error;
        }),
    );
  }

  /** May only be read when the body is complete. */
  get body(): Uint8Array {
    return this.#message ?? this.#body;
  }

  /** The pieces are put together at once: in tiny ones, a small body would take a hundred times its size. */
  write(piece: Buffer): boolean {
    if (piece.length === this.#bytes) {
      this.#body = piece;
    } else {
      if (this.#come === 0) this.#body = Buffer.allocUnsafe(this.#bytes);
      piece.copy(this.#body, this.#come);
    }
    this.#come += piece.length;
    return true;
  }

  end(): void {
    this.#isWhole = true;
    this.#ask();
  }

  pause(): void {
    // The answer comes in one piece of bounded size.
  }

  resume(): void {
    // Nothing was paused.
  }

  abandon(): void {
    this.#isOver = true;
    if (this.#way !== undefined && "session" in this.#way) this.#way.session.withdraw(this);
  }

  settled(outcome: Outcome): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#taker.connection.guard.run(() => this.#tell(outcome));
  }

  #found(way: Way): void {
    this.#way = way;
    if (this.#isOver) return;
    if (way !== undefined && "status" in way) {
      this.#isOver = true;
      this.#taker.connection.guard.run(() => this.#taker.refused(way));
    } else if (this.#isWhole) {
      this.#ask();
    }
  }

  /** Sends the request as soon as it is complete and its session is known. */
  #ask(): void {
    const way = this.#way;
    if (way instanceof Promise || this.#isOver) return;
    if (this.#entry !== undefined) this.#message = messageOf(this.#entry, this.#body);
    const isReady = this.#entry === undefined || this.#message !== undefined;
    if (isReady && way !== undefined && "session" in way) way.session.ask(this, way.shown, way.clock.now());
    else this.settled({ type: "unsent" });
  }

  #tell(outcome: Outcome): void {
    switch (outcome.type) {
      case "answered":
        this.#answered(outcome.body);
        return;
      case "refused":
        if (this.#entry !== undefined) return this.#taker.unanswered(this.#body);
        // The answer is too large for a session, or for what the database may hold for its sockets.
        if (this.type === "read" && (outcome.why.code === "limit" || outcome.why.code === "unavailable")) {
          this.#taker.unanswered(this.#body);
        } else {
          this.#taker.refused(refusalBy(refusalOf(this.#fields, this.#body, outcome.why)));
        }
        return;
      case "unsent":
        this.#taker.unanswered(this.#body);
        return;
      case "unknown":
        if (this.type === "read") this.#taker.unanswered(this.#body);
        else this.#taker.broken(true);
    }
  }

  #answered(message: Uint8Array): void {
    if (this.#entry === undefined) return this.#taker.answered(message, KV_CONNECT_ANSWER);
    const answer = answerTo(this.#entry, message);
    if (answer !== undefined) {
      const { status, headers, text } = answer;
      this.#taker.answered(encoder.encode(text), { status, pairs: Object.entries(headers).flat() });
    } else if (this.type === "read") {
      this.#taker.unanswered(this.#body);
    } else {
      this.#taker.broken(true);
    }
  }
}

const KV_CONNECT_ANSWER: AnswerHead = { status: 200, pairs: ["content-type", PROTOBUF_TYPE] };

const encoder = new TextEncoder();

function refusalBy({ status, text, headers }: Sentence): Refusal {
  return { status, reason: STATUS_CODES[status] ?? "", headers, sentence: text };
}
