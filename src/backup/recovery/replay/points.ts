/**
 * The moments that a backup can restore: the commit at or before a moment, and the range of all moments. A point is a commit from its
 * generation's `differential` on. Most of this is in the objects' names; an object is read only when its commits are needed.
 */
import { failure, type Failure } from "../../../core/errors.ts";
import type { RestorableRange } from "../../../contracts/restore-commands.ts";
import { asVersion, LAST_VERSION, type Version } from "../../../core/versionstamp.ts";
import { damage } from "../../format/damage.ts";
import { headName } from "../../format/manifest.ts";
import type { BackupBucket, ReadProblem } from "./backup-bucket.ts";
import { type Catalog, type Generation, generationAfter, generationFor } from "./catalog.ts";
import { commitsOf, pointAt } from "./commits.ts";
import { momentText } from "../../../core/moment.ts";
import { type LogObject, logObjectsAround } from "./log-index.ts";

export interface ResolvedMoment {
  readonly ok: true;
  readonly generation: Generation;
  /** The last commit at or before the moment; the generation's `differential` when there is no commit after it. */
  readonly version: Version;
  /** The moment names exactly this commit. Otherwise it must also be shown that no commit lies between the two. */
  readonly isExact: boolean;
}

/**
 * The commit whose state a database had at this moment. "not-found": the backup does not hold it, and the message says what the backup
 * holds.
 */
export async function resolveMoment(
  bucket: BackupBucket,
  catalog: Catalog,
  moment: Version,
): Promise<ResolvedMoment | ReadProblem | Failure> {
  const generation = generationFor(catalog, moment);
  if (generation === null) return outside(catalog, moment);
  const { end } = generation;
  if (end !== null && moment > end.heldUpTo) return inTheGap(catalog, generation, end.heldUpTo);
  // In the same log, what lies behind the last commit of this history belongs to another history.
  const isBehind = end !== null && moment > end.lastPoint;
  const wanted = isBehind ? end.lastPoint : moment;
  const around = await logObjectsAround(bucket, generation.place, wanted);
  if (!around.ok) return around;
  const object = around.upTo.at(-1);
  if (around.following.length === 0 && (object === undefined || object.last.version < wanted)) {
    const beyond = beyondTheEnd(catalog, generation, object);
    if (beyond !== null) return beyond;
  }
  const resolvedTo = (version: number): ResolvedMoment => {
    const atLeast = asVersion(Math.max(version, generation.consistentFrom));
    return { ok: true, generation, version: atLeast, isExact: isBehind || atLeast === moment };
  };
  if (object === undefined) return resolvedTo(generation.consistentFrom);
  const window = { after: 0, upTo: wanted, nearestTo: "upTo", most: 1 } as const;
  const found = await commitsOf(bucket, generation, object, window, null);
  if (!found.ok) return found;
  return resolvedTo(found.commits.at(-1)?.version ?? object.first.version);
}

/** The first and the last moment that can be restored. null: none can. */
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

/** At or above every version in the backup. Only the newest generations are read, because older ones end at lower versions. */
export async function highestVersion(
  bucket: BackupBucket,
  starts: readonly Version[],
): Promise<{ readonly ok: true; readonly version: Version } | ReadProblem> {
  let highest: number = Math.max(0, ...starts);
  // Two generations while one takes over from the other, and two of a copy that writes there too.
  for (const start of starts.slice(-4)) {
    const end = await logObjectsAround(bucket, bucket.place(start), LAST_VERSION);
    if (!end.ok) return end;
    highest = Math.max(highest, end.upTo.at(-1)?.last.version ?? 0);
  }
  return { ok: true, version: asVersion(highest) };
}

/**
 * The wanted moment lies behind the last object of its generation. That is right at the backup's end; elsewhere it is a gap or damage.
 */
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
