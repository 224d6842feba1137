/**
 * Everything that a database's object does about going back in time: answers the commands, and runs the job that is under way, a
 * slice at a time. What each does is in `restore.ts`, `verify.ts` and `past-states.ts`.
 */
import type { NewBackupDestination } from "../core/backup-commands.ts";
import { toHex } from "../core/bytes.ts";
import type { Clock, UnixMs } from "../core/clock.ts";
import { clockAt, type ClockReading } from "../core/clock-spans.ts";
import type { Entropy } from "../core/entropy.ts";
import { type Failure, failure } from "../core/errors.ts";
import { MAX_BACKUP_AHEAD_MS, MAX_RESTORE_POINTS } from "../core/limits.ts";
import { type Moment, momentText, readMoment, tooLate, versionOfMoment } from "../core/moment.ts";
import type { Jurisdiction } from "../core/placement.ts";
import {
  checkName,
  type PastInfo,
  type PastRoom,
  type ReceiveOrder,
  type RestoreAnswer,
  type RestoreCommand,
  type RestoreJob,
  type RestoreStub,
  type RevokedToken,
} from "../core/restore-commands.ts";
import type { SyncStorage } from "../core/storage.ts";
import { timeOfVersion, type Version, versionOfHex } from "../core/versionstamp.ts";
import type { Destination } from "./destinations/destination.ts";
import { BackupJobs } from "./jobs.ts";
import { Lookups } from "./lookups.ts";
import { asFailure, type OpenBackup, openBackup, type OpenBucket, openBucket, type OwnBackup } from "./own-backup.ts";
import { PastStates } from "./past-states.ts";
import type { BackupBucket } from "./replay/backup-bucket.ts";
import type { Generation } from "./replay/catalog.ts";
import { readingsOf, resolveAt } from "./replay/clock-times.ts";
import { pointAt } from "./replay/commits.ts";
import { pointsAround } from "./replay/point-pages.ts";
import { resolveInHistories } from "./replay/histories.ts";
import { highestVersion, type ResolvedMoment, restorableRange } from "./replay/points.ts";
import { type JobRoom, type RestorePurpose, Restores, type SideStore } from "./restore.ts";
import type { SecretBox } from "./secrets.ts";
import type { BackupTask, LogSource } from "./sources.ts";
import { UndoneCounter } from "./undone.ts";
import { type VerifiableDatabase, Verifier, type VerifyInput } from "./verify.ts";

/** The engine's `Database` fits, with its `SideState` as the side. */
export interface RestorableDatabase extends VerifiableDatabase {
  readonly log: LogSource;
  readonly lastVersion: Version;
}

export interface RestoreServiceOptions {
  readonly storage: SyncStorage;
  readonly clock: Clock;
  readonly entropy: Entropy;
  readonly database: RestorableDatabase;
  readonly side: SideStore;
  readonly adopt: (entries: number, floor: Version, also: (heldUpTo: Version) => void) => void;
  /** In the transaction of an adoption: what becomes of the database then. */
  readonly adopted: (purpose: Exclude<RestorePurpose, "check">, asOf: UnixMs) => void;
  readonly own: OwnBackup;
  /** Checks the settings and makes the driver; sends nothing. */
  readonly connect: (destination: NewBackupDestination) => Destination | Failure;
  /** Or why the deployment cannot keep secrets. */
  readonly secrets: SecretBox | Failure;
  readonly room: JobRoom;
  readonly objectName: string;
  /** Objects of this database's: states of the past, trials. */
  readonly object: (name: string) => RestoreStub;
  /** The tokens of which no grant is good here any more. */
  readonly revoked: () => readonly RevokedToken[];
  readonly otherDatabase: (id: string, jurisdiction: Jurisdiction | null) => RestoreStub;
  /** The task may be due earlier than it was. */
  readonly dueBy: (at: UnixMs) => void;
  readonly breathe: () => Promise<void>;
}

