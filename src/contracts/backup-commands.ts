/**
 * What a database's object is asked about its continuous backup and what it answers: plain data, so that it crosses between
 * objects as it is. Doors map it to their own wire forms; secrets go in and never come back out.
 */
import type { UnixMs } from "../core/clock.ts";
import type { Failure } from "../core/errors.ts";
import type { BackupCredentials, BackupDestination, NewBackupDestination } from "./backup-destinations.ts";
import type { VerificationReport } from "./restore-commands.ts";
import type { Version } from "../core/versionstamp.ts";

export interface BackupTimes {
  /** At most this long after a commit its log is sent, in milliseconds. */
  readonly intervalMs: number;
  /** Every moment of this many days back stays restorable. */
  readonly retentionDays: number;
}

export const DEFAULT_BACKUP_TIMES: BackupTimes = { intervalMs: 2_000, retentionDays: 30 };

export type BackupCommand =
  /**
   * Probes the destination (write, read back, list, delete), then starts. "invalid" with what is wrong when the probe fails;
   * "unavailable" when it may work later; "conflict" when there is a backup. `id` is the new backup's, a UUID of the caller's.
   */
  | ({
      readonly command: "enable";
      readonly id: string;
      readonly databaseId: string;
      readonly destination: NewBackupDestination;
    } & BackupTimes)
  /**
   * Stops it and leaves its objects where they are. "conflict" while it is being set up: it is pending and getting on, neither
   * paused nor held up by its destination.
   */
  | { readonly command: "disable" }
  | { readonly command: "status" }
  /** Nothing is sent until `resume`; what is committed meanwhile waits, up to the bound of the backlog. */
  | { readonly command: "pause" }
  | { readonly command: "resume" }
  /** New credentials for the same place, probed before they replace the old ones. */
  | ({ readonly command: "rotate" } & BackupCredentials)
  /** Ends with the backup. */
  | { readonly command: "verify every"; readonly hours: VerificationInterval };

/** So many hours after each other; as often as it costs little, which is what a new backup begins with; or never by itself. */
export type VerificationInterval = number | "automatic" | null;

/** null: the database has no backup. */
export type BackupAnswer = { readonly ok: true; readonly backup: BackupInfo | null } | Failure;

export type BackupStatus =
  /** The first snapshot is not whole yet. */
  | { readonly code: "pending" }
  | { readonly code: "active" }
  /** It was never set up and never will be: delete it and make a new one. */
  | { readonly code: "failed"; readonly message: string };

export interface BackupInfo extends BackupTimes {
  readonly id: string;
  readonly destination: BackupDestination;
  readonly status: BackupStatus;
  readonly paused: boolean;
  readonly createdAt: UnixMs;
  /** For how long the oldest commit that is not in the backup has been waiting, in milliseconds. */
  readonly lagMs: number;
  /** Bytes of log that wait. */
  readonly backlogBytes: number;
  readonly lastObject: { readonly name: string; readonly storedAt: UnixMs } | null;
  /** null when the last attempt succeeded, and nothing was found in the bucket that should not be so. */
  readonly lastError: {
    readonly message: string;
    readonly since: UnixMs;
    readonly at: UnixMs;
    /** It has been made good, and is shown until then; null: until it has. */
    readonly shownUntil: UnixMs | null;
  } | null;
  readonly verification: BackupVerificationInfo;
  /** The oldest first. */
  readonly generations: readonly BackupGenerationInfo[];
}

export interface BackupVerificationInfo {
  /** null: never by itself. */
  readonly everyHours: number | null;
  /** Nobody has said how often: the less it costs, the more often. */
  readonly automatic: boolean;
  readonly nextAt: UnixMs | null;
  /** What the last one that came to an end has found, whether it was asked for or begun by itself; null: there was none. */
  readonly last: {
    readonly good: boolean;
    readonly finishedAt: UnixMs;
    readonly error: string | null;
    /** The object of the backup that is missing or damaged, when that is why. */
    readonly damagedObject: string | null;
    /** null when it could not be carried out. */
    readonly report: VerificationReport | null;
  } | null;
}

export interface BackupGenerationInfo {
  /** In the bucket, ending in "/": what `denokv pitr sync --s3-prefix` is given. */
  readonly prefix: string;
  /**
   * `retired`: a newer one has taken over. `ended`: it has nothing later than `upTo`. `damaged`: what it held is not there any more.
   * `deleting`: no longer to be used.
   */
  readonly state: "snapshotting" | "complete" | "retired" | "ended" | "damaged" | "deleting";
  /** Whether it is another writer's, who has a copy of this database: it is not written to from here, and never deleted. */
  readonly foreign: boolean;
  /** Restorable are the commits after this one. null while there is no whole snapshot. */
  readonly after: Version | null;
  /** The last commit in it. */
  readonly upTo: Version | null;
  /** Why there is nothing later, when what follows `upTo` is in no generation or belongs to another state of the database. */
  readonly endedBecause: string | null;
  readonly objects: number;
  readonly bytes: number;
  /** When it will be deleted, if that is known: standbys that follow it have to move to a newer one before. */
  readonly deletedAfter: UnixMs | null;
}

/** What is left to do of a database that is being deleted with its backup. */
export interface BackupDeletionOrder {
  readonly databaseId: string;
  /** The backup's. */
  readonly id: string;
  readonly destination: BackupDestination;
  /** Sealed; null for a destination that needs none. */
  readonly secret: string | null;
  /** About how many objects there are. */
  readonly objects: number;
  /** Until then an object may still arrive that was on its way when the database was deleted. */
  readonly arrivalsUntil: UnixMs;
  /** Those that are this database's, as far as it knows. An order of an earlier version does not say: all there are. */
  readonly own?: readonly OwnGeneration[];
}

export interface OwnGeneration {
  readonly start: Version;
  /** The names under which this database has written to it. */
  readonly writers: readonly string[];
  /** The last commit that was sent to its log; null: nothing of its own log is there, or it is written to no more. */
  readonly sentUpTo: Version | null;
}

/** The object that carries it out. */
export interface DeletionStub {
  /** From now on the backup will be deleted. The same again changes nothing; "conflict" in any other object. */
  deleteBackup(order: BackupDeletionOrder): Promise<{ readonly ok: true } | Failure>;
}
