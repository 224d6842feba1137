/**
 * Rebuilds the state of one generation at one commit: its snapshot, then its log up to that commit, in slices with a bounded number of
 * entries and requests. Memory holds one object, or a few small ones. Before anything of an object is used, the whole object is checked,
 * and that it follows the object before it. The end of what is read is compared with what follows and with the manifest. Anything wrong
 * is reported as damage of an object, and nothing more is read.
 */
import { isFailure } from "../../../core/errors.ts";
import { toHex } from "../../../core/bytes.ts";
import { MAX_FOLDER_OBJECTS } from "../../../core/limits.ts";
import type { Effect } from "../../../core/operations.ts";
import { type Version, versionstampHex } from "../../../core/versionstamp.ts";
import { type Damage, damage } from "../../format/damage.ts";
import { isLastOfCommit } from "../../format/log-stamp.ts";
import { headName } from "../../format/manifest.ts";
import { type LogEntry, openMutationRange, previousSha256Of } from "../../format/mutation-range.ts";
import {
  differentialName,
  logsPrefix,
  parseLogObjectName,
  parseSnapshotObjectName,
  snapshotsPrefix,
} from "../../format/object-names.ts";
import { sha256Hex } from "../../format/sha256.ts";
import { openSnapshotRange, type SnapshotEntry } from "../../format/snapshot-range.ts";
import type { BackupBucket, FetchedObject, ReadProblem } from "./backup-bucket.ts";
import { checkDifferential, type Generation } from "./catalog.ts";
import { ObjectQueue } from "./object-queue.ts";
import { enter, type ReplayCursor, type ReplayPart, START } from "./replay-cursor.ts";

/** Where the state is built. `engine/side-state.ts` has this type. Applying the same again must give the same state. */
export interface ReplaySink {
  /** Each returns how many entries were added. */
  load(entries: Iterable<SnapshotEntry>): number;
  apply(effect: Effect, version: Version): number;
}

export interface ReplayPlan {
  readonly bucket: BackupBucket;
  readonly generation: Generation;
  /**
   * The commit whose state is wanted, at or after the generation's `differential`. null: the last one. `isExact`: the request named this
   * commit. Otherwise a later moment was rounded down to it, and it must be shown that no commit is missing in between.
   */
  readonly until: { readonly version: Version; readonly isExact: boolean } | null;
  /** null: everything is checked, and nothing is kept. */
  readonly sink: ReplaySink | null;
  /** Runs a step and stores its cursor, both in one transaction. False: this replay is not wanted any more. */
  readonly store: (step: () => ReplayCursor) => boolean;
  /** Lets other requests have their turn. */
  readonly breathe: () => Promise<void>;
}

/** One slice is about a second of work and stays below 40 requests; its last round may add a few. */
const SLICE_ENTRIES = 30_000;
const SLICE_BYTES = 8 * 1024 * 1024;
const SLICE_REQUESTS = 30;

/** Entries of one transaction: a pause of some ten milliseconds for everybody else. */
const BATCH_ENTRIES = 2_000;
const BATCH_BYTES = 512 * 1024;

export type SliceOutcome = { readonly ok: true; readonly stopped: boolean } | ReadProblem;

/** An object that was checked and is being applied. */
interface OpenObject {
  readonly name: string;
  readonly entries: Iterator<SnapshotEntry | LogEntry, void>;
  /** The cursor when all of the object is applied. */
  readonly whenTaken: ReplayCursor;
}

interface Spent {
  requests: number;
  entries: number;
  bytes: number;
}

export class Replay {
  cursor: ReplayCursor;
  readonly #plan: ReplayPlan;
  /** The wanted commit. null: the last one. */
  readonly #until: Version | null;
  #queue: ObjectQueue | null = null;
  #open: OpenObject | null = null;

  constructor(plan: ReplayPlan, cursor: ReplayCursor = START) {
    this.#plan = plan;
    this.#until = plan.until?.version ?? null;
    this.cursor = cursor;
  }

  /** Runs one slice. After a problem, a new Replay continues from the last stored cursor. */
  async slice(): Promise<SliceOutcome> {
    const spent: Spent = { requests: 0, entries: 0, bytes: 0 };
    while (this.cursor.part !== "end" && !isSpent(spent)) {
      const sizing = this.cursor.part === "size of the log";
      const problem = await this.#step(this.cursor.part, spent);
      if (problem === "stop") return { ok: true, stopped: true };
      if (problem !== null) return problem;
      // The size is known before anything is loaded, for callers that need it.
      if (sizing && this.cursor.part === "snapshot") break;
    }
    return { ok: true, stopped: false };
  }

