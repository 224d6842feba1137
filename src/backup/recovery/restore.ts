/**
 * Builds the state of another moment, as a job that survives restarts: beside the live state, in slices. Then the new state replaces the
 * live one in one transaction, or is only compared. Until that transaction the database is completely the old one, and pays only for the
 * space. Any problem with the backup ends the job with an error that names the object, and changes nothing.
 */
import { NO_DATABASE } from "../../contracts/database.ts";
import type { NewBackupDestination } from "../../contracts/backup-destinations.ts";
import { fromHex, toHex } from "../../core/bytes.ts";
import type { Clock, UnixMs } from "../../core/clock.ts";
import { type Failure, failure, isFailure } from "../../core/errors.ts";
import { type KeyRange, rangeOfPrefix } from "../../codec/key-prefix.ts";
import {
  MAX_PREFIX_IN_PLACE_BYTES,
  MAX_PREFIX_IN_PLACE_ENTRIES,
  MAX_RESTORE_IN_PLACE_BYTES,
} from "../../core/limits.ts";
import type { Adoption } from "../../core/operations.ts";
import type {
  DamagedGeneration,
  EntriesDigest,
  ReceiveOrder,
  BackupJob,
  Undone,
} from "../../contracts/restore-commands.ts";
import type { SyncStorage } from "../../core/storage.ts";
import { timeOfVersion, type Version } from "../../core/versionstamp.ts";
import type { Destination } from "../destinations/destination.ts";
import { generationFolder } from "../format/object-names.ts";
import { StateDigest } from "../format/state-digest.ts";
import type { BackupJobs, Progress, RunningJob } from "../jobs.ts";
import { BackupBucket, problemText, type ReadProblem } from "./replay/backup-bucket.ts";
import type { Generation } from "./replay/catalog.ts";
import { type ReplayPlan, type ReplaySink, Replay } from "./replay/replay.ts";
import { type ReplayCursor, START } from "./replay/replay-cursor.ts";
import { sinkUnder } from "./replay/prefix-sink.ts";
import type { SecretBox } from "../secrets.ts";
import type { EntrySource } from "../sources.ts";
import type { UndoneCount, UndoneCounter } from "./undone.ts";

/** A state beside the live one. `engine/side-state.ts` has this type. */
export interface SideStore extends ReplaySink, EntrySource {
  begin(tag: string): void;
  drop(): void;
  /**
   * How many live entries the state would replace in this range, counted up to `most` and one more, and the bytes that it would write.
   */
  measureWithin(range: KeyRange, most: number): { readonly replaced: number; readonly bytes: number };
}

/** Room for what a job stores besides all other data. */
export interface JobRoom {
  /** Why this many more bytes cannot be stored. null: as far as is known, they can. */
  refusalOfJob(bytes: number): Promise<Failure | null>;
  /** As `refusalOfJob`, by the last known figures. When there is room, the bytes are noted as used. */
  takeForJob(bytes: number): Failure | null;
}

export type RestorePurpose = "restore" | ReceiveOrder["purpose"];

export interface RestoreOptions {
  readonly storage: SyncStorage;
  readonly jobs: BackupJobs;
  readonly clock: Clock;
  readonly side: SideStore;
  readonly undone: UndoneCounter;
  /** Replaces the live state by the side state: the engine's `Database.adopt`. */
  readonly adopt: (adoption: Adoption, also: (heldUpTo: Version) => void) => void;
  /** Why no job may begin for this purpose. null: a job may. */
  readonly refusal: (purpose: RestorePurpose) => Failure | null;
  /** Called in the transaction that stores a job, after everything else in it. */
  readonly begun: (purpose: RestorePurpose) => void;
  /** Called in the transaction of an adoption: says what the database becomes. */
  readonly adopted: (purpose: Exclude<RestorePurpose, "check">, asOf: UnixMs, heldUpTo: Version) => void;
  /** Checks the settings and makes the driver, without a request. */
  readonly connect: (destination: NewBackupDestination) => Destination | Failure;
  /** Where this database's own backup goes. */
  readonly ownDestination: () => Promise<{ readonly ok: true; readonly destination: NewBackupDestination } | Failure>;
  /** Or why the deployment cannot encrypt secrets. */
  readonly secrets: SecretBox | Failure;
  readonly room: JobRoom;
  /** The name of this object. What is sealed here cannot be opened in another object. */
  readonly objectName: string;
  /** Lets requests have their turn. */
  readonly breathe: () => Promise<void>;
}

