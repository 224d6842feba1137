/** Jobs that delete the entries of a range. Each slice is a commit, and stores the progress in the same transaction. */
import { fromHex, toHex } from "../../core/bytes.ts";
import { MAX_DELETED_PER_COMMIT } from "../../core/limits.ts";
import type { BackupJobs, RunningJob } from "../jobs.ts";

/** What the row of a job stores of the request. Keys are in hex. */
export interface DeletionInput {
  readonly start: string;
  readonly end: string;
  readonly total: number;
}

interface DeletionState {
  /** Where the next slice begins. */
  readonly start: string;
  readonly done: number;
}

/** Does work that writes at the turn of the database's organization among the jobs of the process. */
export type AtTurn = (work: () => unknown) => Promise<unknown>;

/** The engine's `Database` has this type. */
export interface DeletableDatabase {
  deleteWithin(
    range: { readonly start: Uint8Array; readonly end: Uint8Array },
    limit: number,
    also: (deleted: number, next: Uint8Array | null) => void,
  ): unknown;
}

export class RangeDeletions {
  readonly #jobs: BackupJobs;
  readonly #database: DeletableDatabase;

  readonly #atTurn: AtTurn;

  constructor(jobs: BackupJobs, database: DeletableDatabase, atTurn: AtTurn) {
    this.#jobs = jobs;
    this.#database = database;
    this.#atTurn = atTurn;
  }

  async slice({ id, input, state }: RunningJob): Promise<void> {
    // This class wrote both, from values of these types.
    const { start, end, total } = JSON.parse(input) as DeletionInput;
    const from = state === null ? { start, done: 0 } : (JSON.parse(state) as DeletionState);
    const range = { start: fromHex(from.start), end: fromHex(end) };
    const deleteSome = (): void => {
      // It was cancelled meanwhile.
      if (!this.#jobs.isRunning(id)) return;
      this.#database.deleteWithin(range, MAX_DELETED_PER_COMMIT, (deleted, next) => {
        const done = from.done + deleted;
        const reached: DeletionState = { start: next === null ? end : toHex(next), done };
        this.#jobs.progress(id, reached, { phase: "deleting entries", done, total: Math.max(total, done) });
        if (next === null) this.#jobs.complete(id);
      });
    };
    await this.#atTurn(deleteSome);
  }

  giveUp(id: string, why: string): void {
    this.#jobs.fail(id, why);
  }
}
