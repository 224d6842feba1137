/**
 * The sessions of the front, one for each database and grant that clients use just now. Whoever finds none here takes the long way, so
 * none is waited for: not one that would be one too many, and not where the server has just refused one.
 */
import type { Grant } from "../../contracts/grant.ts";
import { MAX_IDLE_SESSION_MS, SESSION_REFUSED_MS } from "../../core/limits.ts";
import type { FrontClock } from "./clock.ts";
import type { ServerProcess } from "./client.ts";
import { Guard, type ReportBug } from "./guard.ts";
import { Session, type ShownToken } from "./session.ts";

interface Held {
  readonly server: ServerProcess;
  readonly session: Session;
  usedAt: number;
}

export class Sessions {
  readonly #count: number;
  readonly #clock: Pick<FrontClock, "now">;
  readonly #report: ReportBug;
  /** By what they are for, the one that was used last at the end. */
  readonly #held = new Map<string, Held>();
  /** A grant is one object as long as its token is kept. */
  readonly #keys = new WeakMap<Grant, string>();
  /** By what they were for, until when no other is opened. */
  readonly #refusedUntil = new Map<string, number>();

  #isDraining = false;

  /** `count`: how many there may be. */
  constructor(count: number, clock: Pick<FrontClock, "now">, report: ReportBug) {
    this.#count = count;
    this.#clock = clock;
    this.#report = report;
  }

  /** The session for this grant, which may still be opening; undefined: there is none and cannot be one now. */
  for(server: ServerProcess, databaseId: string, grant: Grant, shown: ShownToken): Session | undefined {
    const key = this.#keyOf(databaseId, grant);
    const now = this.#clock.now();
    const held = this.#held.get(key);
    if (held !== undefined && held.server === server) {
      held.usedAt = now;
      this.#held.delete(key);
      this.#held.set(key, held);
      return held.session;
    }
    // The one to a process that has died is about to end.
    if (held !== undefined || (this.#refusedUntil.get(key) ?? 0) > now || this.#isDraining || !this.#hasRoom())
      return undefined;
    const session = new Session({
      address: server.address,
      databaseId,
      shown,
      guardFor: (end) => new Guard(end, this.#report),
      ended: (isRefused) => {
        if (isRefused) this.#refusedUntil.set(key, this.#clock.now() + SESSION_REFUSED_MS);
        if (this.#held.get(key)?.session === session) this.#held.delete(key);
      },
    });
    this.#held.set(key, { server, session, usedAt: now });
    return session;
  }

  /** Ends those that nobody has used for a while. To be called every second or so. */
  check(): void {
    const now = this.#clock.now();
    for (const [key, until] of this.#refusedUntil) if (until <= now) this.#refusedUntil.delete(key);
    const idleSince = now - MAX_IDLE_SESSION_MS;
    for (const { session, usedAt } of this.#held.values()) {
      if (usedAt > idleSince) return;
      if (!session.isBusy) session.end();
    }
  }

  /** Opens no others, and ends these when what is under way on them is answered: the server process waits for its sockets. */
  drain(): void {
    this.#isDraining = true;
    for (const { session } of this.#held.values()) session.drain();
  }

  destroy(): void {
    for (const { session } of this.#held.values()) session.end();
  }

  /** All that is the same for all tokens that may share one. */
  #keyOf(databaseId: string, grant: Grant): string {
    const known = this.#keys.get(grant);
    if (known !== undefined) return known;
    const { tokenId, read, write, keyPrefix, origin, jurisdiction } = grant;
    const key = JSON.stringify([databaseId, tokenId, read, write, keyPrefix, origin, jurisdiction]);
    this.#keys.set(grant, key);
    return key;
  }

  /** One that nobody is using just now makes room. */
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
