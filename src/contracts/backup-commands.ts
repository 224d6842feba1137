/**
 * What a database's object is asked about its continuous backup, and what it answers. Plain data, so that it can be sent between objects.
 * Doors map it to their own wire forms. Secrets are sent to the object and never come back.
 */
import type { UnixMs } from "../core/clock.ts";
import type { Failure } from "../core/errors.ts";
import type { BackupCredentials, BackupDestination, NewBackupDestination } from "./backup-destinations.ts";
import type { VerificationReport } from "./restore-commands.ts";
import type { Version } from "../core/versionstamp.ts";

export interface BackupTimes {
  /** Milliseconds. The log of a commit is sent at most this long after the commit. */
  readonly intervalMs: number;
  /** Every moment of the last so many days stays restorable. */
  readonly retentionDays: number;
}

export const DEFAULT_BACKUP_TIMES: BackupTimes = { intervalMs: 2_000, retentionDays: 30 };

export type BackupCommand =
  /**
   * Tries the destination (write, read back, list, delete), then starts the backup. Fails with "invalid" and what is wrong when the trial
   * fails, with "unavailable" when it may succeed later, with "conflict" when there is a backup. `id` is a UUID that the caller chooses
   * for the new backup.
   */
  | ({
      readonly command: "enable";
      readonly id: string;
      readonly databaseId: string;
      readonly destination: NewBackupDestination;
    } & BackupTimes)
  /**
   * Stops the backup and leaves its objects where they are. Fails with "conflict" while the backup is being set up: it is pending, not
   * paused, and its destination works.
   */
  | { readonly command: "disable" }
  | { readonly command: "status" }
  /** Nothing is sent until `resume`. What is committed meanwhile waits, up to the limit of the backlog. */
  | { readonly command: "pause" }
  | { readonly command: "resume" }
  /** New credentials for the same place. They are tried before they replace the old ones. */
  | ({ readonly command: "rotate" } & BackupCredentials)
  /** The setting ends with the backup. */
  | { readonly command: "verify every"; readonly hours: VerificationInterval };

/**
 * Hours between two verifications. "automatic": as often as costs little; a new backup begins with this. null: no verification unless it
 * is asked for.
 */
export type VerificationInterval = number | "automatic" | null;

/** null: the database has no backup. */
export type BackupAnswer = { readonly ok: true; readonly backup: BackupInfo | null } | Failure;

export type BackupStatus =
  /** The first snapshot is not whole yet. */
  | { readonly code: "pending" }
  | { readonly code: "active" }
  /** The backup was never set up, and never will be: delete it and make a new one. */
  | { readonly code: "failed"; readonly message: string };

export interface BackupInfo extends BackupTimes {
  readonly id: string;
  readonly destination: BackupDestination;
  readonly status: BackupStatus;
  readonly paused: boolean;
  readonly createdAt: UnixMs;
  /** For how long the oldest commit outside of the backup has been waiting, in milliseconds. */
  readonly lagMs: number;
  /** Bytes of log that wait to be sent. */
  readonly backlogBytes: number;
  readonly lastObject: { readonly name: string; readonly storedAt: UnixMs } | null;
  /** null when the last attempt succeeded and nothing wrong was found in the bucket. */
  readonly lastError: {
    readonly message: string;
    readonly since: UnixMs;
    readonly at: UnixMs;
    /** The problem has been repaired, and is shown until this time. null: it has not been repaired. */
    readonly shownUntil: UnixMs | null;
  } | null;
  readonly verification: BackupVerificationInfo;
  /** The oldest first. */
  readonly generations: readonly BackupGenerationInfo[];
}

export interface BackupVerificationInfo {
  /** null: it is verified only when that is asked for. */
  readonly everyHours: number | null;
  /** Nobody has set an interval: the backup is verified as often as costs little. */
  readonly automatic: boolean;
  readonly nextAt: UnixMs | null;
  /** The result of the last verification that ended, whether it was asked for or automatic. null: none has ended. */
  readonly last: {
    readonly good: boolean;
    readonly finishedAt: UnixMs;
    readonly error: string | null;
    /** The backup's object that is missing or damaged, when that is the reason. */
    readonly damagedObject: string | null;
    /** null when the verification could not be carried out. */
    readonly report: VerificationReport | null;
  } | null;
}

export interface BackupGenerationInfo {
  /** The prefix in the bucket, ending in "/": the value for `denokv pitr sync --s3-prefix`. */
  readonly prefix: string;
  /**
   * `retired`: a newer generation has taken over. `ended`: the generation has nothing later than `upTo`. `damaged`: what it held is not
   * there any more. `deleting`: it must not be used any more.
   */
  readonly state: "snapshotting" | "complete" | "retired" | "ended" | "damaged" | "deleting";
  /**
   * Whether the generation is written by another writer, which has a copy of this database. This database never writes to it and never
   * deletes it.
   */
  readonly foreign: boolean;
  /** The commits after this one can be restored. null while there is no whole snapshot. */
  readonly after: Version | null;
  /** The last commit in the generation. */
  readonly upTo: Version | null;
  /**
   * Why the generation has nothing later, when the commits after `upTo` are in no generation or belong to another state of the database.
   */
  readonly endedBecause: string | null;
  readonly objects: number;
  readonly bytes: number;
  /** When the generation will be deleted, if that is known. Standbys that follow it have to move to a newer one before that. */
  readonly deletedAfter: UnixMs | null;
}

/** What is left to do for a database that is being deleted with its backup. */
export interface BackupDeletionOrder {
  readonly databaseId: string;
  /** The id of the backup. */
  readonly id: string;
  readonly destination: BackupDestination;
  /** The sealed secret. null for a destination that needs none. */
  readonly secret: string | null;
  /** About how many objects the backup has. */
  readonly objects: number;
  /** Until then an object may still arrive that was on its way when the database was deleted. */
  readonly arrivalsUntil: UnixMs;
  /**
   * The generations that this database has written, as far as it knows. An order of an earlier version does not have this: then all
   * generations are deleted.
   */
  readonly own?: readonly OwnGeneration[];
}

export interface OwnGeneration {
  readonly start: Version;
  /** The names under which this database has written to the generation. */
  readonly writers: readonly string[];
  /**
   * The last commit that was sent to the generation's log. null: the log has nothing from this database, or is not written to any more.
   */
  readonly sentUpTo: Version | null;
}

/** The object that carries out the deletion. */
export interface DeletionStub {
  /** From now on the object deletes this backup. Asking again changes nothing. "conflict" in an object that holds anything else. */
  deleteBackup(order: BackupDeletionOrder): Promise<{ readonly ok: true } | Failure>;
}
