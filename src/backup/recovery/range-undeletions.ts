/**
 * Jobs that bring back the entries of a range as they were at a moment. The state of that moment lies in another object, which may be
 * wiped meanwhile: then it is built again. Each slice is one page of that state and one commit, which stores the progress in the same
 * transaction. So a job goes on after any death, looks at each entry once, and never overwrites a key that was written in between.
 */
import { decodeEntryList, type EntryList } from "../../codec/entry-list.ts";
import { PAST_IS_BEING_BUILT, type PastInfo, type RestoreStub } from "../../contracts/restore-commands.ts";
import { fromHex, justAfter, toHex } from "../../core/bytes.ts";
import { type Failure, isFailure } from "../../core/errors.ts";
import { MAX_IMPORT_BATCH_ENTRIES } from "../../core/limits.ts";
import type { StoredEntry } from "../../core/operations.ts";
import { addCounts, NOTHING_UNDELETED, type UndeleteCounts } from "../../core/undelete.ts";
import { type Version, versionOfHex } from "../../core/versionstamp.ts";
import type { BackupJobs, RunningJob } from "../jobs.ts";
import type { JobRoom } from "./restore.ts";

/** What the row of a job stores of the request. Keys are in hex; `at` is a commit, as 20 hex digits. */
export interface UndeletionInput {
  readonly at: string;
  readonly start: string;
  readonly end: string;
  readonly force: boolean;
  readonly total: number;
}

interface UndeletionState {
  /** Where the next slice begins. */
  readonly start: string;
  readonly counts: UndeleteCounts;
}

/** The engine's `Database` has this type. */
export interface UndeletableDatabase {
  bringBack(entries: readonly StoredEntry[], force: boolean, also: (counts: UndeleteCounts) => void): void;
}

export interface RangeUndeletionsParts {
  readonly jobs: BackupJobs;
  readonly database: UndeletableDatabase;
  readonly room: JobRoom;
  /** Makes sure that the state of this commit can be read, or is being built. */
  readonly openPast: (at: string) => Promise<PastInfo | Failure>;
  readonly object: (name: string) => Pick<RestoreStub, "pastEntries">;
}

/** How long a job waits for its state to be built before it asks again. */
const LOOK_MS = 500;

/** A change is written twice, into the write-ahead log and into the file, and pages are whole. */
const ROOM_PER_BYTE = 2;
const ROOM_PER_ENTRY = 8 * 1024;

export class RangeUndeletions {
  readonly #parts: RangeUndeletionsParts;

  constructor(parts: RangeUndeletionsParts) {
    this.#parts = parts;
  }

  /** The commit whose state the running job reads. null: no such job runs. */
  reading(): Version | null {
    const { running } = this.#parts.jobs;
    if (running?.kind !== "undelete") return null;
    return versionOfHex(inputOf(running).at) ?? null;
  }

  async slice(job: RunningJob): Promise<void> {
    const { jobs, database, room } = this.#parts;
    const { id } = job;
    const { at, start, end, force, total } = inputOf(job);
    // This class wrote the state, from a value of this type.
    const from = job.state === null ? { start, counts: NOTHING_UNDELETED } : (JSON.parse(job.state) as UndeletionState);
    const page = await this.#read(at, fromHex(from.start), fromHex(end));
    if (isFailure(page)) return this.#stop(id, page);
    const entries = page.entries.filter((entry) => entry !== null);
    const refused = await room.refusalOfJob(roomFor(entries));
    // The wait for the page and for the room took time: the job may have been cancelled.
    if (!jobs.isRunning(id)) return;
    const noRoom = refused ?? room.takeForJob(roomFor(entries));
    if (noRoom !== null) return this.#stop(id, noRoom);
    const last = page.more ? entries.at(-1) : undefined;
    database.bringBack(entries, force, (more) => {
      const counts = addCounts(from.counts, more);
      const reached: UndeletionState = { start: last === undefined ? end : toHex(justAfter(last.key)), counts };
      const done = counts.count + counts.skipped + counts.unchanged + counts.expired;
      jobs.progress(id, reached, { phase: "bringing entries back", done, total: Math.max(total, done) }, counts);
      if (last === undefined) jobs.complete(id);
    });
  }

  giveUp(id: string, why: string): void {
    this.#parts.jobs.fail(id, why);
  }

  async #read(at: string, start: Uint8Array, end: Uint8Array): Promise<EntryList | Failure> {
    const past = await this.#parts.openPast(at);
    if (isFailure(past)) return past;
    if (!past.ready) return PAST_IS_BEING_BUILT;
    const answer = await this.#parts.object(past.name).pastEntries({ start, end }, MAX_IMPORT_BATCH_ENTRIES);
    return answer instanceof Uint8Array ? decodeEntryList(answer) : answer;
  }

  /** What was brought back stays. The same request, sent again, brings back the rest. */
  #stop(id: string, why: Failure): void {
    const { jobs } = this.#parts;
    if (!jobs.isRunning(id)) return;
    if (why.code !== "unavailable") return jobs.fail(id, why.message);
    const isBeingBuilt = why.message === PAST_IS_BEING_BUILT.message;
    jobs.wait(id, isBeingBuilt ? null : why.message, isBeingBuilt ? LOOK_MS : undefined);
  }
}

function inputOf({ input }: RunningJob): UndeletionInput {
  // The command that began the job wrote it, from a value of this type.
  return JSON.parse(input) as UndeletionInput;
}

function roomFor(entries: readonly StoredEntry[]): number {
  const bytes = entries.reduce((sum, { key, value }) => sum + key.length + value.length, 0);
  return bytes * ROOM_PER_BYTE + entries.length * ROOM_PER_ENTRY;
}
