/**
 * Commands about going back in time: judged by what the caller's token covers, carried out by the databases' objects. The jobs that
 * come of them run there; the organization keeps of which database each is, and what it came to.
 */
import { asUnixMs, type UnixMs } from "../core/clock.ts";
import { failure, type Failure } from "../core/errors.ts";
import {
  isFailure,
  type DatabaseControl,
  type DatabaseInfo,
  type Input,
  type Job,
  type JobKind,
  type Output,
} from "../core/management.ts";
import {
  DELETION_JOB,
  deletionName,
  type RestoreAnswer,
  type RestoreCommand,
  type RestoreJob,
} from "../core/restore-commands.ts";
import { versionstampHex } from "../core/versionstamp.ts";
import type { Admitted, Organization } from "./organization.ts";
import type { Surroundings } from "./organization-service.ts";

/** Makes a database, and deletes one that nothing came of. */
interface NewDatabases {
  create(who: Admitted, input: Input<"databases.create">): Promise<DatabaseInfo | Failure>;
  delete(who: Admitted, databaseId: string): Promise<unknown>;
}

export class RestoreCommands {
  readonly #organization: Organization;
  readonly #around: Surroundings;
  readonly #databases: NewDatabases;

  constructor(organization: Organization, around: Surroundings, databases: NewDatabases) {
    this.#organization = organization;
    this.#around = around;
    this.#databases = databases;
  }

  async range(who: Admitted, { databaseId }: Input<"backups.range">): Promise<Output<"backups.range"> | Failure> {
    const answer = await this.#ask(who, databaseId, { command: "range" });
    if (!answer.ok) return answer;
    return answer.kind === "range" ? { range: answer.range } : unexpected(answer);
  }

  async points(
    who: Admitted,
    { databaseId, ...question }: Input<"backups.points">,
  ): Promise<Output<"backups.points"> | Failure> {
    const answer = await this.#ask(who, databaseId, { command: "points", ...question });
    if (!answer.ok) return answer;
    if (answer.kind !== "points") return unexpected(answer);
    return { points: answer.points, next: answer.next === null ? null : versionstampHex(answer.next) };
  }

  async verify(who: Admitted, { databaseId }: Input<"backups.verify">): Promise<Job | Failure> {
    return this.#begin(who, "backup.verify", databaseId, databaseId, (jobId) => ({ command: "verify", jobId }));
  }

  async inPlace(who: Admitted, { databaseId, at }: Input<"restores.create">): Promise<Job | Failure> {
    return this.#begin(who, "database.restore", databaseId, databaseId, (jobId) => ({ command: "restore", jobId, at }));
  }

