/**
 * Restores an archive in place, as a job: makes an archive of the present state first, unless told not to; builds the archive's state
 * beside the live one; and lets it take the place of the live one in one transaction. Everything is checked before that, and until then
 * the live state is untouched. When the archive is missing or damaged at one destination, or it cannot be reached, the next one is read from its beginning.
 */
import type { ArchiveForkOrder, ArchiveStub } from "../../contracts/archive-commands.ts";
import { backoffMs } from "../../core/backoff.ts";
import type { Adoption } from "../../core/operations.ts";
import type { Clock } from "../../core/clock.ts";
import { type Failure, failure, isFailure } from "../../core/errors.ts";
import type { KeyList } from "../../core/key-list.ts";
import type { SyncStorage } from "../../core/storage.ts";
import type { Version } from "../../core/versionstamp.ts";
import type { Destination, DestinationFailure } from "../destinations/destination.ts";
import type { BackupJobs, RunningJob } from "../jobs.ts";
import type { JobRoom, SideStore } from "../recovery/restore.ts";
import { type ArchiveBuild, type BuildState, NOT_BUILT } from "./archive-build.ts";
import { ArchiveReading, type ReadingJob, type ReadingState, UNREAD } from "./archive-reading.ts";
import type { ArchiveRows } from "./archive-rows.ts";
import type { ArchiveSettings, ArchiveStores } from "./archive-service.ts";
import { remoteArchive } from "./remote-archive.ts";

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
  readonly rest: () => Promise<void>;
  /** Replaces the live state by the side state: the engine's `Database.adopt`. */
  readonly adopt: (adoption: Adoption, also: (heldUpTo: Version) => void) => void;
  /** Called in the transaction of the switch. */
  readonly adopted: (heldUpTo: Version) => void;
  readonly fork: ForkParts;
  /** Called in the transaction in which the safety archive ends. */
  readonly ended: (id: number) => void;
}

/** For a database that was made and never written to. */
export interface ForkParts {
  /** Why the database cannot be filled. null: it can. */
  readonly refusal: () => Failure | null;
  /** Called in the transaction that stores the job, and in the one of the switch. */
  readonly begun: () => void;
  readonly adopted: () => void;
  /** The object of the database that has the archive, or what stands for it. */
  readonly source: (order: ArchiveForkOrder) => Pick<ArchiveStub, "archiveRange">;
}

/** What the row of a job stores of the request. */
export interface RestoreInput {
  /** Empty for a fork: the archive is another database's. */
  readonly archiveId: string;
  /** null: the archive is one of this database's. */
  readonly order: ArchiveForkOrder | null;
  /** The safety archive's id. null: none is made. */
  readonly safetyId: string | null;
}

/** The file that is read, and where it lies. */
interface Wanted {
  readonly object: string;
  readonly size: number;
  /** null: unknown. */
  readonly checksum: string | null;
  /** Bytes of keys and values. */
  readonly bytes: number;
  readonly isFork: boolean;
  readonly copies: readonly {
    readonly name: string;
    readonly open: () => Promise<Pick<Destination, "get"> | Failure>;
  }[];
}

interface State {
  readonly safety: BuildState;
  readonly isSafe: boolean;
  /** Which of the places where the archive lies is read. */
  readonly place: number;
  /** The places whose copy is no good. */
  readonly bad: readonly number[];
  /** How often another place was begun with. */
  readonly moves: number;
  /** Since when the place cannot be reached. null: it can. */
  readonly failingSince: number | null;
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
  bad: [],
  moves: 0,
  failingSince: null,
  reading: UNREAD,
  loaded: 0,
  settings: null,
  problems: [],
};

