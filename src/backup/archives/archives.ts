/**
 * The archives of one database: what `archive-service.ts` offers, and the jobs behind it. A job is the row of `jobs.ts`: one at a time, and
 * the same that restores and verifications of the continuous backup take. Every step of a job is stored together with what it did, so
 * after a kill a job continues, and nothing half made is visible.
 */
import type {
  ArchiveForkOrder,
  ArchiveInfo,
  ArchiveListQuery,
  ArchiveOrigin,
  ArchivePlace,
  ArchiveStub,
  ArchiveType,
} from "../../contracts/archive-commands.ts";
import { NO_DATABASE } from "../../contracts/database.ts";
import type { Jurisdiction } from "../../contracts/placement.ts";
import type { BackupJob } from "../../contracts/restore-commands.ts";
import type { UnixMs } from "../../core/clock.ts";
import { type Failure, failure, isFailure } from "../../core/errors.ts";
import { MAX_ARCHIVES } from "../../core/archive-limits.ts";
import { MAX_RESTORE_IN_PLACE_BYTES } from "../../core/limits.ts";
import type { ProcessMemory } from "../../core/process-memory.ts";
import type { Timers } from "../../core/timers.ts";
import { asVersion } from "../../core/versionstamp.ts";
import type { BackupJobs, JobWorker, RunningJob } from "../jobs.ts";
import type { BackupTask } from "../sources.ts";
import { ArchiveBuild, type BuildState, NOT_BUILT } from "./archive-build.ts";
import { ArchiveDownloads } from "./archive-downloads.ts";
import { archiveObjectName } from "./archive-names.ts";
import { ArchiveRemoval } from "./archive-removal.ts";
import { ArchiveChecker, type CheckInput } from "./archive-checker.ts";
import type { MakerOptions } from "./archive-maker.ts";
import { ArchiveRestorer, type RestoreInput, type RestorerOptions } from "./archive-restorer.ts";
import { ArchiveRows, type StoredArchive } from "./archive-rows.ts";
import { hasArchiveTables } from "./archive-schema.ts";
import type {
  ArchiveDownload,
  ArchiveEnded,
  ArchiveRange,
  ArchiveRestore,
  ArchiveService,
  ArchiveStores,
  NewArchive,
} from "./archive-service.ts";
import { receive } from "./archive-upload.ts";
import { type Courtesy, courtesy, type ProcessPace } from "./courtesy.ts";
import { Leftovers } from "./leftovers.ts";
import { Spool } from "./spool.ts";

export interface ArchivesOptions
  extends Omit<MakerOptions, "spool" | "rest">, Pick<RestorerOptions, "side" | "adopt" | "adopted" | "fork"> {
  readonly jobs: BackupJobs;
  readonly stores: ArchiveStores;
  /** Whether there is or was such an organization on this deployment. */
  readonly isTenant: (organizationId: string) => Promise<boolean>;
  /** Where the objects of this database are kept. */
  readonly jurisdiction: Jurisdiction | null;
  readonly timers: Timers;
  /** Of all objects in the process. */
  readonly pace: ProcessPace;
  /** Of all objects in the process: see `archive-downloads.ts`. */
  readonly downloadMemory: ProcessMemory;
  /** Why nothing may be restored into this database now. null: it may. */
  readonly refusal: () => Failure | null;
  readonly ended: ArchiveEnded;
  /** Lets a job be found that nobody has asked the organization for. */
  readonly noteJob: (jobId: string) => Promise<void>;
  /** The task may be due earlier than before. */
  readonly dueBy: (at: UnixMs) => void;
}

const MAKE = "archive";
const RESTORE = "archive restore";
const VERIFY = "archive verification";

export class Archives implements ArchiveService {
  /** Removes what must not stay at a destination. */
  readonly task: BackupTask;
  /** For the jobs of these kinds. */
  readonly workers: Readonly<Record<typeof MAKE | typeof RESTORE | typeof VERIFY, JobWorker>>;
  readonly #options: ArchivesOptions;
  readonly #rows: ArchiveRows;
  readonly #spool: Spool;
  readonly #courtesy: Courtesy;
  readonly #leftovers: Leftovers;
  readonly #build: ArchiveBuild;
  readonly #restorer: ArchiveRestorer;
  readonly #checker: ArchiveChecker;
  readonly #removal: ArchiveRemoval;
  readonly #downloads: ArchiveDownloads;
  #spoolIsEmpty: boolean;
  /** The job whose file is being received by a request. */
  #receiving: string | null = null;