export interface RestoreRequest {
  readonly jobId: string;
  readonly purpose: RestorePurpose;
  /** The database whose backup it is. null: this database, whose credentials may change meanwhile. */
  readonly from: { readonly databaseId: string; readonly destination: NewBackupDestination } | null;
  readonly databaseId: string;
  readonly generation: Generation;
  readonly version: Version;
  readonly isExact: boolean;
  readonly floor: Version;
  /** An encoded key in hexadecimal: only keys under it are restored, and only they are replaced in place. null: all keys. */
  readonly prefix: string | null;
  /** When the commit was made, if that is known better than by its version. */
  readonly asOf?: UnixMs;
  /** Generations that are only checked, before anything else. */
  readonly olderGenerations: readonly Generation[];
}

/** What the row of a job stores of the request. The destination is sealed because of its secret. Earlier versions wrote no prefix. */
type Input = Omit<RestoreRequest, "jobId" | "from" | "prefix"> & {
  readonly sealed: string | null;
  readonly prefix?: string | null;
};

interface State {
  /** How many of the older generations were checked. */
  readonly older: number;
  readonly problems: readonly string[];
  readonly damaged: readonly DamagedGeneration[];
  /** Objects and bytes of the older generations. */
  readonly objects: number;
  readonly bytes: number;
  /** The cursor in the generation that is being read. */
  readonly cursor: ReplayCursor;
  /** For a restore in place whose state has been built: what it undoes. */
  readonly undone: UndoneCount | null;
  /** The digest of the built state, for keys up to `after` (hex). */
  readonly digest: { readonly after: string; readonly value: EntriesDigest };
}

const BEGINNING: State = {
  older: 0,
  problems: [],
  damaged: [],
  objects: 0,
  bytes: 0,
  cursor: START,
  undone: null,
  digest: { after: "", value: new StateDigest().value() },
};

/** Entries that are hashed without a pause: some tens of milliseconds. */
export const DIGEST_BOUNDS = { maxEntries: 4_000, maxBytes: 2 * 1024 * 1024 };
const DIGEST_BATCHES_PER_SLICE = 8;

/** Pages of the mutation log that are counted in one slice. */
const COUNTED_PAGES_PER_SLICE = 16;

/** The most that one step of a replay stores: half a MiB, and its pages in the write-ahead log. */
const STEP_ROOM_BYTES = 1024 * 1024;

/** Entries under a prefix are written into the write-ahead log and then into the file. */
const ROOM_PER_BYTE = 2;

const INSTEAD_OF_PREFIX = "take a longer prefix, or a fork with this one and copy from that";

export class Restores {
  readonly #options: RestoreOptions;
  /** The parts of the running job that are only in memory. */
  #active: { readonly id: string; readonly older: number; readonly replay: Replay } | null = null;
  /** Why the last slice ended early. */
  #noRoom: Failure | null = null;

  constructor(options: RestoreOptions) {
    this.#options = options;
  }

  async start(request: RestoreRequest): Promise<BackupJob | Failure> {
    const { jobs, storage, side, room, objectName, refusal, begun } = this.#options;
    const { jobId, from, ...rest } = request;
    const noRoom = jobs.knows(jobId) ? null : await room.refusalOfJob(0);
    if (noRoom !== null) return noRoom;
    let sealed: string | null = null;
    if (from !== null) {
      const { secrets } = this.#options;
      if (isFailure(secrets)) return secrets;
      sealed = await secrets.seal(JSON.stringify(from.destination), { databaseId: objectName, backupId: jobId });
    }
    const input: Input = { ...rest, sealed };
    return storage.transactionSync(() => {
      if (jobs.isClosed) return NO_DATABASE;
      if (jobs.knows(jobId)) return jobs.get(jobId);
      // Checked in the same moment in which the job is stored, because earlier waits took time.
      const refused = refusal(request.purpose);
      if (refused !== null) return refused;
      const job = jobs.start(jobId, request.purpose, input, request.version);
      if (isFailure(job)) return job;
      // The tag must be new in this object, and job ids always are.
      side.begin(jobId.replaceAll(/[^0-9a-z]/g, ""));
      begun(request.purpose);
      return job;
    });
  }

