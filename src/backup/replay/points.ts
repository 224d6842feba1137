/**
 * The moments that a backup can give back: the commit at or before one, and the points around it, page by page. A point is a commit
 * after its generation's `differential`. Most of it is in the objects' names; an object is read when its commits are needed.
 */
import { failure, type Failure } from "../../core/errors.ts";
import type { RestorableRange, RestorePointInfo } from "../../core/restore-commands.ts";
import { asVersion, LAST_VERSION, timeOfVersion, type Version } from "../../core/versionstamp.ts";
import { damage } from "../format/damage.ts";
import { isLastOfCommit } from "../format/log-stamp.ts";
import { headName } from "../format/manifest.ts";
import { openMutationRange } from "../format/mutation-range.ts";
import type { BackupBucket, ReadProblem } from "./backup-bucket.ts";
import { type Catalog, type Generation, generationAfter, generationFor } from "./catalog.ts";
import { momentText } from "../../core/moment.ts";
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
  const { end } = generation;
  if (end !== null && moment > end.heldUpTo) return inTheGap(catalog, generation, end.heldUpTo);
  // What lies behind the last commit of this history in the same log is not its own.
  const isBehind = end !== null && moment > end.lastPoint;
  const wanted = isBehind ? end.lastPoint : moment;
  const around = await logObjectsAround(bucket, generation.place, wanted);
  if (!around.ok) return around;
  const object = around.upTo.at(-1);
  if (around.next === null && (object === undefined || object.last.version < wanted)) {
    const beyond = beyondTheEnd(catalog, generation, object);
    if (beyond !== null) return beyond;
  }
  const resolvedTo = (version: number): ResolvedMoment => {
    const atLeast = asVersion(Math.max(version, generation.consistentFrom));
    return { ok: true, generation, version: atLeast, isExact: isBehind || atLeast === moment };
  };
  if (object === undefined) return resolvedTo(generation.consistentFrom);
  const commits = await commitsOf(bucket, generation, object);
  if (!commits.ok) return commits;
  return resolvedTo(commits.versions.findLast((one) => one <= wanted) ?? object.first.version);
}

/** From the first moment that can be restored to the last. null: nothing can. */
export async function restorableRange(
  bucket: BackupBucket,
  catalog: Catalog,
): Promise<{ readonly ok: true; readonly range: RestorableRange | null } | ReadProblem> {
  const [oldest] = catalog.generations;
  const newest = catalog.generations.at(-1);
  if (oldest === undefined || newest === undefined) return { ok: true, range: null };
  const found = await logObjectsAround(bucket, newest.place, LAST_VERSION);
  if (!found.ok) return found;
  const last = newest.end?.lastPoint ?? found.upTo.at(-1)?.last.version ?? newest.consistentFrom;
  return { ok: true, range: { first: pointAt(oldest.consistentFrom), last: pointAt(last) } };
}

/** At or above every version that the backup has seen: of the newest generations, since older ones end below. */
export async function highestVersion(
  bucket: BackupBucket,
  starts: readonly Version[],
): Promise<{ readonly ok: true; readonly version: Version } | ReadProblem> {
  let highest: number = Math.max(0, ...starts);
  // Both that are written while one takes over from the other; and so of a copy that writes there, too.
  for (const start of starts.slice(-4)) {
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
      from = Math.min(from, generation.end?.lastPoint ?? from);
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
      const forever = Number.MAX_SAFE_INTEGER;
      const end = Math.min(newer?.consistentFrom ?? forever, generation.end?.lastPoint ?? forever);
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

/** What is wanted lies behind the last object of its generation: fine at the backup's end, and else a gap or damage. */
function beyondTheEnd(
  catalog: Catalog,
  generation: Generation,
  last: LogObject | undefined,
): ReadProblem | Failure | null {
  const { place, logHead, consistentFrom, end } = generation;
  const head = logHead === null ? null : headName(place, logHead);
  if (head !== null && (last === undefined || last.name < head)) return damage(head, "is missing");
  if (end !== null) return null;
  const newer = generationAfter(catalog, generation);
  const isLast = newer === null && !catalog.lost.some((one) => one.consistentFrom > consistentFrom);
  return isLast ? null : inTheGap(catalog, generation, last?.last.version ?? consistentFrom);
}

/** Nothing is known of the moments behind this one, up to where the next generation begins. */
function inTheGap(catalog: Catalog, generation: Generation, heldUpTo: Version): Failure {
  const newer = generationAfter(catalog, generation);
  const lost = catalog.lost.find(({ consistentFrom }) => consistentFrom > generation.consistentFrom);
  const cause = generation.endCause ?? lost?.cause ?? "Nothing is known of its cause.";
  const until = newer === null ? "it is still open" : `it ends with ${momentText(newer.consistentFrom)}`;
  return failure(
    "not-found",
    `The backup has a gap there: it holds nothing after ${momentText(heldUpTo)}, and ${until}. ${cause}`,
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
