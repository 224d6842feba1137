/**
 * Which generations a history of a backup has, what each can give back, and which one serves a moment. What the database itself knows
 * of its backup says so; `histories.ts` finds it out from a bucket alone.
 *
 * A generation gives back every commit after its `differential` up to the end of its log, and the state at `differential` itself.
 */
import type { ClockReading } from "../../../core/clock-spans.ts";
import { type Version, versionstampHex } from "../../../core/versionstamp.ts";
import type { DestinationFailure } from "../../destinations/destination.ts";
import { damage } from "../../format/damage.ts";
import type { ChainHead, Manifest, ManifestGeneration } from "../../format/manifest.ts";
import { differentialName, type GenerationPlace } from "../../format/object-names.ts";
import type { BackupBucket, ReadProblem } from "./backup-bucket.ts";

/** One that can be read: its `differential` is stored. */
export interface Generation {
  readonly place: GenerationPlace;
  readonly consistentFrom: Version;
  /**
   * Where this history ends in it: commits above `lastPoint` are lost, or another history's, and the database held that commit's state
   * up to `heldUpTo`. null: it goes on.
   */
  readonly end: { readonly lastPoint: Version; readonly heldUpTo: Version } | null;
  /** Why it ends, or null. */
  readonly endCause: string | null;
  /** What its snapshot ends with; null: it is empty. undefined: nobody says. */
  readonly snapshotHead: ChainHead | null | undefined;
  /** An object that its log has, the newest of which anybody says. */
  readonly logHead: ChainHead | null;
  /** What the clock said while versions ran ahead of it, as far as anybody says. */
  readonly clock: readonly ClockReading[];
}

export interface Catalog {
  readonly ok: true;
  /** The oldest first. */
  readonly generations: readonly Generation[];
  /** Those that were whole once and give nothing back any more. */
  readonly lost: readonly { readonly consistentFrom: Version; readonly cause: string }[];
  /** The starts of all that the manifest names or of which anything is there, readable or not, ascending. */
  readonly starts: readonly Version[];
}

/** What the database itself knows of its backup, which is newer than the manifest in the bucket. */
export async function knownCatalog(bucket: BackupBucket, known: Manifest): Promise<Catalog | DestinationFailure> {
  const named = known.generations.map(({ start }) => start);
  const listed = await bucket.generations(named.at(-1) ?? null);
  if (!listed.ok) return listed;
  const all = known.generations.flatMap((one) => describedGeneration(bucket, one));
  return { ok: true, ...divideLost(all), starts: [...named, ...listed.starts] };
}

/** Those that give something back, and those that do not any more. */
export function divideLost(all: readonly Generation[]): Pick<Catalog, "generations" | "lost"> {
  const isLost = ({ end, consistentFrom }: Generation): boolean => end !== null && end.heldUpTo < consistentFrom;
  const lost = all
    .filter(isLost)
    .map(({ consistentFrom, endCause }) => ({ consistentFrom, cause: endCause ?? "Nothing is known of its cause." }));
  return { generations: all.filter((one) => !isLost(one)), lost };
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

/** Nothing for one that is not readable: in a manifest that is a minute old, it may be so by now, and its end is not known. */
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