  /** The moment is found before a database is made for it. */
  async fork(
    who: Admitted,
    { databaseId, at, name }: Input<"forks.create">,
  ): Promise<Output<"forks.create"> | Failure> {
    const source = this.#organization.database(who, databaseId);
    if (isFailure(source)) return source;
    const found = await this.#ask(who, databaseId, { command: "resolve", at });
    if (!found.ok) return found;
    const [point] = found.kind === "points" ? found.points : [];
    if (point === undefined) return unexpected(found);
    const { locationHint, jurisdiction } = source;
    return this.#intoNew(who, { name, locationHint, jurisdiction }, databaseId, (jobId, intoDatabaseId) => ({
      command: "fork",
      jobId,
      at: versionstampHex(point.version),
      intoDatabaseId,
      intoJurisdiction: jurisdiction,
    }));
  }

  async fromBucket(
    who: Admitted,
    { destination, databaseId, at, name }: Input<"restores.createFromBucket">,
  ): Promise<Output<"restores.createFromBucket"> | Failure> {
    const wishes = { name, locationHint: null, jurisdiction: null };
    return this.#intoNew(who, wishes, null, (jobId) => ({
      command: "restore from",
      jobId,
      databaseId,
      destination,
      at,
      withoutManifest: false,
    }));
  }

  /** As it is now, wherever it is done. What it came to is kept here from the first time that it is seen to be over. */
  async job(who: Admitted, jobId: string): Promise<Job | Failure> {
    const job = this.#organization.job(who, jobId);
    if (isFailure(job) || job.finishedAt !== null) return job;
    if (job.kind !== "database.delete") {
      return this.#followed(job, await this.#askAnyway(job.databaseId, { command: "job", jobId }));
    }
    const deletion = this.#deletionOf(job);
    return deletion === null
      ? job
      : this.#followed(job, await deletion.restore({ command: "job", jobId: DELETION_JOB }));
  }

  async cancel(who: Admitted, jobId: string): Promise<Job | Failure> {
    const job = await this.job(who, jobId);
    if (isFailure(job) || job.finishedAt !== null) return this.#organization.cancelJob(who, jobId);
    const deletion = this.#deletionOf(job);
    if (job.kind === "database.delete" && deletion === null) return this.#organization.cancelJob(who, jobId);
    const answer =
      deletion === null
        ? await this.#askAnyway(job.databaseId, { command: "cancel", jobId })
        : await deletion.restore({ command: "cancel", jobId: DELETION_JOB });
    return answer.ok ? this.#followed(job, answer) : answer;
  }

  /** What deletes the backup of a database that is gone already; null: the job is no such deletion, or has not come so far. */
  #deletionOf({ kind, databaseId }: Job): DatabaseControl | null {
    const record = this.#organization.databases.get(databaseId);
    return kind === "database.delete" && record?.state === "deleted"
      ? this.#control(deletionName(databaseId), record)
      : null;
  }

  /** Has `asked` begin a job that runs in `databaseId`. The row is there before, so that no job is ever lost sight of. */
  async #begin(
    who: Admitted,
    kind: JobKind,
    databaseId: string,
    asked: string,
    command: (jobId: string) => RestoreCommand,
  ): Promise<Job | Failure> {
    const covered = this.#organization.database(who, databaseId);
    if (isFailure(covered)) return covered;
    const jobId = this.#around.entropy.uuid();
    this.#organization.addJob(jobId, kind, databaseId, this.#around.clock.now());
    const answer = await this.#askAnyway(asked, command(jobId));
    const job = this.#organization.job(who, jobId);
    if (isFailure(job)) return job;
    if (answer.ok) return this.#followed(job, answer);
    this.#organization.removeJob(jobId);
    return answer;
  }

  /** A new database, and the job that fills it, which `asked` begins, or the new database itself. */
  async #intoNew(
    who: Admitted,
    wishes: Pick<Input<"databases.create">, "name" | "locationHint" | "jurisdiction">,
    asked: string | null,
    command: (jobId: string, databaseId: string) => RestoreCommand,
  ): Promise<{ readonly database: DatabaseInfo; readonly job: Job } | Failure> {
    const database = await this.#databases.create(who, { ...wishes, description: "", idempotency: null });
    if (isFailure(database)) return database;
    const { id } = database;
    const job = await this.#begin(who, "database.fork", id, asked ?? id, (jobId) => command(jobId, id));
    if (!isFailure(job)) return { database, job };
    await this.#databases.delete(who, id);
    return job;
  }

  #followed(job: Job, answer: RestoreAnswer | Failure): Job | Failure {
    const now = asUnixMs(this.#around.clock.now());
    if (!answer.ok && answer.code !== "not-found") return answer;
    const current: Job = !answer.ok ? unknownTo(job, now) : answer.kind === "job" ? shown(job, answer.job) : job;
    if (current.finishedAt !== null) this.#organization.finishJob(current);
    return current;
  }

  async #ask(who: Admitted, databaseId: string, command: RestoreCommand): Promise<RestoreAnswer | Failure> {
    const database = this.#organization.database(who, databaseId);
    return isFailure(database) ? database : this.#control(databaseId, database).restore(command);
  }

  /** Of a database that the caller was found to cover, though it may have been deleted since. */
  async #askAnyway(databaseId: string, command: RestoreCommand): Promise<RestoreAnswer | Failure> {
    const record = this.#organization.databases.get(databaseId);
    if (record?.state !== "ready") return failure("not-found", "The database was deleted.");
    return this.#control(databaseId, record).restore(command);
  }

  #control(databaseId: string, placement: DatabaseInfo): DatabaseControl {
    return this.#around.database(databaseId, placement);
  }
}

/** What a job is that is not known where it would be done. */
function unknownTo(job: Job, finishedAt: UnixMs): Job {
  // The database was wiped and had no backup: there is nothing more to do.
  if (job.kind === "database.delete") {
    return { ...job, status: "completed", done: job.total, error: null, finishedAt };
  }
  return { ...job, status: "failed", error: "The database knows nothing of this job.", finishedAt };
}

function shown(job: Job, { status, done, total, rate, error, finishedAt, ...more }: RestoreJob): Job {
  const { phase, version, damagedObject, verification } = more;
  const versionstamp = version === null ? null : versionstampHex(version);
  const result = { phase, versionstamp, damagedObject, verification };
  return { ...job, status, done, total, rate, error, finishedAt, result };
}

function unexpected({ kind }: Extract<RestoreAnswer, { ok: true }>): Failure {
  return failure("internal", `The database answered another question: ${kind}.`);
}
