/**
 * Whether the disk under the objects has room for what is to be written. Under `npm start` the binding DISK tells how much is free
 * (`src/local/disk-space.ts`). Elsewhere nothing does, and the disk counts as large. A write that the disk refuses resets its object and
 * aborts all requests in it. So new data must not take the last space of the disk.
 *
 * Asking at each write would cost as much as the write. So all objects of the isolate share the last figures, and an estimate of what was
 * written since then. While there is plenty of space, new figures are asked for about once a second, beside the writes. Near the reserve,
 * each write waits for fresh figures.
 */
import type { Clock } from "../core/clock.ts";
import type { Failure } from "../core/errors.ts";
import type { DiskFigures } from "../core/storage-room.ts";
import { type Timers, withDeadline } from "../core/timers.ts";

/** With this much space above the reserve, figures that are a second old decide: no disk is filled faster. */
const PLENTY_BYTES = 512 * 1024 * 1024;

const ASKED_EVERY_MS = 1_000;

/**
 * Near the reserve, figures of this age may admit a write. They may refuse it only when they are of the same moment: an estimate refuses
 * nothing.
 */
const FRESH_MS = 200;
const FRESH_FOR_REFUSAL_MS = 20;

/** How long an answer is awaited. After that the write is tried. */
const LONGEST_ANSWER_MS = 1_000;

/** The figures that are known in one isolate. */
export class DiskKnowledge {
  figures: DiskFigures | null = null;
  askedAt = Number.NEGATIVE_INFINITY;
  heardAt = Number.NEGATIVE_INFINITY;
  /** About how many bytes the isolate has written; and how many of them the figures include. */
  written = 0;
  counted = 0;
}

const ofThisIsolate = new DiskKnowledge();

/** How much of the disk to leave free, and the refusal when less would be left. */
export interface Need {
  readonly bytes: number;
  readonly leave: (figures: DiskFigures) => number;
  readonly refusal: (figures: DiskFigures) => Failure;
}

export class DiskSpace {
  readonly #ask: (() => Promise<DiskFigures>) | null;
  readonly #clock: Clock;
  readonly #known: DiskKnowledge;

  /** `ask` null: nothing tells the figures. */
  constructor(ask: (() => Promise<DiskFigures>) | null, clock: Clock, known: DiskKnowledge = ofThisIsolate) {
    this.#ask = ask;
    this.#clock = clock;
    this.#known = known;
  }

  /** Whether the disk, by its last figures, is far from full; also when nothing tells figures. */
  get hasPlenty(): boolean {
    const { figures, written, counted } = this.#known;
    return (
      this.#ask === null || (figures !== null && figures.free - (written - counted) - figures.reserve >= PLENTY_BYTES)
    );
  }

  /** Why this must not be written. null: there is room, or nothing is known. A promise only near the end of the disk. */
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

  /** As `refusal`, by figures that are asked for now, because something has failed. */
  async refusalNow(need: Need): Promise<Failure | null> {
    if (this.#ask === null) return null;
    await this.#look(this.#ask);
    return this.judge(need);
  }

  /** As `refusal`, by the last figures. The estimate decides, and the message has the figures of the disk. */
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

  /** Each call asks by itself: a request of one object cannot wait for an answer to another object's request. */
  async #look(ask: () => Promise<DiskFigures>): Promise<void> {
    const known = this.#known;
    known.askedAt = this.#clock.now();
    const { written } = known;
    try {
      known.figures = await ask();
      known.counted = Math.max(known.counted, written);
      known.heardAt = this.#clock.now();
    } catch (error) {
      // The figures cannot be asked for at the moment, so the disk itself decides.
      if (known.figures !== null) console.error("how much room the disk has cannot be asked any more:", error);
      known.figures = null;
    }
  }

  /** After the clock was set back, all figures count as old. */
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
    // Our own server sends it, from a value of this type.
    return answer.json<DiskFigures>();
  };
  return async () => {
    const figures = await withDeadline<DiskFigures | null>(timers, LONGEST_ANSWER_MS, ask, () => null);
    if (figures === null) throw new Error(`there was no answer within ${LONGEST_ANSWER_MS} ms`);
    return figures;
  };
}
