/** Builds a database's backup from what its object provides: storage, environment, the real clock, timers and randomness. */
import { Backup } from "../backup/continuous/backup.ts";
import type { Destination } from "../backup/destinations/destination.ts";
import { R2Destination } from "../backup/destinations/r2.ts";
import { parsePrefix } from "../backup/destinations/object-name.ts";
import type { Timing } from "../backup/destinations/retry.ts";
import { S3Destination } from "../backup/destinations/s3.ts";
import { parseS3Settings } from "../backup/destinations/s3-settings.ts";
import { SecretBox } from "../backup/secrets.ts";
import type { DatabaseSource } from "../backup/sources.ts";
import type {
  BackupCredentials,
  BackupDestination,
  BoundBucketDestination,
  S3BackupDestination,
} from "../contracts/backup-destinations.ts";
import type { Clock, UnixMs } from "../core/clock.ts";
import { encryptionKeys } from "../core/encryption-keys.ts";
import { failure, type Failure, isFailure } from "../core/errors.ts";
import type { SyncStorage } from "../core/storage.ts";
import type { Env } from "./env.ts";
import { processName, systemEntropy, systemRandom, systemTimers } from "./system.ts";
import { wayOut } from "./way-out.ts";

export interface BackupParts {
  readonly storage: SyncStorage;
  readonly database: DatabaseSource;
  readonly clock: Clock;
  readonly env: Env;
  readonly dueBy: (at: UnixMs) => void;
}

export function databaseBackup({ storage, database, clock, env, dueBy }: BackupParts): Backup {
  const timing = timingBy(clock);
  return new Backup({
    storage,
    database,
    clock,
    timers: systemTimers,
    entropy: systemEntropy,
    writer: processName(),
    secrets: secretBox(env),
    openDestination: (destination, credentials) => openDestination(destination, credentials, env, timing),
    dueBy,
  });
}

export function timingBy(clock: Clock): Timing {
  return { clock, random: systemRandom, ...systemTimers };
}

export function secretBox({ CAIRN_ENCRYPTION_KEYS: text }: Pick<Env, "CAIRN_ENCRYPTION_KEYS">): SecretBox | Failure {
  const keys = text ? encryptionKeys(text) : failure("invalid", "it is not set.");
  if (!isFailure(keys)) return new SecretBox(keys, systemEntropy);
  return failure(
    "unsupported",
    `This deployment cannot keep the secrets of a destination: CAIRN_ENCRYPTION_KEYS, ${keys.message}`,
  );
}

export function openDestination(
  destination: BackupDestination,
  credentials: BackupCredentials | null,
  env: Env,
  timing: Timing,
): Destination | Failure {
  switch (destination.kind) {
    case "r2":
      return openR2(destination, env, timing);
    case "s3":
      return openS3(destination, credentials, env, timing);
  }
}

function openR2({ prefix: text }: BoundBucketDestination, env: Env, timing: Timing): Destination | Failure {
  const prefix = parsePrefix(text);
  if (!prefix.ok) return prefix;
  if (env.BACKUPS === undefined) return failure("unsupported", "This deployment has no R2 bucket for backups.");
  return new R2Destination(env.BACKUPS, prefix.prefix, timing);
}

function openS3(
  destination: S3BackupDestination,
  credentials: BackupCredentials | null,
  env: Env,
  timing: Timing,
): Destination | Failure {
  const { endpoint, bucketName: bucket, bucketRegion: region, accessKeyId, prefix, addressing = "path" } = destination;
  const { secretAccessKey, sessionToken } = credentials ?? { secretAccessKey: "", sessionToken: null };
  const parsed = parseS3Settings(
    { endpoint, bucket, region, accessKeyId, secretAccessKey, sessionToken, prefix, addressing },
    { strict: env.CAIRN_DESTINATIONS !== "any" },
  );
  if (!parsed.ok) return parsed;
  return new S3Destination(parsed.settings, wayOut(env.DESTINATIONS, env), timing);
}
