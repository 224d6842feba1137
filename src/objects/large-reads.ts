/**
 * Answers that are too large for one RPC result. Each is held in memory until it has left, because a read is one snapshot and is answered
 * whole or not at all. Several answers leave at the same time only if they fit together into the memory of this object and of its process
 * (`core/process-memory.ts`). The others wait in order of arrival. A reader that is slower than the least rate is given up.
 */
import type { Clock } from "../core/clock.ts";
import { snapshotReadOutputChunks } from "../codec/datapath.ts";
import { type Failure, failure } from "../core/errors.ts";
import {
  ANSWER_MEMORY_POLL_MS,
  MAX_READ_ANSWER_BYTES,
  MAX_READ_WAIT_MS,
  MAX_WAITING_READS,
  MIN_READER_BYTES_PER_SECOND,
  READER_GRACE_MS,
} from "../core/limits.ts";
import type { ReadRange } from "../core/operations.ts";
import type { WorkTurns } from "../core/process-turns.ts";
import type { Timers } from "../core/timers.ts";
import type { Database } from "../engine/database.ts";
import type { ProcessMemory, Lease } from "../core/process-memory.ts";

/** Bytes that are written at once. The rate of a reader is measured in these steps. */
const PIECE_BYTES = 1024 * 1024;

type LargeAnswer = ReadableStream<Uint8Array> | Failure;

interface Waiting {
  readonly ranges: readonly ReadRange[];
  /** The size of the answer when it was last measured, because the process had no memory for it. */
  bytes: number;
  readonly settle: (answer: LargeAnswer | Promise<never>) => void;
}

export interface LargeReadsParts {
  readonly database: Pick<Database, "read" | "readBytes">;
  readonly clock: Clock;
  readonly timers: Timers;
  /** The turns of the organization's long requests in the process. */
  readonly turns: Pick<WorkTurns, "piece">;
  /** The memory of the process. */
  readonly memory: ProcessMemory;
  /** The organization that owns the database: organizations share the memory. */
  readonly owner: string;
}

export class LargeReads {
  readonly #database: Pick<Database, "read" | "readBytes">;
  readonly #clock: Clock;
  readonly #timers: Timers;
  readonly #turns: Pick<WorkTurns, "piece">;
  readonly #memory: ProcessMemory;
  readonly #owner: string;
  readonly #waiting: Waiting[] = [];
  /** Bytes of keys and values that were read and have not left yet. */
  #bytesInFlight = 0;
  #closed: Failure | null = null;
  /** Set while the process had no memory and is to be asked again. */
  #cancelPoll: (() => void) | undefined;

  constructor({ database, clock, timers, turns, memory, owner }: LargeReadsParts) {
    this.#database = database;
    this.#clock = clock;
    this.#timers = timers;
    this.#turns = turns;
    this.#memory = memory;
    this.#owner = owner;
  }

