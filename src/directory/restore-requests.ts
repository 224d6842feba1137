/**
 * Commands about going back in time. They are checked against the scopes of the caller's token here, and the objects of databases carry
 * them out. Their jobs run there. The organization stores which database each job belongs to, and its result.
 */
import type { UnixMs } from "../core/clock.ts";
import { failure, type Failure, isFailure } from "../core/errors.ts";
import type { Idempotency } from "../contracts/idempotency.ts";
import type { DatabaseControl, Input, Output } from "../contracts/management.ts";
import type { OrphanedArchive } from "../contracts/orphaned-archives.ts";
import type { DatabaseInfo, Job } from "../contracts/resources.ts";
import {
  DELETION_JOB,
  deletionName,
  type ForkArchiveCommand,
  type RestoreAnswer,
  type RestoreCommand,
  type BackupJob,
} from "../contracts/restore-commands.ts";
import { fixedMoment, readMoment } from "../core/moment.ts";
import { versionstampHex } from "../core/versionstamp.ts";
import type { NewJob } from "./job-orders.ts";
import type { Organization } from "./organization.ts";
import type { Admitted } from "./scopes.ts";
import type { OrganizationParts } from "./organization-parts.ts";
import type { Filling } from "./outbox.ts";
import { refuses } from "./policy.ts";
import { destinationOf } from "./shared-bucket.ts";

const databaseDeleted = failure("not-found", "The database was deleted.");

/** A new database to be filled. `asked`: the database whose object begins that. null: the new one. */
interface Order {
  readonly wanted: Pick<DatabaseInfo, "name" | "locationHint" | "jurisdiction">;
  readonly asked: string | null;
  readonly command: (jobId: string, databaseId: string) => RestoreCommand | ForkArchiveCommand;
}

/** Tells a new database what the outbox holds for it. Returns why it is not ready, unless it was deleted since. */
type TellNew = (databaseId: string, idempotency: Idempotency | null) => Promise<Failure | undefined>;

export class RestoreCommands {
  readonly #organization: Organization;
  readonly #parts: OrganizationParts;
  readonly #tellNew: TellNew;

  constructor(organization: Organization, parts: OrganizationParts, tellNew: TellNew) {
    this.#organization = organization;
    this.#parts = parts;
    this.#tellNew = tellNew;
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
    const wanted = { kind: "backup.verify", databaseId, idempotency: null } as const;
    return this.#begin(who, wanted, (jobId) => ({ command: "verify", jobId }));
  }

  async inPlace(who: Admitted, { at, prefix, ...wanted }: Input<"restores.create">): Promise<Job | Failure> {
    const job = { kind: "database.restore", ...wanted } as const;
    return this.#begin(who, job, (jobId) => ({ command: "restore", jobId, at, prefix }));
  }

