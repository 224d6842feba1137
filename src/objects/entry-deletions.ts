/**
 * Deletes of a range. A few thousand entries are deleted while the request waits, in commits of a thousand; a job deletes larger numbers.
 * Neither is one commit. Every key that existed when its turn came is gone afterwards. Keys that are written behind that place stay.
 */
import type { CommandedRange, EntryJob, RangeDeletion } from "../contracts/entry-commands.ts";
import type { BackupJob, RestoreAnswer, RestoreCommand } from "../contracts/restore-commands.ts";
import { toHex } from "../core/bytes.ts";
import { type Failure, failure, isFailure } from "../core/errors.ts";
import { MAX_DELETED_AT_ONCE, MAX_DELETED_PER_COMMIT } from "../core/limits.ts";
import type { Database } from "../engine/database.ts";
import type { EntryCounts } from "./entry-counts.ts";

export interface EntryDeletionsParts {
  readonly database: Pick<Database, "deleteWithin">;
  readonly counts: Pick<EntryCounts, "count">;
  readonly restores: { run(command: RestoreCommand): Promise<RestoreAnswer | Failure> };
  /** Lets other requests be answered. */
  readonly breathe: () => Promise<void>;
  readonly newId: () => string;
  /** Tells the organization of a job, so that the job can be followed there. */
  readonly note: (jobId: string) => Promise<void>;
}

export class EntryDeletions {
  readonly #parts: EntryDeletionsParts;

  constructor(parts: EntryDeletionsParts) {
    this.#parts = parts;
  }

  /** "conflict" when a job is needed and another job of the database is running. */
  async delete(range: CommandedRange, dryRun: boolean): Promise<RangeDeletion | Failure> {
    const counted = await this.#parts.counts.count(range);
    if (isFailure(counted) || dryRun) return counted;
    return counted.count <= MAX_DELETED_AT_ONCE ? this.#deleteNow(range) : this.#begin(range, counted.count);
  }

  async job(jobId: string): Promise<EntryJob | Failure> {
    const answer = await this.#parts.restores.run({ command: "job", jobId });
    if (isFailure(answer)) return answer;
    if (answer.kind !== "job" || answer.job.kind !== "delete") return NO_SUCH_JOB;
    return shown(answer.job);
  }

  async #deleteNow({ start, end }: CommandedRange): Promise<RangeDeletion | Failure> {
    let count = 0;
    let from: Uint8Array | null = start;
    for (;;) {
      const slice = this.#parts.database.deleteWithin({ start: from, end }, MAX_DELETED_PER_COMMIT, () => undefined);
      count += slice.deleted;
      from = slice.next;
      if (from === null) return { ok: true, count, version: slice.version };
      await this.#parts.breathe();
      // Another client continues to write in the range.
      if (count > 2 * MAX_DELETED_AT_ONCE) return this.#begin({ start: from, end }, 0);
    }
  }

  async #begin({ start, end }: CommandedRange, total: number): Promise<RangeDeletion | Failure> {
    const { restores, newId, note } = this.#parts;
    // Else each request that is refused would leave a row in the organization.
    const busy = await this.#busy();
    if (busy !== null) return busy;
    const jobId = newId();
    // Noted before it begins, so that it is never lost.
    await note(jobId);
    const answer = await restores.run({ command: "delete", jobId, start: toHex(start), end: toHex(end), total });
    if (isFailure(answer)) return answer;
    return answer.kind === "job" ? { ok: true, job: shown(answer.job) } : NO_SUCH_JOB;
  }

  /** Why no job can begin: another one of the database runs. */
  async #busy(): Promise<Failure | null> {
    const answer = await this.#parts.restores.run({ command: "jobs" });
    if (isFailure(answer)) return answer;
    const running = answer.kind === "jobs" ? answer.jobs.find(({ status }) => status === "running") : undefined;
    if (running === undefined) return null;
    return failure(
      "conflict",
      `The job ${running.id} (${running.kind}) is running: one at a time per database. Wait for its end, or cancel it.`,
    );
  }
}

const NO_SUCH_JOB = failure("not-found", "There is no such job of this database, or it was over a week ago.");

function shown({ id, status, done, total, rate, error, createdAt, finishedAt }: BackupJob): EntryJob {
  return { ok: true, id, status, done, total, rate, error, createdAt, finishedAt };
}
