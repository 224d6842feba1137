/**
 * What it means for the client when a call of an object threw. The platform marks what may be sent again: the object was restarted or
 * moved (`retryable`, `durableObjectReset`), or has too much to do (`overloaded`). The marks survive a call through another object. A
 * write that the disk refuses resets its object too, and every caller of the object gets SQLite's error for it. Anything else is a bug of
 * ours: it is logged and not shown.
 */
import type { Clock, UnixMs } from "../../core/clock.ts";
import { failure, type Failure } from "../../core/errors.ts";
import { isMarked, storageCodeOf } from "../../contracts/platform-marks.ts";
import { storageRefused } from "../../core/storage-room.ts";

export interface ThrownCallsParts {
  readonly clock: Clock;
  /** Why nothing can be stored at present. null: no reason is known. Asked after a call that threw, when that may be the cause. */
  readonly noRoom: () => Promise<Failure | null>;
}

/** `what` is the object that was called. `wanted`: what the request would have done if it had succeeded. */
export type FailureOfThrown = (
  error: unknown,
  what: "database" | "organization",
  wanted: "read" | "write",
) => Promise<Failure>;

export function thrownCalls({ clock, noRoom }: ThrownCallsParts): FailureOfThrown {
  const log = new LostCallsLog(clock);
  return async (error, what, wanted) => {
    if (isMarked(error, "overloaded")) {
      log.note(error);
      return failure("unavailable", `The ${what} has more requests than it can answer. Try again in a moment.`);
    }
    const code = storageCodeOf(error);
    // The platform's own failures, which have no mark: on a full disk it can neither open an object nor set its alarm.
    const why = code !== null || isOfThePlatform(error) ? await noRoom() : null;
    if (code !== null || why !== null) {
      // Otherwise the code that watches the disk has logged it.
      if (why === null) log.note(error);
      if (wanted === "write") return why ?? storageRefused(code ?? "SQLITE_FULL");
      return failure(
        "unavailable",
        `The ${what} was interrupted: the disk takes nothing more. Reads go on: try again.`,
      );
    }
    if (isMarked(error, "retryable") || isMarked(error, "durableObjectReset")) {
      log.note(error);
      return failure("unavailable", `The ${what} was restarted or moved while it answered. Try again.`);
    }
    console.error(`a call of the ${what}'s object failed`, error);
    return failure("internal", "The request failed because of an error in this server.");
  };
}

function isOfThePlatform(error: unknown): boolean {
  return error instanceof Error && error.message.startsWith("internal error; reference = ");
}

const LINE_EVERY_MS = 10_000;

/** At most one line in ten seconds: the cause of lost calls may last. */
class LostCallsLog {
  readonly #clock: Clock;
  #count = 0;
  #loggedAt: UnixMs | null = null;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  note(error: unknown): void {
    this.#count += 1;
    const now = this.#clock.now();
    // The absolute difference, for a clock that was set back.
    if (this.#loggedAt !== null && Math.abs(now - this.#loggedAt) < LINE_EVERY_MS) return;
    console.error(`calls of objects that were lost: ${this.#count}, the latest`, error);
    this.#count = 0;
    this.#loggedAt = now;
  }
}
