/**
 * The sessions of the front: one for each database and grant that clients use at present. A request that finds no session is sent to the
 * Worker. So no request waits for a session: neither when there are too many, nor where the server has just refused one.
 */
import type { Grant } from "../../contracts/grant.ts";
import { MAX_IDLE_SESSION_MS, SESSION_REFUSED_MS } from "../../core/limits.ts";
import type { FrontClock } from "./clock.ts";
import type { ServerProcess } from "./client.ts";
import { Guard, type ReportBug } from "./guard.ts";
import type { ServerConnections } from "./server-connection.ts";
import { Session, type ShownToken } from "./session.ts";

interface Held {
  readonly server: ServerProcess;
  readonly session: Session;
  usedAt: number;
}

export class Sessions {
  readonly #connections: ServerConnections;
  readonly #count: number;
  readonly #clock: Pick<FrontClock, "now">;
  readonly #report: ReportBug;
  /** By key. The session that was used last is the last one. */
  readonly #held = new Map<string, Held>();
  #last: Held | undefined;
  /** A token's grant is the same object as long as the token is kept. */
  readonly #keys = new WeakMap<Grant, string>();
  /** By key: until when no other session is opened. */
  readonly #refusedUntil = new Map<string, number>();

  #isDraining = false;

  /** `count`: the greatest number of sessions. */
  constructor(connections: ServerConnections, count: number, clock: Pick<FrontClock, "now">, report: ReportBug) {
    this.#connections = connections;
    this.#count = count;
    this.#clock = clock;
    this.#report = report;
  }

  /** The session for this grant, which may still be opening. undefined: there is none, and none can be opened now. */
  for(server: ServerProcess, databaseId: string, grant: Grant, shown: ShownToken): Session | undefined {
    const key = this.#keyOf(databaseId, grant);
    const now = this.#clock.now();
    const held = this.#held.get(key);
    if (held !== undefined && held.server === server) {
      held.usedAt = now;
      if (held === this.#last) return held.session;
      this.#last = held;
      this.#held.delete(key);
      this.#held.set(key, held);
      return held.session;
    }
    // A session to a process that has died is about to end.
    if (held !== undefined || (this.#refusedUntil.get(key) ?? 0) > now || this.#isDraining || !this.#hasRoom())
      return undefined;
    const session = new Session({
      connections: this.#connections,
      address: server.address,
      databaseId,
      shown,
      guardFor: (end) => new Guard(end, this.#report),
      ended: (isRefused) => {
        if (isRefused) this.#refusedUntil.set(key, this.#clock.now() + SESSION_REFUSED_MS);
        if (this.#held.get(key)?.session === session) this.#held.delete(key);
      },
    });
    this.#last = { server, session, usedAt: now };
    this.#held.set(key, this.#last);
    return session;
  }

  /** Ends sessions that were not used for a while. To be called every second or so. */
  check(): void {
    const now = this.#clock.now();
    for (const [key, until] of this.#refusedUntil) if (until <= now) this.#refusedUntil.delete(key);
    const idleSince = now - MAX_IDLE_SESSION_MS;
    for (const { session, usedAt } of this.#held.values()) {
      if (usedAt > idleSince) return;
      if (!session.isBusy) session.end();
    }
  }

  /** Opens no further sessions, and ends each when its requests are answered: the server process waits for its sockets. */
  drain(): void {
    this.#isDraining = true;
    for (const { session } of this.#held.values()) session.drain();
  }

  destroy(): void {
    for (const { session } of this.#held.values()) session.end();
  }

  /** Everything that must be equal for tokens that share a session. */
  #keyOf(databaseId: string, grant: Grant): string {
    const known = this.#keys.get(grant);
    if (known !== undefined) return known;
    const { tokenId, read, write, keyPrefix, origin, jurisdiction } = grant;
    const key = JSON.stringify([databaseId, tokenId, read, write, keyPrefix, origin, jurisdiction]);
    this.#keys.set(grant, key);
    return key;
  }

  /** A session that nobody uses at present makes room. */
  #hasRoom(): boolean {
    if (this.#held.size < this.#count) return true;
    for (const { session } of this.#held.values()) {
      if (session.isBusy) continue;
      session.end();
      return true;
    }
    return false;
  }
}
