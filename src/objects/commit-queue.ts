/**
 * Groups commits: writes that arrive while a group is being flushed to disk form the next one, which shares a transaction and a
 * flush. A write that finds nothing under way is applied at once and waits for nobody. What waits is bounded in bytes.
 */
import { failure } from "../core/errors.ts";
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

const UNKNOWN_OUTCOME = failure("internal", "Whether the write was stored is unknown: this is a bug of Cairn");

export class CommitQueue {
  readonly #options: CommitQueueOptions;
  readonly #waiting: Waiting[] = [];
  #waitingBytes = 0;
  #busy = false;

  constructor(options: CommitQueueOptions) {
    this.#options = options;
  }

  /** `bytes`: what the write keeps in memory while it waits. "unavailable" when too much waits already. */
  submit(write: AtomicWrite, bytes: number): Promise<CommitOutcome> {
    if (this.#waiting.length > 0 && this.#waitingBytes + bytes > MAX_WAITING_WRITE_BYTES) {
      return Promise.resolve(
        failure("unavailable", `Writes of ${this.#waitingBytes} bytes are waiting for this database's disk: try again`),
      );
    }
    return new Promise((settle) => {
      this.#waiting.push({ write, bytes, settle });
      this.#waitingBytes += bytes;
      if (!this.#busy) void this.#drain();
    });
  }

  async #drain(): Promise<void> {
    this.#busy = true;
    try {
      while (this.#waiting.length > 0) {
        const group = this.#takeGroup();
        const outcomes = this.#commit(group);
        for (const [index, { settle }] of group.entries()) settle(outcomes[index] ?? UNKNOWN_OUTCOME);
        await this.#options.flushed();
      }
    } finally {
      this.#busy = false;
    }
  }

  /** Nobody is left waiting, whatever happens. */
  #commit(group: readonly Waiting[]): readonly CommitOutcome[] {
    try {
      return this.#options.commit(group.map(({ write }) => write));
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
