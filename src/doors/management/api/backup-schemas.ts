/** The requests and answers of /api about backups and going back in time, as schemas. */
import { z } from "zod";
import { DEFAULT_BACKUP_TIMES, type BackupInfo } from "../../../contracts/backup-commands.ts";
import type {
  BackupCredentials,
  BackupDestination,
  NewBackupDestination,
} from "../../../contracts/backup-destinations.ts";
import {
  MAX_BACKUP_INTERVAL_MS,
  MAX_BACKUP_RETENTION_DAYS,
  MAX_RESTORE_POINTS,
  MAX_VERIFICATION_INTERVAL_HOURS,
  MIN_BACKUP_INTERVAL_MS,
} from "../../../core/limits.ts";
import { unreachable } from "../../../core/assert.ts";
import { asSentence } from "../../../core/errors.ts";
import type { Output } from "../../../contracts/management.ts";
import type { RestorePointInfo } from "../../../contracts/restore-commands.ts";
import { versionstampHex, type Version } from "../../../core/versionstamp.ts";
import {
  database,
  job,
  nameOrEmpty,
  restorableRange,
  restorePoint,
  time,
  verification,
  wholeNumber,
} from "./schemas.ts";
import {
  restorableRangeJson,
  restorePointJson,
  sentenceOrNull,
  timeText,
  timeTextOrNull,
  verificationJson,
} from "../../http/job-json.ts";
import { shownStatus } from "../sentences.ts";
import { changes, changesJson, keysInQuery, prefix as keyPrefix, prefixInQuery } from "./notation-schemas.ts";
import { saying } from "./checked.ts";

const versionstamp = z.string().meta({ description: "20 hexadecimal digits." });
const filled = z.string().min(1);
const moment = saying(
  z.string().min(1).meta({
    description:
      'A time as in RFC 3339, a versionstamp, how long ago ("-5m", "-1h30m", "-2d"), or "latest". It must be over, and is rounded down to a commit.',
  }),
  {
    what: 'a time as in RFC 3339, a versionstamp, how long ago as in "-5m", or "latest"',
    example: "2026-11-22T14:03:07Z",
  },
);
const momentOrLatest = moment.default("latest");

const place = {
  kind: z.literal("s3"),
  endpoint: saying(
    z.string().min(1).meta({
      description:
        "A URL without the bucket. It must begin with https, unless the deployment accepts other addresses too.",
    }),
    { what: "a URL without the bucket", example: "https://s3.eu-central-1.amazonaws.com" },
  ),
  bucketName: filled,
  bucketRegion: saying(z.string().min(1), { example: "eu-central-1" }),
  accessKeyId: filled,
};
const addressing = z.enum(["path", "virtual-host"]).meta({
  description:
    "Where requests name the bucket: in the path of the endpoint, or before the endpoint's name (bucket.endpoint), which some stores insist on.",
});
const sessionToken = filled.optional().meta({
  description:
    "Comes with credentials that expire, for example those of AWS STS. Enter new credentials before they expire.",
});
const prefix = z.string().meta({ description: "The path below which all objects are put." });

const newDestination = z
  .discriminatedUnion("kind", [
    z.strictObject({
      ...place,
      secretAccessKey: filled,
      sessionToken,
      addressing: addressing.default("path"),
      prefix: prefix.default(""),
    }),
    z.strictObject({ kind: z.literal("r2"), prefix: prefix.default("") }),
  ])
  .meta({ id: "NewDestination", description: "An S3 bucket, or the R2 bucket that the deployment has for backups." });
saying(newDestination, { what: 'an object whose kind is "s3" or "r2"' });