export class RestoreService {
  readonly task: BackupTask;
  readonly scheduleTask: BackupTask;
  readonly #options: RestoreServiceOptions;
  readonly #jobs: BackupJobs;
  readonly #restores: Restores;
  readonly #verifier: Verifier;
  readonly #past: PastStates;
  readonly #lookups = new Lookups();

  constructor(options: RestoreServiceOptions) {
    const { storage, clock, own } = options;
    this.#options = options;
    this.#jobs = new BackupJobs(storage, clock, (version) => own.holds(version));
    const jobs = this.#jobs;
    this.#restores = new Restores({
      ...options,
      jobs,
      undone: new UndoneCounter({
        log: options.database.log,
        open: () => this.#openOwn(),
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
    this.#past = new PastStates(options);
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
        if (!("ok" in started)) options.dueBy(clock.now());
      },
    };
  }

  /** A command that begins a job may come again: the answer is the job as it is. */
  async run(command: RestoreCommand): Promise<RestoreAnswer | Failure> {
    if (begins(command) && this.knows(command.jobId)) return jobAnswer(this.#jobs.get(command.jobId));
    switch (command.command) {
      case "range":
        return this.#lookups.run(() => this.#range());
      case "points":
        return this.#lookups.run(() => this.#points(command));
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
        return this.#pastState(command.at, command.room);
      case "job":
        return jobAnswer(this.#jobs.get(command.jobId));
      case "jobs":
        return { ok: true, kind: "jobs", jobs: this.#jobs.list() };
      case "cancel":
        return this.#cancel(command.jobId);
    }
  }

  knows(jobId: string): boolean {
    return this.#jobs.knows(jobId);
  }

  /** Another database's object sends what is to be built here. It may do so again. */
  async receive(order: ReceiveOrder): Promise<{ readonly ok: true; readonly job: RestoreJob } | Failure> {
    const { jobId, purpose, databaseId, destination, version, isExact, floor } = order;
    const older = order.purpose === "check" ? order.olderGenerations : [];
    return this.#start({
      jobId,
      purpose,
      databaseId,
      from: { databaseId, destination },
      // Both are what another object of ours made of values of this type.
      generation: JSON.parse(order.generation) as Generation,
      olderGenerations: older.map((one) => JSON.parse(one) as Generation),
      version,
      isExact,
      floor,
      ...(order.purpose === "past" ? { asOf: order.asOf } : {}),
    });
  }

  /** Has the states of the past refuse a token; those that are built later learn of it from `revoked`. */
  async revokeInPast(token: RevokedToken): Promise<void> {
    await this.#past.revoke(this.#options.objectName, token);
  }

  /** The database is being deleted: wipes the states of the past that were built of it. */
  async closePast(): Promise<void> {
    await this.#past.close(this.#options.objectName);
  }

  /** What the object held is gone. */
  close(): void {
    this.#jobs.close();
  }

  async #runSlice(): Promise<void> {
    await this.#jobs.slice(
      (job) => (job.kind === "verify" ? this.#verifier.slice(job) : this.#restores.slice(job)),
      (job, why) => (job.kind === "verify" ? this.#verifier.giveUp(job.id, why) : this.#restores.giveUp(job.id, why)),
    );
  }

  async #range(): Promise<RestoreAnswer | Failure> {
    const opened = await this.#openOwn();
    if (!opened.ok) return opened;
    const found = await restorableRange(opened.bucket, opened.catalog);
    if (!found.ok) return asFailure(found);
    return { ok: true, kind: "range", range: found.range };
  }

