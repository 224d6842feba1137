/**
 * Sets an alarm for bookkeeping after the request that asked for it was answered. Setting an alarm is a write, every answer waits for
 * earlier writes, and on a full disk writes fail. A request that only reads must not fail because of its bookkeeping. A failed write also
 * resets its object, with everything under way in it, and the restarted object does not know of that. So an attempt that was not seen to
 * succeed is remembered outside of the object, in the memory of its isolate. After such an attempt the alarm is left alone for a while.
 */
import type { Clock, UnixMs } from "../core/clock.ts";
import type { Timers } from "../core/timers.ts";

/** How long after a failure bookkeeping is tried again: each attempt may disturb the requests that are using the object. */
const TRIED_AGAIN_AFTER_MS = 30_000;

/** For how many objects attempts are remembered. The oldest are dropped, and those objects try again sooner. */
const MAX_REMEMBERED = 10_000;

/** When objects began to set an alarm that is not known to be stored yet. */
const unproven = new Map<string, UnixMs>();

export interface DeferredAlarmOptions {
  /** The name of the object, unique among all objects. */
  readonly object: string;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly set: (at: UnixMs) => void;
  /** Resolves when the written data is stored. */
  readonly stored: () => Promise<void>;
}

export class DeferredAlarm {
  readonly #options: DeferredAlarmOptions;
  /** The requested time that is not set yet. */
  #at: UnixMs | null = null;
  #cancel: (() => void) | null = null;
  #stopped = false;

  constructor(options: DeferredAlarmOptions) {
    this.#options = options;
  }

  /** The alarm is wanted at this time. When the last failure is recent, this is only noted: see `retry`. */
  ask(at: UnixMs): void {
    if (this.#at === null || at < this.#at) this.#at = at;
    this.retry();
  }

  /** Called by every request: a noted alarm is set now, if it is time for that. */
  retry(): void {
    if (this.#at === null || this.#cancel !== null || this.#stopped || this.#hasJustFailed()) return;
    this.#cancel = this.#options.timers.after(0, () => this.#set());
  }

  stop(): void {
    this.#stopped = true;
    this.#cancel?.();
  }

  #set(): void {
    const { object, clock, set, stored } = this.#options;
    const at = this.#at;
    this.#at = null;
    this.#cancel = null;
    if (at === null || this.#stopped) return;
    unproven.delete(object);
    unproven.set(object, clock.now());
    forgetFirst();
    set(at);
    // When the write fails, the alarm stays unproven. The platform then resets the object, and usually nothing here continues.
    void stored().then(
      () => unproven.delete(object),
      () => undefined,
    );
  }

  #hasJustFailed(): boolean {
    const triedAt = unproven.get(this.#options.object);
    if (triedAt === undefined) return false;
    const now = this.#options.clock.now();
    return triedAt <= now && now < triedAt + TRIED_AGAIN_AFTER_MS;
  }
}

function forgetFirst(): void {
  if (unproven.size <= MAX_REMEMBERED) return;
  for (const first of unproven.keys()) {
    unproven.delete(first);
    break;
  }
}
