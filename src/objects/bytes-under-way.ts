/**
 * Bytes that the sockets of a database were sent and that have not left yet: they are in the object's memory. A socket with many such
 * bytes carries out no requests until it has fewer. A socket whose peer takes nothing is given up. The platform tells how many bytes
 * wait, but not when they become fewer. So while any bytes wait, their number is checked now and then.
 *
 * A socket may have an eighth of the free bytes under way. The fewer bytes are free, the fewer each socket may take. So a socket with few
 * bytes finds room beside sockets with many. A larger answer waits for its turn: one such answer at a time is sent beside all the others.
 * The bytes of all databases in one process are limited too (`core/process-memory.ts`).
 */
import type { Clock, UnixMs } from "../core/clock.ts";
import {
  MAX_REQUEST_PAUSE_MS,
  MAX_SOCKET_ANSWER_BYTES,
  MAX_SOCKET_BYTES_UNDER_WAY,
  MAX_SOCKETS_BYTES_UNDER_WAY,
  MIN_READER_BYTES_PER_SECOND,
  READER_GRACE_MS,
  SMALL_SOCKET_ANSWER_BYTES,
} from "../core/limits.ts";
import type { Timers } from "../core/timers.ts";
import type { Account } from "../core/process-memory.ts";

/** How often it is checked while a socket waits to continue. */
const LOOK_MS = 20;

/** How often it is checked otherwise, to see whether the peer takes anything. */
const IDLE_LOOK_MS = 1000;

export interface Sender {
  /** Bytes that the socket was sent and that have not left. */
  readonly bytesUnderWay: number;
  /** The peer takes nothing. Nothing more is asked of the socket here. */
  giveUp(): void;
}

interface UnderWay {
  bytes: number;
  /** When its bytes were last seen to become fewer. */
  movedAt: UnixMs;
}

interface WaitingForTurn {
  readonly bytes: number;
  readonly resolve: () => void;
}

export interface BytesUnderWayParts {
  readonly clock: Clock;
  readonly timers: Timers;
  /** The object's part of the memory that all sockets of the process share. */
  readonly account: Account;
}

export class BytesUnderWay {
  readonly #parts: BytesUnderWayParts;
  readonly #senders = new Map<Sender, UnderWay>();
  readonly #waiting = new Map<Sender, () => void>();
  /** Sockets that wait for their turn to send a large answer, in the order in which they came. */
  readonly #turns = new Map<Sender, WaitingForTurn>();
  /** The socket whose turn it is, and the bytes of its answer that have not left. Before the answer is sent: the most that it may have. */
  #large: { readonly sender: Sender; bytes: number; isSent: boolean } | null = null;
  #total = 0;
  #nextLook: { readonly inMs: number; readonly cancel: () => void } | undefined;

  constructor(parts: BytesUnderWayParts) {
    this.#parts = parts;
  }

  /** To be called after the socket has sent something. */
  sent(sender: Sender): void {
    this.#look(sender);
    this.#plan();
  }

