/**
 * Whether what lies in the bucket was put there by this database. A copy of a data folder is the same database as far as it knows, and
 * continues to write where the original was: only the bucket can tell the two apart. So each process of a server has a name, made when it
 * starts, and a generation's record (`format/generation-record.ts`) names the process that writes it:
 *
 * - Before a process writes to a generation for the first time, it checks whether the record names the writer that this database knows,
 *   and whether the log ends as is known here. Then it replaces the record by one with its own name, and checks the log again.
 * - An object counts as stored only when the record still has that name afterwards. So when two processes write at the same time, the
 *   objects of one do not count; and one process sees what counted for the other before it writes anything.
 * - The objects in the log are counted now and then (`inspection.ts`). That shows an object that this database did not store, or a
 *   missing one.
 *
 * What is found is not repaired. The generation is left, and another one begins (`Trouble` says why).
 */
import { assert } from "../../core/assert.ts";
import { asUnixMs, type Clock, type UnixMs } from "../../core/clock.ts";
import type { Version } from "../../core/versionstamp.ts";
import { type Destination, type DestinationFailure, destinationFailure } from "../destinations/destination.ts";
import { type GenerationRecord, encodeGenerationRecord } from "../format/generation-record.ts";
import { type FolderState, headName } from "../format/manifest.ts";
import {
  differentialName,
  generationPrefix,
  type GenerationPlace,
  generationRecordName,
  parseLogObjectName,
  parseSnapshotObjectName,
  snapshotsPrefix,
} from "../format/object-names.ts";
import { isLive, type Generation } from "./generation-row.ts";
import type { Generations } from "./generations.ts";
import { checkLog, isGone, isNotOurs, straysIn } from "./log-check.ts";
import { pendingRange } from "./log-range.ts";
import { BackupBucket, isDamage, problemText } from "../recovery/replay/backup-bucket.ts";
import type { DatabaseSource } from "../sources.ts";

/** Why a generation cannot be written to any more. */
export type Trouble =
  /**
   * Another writer has continued the generation. `intactUpTo`: behind this version, its log cannot be told apart from the other's; null:
   * all of it can.
   */
  | { readonly kind: "foreign"; readonly start: Version; readonly what: string; readonly intactUpTo: Version | null }
  /** Another writer's generation has the same number, and nothing of this one was stored yet. */
  | { readonly kind: "taken"; readonly start: Version }
  /** Stored objects of the generation are gone. */
  | { readonly kind: "gone"; readonly start: Version; readonly what: string; readonly heldUpTo: Version | null };

export interface OwnershipOptions {
  readonly database: DatabaseSource;
  readonly generations: Generations;
  readonly clock: Clock;
  /** The name of this process: 32 hex digits that no other process has. */
  readonly writer: string;
  /** Leaves the generation. Called before anything else is done. */
  readonly leave: (trouble: Trouble) => void;
  /** From now on this process writes to a generation that another process may have written to. */
  readonly begun: () => void;
}

/** How long a check of the record is valid. A process that writes without a pause checks once for each object. */
const FRESH_MS = 5_000;

/**
 * How long after this process has taken a generation over, requests of another process may still be on their way: each lasts at most five
 * minutes, with all its tries.
 */
const LATE_MS = 5 * 60 * 1000 + 2 * FRESH_MS;

/** How many generations one slice secures: two live ones, and one in place of each. */
const MOST_SECURED = 4;

type Outcome = "ours" | "left" | DestinationFailure;

export class Ownership {
  readonly #options: OwnershipOptions;
  /** When the record was last seen to name this process. */
  readonly #confirmedAt = new Map<Version, UnixMs>();
  /** When this process took the generation over; later, if that time was forgotten. */
  readonly #begunAt = new Map<Version, UnixMs>();
  /** Settles when all work that was begun here is done, and never rejects. */
  #last: Promise<unknown> = Promise.resolve();

  constructor(options: OwnershipOptions) {
    this.#options = options;
  }