  /** Runs one slice. */
  async slice(job: RunningJob): Promise<void> {
    const { jobs, room } = this.#options;
    // This class wrote both, from values of these types.
    const input = JSON.parse(job.input) as Input;
    const state: State =
      job.state === null ? BEGINNING : { ...BEGINNING, ...(JSON.parse(job.state) as Partial<State>) };
    const isOlder = state.older < input.olderGenerations.length;
    const noRoom = isOlder
      ? null
      : await room.refusalOfJob(sizesAreKnown(state) ? storedBytes(input, state.cursor) : 0);
    if (!jobs.isRunning(job.id)) return;
    if (noRoom !== null) return this.#stop(job.id, input, state, noRoom);
    const tooLarge = input.purpose === "restore" ? this.#tooLargeInPlace(input, state) : null;
    if (tooLarge !== null) return this.#stop(job.id, input, state, tooLarge);
    if (!isOlder && state.cursor.part === "end") return this.#finish(job.id, input, state);
    const replay = await this.#replay(job.id, input, state);
    if (isFailure(replay)) return this.#stop(job.id, input, state, replay);
    this.#noRoom = null;
    const outcome = await replay.slice();
    if (!jobs.isRunning(job.id)) this.#active = null;
    else if (this.#noRoom !== null) this.#stop(job.id, input, { ...state, cursor: replay.cursor }, this.#noRoom);
    else if (!outcome.ok) this.#stop(job.id, input, { ...state, cursor: replay.cursor }, outcome);
    else if (isOlder && replay.cursor.part === "end") this.#olderChecked(job.id, state, replay.cursor, []);
  }

  #tooLargeInPlace(input: Input, state: State): Failure | null {
    if (prefixOf(input) !== null) return tooManyEntries(state.cursor.stored);
    return sizesAreKnown(state) ? this.tooLarge(state.cursor.snapshotBytes) : null;
  }

  /** The refusal when two states of this size together are more than an object holds. */
  tooLarge(bytes: number): Failure | null {
    if (bytes <= MAX_RESTORE_IN_PLACE_BYTES) return null;
    const [size, limit] = [bytes, MAX_RESTORE_IN_PLACE_BYTES].map((one) => (one / 2 ** 30).toFixed(1));
    return failure(
      "limit",
      `${size} GiB cannot be restored in place, where the old state and the new one lie side by side (the limit is ${limit} GiB): restore into a new database instead`,
    );
  }

