/**
 * Watchers that take their messages too slowly. A message that is not taken holds memory. While other watchers wait for that memory, the
 * late watcher is given up.
 */
import { asUnixMs, type Clock, earliest, type UnixMs } from "../core/clock.ts";
import { MIN_READER_BYTES_PER_SECOND, READER_GRACE_MS } from "../core/limits.ts";
import type { Timers } from "../core/timers.ts";
import type { WatchHub } from "../engine/watch-hub.ts";

interface Sent {
  readonly takenBy: UnixMs;
  readonly giveUp: () => void;
}

export class LateWatchers {
  readonly #hub: WatchHub;
  readonly #clock: Clock;
  readonly #timers: Timers;
  /** By the watcher that is to take the message. */
  readonly #sent = new Map<object, Sent>();
  #cancel: () => void = () => undefined;

  constructor(hub: WatchHub, clock: Clock, timers: Timers) {
    this.#hub = hub;
    this.#clock = clock;
    this.#timers = timers;
    hub.onCrowded(() => this.#plan());
  }

  /** The watcher `who` was sent a message of this many bytes. `giveUp` ends its watch, and is called at most once. */
  sent(who: object, bytes: number, giveUp: () => void): void {
    const rateMs = (bytes / MIN_READER_BYTES_PER_SECOND) * 1000;
    this.#sent.set(who, { takenBy: asUnixMs(this.#clock.now() + READER_GRACE_MS + rateMs), giveUp });
  }

  /** The watcher's message was taken, or never will be. */
  taken(who: object): void {
    this.#sent.delete(who);
  }

  /** The database is gone. */
  close(): void {
    this.#cancel();
    this.#sent.clear();
  }

  /** While others wait, each late watcher is given up as soon as it is late. */
  #plan(): void {
    this.#cancel();
    const next = this.#hub.isCrowded ? earliest([...this.#sent.values()].map(({ takenBy }) => takenBy)) : null;
    if (next === null) return;
    this.#cancel = this.#timers.after(Math.max(0, next - this.#clock.now()), () => {
      const now = this.#clock.now();
      const late = [...this.#sent].filter(([, { takenBy }]) => takenBy <= now);
      for (const [who, { giveUp }] of late) if (this.#sent.delete(who)) giveUp();
      this.#plan();
    });
  }
}
