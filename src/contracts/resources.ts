/**
 * What an organization has, as commands show it: databases, tokens and their scopes, jobs, usage, metrics. Plain data, so that it can be sent
 * between objects.
 */
import type { BackupHealth } from "./backup-health.ts";
import type { UnixMs } from "../core/clock.ts";
import type { AllowedOrigins } from "../core/origins.ts";
import type { UndeleteCounts } from "../core/undelete.ts";
import type { Jurisdiction, LocationHint } from "./placement.ts";
import type { RestoreOutcome, VerificationReport } from "./restore-commands.ts";

export const PERMISSIONS = ["read", "write", "admin", "backup", "metrics"] as const;
export type Permission = (typeof PERMISSIONS)[number];

/** What a token allows, at which databases and keys, and until when. */
export interface Scopes {
  readonly permissions: readonly Permission[];
  /** Ids of databases of the token's organization. "all": all databases that the organization has and will have. */
  readonly databases: "all" | readonly string[];
  /** An encoded key in hexadecimal: the token is only for keys that begin with all of its parts. null: for every key. */
  readonly keyPrefix: string | null;
  readonly expiresAt: UnixMs | null;
  /** The web pages that may use the token. */
  readonly allowedOrigins: AllowedOrigins;
}

export interface OrganizationInfo {
  readonly id: string;
  readonly name: string;
  readonly createdAt: UnixMs;
  readonly updatedAt: UnixMs;
}

export interface DatabaseInfo {
  readonly id: string;
  readonly organizationId: string;
  readonly name: string;
  readonly description: string;
  readonly locationHint: LocationHint | null;
  readonly jurisdiction: Jurisdiction | null;
  /** null: the database keeps no log for change feeds. */
  readonly feed: FeedSetting | null;
  readonly createdAt: UnixMs;
  readonly updatedAt: UnixMs;
}

/** How long a database keeps its log for change feeds, and for which keys. */
export interface FeedSetting {
  readonly retentionHours: number;
  /** An encoded key in hexadecimal: only changes of keys under it are kept. null: of all keys. */
  readonly prefix: string | null;
}

export interface TokenInfo {
  readonly id: string;
  readonly name: string;
  readonly scopes: Scopes;
  /** The signing key with which the token's check was made. When the deployment drops that key, the token ends. */
  readonly signingKey: string;
  /** The id of the token that minted this one, or "deployment". */
  readonly createdBy: string;
  readonly createdAt: UnixMs;
  /** Rounded to the hour. */
  readonly lastUsedAt: UnixMs | null;
  readonly revokedAt: UnixMs | null;
}

export type JobStatus = "pending" | "running" | "completed" | "failed" | "cancelled";

export const JOB_KINDS = [
  "database.delete",
  "database.restore",
  "database.fork",
  "backup.verify",
  "archive.create",
  "archive.verify",
  "archive.restore",
  "entries.delete",
  "entries.undelete",
] as const;
export type JobKind = (typeof JOB_KINDS)[number];

/** The result of a job about a backup, or its progress. */
export interface BackupJobResult {
  /** The phase that it is in, as a word or two. */
  readonly phase: string;
  /** The commit whose state the job restores or compares, as 20 hex digits. null: not known yet. */
  readonly versionstamp: string | null;
  /** The backup's object that is missing or damaged, when that is why the job failed. */
  readonly damagedObject: string | null;
  readonly verification: VerificationReport | null;
  /** Present for a restore in place that has ended. */
  readonly outcome: RestoreOutcome | null;
  /** Present for an undelete of many entries. */
  readonly undeleted: UndeleteCounts | null;
}

export interface Job {
  readonly id: string;
  readonly kind: JobKind;
  readonly databaseId: string;
  readonly status: JobStatus;
  readonly done: number;
  readonly total: number;
  /** Per second since the job began, in the unit of `done`. null while it is unknown. */
  readonly rate: number | null;
  readonly error: string | null;
  /** null for a deletion without a backup to be deleted. */
  readonly result: BackupJobResult | null;
  readonly createdAt: UnixMs;
  readonly finishedAt: UnixMs | null;
}

/**
 * Counters since the database was made. They are stored every few seconds, so a crash may lose the last seconds. A sleep loses nothing.
 */
export interface UsageCounters {
  readonly reads: number;
  readonly writes: number;
  readonly readUnits: number;
  readonly writeUnits: number;
  /** The present size of the database's storage, in bytes. */
  readonly bytes: number;
}

export interface DatabaseStats extends UsageCounters {
  readonly entries: number;
  /** 20 hex digits; null before the first commit. */
  readonly versionstamp: string | null;
  /** Bytes of the mutation log that are not in the database's backup yet. 0 without a backup. */
  readonly logBacklog: number;
  readonly watchers: number;
}

/** The usage of 15 minutes, of all databases of the organization. */
export interface UsageBucket extends UsageCounters {
  readonly start: UnixMs;
}

export interface OrganizationMetrics {
  readonly now: UnixMs;
  readonly totals: UsageCounters;
  readonly databases: number;
  /** At most `MAX_DATABASES_IN_METRICS`: the databases that reported last. */
  readonly perDatabase: readonly (UsageCounters & { readonly id: string })[];
  readonly backups: BackupMetrics;
  readonly webhooks: WebhookTotals;
}

/** How many webhooks there are, and what became of their deliveries. */
export interface WebhookTotals {
  readonly webhooks: number;
  readonly pending: number;
  readonly delivered: number;
  readonly failed: number;
}

/** How many databases have a backup; and how many backups fail, are behind, are paused, or were found bad by their last verification. */
export interface BackupTotals {
  readonly backups: number;
  readonly failing: number;
  readonly behind: number;
  readonly paused: number;
  readonly unverified: number;
}

export interface BackupMetrics {
  readonly totals: BackupTotals;
  /** At most `MAX_DATABASES_IN_METRICS`: databases whose backup fails, then those that reported a change last. */
  readonly perDatabase: readonly { readonly id: string; readonly reportedAt: UnixMs; readonly health: BackupHealth }[];
}

/** `next` is opaque; null at the end. */
export interface Page<Item> {
  readonly items: readonly Item[];
  readonly next: string | null;
}

/** A page by number, with how many items there are in all. */
export interface NumberedPage<Item> {
  readonly items: readonly Item[];
  readonly total: number;
}
