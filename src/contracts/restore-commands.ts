/**
 * What a database's object is asked about going back in time, and what it answers: plain data, as in `backup-commands.ts`. A moment is
 * text, as people write it: a versionstamp of 20 hex digits or an RFC 3339 time. It is rounded down to a commit.
 */
import type { KeyRange } from "../codec/key-prefix.ts";
import type { Grant } from "./grant.ts";
import type { NewBackupDestination } from "./backup-destinations.ts";
import type { UnixMs } from "../core/clock.ts";
import { type Failure, failure } from "../core/errors.ts";
import type { Jurisdiction } from "./placement.ts";
import type { UndeleteCounts } from "../core/undelete.ts";
import type { Version } from "../core/versionstamp.ts";

export type RestoreCommand =
  /** Asks which commits the backup can restore. */
  | { readonly command: "range" }
  /** At most `limit` (1 to 1,000) commits: those at or before the moment, the latest first, or those after it, the earliest first. */
  | ({
      readonly command: "points";
      readonly at: string;
      readonly direction: "before" | "after";
      readonly limit: number;
      /** Whether each point lists what its commit changed. */
      readonly keys: boolean;
      /**
       * true: only changes of the key that the prefix names count, and commits that the backup does not hold yet are sent to it first, if
       * that works.
       */
      readonly exact?: boolean;
    } & WithPrefix)
  /** Finds the commit that the moment is rounded down to, and makes sure that it is in the backup. The answer is one point. */
  | ({ readonly command: "resolve"; readonly at: string } & NamedGeneration)
  /** Brings this database, or its keys under the prefix, back to the moment. The caller has asked for confirmation. */
  | ({ readonly command: "restore"; readonly jobId: string; readonly at: string } & WithPrefix)
  /**
   * Gives another database, which was made and never written to, the state that this one had at the moment. The job belongs to the other
   * database: ask for it and cancel it there.
   */
  | ({
      readonly command: "fork";
      readonly jobId: string;
      readonly at: string;
      readonly intoDatabaseId: string;
      readonly intoJurisdiction: Jurisdiction | null;
    } & NamedGeneration &
      WithPrefix)
  /** Gives this database, which was never written to, the state of another one, from a bucket alone. */
  | ({
      readonly command: "restore from";
      readonly jobId: string;
      readonly databaseId: string;
      readonly destination: NewBackupDestination;
      readonly at: string;
      /**
       * Ignore the manifest, which is lost or damaged, and use the bucket's listing. Then a loss at the end of the backup goes unnoticed.
       */
      readonly withoutManifest: boolean;
    } & NamedGeneration &
      WithPrefix)
  /** Replays the backup in another object and compares the result with this database. */
  | { readonly command: "verify"; readonly jobId: string }
  /** Makes sure that the state of the moment can be read, in an object named `pastName`. */
  | { readonly command: "past"; readonly at: string; readonly eviction: PastEviction }
  /** Deletes the entries of a range (in hex), in as many commits as that takes. `total`: the number of entries, as far as is known. */
  | {
      readonly command: "delete";
      readonly jobId: string;
      readonly start: string;
      readonly end: string;
      readonly total: number;
    }
  /** Brings the entries of a range (in hex) back as they were at a commit (20 hex digits), in as many commits as that takes. */
  | ({ readonly command: "undelete"; readonly jobId: string } & UndeleteOrder)
  | { readonly command: "job"; readonly jobId: string }
  /** The newest job first, at most a hundred jobs. */
  | { readonly command: "jobs" }
  /** Fails with "conflict" when the job has ended. */
  | { readonly command: "cancel"; readonly jobId: string };

export interface UndeleteOrder {
  readonly at: string;
  readonly start: string;
  readonly end: string;
  /** Whether entries that were written since are overwritten. */
  readonly force: boolean;
  /** How many entries there were at the moment. */
  readonly total: number;
}

export type ForkArchiveCommand =
  /** As the command "fork", with the state of one of this database's archives. */
  | {
      readonly command: "fork archive";
      readonly jobId: string;
      readonly archiveId: string;
      readonly intoDatabaseId: string;
      readonly intoJurisdiction: Jurisdiction | null;
    }
  /**
   * Gives this database, which was never written to, the state of an archive of a deleted one, which lies in the deployment's own place. The
   * id and the size are those of `OrphanedArchive`.
   */
  | {
      readonly command: "receive orphaned archive";
      readonly jobId: string;
      readonly archiveId: string;
      readonly databaseId: string;
      readonly size: number;
    };

