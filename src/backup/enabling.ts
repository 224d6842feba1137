/** What is looked at before a backup is enabled: its settings, and what an earlier one may have left at the destination. */
import { failure, type Failure } from "../core/errors.ts";
import { MAX_BACKUP_INTERVAL_MS, MAX_BACKUP_RETENTION_DAYS, MIN_BACKUP_INTERVAL_MS } from "../core/limits.ts";
import type { Configuration } from "./configuration.ts";
import type { Destination } from "./destinations/destination.ts";
import type { Manifest } from "./format/manifest.ts";
import { BackupBucket, isDamage } from "./replay/backup-bucket.ts";

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

/** What an earlier backup of this database left behind at the destination; a manifest that cannot be read is not written over. */
export async function earlierManifest(
  destination: Destination,
  databaseId: string,
): Promise<{ readonly manifest: Manifest | null } | Failure> {
  const read = await new BackupBucket(destination, databaseId).manifest();
  if (read.ok) return read;
  if (!isDamage(read)) return failure("invalid", read.message);
  const name = `${destination.prefix}${read.object}`;
  return failure("conflict", `There is an object ${name} that ${read.problem}: remove it, or choose another prefix.`);
}
