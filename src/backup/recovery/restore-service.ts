/**
 * Everything that a database's object does about going back in time: it answers the commands, and runs the current job, one slice at a
 * time. `restore.ts`, `verify.ts` and `past-states.ts` do the work.
 */
import { assert } from "../../core/assert.ts";
import { fromHex, toHex } from "../../core/bytes.ts";
import type { UnixMs } from "../../core/clock.ts";
import { clockAt } from "../../core/clock-spans.ts";
import type { Entropy } from "../../core/entropy.ts";
import { type Failure, failure, isFailure } from "../../core/errors.ts";
import { MAX_KEY_BYTES_OF_POINTS, MAX_KEYS_OF_POINT, MAX_RESTORE_POINTS } from "../../core/limits.ts";
import type { Jurisdiction } from "../../contracts/placement.ts";
import {
  checkName,
  type PastInfo,
  type PastEviction,
  type ReceiveOrder,
  type RestoreAnswer,
  type RestoreCommand,
  type BackupJob,
  type BackupJobKind,
  type RestoreStub,
  type RevokedToken,
} from "../../contracts/restore-commands.ts";
import { timeOfVersion, type Version, versionOfHex } from "../../core/versionstamp.ts";
import { BackupJobs, type JobWorker, type RunningJob } from "../jobs.ts";
import { FeedHistory } from "./feed-history.ts";
import { Lookups } from "./lookups.ts";
import { asFailure, type OwnBackup } from "./open-backup.ts";
import { type Found, MomentFinder } from "./moment-finder.ts";
import { PastStates } from "./past-states.ts";
import type { Generation } from "./replay/catalog.ts";
import { readingsOf } from "./replay/clock-times.ts";
import { type CommitDetail, pointAt } from "./replay/commits.ts";
import { pointsAround } from "./replay/point-pages.ts";
import { type RestoreOptions, type RestorePurpose, type RestoreRequest, Restores } from "./restore.ts";
import { type AtTurn, type DeletableDatabase, type DeletionInput, RangeDeletions } from "./range-deletions.ts";
import { RangeUndeletions, type UndeletableDatabase, type UndeletionInput } from "./range-undeletions.ts";
import type { BackupTask, LogSource } from "../sources.ts";
import { UndoneCounter } from "./undone.ts";
import { type VerifiableDatabase, Verifier, type VerifyInput } from "./verify.ts";

/** The engine's `Database` has this type, with its `SideState` as the side. */
export interface RestorableDatabase extends VerifiableDatabase, DeletableDatabase, UndeletableDatabase {
  readonly log: LogSource;
  readonly lastVersion: Version;
}

/** What its restores need, and more. */
export interface RestoreServiceOptions extends Omit<RestoreOptions, "jobs" | "undone" | "adopted" | "ownDestination"> {
  readonly entropy: Entropy;
  readonly database: RestorableDatabase;
  /** Called in the transaction of an adoption: says what the database becomes. */
  readonly adopted: (purpose: Exclude<RestorePurpose, "check">, asOf: UnixMs) => void;
  readonly own: OwnBackup;
  /** Other objects of this database: states of the past and trials. */
  readonly object: (name: string) => RestoreStub;
  /** The tokens whose grants are all invalid here. */
  readonly revoked: () => readonly RevokedToken[];
  readonly otherDatabase: (id: string, jurisdiction: Jurisdiction | null) => RestoreStub;
  /** The task may be due earlier than before. */
  readonly dueBy: (at: UnixMs) => void;
  readonly atTurn: AtTurn;
}

export class RestoreService {
  readonly task: BackupTask;
  readonly scheduleTask: BackupTask;
  readonly #options: RestoreServiceOptions;
  readonly #jobs: BackupJobs;
  readonly #others = new Map<BackupJobKind, JobWorker>();
  readonly #restores: Restores;
  readonly #verifier: Verifier;
  readonly #past: PastStates;
  readonly #deletions: RangeDeletions;
  readonly #undeletions: RangeUndeletions;
  readonly #lookups = new Lookups();
  readonly #moments: MomentFinder;
  /** The change feed from further back than the log. */
  readonly feedHistory: FeedHistory;