  /** Whether the socket may carry out requests that make it send more. */
  hasRoom(sender: Sender): boolean {
    if (!this.#isInBounds(sender)) this.#look(sender);
    return this.#isInBounds(sender) && this.#parts.account.hasRoom(SMALL_SOCKET_ANSWER_BYTES);
  }

  /** Resolves when the socket has room, or is gone. A socket waits once at a time. */
  room(sender: Sender): Promise<void> {
    return new Promise((resolve) => {
      this.#waiting.set(sender, resolve);
      this.#plan();
    });
  }

  /** The bytes of the largest answer that a socket with room may send now. */
  allowance(sender: Sender): number {
    const isAlone = this.#total === this.#bytesOf(sender) && this.#large === null;
    if (isAlone && this.#parts.account.hasRoom(MAX_SOCKET_ANSWER_BYTES)) return MAX_SOCKET_ANSWER_BYTES;
    return Math.max(SMALL_SOCKET_ANSWER_BYTES, this.#share());
  }

  /** Resolves when the socket may send an answer of at most this many bytes, or is gone. It then sends the answer at once and calls `largeSent`. */
  turn(sender: Sender, bytes: number): Promise<void> {
    return new Promise((resolve) => {
      this.#turns.set(sender, { bytes, resolve });
      this.#giveTurn();
      this.#plan();
    });
  }

  /** To be called after the socket has used its turn, even if it has sent nothing. */
  largeSent(sender: Sender): void {
    if (this.#large?.sender !== sender) return;
    this.#large.isSent = true;
    this.#look(sender);
    this.#plan();
  }

  gone(sender: Sender): void {
    if (this.#large?.sender === sender) this.#large = null;
    this.#total -= this.#bytesOf(sender);
    this.#senders.delete(sender);
    this.#parts.account.hold(this.#total);
    this.#goOn(sender);
    this.#turns.get(sender)?.resolve();
    this.#turns.delete(sender);
  }

  close(): void {
    this.#nextLook?.cancel();
    this.#senders.clear();
    this.#total = 0;
    this.#parts.account.hold(0);
    for (const sender of [...this.#waiting.keys(), ...this.#turns.keys()]) this.gone(sender);
  }

  #isInBounds(sender: Sender): boolean {
    const share = this.#share();
    return share > 0 && this.#bytesOf(sender) <= share;
  }

  /** The bytes that one socket may have under way. 0 or less: no socket may send more. */
  #share(): number {
    return (this.#free() * MAX_SOCKET_BYTES_UNDER_WAY) / MAX_SOCKETS_BYTES_UNDER_WAY;
  }

  #bytesOf(sender: Sender): number {
    return this.#senders.get(sender)?.bytes ?? 0;
  }

  /** The answer whose turn it is takes nothing from the others. */
  #free(): number {
    const large = this.#large?.isSent === true ? this.#large.bytes : 0;
    return MAX_SOCKETS_BYTES_UNDER_WAY - this.#total + large;
  }

  #giveTurn(): void {
    if (this.#large !== null) return;
    const [next] = this.#turns;
    if (next === undefined) return;
    const [sender, { bytes, resolve }] = next;
    if (!this.#parts.account.hasRoom(bytes)) return;
    this.#turns.delete(sender);
    this.#large = { sender, bytes, isSent: false };
    resolve();
  }

  #goOn(sender: Sender): void {
    const resolve = this.#waiting.get(sender);
    this.#waiting.delete(sender);
    resolve?.();
  }

  #look(sender: Sender): void {
    const bytes = sender.bytesUnderWay;
    const known = this.#senders.get(sender);
    if (bytes !== known?.bytes) {
      this.#total += bytes - (known?.bytes ?? 0);
      this.#parts.account.hold(this.#total);
    }
    if (bytes === 0) {
      this.#senders.delete(sender);
    } else if (known === undefined) {
      this.#senders.set(sender, { bytes, movedAt: this.#parts.clock.now() });
    } else {
      if (bytes < known.bytes) known.movedAt = this.#parts.clock.now();
      known.bytes = bytes;
    }
    if (this.#large?.sender !== sender || !this.#large.isSent) return;
    this.#large.bytes = Math.min(this.#large.bytes, bytes);
    if (this.#large.bytes > 0) return;
    this.#large = null;
    this.#giveTurn();
  }

  #plan(): void {
    const waiting = this.#waiting.size + this.#turns.size;
    if (this.#senders.size === 0 && waiting === 0) return;
    const inMs = waiting > 0 ? LOOK_MS : IDLE_LOOK_MS;
    if (this.#nextLook !== undefined && this.#nextLook.inMs <= inMs) return;
    this.#nextLook?.cancel();
    this.#nextLook = { inMs, cancel: this.#parts.timers.after(inMs, () => this.#lookAtAll()) };
  }

  #lookAtAll(): void {
    this.#nextLook = undefined;
    for (const sender of this.#senders.keys()) this.#look(sender);
    this.#parts.account.hold(this.#total);
    const now = this.#parts.clock.now();
    const graceMs = this.#isCrowded() ? READER_GRACE_MS : MAX_REQUEST_PAUSE_MS;
    for (const [sender, { bytes, movedAt }] of this.#senders) {
      if (now - movedAt < graceMs + (bytes / MIN_READER_BYTES_PER_SECOND) * 1000) continue;
      this.gone(sender);
      sender.giveUp();
    }
    this.#giveTurn();
    this.#letGoOn();
    this.#plan();
  }

  /** Whether a socket waits for bytes that others have under way. */
  #isCrowded(): boolean {
    if (this.#turns.size > 0) return true;
    return [...this.#waiting.keys()].some((sender) => this.#bytesOf(sender) <= MAX_SOCKET_BYTES_UNDER_WAY);
  }

  /** The sockets with the fewest bytes first. As many as there is room for, because what they send is known only afterwards. */
  #letGoOn(): void {
    if (this.#waiting.size === 0) return;
    let free = this.#free();
    const least = [...this.#waiting.keys()].toSorted((a, b) => this.#bytesOf(a) - this.#bytesOf(b));
    for (const sender of least) {
      if (free <= 0 || !this.hasRoom(sender)) return;
      free -= SMALL_SOCKET_ANSWER_BYTES;
      this.#goOn(sender);
    }
  }
}
