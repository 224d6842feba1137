/**
 * The moments that a backup can give back: the commit at or before one, and the points around it, page by page. A point is a commit
 * after its generation's `differential`. Most of it is in the objects' names; an object is read when its commits are needed.
 */
import { failure, type Failure } from "../../core/errors.ts";
import type { RestorableRange, RestorePointInfo } from "../../core/restore-commands.ts";
import { asVersion, timeOfVersion, type Version } from "../../core/versionstamp.ts";
import { damage } from "../format/damage.ts";
import { isLastOfCommit } from "../format/log-stamp.ts";
import { headName } from "../format/manifest.ts";
import { openMutationRange } from "../format/mutation-range.ts";
import type { BackupBucket, ReadProblem } from "./backup-bucket.ts";
import { type Catalog, type Generation, generationAfter, generationFor } from "./catalog.ts";
import { momentText } from "./moment.ts";
import { type LogNeighbours, type LogObject, logObjectsAround } from "./log-index.ts";

export interface ResolvedMoment {
  readonly ok: true;
  readonly generation: Generation;
  /** The last commit at or before the moment, or the generation's `differential` when there is none after it. */
  readonly version: Version;
  /** The moment names this commit. Else that nothing lies between the two is part of what is asked for. */
  readonly isExact: boolean;
}

export interface PointPage {
  readonly ok: true;
  /** From the moment on outwards: ascending for "after", descending for "before". */
  readonly points: readonly RestorePointInfo[];
  /** Where the next page begins, in the same direction; null: there is nothing more. */
  readonly next: Version | null;
}

/** No commit has it: the year 2255. */
const LAST_VERSION = asVersion(Number.MAX_SAFE_INTEGER - 1);

/** Requests that one page may take, about. */
const PAGE_REQUESTS = 30;

/** The commit whose state a database had at this moment. "not-found": the backup does not hold it, and the message says what it does. */
export async function resolveMoment(
  bucket: BackupBucket,
  catalog: Catalog,
  moment: Version,
): Promise<ResolvedMoment | ReadProblem | Failure> {
  const generation = generationFor(catalog, moment);
  if (generation === null) return outside(catalog, moment);
  const around = await logObjectsAround(bucket, generation.place, moment);
  if (!around.ok) return around;
  const object = around.upTo.at(-1);
  if (around.next === null && (object === undefined || object.last.version < moment)) {
    const beyond = beyondTheEnd(catalog, generation, object, moment);
    if (beyond !== null) return beyond;
  }
  const resolvedTo = (version: number): ResolvedMoment => {
    const atLeast = asVersion(Math.max(version, generation.consistentFrom));
    return { ok: true, generation, version: atLeast, isExact: atLeast === moment };
  };
  if (object === undefined) return resolvedTo(generation.consistentFrom);
  const commits = await commitsOf(bucket, generation, object);
  if (!commits.ok) return commits;
  return resolvedTo(commits.versions.findLast((one) => one <= moment) ?? object.first.version);
}

/** From the first moment that can be restored to the last. null: nothing can. */
export async function restorableRange(
  bucket: BackupBucket,
  catalog: Catalog,
): Promise<{ readonly ok: true; readonly range: RestorableRange | null } | ReadProblem> {
  const [oldest] = catalog.generations;
  const newest = catalog.generations.at(-1);
  if (oldest === undefined || newest === undefined) return { ok: true, range: null };
  const end = await logObjectsAround(bucket, newest.place, LAST_VERSION);
  if (!end.ok) return end;
  const last = end.upTo.at(-1)?.last.version ?? newest.consistentFrom;
  return { ok: true, range: { first: pointAt(oldest.consistentFrom), last: pointAt(last) } };
}

/** At or above every version that the backup has seen: of the newest two generations, since older ones end below. */
export async function highestVersion(
  bucket: BackupBucket,
  catalog: Catalog,
): Promise<{ readonly ok: true; readonly version: Version } | ReadProblem> {
  let highest: number = Math.max(0, ...catalog.starts, ...catalog.generations.map((one) => one.consistentFrom));
  for (const start of catalog.starts.slice(-2)) {
    const end = await logObjectsAround(bucket, bucket.place(start), LAST_VERSION);
    if (!end.ok) return end;
    highest = Math.max(highest, end.upTo.at(-1)?.last.version ?? 0);
  }
  return { ok: true, version: asVersion(highest) };
}

/** At most `limit` points at or before the moment, the latest first, or after it, the earliest first. */
export async function pointsAround(
  bucket: BackupBucket,
  catalog: Catalog,
  moment: Version,
  direction: "before" | "after",
  limit: number,
): Promise<PointPage | ReadProblem> {
  const pager = new Pager(bucket, catalog, limit);
  return direction === "before" ? pager.before(moment) : pager.after(moment);
}

class Pager {
  readonly #bucket: BackupBucket;
  readonly #catalog: Catalog;
  readonly #limit: number;
  readonly #points: RestorePointInfo[] = [];
  #requests = 0;

  constructor(bucket: BackupBucket, catalog: Catalog, limit: number) {
    this.#bucket = bucket;
    this.#catalog = catalog;
    this.#limit = limit;
  }