  constructor(options: ArchivesOptions) {
    const { storage, jobs, clock, stores } = options;
    this.#options = options;
    this.#rows = new ArchiveRows(storage, jobs);
    this.#spool = new Spool(storage);
    this.#spoolIsEmpty = !hasArchiveTables(storage) || this.#spool.size === 0;
    this.#leftovers = new Leftovers(storage, clock, stores, (id) => this.#removal.resume(id));
    this.task = {
      name: "archive leftovers",
      dueAt: () => (this.#hasRubbish() ? clock.now() : this.#leftovers.dueAt()),
      run: async () => {
        if (this.#hasRubbish()) await this.#emptySpool();
        await this.#leftovers.run();
      },
    };
    this.#courtesy = courtesy(options);
    const parts = {
      ...options,
      ...this.#courtesy,
      rows: this.#rows,
      spool: this.#spool,
      leftovers: this.#leftovers,
    };
    this.#build = new ArchiveBuild(parts);
    this.#restorer = new ArchiveRestorer({ ...parts, build: this.#build, ended: (id) => this.#ended(id) });
    this.#checker = new ArchiveChecker(parts);
    this.#removal = new ArchiveRemoval(parts);
    this.#downloads = new ArchiveDownloads(parts);
    this.workers = {
      [MAKE]: {
        slice: (job) => this.#makeSlice(job),
        abandon: ({ id, state }, why) => this.#endMaking(id, stateOf(state), why),
      },
      [RESTORE]: {
        slice: (job) => this.#restorer.slice(job),
        abandon: ({ id }, why) => this.#restorer.abandon(id, why),
      },
      [VERIFY]: { slice: (job) => this.#checker.slice(job), abandon: () => this.#checker.abandon() },
    };
  }

  async create({ jobId, type, description, origin }: NewArchive): Promise<ArchiveInfo | Failure> {
    const known = this.#rows.ofJob(jobId);
    if (known !== null) return this.get(String(known.id));
    const { databaseId, keys } = this.#options;
    const encrypted = keys !== null;
    const begun = await this.#begin({ jobId, type, description, origin, databaseId, encrypted });
    return isFailure(begun) ? begun : this.get(begun.id);
  }

  list(query: ArchiveListQuery): ReturnType<ArchiveService["list"]> {
    return this.#rows.list(query);
  }

  get(id: string): ArchiveInfo | Failure {
    return this.#rows.info(id);
  }

  async cancel(id: string): Promise<ArchiveInfo | Failure> {
    const { jobs, storage } = this.#options;
    const archive = this.#rows.stored(id);
    if (isFailure(archive)) return archive;
    const { running } = jobs;
    if (archive.status !== "running" || running?.id !== archive.jobId || running.kind !== MAKE) {
      const why =
        archive.status === "running" ? "is made by a restore: cancel that job" : `is ${archive.status} already`;
      return failure("conflict", `The archive ${id} ${why}`);
    }
    storage.transactionSync(() => {
      this.workers[MAKE].abandon(running, CANCELLED);
      jobs.cancel(archive.jobId);
    });
    this.#options.dueBy(this.#options.clock.now());
    return this.get(id);
  }

  destroy(id: string): ReturnType<ArchiveService["destroy"]> {
    return this.#removal.destroy(id);
  }

  removeCopy(id: string, destinationId: string): ReturnType<ArchiveService["removeCopy"]> {
    return this.#removal.removeCopy(id, destinationId);
  }

  busyAt(destinationId: string): Failure | null {
    const { running } = this.#options.jobs;
    const archive = running === null ? null : this.#rows.ofJob(running.id);
    const isSent = archive?.places.some((place) => place.destinationId === destinationId && place.status === "pending");
    if (running === null || isSent !== true) return null;
    return failure(
      "conflict",
      `The job ${running.id} (${running.kind}) is sending an archive there: wait for it or cancel it`,
    );
  }

  tidyAt(destinationId: string): Promise<void> {
    return this.#leftovers.removeAt(destinationId);
  }

  async verify(jobId: string, id: string): Promise<BackupJob | Failure> {
    const { jobs } = this.#options;
    if (jobs.knows(jobId)) return jobs.get(jobId);
    const archive = this.#rows.completed(id);
    if (isFailure(archive)) return archive;
    const input: CheckInput = { archiveId: id };
    return this.#started(jobs.start(jobId, VERIFY, input, archive.version));
  }

  async restore({ jobId, id, safetyArchive }: ArchiveRestore): Promise<BackupJob | Failure> {
    const { jobs, storage, clock, refusal, databaseId, keys, room } = this.#options;
    if (jobs.knows(jobId)) return jobs.get(jobId);
    const archive = this.#rows.completed(id);
    if (isFailure(archive)) return archive;
    const tooLarge = tooLargeInPlace(Math.max(archive.bytes ?? 0, storage.sql.databaseSize));
    if (tooLarge !== null) return tooLarge;
    const noRoom = await room.refusalOfJob((archive.bytes ?? 0) * 1.2);
    if (noRoom !== null) return noRoom;
    const places = safetyArchive ? await this.#placesForNew() : [];
    if (isFailure(places)) return places;
    const started = storage.transactionSync(() => {
      if (jobs.isClosed) return NO_DATABASE;
      const refused = refusal();
      if (refused !== null) return refused;
      const none: RestoreInput = { archiveId: id, order: null, safetyId: null };
      const job = jobs.start(jobId, RESTORE, none, archive.version);
      if (isFailure(job) || !safetyArchive) return job;
      const safetyId = this.#rows.insert({
        jobId,
        type: "full",
        origin: "safety",
        description: `Before archive ${id} was restored`,
        encrypted: keys !== null,
        databaseId,
        version: null,
        createdAt: clock.now(),
        object: (number) => this.#objectName(number),
        places: (object) => places.map((place) => ({ ...place, object: place.object + object })),
      });
      jobs.setInput(jobId, { ...none, safetyId: String(safetyId) } satisfies RestoreInput);
      return jobs.get(jobId);
    });
    return this.#started(started);
  }

  /** Has another database, which is empty, take over the state of an archive. The job belongs to the other one. */
  async fork(jobId: string, id: string, into: Pick<ArchiveStub, "receiveArchive">): Promise<BackupJob | Failure> {
    const archive = this.#rows.completed(id);
    if (isFailure(archive)) return archive;
    const { size, checksum, bytes, version } = archive;
    if (size === null || checksum === null || version === null)
      return failure("not-found", `The archive ${id} has no file`);
    const { databaseId, jurisdiction } = this.#options;
    const order = { jobId, databaseId, jurisdiction, archiveId: id, size, checksum, bytes: bytes ?? 0, version };
    const received = await into.receiveArchive(order);
    return received.ok ? received.job : received;
  }

  /** Another database's archive is restored into this one, which is empty. */
  async receive(order: ArchiveForkOrder): Promise<{ readonly ok: true; readonly job: BackupJob } | Failure> {
    const { jobs, storage, fork, room } = this.#options;
    const { jobId } = order;
    const known = jobs.knows(jobId) ? jobs.get(jobId) : null;
    if (known !== null) return isFailure(known) ? known : { ok: true, job: known };
    const noRoom = await room.refusalOfJob(Math.max(order.bytes, order.size) * 1.2);
    if (noRoom !== null) return noRoom;
    const job = storage.transactionSync(() => {
      if (jobs.isClosed) return NO_DATABASE;
      if (jobs.knows(jobId)) return jobs.get(jobId);
      const refused = fork.refusal();
      if (refused !== null) return refused;
      const input: RestoreInput = { archiveId: "", order, safetyId: null };
      const started = jobs.start(jobId, RESTORE, input, order.version);
      if (!isFailure(started)) fork.begun();
      return started;
    });
    const begun = this.#started(job);
    return isFailure(begun) ? begun : { ok: true, job: begun };
  }

  /** Bytes of the file from `offset` on: at most as many as are read at once, fewer at the end. */
  async range(id: string, offset: number, length: number): Promise<Uint8Array | Failure> {
    const archive = this.#rows.completed(id);
    return isFailure(archive) ? archive : this.#downloads.range(archive, offset, length);
  }

  async download(id: string, range: ArchiveRange | null): Promise<ArchiveDownload | Failure> {
    const archive = this.#rows.completed(id);
    return isFailure(archive) ? archive : this.#downloads.stream(archive, range);
  }

  async upload(body: ReadableStream<Uint8Array>, description: string): Promise<ArchiveInfo | Failure> {
    const { jobs, entropy, databaseId } = this.#options;
    const jobId = entropy.uuid();
    const begun = await this.#begin({
      jobId,
      type: "database",
      description,
      origin: "upload",
      databaseId,
      encrypted: false,
    });
    if (isFailure(begun)) return begun;
    this.#receiving = jobId;
    const isRunning = (): boolean => jobs.isRunning(jobId);
    await this.#spool.empty(this.#courtesy.rest, isRunning);
    const note = (done: number): void => jobs.progress(jobId, NOT_BUILT, { phase: "receiving", done, total: 0 });
    const parts = { ...this.#options, ...this.#courtesy, spool: this.#spool };
    const received = await this.#options
      .noteJob(jobId)
      .then(() => receive(body, parts, { isRunning, note }))
      .finally(() => {
        // After a cancellation another upload may have begun.
        if (this.#receiving === jobId) this.#receiving = null;
      });
    if (!isRunning()) return this.get(begun.id);
    if (typeof received !== "number") {
      this.#failMaking(jobId, NOT_BUILT, received.message);
      return received;
    }
    jobs.progress(jobId, { ...NOT_BUILT, isReceived: true }, { phase: "checking", done: 0, total: received });
    this.#options.dueBy(this.#options.clock.now());
    return this.get(begun.id);
  }

  async #begin(given: {
    readonly jobId: string;
    readonly type: ArchiveType;
    readonly origin: ArchiveOrigin;
    readonly description: string;
    readonly databaseId: string;
    readonly encrypted: boolean;
  }): Promise<{ readonly id: string } | Failure> {
    const { jobs, storage, clock, room } = this.#options;
    if (this.#rows.count >= MAX_ARCHIVES) {
      return failure("limit", `This database has ${MAX_ARCHIVES} archives, the most that are kept: destroy some`);
    }
    const noRoom = await room.refusalOfJob(0);
    if (noRoom !== null) return noRoom;
    const places = await this.#placesForNew();
    if (isFailure(places)) return places;
    const begun = storage.transactionSync(() => {
      if (jobs.isClosed) return NO_DATABASE;
      const job = jobs.start(given.jobId, MAKE, {}, null);
      if (isFailure(job)) return job;
      const id = this.#rows.insert({
        ...given,
        version: null,
        createdAt: clock.now(),
        object: (number) => this.#objectName(number),
        places: (object) => places.map((place) => ({ ...place, object: place.object + object })),
      });
      return { id: String(id) };
    });
    if (!isFailure(begun)) this.#options.dueBy(clock.now());
    return begun;
  }

  /** Where a new archive goes. `object` is the destination's prefix. */
  async #placesForNew(): Promise<readonly ArchivePlace[] | Failure> {
    const stores = await this.#options.stores.enabled();
    if (stores.length === 0) return NO_DESTINATION;
    return stores.map(({ destinationId, name, type, ...store }) => ({
      destinationId,
      name,
      type,
      status: store.destination === null ? "failed" : "pending",
      object: store.destination?.prefix ?? "",
      error: store.destination === null ? store.error : null,
    }));
  }

  #objectName(id: number): string {
    const { databaseId, entropy } = this.#options;
    return archiveObjectName(databaseId, id, entropy.bytes(8));
  }

  async #makeSlice(job: RunningJob): Promise<void> {
    const { jobs, clock } = this.#options;
    const archive = this.#rows.ofJob(job.id);
    if (archive === null) return jobs.fail(job.id, "The archive of this job was removed.");
    const isUpload = this.#isUpload(archive);
    let state = stateOf(job.state);
    if (isUpload && state.isReceived !== true) {
      if (this.#receiving === job.id) return jobs.wait(job.id, null, RECEIVING_LOOK_MS);
      return this.#failMaking(
        job.id,
        state,
        "The upload was interrupted because the server ended. Send the file again.",
      );
    }
    const isRunning = (): boolean => jobs.isRunning(job.id);
    const keep = (next: BuildState, progress: Parameters<BackupJobs["progress"]>[2]): void => {
      if (state.making === null && next.making !== null) jobs.setVersion(job.id, asVersion(next.making.version));
      state = { ...next, isReceived: isUpload };
      jobs.progress(job.id, state, progress);
    };
    const step = await this.#build.slice({ id: job.id, archive, isUpload, isUrgent: false, isRunning, keep }, state);
    if (!isRunning() || step.step === "more") return;
    if (step.step === "wait") return jobs.wait(job.id, step.why, step.until - clock.now());
    if (step.error !== null) return this.#failMaking(job.id, state, step.error);
    this.#options.storage.transactionSync(() => {
      this.#endMaking(job.id, state, null);
      jobs.complete(job.id);
    });
  }

  #failMaking(jobId: string, state: BuildState, why: string): void {
    const { jobs, storage, dueBy, clock } = this.#options;
    storage.transactionSync(() => {
      this.#endMaking(jobId, state, why);
      jobs.fail(jobId, why);
    });
    dueBy(clock.now());
  }

  /** In the caller's transaction. `why` null: the archive is completed. */
  #endMaking(jobId: string, state: BuildState, why: string | null): void {
    const archive = this.#rows.ofJob(jobId);
    if (archive === null) return;
    this.#build.end({ archive }, state, why);
    this.#ended(archive.id);
  }

  /** Whether the spool has a file that no job needs any more. */
  #hasRubbish(): boolean {
    if (this.#spoolIsEmpty) return false;
    const kind = this.#options.jobs.running?.kind;
    return kind !== MAKE && kind !== RESTORE;
  }

  async #emptySpool(): Promise<void> {
    // A job that begins meanwhile empties it by itself, before it stores anything.
    await this.#spool.empty(this.#courtesy.rest, () => this.#hasRubbish());
    this.#spoolIsEmpty = this.#hasRubbish();
  }

  #ended(id: number): void {
    this.#spoolIsEmpty = false;
    const info = this.#rows.info(String(id));
    if (!isFailure(info)) this.#options.ended(info);
  }

  #isUpload({ id }: StoredArchive): boolean {
    const info = this.#rows.info(String(id));
    return !isFailure(info) && info.origin === "upload";
  }

  #started(job: BackupJob | Failure): BackupJob | Failure {
    if (!isFailure(job)) this.#options.dueBy(this.#options.clock.now());
    return job;
  }
}

/** What a job stores while it makes an archive. */
interface MakeState extends BuildState {
  /** An uploaded file has come whole. */
  readonly isReceived?: boolean;
}

function stateOf(state: string | null): MakeState {
  // The service wrote it, from a value of this type.
  return state === null ? NOT_BUILT : (JSON.parse(state) as MakeState);
}

function tooLargeInPlace(bytes: number): Failure | null {
  if (bytes <= MAX_RESTORE_IN_PLACE_BYTES) return null;
  const [size, limit] = [bytes, MAX_RESTORE_IN_PLACE_BYTES].map((one) => (one / 2 ** 30).toFixed(1));
  return failure(
    "limit",
    `${size} GiB cannot be restored in place, where the old state and the new one lie side by side (the limit is ${limit} GiB): upload the archive into a new database and restore it there`,
  );
}

const CANCELLED = "It was cancelled.";

/** How often a job looks whether its file has come. */
const RECEIVING_LOOK_MS = 5_000;

const NO_DESTINATION = failure(
  "conflict",
  'No destination for archives is enabled: add one first, like {"type":"local","name":"here"}',
);
