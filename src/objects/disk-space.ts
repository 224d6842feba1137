/**
 * Whether the disk under the objects has room for what is to be written. Under `npm start` the binding DISK tells how much is free
 * (`src/local/disk-space.ts`); elsewhere nobody does, and the disk counts as large. A write that the disk refuses resets its
 * object and breaks off what everybody else does with it, so the last of the disk is not taken by what is new.
 *
 * Asking for each write would cost as much as the write. What was heard last is shared by all objects of the isolate, and so is an
 * estimate of what was written since. While there is plenty, it is asked for anew about once a second, beside the writes; near the
 * reserve each write waits for figures that are fresh.
 */
import type { Clock } from "../core/clock.ts";
import type { Failure } from "../core/errors.ts";
import type { DiskFigures } from "../core/storage-room.ts";
import { type Timers, withDeadline } from "../core/timers.ts";

/** Further above what is to be left free than this, figures of a second ago decide: no disk is filled faster. */
const PLENTY_BYTES = 512 * 1024 * 1024;

const ASKED_EVERY_MS = 1_000;

/** Near the reserve a write goes by figures as old as this, and one is refused by figures of its own moment, not by an estimate. */
const FRESH_MS = 200;
const FRESH_FOR_REFUSAL_MS = 20;

/** Whoever does not answer in this time is not waited for: the write is tried. */
const LONGEST_ANSWER_MS = 1_000;

/** What is known in one isolate. */
export class DiskKnowledge {
  figures: DiskFigures | null = null;
  askedAt = Number.NEGATIVE_INFINITY;
  heardAt = Number.NEGATIVE_INFINITY;
  /** Bytes that the isolate has written, about; and those of them that the figures have. */
  written = 0;
  counted = 0;
}

const ofThisIsolate = new DiskKnowledge();

/** What to leave free of these, and why not to write when it would not be. */
export interface Need {
  readonly bytes: number;
  readonly leave: (figures: DiskFigures) => number;
  readonly refusal: (figures: DiskFigures) => Failure;
}

export class DiskSpace {
  readonly #ask: (() => Promise<DiskFigures>) | null;
  readonly #clock: Clock;
  readonly #known: DiskKnowledge;

  /** `ask` null: nobody tells. */
  constructor(ask: (() => Promise<DiskFigures>) | null, clock: Clock, known: DiskKnowledge = ofThisIsolate) {
    this.#ask = ask;
    this.#clock = clock;
    this.#known = known;
  }

  /** Whether the disk, as it was heard of last, is far from full, or nobody tells. */
  get hasPlenty(): boolean {
    const { figures, written, counted } = this.#known;
    return (
      this.#ask === null || (figures !== null && figures.free - (written - counted) - figures.reserve >= PLENTY_BYTES)
    );
  }

  /** Why this is not to be written; null: there is room, or nobody knows. A promise only near the end of the disk. */
  refusal(need: Need): Failure | null | Promise<Failure | null> {
    if (this.#ask === null) return null;
    const { figures } = this.#known;
    const age = this.#age(this.#known.heardAt);
    if (figures !== null && this.#left(figures, need) >= PLENTY_BYTES) {
      if (age >= ASKED_EVERY_MS && this.#age(this.#known.askedAt) >= ASKED_EVERY_MS) void this.#look(this.#ask);
      return null;
    }
    if (figures !== null) {
      if (age < FRESH_MS && this.#left(figures, need) >= 0) return null;
      if (age < FRESH_FOR_REFUSAL_MS && figures.free - need.bytes < need.leave(figures)) return this.judge(need);
    }
    return this.#look(this.#ask).then(() => this.judge(need));
  }

  /** The same by figures that are asked for now: something has just failed. */
  async refusalNow(need: Need): Promise<Failure | null> {
    if (this.#ask === null) return null;
    await this.#look(this.#ask);
    return this.judge(need);
  }

  /** The same by what is known already. It is decided with the estimate and told as the disk has it. */
  judge(need: Need): Failure | null {
    const { figures } = this.#known;
    return figures === null || this.#left(figures, need) >= 0 ? null : need.refusal(figures);
  }

  /** So many bytes are being written. */
  note(bytes: number): void {
    this.#known.written += bytes;
  }

  #left(figures: DiskFigures, { bytes, leave }: Need): number {
    const { written, counted } = this.#known;
    return figures.free - (written - counted) - bytes - leave(figures);
  }

  /** Each asks for itself: a request of one object cannot wait for an answer to another's. */
  async #look(ask: () => Promise<DiskFigures>): Promise<void> {
    const known = this.#known;
    known.askedAt = this.#clock.now();
    const { written } = known;
    try {
      known.figures = await ask();
      known.counted = Math.max(known.counted, written);
      known.heardAt = this.#clock.now();
    } catch (error) {
      // Whoever tells is gone for the moment: what the disk itself says decides.
      if (known.figures !== null) console.error("how much room the disk has cannot be asked any more:", error);
      known.figures = null;
    }
  }

  /** A clock that was set back makes everything old. */
  #age(since: number): number {
    const age = this.#clock.now() - since;
    return age < 0 ? Number.POSITIVE_INFINITY : age;
  }
}

/** The figures as `npm start` serves them. */
export function askDisk(disk: Pick<Fetcher, "fetch"> | undefined, timers: Timers): (() => Promise<DiskFigures>) | null {
  if (disk === undefined) return null;
  const ask = async (signal: AbortSignal): Promise<DiskFigures> => {
    const answer = await disk.fetch("http://disk/", { signal });
    // Served by us, from a value of this type.
    return answer.json<DiskFigures>();
  };
  return async () => {
    const figures = await withDeadline<DiskFigures | null>(timers, LONGEST_ANSWER_MS, ask, () => null);
    if (figures === null) throw new Error(`there was no answer within ${LONGEST_ANSWER_MS} ms`);
    return figures;
  };
}
