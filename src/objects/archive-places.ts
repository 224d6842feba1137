/**
 * The places of archives, opened: a bucket of the tenant's, and the deployment's own place, which is a folder under `npm start` and the bound
 * R2 bucket elsewhere. What an organization has in the deployment's own place lies below the organization's id.
 */
import { waitUntil } from "cloudflare:workers";
import { NO_ROOM_FOR_DOWNLOAD, streamOf } from "../backup/archives/archive-downloads.ts";
import { OrphanedArchives } from "../backup/archives/orphaned-archives.ts";
import type { Destination } from "../backup/destinations/destination.ts";
import { parsePrefix } from "../backup/destinations/object-name.ts";
import { R2Destination } from "../backup/destinations/r2.ts";
import { S3Destination } from "../backup/destinations/s3.ts";
import { parseS3Settings } from "../backup/destinations/s3-settings.ts";
import type { ArchiveDestinationConfig, ArchiveStub, OwnArchivePlace } from "../contracts/archive-commands.ts";
import type { BackupCredentials } from "../contracts/backup-destinations.ts";
import { DOWNLOAD_MEMORY_BYTES, MAX_PROCESS_DOWNLOAD_BYTES } from "../core/archive-limits.ts";
import type { Clock } from "../core/clock.ts";
import { failure, type Failure, isFailure } from "../core/errors.ts";
import { ProcessMemory } from "../core/process-memory.ts";
import { openDestination, timingBy } from "./backup-wiring.ts";
import type { Env } from "./env.ts";
import { systemClock, systemTimers } from "./system.ts";

/** Of all downloads in this process. */
export const downloadMemory = new ProcessMemory(MAX_PROCESS_DOWNLOAD_BYTES, systemClock);

export function hasOwnPlace({ ARCHIVES, BACKUPS }: Pick<Env, "ARCHIVES" | "BACKUPS">): boolean {
  return ARCHIVES !== undefined || BACKUPS !== undefined;
}

/** What an organization has in the deployment's own place, of databases that were deleted. */
export function orphanedArchives(env: Env, organizationId: string): OrphanedArchives {
  return new OrphanedArchives((directory) =>
    hasOwnPlace(env) ? openArchivePlace({ type: "local", directory }, null, organizationId, systemClock, env) : null,
  );
}

/** Stands for the object of the deleted database. */
export function orphanedSource(env: Env, organizationId: string, size: number): Pick<ArchiveStub, "archiveRange"> {
  const archives = orphanedArchives(env, organizationId);
  return { archiveRange: (id, offset, length) => archives.range(id, size, { offset, length }) };
}

/** Bytes `first` to `last` of a file whose size is known. The organization has admitted the caller and found the file. */
export function orphanedArchiveBytes(
  env: Env,
  organizationId: string,
  { id, size }: { readonly id: string; readonly size: number },
  { first, last }: { readonly first: number; readonly last: number },
): ReadableStream<Uint8Array> | Failure {
  const named = orphanedArchives(env, organizationId).named(id, () => true);
  if (isFailure(named)) return named;
  const account = downloadMemory.account(organizationId);
  if (!account.hasRoom(DOWNLOAD_MEMORY_BYTES)) return NO_ROOM_FOR_DOWNLOAD;
  const object = { destination: named.place, object: named.parts.object, size };
  // A stream of a known length is sent with it, so that a client sees how far it is, and whether it has everything.
  const { readable, writable } = new FixedLengthStream(last - first + 1);
  // The reader of the other end gets the error.
  const sent = streamOf(object, first, last + 1, account, systemTimers)
    .pipeTo(writable)
    .catch(() => undefined);
  // Without that the runtime ends the request together with its client, and the memory would count for two minutes.
  waitUntil(sent);
  return readable;
}

export function openArchivePlace(
  config: ArchiveDestinationConfig,
  credentials: BackupCredentials | null,
  organizationId: string,
  clock: Clock,
  env: Env,
): Destination | Failure {
  const timing = timingBy(clock);
  if (config.type === "s3") {
    const { endpoint, bucket: bucketName, region: bucketRegion, accessKeyId, addressing, prefix } = config;
    const place = { kind: "s3", endpoint, bucketName, bucketRegion, accessKeyId, addressing, prefix } as const;
    return openDestination(place, credentials, env, timing);
  }
  const prefix = parsePrefix(`${organizationId}/${config.directory.replace(/^\/+/, "")}`);
  if (!prefix.ok) return prefix;
  if (config.type === "local" && env.ARCHIVES !== undefined) return openFolder(env.ARCHIVES, prefix.prefix, clock);
  if (env.BACKUPS !== undefined) return new R2Destination(env.BACKUPS, prefix.prefix, timing);
  return failure("unsupported", unsupported(config.type));
}

function unsupported(type: OwnArchivePlace["type"]): string {
  return type === "r2"
    ? "This deployment has no R2 bucket of its own: bind one as BACKUPS, or use a destination of type s3 or local."
    : "This deployment has no place of its own for archives: bind an R2 bucket as BACKUPS, or use a destination of type s3.";
}

/** The folder of `npm start` speaks S3 over a socket that only this server can open, so it needs no credentials. */
function openFolder(folder: Fetcher, prefix: string, clock: Clock): Destination | Failure {
  const parsed = parseS3Settings(
    {
      endpoint: "http://folder",
      bucket: "archives",
      region: "auto",
      accessKeyId: "none",
      secretAccessKey: "none",
      sessionToken: null,
      prefix,
      addressing: "path",
    },
    { strict: false },
  );
  if (!parsed.ok) return parsed;
  return new S3Destination(parsed.settings, folder.fetch.bind(folder), timingBy(clock));
}
