/**
 * What a database's object is asked about archives, their destinations and their schedule, and what it answers. Plain data, so that it can
 * be sent between objects. Doors map it to their wire forms. Secrets are sent to the object and never come back.
 *
 * An archive is one file that holds a whole database as of one versionstamp. It lies at one or more destinations.
 */
import type { BackupCredentials, S3Addressing } from "./backup-destinations.ts";
import type { Jurisdiction } from "./placement.ts";
import type { BackupJob } from "./restore-commands.ts";
import type { UnixMs } from "../core/clock.ts";
import type { Failure } from "../core/errors.ts";
import type { Version } from "../core/versionstamp.ts";

/** `database`: all entries. `full`: also the schedule, the destinations and the tokens, all without their secrets. */
export const ARCHIVE_TYPES = ["full", "database"] as const;
export type ArchiveType = (typeof ARCHIVE_TYPES)[number];

export const ARCHIVE_STATUSES = ["pending", "running", "completed", "failed"] as const;
export type ArchiveStatus = (typeof ARCHIVE_STATUSES)[number];

/** Who wanted the archive. `safety`: a restore in place took it before it changed anything. */
export const ARCHIVE_ORIGINS = ["request", "schedule", "upload", "safety"] as const;
export type ArchiveOrigin = (typeof ARCHIVE_ORIGINS)[number];

/** `local`: the deployment's own place: a folder under `npm start`, the bound R2 bucket on Cloudflare. */
export const ARCHIVE_DESTINATION_TYPES = ["s3", "r2", "local"] as const;
export type ArchiveDestinationType = (typeof ARCHIVE_DESTINATION_TYPES)[number];

/** One destination of an archive, and whether the archive lies there. */
export interface ArchivePlace {
  readonly destinationId: string;
  /** The destination's name when the archive was sent there. */
  readonly name: string;
  readonly type: ArchiveDestinationType;
  readonly status: "pending" | "stored" | "failed";
  /** The object's name in the bucket or folder, with the destination's prefix. */
  readonly object: string;
  /** Why the archive is not there. */
  readonly error: string | null;
}

export interface ArchiveInfo {
  /** A decimal number that grows with each archive of the database. */
  readonly id: string;
  readonly type: ArchiveType;
  readonly status: ArchiveStatus;
  readonly origin: ArchiveOrigin;
  readonly description: string;
  /** Per cent, a whole number from 0 to 100. */
  readonly progress: number;
  /** Bytes of keys and values that were archived, and how many there are, about. `total` 0: not known yet. */
  readonly done: number;
  readonly total: number;
  /** Bytes per second. null while it is unknown. */
  readonly rate: number | null;
  /** Bytes of the file. null until it is whole. */
  readonly size: number | null;
  /** The SHA-256 of the file, 64 hex digits. null until it is whole. */
  readonly checksum: string | null;
  readonly encrypted: boolean;
  readonly destinations: readonly ArchivePlace[];
  /** The database whose state it holds: an uploaded archive may be of another one. */
  readonly databaseId: string;
  /** The last commit in it, 20 hex digits. null: not known yet. */
  readonly versionstamp: string | null;
  /** The job that makes it. null: no job makes it, or the job is over a week old. */
  readonly jobId: string | null;
  readonly createdAt: UnixMs;
  readonly completedAt: UnixMs | null;
  readonly error: string | null;
}

/** The members of an archive that a list can be sorted by. `destinations`: by how many have the archive. */
export const ARCHIVE_SORTS = [
  "id",
  "createdAt",
  "completedAt",
  "size",
  "type",
  "status",
  "description",
  "origin",
  "progress",
  "checksum",
  "encrypted",
  "destinations",
  "databaseId",
  "versionstamp",
  "error",
] as const;
export type ArchiveSort = (typeof ARCHIVE_SORTS)[number];

export interface ArchiveListQuery {
  /** The most significant first. */
  readonly sort: readonly { readonly by: ArchiveSort; readonly descending: boolean }[];
  /** From 1. */
  readonly page: number;
  readonly pageSize: number;
  /** Only archives with these values. */
  readonly filter: Readonly<Partial<Pick<ArchiveInfo, "type" | "status" | "origin">>>;
}

/** The members that every destination has. */
interface DestinationSetting {
  readonly name: string;
  /** Archives are sent only to enabled destinations. */
  readonly enabled: boolean;
  /** At most so many archives of schedules are kept there. null: as many as the schedule keeps. */
  readonly maxBackups: number | null;
}

export interface S3ArchivePlace {
  readonly type: "s3";
  readonly endpoint: string;
  readonly bucket: string;
  readonly region: string;
  readonly addressing: S3Addressing;
  /** Empty, or the path below which all archives are put. */
  readonly prefix: string;
  readonly accessKeyId: string;
}

/** In the deployment's own bucket or folder. */
export interface OwnArchivePlace {
  readonly type: "r2" | "local";
  /** Empty, or the path below which all archives are put, inside of what the organization has there. */
  readonly directory: string;
}

export type ArchiveDestinationConfig = S3ArchivePlace | OwnArchivePlace;

export type NewArchiveDestinationConfig = (Omit<S3ArchivePlace, "accessKeyId"> & BackupCredentials) | OwnArchivePlace;

export interface ArchiveDestinationInfo extends DestinationSetting {
  /** A decimal number that grows with each destination of the database. Those of before have a UUID. */
  readonly id: string;
  readonly config: ArchiveDestinationConfig;
  /** How the last archive, trial or deletion went there. null: there was none. */
  readonly lastResult: { readonly at: UnixMs; readonly error: string | null } | null;
  readonly createdAt: UnixMs;
  readonly updatedAt: UnixMs;
}

