/**
 * Memory of one kind that all objects in one process share. Each object limits its own part, and many objects share a process: on one
 * machine all of them, elsewhere as many as the platform puts together.
 *
 * An organization may hold at most as much memory as it leaves free for others. So no organization takes all of it. What an object holds
 * counts for a limited time only, because an object that ends in the middle gives nothing back.
 */
import type { Clock } from "./clock.ts";

export interface Lease {
  /** Gives this many bytes back early. */
  giveBack(bytes: number): void;
}

/** The part that one object holds, which grows and shrinks. */
export interface Account {
  /** The object holds this many bytes now. To be called whenever that changes, and at least every two minutes. */
  hold(bytes: number): void;
  /** Whether the object may hold this many bytes more. */
  hasRoom(bytes: number): boolean;
}

interface Held {
  readonly owner: string;
  until: number;
  bytes: number;
}

const ACCOUNT_COUNTS_MS = 120_000;

export class ProcessMemory {
  readonly #total: number;
  readonly #clock: Clock;
  readonly #held = new Set<Held>();
  #all = 0;
  readonly #ofOwners = new Map<string, number>();

  constructor(total: number, clock: Clock) {
    this.#total = total;
    this.#clock = clock;
  }

  /** Memory that is held for at most `atMostMs`. Undefined: there is no room at present. */
  take(owner: string, bytes: number, atMostMs: number): Lease | undefined {
    if (!this.hasRoom(owner, bytes)) return undefined;
    const held: Held = { owner, until: 0, bytes: 0 };
    this.#hold(held, bytes, atMostMs);
    return {
      giveBack: (freed) => {
        if (this.#held.has(held)) this.#set(held, held.bytes - freed);
      },
    };
  }

  account(owner: string): Account {
    const held: Held = { owner, until: 0, bytes: 0 };
    return {
      hold: (bytes) => this.#hold(held, bytes, ACCOUNT_COUNTS_MS),
      hasRoom: (bytes) => this.hasRoom(owner, bytes),
    };
  }

  /** While nobody holds anything there is always room. */
  hasRoom(owner: string, bytes: number): boolean {
    if (this.#fits(owner, bytes)) return true;
    const now = this.#clock.now();
    for (const held of this.#held) if (held.until <= now) this.#set(held, 0);
    return this.#fits(owner, bytes);
  }

  #fits(owner: string, bytes: number): boolean {
    const own = this.#ofOwners.get(owner) ?? 0;
    return this.#all === 0 || own + bytes <= this.#total - this.#all - bytes;
  }

  #hold(held: Held, bytes: number, atMostMs: number): void {
    this.#set(held, bytes);
    held.until = this.#clock.now() + atMostMs;
  }

  #set(held: Held, bytes: number): void {
    const now = Math.max(0, bytes);
    const more = now - held.bytes;
    held.bytes = now;
    if (now > 0) this.#held.add(held);
    else this.#held.delete(held);
    this.#all += more;
    const own = (this.#ofOwners.get(held.owner) ?? 0) + more;
    if (own > 0) this.#ofOwners.set(held.owner, own);
    else this.#ofOwners.delete(held.owner);
  }
}
