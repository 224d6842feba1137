/**
 * Restores an archive in place, as a job: makes an archive of the present state first, unless told not to; builds the archive's state
 * beside the live one; and lets it take the place of the live one in one transaction. Everything is checked before that, and until then
 * the live state is untouched. When the archive is missing or damaged at one destination, the next one is read from its beginning.
 */
import type { Adoption } from "../../core/operations.ts";
import type { Clock } from "../../core/clock.ts";
import { isFailure } from "../../core/errors.ts";
import type { KeyList } from "../../core/key-list.ts";
import type { SyncStorage } from "../../core/storage.ts";
import type { Version } from "../../core/versionstamp.ts";
import type { BackupJobs, RunningJob } from "../jobs.ts";
import type { JobRoom, SideStore } from "../recovery/restore.ts";
import { type ArchiveBuild, type BuildState, NOT_BUILT } from "./archive-build.ts";
import { ArchiveReading, type ReadingJob, type ReadingState, UNREAD } from "./archive-reading.ts";
import type { ArchiveRows, StoredArchive } from "./archive-rows.ts";
import type { ArchiveSettings, ArchiveStores } from "./archive-service.ts";

export interface RestorerOptions {
  readonly storage: SyncStorage;
  readonly jobs: BackupJobs;
  readonly rows: ArchiveRows;
  readonly stores: ArchiveStores;
  readonly settings: ArchiveSettings;
  readonly build: ArchiveBuild;
  readonly side: SideStore;
  readonly clock: Clock;
  readonly keys: KeyList | null;
  readonly room: JobRoom;
  readonly breathe: () => Promise<void>;
  /** Replaces the live state by the side state: the engine's `Database.adopt`. */
  readonly adopt: (adoption: Adoption, also: (heldUpTo: Version) => void) => void;
  /** Called in the transaction of the switch. */
  readonly adopted: (heldUpTo: Version) => void;
  /** Called in the transaction in which the safety archive ends. */
  readonly ended: (id: number) => void;
}

/** What the row of a job stores of the request. */
export interface RestoreInput {
  readonly archiveId: string;
  /** The safety archive's id. null: none is made. */
  readonly safetyId: string | null;
}

interface State {
  readonly safety: BuildState;
  readonly isSafe: boolean;
  /** Which of the places where the archive lies is read. */
  readonly place: number;
  readonly reading: ReadingState;
  /** Entries that were loaded. */
  readonly loaded: number;
  /** What a full archive holds besides entries. */
  readonly settings: string | null;
  /** What was wrong at the places before. */
  readonly problems: readonly string[];
}

const BEGINNING: State = {
  safety: NOT_BUILT,
  isSafe: false,
  place: 0,
  reading: UNREAD,
  loaded: 0,
  settings: null,
  problems: [],
};

/** The most that one chunk stores: its entries, in tables and in the write-ahead log. */
const STEP_ROOM_BYTES = 8 * 1024 * 1024;

export class ArchiveRestorer {
  readonly #options: RestorerOptions;
  readonly #reading: ArchiveReading;

  constructor(options: RestorerOptions) {
    this.#options = options;
    this.#reading = new ArchiveReading(options);
  }

  async slice(job: RunningJob): Promise<void> {
    // This class wrote both, from values of these types.
    const input = JSON.parse(job.input) as RestoreInput;
    const state = job.state === null ? BEGINNING : (JSON.parse(job.state) as State);
    if (input.safetyId !== null && !state.isSafe) return this.#makeSafe(job.id, input.safetyId, state);
    const archive = this.#options.rows.stored(input.archiveId);
    if (isFailure(archive)) return this.#fail(job.id, [archive.message]);
    return this.#build(job.id, archive, { ...state, isSafe: true });
  }

  /** Drops what a job that ended has left. In the caller's transaction. */
  abandon(jobId: string, why: string): void {
    const { side, build, rows } = this.#options;
    side.drop();
    void this.#reading.forget();
    const safety = rows.ofJob(jobId);
    if (safety?.status !== "running") return;
    const state = this.#stateOf(jobId);
    build.end({ archive: safety }, state.safety, why);
    this.#options.ended(safety.id);
  }

