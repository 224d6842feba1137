/** What is checked before a backup is enabled: its settings, and what an earlier backup may have left at the destination. */
import type { UnixMs } from "../../core/clock.ts";
import { failure, type Failure, isFailure } from "../../core/errors.ts";
import { MAX_BACKUP_INTERVAL_MS, MAX_BACKUP_RETENTION_DAYS, MIN_BACKUP_INTERVAL_MS } from "../../core/limits.ts";
import { LAST_VERSION, type Version } from "../../core/versionstamp.ts";
import type { Configuration } from "./configuration.ts";
import type { Destination } from "../destinations/destination.ts";
import { encodeGenerationRecord } from "../format/generation-record.ts";
import type { ManifestGeneration } from "../format/manifest.ts";
import { type GenerationPlace, generationRecordName } from "../format/object-names.ts";
import { asFailure } from "../recovery/open-backup.ts";
import { BackupBucket, isDamage } from "../recovery/replay/backup-bucket.ts";
import { logObjectsAround } from "../recovery/replay/log-index.ts";

export function checkTimes({
  intervalMs,
  retentionDays,
}: Pick<Configuration, "intervalMs" | "retentionDays">): Failure | null {
  if (!(intervalMs >= MIN_BACKUP_INTERVAL_MS && intervalMs <= MAX_BACKUP_INTERVAL_MS)) {
    return failure("limit", `The interval must be ${MIN_BACKUP_INTERVAL_MS} to ${MAX_BACKUP_INTERVAL_MS} ms.`);
  }
  if (!(Number.isInteger(retentionDays) && retentionDays >= 1 && retentionDays <= MAX_BACKUP_RETENTION_DAYS)) {
    return failure("limit", `The retention must be 1 to ${MAX_BACKUP_RETENTION_DAYS} whole days.`);
  }
  return null;
}

/** A generation that an earlier backup of this database has left at the destination. */
export interface EarlierGeneration {
  readonly found: ManifestGeneration;
  /** The writer that the generation's record names. null: there is no record, or it was not read. */
  readonly claim: string | null;
  /** The last commit of a generation that was still written to. null: it had ended, or a newer one had taken over. */
  readonly openUpTo: Version | null;
}

export interface EarlierOptions {
  readonly destination: Destination;
  readonly databaseId: string;
  /** The names under which this database has written its generations before. */
  readonly claims: ReadonlyMap<Version, string>;
  /** The name of this process. */
  readonly writer: string;
  readonly now: UnixMs;
}

/**
 * The generations that an earlier backup of this database has left at the destination, the oldest first. They are taken over, so that a
 * copy of the database which still writes to them notices. Generations of other writers are left alone. A manifest that cannot be read
 * is a failure: it must not be overwritten.
 */
export async function earlierGenerations(options: EarlierOptions): Promise<readonly EarlierGeneration[] | Failure> {
  const { destination, databaseId } = options;
  const bucket = new BackupBucket(destination, databaseId);
  const read = await bucket.manifest();
  if (!read.ok && isDamage(read)) {
    const name = `${destination.prefix}${read.object}`;
    return failure("conflict", `There is an object ${name} that ${read.problem}: remove it, or choose another prefix.`);
  }
  if (!read.ok) return failure("invalid", read.message);
  const found = read.manifest?.generations ?? [];
  const own: EarlierGeneration[] = [];
  for (const line of new Set(found.map((one) => one.line))) {
    const generations = found.filter((one) => one.line === line);
    const taken = await takeOver(options, bucket, generations);
    if (isFailure(taken)) return taken;
    if (taken.isOwn) own.push(...taken.generations);
  }
  return own.toSorted((a, b) => a.found.start - b.found.start);
}

/** All generations of one history. At most the newest is still written to. */
async function takeOver(
  { destination, databaseId, claims, writer, now }: EarlierOptions,
  bucket: BackupBucket,
  generations: readonly ManifestGeneration[],
): Promise<{ readonly isOwn: boolean; readonly generations: readonly EarlierGeneration[] } | Failure> {
  const nobodys = { isOwn: false, generations: [] };
  const newest = generations.at(-1);
  if (newest === undefined) return nobodys;
  const place: GenerationPlace = { databaseId, start: newest.start };
  const read = await bucket.record(place);
  if (!read.ok && !isDamage(read)) return failure("invalid", read.message);
  const record = read.ok ? read.record : null;
  const known = claims.get(newest.start);
  // Before there were records, there was only one writer.
  const isOwn = record === null ? newest.line === null || known !== undefined : record.writer === known;
  if (!isOwn) return nobodys;
  const claim = (start: Version): string | null => claims.get(start) ?? null;
  const openUpTo = newest.state === "complete" ? await lastStored(bucket, newest) : null;
  if (openUpTo !== null && typeof openUpTo === "object") return openUpTo;
  if (read.ok && record !== null) {
    const bytes = encodeGenerationRecord(place, { ...record, writer, since: now });
    const put = await destination.putIfUnchanged(generationRecordName(place), bytes, read.etag);
    if (!put.ok) return put.class === "conflict" ? nobodys : failure("invalid", put.message);
  }
  return {
    isOwn,
    generations: generations.map((found) =>
      found === newest
        ? { found, claim: record === null ? claim(found.start) : writer, openUpTo }
        : { found, claim: claim(found.start), openUpTo: null },
    ),
  };
}

async function lastStored(
  bucket: BackupBucket,
  { start, lastPoint, consistentFrom }: ManifestGeneration,
): Promise<Version | Failure> {
  const end = await logObjectsAround(bucket, bucket.place(start), LAST_VERSION);
  if (!end.ok) return asFailure(end);
  return end.upTo.at(-1)?.last.version ?? lastPoint?.versionstamp ?? consistentFrom ?? start;
}
