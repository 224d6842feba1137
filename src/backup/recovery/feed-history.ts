/**
 * The change feed from further back than the mutation log: it comes from the log objects of the backup. Each page takes a bounded number
 * of requests, and ends where a commit ends. The last page ends at or behind the place from which on the log has everything, so the two
 * join without a gap or a repetition.
 *
 * Objects are checked before they are used: each is sealed, and carries the hash of the object before it. So an object that somebody has
 * removed from the bucket is noticed, and never skipped. Where the backup itself has a gap, because the database was brought to another
 * state or the destination failed for too long, the page says so with `reset`.
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

/** Objects of one page, each of which is a request. When few of their commits concern the reader, the page ends after this many. */
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
  /** null: nobody will need the bytes again. */
  readonly bytes: Uint8Array | null;
}

export class FeedHistory {
  readonly #options: FeedHistoryOptions;
  /** The object that was read last. The next page continues from it. */
  #seen: Seen | null = null;

  constructor(options: FeedHistoryOptions) {
    this.#options = options;
  }

  /** The oldest place from which the feed can be read. `keptAfter`: from there on the log has everything. */
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

  /** What comes after a place before `keptAfter`. "too-old": the backup does not reach back to the place, or there is no backup. */
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

  /** "end": the generation has no further commits. */
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

  /** The hash of the object that the next one must follow. undefined: the next one must be the first. */
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
  /** What comes next belongs to another history. */
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

  /** Adds the entries after the place. Returns whether all were taken. */
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
        // No backup says whether the key had an entry.
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