  #stateOf(jobId: string): State {
    const { running } = this.#options.jobs;
    // This class wrote it, from a value of this type.
    return running?.id === jobId && running.state !== null ? (JSON.parse(running.state) as State) : BEGINNING;
  }

  async #makeSafe(id: string, safetyId: string, state: State): Promise<void> {
    const { build, jobs, rows, storage, clock } = this.#options;
    const archive = rows.stored(safetyId);
    if (isFailure(archive)) return this.#fail(id, [archive.message]);
    let { safety } = state;
    const keep = (next: BuildState, progress: Parameters<BackupJobs["progress"]>[2]): void => {
      safety = next;
      jobs.progress(id, { ...state, safety }, { ...progress, phase: `safety archive: ${progress.phase}` });
    };
    const isRunning = (): boolean => jobs.isRunning(id);
    const step = await build.slice({ id, archive, isUpload: false, isRunning, keep }, safety);
    if (!isRunning() || step.step === "more") return;
    if (step.step === "wait") return jobs.wait(id, step.why, step.until - clock.now());
    if (step.error !== null)
      return this.#fail(id, [`The safety archive failed, so nothing was changed. ${step.error}`]);
    const made = rows.stored(safetyId);
    if (isFailure(made)) return this.#fail(id, [made.message]);
    storage.transactionSync(() => {
      build.end({ archive: made }, safety, null);
      this.#options.ended(made.id);
      const progress = { phase: "reading the archive", done: 0, total: archive.bytes ?? 0 };
      jobs.progress(id, { ...BEGINNING, isSafe: true }, progress);
    });
  }

  async #build(id: string, archive: StoredArchive, from: State): Promise<void> {
    const { jobs, storage, side, clock, room } = this.#options;
    const { size, checksum } = archive;
    const lying = archive.places.filter(({ status }) => status === "stored");
    const place = lying[from.place];
    if (size === null || checksum === null || place === undefined) return this.#fail(id, from.problems);
    const store = await this.#options.stores.open(place.destinationId);
    if (!jobs.isRunning(id)) return;
    if (isFailure(store)) return this.#nextPlace(id, archive, from, `${place.name}: ${store.message}`);
    let state = from;
    const take: ReadingJob["take"] = (part, reading) => {
      const noRoom = room.takeForJob(STEP_ROOM_BYTES);
      if (noRoom !== null) return noRoom.message;
      const now = clock.now();
      const entries = part.part === "entries" ? part.entries : [];
      const alive = entries.filter(({ expiresAt }) => expiresAt === null || expiresAt > now);
      const settings = part.part === "settings" ? part.json : state.settings;
      storage.transactionSync(() => {
        if (state.reading.position === null) side.begin(tagOf(id, state.place));
        state = { ...state, reading, settings, loaded: state.loaded + side.load(alive) };
        const done = reading.position?.bytes ?? 0;
        const phase = reading.isRead ? "checking the archive" : "reading the archive";
        jobs.progress(id, state, { phase, done, total: archive.bytes ?? done });
      });
      return null;
    };
    const object = { destination: store.destination, object: archive.object, size };
    const isRunning = (): boolean => jobs.isRunning(id);
    const step = await this.#reading.slice({ id, object, checksum, isRunning, take }, state.reading);
    if (!isRunning() || step.step === "more") return;
    if (step.step === "unreachable") {
      return jobs.wait(id, `${place.name}: ${step.failure.message}`, step.failure.retryAfterMs);
    }
    if (step.step === "problem") return this.#nextPlace(id, archive, state, `${place.name}: ${step.message}`);
    if (step.step === "refused") return this.#fail(id, [step.message]);
    this.#switch(id, step.header.version, state);
  }

  #switch(id: string, version: Version, { loaded, settings }: State): void {
    const { jobs, adopt, adopted } = this.#options;
    adopt({ entries: loaded, floor: version, prefix: null }, (heldUpTo) => {
      if (settings !== null) this.#options.settings.adopt(settings);
      jobs.complete(id);
      adopted(heldUpTo);
    });
  }

  /** Reads the archive at the next place where it lies, from its beginning. */
  #nextPlace(id: string, archive: StoredArchive, state: State, problem: string): void {
    const problems = [...state.problems, problem];
    const lying = archive.places.filter(({ status }) => status === "stored");
    if (state.place + 1 >= lying.length) return this.#fail(id, problems);
    const next: State = { ...BEGINNING, isSafe: true, place: state.place + 1, problems };
    this.#options.jobs.progress(id, next, { phase: "reading the archive", done: 0, total: archive.bytes ?? 0 });
  }

  #fail(id: string, problems: readonly string[]): void {
    const { jobs, storage } = this.#options;
    const why = problems.length === 0 ? "The archive lies nowhere." : problems.join(" ");
    storage.transactionSync(() => {
      this.abandon(id, why);
      jobs.fail(id, why);
    });
  }
}

/** A tag that was never used in this object, as job ids are. */
function tagOf(id: string, place: number): string {
  return `${id.replaceAll(/[^0-9a-z]/g, "")}_${place}`;
}