  #step(part: Exclude<ReplayPart, "end">, spent: Spent): Promise<ReadProblem | "stop" | null> {
    switch (part) {
      case "differential":
        return this.#checkDifferential(spent);
      case "size of the snapshot":
        return this.#sizeSnapshot(spent);
      case "size of the log":
        return this.#sizeLog(spent);
      case "snapshot":
      case "log":
        return this.#advance(part, spent);
    }
  }

  async #checkDifferential(spent: Spent): Promise<ReadProblem | "stop" | null> {
    const { bucket, generation } = this.#plan;
    spent.requests += 1;
    return (await checkDifferential(bucket, generation)) ?? this.#enter("size of the snapshot");
  }

  async #sizeSnapshot(spent: Spent): Promise<ReadProblem | "stop" | null> {
    const { bucket, generation } = this.#plan;
    spent.requests += 1;
    const page = await bucket.list(snapshotsPrefix(generation.place), this.cursor.object);
    if (!page.ok) return page;
    for (const { name } of page.objects) {
      const parsed = parseSnapshotObjectName(generation.place, name);
      if (!parsed.ok) return parsed;
    }
    const listed = this.cursor.listed + page.objects.length;
    if (listed > MAX_FOLDER_OBJECTS) return tooManyObjects(snapshotsPrefix(generation.place));
    const bytes = page.objects.reduce((sum, { size }) => sum + size, this.cursor.snapshotBytes);
    const sized = { ...this.cursor, snapshotBytes: bytes, listed, object: page.next };
    return this.#store(() => (page.next === null ? enter(sized, "size of the log") : sized));
  }

  async #sizeLog(spent: Spent): Promise<ReadProblem | "stop" | null> {
    const { bucket, generation } = this.#plan;
    const until = this.#until;
    const { cursor } = this;
    spent.requests += 1;
    const page = await bucket.list(logsPrefix(generation.place), cursor.object);
    if (!page.ok) return page;
    let { logBytes } = cursor;
    let passed = page.next === null;
    for (const { name, size } of page.objects) {
      const parsed = parseLogObjectName(generation.place, name);
      if (!parsed.ok) return parsed;
      if (until !== null && parsed.first.version > until) passed = true;
      else logBytes += size;
    }
    const listed = cursor.listed + page.objects.length;
    if (listed > MAX_FOLDER_OBJECTS) return tooManyObjects(logsPrefix(generation.place));
    const sized = { ...cursor, logBytes, listed, object: page.next };
    return this.#store(() => (passed ? enter(sized, "snapshot") : sized));
  }

  /** Reads the next object of the folder, a part of it, or the folder's end. */
  async #advance(part: "snapshot" | "log", spent: Spent): Promise<ReadProblem | "stop" | null> {
    if (this.#open !== null) return this.#apply(this.#open, spent);
    const until = this.#until;
    const { lastVersion } = this.cursor;
    if (part === "log" && until !== null && lastVersion > until) return this.#endOfLog(null);
    if (part === "log" && lastVersion === until && this.#plan.until?.isExact === true) return this.#enterEnd();
    const next = await this.#peek(part, spent);
    if (!next.ok) return next;
    const { object } = next;
    if (part === "log" && lastVersion === until) return this.#endOfLog(object);
    if (object === null) return part === "snapshot" ? this.#endOfSnapshot() : this.#endOfLog(null);
    const opened = part === "snapshot" ? this.#openSnapshotObject(object) : this.#openLogObject(object);
    if (isFailure(opened)) return opened;
    for (let i = 0; i < this.cursor.applied; i++) opened.entries.next();
    this.#open = opened;
    return null;
  }

  async #peek(part: "snapshot" | "log", spent: Spent): ReturnType<ObjectQueue["peek"]> {
    const { bucket, generation } = this.#plan;
    const folder = part === "snapshot" ? snapshotsPrefix(generation.place) : logsPrefix(generation.place);
    this.#queue ??= new ObjectQueue(bucket, folder, this.cursor.object);
    const before = this.#queue.requests;
    const next = await this.#queue.peek();
    spent.requests += this.#queue.requests - before;
    return next;
  }

  async #apply(open: OpenObject, spent: Spent): Promise<ReadProblem | "stop" | null> {
    const { sink, generation } = this.#plan;
    const until = this.#until;
    const loaded: SnapshotEntry[] = [];
    const logged: LogEntry[] = [];
    let bytes = 0;
    let { metConsistentFrom } = this.cursor;
    let ended = false;
    while (loaded.length + logged.length < BATCH_ENTRIES && bytes < BATCH_BYTES) {
      const { done, value: entry } = open.entries.next();
      ended = done === true || (until !== null && "stamp" in entry && entry.stamp.version > until);
      if (done === true || ended) break;
      bytes += entry.key.length + ("value" in entry ? entry.value.length : 0);
      if ("stamp" in entry) {
        logged.push(entry);
        const { version } = entry.stamp;
        if (version === generation.consistentFrom && isLastOfCommit(entry.stamp)) metConsistentFrom = true;
        if (version > generation.consistentFrom && !metConsistentFrom) return this.#notMet();
      } else {
        loaded.push(entry);
      }
    }
    const count = loaded.length + logged.length;
    const entries = this.cursor.entries + count;
    const applied = this.cursor.applied + count;
    const cursor = ended
      ? { ...open.whenTaken, entries, metConsistentFrom }
      : { ...this.cursor, applied, entries, metConsistentFrom };
    spent.entries += count;
    spent.bytes += bytes;
    const stopped = this.#store(() => {
      let { stored } = this.cursor;
      if (sink !== null) stored += sink.load(loaded);
      if (sink !== null) for (const entry of logged) stored += applyLogged(sink, entry);
      return { ...cursor, stored };
    });
    if (stopped !== null) return stopped;
    if (ended) {
      this.#open = null;
      this.#queue?.drop();
    }
    await this.#plan.breathe();
    return null;
  }

  #openSnapshotObject({ name, bytes }: FetchedObject): OpenObject | Damage {
    const { cursor } = this;
    const range = openSnapshotRange(this.#plan.generation.place, name, bytes);
    if (!range.ok) return range;
    const follows = toHex(range.previousSha256);
    // When a range was sent and its answer was lost, it is sent again under the next number. Both objects then follow the same object.
    const replaces = cursor.object !== null && follows === cursor.previousSha256;
    if (follows !== cursor.sha256 && !replaces) return brokenChain(cursor, name);
    const lastKeyBefore = replaces ? cursor.lastKeyBefore : cursor.lastKey;
    const { consistentFrom } = this.#plan.generation;
    if (range.newest > consistentFrom) {
      return damage(name, `has an entry of ${versionstampHex(range.newest)}, after ${versionstampHex(consistentFrom)}`);
    }
    if (toHex(range.firstKey) <= lastKeyBefore)
      return damage(name, "begins with a key that objects before it have passed");
    const whenTaken: ReplayCursor = {
      ...this.#taken(name, bytes),
      previousSha256: follows,
      lastKey: toHex(range.lastKey),
      lastKeyBefore,
    };
    return { name, entries: range.read(), whenTaken };
  }

  #openLogObject({ name, bytes }: FetchedObject): OpenObject | Damage {
    const { cursor } = this;
    const { generation } = this.#plan;
    const until = this.#until;
    const range = openMutationRange(generation.place, name, bytes);
    if (!range.ok) return range;
    if (toHex(range.previousSha256) !== cursor.sha256) return brokenChain(cursor, name);
    if (range.first.version <= cursor.lastVersion)
      return damage(name, "begins with a commit that objects before it have passed");
    const whenTaken: ReplayCursor = { ...this.#taken(name, bytes), lastVersion: range.last.version };
    const flaw = this.#flawAtLogHead(name, whenTaken.sha256);
    if (flaw !== null) return flaw;
    if (until !== null && range.last.version > until && !hasCommit(range.read(), until)) {
      return damage(name, `has no commit ${versionstampHex(until)}`);
    }
    return { name, entries: range.read(), whenTaken };
  }

  #taken(name: string, bytes: Uint8Array): ReplayCursor {
    const { cursor } = this;
    return {
      ...cursor,
      object: name,
      sha256: sha256Hex(bytes),
      applied: 0,
      objects: cursor.objects + 1,
      bytes: cursor.bytes + bytes.length,
    };
  }

  #endOfSnapshot(): ReadProblem | "stop" | null {
    const { cursor } = this;
    const { snapshotHead, place } = this.#plan.generation;
    if (snapshotHead !== undefined) {
      const name = snapshotHead === null ? null : headName(place, snapshotHead);
      if (name !== null && (cursor.object ?? "") < name) return damage(name, "is missing");
      if (cursor.object !== null && cursor.object !== name) {
        return damage(cursor.object, "lies behind the snapshot's last object");
      }
      if (name !== null && snapshotHead?.sha256 !== cursor.sha256) return notAsDescribed(name);
    }
    return this.#enter("log");
  }

  /** `next`: the object after the last wanted one. null: there is none, or the wanted commit was not the last of its object. */
  #endOfLog(next: FetchedObject | null): ReadProblem | "stop" | null {
    const { cursor } = this;
    const { generation } = this.#plan;
    const until = this.#until;
    if (next !== null) {
      const flaw = this.#flawBefore(next);
      if (flaw !== null) return flaw;
    } else if (until === null || cursor.lastVersion <= until) {
      const flaw = this.#flawAtLogHead(null, cursor.sha256);
      if (flaw !== null) return flaw;
    }
    if (until !== null && cursor.lastVersion < until) {
      const last = cursor.object ?? logsPrefix(generation.place);
      return damage(last, `is the log's last; ${versionstampHex(until)} lies behind it`);
    }
    return this.#enterEnd();
  }

  #enterEnd(): Damage | "stop" | null {
    return this.cursor.metConsistentFrom ? this.#enter("end") : this.#notMet();
  }

  /**
   * Whether a commit is missing between the last one that was read and this object. The object's hash of the one before it shows that,
   * also when the object itself is damaged.
   */
  #flawBefore({ name, bytes }: FetchedObject): Damage | null {
    const { cursor } = this;
    if (previousSha256Of(bytes) === cursor.sha256) return null;
    const range = openMutationRange(this.#plan.generation.place, name, bytes);
    if (range.ok) return brokenChain(cursor, name);
    const last = versionstampHex(cursor.lastVersion);
    return damage(
      name,
      `${range.problem}, so that nobody can tell whether commits before it are missing: the commit ${last} can be asked for by its versionstamp`,
    );
  }

  /** Compares with the log object that is known to exist: whether it was passed over, or is another one. `name` null: the log's end. */
  #flawAtLogHead(name: string | null, sha256: string): Damage | null {
    const { logHead, place } = this.#plan.generation;
    if (logHead === null) return null;
    const expected = headName(place, logHead);
    if (name === expected) return sha256 === logHead.sha256 ? null : notAsDescribed(expected);
    const before = this.cursor.object ?? "";
    return before < expected && (name === null || name > expected) ? damage(expected, "is missing") : null;
  }

  #notMet(): Damage {
    const { place, consistentFrom } = this.#plan.generation;
    return damage(differentialName(place), `names ${versionstampHex(consistentFrom)}, which is no commit of the log`);
  }

  #enter(part: ReplayPart): "stop" | null {
    this.#queue = null;
    return this.#store(() => enter(this.cursor, part));
  }

  #store(step: () => ReplayCursor): "stop" | null {
    let reached = this.cursor;
    const kept = this.#plan.store(() => {
      reached = step();
      return reached;
    });
    if (!kept) return "stop";
    this.cursor = reached;
    return null;
  }
}

