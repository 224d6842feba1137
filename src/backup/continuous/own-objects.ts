/**
 * Which objects of a backup belong to a database that is deleted with its backup. Another server may have a copy of the database, and
 * continue the backup in the same place. The generations that it continues are not deleted, nor the generations before them.
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

/** The progress of the deletion. */
export interface OwnObjects {
  /** Everything up to this name was handled. null: the manifest is next. */
  readonly after: string | null;
  /** Generations that stay. */
  readonly theirs: readonly Version[];
  /** The generation that is being deleted. */
  readonly ours: Version | null;
}

/** Requests of a slice. The drivers may try each twice, and a slice has 40. */
const REQUESTS_PER_SLICE = 20;

/** How many of a database's own generations, the newest ones, are checked before anything is deleted: two requests for each. */
const LOOKED_AT = 8;

/** Which generations stay, and the manifest that describes them. `own` null: none stays. */
export async function splitManifest(
  destination: Destination,
  databaseId: string,
  own: readonly OwnGeneration[] | null,
): Promise<
  | {
      readonly ok: true;
      readonly theirs: readonly Version[];
      /** null: there is to be no manifest. */
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

/**
 * The newest of the database's generations that another server has continued. Earlier generations belong to that server, too. null: there
 * is none.
 */
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
    // The object that was sent last may or may not be there.
    const behind = beforeLogObjects(place, asVersion(sentUpTo + 1));
    const page = await destination.list(logsPrefix(place), { after: behind, limit: 1 });
    if (!page.ok) return page;
    if (page.objects.length > 0) return start;
  }
  return null;
}

/** Deletes the next objects in the order of names, except those that stay. */
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
    // The manifest was written without the deleted generations.
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

/** Whether one of these writers was the last to begin with the generation, or no record says who was. */
async function isWrittenBy(
  bucket: BackupBucket,
  place: GenerationPlace,
  writers: ReadonlySet<string>,
): Promise<boolean | DestinationFailure> {
  const read = await bucket.record(place);
  if (!read.ok) return isDamage(read) ? false : read;
  return read.record === null || writers.has(read.record.writer);
}
