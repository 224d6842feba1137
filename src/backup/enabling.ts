/** What is looked at before a backup is enabled: its settings, and what an earlier one may have left at the destination. */
import type { BackupCredentials, BackupDestination, NewBackupDestination } from "../core/backup-commands.ts";
import { failure, type Failure } from "../core/errors.ts";
import { MAX_BACKUP_INTERVAL_MS, MAX_BACKUP_RETENTION_DAYS, MIN_BACKUP_INTERVAL_MS } from "../core/limits.ts";
import type { Configuration } from "./configuration.ts";
import type { Destination } from "./destinations/destination.ts";
import { type Manifest, parseManifest } from "./format/manifest.ts";
import { manifestName } from "./format/object-names.ts";

/** What is stored in the clear, and what is sealed. */
export function divide(given: NewBackupDestination): {
  readonly destination: BackupDestination;
  readonly credentials: BackupCredentials | null;
} {
  if (given.kind === "r2") return { destination: given, credentials: null };
  const { secretAccessKey, sessionToken, ...destination } = given;
  return { destination, credentials: { accessKeyId: given.accessKeyId, secretAccessKey, sessionToken } };
}

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
  const got = await destination.get(manifestName(databaseId));
  if (!got.ok) return got.class === "not-found" ? { manifest: null } : failure("invalid", got.message);
  const parsed = parseManifest(databaseId, got.bytes);
  if (parsed.ok) return parsed;
  const name = `${destination.prefix}${parsed.object}`;
  return failure("conflict", `There is an object ${name} that ${parsed.problem}: remove it, or choose another prefix.`);
}
