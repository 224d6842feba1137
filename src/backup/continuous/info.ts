/** How a backup is shown to its owner. */
import type {
  BackupGenerationInfo,
  BackupInfo,
  BackupStatus,
  BackupVerificationInfo,
} from "../../contracts/backup-commands.ts";
import { asUnixMs, type UnixMs } from "../../core/clock.ts";
import { timeOfVersion } from "../../core/versionstamp.ts";
import type { Configuration } from "./configuration.ts";
import { knownPrefix } from "../destinations/object-name.ts";
import { generationPrefix } from "../format/object-names.ts";
import { type Generation, lastPointOf } from "./generation-row.ts";
import { deletedAfter } from "./retention.ts";

export function backupInfo(
  configuration: Configuration,
  generations: readonly Generation[],
  backlog: { readonly bytes: number; readonly lagMs: number },
  verification: BackupVerificationInfo,
  now: UnixMs,
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
    lagMs: Math.max(backlog.lagMs, unheldMs(generations, now)),
    backlogBytes: backlog.bytes,
    lastObject: lastObjectOf(configuration, generations),
    lastError: error === null ? noticeOf(configuration, now) : { ...error, shownUntil: null },
    verification,
    generations: generations.map((generation) => describe(generation, generations, configuration)),
  };
}

/** For how long a generation has been lost or left without a later generation that can restore what came after it. */
function unheldMs(generations: readonly Generation[], now: UnixMs): number {
  const since = generations.flatMap(({ gap }) => (gap === null || gap.upTo !== null ? [] : [timeOfVersion(gap.after)]));
  return Math.max(0, now - Math.min(now, ...since));
}

/** How long a repaired problem is still shown: nobody looks all the time. */
const NOTICE_SHOWN_MS = 60 * 60 * 1000;

function noticeOf({ notice }: Configuration, now: UnixMs): BackupInfo["lastError"] {
  if (notice === null) return null;
  const { message, since, over } = notice;
  const shownUntil = over ? asUnixMs(since + NOTICE_SHOWN_MS) : null;
  if (shownUntil !== null && now >= shownUntil) return null;
  return { message, since, at: since, shownUntil };
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
  const { state, consistentFrom, log, snapshot, gap, owned } = generation;
  const readable = state !== "snapshotting" && state !== "deleting" && state !== "damaged";
  return {
    prefix: prefixOf(configuration, generation),
    state,
    foreign: !owned,
    after: readable ? consistentFrom : null,
    upTo: readable ? (lastPointOf(generation) ?? consistentFrom) : null,
    endedBecause: gap?.cause ?? null,
    objects: log.objects + snapshot.objects,
    bytes: log.bytes + snapshot.bytes,
    deletedAfter: owned ? deletedAfter(generation, all, configuration) : null,
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
