/**
 * Which generations a history of a backup has, what each can restore, and which one serves a moment. The source is what the database
 * itself knows of its backup; `histories.ts` finds the same from a bucket alone.
 *
 * A generation can restore every commit after its `differential` up to the end of its log, and the state at `differential` itself.
 */
import type { ClockReading } from "../../../core/clock-spans.ts";
import { type Version, versionstampHex } from "../../../core/versionstamp.ts";
import type { DestinationFailure } from "../../destinations/destination.ts";
import { damage } from "../../format/damage.ts";
import type { ChainHead, Manifest, ManifestGeneration } from "../../format/manifest.ts";
import { differentialName, type GenerationPlace } from "../../format/object-names.ts";
import type { BackupBucket, ReadProblem } from "./backup-bucket.ts";

/** A generation that can be read: its `differential` is stored. */
export interface Generation {
  readonly place: GenerationPlace;
  readonly consistentFrom: Version;
  /**
   * Where this history ends in the generation: commits above `lastPoint` are lost or belong to another history, and the database held the
   * state of that commit up to `heldUpTo`. null: it continues.
   */
  readonly end: { readonly lastPoint: Version; readonly heldUpTo: Version } | null;
  /** Why it ends. null: it does not. */
  readonly endCause: string | null;
  /** The last object of the snapshot. null: the snapshot is empty. undefined: not known. */
  readonly snapshotHead: ChainHead | null | undefined;
  /** An object that must be in its log: the newest one that is known. */
  readonly logHead: ChainHead | null;
  /** What the clock showed while versions ran ahead of it, as far as is known. */
  readonly clock: readonly ClockReading[];
}

export interface Catalog {
  readonly ok: true;
  /** The oldest first. */
  readonly generations: readonly Generation[];
  /** Generations that were complete once and can restore nothing any more. */
  readonly lost: readonly { readonly consistentFrom: Version; readonly cause: string }[];
  /** The starts of all generations that the manifest names or that have any object, readable or not, ascending. */
  readonly starts: readonly Version[];
}

/** The catalog by what the database knows of its backup, which is newer than the manifest in the bucket. */
export async function knownCatalog(bucket: BackupBucket, known: Manifest): Promise<Catalog | DestinationFailure> {
  const named = known.generations.map(({ start }) => start);
  const listed = await bucket.generations(named.at(-1) ?? null);
  if (!listed.ok) return listed;
  const all = known.generations.flatMap((one) => describedGeneration(bucket, one));
  return { ok: true, ...divideLost(all), starts: [...named, ...listed.starts] };
}

/** Divides generations into those that can restore something, and those that cannot any more. */
export function divideLost(all: readonly Generation[]): Pick<Catalog, "generations" | "lost"> {
  const isLost = ({ end, consistentFrom }: Generation): boolean => end !== null && end.heldUpTo < consistentFrom;
  const lost = all
    .filter(isLost)
    .map(({ consistentFrom, endCause }) => ({ consistentFrom, cause: endCause ?? "Nothing is known of its cause." }));
  return { generations: all.filter((one) => !isLost(one)), lost };
}

/**
 * The content of `differential` must be the version by which the generation is known. Otherwise another state than the real one would be
 * restored.
 */
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

/** The newest generation that holds the state of this version. null: the version lies before all of them. */
export function generationFor(catalog: Catalog, version: Version): Generation | null {
  return catalog.generations.findLast(({ consistentFrom }) => consistentFrom <= version) ?? null;
}

/** The generation after this one. */
export function generationAfter(catalog: Catalog, generation: Generation): Generation | null {
  return catalog.generations.find(({ place }) => place.start > generation.place.start) ?? null;
}

/** null for a generation that cannot be read. In a manifest that is a minute old it may be readable by now, but its end is not known. */
export function describedGeneration(bucket: BackupBucket, described: ManifestGeneration): Generation[] {
  const { start, state, consistentFrom, lastPoint, gaps, snapshot, log, clock } = described;
  if (consistentFrom === null) return [];
  const [gap] = gaps;
  const last = lastPoint?.versionstamp ?? consistentFrom;
  const heldUpTo = gap?.after ?? last;
  return [
    {
      place: bucket.place(start),
      consistentFrom,
      end: state === "ended" ? { lastPoint: last < heldUpTo ? last : heldUpTo, heldUpTo } : null,
      endCause: gap?.cause ?? null,
      snapshotHead: snapshot.head,
      logHead: log.head,
      clock,
    },
  ];
}
