/**
 * What a database's object is asked about going back in time and what it answers: plain data, as `backup-commands.ts`. A moment is
 * text, as people write it: a versionstamp of 20 hex digits or a time by RFC 3339; it is rounded down to a commit.
 */
import type { Grant } from "./grant.ts";
import type { NewBackupDestination } from "./backup-destinations.ts";
import type { UnixMs } from "../core/clock.ts";
import { type Failure, failure } from "../core/errors.ts";
import type { Jurisdiction } from "./placement.ts";
import type { Version } from "../core/versionstamp.ts";

export type RestoreCommand =
  /** What the backup can give back. */
  | { readonly command: "range" }
  /** At most `limit` (1 to 1,000) commits at or before the moment, the latest first, or after it, the earliest first. */
  | ({
      readonly command: "points";
      readonly at: string;
      readonly direction: "before" | "after";
      readonly limit: number;
      /** Whether each is to say what it has changed. */
      readonly keys: boolean;
    } & WithPrefix)
  /** Finds the commit that the moment is rounded down to and makes sure that it is in the backup: one point. */
  | ({ readonly command: "resolve"; readonly at: string } & NamedGeneration)
  /** Brings this database back to the moment, or what it has under the prefix. The caller has asked for confirmation. */
  | ({ readonly command: "restore"; readonly jobId: string; readonly at: string } & WithPrefix)
  /**
   * Makes another database, which was made and never written to, what this one was at the moment. The job is that database's: ask
   * it, cancel it there.
   */
  | ({
      readonly command: "fork";
      readonly jobId: string;
      readonly at: string;
      readonly intoDatabaseId: string;
      readonly intoJurisdiction: Jurisdiction | null;
    } & NamedGeneration &
      WithPrefix)
  /** Makes this database, which was never written to, what another one was, from a bucket alone. */
  | ({
      readonly command: "restore from";
      readonly jobId: string;
      readonly databaseId: string;
      readonly destination: NewBackupDestination;
      readonly at: string;
      /** Go by the bucket's listing, for a manifest that is lost or damaged: then a loss at the end of the backup goes unnoticed. */
      readonly withoutManifest: boolean;
    } & NamedGeneration &
      WithPrefix)
  /** Replays the backup elsewhere and compares it with this database. */
  | { readonly command: "verify"; readonly jobId: string }
  /** Makes sure that the database as of the moment is there to be read, in an object named `pastName`. */
  | { readonly command: "past"; readonly at: string; readonly eviction: PastEviction }
  | { readonly command: "job"; readonly jobId: string }
  /** The newest first, at most a hundred. */
  | { readonly command: "jobs" }
  /** "conflict" when it is over already. */
  | { readonly command: "cancel"; readonly jobId: string };

export interface NamedGeneration {
  /**
   * The generation that the state is to be one of, by its folder's 16 hex digits: also one of another writer, who has a copy of the
   * database. null, or left out as by earlier versions: the one of the database's history that holds the moment.
   */
  readonly generation?: string | null;
}

export interface WithPrefix {
  /**
   * Only this key and those that begin with all of its parts (`key-prefix.ts`), encoded and in hex: the others are not brought, not
   * touched, or not told of. null, or left out as by earlier versions: every key.
   */
  readonly prefix?: string | null;
}

/** One database object to another. */
export type ReceiveOrder = {
  readonly jobId: string;
  /** Whose backup it is. */
  readonly databaseId: string;
  readonly destination: NewBackupDestination;
  readonly version: Version;
  /** Somebody asked for that very commit, and not for a later moment that is rounded down to it. */
  readonly isExact: boolean;
  /** Later commits get versions above this one. */
  readonly floor: Version;
  /** `backup/replay/catalog.ts` has its type: what is known of the generation that holds this version, as JSON. */
  readonly generation: string;
} & (
  | ({ readonly purpose: "fork" } & WithPrefix)
  /**
   * To be read as of that version, whose commit was made at that time, and wiped when nobody does for a while. Grants of the revoked
   * tokens are refused there.
   */
  | { readonly purpose: "past"; readonly asOf: UnixMs; readonly revoked: readonly RevokedToken[] }
  /** To be compared. The older generations are checked too. */
  | { readonly purpose: "check"; readonly olderGenerations: readonly string[] }
);

/**
 * Which state of the past is evicted when another one needs its place: the least recently used of them, or only one that is idle, which
 * nobody is reading just now ("unavailable" when there is none).
 */
export type PastEviction = "least-recently-used" | "idle";

/** Grants of this token are refused until then, when the last of them is over. */
export interface RevokedToken {
  readonly tokenId: string;
  readonly until: UnixMs;
}

export interface RestorePoint {
  readonly version: Version;
  readonly time: UnixMs;
}

export interface RestorePointInfo extends RestorePoint {
  /** What the clock said when it was made, or a little before, if it had been set back: the time of the version is another then. */
  readonly clock: UnixMs | null;
  /** What the commit has changed, if that was asked for: nothing, for a commit of the backup's own. */
  readonly changes: CommitChanges | null;
}

export interface CommitChanges {
  /** The first that it changed, each once. */
  readonly keys: readonly ChangedKey[];
  /** How many changes are left out. */
  readonly more: number;
}