export interface NewArchiveDestination extends DestinationSetting {
  readonly config: NewArchiveDestinationConfig;
}

/** null: nobody is told. "webhooks": the webhooks of the organization. */
export type FailureNotice = "webhooks" | { readonly url: string } | null;

export interface ArchiveScheduleSetting {
  readonly enabled: boolean;
  /** Five fields, as in crontab. */
  readonly cron: string;
  /** An IANA name. */
  readonly timezone: string;
  readonly type: ArchiveType;
  /** Days after which an archive of the schedule is deleted. null: never. */
  readonly retentionDays: number | null;
  /** How many archives of the schedule are kept. null: all. */
  readonly maxBackups: number | null;
  readonly notifyOnFailure: FailureNotice;
}

/** What holds while nobody has set anything. */
export const DEFAULT_ARCHIVE_SCHEDULE: ArchiveScheduleSetting = {
  enabled: false,
  cron: "0 3 * * *",
  timezone: "UTC",
  type: "full",
  retentionDays: 30,
  maxBackups: null,
  notifyOnFailure: null,
};

export interface ArchiveScheduleInfo extends ArchiveScheduleSetting {
  /** The next three runs, or what they would be while the schedule is not enabled. */
  readonly nextRuns: readonly UnixMs[];
  /** When the schedule last began an archive, and how that ended. null: it has begun none. */
  readonly lastRun: {
    readonly at: UnixMs;
    /** null: no archive could be begun. */
    readonly archiveId: string | null;
    readonly status: ArchiveStatus;
    readonly error: string | null;
  } | null;
  /** null: the schedule was never set. */
  readonly updatedAt: UnixMs | null;
}

export type ArchiveCommand =
  /** The caller chooses the job's id. Fails with "conflict" while another job runs. */
  | {
      readonly command: "create";
      readonly jobId: string;
      readonly type: ArchiveType;
      readonly description: string;
    }
  | ({ readonly command: "list" } & ArchiveListQuery)
  | { readonly command: "get"; readonly id: string }
  /** Ends the job that makes the archive. What was stored of it is removed. "conflict" when it has ended. */
  | { readonly command: "cancel"; readonly id: string }
  /** Removes the archive here and at every destination. "conflict" while it is made or read by a job. */
  | { readonly command: "destroy"; readonly id: string }
  /** Reads the archive whole, at every destination where it lies, and changes nothing. The answer is a job. */
  | { readonly command: "verify"; readonly jobId: string; readonly id: string }
  /** Replaces the whole database. The caller has asked for confirmation. The answer is a job. */
  | { readonly command: "restore"; readonly jobId: string; readonly id: string; readonly safetyArchive: boolean }
  | { readonly command: "schedule" }
  /** Members that are left out stay as they are. */
  | { readonly command: "set schedule"; readonly changes: Partial<ArchiveScheduleSetting> }
  | { readonly command: "destinations" }
  | { readonly command: "destination"; readonly id: string }
  /** The place is tried first: fails as "enable" of a backup does. */
  | { readonly command: "add destination"; readonly destination: NewArchiveDestination }
  /** Members that are left out stay as they are. A changed place is tried first. */
  | {
      readonly command: "change destination";
      readonly id: string;
      readonly changes: Partial<NewArchiveDestination>;
    }
  /** Archives that lie there stay there. */
  | { readonly command: "remove destination"; readonly id: string }
  /** Writes, reads, lists and deletes a small object there. */
  | { readonly command: "test destination"; readonly id: string };

export type ArchiveAnswer =
  | { readonly ok: true; readonly kind: "archive"; readonly archive: ArchiveInfo }
  | {
      readonly ok: true;
      readonly kind: "archives";
      readonly archives: readonly ArchiveInfo[];
      /** How many there are on all pages. */
      readonly count: number;
    }
  | { readonly ok: true; readonly kind: "job"; readonly job: BackupJob }
  | {
      readonly ok: true;
      readonly kind: "schedule";
      readonly schedule: ArchiveScheduleInfo;
      /** The secret that signs what the schedule's own URL is told: shown once, when the URL was set. */
      readonly secret: string | null;
    }
  | { readonly ok: true; readonly kind: "destinations"; readonly destinations: readonly ArchiveDestinationInfo[] }
  | { readonly ok: true; readonly kind: "destination"; readonly destination: ArchiveDestinationInfo }
  | { readonly ok: true; readonly kind: "done" }
  | Failure;

/** What an object restores that was made and never written to. It asks the object of the database that has the archive for the bytes. */
export interface ArchiveForkOrder {
  readonly jobId: string;
  /** The database that has the archive, or had it. */
  readonly databaseId: string;
  /**
   * The database was deleted, and the file lies in the deployment's own place: the archive's id is that of `OrphanedArchive`. Nobody knows
   * any more what the file's checksum was.
   */
  readonly isOrphaned?: true;
  readonly jurisdiction: Jurisdiction | null;
  readonly archiveId: string;
  /** Bytes of the file, and its SHA-256 in 64 hex digits; null: unknown. */
  readonly size: number;
  readonly checksum: string | null;
  /** Bytes of keys and values. 0: unknown. */
  readonly bytes: number;
  /** null: unknown. */
  readonly version: Version | null;
}

/** What one database's object asks of another for archives. */
export interface ArchiveStub {
  /** "conflict" for a database that is not empty. The same order again gets the same answer. */
  receiveArchive(order: ArchiveForkOrder): Promise<{ readonly ok: true; readonly job: BackupJob } | Failure>;
  /** Bytes of the file from `offset` on: at most `MAX_ARCHIVE_RANGE_BYTES`, fewer at the end. */
  archiveRange(id: string, offset: number, length: number): Promise<Uint8Array | Failure>;
}