  /** Ends a job during which the object died. */
  giveUp(id: string, why: string): void {
    this.#options.storage.transactionSync(() => {
      this.#options.jobs.fail(id, why);
      this.abandon();
    });
  }

  /** Drops the side state of a job that ended without completing. In the caller's transaction. */
  abandon(): void {
    this.#active = null;
    this.#options.side.drop();
    this.#options.undone.end();
  }

  async #replay(id: string, input: Input, state: State): Promise<Replay | Failure> {
    if (this.#active?.id === id && this.#active.older === state.older) return this.#active.replay;
    const { jobs, storage, side, room, breathe } = this.#options;
    const prefix = prefixOf(input);
    const destination = await this.#open(id, input);
    if (isFailure(destination)) return destination;
    const older = input.olderGenerations[state.older];
    const keep = (cursor: ReplayCursor) => jobs.progress(id, { ...state, cursor }, progressOf(input, state, cursor));
    const replay = new Replay(
      {
        bucket: new BackupBucket(destination, input.databaseId),
        generation: older ?? input.generation,
        until: older === undefined ? { version: input.version, isExact: input.isExact } : endOf(older),
        sink: older === undefined ? (prefix === null ? side : sinkUnder(prefix, side)) : null,
        breathe,
        store: (step) => {
          if (!jobs.isRunning(id)) return false;
          const { part } = replay.cursor;
          const loads = older === undefined && (part === "snapshot" || part === "log");
          this.#noRoom = loads ? room.takeForJob(STEP_ROOM_BYTES) : null;
          if (this.#noRoom !== null) return false;
          storage.transactionSync(() => keep(step()));
          return true;
        },
      },
      state.cursor,
    );
    this.#active = { id, older: state.older, replay };
    return replay;
  }

  async #open(id: string, { sealed }: Input): Promise<Destination | Failure> {
    const { connect, ownDestination, secrets, objectName } = this.#options;
    if (sealed === null) {
      const own = await ownDestination();
      return own.ok ? connect(own.destination) : own;
    }
    if (isFailure(secrets)) return secrets;
    const opened = await secrets.open(sealed, { databaseId: objectName, backupId: id });
    // Sealed above, from a value of this type.
    return opened.ok ? connect(JSON.parse(opened.text) as NewBackupDestination) : opened;
  }

  /** After a problem: waits if it may pass, notes it if it concerns an older generation, else ends the job. */
  #stop(id: string, input: Input, state: State, problem: ReadProblem | Failure): void {
    const { jobs, storage } = this.#options;
    this.#active = null;
    if (mayPass(problem, input)) return jobs.wait(id, textOf(problem), retryAfter(problem));
    if (state.older < input.olderGenerations.length && "object" in problem) {
      return this.#olderChecked(id, withDamage(input, state, textOf(problem)), state.cursor, [textOf(problem)]);
    }
    // Nothing is wrong with the backup then: the database that ordered the trial asks again.
    const isUntried = input.purpose === "check" && "code" in problem && problem.code === "insufficient-storage";
    const failed = "object" in problem ? withDamage(input, state, textOf(problem)) : state;
    storage.transactionSync(() => {
      if (isUntried) {
        jobs.giveUp(id, problem.message);
        this.abandon();
        return;
      }
      const report =
        input.purpose === "check"
          ? { ...this.#report(failed, null), problems: [...state.problems, textOf(problem)] }
          : null;
      jobs.fail(id, textOf(problem), "object" in problem ? problem.object : null, report);
      this.abandon();
    });
  }

  #olderChecked(id: string, state: State, cursor: ReplayCursor, problems: readonly string[]): void {
    this.#active = null;
    const next: State = {
      ...state,
      older: state.older + 1,
      problems: [...state.problems, ...problems],
      objects: state.objects + cursor.objects,
      bytes: state.bytes + cursor.bytes,
      cursor: START,
    };
    this.#options.jobs.progress(id, next, { phase: "checking an older generation", done: next.bytes, total: 0 });
  }

  async #finish(id: string, input: Input, state: State): Promise<void> {
    const { jobs, adopt, adopted } = this.#options;
    const { purpose, version, floor, asOf = timeOfVersion(version) } = input;
    if (purpose === "check") return this.#digest(id, state);
    const undone = purpose === "restore" ? await this.#countUndone(id, input, state) : null;
    if (undone === "counting") return;
    // Nothing is awaited between the end of the count and the switch, so the count is exact.
    const prefix = purpose === "restore" ? prefixOf(input) : null;
    const refused = prefix === null ? null : this.#refusalWithin(prefix);
    if (refused !== null) return this.#stop(id, input, state, refused);
    adopt({ entries: state.cursor.stored, floor, prefix }, (heldUpTo) => {
      const outcome = undone === null ? null : { undone, before: heldUpTo, prefix: input.prefix ?? null };
      jobs.complete(id, { outcome });
      this.#options.undone.end();
      adopted(purpose, asOf, heldUpTo);
    });
    this.#active = null;
  }

  /** Why the entries under a prefix cannot be replaced in one transaction. */
  #refusalWithin(prefix: Uint8Array): Failure | null {
    const { side, room } = this.#options;
    const { replaced, bytes } = side.measureWithin(rangeOfPrefix(prefix), MAX_PREFIX_IN_PLACE_ENTRIES);
    const tooMany = tooManyEntries(replaced);
    if (tooMany !== null) return tooMany;
    if (bytes <= MAX_PREFIX_IN_PLACE_BYTES) return room.takeForJob(bytes * ROOM_PER_BYTE + STEP_ROOM_BYTES);
    const [mib, limit] = [bytes, MAX_PREFIX_IN_PLACE_BYTES].map((one) => Math.ceil(one / 2 ** 20));
    return failure(
      "limit",
      `${mib} MiB under the prefix have changed since that moment, more than are replaced at once (the limit is ${limit} MiB): ${INSTEAD_OF_PREFIX}`,
    );
  }

  /** Continues to count. Returns the result when nothing is left to count. */
  async #countUndone(id: string, input: Input, state: State): Promise<Undone | "counting"> {
    const { jobs, storage, undone: counter, breathe } = this.#options;
    const keep = (undone: UndoneCount): "counting" => {
      const { bytes } = state.cursor;
      jobs.progress(id, { ...state, undone }, { phase: "counting what is undone", done: bytes, total: bytes });
      return "counting";
    };
    if (state.undone === null) return storage.transactionSync(() => keep(counter.begin(input.version)));
    const prefix = prefixOf(input);
    if (!counter.isInLog(state.undone)) {
      const counted = await counter.countStored(state.undone, prefix);
      return jobs.isRunning(id) ? keep(counted) : "counting";
    }
    let count = state.undone;
    for (let pages = 0; pages < COUNTED_PAGES_PER_SLICE; pages++) {
      const counted = counter.countWaiting(count, prefix);
      if (counted === count) return { commits: count.commits, isExact: count.isExact, first: count.first };
      count = counted;
      await breathe();
      if (!jobs.isRunning(id)) return "counting";
    }
    return keep(count);
  }

  async #digest(id: string, from: State): Promise<void> {
    const { jobs, side, storage, breathe } = this.#options;
    let state = from;
    for (let i = 0; i < DIGEST_BATCHES_PER_SLICE; i++) {
      if (!jobs.isRunning(id)) return;
      const { after, value } = state.digest;
      const entries = side.scan(after === "" ? null : fromHex(after), DIGEST_BOUNDS);
      const last = entries.at(-1);
      if (last === undefined) {
        const report = this.#report(state, value);
        storage.transactionSync(() => {
          jobs.complete(id, { report });
          this.abandon();
        });
        return;
      }
      const digest = new StateDigest(value);
      for (const entry of entries) digest.add(entry);
      state = { ...state, digest: { after: toHex(last.key), value: digest.value() } };
      const read = state.bytes + state.cursor.bytes;
      jobs.progress(id, state, { phase: "digest", done: read, total: read });
      await breathe();
    }
  }

  #report({ problems, damaged, objects, bytes, cursor }: State, backup: EntriesDigest | null) {
    return {
      good: problems.length === 0 && backup !== null,
      range: null,
      live: null,
      backup,
      objects: objects + cursor.objects,
      bytes: bytes + cursor.bytes,
      problems,
      damaged,
      tookMs: 0,
    };
  }
}