export interface ChangedKey {
  /** Encoded. */
  readonly key: Uint8Array;
  readonly change: "set" | "delete";
}

/** What a backup gives back reaches from one commit to the other; there may be gaps between. */
export interface RestorableRange {
  readonly first: RestorePoint;
  readonly last: RestorePoint;
}

export type BackupJobKind = "restore" | "fork" | "past" | "check" | "verify" | "deletion";

export type RestoreJobStatus = "running" | "completed" | "failed" | "cancelled";

export interface BackupJob {
  readonly id: string;
  readonly kind: BackupJobKind;
  readonly status: RestoreJobStatus;
  /** Where it is, in a word or two. */
  readonly phase: string;
  /**
   * Bytes of the backup's objects; of the live entries while a verification reads those; objects, of a deletion. `total` 0: not
   * known yet. A verification's grows with each generation that it comes to.
   */
  readonly done: number;
  readonly total: number;
  /** Bytes per second since it began; null while it is unknown. */
  readonly rate: number | null;
  /** Why it failed; or, while it runs, why it is not getting on. */
  readonly error: string | null;
  /** The object of the backup that is missing or damaged, when that is why. */
  readonly damagedObject: string | null;
  /** The state that it brings, or compares, is of this commit; null: not known yet. */
  readonly version: Version | null;
  readonly verification: VerificationReport | null;
  /** Of a restore in place that is over. */
  readonly outcome: RestoreOutcome | null;
  readonly createdAt: UnixMs;
  readonly finishedAt: UnixMs | null;
}

export interface RestoreOutcome extends WithPrefix {
  /** The commits that it has undone; null: it has undone none, but changed some entries. */
  readonly undone: Undone | null;
  /** The moment just before it changed anything, which brings all of that back; null: it changed nothing. */
  readonly before: { readonly version: Version; readonly stored: boolean } | null;
}

/** Commits after the moment of a restore in place. */
export interface Undone {
  /** Those that changed something: all of them, or, if that is not exact, at least so many. */
  readonly commits: number;
  readonly isExact: boolean;
  /** The first of them; null: there was none. */
  readonly first: Version | null;
}

export interface EntriesDigest {
  readonly count: number;
  /** 64 hex digits: see docs/backup-format.md. */
  readonly sum: string;
  readonly sumWithExpiries: string;
}

export interface VerificationReport {
  /** Whether everything that was looked at is whole, and the states are the same. */
  readonly good: boolean;
  /** null when nothing can be restored. */
  readonly range: RestorableRange | null;
  /** The live database's and the backup's; null for what was not reached. */
  readonly live: EntriesDigest | null;
  readonly backup: EntriesDigest | null;
  readonly objects: number;
  readonly bytes: number;
  /** Each names what is wrong, and where. */
  readonly problems: readonly string[];
  /** The generations that this concerns. */
  readonly damaged: readonly DamagedGeneration[];
  readonly tookMs: number;
}

export interface DamagedGeneration {
  /** Its folder's 16 hex digits. */
  readonly generation: string;
  /** Every commit up to this one is whole; null: nothing of it can be relied on. */
  readonly intactUpTo: Version | null;
  /** A sentence. */
  readonly problem: string;
}

export interface PastInfo {
  readonly version: Version;
  /** The name of the object that holds it. */
  readonly name: string;
  /** Not ready: ask again in a second or so. */
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
      /** The moment to ask for next, in the same direction; null: there is nothing more. */
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

/** The name of the object in which a backup is tried out. */
export function checkName(databaseId: string): string {
  return `${databaseId}/check`;
}

/** The name of the object that deletes a database's backup when the database has been deleted. */
export function deletionName(databaseId: string): string {
  return `${databaseId}/deletion`;
}

/** Such an object has this one job: no other command means anything to it than asking for it and cancelling it. */
export const DELETION_JOB = "deletion";

/** What one database object asks of another for this. */
export interface RestoreStub {
  receive(order: ReceiveOrder): Promise<{ readonly ok: true; readonly job: BackupJob } | Failure>;
  restore(command: RestoreCommand): Promise<RestoreAnswer | Failure>;
  /** Only for objects that hold the past or try out a backup: leaves nothing. "conflict" for a database. */
  discard(): Promise<{ readonly ok: true } | Failure>;
  /** When the state of the past that this object holds was last read; null: it holds nothing. */
  lastUse(): Promise<UnixMs | null>;
  /** As `DatabaseControl.revoke`. */
  revoke(tokenId: string, until: UnixMs): Promise<void>;
}

/** What a database's object does for those who read its past. */
export interface PastKeeper {
  /**
   * Makes sure that the database as of a moment is there to be read, or is being built. `unauthenticated`: the grant's token was
   * revoked; `not-found` and `conflict` say why there is no such state, `unavailable` that it should be asked again.
   */
  openPast(grant: Grant, at: string, eviction: PastEviction): Promise<PastInfo | Failure>;
}

export const PAST_IS_BEING_BUILT = failure(
  "unavailable",
  "The state of that moment is being built: try again in a few seconds",
);