export interface NamedGeneration {
  /**
   * The generation that has the wanted state, by its folder's 16 hex digits. It may belong to another writer that has a copy of the
   * database. null, or left out as by earlier versions: the generation of the database's history that holds the moment.
   */
  readonly generation?: string | null;
}

export interface WithPrefix {
  /**
   * An encoded key in hexadecimal. Only this key and those that begin with all of its parts (`key-prefix.ts`) are restored or told of;
   * other keys are not touched. null, or left out as by earlier versions: every key.
   */
  readonly prefix?: string | null;
}

/** An order from one database object to another. */
export type ReceiveOrder = {
  readonly jobId: string;
  /** The id of the database whose backup it is. */
  readonly databaseId: string;
  readonly destination: NewBackupDestination;
  readonly version: Version;
  /** The caller asked for exactly this commit, and not for a later moment that was rounded down to it. */
  readonly isExact: boolean;
  /** Later commits get versions above this one. */
  readonly floor: Version;
  /** What is known of the generation that holds this version, as JSON. `backup/recovery/replay/catalog.ts` has its type. */
  readonly generation: string;
} & (
  | ({ readonly purpose: "fork" } & WithPrefix)
  /**
   * A state to be read, as of that version, whose commit was made at `asOf`. It is wiped when nobody has read it for a while. Grants of
   * the revoked tokens are refused there.
   */
  | { readonly purpose: "past"; readonly asOf: UnixMs; readonly revoked: readonly RevokedToken[] }
  /** A state to be compared. The older generations are checked too. */
  | { readonly purpose: "check"; readonly olderGenerations: readonly string[] }
);

/**
 * Which state of the past is evicted when another one needs its place: the least recently used, or only one that nobody is reading at
 * present. Without such a state the answer is "unavailable".
 */
export type PastEviction = "least-recently-used" | "idle";

/** Grants of this token are refused until `until`, when the last of them has ended. */
export interface RevokedToken {
  readonly tokenId: string;
  readonly until: UnixMs;
}

export interface RestorePoint {
  readonly version: Version;
  readonly time: UnixMs;
}

export interface RestorePointInfo extends RestorePoint {
  /**
   * What the clock showed when the commit was made, or a little earlier, if the clock had been set back: then the time of the version is
   * different.
   */
  readonly clock: UnixMs | null;
  /** What the commit changed, if that was asked for. Empty for a commit that the backup itself made. */
  readonly changes: CommitChanges | null;
}

export interface CommitChanges {
  /** The keys that it changed first, each once. */
  readonly keys: readonly ChangedKey[];
  /** How many changes are left out. */
  readonly more: number;
}

export interface ChangedKey {
  /** An encoded key. */
  readonly key: Uint8Array;
  readonly change: "set" | "delete";
}

/** The backup can restore the commits from one to the other, except those in gaps. */
export interface RestorableRange {
  readonly first: RestorePoint;
  readonly last: RestorePoint;
}

export type BackupJobKind =
  | "restore"
  | "fork"
  | "past"
  | "check"
  | "verify"
  | "deletion"
  | "delete"
  | "undelete"
  | ArchiveJobKind;

/** Making an archive, restoring one, and reading one to see whether it is whole. */
export type ArchiveJobKind = "archive" | "archive restore" | "archive verification";

export type RestoreJobStatus = "running" | "completed" | "failed" | "cancelled";

export interface BackupJob {
  readonly id: string;
  readonly kind: BackupJobKind;
  readonly status: RestoreJobStatus;
  /** The phase that the job is in, as a word or two. */
  readonly phase: string;
  /**
   * Bytes of the backup's objects; while a verification reads the live entries, bytes of those; for a deletion, a number of objects; for an undelete, the
   * entries of the moment that were looked at.
   * `total` 0: not known yet. The `total` of a verification grows with each generation.
   */
  readonly done: number;
  readonly total: number;
  /** Bytes per second since the job began. null while it is unknown. */
  readonly rate: number | null;
  /** Why the job failed; while it runs, why it makes no progress. */
  readonly error: string | null;
  /** The backup's object that is missing or damaged, when that is the reason. */
  readonly damagedObject: string | null;
  /** The commit whose state the job restores or compares. null: not known yet. */
  readonly version: Version | null;
  readonly verification: VerificationReport | null;
  /** Present for a restore in place that has ended. */
  readonly outcome: RestoreOutcome | null;
  /** Present for an undelete: what it has come to so far. */
  readonly undeleted: UndeleteCounts | null;
  readonly createdAt: UnixMs;
  readonly finishedAt: UnixMs | null;
}

export interface RestoreOutcome extends WithPrefix {
  /** The commits that the restore has undone. null: it undid no commit, but changed some entries. */
  readonly undone: Undone | null;
  /** The moment just before the restore changed anything. A restore to this moment brings all of that back. null: it changed nothing. */
  readonly before: { readonly version: Version; readonly stored: boolean } | null;
}