  constructor(options: RestoreServiceOptions) {
    const { storage, clock, own } = options;
    this.#options = options;
    this.#moments = new MomentFinder({ ...options, lookups: this.#lookups });
    this.feedHistory = new FeedHistory({ open: () => this.#moments.openOwn(), lookups: this.#lookups });
    this.#jobs = new BackupJobs(storage, clock, (version) => own.holds(version));
    const jobs = this.#jobs;
    this.#restores = new Restores({
      ...options,
      jobs,
      undone: new UndoneCounter({
        log: options.database.log,
        open: () => this.#moments.openOwn(),
        storedUpTo: () => own.storedUpTo(),
        lastVersion: () => options.database.lastVersion,
      }),
      ownDestination: () => own.source(),
      adopted: (purpose, asOf, heldUpTo) => {
        options.adopted(purpose, asOf);
        if (purpose === "restore") own.restored(heldUpTo);
      },
    });
    const scratch = (): RestoreStub => options.object(checkName(options.objectName));
    this.#verifier = new Verifier({ ...options, jobs, scratch });
    this.#deletions = new RangeDeletions(jobs, options.database, options.atTurn);
    this.#undeletions = new RangeUndeletions({ ...options, jobs, openPast: (at) => this.#openPast(at) });
    this.#past = new PastStates({ ...options, reading: () => this.#undeletions.reading() });
    this.task = { name: "restore", keepsOwnRecord: true, dueAt: () => jobs.dueAt(), run: () => this.#runSlice() };
    this.scheduleTask = {
      name: "verification schedule",
      dueAt: () => own.schedule.dueAt(),
      run: async () => {
        if (!own.schedule.take(jobs.running !== null)) return;
        const started = jobs.start(
          toHex(options.entropy.bytes(16)),
          "verify",
          { bySchedule: true } satisfies VerifyInput,
          null,
        );
        if (!isFailure(started)) options.dueBy(clock.now());
      },
    };
  }

  /** A command that begins a job may come again. The answer is the job as it is. */
  async run(command: RestoreCommand): Promise<RestoreAnswer | Failure> {
    if (begins(command) && this.knows(command.jobId)) return jobAnswer(this.#jobs.get(command.jobId));
    switch (command.command) {
      case "range":
        return this.#range();
      case "points":
        return this.#points(command);
      case "resolve":
        return this.#resolve(command.at, command.generation ?? null);
      case "restore":
        return this.#restoreInPlace(command);
      case "fork":
        return this.#fork(command);
      case "restore from":
        return this.#restoreFrom(command);
      case "verify":
        return this.#verify(command.jobId);
      case "past":
        return this.#pastState(command.at, command.eviction);
      case "delete":
        return this.#deleteRange(command);
      case "undelete":
        return this.#undelete(command);
      case "job":
        return jobAnswer(this.#jobs.get(command.jobId));
      case "jobs":
        return { ok: true, kind: "jobs", jobs: this.#jobs.list() };
      case "cancel":
        return this.#cancel(command.jobId);
    }
  }

  /** The database's jobs: one at a time, of whatever kind. */
  get jobs(): BackupJobs {
    return this.#jobs;
  }

  /** From now on the jobs of these kinds are done by these workers, in the turns of this service. */
  attach(workers: Readonly<Partial<Record<BackupJobKind, JobWorker>>>): void {
    for (const [kind, worker] of Object.entries(workers)) this.#others.set(kind as BackupJobKind, worker);
  }

  knows(jobId: string): boolean {
    return this.#jobs.knows(jobId);
  }

  /** Another database's object sends what is to be built here. It may send it again. */
  async receive(order: ReceiveOrder): Promise<{ readonly ok: true; readonly job: BackupJob } | Failure> {
    const { jobId, purpose, databaseId, destination, version, isExact, floor } = order;
    const older = order.purpose === "check" ? order.olderGenerations : [];
    return this.#start({
      jobId,
      purpose,
      databaseId,
      from: { databaseId, destination },
      // Another object of ours made both from values of these types.
      generation: JSON.parse(order.generation) as Generation,
      olderGenerations: older.map((one) => JSON.parse(one) as Generation),
      version,
      isExact,
      floor,
      prefix: order.purpose === "fork" ? (order.prefix ?? null) : null,
      ...(order.purpose === "past" ? { asOf: order.asOf } : {}),
    });
  }

  /** Has the states of the past refuse a token. States that are built later get it from `revoked`. */
  async revokeInPast(token: RevokedToken): Promise<void> {
    await this.#past.revoke(this.#options.objectName, token);
  }

  /** The database is being deleted: wipes its states of the past. */
  async closePast(): Promise<void> {
    await this.#past.close(this.#options.objectName);
  }

  /** The contents of the object are gone. */
  close(): void {
    this.#jobs.close();
  }

  async #runSlice(): Promise<void> {
    await this.#jobs.slice(
      (job) => this.#workerOf(job).slice(job),
      (job, why) => this.#workerOf(job).giveUp(job.id, why),
    );
  }