export const newBackup = z.strictObject({
  destination: newDestination,
  intervalMs: z
    .int()
    .min(MIN_BACKUP_INTERVAL_MS)
    .max(MAX_BACKUP_INTERVAL_MS)
    .default(DEFAULT_BACKUP_TIMES.intervalMs)
    .meta({ description: "Milliseconds. A commit is sent at most this long after it was made." }),
  retentionDays: z
    .int()
    .min(1)
    .max(MAX_BACKUP_RETENTION_DAYS)
    .default(DEFAULT_BACKUP_TIMES.retentionDays)
    .meta({ description: "Every moment of the last so many days can be restored." }),
});

export const newCredentials = z.strictObject({
  accessKeyId: filled,
  secretAccessKey: filled,
  sessionToken,
});

export const verificationInterval = z.strictObject({
  hours: z
    .union([z.number(), z.literal("automatic"), z.null()], {
      error: `must be a number of hours, "automatic", or null for never`,
    })
    .meta({
      description: `1 to ${MAX_VERIFICATION_INTERVAL_HOURS} hours; "automatic": as often as costs little; null: never by itself.`,
    }),
});

export const pointsQuery = z.strictObject({
  at: momentOrLatest,
  direction: z.enum(["before", "after"]).default("before"),
  limit: wholeNumber(1, MAX_RESTORE_POINTS, 20),
  keys: keysInQuery,
  prefix: prefixInQuery,
});

export const newRestore = z.strictObject({
  at: moment,
  prefix: keyPrefix,
  confirm: z
    .literal(true, { error: "must be true, because what was written since that moment is undone" })
    .meta({ description: "Confirms that everything written since that moment is undone." }),
});

const generationName = z
  .string()
  .regex(/^[0-9a-f]{16}$/, {
    error: "must be the name of a generation's folder: 16 hexadecimal digits, for example 0006444c9be62a40",
  })
  .nullable()
  .default(null)
  .meta({
    description:
      "The generation that the state is taken from, by the 16 digits of its folder. It may belong to a copy of the database that has continued by itself. null: the generation that holds the moment.",
  });

export const newFork = z.strictObject({
  at: momentOrLatest,
  generation: generationName,
  prefix: keyPrefix,
  name: nameOrEmpty.default(""),
});

export const newRestoreFromBucket = z.strictObject({
  destination: newDestination,
  databaseId: z.uuid().meta({ description: "The database whose backup it is." }),
  at: momentOrLatest,
  generation: generationName,
  prefix: keyPrefix,
  name: nameOrEmpty.default(""),
});

export const backup = z
  .object({
    id: z.uuid(),
    destination: z.discriminatedUnion("kind", [
      z.object({ ...place, addressing, prefix }),
      z.object({ kind: z.literal("r2"), prefix }),
    ]),
    intervalMs: z.number(),
    retentionDays: z.number(),
    status: z.object({
      code: z.enum(["pending", "active", "failed"]),
      message: z.string().optional().meta({ description: "Why the backup failed." }),
    }),
    paused: z.boolean(),
    createdAt: time,
    lagMs: z
      .number()
      .meta({ description: "Milliseconds for which the oldest commit outside of the backup has been waiting." }),
    backlogBytes: z.number(),
    lastObject: z.object({ name: z.string(), storedAt: time }).nullable(),
    lastError: z.object({ message: z.string(), since: time, at: time }).nullable().meta({
      description:
        "null when the last attempt succeeded. A problem in the bucket that was repaired is shown for an hour.",
    }),
    verification: z.object({
      everyHours: z.number().nullable().meta({ description: "null: never by itself." }),
      automatic: z
        .boolean()
        .meta({ description: "Nobody has set an interval: the backup is verified as often as costs little." }),
      nextAt: time.nullable(),
      last: z
        .object({
          good: z.boolean(),
          finishedAt: time,
          error: z.string().nullable(),
          damagedObject: z.string().nullable(),
          report: verification.nullable(),
        })
        .nullable()
        .meta({ description: "The result of the last verification that ended; null: none has ended." }),
    }),
    generations: z.array(
      z.object({
        prefix: z.string(),
        state: z.enum(["snapshotting", "complete", "retired", "ended", "damaged", "deleting"]).meta({
          description:
            "snapshotting: it cannot be read yet. complete: new commits go into it. retired: a newer one has taken over. ended: commits between `after` and `upTo` can be restored, later ones cannot. damaged: what it held is gone from the bucket. deleting: it must not be used any more.",
        }),
        foreign: z.boolean().meta({
          description:
            "Another writer with a copy of this database writes this generation. This database never writes to it and never deletes it.",
        }),
        after: versionstamp.nullable().meta({ description: "The commits after this one can be restored." }),
        upTo: versionstamp.nullable().meta({ description: "The last commit in the generation." }),
        endedBecause: z.string().nullable().meta({ description: "Why the generation has nothing after `upTo`." }),
        objects: z.number(),
        bytes: z.number(),
        deletedAfter: time.nullable(),
      }),
    ),
  })
  .meta({ id: "Backup" });

