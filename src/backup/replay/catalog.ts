/**
 * Which generations a backup has, what each can give back, and which one serves a moment. The manifest says so; without one a
 * listing does, and then nobody can tell whether the last objects of a snapshot or of a log are still there.
 *
 * A generation gives back every commit after its `differential` up to the end of its log, and the state at `differential` itself.
 */
import { failure, type Failure } from "../../core/errors.ts";
import { type Version, versionstampHex } from "../../core/versionstamp.ts";
import { damage } from "../format/damage.ts";
import type { ChainHead, Gap, Manifest, ManifestGeneration } from "../format/manifest.ts";
import { differentialName, type GenerationPlace, manifestName } from "../format/object-names.ts";
import type { BackupBucket, ReadProblem } from "./backup-bucket.ts";

/** One that can be read: its `differential` is stored. */
export interface Generation {
  readonly place: GenerationPlace;
  readonly consistentFrom: Version;
  /** Nothing after its last commit will ever be in it. */
  readonly ended: boolean;
  readonly gaps: readonly Gap[];
  /** What its snapshot ends with; null: it is empty. undefined: nobody says. */
  readonly snapshotHead: ChainHead | null | undefined;
  /** An object that its log has, the newest of which anybody says. */
  readonly logHead: ChainHead | null;
}

export interface Catalog {
  readonly ok: true;
  /** The oldest first. */
  readonly generations: readonly Generation[];
  /** The starts of all that the manifest names or of which anything is there, readable or not, ascending. */
  readonly starts: readonly Version[];
}

export interface CatalogOptions {
  /** What the database itself knows of its backup. It is newer than the manifest in the bucket, and used instead of it. */
  readonly known: Manifest | null;
  /** Go by the listing: the manifest is lost or damaged. */
  readonly withoutManifest: boolean;
}

export async function loadCatalog(
  bucket: BackupBucket,
  options: CatalogOptions,
): Promise<Catalog | ReadProblem | Failure> {
  const manifest = await chooseManifest(bucket, options);
  if (!manifest.ok) return manifest;
  const named = manifest.manifest?.generations.map(({ start }) => start) ?? [];
  const listed = await bucket.generations(named.at(-1) ?? null);
  if (!listed.ok) return listed;
  if (listed.starts.length === 0 && manifest.manifest === null) {
    return failure("not-found", "There is no backup of this database at the destination, or nothing of it is left");
  }
  if (manifest.manifest === null && !options.withoutManifest) {
    return damage(
      manifestName(bucket.databaseId),
      "is missing; without it nobody can tell whether the last objects of the backup are all there",
    );
  }
  if (manifest.manifest !== null) {
    const generations = manifest.manifest.generations.flatMap((one) => describedGeneration(bucket, one));
    return { ok: true, generations, starts: [...named, ...listed.starts] };
  }
  const generations: Generation[] = [];
  for (const start of listed.starts) {
    const place = bucket.place(start);
    const stored = await bucket.consistentFrom(place);
    if (!stored.ok) return stored;
    const { consistentFrom } = stored;
    if (consistentFrom === null) continue;
    generations.push({ place, consistentFrom, ended: false, gaps: [], snapshotHead: undefined, logHead: null });
  }
  return { ok: true, generations, starts: listed.starts };
}

/** What `differential` holds must be what the generation is known by: wrong, it would name another state than the real one. */
export async function checkDifferential(
  bucket: BackupBucket,
  { place, consistentFrom }: Generation,
): Promise<ReadProblem | null> {
  const object = differentialName(place);
  const stored = await bucket.consistentFrom(place);
  if (!stored.ok) return stored;
  if (stored.consistentFrom === null) return damage(object, "is missing");
  if (stored.consistentFrom === consistentFrom) return null;
  return damage(
    object,
    `holds ${versionstampHex(stored.consistentFrom)}; the manifest has ${versionstampHex(consistentFrom)}`,
  );
}

/** The newest generation that holds the state of this version; null: it lies before all of them. */
export function generationFor(catalog: Catalog, version: Version): Generation | null {
  return catalog.generations.findLast(({ consistentFrom }) => consistentFrom <= version) ?? null;
}

/** The one after it. */
export function generationAfter(catalog: Catalog, generation: Generation): Generation | null {
  return catalog.generations.find(({ place }) => place.start > generation.place.start) ?? null;
}

async function chooseManifest(
  bucket: BackupBucket,
  { known, withoutManifest }: CatalogOptions,
): Promise<{ readonly ok: true; readonly manifest: Manifest | null } | ReadProblem> {
  if (withoutManifest) return { ok: true, manifest: null };
  return known === null ? bucket.manifest() : { ok: true, manifest: known };
}

/** Nothing for one that is not readable: in a manifest that is a minute old, it may be so by now, and its end is not known. */
function describedGeneration(bucket: BackupBucket, described: ManifestGeneration): Generation[] {
  const { start, state, consistentFrom, gaps, snapshot, log } = described;
  if (consistentFrom === null) return [];
  return [
    {
      place: bucket.place(start),
      consistentFrom,
      ended: state === "ended",
      gaps,
      snapshotHead: snapshot.head,
      logHead: log.head,
    },
  ];
}