/** Commits after the moment to which a restore in place went back. */
export interface Undone {
  /** How many commits changed something. If `isExact` is false, there are at least this many. */
  readonly commits: number;
  readonly isExact: boolean;
  /** The first of these commits. null: there was none. */
  readonly first: Version | null;
}

export interface EntriesDigest {
  readonly count: number;
  /** 64 hex digits: see docs/backup-format.md. */
  readonly sum: string;
  readonly sumWithExpiries: string;
}

export interface VerificationReport {
  /** Whether all checked objects are whole, and the states are the same. */
  readonly good: boolean;
  /** null when nothing can be restored. */
  readonly range: RestorableRange | null;
  /** The digests of the live database and of the backup. null for what was not reached. */
  readonly live: EntriesDigest | null;
  readonly backup: EntriesDigest | null;
  readonly objects: number;
  readonly bytes: number;
  /** Each sentence names what is wrong, and where. */
  readonly problems: readonly string[];
  /** The generations that the problems concern. */
  readonly damaged: readonly DamagedGeneration[];
  readonly tookMs: number;
}

export interface DamagedGeneration {
  /** The 16 hex digits of its folder. */
  readonly generation: string;
  /** Every commit up to this one is whole. null: nothing in the generation is reliable. */
  readonly intactUpTo: Version | null;
  /** A sentence. */
  readonly problem: string;
}

export interface DatabaseOwner {
  readonly ok: true;
  readonly organizationId: string;
}

export interface PastInfo {
  readonly version: Version;
  /** The name of the object that holds the state. */
  readonly name: string;
  /** false: ask again in a second or so. */
  readonly ready: boolean;
}

export type RestoreAnswer =
  | {
      readonly ok: true;
      readonly kind: "range";
      readonly range: RestorableRange | null;
    }
  | {
      readonly ok: true;
      readonly kind: "points";
      readonly points: readonly RestorePointInfo[];
      /** The moment to ask for next, in the same direction. null: there are no more points. */
      readonly next: Version | null;
    }
  | { readonly ok: true; readonly kind: "job"; readonly job: BackupJob }
  | { readonly ok: true; readonly kind: "jobs"; readonly jobs: readonly BackupJob[] }
  | { readonly ok: true; readonly kind: "past"; readonly past: PastInfo }
  | { readonly ok: true; readonly kind: "done" };

/** The name of the object that holds a database as of a version. */
export function pastName(databaseId: string, version: Version): string {
  return `${databaseId}/at/${version.toString(16).padStart(16, "0")}`;
}

/** The name of the object in which a backup is replayed to verify it. */
export function checkName(databaseId: string): string {
  return `${databaseId}/check`;
}

/** The name of the object that deletes a database's backup after the database was deleted. */
export function deletionName(databaseId: string): string {
  return `${databaseId}/deletion`;
}

/** The only job of such an object. The only commands for it are to ask for the job and to cancel it. */
export const DELETION_JOB = "deletion";

/** What one database object asks of another for restores. */
export interface RestoreStub {
  receive(order: ReceiveOrder): Promise<{ readonly ok: true; readonly job: BackupJob } | Failure>;
  restore(command: RestoreCommand): Promise<RestoreAnswer | Failure>;
  /** Removes everything. Only for objects that hold a state of the past or verify a backup. "conflict" for a database. */
  discard(): Promise<{ readonly ok: true } | Failure>;
  /** When the state of the past in this object was last read. null: there is none. */
  lastUse(): Promise<UnixMs | null>;
  /** The first entries of a range as an EntryList, for the object of the database, which brings them back. Only for states of the past. */
  pastEntries(range: KeyRange, limit: number): Promise<Uint8Array | Failure>;
  /** As `DatabaseControl.revoke`. */
  revoke(tokenId: string, until: UnixMs, keysOf?: string): Promise<void>;
}

/** What a database's object does for those who read its past. */
export interface PastKeeper {
  /** The organization that owns the database. */
  owner(grant: Grant): Promise<DatabaseOwner | Failure>;
  /**
   * Makes sure that the state of a moment can be read, or is being built. `unauthenticated`: the grant's token was revoked. `not-found`
   * and `conflict`: there is no such state, and the message says why. `unavailable`: ask again.
   */
  openPast(grant: Grant, at: string, eviction: PastEviction): Promise<PastInfo | Failure>;
}

export const PAST_IS_BEING_BUILT = failure(
  "unavailable",
  "The state of that moment is being built: try again in a few seconds",
);