  async #points(command: Extract<RestoreCommand, { command: "points" }>): Promise<RestoreAnswer | Failure> {
    const { at, direction, limit } = command;
    if (!(Number.isInteger(limit) && limit >= 1 && limit <= MAX_RESTORE_POINTS)) {
      return failure("limit", `A page has 1 to ${MAX_RESTORE_POINTS} points, not ${limit}`);
    }
    const wanted = await this.#wanted(at);
    if (!wanted.ok) return wanted;
    const opened = await this.#openOwn();
    if (!opened.ok) return opened;
    const page = await pointsAround(opened.bucket, opened.catalog, wanted.version, {
      direction,
      limit,
      detail: null,
      mostKeyBytes: 0,
    });
    if (!page.ok) return asFailure(page);
    const readings = readingsOf(opened.catalog);
    const points = page.points.map((point) => ({ ...point, clock: clockAt(readings, point.version) }));
    return { ok: true, kind: "points", points, next: page.next };
  }

  async #resolve(at: string, generation: string | null): Promise<RestoreAnswer | Failure> {
    const wanted = await this.#stored(at, generation);
    if (!wanted.ok) return wanted;
    const found = await this.#lookups.run(() => this.#find(wanted));
    if (!found.ok) return found;
    return { ok: true, kind: "points", points: [pointAt(found.resolved.version)], next: null };
  }

  async #restoreInPlace(command: Extract<RestoreCommand, { command: "restore" }>): Promise<RestoreAnswer | Failure> {
    const { storage } = this.#options;
    const tooLarge = this.#restores.tooLarge(storage.sql.databaseSize);
    if (tooLarge !== null) return tooLarge;
    const wanted = await this.#stored(command.at, null);
    if (!wanted.ok) return wanted;
    const found = await this.#find(wanted);
    if (!found.ok) return found;
    const { opened, resolved } = found;
    return this.#startHere(command.jobId, "restore", opened, resolved, null);
  }

  async #fork(command: Extract<RestoreCommand, { command: "fork" }>): Promise<RestoreAnswer | Failure> {
    const wanted = await this.#stored(command.at, command.generation ?? null);
    if (!wanted.ok) return wanted;
    const found = await this.#find(wanted);
    if (!found.ok) return found;
    const { opened, resolved } = found;
    const floor = await this.#floorOf(opened);
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
    });
    return received.ok ? { ok: true, kind: "job", job: received.job } : received;
  }

  async #restoreFrom(command: Extract<RestoreCommand, { command: "restore from" }>): Promise<RestoreAnswer | Failure> {
    const read = readMoment(command.at, this.#options.clock.now());
    if (!read.ok) return read;
    const generation = parseGeneration(command.generation ?? null);
    if (generation !== null && typeof generation === "object") return generation;
    const opened = await openBucket(command, this.#options.connect);
    if (!opened.ok) return opened;
    const resolved = await this.#resolveIn(opened, read.moment, generation);
    if (!resolved.ok) return resolved;
    return this.#startHere(command.jobId, "fork", seenIn(opened), resolved, command);
  }

  async #startHere(
    jobId: string,
    purpose: "restore" | "fork",
    opened: Seen,
    { generation, version, isExact }: ResolvedMoment,
    from: { readonly databaseId: string; readonly destination: NewBackupDestination } | null,
  ): Promise<RestoreAnswer | Failure> {
    const highest = await this.#floorOf(opened);
    if (!highest.ok) return highest;
    const { databaseId } = opened.bucket;
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
        olderGenerations: [],
      }),
    );
  }

  /** What later commits go on above: everything that the backup has seen, unless no clock of ours can have made that. */
  async #floorOf({ bucket, starts }: Seen): Promise<{ readonly ok: true; readonly version: Version } | Failure> {
    const highest = await highestVersion(bucket, starts);
    if (!highest.ok) return asFailure(highest);
    const { clock, database } = this.#options;
    const isAhead = timeOfVersion(highest.version) > clock.now() + MAX_BACKUP_AHEAD_MS;
    if (!isAhead || highest.version <= database.lastVersion) return highest;
    return failure(
      "conflict",
      `The backup has objects of ${momentText(highest.version)}, more than ten years from now: later commits would have to follow that. Take what does not belong to the backup out of the bucket`,
    );
  }

  async #start(
    request: Parameters<Restores["start"]>[0],
  ): Promise<{ readonly ok: true; readonly job: RestoreJob } | Failure> {
    const job = await this.#restores.start(request);
    if ("ok" in job) return job;
    this.#options.dueBy(this.#options.clock.now());
    return { ok: true, job };
  }

  async #verify(jobId: string): Promise<RestoreAnswer | Failure> {
    const source = await this.#options.own.source();
    if (!source.ok) return source;
    const job = this.knows(jobId)
      ? this.#jobs.get(jobId)
      : this.#jobs.start(jobId, "verify", { bySchedule: false } satisfies VerifyInput, null);
    if (!("ok" in job)) this.#options.dueBy(this.#options.clock.now());
    return jobAnswer(job);
  }

  async #pastState(at: string, room: PastRoom): Promise<RestoreAnswer | Failure> {
    const source = await this.#options.own.source();
    if (!source.ok) return source;
    const wanted = await this.#wanted(at);
    if (!wanted.ok) return wanted;
    const known = await this.#past.find(source.databaseId, wanted.version);
    if (known !== null) return pastAnswer(known);
    const behind = await this.#ship(wanted);
    if (behind !== null) return behind;
    return this.#lookups.run(async () => {
      const found = await this.#find(wanted);
      if (!found.ok) return found.code === "not-found" ? this.#withRange(found) : found;
      const { resolved } = found;
      const { bucket, destination, clock } = found.opened;
      const asOf = clockAt(clock, resolved.version) ?? timeOfVersion(resolved.version);
      return pastAnswer(await this.#past.open(bucket.databaseId, destination, { ...resolved, asOf }, room));
    });
  }

  /** The failure, and from when to when there is something to be had. */
  async #withRange(why: Failure): Promise<Failure> {
    const answer = await this.#range();
    if (!answer.ok || answer.kind !== "range" || answer.range === null) return why;
    const { first, last } = answer.range;
    const range = `from ${momentText(first.version)} to ${momentText(last.version)}`;
    return failure(why.code, `${why.message} The commits in the backup are those ${range}`);
  }

  async #cancel(jobId: string): Promise<RestoreAnswer | Failure> {
    const { storage } = this.#options;
    const cancelled = storage.transactionSync(() => {
      const job = this.#jobs.cancel(jobId);
      if (!("ok" in job) && job.kind !== "verify") this.#restores.abandon();
      return job;
    });
    if (!("ok" in cancelled) && cancelled.kind === "verify") await this.#verifier.abandon();
    return jobAnswer(cancelled);
  }

  /** The moment. In this database's history it is over: what was held then will not change any more. */
  async #wanted(at: string, generation: Version | null = null): Promise<Wanted | Failure> {
    const { clock, database } = this.#options;
    const now = clock.now();
    const read = readMoment(at, now);
    if (!read.ok) return read;
    const version = versionOfMoment(read.moment, database.lastVersion);
    const late = generation === null ? tooLate(version, database.lastVersion, now) : null;
    if (late !== null) return this.#lookups.run(() => this.#withRange(late));
    return { ok: true, moment: read.moment, version, generation };
  }

  /** The same, and what the backup needs for it is stored. A generation that is named may be another writer's: it has what it has. */
  async #stored(at: string, named: string | null): Promise<Wanted | Failure> {
    const generation = parseGeneration(named);
    if (generation !== null && typeof generation === "object") return generation;
    const source = await this.#options.own.source();
    if (!source.ok) return source;
    const wanted = await this.#wanted(at, generation);
    if (!wanted.ok || generation !== null) return wanted;
    return (await this.#ship(wanted)) ?? wanted;
  }

  /** Why the backup does not hold what it needs for that moment; null: it does. */
  async #ship({ version }: Wanted): Promise<Failure | null> {
    const { database, own } = this.#options;
    // What lies in the future of this database is its present.
    if (await own.ship(version < database.lastVersion ? version : database.lastVersion)) return null;
    return own.isStopped()
      ? failure("conflict", "The backup does not hold the commits up to that moment, and stands still: resume it")
      : failure(
          "unavailable",
          "The backup does not hold the commits up to that moment yet: try again in a few seconds",
        );
  }

  async #find({
    moment,
    version,
    generation,
  }: Wanted): Promise<{ readonly ok: true; readonly opened: Seen; readonly resolved: ResolvedMoment } | Failure> {
    if (generation !== null) return this.#findIn(generation, moment);
    const backup = await this.#openOwn();
    if (!backup.ok) return backup;
    const { bucket, catalog, destination } = backup;
    const resolved = await resolveAt(bucket, catalog, moment, version);
    if (!resolved.ok) return asFailure(resolved);
    const opened = { bucket, starts: catalog.starts, destination, clock: readingsOf(catalog) };
    return { ok: true, opened, resolved };
  }

  /** In this very generation, whoever has written it. */
  async #findIn(
    generation: Version,
    moment: Moment,
  ): Promise<{ readonly ok: true; readonly opened: Seen; readonly resolved: ResolvedMoment } | Failure> {
    const source = await this.#options.own.source();
    if (!source.ok) return source;
    const opened = await openBucket({ ...source, withoutManifest: false }, this.#options.connect);
    if (!opened.ok) return opened;
    const resolved = await this.#resolveIn(opened, moment, generation);
    return resolved.ok ? { ok: true, opened: seenIn(opened), resolved } : resolved;
  }

  /** By what lies in the bucket, of which this database may know nothing. */
  async #resolveIn(
    { bucket, histories }: OpenBucket,
    moment: Moment,
    generation: Version | null,
  ): Promise<ResolvedMoment | Failure> {
    const highest = await highestVersion(bucket, histories.starts);
    if (!highest.ok) return asFailure(highest);
    const late = tooLate(versionOfMoment(moment, highest.version), highest.version, this.#options.clock.now());
    if (late !== null) return late;
    const resolved = await resolveInHistories(bucket, histories, moment, generation);
    return resolved.ok ? resolved : asFailure(resolved);
  }

  async #openOwn(): Promise<OpenBackup | Failure> {
    const source = await this.#options.own.source();
    return source.ok ? openBackup(source, this.#options.connect) : source;
  }
}