  /**
   * Fails with "limit" when the answer is too large in any case, with "unavailable" when too many reads wait, or no memory was free in
   * time. Rejects when the data cannot be read.
   */
  answer(ranges: readonly ReadRange[]): Promise<LargeAnswer> {
    if (this.#closed !== null) return Promise.resolve(this.#closed);
    if (this.#waiting.length >= MAX_WAITING_READS) return Promise.resolve(BUSY);
    // Outside of the closure, which would keep the given ranges for as long as the read waits.
    const own = ranges.map(ownRange);
    return new Promise((resolve) => {
      const giveUp = (): void => {
        this.#waiting.splice(this.#waiting.indexOf(waiting), 1);
        resolve(BUSY);
        this.#admit();
      };
      const cancelTimer = this.#timers.after(MAX_READ_WAIT_MS, giveUp);
      const waiting: Waiting = {
        ranges: own,
        bytes: 0,
        settle: (answer) => {
          cancelTimer();
          resolve(answer);
        },
      };
      this.#waiting.push(waiting);
      if (this.#waiting.length === 1) this.#admit();
    });
  }

  /** No read is answered any more, and waiting reads fail with this reason. Answers that are on their way continue. */
  close(why: Failure): void {
    this.#closed = why;
    this.#cancelPoll?.();
    for (const { settle } of this.#waiting.splice(0)) settle(why);
  }

  /** Answers waiting reads in order, until one does not fit. */
  #admit(): void {
    for (let next = this.#waiting[0]; next !== undefined; next = this.#waiting[0]) {
      try {
        const answer = this.#turns.piece(() => this.#answerNow(next));
        if (answer === undefined) return;
        next.settle(answer);
      } catch (error) {
        next.settle(Promise.reject(error));
      }
      this.#waiting.shift();
    }
  }

  /** Undefined: there is no memory for it at present. It is tried again when there may be some. */
  #answerNow(next: Waiting): LargeAnswer | undefined {
    // Measured again only when there may be room, because measuring reads every row.
    if (next.bytes > 0 && !this.#memory.hasRoom(this.#owner, next.bytes)) return this.#poll();
    const { ranges } = next;
    const bytes = this.#database.readBytes(ranges);
    if (bytes > MAX_READ_ANSWER_BYTES) return tooLarge(bytes);
    if (this.#bytesInFlight + bytes > MAX_READ_ANSWER_BYTES) return undefined;
    const atMostMs = 2 * READER_GRACE_MS + (bytes / MIN_READER_BYTES_PER_SECOND) * 1000;
    const lease = this.#memory.take(this.#owner, bytes, atMostMs);
    if (lease === undefined) {
      next.bytes = bytes;
      return this.#poll();
    }
    try {
      return this.#read(ranges, bytes, lease);
    } catch (error) {
      lease.giveBack(bytes);
      throw error;
    }
  }

  /** This object does not learn when another one gives memory back, so it asks again after a while. */
  #poll(): undefined {
    this.#cancelPoll?.();
    this.#cancelPoll = this.#timers.after(ANSWER_MEMORY_POLL_MS, () => this.#admit());
  }

  #read(ranges: readonly ReadRange[], bytes: number, lease: Lease): LargeAnswer {
    const entries = this.#database.read(ranges, MAX_READ_ANSWER_BYTES);
    if (entries === null) {
      lease.giveBack(bytes);
      return tooLarge(bytes);
    }
    const { size, chunks } = snapshotReadOutputChunks(entries);
    const { readable, writable } = new FixedLengthStream(size);
    this.#bytesInFlight += bytes;
    void this.#send(chunks.toReversed(), bytes, lease, writable);
    return readable;
  }

  /** `chunks`: the last one first. The list is emptied during sending, so that sent chunks are not kept. Never rejects. */
  async #send(chunks: Uint8Array[], bytes: number, lease: Lease, writable: WritableStream<Uint8Array>): Promise<void> {
    const writer = writable.getWriter();
    const deadline = new ReaderDeadline(this.#clock, this.#timers);
    let held = bytes;
    try {
      for (let chunk = chunks.pop(); chunk !== undefined; chunk = chunks.pop()) {
        for (let from = 0; from < chunk.length; from += PIECE_BYTES) {
          const piece = chunk.subarray(from, from + PIECE_BYTES);
          await deadline.within(writer.write(piece), piece.length);
        }
        // Other chunks are parts of one buffer, which exists until the end.
        if (chunk.length === chunk.buffer.byteLength) {
          const freed = Math.min(held, chunk.length);
          held -= freed;
          this.#free(freed, lease);
        }
      }
      await deadline.within(writer.close(), 0);
    } catch (error) {
      // The reader is gone, or too slow, and learns that from its stream.
      void writer.abort(error).catch(() => undefined);
    }
    this.#free(held, lease);
  }

  #free(bytes: number, lease: Lease): void {
    lease.giveBack(bytes);
    this.#bytesInFlight -= bytes;
    this.#admit();
  }
}

/** The time by which a reader must have taken what it was sent so far. */
class ReaderDeadline {
  readonly #clock: Clock;
  readonly #timers: Timers;
  #at: number;

  constructor(clock: Clock, timers: Timers) {
    this.#clock = clock;
    this.#timers = timers;
    this.#at = clock.now() + READER_GRACE_MS;
  }

  /** The outcome of a write of this many bytes. Rejects when they are not taken in time. */
  async within(written: Promise<void>, bytes: number): Promise<void> {
    const now = this.#clock.now();
    // A reader that was faster than required gets no credit: buffers on the way take megabytes for a reader that takes nothing.
    this.#at = Math.min(this.#at, now + READER_GRACE_MS) + (bytes / MIN_READER_BYTES_PER_SECOND) * 1000;
    const late = Promise.withResolvers<never>();
    const cancelTimer = this.#timers.after(this.#at - now, () =>
      late.reject(new Error("The answer was taken too slowly, and the rest of it is not sent.")),
    );
    try {
      await Promise.race([written, late.promise]);
    } finally {
      cancelTimer();
    }
  }
}

/** A copy of the range. Its bounds are views of the request's body, which may be many times as large. */
function ownRange(range: ReadRange): ReadRange {
  return { ...range, start: range.start.slice(), end: range.end.slice() };
}

function tooLarge(bytes: number): Failure {
  return failure(
    "limit",
    `The entries of this read have ${bytes} bytes: at most ${MAX_READ_ANSWER_BYTES} can be read at once. Lower batchSize or limit`,
  );
}

const BUSY = failure(
  "unavailable",
  "Other large answers take all the memory that there is for such answers: try again",
);