  async before(moment: Version): Promise<PointPage | ReadProblem> {
    let from: number = moment;
    while (!this.#isFull()) {
      const generation = generationBefore(this.#catalog, from);
      if (generation === null) return this.#page(null);
      const around = await this.#around(generation, asVersion(from));
      if (!around.ok) return around;
      if (around.upTo.length === 0) from = generation.consistentFrom;
      for (const object of around.upTo.toReversed()) {
        const commits = await this.#commits(generation, object);
        if (!commits.ok) return commits;
        const inside = commits.versions.filter((one) => one <= from && one > generation.consistentFrom);
        const left = this.#add(inside.toReversed());
        if (left !== undefined) return this.#page(left);
        from = Math.max(object.first.version - 1, generation.consistentFrom);
        if (from === generation.consistentFrom || this.#isFull()) break;
      }
    }
    return this.#page(asVersion(from));
  }

  async after(moment: Version): Promise<PointPage | ReadProblem> {
    let from: number = moment;
    while (!this.#isFull()) {
      const generation = generationFor(this.#catalog, asVersion(from)) ?? this.#catalog.generations[0];
      if (generation === undefined) return this.#page(null);
      from = Math.max(from, generation.consistentFrom);
      const newer = generationAfter(this.#catalog, generation);
      const end = newer?.consistentFrom ?? Number.MAX_SAFE_INTEGER;
      const around = await this.#around(generation, asVersion(from));
      if (!around.ok) return around;
      const straddling = around.upTo.at(-1);
      const object = straddling !== undefined && straddling.last.version > from ? straddling : around.next;
      if (object === null || object.first.version > end) {
        if (newer === null) return this.#page(null);
        from = newer.consistentFrom;
        continue;
      }
      const commits = await this.#commits(generation, object);
      if (!commits.ok) return commits;
      const left = this.#add(commits.versions.filter((one) => one > from && one <= end));
      if (left !== undefined) return this.#page(asVersion(left - 1));
      from = Math.min(object.last.version, end);
    }
    return this.#page(asVersion(from));
  }

  /** Adds as many as there is room for; returns the first for which there was none. */
  #add(versions: readonly Version[]): Version | undefined {
    const room = this.#limit - this.#points.length;
    this.#points.push(...versions.slice(0, room).map(pointAt));
    return versions[room];
  }

  #isFull(): boolean {
    return this.#points.length >= this.#limit || this.#requests >= PAGE_REQUESTS;
  }

  #page(next: Version | null): PointPage {
    return { ok: true, points: this.#points, next };
  }

  async #around(generation: Generation, version: Version): Promise<LogNeighbours | ReadProblem> {
    this.#requests += 1;
    return logObjectsAround(this.#bucket, generation.place, version);
  }

  async #commits(generation: Generation, object: LogObject): ReturnType<typeof commitsOf> {
    if (object.first.version !== object.last.version) this.#requests += 1;
    return commitsOf(this.#bucket, generation, object);
  }
}

/** The newest generation that has points at or before this version. */
function generationBefore(catalog: Catalog, version: number): Generation | null {
  return catalog.generations.findLast(({ consistentFrom }) => consistentFrom < version) ?? null;
}

/** The commits of an object, ascending: from its name when it has only one. */
async function commitsOf(
  bucket: BackupBucket,
  { place }: Generation,
  { name, first, last }: LogObject,
): Promise<{ readonly ok: true; readonly versions: readonly Version[] } | ReadProblem> {
  if (first.version === last.version) return { ok: true, versions: [last.version] };
  const read = await bucket.read(name);
  if (!read.ok) return read;
  const range = openMutationRange(place, name, read.bytes);
  if (!range.ok) return range;
  const versions: Version[] = [];
  for (const { stamp } of range.read()) if (isLastOfCommit(stamp)) versions.push(stamp.version);
  return { ok: true, versions };
}

export function pointAt(version: Version): RestorePointInfo {
  return { version, time: timeOfVersion(version) };
}

/** The moment lies behind the last object of its generation: fine at the backup's end, and else a gap or damage. */
function beyondTheEnd(
  catalog: Catalog,
  generation: Generation,
  last: LogObject | undefined,
  moment: Version,
): ReadProblem | Failure | null {
  const { place, logHead, consistentFrom } = generation;
  const head = logHead === null ? null : headName(place, logHead);
  if (head !== null && (last === undefined || last.name < head)) return damage(head, "is missing");
  // A quiet time behind the last commit belongs to the generation, up to where its gap begins.
  const heldUpTo = generation.gaps.find(({ after }) => after >= consistentFrom)?.after ?? consistentFrom;
  const end = asVersion(Math.max(last?.last.version ?? consistentFrom, heldUpTo));
  const newer = generationAfter(catalog, generation);
  if (end >= moment || (newer === null && !generation.ended)) return null;
  const cause = generation.gaps.find(({ after }) => after <= moment)?.cause ?? "Nothing is known of its cause.";
  const until = newer === null ? "it is still open" : `it ends with ${momentText(newer.consistentFrom)}`;
  return failure(
    "not-found",
    `The backup has a gap there: it holds nothing after ${momentText(end)}, and ${until}. ${cause}`,
  );
}

function outside(catalog: Catalog, moment: Version): Failure {
  const [oldest] = catalog.generations;
  if (oldest === undefined) {
    return failure("not-found", "This backup has no complete generation yet: there is nothing that could be restored");
  }
  return failure(
    "not-found",
    `${momentText(moment)} lies before the oldest moment that this backup can give back, ${momentText(oldest.consistentFrom)}`,
  );
}