/** What is gone back to. */
interface Wanted {
  readonly ok: true;
  readonly moment: Moment;
  /** Everything up to and with it was there at the moment, in the history of this database. */
  readonly version: Version;
  /** Whose state it is to be; null: the one of this database's history. */
  readonly generation: Version | null;
}

/** Where a state is taken from. */
interface Seen {
  readonly bucket: BackupBucket;
  /** Of all generations there. */
  readonly starts: readonly Version[];
  readonly destination: NewBackupDestination;
  /** What the clock said while versions ran ahead of it, as far as that is wanted. */
  readonly clock: readonly ClockReading[];
}

function seenIn({ bucket, histories, destination }: OpenBucket): Seen {
  return { bucket, starts: histories.starts, destination, clock: [] };
}

/** null: none is named. */
function parseGeneration(text: string | null): Version | null | Failure {
  if (text === null) return null;
  const start = /^[0-9a-f]{16}$/.test(text) ? versionOfHex(`${text}0000`) : undefined;
  return (
    start ??
    failure(
      "invalid",
      `A generation is named by its folder: 16 hexadecimal digits, as 0006444c9be62a40, not ${JSON.stringify(text.slice(0, 60))}`,
    )
  );
}

/** A fork's job is another database's. */
function begins(
  command: RestoreCommand,
): command is Extract<RestoreCommand, { command: "restore" | "restore from" | "verify" }> {
  const { command: name } = command;
  return name === "restore" || name === "restore from" || name === "verify";
}

function jobAnswer(
  job: RestoreJob | { readonly ok: true; readonly job: RestoreJob } | Failure,
): RestoreAnswer | Failure {
  if (!("ok" in job)) return { ok: true, kind: "job", job };
  return job.ok ? { ok: true, kind: "job", job: job.job } : job;
}

function pastAnswer(past: PastInfo | Failure): RestoreAnswer | Failure {
  return "ok" in past ? past : { ok: true, kind: "past", past };
}
