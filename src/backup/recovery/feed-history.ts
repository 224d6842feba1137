/**
 * The change feed from further back than the mutation log: out of the log objects of the backup. Each page is a bounded number of requests, and
 * ends where a commit does. The last one ends at or behind the place from which the log has everything, so the two join without a gap or a
 * repeat.
 *
 * Objects are looked at before they are believed: each is sealed, and carries the hash of the one before it. So one that somebody has taken
 * out of the bucket is noticed, and never passed over. Where the backup itself has a gap, because the database was brought to another state
 * or the destination was down for too long, the page says so with `reset`.
 */
import { admitsKey } from "../../codec/key-prefix.ts";
import { toHex } from "../../core/bytes.ts";
import type { Failure } from "../../core/errors.ts";
import { type FeedChange, type FeedCommit, type FeedPage, tooOld } from "../../core/feed.ts";
import { MAX_FEED_PAGE_BYTES } from "../../core/limits.ts";
import { LAST_VERSION, type Version } from "../../core/versionstamp.ts";
import { damage } from "../format/damage.ts";
import { NO_OBJECT_BEFORE } from "../format/fields.ts";
import { isLastOfCommit } from "../format/log-stamp.ts";
import { type LogEntry, openMutationRange } from "../format/mutation-range.ts";
import { sha256Hex } from "../format/sha256.ts";
import type { Lookups } from "./lookups.ts";
import { asFailure, type OpenBackup } from "./open-backup.ts";
import type { BackupBucket, ReadProblem } from "./replay/backup-bucket.ts";
import { type Generation, generationAfter, generationFor } from "./replay/catalog.ts";
import { type LogObject, logObjectsAround } from "./replay/log-index.ts";

/** Each is a request. Where few of their commits concern the reader, the page ends after so many. */
const OBJECTS_OF_PAGE = 8;

export interface FeedHistoryOptions {
  /** "not-found": there is no backup. */
  readonly open: () => Promise<OpenBackup | Failure>;
  readonly lookups: Lookups;
}

type PageOrFailure = { readonly ok: true; readonly page: FeedPage } | Failure;

/** An object that was read. */
interface Seen {
  readonly name: string;
  readonly sha256: string;
  /** Null: nobody will want it again. */
  readonly bytes: Uint8Array | null;
}

export class FeedHistory {
  readonly #options: FeedHistoryOptions;
  /** The object that was read last: the next page goes on from it. */
  #seen: Seen | null = null;

  constructor(options: FeedHistoryOptions) {
    this.#options = options;
  }

