/** What going back in time needs of a database's own backup. The exporting side provides it. */
import type { NewBackupDestination } from "../../contracts/backup-destinations.ts";
import { type Failure, failure, isFailure } from "../../core/errors.ts";
import type { DamagedGeneration } from "../../contracts/restore-commands.ts";
import type { Version } from "../../core/versionstamp.ts";
import type { Destination } from "../destinations/destination.ts";
import type { Manifest } from "../format/manifest.ts";
import { BackupBucket, problemText, type ReadProblem } from "./replay/backup-bucket.ts";
import { type Catalog, knownCatalog } from "./replay/catalog.ts";
import { type Histories, loadHistories } from "./replay/histories.ts";
import type { VerificationSchedule } from "./verification-schedule.ts";

/** Generations that a verification reads besides the present one. */
export interface GenerationsToVerify {
  readonly older: readonly Version[];
  /** Generations of other writers, which may delete them. */
  readonly foreign: readonly Version[];
}

/** Where a backup goes, with the secret, and what is known of it now. */
export interface BackupSource {
  readonly ok: true;
  readonly databaseId: string;
  readonly destination: NewBackupDestination;
  readonly manifest: Manifest;
}

export interface OwnBackup {
  /** "not-found": the database has no backup. */
  source(): Promise<BackupSource | Failure>;
  /** Whether every commit up to and including this one is stored, in a complete generation. */
  hasShipped(version: Version): boolean;
  /** Resolves with true when that is so, within a few seconds; with false when it is not. Waiting commits are sent at once. */
  ship(version: Version): Promise<boolean>;
  /** The last commit that is stored in the present generation. null: there is none, or it is not complete yet. */
  storedUpTo(): Version | null;
  /** Whether the state of this moment can be restored by now. */
  holds(version: Version): boolean;
  /** Nothing more is stored until somebody changes that: the backup is paused, or could not be set up. */
  isStopped(): boolean;
  readonly schedule: VerificationSchedule;
  /** The last commit, when everything is stored. null: something waits, or there is no complete generation. */
  settledAt(): Version | null;
  /** What a verification is to read besides the present generation. `everything`: also what was found whole before. */
  toBeVerified(everything: boolean): GenerationsToVerify;
  /** Takes the result of a verification: damaged generations are left, and others begin. */
  verified(whole: readonly Version[], damaged: readonly DamagedGeneration[]): void;
  /**
   * What is wrong with the manifest in the bucket, as a sentence without its full stop; the manifest is then written anew. null: nothing.
   */
  inspectManifest(): Promise<{ readonly ok: true; readonly problem: string | null } | Failure>;
  /**
   * The database was brought to another state, in the open transaction, so the objects in the bucket do not lead to it. It held its
   * earlier state up to that version.
   */
  restored(heldUpTo: Version): void;
}

/** A backup that is open for reading. */
export interface OpenBackup {
  readonly ok: true;
  readonly bucket: BackupBucket;
  readonly catalog: Catalog;
  readonly destination: NewBackupDestination;
}

/** Opens a backup by what its database knows of it. */
export async function openBackup(
  { databaseId, destination, manifest }: BackupSource,
  connect: (destination: NewBackupDestination) => Destination | Failure,
): Promise<OpenBackup | Failure> {
  const connected = connect(destination);
  if (isFailure(connected)) return connected;
  const bucket = new BackupBucket(connected, databaseId);
  const catalog = await knownCatalog(bucket, manifest);
  return catalog.ok ? { ok: true, bucket, catalog, destination } : asFailure(catalog);
}

/** A backup to be opened by what lies in the bucket. */
export interface OpenBucket {
  readonly ok: true;
  readonly bucket: BackupBucket;
  readonly histories: Histories;
  readonly destination: NewBackupDestination;
}

export interface BucketToOpen {
  readonly databaseId: string;
  readonly destination: NewBackupDestination;
  /** Ignore the manifest, and use only the listing. */
  readonly withoutManifest: boolean;
}

export async function openBucket(
  from: BucketToOpen,
  connect: (destination: NewBackupDestination) => Destination | Failure,
): Promise<OpenBucket | Failure> {
  const { databaseId, destination, withoutManifest } = from;
  const connected = connect(destination);
  if (isFailure(connected)) return connected;
  const bucket = new BackupBucket(connected, databaseId);
  const histories = await loadHistories(bucket, withoutManifest);
  return histories.ok ? { ok: true, bucket, histories, destination } : asFailure(histories);
}

/** A problem of a reader of the backup, as an answer to the request. */
export function asFailure(problem: ReadProblem | Failure): Failure {
  if ("code" in problem) return problem;
  if ("object" in problem) return failure("conflict", `The backup is damaged. ${problemText(problem)}`);
  return failure(problem.class === "retry" ? "unavailable" : "invalid", problem.message);
}
