/** Watchers that take their messages too slowly. A message that is not taken holds memory: while others wait for that, it is given up. */
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
  /** By who is to take a message. */
  readonly #sent = new Map<object, Sent>();
  #cancel: () => void = () => undefined;

  constructor(hub: WatchHub, clock: Clock, timers: Timers) {
    this.#hub = hub;
    this.#clock = clock;
    this.#timers = timers;
    hub.onCrowded(() => this.#plan());
  }

  /** `who` was sent a message of so many bytes. `giveUp` ends its watch; it is called at most once. */
  sent(who: object, bytes: number, giveUp: () => void): void {
    const rateMs = (bytes / MIN_READER_BYTES_PER_SECOND) * 1000;
    this.#sent.set(who, { takenBy: asUnixMs(this.#clock.now() + READER_GRACE_MS + rateMs), giveUp });
  }

  /** Its message is taken, or never will be. */
  taken(who: object): void {
    this.#sent.delete(who);
  }

  /** The database is gone. */
  close(): void {
    this.#cancel();
    this.#sent.clear();
  }

  /** As long as others wait, those that are late are given up when they are. */
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
