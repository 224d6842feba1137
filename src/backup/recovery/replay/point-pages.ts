/**
 * The commits around a moment, page by page. A page takes a bounded number of requests, and may be short because of that.
 *
 * Each commit is a point of the generation that a restore to it would read: a generation's points begin with its `differential`, and end
 * before the next generation's.
 */
import type { RestorePointInfo } from "../../../contracts/restore-commands.ts";
import { asVersion, type Version } from "../../../core/versionstamp.ts";
import type { BackupBucket, ReadProblem } from "./backup-bucket.ts";
import { type Catalog, type Generation, generationAfter, generationFor } from "./catalog.ts";
import { type CommitDetail, type CommitWindow, commitsOf, isNamedWhole, keyBytesOf } from "./commits.ts";
import { type LogNeighbours, type LogObject, logObjectsAround } from "./log-index.ts";

export interface PointPage {
  readonly ok: true;
  /** From the moment outwards: ascending for "after", descending for "before". */
  readonly points: readonly RestorePointInfo[];
  /** Where the next page begins, in the same direction. null: there are no more points. */
  readonly next: Version | null;
}

export interface PageOptions {
  readonly direction: "before" | "after";
  /** How many points at the most. */
  readonly limit: number;
  readonly detail: CommitDetail | null;
}

/** About how many requests one page may take. */
const PAGE_REQUESTS = 30;

/** Points at or before the moment, the latest first; or points after it, the earliest first. */
export async function pointsAround(
  bucket: BackupBucket,
  catalog: Catalog,
  moment: Version,
  options: PageOptions,
): Promise<PointPage | ReadProblem> {
  const pager = new Pager(bucket, catalog, options);
  return options.direction === "before" ? pager.before(moment) : pager.after(moment);
}

class Pager {
  readonly #bucket: BackupBucket;
  readonly #catalog: Catalog;
  readonly #options: PageOptions;
  readonly #points: RestorePointInfo[] = [];
  #requests = 0;
  #keyBytes = 0;

  constructor(bucket: BackupBucket, catalog: Catalog, options: PageOptions) {
    this.#bucket = bucket;
    this.#catalog = catalog;
    this.#options = options;
  }

  async before(moment: Version): Promise<PointPage | ReadProblem> {
    let from: number = moment;
    while (!this.#isFull()) {
      const generation = generationFor(this.#catalog, asVersion(from));
      if (generation === null) return this.#page(null);
      const below = generation.consistentFrom - 1;
      from = Math.min(from, generation.end?.lastPoint ?? from);
      const around = await this.#around(generation, asVersion(from));
      if (!around.ok) return around;
      if (around.upTo.length === 0) from = below;
      for (const object of around.upTo.toReversed()) {
        const window = { after: below, upTo: from, nearestTo: "upTo" } as const;
        const found = await this.#commits(generation, object, window);
        if (!found.ok) return found;
        const left = this.#add(found.commits.toReversed());
        if (left !== undefined) return this.#page(left);
        from = Math.max(object.first.version - 1, below);
        if (from === below || this.#isFull()) break;
      }
    }
    return this.#page(asVersion(from));
  }

  async after(moment: Version): Promise<PointPage | ReadProblem> {
    let from: number = moment;
    while (!this.#isFull()) {
      // The next point is above `from`.
      const generation = generationFor(this.#catalog, asVersion(from + 1)) ?? this.#catalog.generations[0];
      if (generation === undefined) return this.#page(null);
      from = Math.max(from, generation.consistentFrom - 1);
      const newer = generationAfter(this.#catalog, generation);
      const belowNewer = newer === null ? Number.MAX_SAFE_INTEGER : newer.consistentFrom - 1;
      const end = Math.min(belowNewer, generation.end?.lastPoint ?? belowNewer);
      const ahead = await this.#objectsAfter(generation, asVersion(from), end);
      if (!ahead.ok) return ahead;
      if (ahead.objects.length === 0) {
        if (newer === null) return this.#page(null);
        from = belowNewer;
      }
      for (const object of ahead.objects) {
        const found = await this.#commits(generation, object, { after: from, upTo: end, nearestTo: "after" });
        if (!found.ok) return found;
        const left = this.#add(found.commits);
        if (left !== undefined) return this.#page(asVersion(left - 1));
        from = Math.min(object.last.version, end);
        if (this.#isFull()) break;
      }
    }
    return this.#page(asVersion(from));
  }

  /** Some consecutive objects with commits after this version and up to the end, from the first such object on. */
  async #objectsAfter(
    generation: Generation,
    version: Version,
    end: number,
  ): Promise<{ readonly ok: true; readonly objects: readonly LogObject[] } | ReadProblem> {
    if (version >= end) return { ok: true, objects: [] };
    const around = await this.#around(generation, version);
    if (!around.ok) return around;
    const objects = [...around.upTo.slice(-1), ...around.following];
    return { ok: true, objects: objects.filter(({ first, last }) => last.version > version && first.version <= end) };
  }

  /** Adds as many points as there is room for. Returns the first for which there was none. */
  #add(points: readonly RestorePointInfo[]): Version | undefined {
    for (const point of points) {
      if (this.#points.length >= this.#options.limit) return point.version;
      const bytes = keyBytesOf(point);
      const mostKeyBytes = this.#options.detail?.mostKeyBytes ?? 0;
      if (this.#keyBytes > 0 && this.#keyBytes + bytes > mostKeyBytes) return point.version;
      this.#keyBytes += bytes;
      this.#points.push(point);
    }
    return undefined;
  }

  #isFull(): boolean {
    return this.#points.length >= this.#options.limit || this.#requests >= PAGE_REQUESTS;
  }

  #page(next: Version | null): PointPage {
    return { ok: true, points: this.#points, next };
  }

  async #around(generation: Generation, version: Version): Promise<LogNeighbours | ReadProblem> {
    this.#requests += 1;
    return logObjectsAround(this.#bucket, generation.place, version);
  }

  /** One more than there is room for, so that the beginning of the next page is known. */
  async #commits(
    generation: Generation,
    object: LogObject,
    window: Omit<CommitWindow, "most">,
  ): ReturnType<typeof commitsOf> {
    const { detail, limit } = this.#options;
    if (!isNamedWhole(object, detail)) this.#requests += 1;
    const most = limit - this.#points.length + 1;
    return commitsOf(this.#bucket, generation, object, { ...window, most }, detail);
  }
}
