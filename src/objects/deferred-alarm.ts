/**
 * Sets an alarm for bookkeeping after the request that asked for it is answered. An alarm is a write, every answer waits for the
 * writes before it, and a disk that is full fails them: a request that only reads must not fail for its bookkeeping. A write that
 * fails also resets its object, with all that is under way in it, and the object that comes after knows nothing of that. So what was
 * tried and never seen to succeed is remembered beside the objects, in the memory of their isolate, and left alone for a while.
 */
import type { Clock, UnixMs } from "../core/clock.ts";
import type { Timers } from "../core/timers.ts";

/** After a failure bookkeeping is tried again this rarely: each try disturbs who is using the object just then. */
const TRIED_AGAIN_AFTER_MS = 30_000;

/** Objects of which this is remembered: those that went first are tried again sooner. */
const MAX_REMEMBERED = 10_000;

/** When objects began to set an alarm of which it is not known yet whether it was stored. */
const unproven = new Map<string, UnixMs>();

export interface DeferredAlarmOptions {
  /** Names the object among all that there are. */
  readonly object: string;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly set: (at: UnixMs) => void;
  /** Resolves when what was written is stored. */
  readonly stored: () => Promise<void>;
}

export class DeferredAlarm {
  readonly #options: DeferredAlarmOptions;
  /** What was asked for and is not set yet. */
  #at: UnixMs | null = null;
  #cancel: (() => void) | null = null;
  #stopped = false;

  constructor(options: DeferredAlarmOptions) {
    this.#options = options;
  }

  /** The alarm is wanted at this time. While the last failure is recent it is only noted: see `retry`. */
  ask(at: UnixMs): void {
    if (this.#at === null || at < this.#at) this.#at = at;
    this.retry();
  }

  /** For every request: what could not be tried before is tried now, if it is time. */
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
    // When it fails, it stays unproven. The platform then resets the object, and mostly nothing here goes on.
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
