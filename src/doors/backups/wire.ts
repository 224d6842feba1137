/** Archives, schedules and destinations as JSON. Times are as in RFC 3339. */
import type {
  ArchiveDestinationInfo,
  ArchiveInfo,
  ArchiveScheduleInfo,
  FailureNotice,
} from "../../contracts/archive-commands.ts";
import type { ScheduleAndSecret } from "../../contracts/management.ts";
import { sentenceOrNull, timeText, timeTextOrNull } from "../http/job-json.ts";

export function archiveJson({ destinations, createdAt, completedAt, error, ...archive }: ArchiveInfo) {
  return {
    ...archive,
    destinations: destinations.map(({ destinationId: id, error: why, ...place }) => ({
      id,
      ...place,
      error: sentenceOrNull(why),
    })),
    createdAt: timeText(createdAt),
    completedAt: timeTextOrNull(completedAt),
    error: sentenceOrNull(error),
  };
}

export function scheduleJson({ schedule, secret }: ScheduleAndSecret) {
  const { retentionDays, notifyOnFailure, nextRuns, lastRun, updatedAt, ...setting } = schedule;
  return {
    ...setting,
    retention: retentionDays,
    notifyOnFailure: noticeJson(notifyOnFailure),
    nextRuns: nextRuns.map(timeText),
    lastRun: lastRun === null ? null : lastRunJson(lastRun),
    updatedAt: timeTextOrNull(updatedAt),
    ...(secret === null ? {} : { notifySecret: secret }),
  };
}

function lastRunJson({ at, archiveId, status, error }: NonNullable<ArchiveScheduleInfo["lastRun"]>) {
  return { at: timeText(at), archiveId, status, error: sentenceOrNull(error) };
}

function noticeJson(notice: FailureNotice): boolean | string {
  if (notice === null) return false;
  return notice === "webhooks" ? true : notice.url;
}

export function destinationJson({ config, lastResult, createdAt, updatedAt, ...destination }: ArchiveDestinationInfo) {
  const { type, ...place } = config;
  const { maxBackups } = destination;
  return {
    ...destination,
    type,
    config: type === "s3" ? place : { ...place, maxBackups },
    lastResult: lastResult === null ? null : { at: timeText(lastResult.at), error: sentenceOrNull(lastResult.error) },
    createdAt: timeText(createdAt),
    updatedAt: timeText(updatedAt),
  };
}
