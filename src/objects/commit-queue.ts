/**
 * Groups commits: writes that arrive while a group is being flushed to disk form the next one, which shares a transaction and a
 * flush. A write that finds nothing under way is applied at once and waits for nobody.
 */
import { failure } from "../core/errors.ts";
import { MAX_COMMITS_PER_GROUP } from "../core/limits.ts";
import type { AtomicWrite } from "../core/operations.ts";
import type { CommitOutcome } from "../engine/database.ts";

interface Waiting {
  readonly write: AtomicWrite;
  readonly settle: (outcome: CommitOutcome) => void;
}

export interface CommitQueueOptions {
  /** Applies a group in order; an outcome for each write. */
  readonly commit: (writes: readonly AtomicWrite[]) => CommitOutcome[];
  /** Resolves when what was applied is on disk. */
  readonly flushed: () => Promise<void>;
}

export class CommitQueue {
  readonly #options: CommitQueueOptions;
  readonly #waiting: Waiting[] = [];
  #busy = false;

  constructor(options: CommitQueueOptions) {
    this.#options = options;
  }

  submit(write: AtomicWrite): Promise<CommitOutcome> {
    return new Promise((settle) => {
      this.#waiting.push({ write, settle });
      if (!this.#busy) void this.#drain();
    });
  }

  async #drain(): Promise<void> {
    this.#busy = true;
    try {
      while (this.#waiting.length > 0) {
        const group = this.#waiting.splice(0, MAX_COMMITS_PER_GROUP);
        const outcomes = this.#options.commit(group.map(({ write }) => write));
        for (const [index, { settle }] of group.entries()) {
          settle(outcomes[index] ?? failure("internal", "the write was lost on the way: this is a bug of Cairn"));
        }
        await this.#options.flushed();
      }
    } finally {
      this.#busy = false;
    }
  }
}
