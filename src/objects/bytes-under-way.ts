/**
 * Bytes that the sockets of a database were sent and that have not left yet: they are in the object's memory. A socket with many such
 * bytes carries out no requests until it has fewer. A socket whose peer takes nothing is given up. The platform tells how many bytes
 * wait, but not when they become fewer. So while any bytes wait, their number is checked now and then.
 */
import type { Clock, UnixMs } from "../core/clock.ts";
import {
  MAX_REQUEST_PAUSE_MS,
  MAX_SOCKET_BYTES_UNDER_WAY,
  MAX_SOCKETS_BYTES_UNDER_WAY,
  MIN_READER_BYTES_PER_SECOND,
  READER_GRACE_MS,
} from "../core/limits.ts";
import type { Timers } from "../core/timers.ts";

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

export class BytesUnderWay {
  readonly #clock: Clock;
  readonly #timers: Timers;
  readonly #senders = new Map<Sender, UnderWay>();
  readonly #waiting = new Map<Sender, () => void>();
  #total = 0;
  #nextLook: { readonly inMs: number; readonly cancel: () => void } | undefined;

  constructor(clock: Clock, timers: Timers) {
    this.#clock = clock;
    this.#timers = timers;
  }

  /** To be called after the socket has sent something. */
  sent(sender: Sender): void {
    this.#look(sender);
    this.#plan();
  }

  /** Whether the socket may carry out requests that make it send more. */
  hasRoom(sender: Sender): boolean {
    const { bytes } = this.#senders.get(sender) ?? { bytes: 0 };
    if (bytes === 0 && this.#total < MAX_SOCKETS_BYTES_UNDER_WAY) return true;
    this.#look(sender);
    const { bytes: now } = this.#senders.get(sender) ?? { bytes: 0 };
    return now <= MAX_SOCKET_BYTES_UNDER_WAY && this.#total < MAX_SOCKETS_BYTES_UNDER_WAY;
  }

  /** Resolves when the socket has room, or is gone. A socket may wait only once at a time. */
  room(sender: Sender): Promise<void> {
    return new Promise((resolve) => {
      this.#waiting.set(sender, resolve);
      this.#plan();
    });
  }

  gone(sender: Sender): void {
    this.#total -= this.#senders.get(sender)?.bytes ?? 0;
    this.#senders.delete(sender);
    this.#goOn(sender);
  }

  close(): void {
    this.#nextLook?.cancel();
    this.#senders.clear();
    for (const sender of this.#waiting.keys()) this.#goOn(sender);
  }

  #goOn(sender: Sender): void {
    const resolve = this.#waiting.get(sender);
    this.#waiting.delete(sender);
    resolve?.();
  }

  #look(sender: Sender): void {
    const bytes = sender.bytesUnderWay;
    const known = this.#senders.get(sender);
    this.#total += bytes - (known?.bytes ?? 0);
    if (bytes === 0) {
      this.#senders.delete(sender);
    } else if (known === undefined) {
      this.#senders.set(sender, { bytes, movedAt: this.#clock.now() });
    } else {
      if (bytes < known.bytes) known.movedAt = this.#clock.now();
      known.bytes = bytes;
    }
  }

  #plan(): void {
    if (this.#senders.size === 0 && this.#waiting.size === 0) return;
    const inMs = this.#waiting.size > 0 ? LOOK_MS : IDLE_LOOK_MS;
    if (this.#nextLook !== undefined && this.#nextLook.inMs <= inMs) return;
    this.#nextLook?.cancel();
    this.#nextLook = { inMs, cancel: this.#timers.after(inMs, () => this.#lookAtAll()) };
  }

  #lookAtAll(): void {
    this.#nextLook = undefined;
    for (const sender of this.#senders.keys()) this.#look(sender);
    const now = this.#clock.now();
    const isCrowded = this.#total >= MAX_SOCKETS_BYTES_UNDER_WAY;
    const graceMs = isCrowded ? READER_GRACE_MS : MAX_REQUEST_PAUSE_MS;
    for (const [sender, { bytes, movedAt }] of this.#senders) {
      if (now - movedAt < graceMs + (bytes / MIN_READER_BYTES_PER_SECOND) * 1000) continue;
      this.gone(sender);
      sender.giveUp();
    }
    for (const sender of this.#waiting.keys()) if (this.hasRoom(sender)) this.#goOn(sender);
    this.#plan();
  }
}
