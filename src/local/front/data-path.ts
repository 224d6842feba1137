/**
 * KV Connect's data path at the front: small reads and writes go over a session, and are judged and answered by the door's own rules
 * (`doors/kv-connect/admission.ts`). All others take the long way, to the Worker: pages of other origins, watches, the past, large bodies,
 * large answers, and the first request with a token.
 */
import { STATUS_CODES } from "node:http";
import type { Grant } from "../../contracts/grant.ts";
import type { Clock } from "../../core/clock.ts";
import { MAX_SESSION_BODY_BYTES } from "../../core/limits.ts";
import { bearerToken } from "../../doors/http/bearer-token.ts";
import type { HeaderLookup } from "../../doors/http/header-lookup.ts";
import type { Sentence } from "../../doors/http/plain-text.ts";
import { admitted, type AdmissionParts, refusalOf } from "../../doors/kv-connect/admission.ts";
import type { Client, ServerProcess } from "./client.ts";
import type { ClientConnection } from "./client-connections.ts";
import type { Refusal } from "./refusals.ts";
import type { RequestSink } from "./server-connection.ts";
import type { Asked, Outcome, Session, ShownToken } from "./session.ts";
import type { Sessions } from "./sessions.ts";

/** Who asked. After one of these calls, or an `abandon`, there is no other. */
export interface SessionTaker {
  readonly connection: ClientConnection;
  /** With a message of the data path. */
  answered(body: Uint8Array): void;
  refused(refusal: Refusal): void;
  /** Nothing was done, or nothing but reading: the request may take the long way, with this body. */
  unanswered(body: Buffer): void;
  /** The request was sent, and perhaps done. */
  broken(sent: true): void;
}

/** How a request goes over a session. */
export interface ShortWay {
  readonly type: "read" | "write";
  readonly session: Session;
  readonly shown: ShownToken;
  readonly fields: HeaderLookup;
  readonly clock: Clock;
}

const DATA_PATH = /^\/databases\/([^/?]+)\/(snapshot_read|atomic_write)$/;

export class DataPath {
  readonly #admission: () => AdmissionParts | undefined;
  readonly #sessions: Sessions;

  /** `admission`: undefined where the front does not know the deployment's keys. */
  constructor(admission: () => AdmissionParts | undefined, sessions: Sessions) {
    this.#admission = admission;
    this.#sessions = sessions;
  }

  /** Undefined: the request takes the long way. */
  shortWay({ method, path, body, fields }: Client, server: ServerProcess): ShortWay | Refusal | undefined {
    if (method !== "POST" || typeof body !== "number" || body === 0 || body > MAX_SESSION_BODY_BYTES) return undefined;
    const [, databaseId, name] = DATA_PATH.exec(path) ?? [];
    const admission = this.#admission();
    if (databaseId === undefined || admission === undefined || fields.get("origin") !== null) return undefined;
    const operation = name === "atomic_write" ? "atomic_write" : "snapshot_read";
    const judged = admitted(admission, { operation, databaseId, at: undefined, headers: fields, origin: null });
    // From the next request on the token is known.
    if (judged instanceof Promise) return undefined;
    if ("status" in judged) return refusalBy(judged);
    const shown = shownBy(fields, judged);
    const session = this.#sessions.for(server, databaseId, judged, shown);
    if (session === undefined) return undefined;
    const type = operation === "atomic_write" ? "write" : "read";
    return { type, session, shown, fields, clock: admission.clock };
  }
}

/** Takes the body of a request, and asks when it is whole. */
export class SessionRequest implements RequestSink, Asked {
  readonly type: Asked["type"];
  isWanted = true;
  readonly #way: ShortWay;
  readonly #taker: SessionTaker;
  readonly #pieces: Buffer[] = [];
  #whole: Buffer | undefined;

  constructor(way: ShortWay, taker: SessionTaker) {
    this.type = way.type;
    this.#way = way;
    this.#taker = taker;
  }

  get body(): Buffer {
    const [first, ...more] = this.#pieces;
    this.#whole ??= first !== undefined && more.length === 0 ? first : Buffer.concat(this.#pieces);
    return this.#whole;
  }

  write(piece: Buffer): boolean {
    this.#pieces.push(piece);
    return true;
  }

  end(): void {
    const { session, shown, clock } = this.#way;
    session.ask(this, shown, clock.now());
  }

  pause(): void {
    // Its answer comes in one piece, of a size that is bounded.
  }

  resume(): void {
    // As above.
  }

  abandon(): void {
    this.isWanted = false;
  }

  settled(outcome: Outcome): void {
    if (!this.isWanted) return;
    this.isWanted = false;
    this.#taker.connection.guard.run(() => this.#tell(outcome));
  }

  #tell(outcome: Outcome): void {
    switch (outcome.type) {
      case "answered":
        this.#taker.answered(outcome.body);
        return;
      case "refused":
        // Too large an answer for a session, or more than the database can hold for its sockets.
        if (this.type === "read" && (outcome.why.code === "limit" || outcome.why.code === "unavailable")) {
          this.#taker.unanswered(this.body);
        } else {
          this.#taker.refused(refusalBy(refusalOf(this.#way.fields, this.body, outcome.why)));
        }
        return;
      case "unsent":
        this.#taker.unanswered(this.body);
        return;
      case "unknown":
        if (this.type === "read") this.#taker.unanswered(this.body);
        else this.#taker.broken(true);
    }
  }
}

/** `grant`: that of the token which these headers show. */
function shownBy(fields: HeaderLookup, { expiresAt }: Grant): ShownToken {
  const token = bearerToken(fields);
  if (typeof token !== "string") throw new Error("expected a request that was admitted to show a token");
  return { token, endsAt: expiresAt };
}

function refusalBy({ status, text, headers }: Sentence): Refusal {
  return { status, reason: STATUS_CODES[status] ?? "", headers, sentence: text };
}
