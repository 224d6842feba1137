/**
 * Which objects of a backup are a database's own, when it is deleted with its backup: another server may have a copy of the database and
 * go on with the backup in the same place. What it goes on with is not deleted, nor what leads up to that.
 */
import type { OwnGeneration } from "../../contracts/backup-commands.ts";
import { asVersion, type Version } from "../../core/versionstamp.ts";
import type { Destination, DestinationFailure } from "../destinations/destination.ts";
import type { Manifest } from "../format/manifest.ts";
import {
  afterGeneration,
  beforeLogObjects,
  databasePrefix,
  generationOf,
  type GenerationPlace,
  logsPrefix,
  manifestName,
} from "../format/object-names.ts";
import { BackupBucket, isDamage } from "../recovery/replay/backup-bucket.ts";

/** How far the deletion is. */
export interface OwnObjects {
  /** Everything up to this name was looked at; null: the manifest is next. */
  readonly after: string | null;
  /** Generations that stay. */
  readonly theirs: readonly Version[];
  /** The one that is being deleted. */
  readonly ours: Version | null;
}

/** Requests of a slice, each of which the drivers may try twice: a slice has 40. */
const REQUESTS_PER_SLICE = 20;

/** So many of a database's own generations, the newest, are looked at before anything is deleted: two requests for each. */
const LOOKED_AT = 8;

/** What stays, and what the manifest says of that. `own` null: nothing does. */
export async function splitManifest(
  destination: Destination,
  databaseId: string,
  own: readonly OwnGeneration[] | null,
): Promise<
  | {
      readonly ok: true;
      readonly theirs: readonly Version[];
      /** null: none is to be there. */
      readonly manifest: Manifest | null;
      readonly etag: string | null;
    }
  | DestinationFailure
> {
  if (own === null) return { ok: true, theirs: [], manifest: null, etag: null };
  const bucket = new BackupBucket(destination, databaseId);
  const read = await bucket.manifest();
  if (!read.ok && !isDamage(read)) return read;
  const goneOn = await lastGoneOn(bucket, destination, own);
  if (typeof goneOn === "object" && goneOn !== null) return goneOn;
  const ours = new Set<Version>(own.map(({ start }) => start).filter((start) => goneOn === null || start > goneOn));
  const found = read.ok ? read.manifest : null;
  const generations = found?.generations.filter(({ start }) => !ours.has(start)) ?? [];
  const theirs = [...generations, ...own].map(({ start }) => start).filter((start) => !ours.has(start));
  const manifest = found === null || generations.length === 0 ? null : { ...found, generations };
  return { ok: true, theirs: [...new Set(theirs)], manifest, etag: read.ok ? read.etag : null };
}

/** The newest of its generations that another server has gone on with: those before are that one's, too. */
async function lastGoneOn(
  bucket: BackupBucket,
  destination: Destination,
  own: readonly OwnGeneration[],
): Promise<Version | null | DestinationFailure> {
  for (const { start, writers, sentUpTo } of own.slice(-LOOKED_AT).toReversed()) {
    const place = bucket.place(start);
    const isOwn = await isWrittenBy(bucket, place, new Set(writers));
    if (typeof isOwn !== "boolean") return isOwn;
    if (!isOwn) return start;
    if (sentUpTo === null) continue;
    // What was sent last may be there or not.
    const behind = beforeLogObjects(place, asVersion(sentUpTo + 1));
    const page = await destination.list(logsPrefix(place), { after: behind, limit: 1 });
    if (!page.ok) return page;
    if (page.objects.length > 0) return start;
  }
  return null;
}

/** The next objects in the order of names, but for those that stay. */
export async function deleteOwn(
  destination: Destination,
  databaseId: string,
  { after, theirs, ours }: OwnObjects,
  own: readonly OwnGeneration[] | null,
): Promise<{ readonly ok: true; readonly deleted: number; readonly objects: OwnObjects } | DestinationFailure> {
  const bucket = new BackupBucket(destination, databaseId);
  const prefix = databasePrefix(databaseId);
  const page = await destination.list(prefix, { after: after ?? prefix, limit: REQUESTS_PER_SLICE - 1 });
  if (!page.ok) return page;
  const writers = new Set(own?.flatMap((one) => one.writers));
  let [requests, deleted, at, folder] = [1, 0, after, ours];
  for (const { name } of page.objects) {
    const start = generationOf(databaseId, name);
    if (start !== undefined && start !== folder && own !== null) {
      const isOwn = !theirs.includes(start) && (await isWrittenBy(bucket, bucket.place(start), writers));
      requests += 1;
      if (typeof isOwn !== "boolean") return isOwn;
      if (!isOwn) {
        const kept = theirs.includes(start) ? theirs : [...theirs, start];
        return {
          ok: true,
          deleted,
          objects: { after: afterGeneration(bucket.place(start)), theirs: kept, ours: null },
        };
      }
      folder = start;
    }
    if (requests >= REQUESTS_PER_SLICE) return { ok: true, deleted, objects: { after: at, theirs, ours: folder } };
    // It was written without what is deleted.
    const stays = name === manifestName(databaseId) && theirs.length > 0;
    if (!stays) {
      const outcome = await destination.delete(name);
      if (!outcome.ok) return outcome;
      requests += 1;
      deleted += 1;
    }
    at = name;
  }
  return { ok: true, deleted, objects: { after: page.next, theirs, ours: folder } };
}

/** Whether one of these is the last to have begun with it, or nobody says who has. */
async function isWrittenBy(
  bucket: BackupBucket,
  place: GenerationPlace,
  writers: ReadonlySet<string>,
): Promise<boolean | DestinationFailure> {
  const read = await bucket.record(place);
  if (!read.ok) return isDamage(read) ? false : read;
  return read.record === null || writers.has(read.record.writer);
}