  /** The moment is looked up before a database is made for it. */
  async fork(
    who: Admitted,
    { databaseId, at, generation, prefix, name, idempotency }: Input<"forks.create">,
  ): Promise<Output<"forks.create"> | Failure> {
    return this.#intoNew(who, idempotency, async () => {
      const source = this.#organization.database(who, databaseId);
      if (isFailure(source)) return source;
      const found = await this.#ask(who, databaseId, { command: "resolve", at, generation });
      if (!found.ok) return found;
      const [point] = found.kind === "points" ? found.points : [];
      if (point === undefined) return unexpected(found);
      const { locationHint, jurisdiction } = source;
      return {
        wanted: { name, locationHint, jurisdiction },
        asked: databaseId,
        command: (jobId, intoDatabaseId) => ({
          command: "fork",
          jobId,
          at: versionstampHex(point.version),
          generation,
          prefix,
          intoDatabaseId,
          intoJurisdiction: jurisdiction,
        }),
      };
    });
  }

  async fromBucket(
    who: Admitted,
    { name, idempotency, ...entered }: Input<"restores.createFromBucket">,
  ): Promise<Output<"restores.createFromBucket"> | Failure> {
    // A moment such as "-5m" is counted from when it was asked for, however late the order is delivered.
    const read = readMoment(entered.at, this.#parts.clock.now());
    if (!read.ok) return read;
    const destination = destinationOf(this.#organization.id, entered.destination);
    const from = { ...entered, at: fixedMoment(read.moment), destination };
    return this.#intoNew(who, idempotency, async () => ({
      wanted: { name, locationHint: null, jurisdiction: null },
      asked: null,
      command: (jobId) => ({ command: "restore from", jobId, ...from, withoutManifest: false }),
    }));
  }

  /** The archive is looked up before a database is made for it: `found` does that. */
  forkOfArchive(
    who: Admitted,
    { databaseId, archiveId, name }: Input<"archives.fork">,
    found: () => Promise<Failure | null>,
  ): Promise<Output<"archives.fork"> | Failure> {
    return this.#intoNew(who, null, async () => {
      const source = this.#organization.database(who, databaseId);
      if (isFailure(source)) return source;
      const missing = await found();
      if (missing !== null) return missing;
      const { locationHint, jurisdiction } = source;
      return {
        wanted: { name, locationHint, jurisdiction },
        asked: databaseId,
        command: (jobId, intoDatabaseId) => ({
          command: "fork archive",
          jobId,
          archiveId,
          intoDatabaseId,
          intoJurisdiction: jurisdiction,
        }),
      };
    });
  }

  /** The new database reads the archive itself: `found` looks it up before the database is made. */
  forkOfOrphan(
    who: Admitted,
    { name, idempotency }: Input<"orphanedArchives.fork">,
    found: () => Promise<OrphanedArchive | Failure>,
  ): Promise<Output<"orphanedArchives.fork"> | Failure> {
    return this.#intoNew(who, idempotency, async () => {
      const archive = await found();
      if (isFailure(archive)) return archive;
      const { id: archiveId, databaseId, size } = archive;
      const { locationHint = null, jurisdiction = null } = this.#organization.databases.get(databaseId) ?? {};
      return {
        wanted: { name, locationHint, jurisdiction },
        asked: null,
        command: (jobId) => ({ command: "receive orphaned archive", jobId, archiveId, databaseId, size }),
      };
    });
  }

  /** Has the job begin that fills a new database. Returns why it was refused. Idempotent. */
  async fill(databaseId: string, { jobId, asked, sealed }: Filling): Promise<Failure | undefined> {
    const { secrets } = this.#parts;
    if (isFailure(secrets)) return secrets;
    const opened = await secrets.open(sealed, { databaseId, backupId: jobId });
    if (!opened.ok) return opened;
    const record = this.#organization.databases.get(asked);
    if (record === undefined || (asked !== databaseId && record.state !== "ready")) return databaseDeleted;
    // Sealed below, from a value of this type.
    const answer = await this.#control(asked, record).restore(
      JSON.parse(opened.text) as RestoreCommand | ForkArchiveCommand,
    );
    return answer.ok ? undefined : answer;
  }

  /** The job as it is now, in whichever object it runs. When it is first seen to have ended, its result is stored here. */
  async job(who: Admitted, jobId: string): Promise<Job | Failure> {
    const job = this.#organization.job(who, jobId);
    if (isFailure(job)) return job;
    if (job.finishedAt !== null) return this.#asStored(job);
    const answer = await this.#askOfJob(job, "job");
    return answer === null ? job : this.#followed(job, answer);
  }

  async cancel(who: Admitted, jobId: string): Promise<Job | Failure> {
    const job = await this.job(who, jobId);
    if (isFailure(job)) return job;
    // Only a caller who could have ordered a deletion may stop it.
    const refused =
      job.kind === "database.delete" && who.scopes !== null ? refuses(who.scopes, "databases.delete") : undefined;
    if (refused !== undefined) return refused;
    const answer = job.finishedAt === null ? await this.#askOfJob(job, "cancel") : null;
    if (answer === null) return this.#organization.cancelJob(who, jobId);
    return answer.ok ? this.#followed(job, answer) : answer;
  }

  /**
   * Asks the object that carries the job out. null: only this organization knows of the job, for example the deletion of a database whose
   * backup is not being deleted yet.
   */
  async #askOfJob({ id, kind, databaseId }: Job, command: "job" | "cancel"): Promise<RestoreAnswer | Failure | null> {
    if (kind !== "database.delete") return this.#askAnyway(databaseId, { command, jobId: id });
    const record = this.#organization.databases.get(databaseId);
    if (record?.state !== "deleted") return null;
    return this.#control(deletionName(databaseId), record).restore({ command, jobId: DELETION_JOB });
  }

  /** Has a database begin a job. Idempotent. */
  async #begin(who: Admitted, wanted: NewJob, command: (jobId: string) => RestoreCommand): Promise<Job | Failure> {
    const { databaseId } = wanted;
    const begun = await this.begin(who, wanted, (jobId) => this.#askAnyway(databaseId, command(jobId)));
    if (isFailure(begun)) return begun;
    return begun.answer === null ? begun.job : this.#followed(begun.job, begun.answer);
  }

  /**
   * The job's row is written before `ask` has the database begin the job, so that no job is lost. When the database refuses, the row goes.
   * `answer` null: the idempotency key ordered the job before, and it has ended.
   */
  async begin<Answer extends { readonly ok: true }>(
    who: Admitted,
    wanted: NewJob,
    ask: (jobId: string) => Promise<Answer | Failure>,
  ): Promise<{ readonly job: Job; readonly answer: Answer | null } | Failure> {
    const covered = this.#organization.database(who, wanted.databaseId);
    if (isFailure(covered)) return covered;
    const { clock, entropy } = this.#parts;
    const job = this.#organization.orders.add(who, wanted, entropy.uuid(), clock.now());
    if (isFailure(job)) return job;
    if (job.finishedAt !== null) return { job, answer: null };
    const answer = await ask(job.id);
    if (answer.ok) return { job, answer };
    this.#organization.jobs.remove(job.id);
    return answer;
  }

  /**
   * Makes a new database and the job that fills it; or returns those that the idempotency key made before, for which nothing is prepared.
   */
  async #intoNew(
    who: Admitted,
    idempotency: Idempotency | null,
    prepare: () => Promise<Order | Failure>,
  ): Promise<{ readonly database: DatabaseInfo; readonly job: Job } | Failure> {
    const before = this.#organization.orders.madeBefore(who, idempotency, this.#parts.clock.now());
    const job = before ?? (await this.#create(who, idempotency, prepare));
    if (isFailure(job)) return job;
    const notReady = await this.#tellNew(job.databaseId, idempotency);
    const database = this.#organization.database(who, job.databaseId);
    if (isFailure(database)) return this.#whyGivenUp(job.id) ?? notReady ?? databaseDeleted;
    const current = await this.job(who, job.id);
    return isFailure(current) ? current : { database, job: current };
  }

  /** Why the job that was to fill a database was given up. null: it was not. */
  #whyGivenUp(jobId: string): Failure | null {
    const job = this.#organization.jobs.get(jobId);
    return job?.status === "failed" && job.error !== null ? failure("conflict", job.error) : null;
  }

  async #create(
    who: Admitted,
    idempotency: Idempotency | null,
    prepare: () => Promise<Order | Failure>,
  ): Promise<Job | Failure> {
    const { secrets, entropy, clock } = this.#parts;
    if (isFailure(secrets)) return secrets;
    const noRoom = await this.#parts.roomForDatabase();
    if (noRoom !== null) return noRoom;
    const order = await prepare();
    if (isFailure(order)) return order;
    const [databaseId, jobId] = [entropy.uuid(), entropy.uuid()];
    const command = JSON.stringify(order.command(jobId, databaseId));
    const sealed = await secrets.seal(command, { databaseId, backupId: jobId });
    const filling = { jobId, asked: order.asked ?? databaseId, sealed };
    const wanted = { ...order.wanted, description: "" };
    return this.#organization.orders.addFilled(who, wanted, databaseId, filling, idempotency, clock.now());
  }

  /** Whether the commits that a restore has undone can be restored by now. The database knows, as long as it knows of the job. */
  async #asStored(job: Job): Promise<Job> {
    if ((job.result?.outcome?.before ?? null) === null) return job;
    const answer = await this.#askAnyway(job.databaseId, { command: "job", jobId: job.id });
    return answer.ok && answer.kind === "job" ? shown(job, answer.job) : job;
  }

  #followed(job: Job, answer: RestoreAnswer | Failure): Job | Failure {
    const now = this.#parts.clock.now();
    if (!answer.ok && answer.code !== "not-found") return answer;
    const current: Job = !answer.ok ? unknownTo(job, now) : answer.kind === "job" ? shown(job, answer.job) : job;
    if (current.finishedAt !== null) this.#organization.jobs.finish(current);
    return current;
  }

  async #ask(who: Admitted, databaseId: string, command: RestoreCommand): Promise<RestoreAnswer | Failure> {
    const database = this.#organization.database(who, databaseId);
    return isFailure(database) ? database : this.#control(databaseId, database).restore(command);
  }

  /** Asks a database that the caller's scopes cover, although it may have been deleted since. */
  async #askAnyway(databaseId: string, command: RestoreCommand): Promise<RestoreAnswer | Failure> {
    const record = this.#organization.databases.get(databaseId);
    if (record?.state !== "ready") return databaseDeleted;
    return this.#control(databaseId, record).restore(command);
  }

  #control(databaseId: string, placement: DatabaseInfo): DatabaseControl {
    return this.#parts.database(databaseId, placement);
  }
}

/** The end of a job that the object which carries it out does not know. */
function unknownTo(job: Job, finishedAt: UnixMs): Job {
  // The database was wiped and had no backup, so nothing is left to do.
  if (job.kind === "database.delete") {
    return { ...job, status: "completed", done: job.total, error: null, finishedAt };
  }
  return { ...job, status: "failed", error: "The database knows nothing of this job.", finishedAt };
}

function shown(job: Job, { status, done, total, rate, error, finishedAt, ...more }: BackupJob): Job {
  const { phase, version, damagedObject, verification, outcome, undeleted } = more;
  const versionstamp = version === null ? null : versionstampHex(version);
  const result = { phase, versionstamp, damagedObject, verification, outcome, undeleted };
  return { ...job, status, done, total, rate, error, finishedAt, result };
}

function unexpected({ kind }: Extract<RestoreAnswer, { ok: true }>): Failure {
  return failure("internal", `The database answered another question: ${kind}.`);
}
