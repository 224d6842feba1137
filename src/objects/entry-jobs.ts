/** Jobs that clients of the data path begin: deletes and undeletes of many entries. The organization knows of each before it begins. */
import type { BegunJob, EntryJob, EntryJobKind } from "../contracts/entry-commands.ts";
import type { BackupJob, RestoreAnswer, RestoreCommand } from "../contracts/restore-commands.ts";
import { type Failure, failure, isFailure } from "../core/errors.ts";

export interface EntryJobsParts {
  readonly restores: { run(command: RestoreCommand): Promise<RestoreAnswer | Failure> };
  readonly newId: () => string;
  /** Tells the organization of a job, so that the job can be followed there. */
  readonly note: (jobId: string, kind: EntryJobKind) => Promise<void>;
}

export class EntryJobs {
  readonly #parts: EntryJobsParts;

  constructor(parts: EntryJobsParts) {
    this.#parts = parts;
  }

  /** "conflict" while another job of the database is running. */
  async begin(kind: EntryJobKind, command: (jobId: string) => RestoreCommand): Promise<BegunJob | Failure> {
    const { restores, newId, note } = this.#parts;
    // Otherwise each request that is refused would leave a row in the organization.
    const busy = await this.#busy();
    if (busy !== null) return busy;
    const jobId = newId();
    // Noted before it begins, so that it is never lost.
    await note(jobId, kind);
    const answer = await restores.run(command(jobId));
    return isFailure(answer) ? answer : (shown(answer) ?? NO_SUCH_JOB);
  }

  async job(jobId: string): Promise<EntryJob | Failure> {
    const answer = await this.#parts.restores.run({ command: "job", jobId });
    return isFailure(answer) ? answer : (shown(answer)?.job ?? NO_SUCH_JOB);
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

function shown(answer: RestoreAnswer): BegunJob | null {
  if (answer.kind !== "job") return null;
  const { id, status, phase, done, total, rate, error, version, undeleted, createdAt, finishedAt } = answer.job;
  const kind = kindOf(answer.job);
  if (kind === null) return null;
  const job = { id, kind, status, phase, done, total, rate, error, version, undeleted, createdAt, finishedAt };
  return { ok: true, job: { ok: true, ...job } };
}

/** null: no client of the data path has begun it. */
function kindOf({ kind }: BackupJob): EntryJobKind | null {
  if (kind === "delete") return "entries.delete";
  return kind === "undelete" ? "entries.undelete" : null;
}