/** In an older generation that this history has left, only what belongs to the history is checked. */
function endOf({ end }: Generation): ReplayPlan["until"] {
  return end === null ? null : { version: end.lastPoint, isExact: true };
}

/** The generation that is being read has this problem, after the part that was read. */
function withDamage({ olderGenerations, generation }: Input, state: State, problem: string): State {
  const { place } = olderGenerations[state.older] ?? generation;
  const { part, metConsistentFrom, lastVersion } = state.cursor;
  const intactUpTo = part === "log" && metConsistentFrom ? lastVersion : null;
  const one: DamagedGeneration = { generation: generationFolder(place), intactUpTo, problem };
  return { ...state, damaged: [...state.damaged, one] };
}

function prefixOf({ prefix }: Input): Uint8Array | null {
  return prefix === undefined || prefix === null ? null : fromHex(prefix);
}

/** For the entries under a prefix, in the present or the past state. */
function tooManyEntries(count: number): Failure | null {
  if (count <= MAX_PREFIX_IN_PLACE_ENTRIES) return null;
  return failure(
    "limit",
    `There are more than ${MAX_PREFIX_IN_PLACE_ENTRIES} entries under the prefix, the most that are compared and replaced at once: ${INSTEAD_OF_PREFIX}`,
  );
}

/** About how much a snapshot takes in tables, at least. How much of it lies under a prefix is not known before. */
function storedBytes({ prefix }: Input, { snapshotBytes }: ReplayCursor): number {
  return prefix === undefined || prefix === null ? snapshotBytes * 1.2 : 0;
}

/** A slice ends when the sizes are known, so this is asked before anything is loaded. */
function sizesAreKnown({ cursor }: State): boolean {
  return cursor.part === "snapshot" && cursor.objects === 0 && cursor.applied === 0;
}

function progressOf(input: Input, state: State, { part, bytes, snapshotBytes, logBytes }: ReplayCursor): Progress {
  const isOlder = state.older < input.olderGenerations.length;
  const phase = isOlder ? "checking an older generation" : part === "end" ? "replayed" : part;
  return { phase, done: state.bytes + bytes, total: state.bytes + snapshotBytes + logBytes };
}

function mayPass(problem: ReadProblem | Failure, { sealed }: Input): boolean {
  if ("object" in problem) return false;
  if ("code" in problem) return problem.code === "unavailable";
  // Somebody may be about to enter new credentials for the database's own backup.
  return problem.class === "retry" || (problem.class === "credentials" && sealed === null);
}

function retryAfter(problem: ReadProblem | Failure): number | undefined {
  return "class" in problem ? problem.retryAfterMs : undefined;
}

function textOf(problem: ReadProblem | Failure): string {
  return "code" in problem ? problem.message : problemText(problem);
}
