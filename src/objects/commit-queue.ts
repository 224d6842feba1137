/**
 * Groups commits: writes that arrive while a group is being flushed to disk form the next one, which shares a transaction and a
 * flush. A write that finds nothing under way is applied at once and waits for nobody. What waits is bounded in bytes.
 *
 * Nothing is answered before it is on disk: the platform holds every answer back until then. To be told of the end of a flush only
 * serves the grouping, and costs a tenth of a lone writer's time. So one that has been alone for a while is looked for company only
 * now and then.
 */
import { type Failure, failure } from "../core/errors.ts";
import { MAX_COMMITS_PER_GROUP, MAX_GROUP_BYTES, MAX_WAITING_WRITE_BYTES } from "../core/limits.ts";
import type { AtomicWrite } from "../core/operations.ts";
import type { CommitOutcome } from "../engine/database.ts";

export interface SubmittedWrite {
  readonly write: AtomicWrite;
  /** What it keeps in memory while it waits. */
  readonly bytes: number;
}

/** About what a decoded mutation takes in memory beside its bytes. */
const DECODED_MUTATION_BYTES = 500;

/** What a write keeps in memory that was decoded from a request of so many bytes. */
export function writeMemory({ mutations }: AtomicWrite, requestBytes: number): number {
  return requestBytes + mutations.length * DECODED_MUTATION_BYTES;
}

interface Waiting extends SubmittedWrite {
  readonly settle: (outcome: CommitOutcome) => void;
}

export interface CommitQueueOptions {
  /** Applies a group in order; an outcome for each write. */
  readonly commit: (writes: readonly AtomicWrite[]) => CommitOutcome[];
  /** Resolves when what was applied is on disk. */
  readonly flushed: () => Promise<void>;
  /** `commit` threw: a bug. Its writes are answered with that their outcome is unknown. */
  readonly onError: (error: unknown) => void;
}

/** A writer that had no company during so many flushes in a row is taken to be alone. */
const LONE_WRITES = 8;

/** From then on each so many of its writes is followed to the end of its flush, to see whether it still is. */
const LONE_WRITES_PER_LOOK = 32;

const UNKNOWN_OUTCOME = failure("internal", "Whether the write was stored is unknown: this is a bug of Cairn");

export class CommitQueue {
  readonly #options: CommitQueueOptions;
  readonly #waiting: Waiting[] = [];
  #waitingBytes = 0;
  #busy = false;
  /** Writes in a row that had no company, as far as anybody looked. */
  #alone = 0;
  #closed: Failure | null = null;

  constructor(options: CommitQueueOptions) {
    this.#options = options;
  }

  /** `bytes`: what the write keeps in memory while it waits. "unavailable" when too much waits already. */
  submit(write: AtomicWrite, bytes: number): CommitOutcome | Promise<CommitOutcome> {
    if (this.#closed !== null) return this.#closed;
    if (!this.#busy && !this.#awaitsNextFlush()) {
      this.#alone += 1;
      return this.#commit([write])[0] ?? UNKNOWN_OUTCOME;
    }
    return this.#mayWait(bytes) ?? new Promise((settle) => this.#wait([{ write, bytes, settle }]));
  }

  /** The same for one or more writes that came together, which are applied in their order and as one group, unless they are more than that takes. */
  submitAll(writes: readonly SubmittedWrite[]): readonly CommitOutcome[] | Promise<readonly CommitOutcome[]> {
    const closed = this.#closed;
    if (closed !== null) return writes.map(() => closed);
    if (!this.#busy && !this.#awaitsNextFlush()) {
      this.#alone += 1;
      const outcomes = this.#commit(writes.map(({ write }) => write));
      return writes.map((_, index) => outcomes[index] ?? UNKNOWN_OUTCOME);
    }
    const refused = this.#mayWait(writes.reduce((sum, { bytes }) => sum + bytes, 0));
    if (refused !== null) return writes.map(() => refused);
    const outcomes = writes.map((): CommitOutcome => UNKNOWN_OUTCOME);
    const { promise, resolve } = Promise.withResolvers<readonly CommitOutcome[]>();
    let left = writes.length;
    const waiting = writes.map((submitted, index): Waiting => {
      const settle = (outcome: CommitOutcome): void => {
        outcomes[index] = outcome;
        left -= 1;
        if (left === 0) resolve(outcomes);
      };
      return { ...submitted, settle };
    });
    this.#wait(waiting);
    return left === 0 ? outcomes : promise;
  }

  #mayWait(bytes: number): Failure | null {
    if (this.#waiting.length === 0 || this.#waitingBytes + bytes <= MAX_WAITING_WRITE_BYTES) return null;
    return failure(
      "unavailable",
      `Writes of ${this.#waitingBytes} bytes are waiting for this database's disk: try again`,
    );
  }

  #wait(writes: readonly Waiting[]): void {
    for (const waiting of writes) {
      this.#waiting.push(waiting);
      this.#waitingBytes += waiting.bytes;
    }
    if (!this.#busy) void this.#drain();
  }

  /** The database is gone: nothing is applied any more, and those who wait are told why. What was applied is answered as it was. */
  close(why: Failure): void {
    this.#closed = why;
    this.#waitingBytes = 0;
    for (const { settle } of this.#waiting.splice(0)) settle(why);
  }

  async #drain(): Promise<void> {
    this.#busy = true;
    try {
      while (this.#waiting.length > 0) {
        const group = this.#takeGroup();
        const outcomes = this.#commit(group.map(({ write }) => write));
        for (const [index, { settle }] of group.entries()) settle(outcomes[index] ?? UNKNOWN_OUTCOME);
        await this.#options.flushed();
        this.#alone = group.length === 1 && this.#waiting.length === 0 ? this.#alone + 1 : 0;
      }
    } finally {
      this.#busy = false;
    }
  }

  #awaitsNextFlush(): boolean {
    return this.#alone < LONE_WRITES || this.#alone % LONE_WRITES_PER_LOOK === 0;
  }

  /** Nobody is left waiting, whatever happens. */
  #commit(writes: readonly AtomicWrite[]): readonly CommitOutcome[] {
    try {
      return this.#options.commit(writes);
    } catch (error) {
      this.#options.onError(error);
      return [];
    }
  }

  /** The writes that share the next transaction, in order of arrival: at least one. */
  #takeGroup(): Waiting[] {
    let size = 0;
    let bytes = 0;
    for (const waiting of this.#waiting) {
      if (size === MAX_COMMITS_PER_GROUP || (size > 0 && bytes + waiting.bytes > MAX_GROUP_BYTES)) break;
      size += 1;
      bytes += waiting.bytes;
    }
    this.#waitingBytes -= bytes;
    return this.#waiting.splice(0, size);
  }
}