  /** The oldest place from which there is something to read. `keptAfter`: from there on the log has everything. */
  oldest(keptAfter: Version): Promise<{ readonly ok: true; readonly version: Version } | Failure> {
    return this.#options.lookups.run(async () => {
      const opened = await this.#options.open();
      if (!opened.ok) return opened.code === "not-found" ? { ok: true, version: keptAfter } : opened;
      const [first] = opened.catalog.generations;
      return {
        ok: true,
        version: first !== undefined && first.consistentFrom < keptAfter ? first.consistentFrom : keptAfter,
      };
    });
  }

  /** What comes after a place before `keptAfter`. "too-old": the backup does not reach back to it, or there is none. */
  page(after: Version, prefix: Uint8Array, keptAfter: Version): Promise<PageOrFailure> {
    return this.#options.lookups.run(async () => {
      const opened = await this.#options.open();
      if (!opened.ok) return opened.code === "not-found" ? tooOld(after, keptAfter) : opened;
      const { bucket, catalog } = opened;
      const generation = generationFor(catalog, after);
      if (generation === null) {
        const [first] = catalog.generations;
        return tooOld(
          after,
          first !== undefined && first.consistentFrom < keptAfter ? first.consistentFrom : keptAfter,
        );
      }
      const next = generationAfter(catalog, generation)?.consistentFrom ?? keptAfter;
      const goesOnAt = next < keptAfter ? next : keptAfter;
      const { end } = generation;
      if (end !== null && after >= end.heldUpTo) return placeWithout([], goesOnAt, goesOnAt);
      const page = new Page(prefix, after, end?.lastPoint ?? LAST_VERSION);
      const problem = await this.#fill(page, bucket, generation, after);
      if (problem === null) return placeWithout(page.commits, null, page.upTo);
      if (problem !== "end") return asFailure(problem);
      return placeWithout(page.commits, null, end?.heldUpTo ?? goesOnAt);
    });
  }

  /** "end": the generation has no more. */
  async #fill(
    page: Page,
    bucket: BackupBucket,
    generation: Generation,
    after: Version,
  ): Promise<ReadProblem | "end" | null> {
    const { place } = generation;
    const found = await logObjectsAround(bucket, place, after);
    if (!found.ok) return found;
    const current = found.upTo.at(-1);
    const isWithin = current !== undefined && current.last.version > after;
    let before: string | null = null;
    if (!isWithin) {
      const sha256 = await this.#sha256Of(bucket, current);
      if (typeof sha256 === "object") return sha256;
      before = sha256;
    }
    const objects = [...(isWithin ? [current] : []), ...found.following].slice(0, OBJECTS_OF_PAGE);
    if (objects.length === 0) return "end";
    for (const object of objects) {
      const read = await this.#read(bucket, object);
      if (!read.ok) return read;
      const range = openMutationRange(place, object.name, read.bytes);
      if (!range.ok) return range;
      if (before !== null && toHex(range.previousSha256) !== before) {
        return damage(object.name, "does not follow the object that lies before it: one between them is missing");
      }
      const isWhole = page.add(range.read());
      before = sha256Hex(read.bytes);
      this.#seen = { name: object.name, sha256: before, bytes: isWhole ? null : read.bytes };
      if (page.hasEnded) return "end";
      if (!isWhole || page.isFull) return null;
    }
    return null;
  }

  /** Of the object that the next one must follow; undefined: it must be the first. */
  async #sha256Of(bucket: BackupBucket, object: LogObject | undefined): Promise<string | ReadProblem> {
    if (object === undefined) return toHex(NO_OBJECT_BEFORE);
    if (this.#seen?.name === object.name) return this.#seen.sha256;
    const read = await bucket.read(object.name, object.size);
    return read.ok ? sha256Hex(read.bytes) : read;
  }

  async #read(
    bucket: BackupBucket,
    { name, size }: LogObject,
  ): Promise<{ readonly ok: true; readonly bytes: Uint8Array } | ReadProblem> {
    const bytes = this.#seen?.name === name ? this.#seen.bytes : null;
    return bytes === null ? bucket.read(name, size) : { ok: true, bytes };
  }
}

function placeWithout(commits: readonly FeedCommit[], reset: Version | null, upTo: Version): PageOrFailure {
  return { ok: true, page: { commits, reset, upTo, isLast: false } };
}

/** Commits above a place, up to a bound of bytes. */
class Page {
  readonly commits: FeedCommit[] = [];
  upTo: Version;
  /** What comes next is another history's. */
  hasEnded = false;
  readonly #prefix: Uint8Array;
  readonly #last: Version;
  #bytes = 0;

  constructor(prefix: Uint8Array, after: Version, last: Version) {
    this.#prefix = prefix;
    this.upTo = after;
    this.#last = last;
  }

  get isFull(): boolean {
    return this.#bytes >= MAX_FEED_PAGE_BYTES;
  }

  /** Adds what comes after the place. Returns whether everything was taken. */
  add(entries: Iterable<LogEntry>): boolean {
    let changes: FeedChange[] = [];
    let bytes = 0;
    for (const entry of entries) {
      const { version } = entry.stamp;
      if (version <= this.upTo) continue;
      if (version > this.#last) {
        this.hasEnded = true;
        return true;
      }
      if (entry.key.length > 0 && admitsKey(this.#prefix, entry.key)) {
        // Whether the key had an entry is in no backup.
        changes.push({ key: entry.key, set: entry.type === "set" ? entry : null, isNew: false });
        bytes += entry.key.length + (entry.type === "set" ? entry.value.length : 0);
      }
      if (!isLastOfCommit(entry.stamp)) continue;
      this.upTo = version;
      if (changes.length > 0) this.commits.push({ version, changes });
      this.#bytes += bytes;
      [changes, bytes] = [[], 0];
      if (this.isFull) return false;
    }
    return true;
  }
}