/** How long a place that cannot be reached is waited for in the middle of its file, while another place has the archive too. */
const MOVE_ON_AFTER_MS = 30_000;

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
    const wanted = this.#wanted(input);
    if (isFailure(wanted)) return this.#fail(job.id, [wanted.message]);
    return this.#build(job.id, wanted, { ...state, isSafe: true });
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
    const step = await build.slice({ id, archive, isUpload: false, isUrgent: true, isRunning, keep }, safety);
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

  async #build(id: string, wanted: Wanted, from: State): Promise<void> {
    const { jobs, storage, side, clock, room } = this.#options;
    const { size, checksum, bytes } = wanted;
    const copy = wanted.copies[from.place];
    if (copy === undefined) return this.#fail(id, from.problems);
    const opened = await copy.open();
    if (!jobs.isRunning(id)) return;
    if (isFailure(opened)) return this.#nextPlace(id, wanted, from, `${copy.name}: ${opened.message}`);
    let state = from;
    const take: ReadingJob["take"] = (part, reading) => {
      const noRoom = room.takeForJob(STEP_ROOM_BYTES);
      if (noRoom !== null) return noRoom.message;
      const now = clock.now();
      const entries = part.part === "entries" ? part.entries : [];
      const alive = entries.filter(({ expiresAt }) => expiresAt === null || expiresAt > now);
      const settings = part.part === "settings" ? part.json : state.settings;
      storage.transactionSync(() => {
        if (state.reading.position === null) side.begin(tagOf(id, state.moves));
        state = { ...state, reading, settings, failingSince: null, loaded: state.loaded + side.load(alive) };
        const done = reading.position?.bytes ?? 0;
        const phase = reading.isRead ? "checking the archive" : "reading the archive";
        jobs.progress(id, state, { phase, done, total: bytes });
      });
      return null;
    };
    const object = { destination: opened, object: wanted.object, size };
    const isRunning = (): boolean => jobs.isRunning(id);
    const step = await this.#reading.slice({ id, object, checksum, isRunning, take }, state.reading);
    if (!isRunning() || step.step === "more") return;
    if (step.step === "unreachable") return this.#unreachable(id, wanted, state, step.failure);
    if (step.step === "problem") return this.#nextPlace(id, wanted, state, `${copy.name}: ${step.message}`);
    if (step.step === "refused") return this.#fail(id, [step.message]);
    this.#switch(id, step.header.version, state, wanted.isFork);
  }

  #switch(id: string, version: Version, { loaded, settings }: State, isFork: boolean): void {
    const { jobs, adopt, adopted, fork } = this.#options;
    adopt({ entries: loaded, floor: version, prefix: null }, (heldUpTo) => {
      // A fork sends no archives to the destinations of the first database.
      if (settings !== null && !isFork) this.#options.settings.adopt(settings);
      jobs.complete(id);
      if (isFork) fork.adopted();
      else adopted(heldUpTo);
    });
  }

  #wanted({ archiveId, order }: RestoreInput): Wanted | Failure {
    const { rows, stores, fork } = this.#options;
    if (order !== null) {
      const { size, checksum, bytes } = order;
      const open = async () => remoteArchive(fork.source(order), size);
      return { object: order.archiveId, size, checksum, bytes, isFork: true, copies: [{ name: "The archive", open }] };
    }
    const archive = rows.stored(archiveId);
    if (isFailure(archive)) return archive;
    const { size, checksum, bytes, object } = archive;
    if (size === null || checksum === null) return failure("not-found", `The archive ${archiveId} has no file`);
    const copies = archive.places
      .filter(({ status }) => status === "stored")
      .map((place) => ({
        name: place.name,
        open: async () => {
          const store = await stores.openPlace(place, object);
          return isFailure(store) ? store : store.destination;
        },
      }));
    return { object, size, checksum, bytes: bytes ?? 0, isFork: false, copies };
  }

  /** Reads the archive at the next place where it lies, from its beginning. */
  #nextPlace(id: string, { copies, bytes, object, isFork }: Wanted, state: State, problem: string): void {
    const bad = [...state.bad, state.place];
    const problems = [...state.problems, problem];
    const place = placeAfter(state.place, copies.length, bad);
    // Where the object of another database lies is not known here.
    if (place === null) return this.#fail(id, problems, isFork ? null : object);
    this.#move(id, bytes, { ...state, bad, problems }, place);
  }

  /** Reads on at another place. When no place can be reached, or there is no other one, the job waits. */
  #unreachable(
    id: string,
    { copies, bytes }: Wanted,
    state: State,
    { message, retryAfterMs }: DestinationFailure,
  ): void {
    const { jobs, storage, clock } = this.#options;
    const why = `${copies[state.place]?.name ?? ""}: ${message}`;
    const now = clock.now();
    const failingSince = Math.min(state.failingSince ?? now, now);
    const isBegun = state.reading.position !== null;
    const place = placeAfter(state.place, copies.length, [...state.bad, state.place]);
    storage.transactionSync(() => {
      if (place === null || (isBegun && now - failingSince < MOVE_ON_AFTER_MS)) {
        const done = state.reading.position?.bytes ?? 0;
        // Progress ends the waits that grow.
        if (state.failingSince === null) {
          jobs.progress(id, { ...state, failingSince }, { phase: "reading the archive", done, total: bytes });
        }
        return jobs.wait(id, why, retryAfterMs);
      }
      this.#move(id, bytes, state, place);
      // All of them were tried.
      if (place < state.place) jobs.wait(id, why, retryAfterMs ?? backoffMs(state.moves, MOVE_ON_AFTER_MS));
    });
  }

  /** Begins to read the file of another place. */
  #move(id: string, bytes: number, { bad, problems, moves }: State, place: number): void {
    const next: State = { ...BEGINNING, isSafe: true, place, bad, problems, moves: moves + 1 };
    this.#options.jobs.progress(id, next, { phase: "reading the archive", done: 0, total: bytes });
  }

  /** `damagedObject`: what is missing or damaged wherever the archive lies. */
  #fail(id: string, problems: readonly string[], damagedObject: string | null = null): void {
    const { jobs, storage } = this.#options;
    const why = problems.length === 0 ? "The archive lies nowhere." : problems.join(" ");
    storage.transactionSync(() => {
      this.abandon(id, why);
      jobs.fail(id, why, damagedObject);
    });
  }
}

/** A tag that was never used in this object, as job ids are. */
function tagOf(id: string, moves: number): string {
  return `${id.replaceAll(/[^0-9a-z]/g, "")}_${moves}`;
}

/** The next place, in a circle, that is not to be left out. null: there is none. */
function placeAfter(place: number, places: number, leftOut: readonly number[]): number | null {
  for (let step = 1; step <= places; step += 1) {
    const next = (place + step) % places;
    if (!leftOut.includes(next)) return next;
  }
  return null;
}