  #workerOf({ kind }: RunningJob): Pick<Restores | Verifier | RangeDeletions | RangeUndeletions, "slice" | "giveUp"> {
    const other = this.#others.get(kind);
    if (other !== undefined) return this.#asWorker(other);
    switch (kind) {
      case "verify":
        return this.#verifier;
      case "delete":
        return this.#deletions;
      case "undelete":
        return this.#undeletions;
      default:
        return this.#restores;
    }
  }

  #asWorker(worker: JobWorker): Pick<Restores, "slice" | "giveUp"> {
    const { storage } = this.#options;
    return {
      slice: (job) => worker.slice(job),
      giveUp: (id, why) =>
        storage.transactionSync(() => {
          const { running } = this.#jobs;
          if (running?.id === id) worker.abandon(running, why);
          this.#jobs.fail(id, why);
        }),
    };
  }

  async #range(): Promise<RestoreAnswer | Failure> {
    const found = await this.#lookups.run(() => this.#moments.range());
    return found.ok ? { ok: true, kind: "range", range: found.range } : found;
  }

  async #points(command: Extract<RestoreCommand, { command: "points" }>): Promise<RestoreAnswer | Failure> {
    const { at, direction, limit, keys, prefix = null, exact = false } = command;
    if (!(Number.isInteger(limit) && limit >= 1 && limit <= MAX_RESTORE_POINTS)) {
      return failure("limit", `A page has 1 to ${MAX_RESTORE_POINTS} points, not ${limit}`);
    }
    const wanted = await this.#moments.wanted(at);
    if (!wanted.ok) return wanted;
    if (exact) await this.#moments.ship(wanted);
    const detail: CommitDetail = {
      mostKeys: keys ? MAX_KEYS_OF_POINT : 0,
      mostKeyBytes: MAX_KEY_BYTES_OF_POINTS,
      prefix: prefix === null ? null : fromHex(prefix),
      exact,
    };
    return this.#lookups.run(async () => {
      const opened = await this.#moments.openOwn();
      if (!opened.ok) return opened;
      const page = await pointsAround(opened.bucket, opened.catalog, wanted.version, {
        direction,
        limit,
        detail: keys || prefix !== null ? detail : null,
      });
      if (!page.ok) return asFailure(page);
      const readings = readingsOf(opened.catalog);
      const points = page.points.map((point) => ({
        ...point,
        clock: clockAt(readings, point.version),
        changes: keys ? point.changes : null,
      }));
      return { ok: true, kind: "points", points, next: page.next };
    });
  }

  async #resolve(at: string, generation: string | null): Promise<RestoreAnswer | Failure> {
    const wanted = await this.#moments.stored(at, generation);
    if (!wanted.ok) return wanted;
    const found = await this.#lookups.run(() => this.#moments.find(wanted));
    if (!found.ok) return found;
    return { ok: true, kind: "points", points: [pointAt(found.resolved.version)], next: null };
  }

  async #restoreInPlace(command: Extract<RestoreCommand, { command: "restore" }>): Promise<RestoreAnswer | Failure> {
    const { storage } = this.#options;
    const { prefix = null } = command;
    const tooLarge = prefix === null ? this.#restores.tooLarge(storage.sql.databaseSize) : null;
    if (tooLarge !== null) return tooLarge;
    const wanted = await this.#moments.stored(command.at, null);
    if (!wanted.ok) return wanted;
    const found = await this.#moments.find(wanted);
    return found.ok ? this.#startHere(command.jobId, "restore", found, { prefix, from: null }) : found;
  }

  async #fork(command: Extract<RestoreCommand, { command: "fork" }>): Promise<RestoreAnswer | Failure> {
    const wanted = await this.#moments.stored(command.at, command.generation ?? null);
    if (!wanted.ok) return wanted;
    const found = await this.#moments.find(wanted);
    if (!found.ok) return found;
    const { in: opened, resolved } = found;
    const floor = await this.#moments.floorOf(opened);
    if (!floor.ok) return floor;
    const received = await this.#options.otherDatabase(command.intoDatabaseId, command.intoJurisdiction).receive({
      purpose: "fork",
      floor: floor.version,
      jobId: command.jobId,
      databaseId: opened.bucket.databaseId,
      destination: opened.destination,
      version: resolved.version,
      isExact: resolved.isExact,
      generation: JSON.stringify(resolved.generation),
      prefix: command.prefix ?? null,
    });
    return received.ok ? { ok: true, kind: "job", job: received.job } : received;
  }

  async #restoreFrom(command: Extract<RestoreCommand, { command: "restore from" }>): Promise<RestoreAnswer | Failure> {
    const found = await this.#moments.findFrom(command, command.at, command.generation ?? null);
    const { prefix = null, databaseId, destination } = command;
    return found.ok
      ? this.#startHere(command.jobId, "fork", found, { prefix, from: { databaseId, destination } })
      : found;
  }

  async #startHere(
    jobId: string,
    purpose: "restore" | "fork",
    found: Found,
    { prefix, from }: Pick<RestoreRequest, "prefix" | "from">,
  ): Promise<RestoreAnswer | Failure> {
    const highest = await this.#moments.floorOf(found.in);
    if (!highest.ok) return highest;
    const { generation, version, isExact } = found.resolved;
    const { databaseId } = found.in.bucket;
    const floor = highest.version;
    return jobAnswer(
      await this.#start({
        jobId,
        purpose,
        from,
        databaseId,
        generation,
        version,
        isExact,
        floor,
        prefix,
        olderGenerations: [],
      }),
    );
  }

  async #start(
    request: Parameters<Restores["start"]>[0],
  ): Promise<{ readonly ok: true; readonly job: BackupJob } | Failure> {
    const job = await this.#restores.start(request);
    if (isFailure(job)) return job;
    this.#options.dueBy(this.#options.clock.now());
    return { ok: true, job };
  }

  async #verify(jobId: string): Promise<RestoreAnswer | Failure> {
    const source = await this.#options.own.source();
    if (!source.ok) return source;
    const job = this.knows(jobId)
      ? this.#jobs.get(jobId)
      : this.#jobs.start(jobId, "verify", { bySchedule: false } satisfies VerifyInput, null);
    if (!isFailure(job)) this.#options.dueBy(this.#options.clock.now());
    return jobAnswer(job);
  }

  async #pastState(at: string, eviction: PastEviction): Promise<RestoreAnswer | Failure> {
    const source = await this.#options.own.source();
    if (!source.ok) return source;
    const wanted = await this.#moments.wanted(at);
    if (!wanted.ok) return wanted;
    const known = await this.#past.find(source.databaseId, wanted.version);
    if (known !== null) return pastAnswer(known);
    const behind = await this.#moments.ship(wanted);
    if (behind !== null) return behind;
    return this.#lookups.run(async () => {
      const found = await this.#moments.find(wanted);
      if (!found.ok) return found.code === "not-found" ? this.#moments.withRange(found) : found;
      const { resolved } = found;
      const { bucket, destination, clock } = found.in;
      const asOf = clockAt(clock, resolved.version) ?? timeOfVersion(resolved.version);
      return pastAnswer(await this.#past.open(bucket.databaseId, destination, { ...resolved, asOf }, eviction));
    });
  }

  #deleteRange({ jobId, start, end, total }: Extract<RestoreCommand, { command: "delete" }>): RestoreAnswer | Failure {
    const job = this.#jobs.start(jobId, "delete", { start, end, total } satisfies DeletionInput, null, total);
    if (!isFailure(job)) this.#options.dueBy(this.#options.clock.now());
    return jobAnswer(job);
  }

  #undelete({ jobId, at, start, end, force, total }: Extract<RestoreCommand, { command: "undelete" }>) {
    const input: UndeletionInput = { at, start, end, force, total };
    const job = this.#jobs.start(jobId, "undelete", input, versionOfHex(at) ?? null, total);
    if (!isFailure(job)) this.#options.dueBy(this.#options.clock.now());
    return jobAnswer(job);
  }

  /** The state of a commit, for a job of this object. */
  async #openPast(at: string): Promise<PastInfo | Failure> {
    const answer = await this.#pastState(at, "least-recently-used");
    if (isFailure(answer)) return answer;
    assert(answer.kind === "past", `an answer about a state of the past, got ${answer.kind}`);
    return answer.past;
  }

  async #cancel(jobId: string): Promise<RestoreAnswer | Failure> {
    const { storage } = this.#options;
    const cancelled = storage.transactionSync(() => {
      const { running } = this.#jobs;
      const other = running?.id === jobId ? this.#others.get(running.kind) : undefined;
      if (running !== null) other?.abandon(running, "It was cancelled.");
      const job = this.#jobs.cancel(jobId);
      if (!isFailure(job) && !KEEP_NO_SIDE_STATE.has(job.kind)) this.#restores.abandon();
      return job;
    });
    if (!isFailure(cancelled) && cancelled.kind === "verify") await this.#verifier.abandon();
    return jobAnswer(cancelled);
  }
}

/** Kinds of jobs that build no state beside the live one. */
const KEEP_NO_SIDE_STATE: ReadonlySet<BackupJobKind> = new Set([
  "verify",
  "delete",
  "undelete",
  "archive",
  "archive restore",
  "archive verification",
]);

/** The job of a fork belongs to the other database. */
const BEGINNINGS = ["restore", "restore from", "verify", "delete", "undelete"] as const;

function begins(command: RestoreCommand): command is Extract<RestoreCommand, { command: (typeof BEGINNINGS)[number] }> {
  return BEGINNINGS.some((name) => name === command.command);
}

function jobAnswer(job: BackupJob | { readonly ok: true; readonly job: BackupJob } | Failure): RestoreAnswer | Failure {
  if (isFailure(job)) return job;
  return { ok: true, kind: "job", job: "ok" in job ? job.job : job };
}

function pastAnswer(past: PastInfo | Failure): RestoreAnswer | Failure {
  return isFailure(past) ? past : { ok: true, kind: "past", past };
}
