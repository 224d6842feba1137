/**
 * The sockets of a database: which there are, when they end, and what they may keep in memory together. `socket-session.ts` handles one
 * socket.
 */
import type { Grant } from "../contracts/grant.ts";
import { asUnixMs, type UnixMs } from "../core/clock.ts";
import { failure, type Failure } from "../core/errors.ts";
import { MAX_SOCKETS, MAX_SOCKETS_PENDING_BYTES } from "../core/limits.ts";
import { BytesUnderWay } from "./bytes-under-way.ts";
import type { Account } from "../core/process-memory.ts";
import { alarmForExpiry } from "./expiry-task.ts";
import { type SessionParts, type SessionState, type SocketPeer, SocketSession } from "./socket-session.ts";

/** The tag of these sockets. Sockets for watches over KV Connect have the id of their token as their tag, in hexadecimal digits. */
export const SESSION_TAG = "session";

const EXPIRED = failure(
  "unauthenticated",
  "The token has expired. Exchange the access token again at the database's connect URL, and connect with the new one.",
);

export interface SocketSessionsParts extends Pick<
  SessionParts,
  "database" | "commits" | "room" | "refusedByMode" | "late" | "feeds" | "longWork" | "clock" | "timers" | "grantOf"
> {
  /** This object's part of the process's memory: for what sockets were sent, and for unanswered frames. */
  readonly memory: { readonly underWay: Account; readonly pending: Account };
  /** A socket must end at this time. */
  readonly dueBy: (at: UnixMs) => void;
}

export class SocketSessions {
  readonly #parts: SocketSessionsParts;
  readonly #underWay: BytesUnderWay;
  readonly #sessions = new Map<WebSocket, SocketSession>();
  readonly #ofSession: SessionParts;
  #pendingBytes = 0;

  /** `sockets`: those that were opened before the object slept. */
  constructor(sockets: readonly WebSocket[], parts: SocketSessionsParts) {
    this.#parts = parts;
    const { clock, timers, memory } = parts;
    this.#underWay = new BytesUnderWay({ clock, timers, account: memory.underWay });
    this.#ofSession = {
      ...parts,
      underWay: this.#underWay,
      takePending: (bytes) => {
        if (this.#pendingBytes + bytes > MAX_SOCKETS_PENDING_BYTES || !memory.pending.hasRoom(bytes)) return false;
        this.#pendingBytes += bytes;
        memory.pending.hold(this.#pendingBytes);
        return true;
      },
      givePendingBack: (bytes) => {
        this.#pendingBytes -= bytes;
        memory.pending.hold(this.#pendingBytes);
      },
      onGrant: (grant) => this.#planEnd(grant),
      onEnd: (session) => this.#sessions.delete(session.socket),
    };
    for (const socket of sockets) {
      // Every socket of ours got an attachment when it was accepted.
      const state = socket.deserializeAttachment() as SessionState;
      this.#add(socket, state).resume(state);
    }
  }

  /** Why there can be no more sockets. null: there can. */
  refusal(): Failure | null {
    if (this.#sessions.size < MAX_SOCKETS) return null;
    return failure("limit", `This database has ${MAX_SOCKETS} sockets, the most it takes at a time.`);
  }

  /** A socket was accepted. */
  opened(socket: WebSocket, peer: SocketPeer): void {
    this.#add(socket, peer).begin();
    this.#planEnd(peer.grant);
  }

  /** False: the socket is none of these. */
  message(socket: WebSocket, message: string | ArrayBuffer): boolean {
    const session = this.#sessions.get(socket);
    session?.receive(message);
    return session !== undefined;
  }

  closed(socket: WebSocket): void {
    this.#sessions.get(socket)?.gone();
  }

  /** Ends the sockets whose grant comes from this token. */
  revoke(tokenId: string, why: Failure): void {
    for (const session of this.#sessions.values()) if (session.grant.tokenId === tokenId) session.end(why);
  }

  /** The database is gone. */
  close(why: Failure): void {
    for (const session of this.#sessions.values()) session.end(why);
    this.#underWay.close();
  }

  /** Ends the sockets whose grants have ended. */
  endExpired(): void {
    const now = this.#parts.clock.now();
    for (const session of this.#sessions.values()) if (session.grant.expiresAt <= now) session.end(EXPIRED);
  }

  /** When the next grant ends. null: there are no sockets. */
  nextEnd(): UnixMs | null {
    let first = Number.POSITIVE_INFINITY;
    for (const { grant } of this.#sessions.values()) first = Math.min(first, grant.expiresAt);
    return first === Number.POSITIVE_INFINITY ? null : alarmForExpiry(asUnixMs(first));
  }

  #add(socket: WebSocket, peer: SocketPeer): SocketSession {
    const session = new SocketSession(socket, peer, this.#ofSession);
    this.#sessions.set(socket, session);
    return session;
  }

  #planEnd({ expiresAt }: Grant): void {
    this.#parts.dueBy(alarmForExpiry(expiresAt));
  }
}