function isSpent({ requests, entries, bytes }: Spent): boolean {
  return requests >= SLICE_REQUESTS || entries >= SLICE_ENTRIES || bytes >= SLICE_BYTES;
}

/** Returns how many entries were added to the sink. */
function applyLogged(sink: ReplaySink, entry: LogEntry): number {
  const { version } = entry.stamp;
  if (entry.type === "clear")
    return entry.key.length === 0 ? 0 : sink.apply({ type: "delete", key: entry.key }, version);
  const { key, value, encoding, expiresAt } = entry;
  return sink.apply({ type: "set", key, value, encoding, expiresAt }, version);
}

function hasCommit(entries: Iterable<LogEntry>, version: Version): boolean {
  for (const { stamp } of entries) {
    if (stamp.version === version) return true;
    if (stamp.version > version) return false;
  }
  return false;
}

function tooManyObjects(folder: string): Damage {
  return damage(folder, `holds more than ${MAX_FOLDER_OBJECTS} objects, the most that a folder of a backup has`);
}

function notAsDescribed(object: string): Damage {
  return damage(object, "is whole, and is not the one that the manifest describes: its hash is another");
}

function brokenChain({ object }: ReplayCursor, next: string): Damage {
  return object === null
    ? damage(next, "is the first of its folder and carries the hash of one before it, which is missing")
    : damage(
        next,
        `does not carry the hash of ${object}: an object between them is missing, or one of the two is from elsewhere`,
      );
}