export const range = z.object({ range: restorableRange });

const listedPoint = restorePoint.extend({
  clock: time.optional().meta({
    description:
      "What the server's clock showed when the commit was made, or a little earlier, if the clock had been set back. Then `time`, which is that of the versionstamp, is ahead of the clock.",
  }),
  changes,
});

export const points = z.object({
  items: z.array(listedPoint),
  next: versionstamp.optional().meta({ description: "The `at` of the next page; left out at the end." }),
});

export const filling = z.object({ database, job });

export function destinationOf(given: z.output<typeof newDestination>): NewBackupDestination {
  switch (given.kind) {
    case "r2":
      return given;
    case "s3":
      return { ...given, sessionToken: given.sessionToken ?? null };
  }
}

function destinationJson(destination: BackupDestination) {
  switch (destination.kind) {
    case "r2":
      return destination;
    case "s3":
      return { addressing: "path", ...destination };
    default:
      return unreachable(destination);
  }
}

export function credentialsOf(given: z.output<typeof newCredentials>): BackupCredentials {
  return { ...given, sessionToken: given.sessionToken ?? null };
}

export function pointJson({ clock, changes: changed, ...point }: RestorePointInfo) {
  return {
    ...restorePointJson(point),
    ...(clock === null ? {} : { clock: timeText(clock) }),
    ...(changed === null ? {} : { changes: changesJson(changed) }),
  };
}

export function rangeJson({ range: found }: Output<"backups.range">) {
  return { range: restorableRangeJson(found) };
}

export function backupJson(backupInfo: BackupInfo) {
  const { createdAt, lastObject, lastError, verification: verified, generations, ...info } = backupInfo;
  return {
    ...info,
    destination: destinationJson(info.destination),
    status: shownStatus(info.status),
    createdAt: timeText(createdAt),
    lastObject: lastObject === null ? null : { ...lastObject, storedAt: timeText(lastObject.storedAt) },
    lastError:
      lastError === null
        ? null
        : { message: asSentence(lastError.message), since: timeText(lastError.since), at: timeText(lastError.at) },
    verification: {
      ...verified,
      nextAt: timeTextOrNull(verified.nextAt),
      last: verified.last === null ? null : lastVerificationJson(verified.last),
    },
    generations: generations.map(({ after, upTo, deletedAfter, endedBecause, ...generation }) => ({
      ...generation,
      endedBecause: sentenceOrNull(endedBecause),
      after: hex(after),
      upTo: hex(upTo),
      deletedAfter: timeTextOrNull(deletedAfter),
    })),
  };
}

function lastVerificationJson({ finishedAt, report, error, ...last }: NonNullable<BackupInfo["verification"]["last"]>) {
  return {
    ...last,
    error: sentenceOrNull(error),
    finishedAt: timeText(finishedAt),
    report: report === null ? null : verificationJson(report),
  };
}

function hex(version: Version | null): string | null {
  return version === null ? null : versionstampHex(version);
}
