/** How a backup is shown to its owner. */
import type {
  BackupGenerationInfo,
  BackupInfo,
  BackupStatus,
  BackupVerificationInfo,
} from "../core/backup-commands.ts";
import type { Configuration } from "./configuration.ts";
import { knownPrefix } from "./destinations/object-name.ts";
import { generationPrefix } from "./format/object-names.ts";
import { type Generation, lastPointOf } from "./generations.ts";
import { deletedAfter } from "./retention.ts";

export function backupInfo(
  configuration: Configuration,
  generations: readonly Generation[],
  backlog: { readonly bytes: number; readonly lagMs: number },
  verification: BackupVerificationInfo,
): BackupInfo {
  const { id, destination, intervalMs, retentionDays, createdAt, paused, error } = configuration;
  return {
    id,
    destination,
    intervalMs,
    retentionDays,
    createdAt,
    paused,
    status: statusOf(configuration),
    lagMs: backlog.lagMs,
    backlogBytes: backlog.bytes,
    lastObject: lastObjectOf(configuration, generations),
    lastError: error,
    verification,
    generations: generations.map((generation) => describe(generation, generations, configuration)),
  };
}

function statusOf({ failed, active }: Configuration): BackupStatus {
  if (failed !== null) return { code: "failed", message: failed };
  return { code: active ? "active" : "pending" };
}

function describe(
  generation: Generation,
  all: readonly Generation[],
  configuration: Configuration,
): BackupGenerationInfo {
  const { state, consistentFrom, log, snapshot, gap } = generation;
  const readable = state !== "snapshotting" && state !== "deleting";
  return {
    prefix: prefixOf(configuration, generation),
    state,
    after: readable ? consistentFrom : null,
    upTo: readable ? (lastPointOf(generation) ?? consistentFrom) : null,
    endedBecause: gap?.cause ?? null,
    objects: log.objects + snapshot.objects,
    bytes: log.bytes + snapshot.bytes,
    deletedAfter: deletedAfter(generation, all, configuration),
  };
}

function lastObjectOf(configuration: Configuration, generations: readonly Generation[]): BackupInfo["lastObject"] {
  let last: BackupInfo["lastObject"] = null;
  for (const generation of generations) {
    const { exportedAt, log } = generation;
    if (exportedAt === null || log.head === null || (last !== null && last.storedAt > exportedAt)) continue;
    last = { name: prefixOf(configuration, generation) + log.head.object, storedAt: exportedAt };
  }
  return last;
}

function prefixOf({ destination, databaseId }: Configuration, { start }: Generation): string {
  return knownPrefix(destination.prefix) + generationPrefix({ databaseId, start });
}