  /**
   * Makes sure that this process may write to each live generation, and leaves those it may not write to. To be awaited before anything
   * is written to the bucket or deleted there.
   */
  async secure(destination: Destination, databaseId: string): Promise<DestinationFailure | null> {
    const { generations } = this.#options;
    if (generations.live().every((generation) => this.#isFresh(generation))) return null;
    return this.inTurn(async () => {
      // A generation may begin in place of one that is left, and has to be secured as well.
      const seen = new Set<Version>();
      for (;;) {
        const next = generations.live().find(({ start }) => !seen.has(start));
        if (next === undefined || seen.size >= MOST_SECURED) return null;
        seen.add(next.start);
        const outcome = await this.#secure(destination, { databaseId, start: next.start });
        if (typeof outcome !== "string") return outcome;
      }
    });
  }

  /**
   * Stores an object of a live generation, under a name where there must be none yet. "left": the generation belongs to another writer by
   * now, or was not secured before. Then the object does not count.
   */
  async store(destination: Destination, place: GenerationPlace, name: string, bytes: Uint8Array): Promise<Outcome> {
    if (!this.#isClaimed(place)) return "left";
    const stored = await destination.putIfAbsent(name, bytes);
    if (!stored.ok && stored.class !== "conflict") return stored;
    if (!this.#isClaimed(place)) return "left";
    if (!stored.ok) return this.#leaveForeign(destination, place, `${isNotOurs(name)}.`);
    return this.#confirm(destination, place);
  }

  /** Whether the record still names this process. */
  async confirm(destination: Destination, place: GenerationPlace): Promise<Outcome> {
    return this.#isClaimed(place) ? this.#confirm(destination, place) : "left";
  }

  /** Whether the generation was secured. One that has begun since then is secured next time. */
  #isClaimed({ start }: GenerationPlace): boolean {
    return this.#live(start)?.claim === this.#options.writer;
  }

  async #confirm(destination: Destination, place: GenerationPlace): Promise<Outcome> {
    const { writer, clock } = this.#options;
    const read = await new BackupBucket(destination, place.databaseId).record(place);
    if (this.#live(place.start) === null) return "left";
    if (!read.ok) return isDamage(read) ? this.#leaveLost(destination, place, problemText(read)) : read;
    if (read.record === null) return this.#leaveLost(destination, place, isGone(generationRecordName(place)));
    if (read.record.writer !== writer) return this.#leaveForeign(destination, place, anotherWrites(read.record));
    this.#confirmedAt.set(place.start, clock.now());
    return "ours";
  }

  /**
   * As far as is known here, the snapshot is complete and the log has reached it. Checks whether both are in the bucket, and writes into
   * the record how the snapshot ends.
   */
  async conclude(destination: Destination, place: GenerationPlace): Promise<Outcome> {
    if (!this.#isClaimed(place)) return "left";
    const log = await this.inTurn(() => this.#checkLog(destination, place, "sift"));
    if (log !== "ours") return log;
    const snapshot = await this.#countSnapshot(destination, place);
    if (snapshot !== "ours") return snapshot;
    const read = await new BackupBucket(destination, place.databaseId).record(place);
    const generation = this.#live(place.start);
    if (generation === null) return "left";
    if (!read.ok) return isDamage(read) ? this.#leaveLost(destination, place, problemText(read)) : read;
    if (read.record === null) return this.#leaveLost(destination, place, isGone(generationRecordName(place)));
    if (read.record.writer !== this.#options.writer) {
      return this.#leaveForeign(destination, place, anotherWrites(read.record));
    }
    const bytes = encodeGenerationRecord(place, this.#record(generation));
    const put = await destination.putIfUnchanged(generationRecordName(place), bytes, read.etag);
    if (put.ok) return "ours";
    return put.class === "conflict" ? this.#confirm(destination, place) : put;
  }

  /** Works one after the other, so that nothing is stored in a log while it is being checked. */
  async inTurn<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#last.then(work);
    this.#last = turn.catch(() => undefined);
    return turn;
  }

  /**
   * Checks whether everything that was stored of a live generation is there, and nothing else. Objects that the previous process had on
   * their way into the log are deleted: they never counted.
   */
  async inspect(destination: Destination, place: GenerationPlace): Promise<Outcome> {
    return this.inTurn(async () => {
      const { writer, generations } = this.#options;
      const read = await new BackupBucket(destination, place.databaseId).record(place);
      const generation = this.#live(place.start);
      if (generation === null) return "left";
      if (!read.ok) return isDamage(read) ? this.#leaveLost(destination, place, problemText(read)) : read;
      const { claim, claiming, log, seen, state, snapshot } = generation;
      // Writing to the generation has not begun yet.
      if (read.record === null && claim === null) return "ours";
      if (read.record === null) return this.#leaveLost(destination, place, isGone(generationRecordName(place)));
      if (![claim, ...claiming].includes(read.record.writer)) {
        return this.#leaveForeign(destination, place, anotherWrites(read.record));
      }
      const isWriting = claim === writer && read.record.writer === writer;
      const ends = state === "complete" ? [differentialName(place), ...endName(place, snapshot)] : [];
      if (log.objects === seen.objects) {
        ends.push(...endName(place, log));
      } else {
        const checked = await this.#checkLog(destination, place, isWriting ? "sift" : "pass over");
        if (checked !== "ours") return checked;
      }
      for (const name of ends) {
        const end = await destination.head(name);
        if (this.#live(place.start) === null) return "left";
        if (!end.ok && end.class !== "not-found") return end;
        if (!end.ok) return this.#leaveLost(destination, place, isGone(name));
      }
      if (isWriting && log.objects !== seen.objects && this.#nothingIsLate(place)) generations.sawLog(place.start);
      return "ours";
    });
  }

  /**
   * To be called within `inTurn`. `beside`: what to do with objects beside those that were stored. They do not matter before this process
   * has taken the generation over. Then those before the log's end are deleted: what lies behind it may belong to the process that had
   * the generation until now. Later, those behind the end are deleted as well.
   */
  async #checkLog(
    destination: Destination,
    place: GenerationPlace,
    beside: "pass over" | "sift before the end" | "sift",
  ): Promise<Outcome> {
    const generation = this.#live(place.start);
    if (generation === null) return "left";
    const pending = pendingRange(this.#options.database.log, place, generation)?.name ?? null;
    const checked = await checkLog(destination, place, generation, pending);
    if (!checked.ok) return checked;
    if (this.#live(place.start) === null) return "left";
    const { verdict } = checked;
    if (verdict === "ours" || (verdict === "beside" && beside === "pass over")) return "ours";
    if (verdict === "gone") return this.#leaveLost(destination, place, checked.what);
    if (beside === "sift" || (beside === "sift before the end" && verdict === "beside")) {
      const isSifted = await this.#sift(destination, place, generation, pending);
      if (typeof isSifted !== "boolean") return isSifted;
      if (isSifted) return "ours";
    }
    return this.#leaveForeign(destination, place, `${checked.what}.`);
  }

  /** Deletes the objects beside those that were stored. Returns whether the log is as it should be after that. */
  async #sift(
    destination: Destination,
    place: GenerationPlace,
    generation: Generation,
    pending: string | null,
  ): Promise<boolean | DestinationFailure> {
    const found = await straysIn(destination, place, generation, pending);
    if (!found.ok) return found;
    if (found.strays === null || found.strays.length === 0) return false;
    const standing = await this.#confirm(destination, place);
    if (standing !== "ours") return standing === "left" ? false : standing;
    for (const name of found.strays) {
      const deleted = await destination.delete(name);
      if (!deleted.ok) return deleted;
    }
    return this.#live(place.start) !== null;
  }

  async #secure(destination: Destination, place: GenerationPlace): Promise<Outcome> {
    const { generations, writer } = this.#options;
    const before = this.#live(place.start);
    if (before === null) return "left";
    if (this.#isFresh(before)) return "ours";
    if (before.claim === writer) return this.#confirm(destination, place);
    const read = await new BackupBucket(destination, place.databaseId).record(place);
    const generation = this.#live(place.start);
    if (generation === null) return "left";
    if (!read.ok) return isDamage(read) ? this.#leaveLost(destination, place, problemText(read)) : read;
    const { record, etag } = read;
    const { claim, claiming } = generation;
    if (record === null && claim !== null) {
      return this.#leaveLost(destination, place, isGone(generationRecordName(place)));
    }
    if (record !== null && ![claim, ...claiming, writer].includes(record.writer)) {
      return isUntouched(generation)
        ? this.#leave({ kind: "taken", start: place.start })
        : this.#leaveForeign(destination, place, anotherWrites(record));
    }
    const looked = await this.#checkFolders(destination, place, "pass over");
    if (looked !== "ours") return looked;
    const wasUntouched = isUntouched(generation);
    generations.claiming(place.start, writer);
    const name = generationRecordName(place);
    const bytes = encodeGenerationRecord(place, this.#record(generation));
    const put =
      record === null
        ? await destination.putIfAbsent(name, bytes)
        : await destination.putIfUnchanged(name, bytes, etag);
    if (!put.ok && put.class !== "conflict") return put;
    if (!put.ok && wasUntouched) return this.#leave({ kind: "taken", start: place.start });
    // Perhaps a record that an earlier process of this database sent has arrived at this moment. The next try reads the record again.
    if (!put.ok && claiming.length > 0) return arriving(name);
    // If another process has written its record meanwhile, the record shows that. What it stored before that shows in the log.
    const confirmed = await this.#confirm(destination, place);
    if (confirmed !== "ours") return confirmed;
    const again = await this.#checkFolders(destination, place, "sift before the end");
    if (again !== "ours") return again;
    generations.claimed(place.start, writer);
    this.#begunAt.set(place.start, this.#options.clock.now());
    this.#options.begun();
    return "ours";
  }

  async #checkFolders(
    destination: Destination,
    place: GenerationPlace,
    beside: "pass over" | "sift before the end",
  ): Promise<Outcome> {
    const log = await this.#checkLog(destination, place, beside);
    const generation = this.#live(place.start);
    if (log !== "ours") return log;
    if (generation === null) return "left";
    return generation.state === "snapshotting" ? this.#checkSnapshot(destination, place, generation) : "ours";
  }

  /** Whether the snapshot in the bucket has only objects that were stored or sent from here. */
  async #checkSnapshot(
    destination: Destination,
    place: GenerationPlace,
    { snapshot, sequence }: Generation,
  ): Promise<Outcome> {
    const [after] = endName(place, snapshot);
    const page = await destination.list(snapshotsPrefix(place), after === undefined ? {} : { after });
    if (!page.ok) return page;
    if (this.#live(place.start) === null) return "left";
    const stray = page.objects.find(({ name }) => {
      const parsed = parseSnapshotObjectName(place, name);
      return !parsed.ok || parsed.sequence > sequence;
    });
    return stray === undefined ? "ours" : this.#leaveForeign(destination, place, `${isNotOurs(stray.name)}.`);
  }

  /**
   * Whether as much of the snapshot is in the bucket as was stored. Of a range that was sent again, either object may have arrived, so
   * such objects are not counted.
   */
  async #countSnapshot(destination: Destination, place: GenerationPlace): Promise<Outcome> {
    const folder = snapshotsPrefix(place);
    const abandoned = new Set(this.#live(place.start)?.abandoned);
    let [objects, bytes] = [0, 0];
    let after: string | null = null;
    do {
      const page = await destination.list(folder, after === null ? {} : { after });
      if (!page.ok) return page;
      for (const { name, size } of page.objects) {
        const parsed = parseSnapshotObjectName(place, name);
        if (parsed.ok && abandoned.has(parsed.sequence)) continue;
        objects += 1;
        bytes += size;
      }
      after = page.next;
    } while (after !== null);
    const generation = this.#live(place.start);
    if (generation === null) return "left";
    const { snapshot } = generation;
    if (objects >= snapshot.objects && bytes >= snapshot.bytes) return "ours";
    return this.#leaveLost(destination, place, `Of ${snapshot.objects} objects in ${folder} only ${objects} are there`);
  }

  #record({ start, consistentFrom, snapshot }: Generation): GenerationRecord {
    const { generations, writer, clock } = this.#options;
    const isWhole = consistentFrom !== null;
    return {
      writer,
      since: clock.now(),
      follows: generations.predecessorOf(start),
      snapshot: isWhole ? { ...snapshot, consistentFrom } : null,
    };
  }

  /** Another writer has continued the generation. The log shows how far it is intact. */
  async #leaveForeign(destination: Destination, place: GenerationPlace, what: string): Promise<Outcome> {
    const { start } = place;
    const generation = this.#live(start);
    if (generation === null) return "left";
    const pending = pendingRange(this.#options.database.log, place, generation)?.name ?? null;
    const checked = await checkLog(destination, place, generation, pending);
    if (!checked.ok) return checked;
    if (this.#live(start) === null) return "left";
    const isIntact = checked.verdict === "ours" || checked.isIntact;
    const intactUpTo = isIntact ? null : (seenUpTo(place, generation) ?? start);
    return this.#leave({ kind: "foreign", start, what, intactUpTo });
  }

  /**
   * Stored objects are missing or changed. The remaining objects show up to which commit the generation is reliable: as far as its log
   * was checked, if the last objects of everything before are there. The destination is asked in a second way before its answer is
   * believed.
   */
  async #leaveLost(destination: Destination, place: GenerationPlace, what: string): Promise<Outcome> {
    const { start } = place;
    const prefix = generationPrefix(place);
    const below = await destination.list(prefix, { limit: 1 });
    if (!below.ok) return below;
    if (below.objects.length === 0) {
      const everything = `Everything below ${prefix} is gone from the bucket.`;
      return this.#live(start) === null
        ? "left"
        : this.#leave({ kind: "gone", start, what: everything, heldUpTo: null });
    }
    const generation = this.#live(start);
    if (generation === null) return "left";
    const [seen] = endName(place, generation.seen);
    const needed = [
      differentialName(place),
      ...endName(place, generation.snapshot),
      ...(seen === undefined ? [] : [seen]),
    ];
    for (const name of needed) {
      const end = await destination.head(name);
      if (!end.ok && end.class !== "not-found") return end;
      if (this.#live(start) === null) return "left";
      if (!end.ok) return this.#leave({ kind: "gone", start, what: `${what}.`, heldUpTo: null });
    }
    return this.#leave({ kind: "gone", start, what: `${what}.`, heldUpTo: seenUpTo(place, generation) });
  }

  #leave(trouble: Trouble): "left" {
    this.#confirmedAt.delete(trouble.start);
    this.#begunAt.delete(trouble.start);
    this.#options.leave(trouble);
    assert(this.#live(trouble.start) === null, `generation ${trouble.start} to have been left`);
    return "left";
  }

  #live(start: Version): Generation | null {
    const generation = this.#options.generations.get(start);
    return generation !== null && isLive(generation) ? generation : null;
  }

  /** Whether nothing of an earlier process can arrive any more. Until then, each check begins where the first one did. */
  #nothingIsLate({ start }: GenerationPlace): boolean {
    const now = this.#options.clock.now();
    const at = this.#begunAt.get(start) ?? now;
    // The clock was set back.
    this.#begunAt.set(start, asUnixMs(Math.min(at, now)));
    return now - at >= LATE_MS;
  }

  #isFresh({ start, claim }: Generation): boolean {
    const { clock, writer } = this.#options;
    const at = this.#confirmedAt.get(start);
    if (claim !== writer || at === undefined) return false;
    const age = asUnixMs(clock.now()) - at;
    return age >= 0 && age <= FRESH_MS;
  }
}

/** Nothing of the generation was stored or sent. */
function isUntouched({ claim, claiming, log, sequence, pendingUpTo }: Generation): boolean {
  return claim === null && claiming.length === 0 && log.objects === 0 && sequence === 0 && pendingUpTo === null;
}

function anotherWrites({ since }: GenerationRecord): string {
  return `Another server has been writing to this generation since ${new Date(since).toISOString()}.`;
}

/** The last commit of the log that was checked and found whole. null: there is none. */
function seenUpTo(place: GenerationPlace, { seen }: Generation): Version | null {
  const name = seen.head === null ? null : parseLogObjectName(place, headName(place, seen.head));
  return name?.ok === true ? name.last.version : null;
}

/** The name of the last object of a folder, if there is one. */
export function endName(place: GenerationPlace, { head }: Pick<FolderState, "head">): string[] {
  return head === null ? [] : [headName(place, head)];
}

function arriving(name: string): DestinationFailure {
  return destinationFailure("retry", `The object ${name} has arrived late.`);
}
