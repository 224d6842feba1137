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

interface Waiting {
  readonly write: AtomicWrite;
  readonly bytes: number;
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
    if (this.#waiting.length > 0 && this.#waitingBytes + bytes > MAX_WAITING_WRITE_BYTES) {
      return failure(
        "unavailable",
        `Writes of ${this.#waitingBytes} bytes are waiting for this database's disk: try again`,
      );
    }
    return new Promise((settle) => {
      this.#waiting.push({ write, bytes, settle });
      this.#waitingBytes += bytes;
      if (!this.#busy) void this.#drain();
    });
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
