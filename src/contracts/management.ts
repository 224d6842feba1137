/**
 * The words that doors, directory and objects share about organizations, their databases, tokens and jobs: what a management
 * request asks (`Commands`), who asks it (`Caller`) and what is answered. Plain data, so that it crosses between objects as it is.
 */
import type { Grant } from "./grant.ts";
import type { BackupAnswer, BackupCommand, BackupInfo, VerificationInterval, BackupTimes } from "./backup-commands.ts";
import type { BackupCredentials, NewBackupDestination } from "./backup-destinations.ts";
import type { BackupHealth } from "./backup-health.ts";
import type { UnixMs } from "../core/clock.ts";
import type { Failure } from "../core/errors.ts";
import type { AllowedOrigins } from "../core/origins.ts";
import type { Jurisdiction, LocationHint } from "./placement.ts";
import type {
  RestorableRange,
  RestoreAnswer,
  RestoreCommand,
  RestoreOutcome,
  RestorePointInfo,
  VerificationReport,
} from "./restore-commands.ts";

import type { DeliveryInfo, NewWebhook, WebhookInfo, WebhookWithSecret } from "./webhooks.ts";

export const PERMISSIONS = ["read", "write", "admin", "backup", "metrics"] as const;
export type Permission = (typeof PERMISSIONS)[number];

/** What a token allows, and where, and until when. */
export interface Scopes {
  readonly permissions: readonly Permission[];
  /** Ids of databases of its organization, or all that there are and will be. */
  readonly databases: "all" | readonly string[];
  /** The encoded key in hexadecimal; only keys that begin with all of its parts. Null: every key. */
  readonly keyPrefix: string | null;
  readonly expiresAt: UnixMs | null;
  /** The web pages that may use it. */
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
  readonly createdAt: UnixMs;
  readonly updatedAt: UnixMs;
}

export interface TokenInfo {
  readonly id: string;
  readonly name: string;
  readonly scopes: Scopes;
  /** The key that its check was made with: when the deployment drops that key, this token ends. */
  readonly signingKey: string;
  /** The token that minted it, or "deployment". */
  readonly createdBy: string;
  readonly createdAt: UnixMs;
  /** Kept to the hour. */
  readonly lastUsedAt: UnixMs | null;
  readonly revokedAt: UnixMs | null;
}

export type JobStatus = "pending" | "running" | "completed" | "failed" | "cancelled";

export type JobKind = "database.delete" | "database.restore" | "database.fork" | "backup.verify";

/** What a job about a backup has come to, or how far it is. */
export interface BackupJobResult {
  /** Where it is, in a word or two. */
  readonly phase: string;
  /** The commit whose state it brings or compares, as 20 hex digits; null: not known yet. */
  readonly versionstamp: string | null;
  /** The object of the backup that is missing or damaged, when that is why it failed. */
  readonly damagedObject: string | null;
  readonly verification: VerificationReport | null;
  /** Of a restore in place that is over. */
  readonly outcome: RestoreOutcome | null;
}

export interface Job {
  readonly id: string;
  readonly kind: JobKind;
  readonly databaseId: string;
  readonly status: JobStatus;
  readonly done: number;
  readonly total: number;
  /** What `done` counts, per second since it began; null while it is unknown. */
  readonly rate: number | null;
  readonly error: string | null;
  /** null for a deletion, unless there is a backup to be deleted. */
  readonly result: BackupJobResult | null;
  readonly createdAt: UnixMs;
  readonly finishedAt: UnixMs | null;
}

/** Counters since the database was made. They live in memory for a few seconds, so a crash may lose the last of them; a sleep loses none. */
export interface UsageCounters {
  readonly reads: number;
  readonly writes: number;
  readonly readUnits: number;
  readonly writeUnits: number;
  /** Bytes of the database's storage now. */
  readonly bytes: number;
}

export interface DatabaseStats extends UsageCounters {
  readonly entries: number;
  /** 20 hex digits; null before the first commit. */
  readonly versionstamp: string | null;
  /** Bytes of the mutation log that are not in the database's backup yet; 0 without one. */
  readonly logBacklog: number;
  readonly watchers: number;
}

/** One bucket of 15 minutes, of all databases of the organization. */
export interface UsageBucket extends UsageCounters {
  readonly start: UnixMs;
}

export interface OrganizationMetrics {
  readonly now: UnixMs;
  readonly totals: UsageCounters;
  readonly databases: number;
  /** At most `MAX_DATABASES_IN_METRICS`, those that reported last. */
  readonly perDatabase: readonly (UsageCounters & { readonly id: string })[];
  readonly backups: BackupMetrics;
  readonly webhooks: WebhookTotals;
}

/** How many there are, and what became of what was to be delivered to them. */
export interface WebhookTotals {
  readonly webhooks: number;
  readonly pending: number;
  readonly delivered: number;
  readonly failed: number;
}

/** How many databases have a backup, and of how many it fails, is behind or paused, or was found bad by its last verification. */
export interface BackupTotals {
  readonly backups: number;
  readonly failing: number;
  readonly behind: number;
  readonly paused: number;
  readonly unverified: number;
}

export interface BackupMetrics {
  readonly totals: BackupTotals;
  /** At most `MAX_DATABASES_IN_METRICS`: those whose backup fails, then those that told of a change last. */
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

export interface Ordering {
  readonly sort: "createdAt" | "updatedAt";
  readonly order: "asc" | "desc";
  /** Text that the id contains, of a list by cursor the id or the name; null: all. */
  readonly query: string | null;
}

/** The same key with the same fingerprint is the same request, for a day; with another fingerprint it is a conflict. */
export interface Idempotency {
  readonly key: string;
  /** A digest of the request. */
  readonly fingerprint: string;
}

/** A token as it is stored: by the SHA-256 of its secret. */
export interface NewToken {
  readonly id: string;
  readonly secretHash: Uint8Array;
  readonly signingKey: string;
  readonly name: string;
}

/** Every request that an organization answers, by name. What each needs is in the directory's policy. */
export interface Commands {
  "organization.get": { input: null; output: OrganizationInfo };
  "organization.rename": { input: { name: string }; output: OrganizationInfo };
  "organization.delete": { input: null; output: { readonly deleted: true } };
  "databases.create": {
    input: {
      name: string;
      description: string;
      locationHint: LocationHint | null;
      jurisdiction: Jurisdiction | null;
      idempotency: Idempotency | null;
    };
    output: DatabaseInfo;
  };
  "databases.list": { input: Ordering & { limit: number; cursor: string | null }; output: Page<DatabaseInfo> };
  "databases.page": { input: Ordering & { limit: number; page: number }; output: NumberedPage<DatabaseInfo> };
  "databases.get": { input: { databaseId: string }; output: DatabaseInfo };
  /** Null leaves a member as it is. */
  "databases.update": {
    input: { databaseId: string; name: string | null; description: string | null };
    output: DatabaseInfo;
  };
  /** The job is null when it was deleted so long ago that its job is no longer kept. */
  "databases.delete": { input: { databaseId: string; deleteBackups: boolean }; output: { job: Job | null } };
  "databases.stats": { input: { databaseId: string }; output: DatabaseStats };
  /** Answers when the destination has been probed. */
  "backups.enable": {
    input: { databaseId: string; destination: NewBackupDestination } & BackupTimes;
    output: BackupInfo;
  };
  "backups.get": { input: { databaseId: string }; output: { readonly backup: BackupInfo | null } };
  /** By its own id alone. */
  "backups.find": { input: { backupId: string }; output: BackupInfo };
  "backups.delete": { input: { backupId: string }; output: { readonly deleted: true } };
  "backups.pause": { input: { databaseId: string; paused: boolean }; output: BackupInfo };
  /** New credentials for the same place. */
  "backups.rotate": { input: { databaseId: string; credentials: BackupCredentials }; output: BackupInfo };
  /** null: there is nothing to go back to yet. */
  "backups.range": {
    input: { databaseId: string };
    output: { readonly range: RestorableRange | null };
  };
  "backups.points": {
    input: {
      databaseId: string;
      at: string;
      direction: "before" | "after";
      limit: number;
      keys: boolean;
      prefix: string | null;
    };
    output: { readonly points: readonly RestorePointInfo[]; readonly next: string | null };
  };
  "backups.verifyEvery": { input: { databaseId: string; hours: VerificationInterval }; output: BackupInfo };
  "backups.verify": { input: { databaseId: string }; output: Job };
  /** In place. The caller has confirmed it. */
  "restores.create": {
    input: { databaseId: string; at: string; prefix: string | null; idempotency: Idempotency | null };
    output: Job;
  };
  "forks.create": {
    input: {
      databaseId: string;
      at: string;
      generation: string | null;
      prefix: string | null;
      name: string;
      idempotency: Idempotency | null;
    };
    output: { readonly database: DatabaseInfo; readonly job: Job };
  };
  /** Into a new database, from a bucket alone. `databaseId`: whose backup it is. */
  "restores.createFromBucket": {
    input: {
      destination: NewBackupDestination;
      databaseId: string;
      at: string;
      generation: string | null;
      prefix: string | null;
      name: string;
      idempotency: Idempotency | null;
    };
    output: { readonly database: DatabaseInfo; readonly job: Job };
  };
  "tokens.create": { input: { token: NewToken; scopes: Scopes; idempotency: Idempotency | null }; output: TokenInfo };
  "tokens.list": { input: { limit: number; cursor: string | null }; output: Page<TokenInfo> };
  /** `minted`: what becomes of the tokens that were minted with it, and with these. */
  "tokens.revoke": { input: { tokenId: string; minted: "keep" | "revoke" }; output: TokenInfo };
  /** With the secret, which is shown this once. */
  "webhooks.create": { input: NewWebhook & { idempotency: Idempotency | null }; output: WebhookWithSecret };
  "webhooks.list": { input: null; output: Page<WebhookInfo> };
  "webhooks.get": { input: { webhookId: string }; output: WebhookInfo };
  /** Null leaves a member as it is. */
  "webhooks.update": {
    input: { webhookId: string } & { readonly [Member in keyof NewWebhook]: NewWebhook[Member] | null };
    output: WebhookInfo;
  };
  "webhooks.delete": { input: { webhookId: string }; output: { readonly deleted: true } };
  /** The one before signs for a day more. */
  "webhooks.rotateSecret": { input: { webhookId: string }; output: WebhookWithSecret };
  /** Answers when the endpoint has, or has not in time. */
  "webhooks.test": { input: { webhookId: string }; output: DeliveryInfo };
  "webhooks.deliveries": { input: { webhookId: string }; output: Page<DeliveryInfo> };
  "jobs.get": { input: { jobId: string }; output: Job };
  "jobs.cancel": { input: { jobId: string }; output: Job };
  "analytics.get": { input: { since: UnixMs; until: UnixMs }; output: { buckets: readonly UsageBucket[] } };
  "metrics.get": { input: null; output: OrganizationMetrics };
}

export type CommandName = keyof Commands;
export type Input<Name extends CommandName> = Commands[Name]["input"];
export type Output<Name extends CommandName> = Commands[Name]["output"];

/** Somebody who presented a token whose check is right. Whether its secret is right, only the organization knows. */
export interface TokenCaller {
  readonly kind: "token";
  readonly organizationId: string;
  readonly tokenId: string;
  /** SHA-256 of the secret that was presented. */
  readonly secretHash: Uint8Array;
  /** Of the foreign web page that presented it; null: none did. */
  readonly origin: string | null;
}

/** The deployment's own token was presented and is right. */
export interface DeploymentCaller {
  readonly kind: "deployment";
}

export type Caller = TokenCaller | DeploymentCaller;

/** What is needed to bring an organization to life, with its first token, which has every permission. */
export interface OrganizationSetup {
  readonly id: string;
  readonly name: string;
  readonly createdAt: UnixMs;
  readonly token: NewToken;
}

/** `unrecorded`: nothing is written; a record that is there must cover the grant. "recorded", if it is left out. */
export type ExchangeMode = "recorded" | "unrecorded";

/** One organization's object. */
export interface OrganizationStub {
  /** Twice the same is not an error. `conflict` when it was deleted. */
  initialize(setup: OrganizationSetup): Promise<{ readonly initialized: true } | Failure>;
  /** `named`: the organization that the request's path names, if it does: another than the caller's is `not-found`. */
  run<Name extends CommandName>(
    caller: Caller,
    named: string | null,
    name: Name,
    input: Input<Name>,
  ): Promise<Output<Name> | Failure>;
  /**
   * What the token allows at the database. Recorded before it is answered, so that a revocation finds the database. "unavailable"
   * where nothing is to be written and no record is there that covers it.
   */
  exchange(caller: TokenCaller, databaseId: string, mode?: ExchangeMode): Promise<Grant | Failure>;
  /** Called by the organization's databases every 15 minutes in which they were used. `usedAt`: the first use since the last report. */
  reportUsage(databaseId: string, counters: UsageCounters, usedAt: UnixMs): Promise<void>;
  /** Called by the organization's databases when their backup's health has changed. null: there is no backup any more. */
  reportBackup(databaseId: string, health: BackupHealth | null): Promise<void>;
}

export interface NewOrganization {
  readonly setup: OrganizationSetup;
  readonly idempotency: Idempotency | null;
}

export interface CreatedOrganization {
  readonly id: string;
  readonly name: string;
  readonly createdAt: UnixMs;
  readonly tokenId: string;
  readonly signingKey: string;
}

/** The deployment's list of organizations: asked only when one is created, listed or deleted. */
export interface IndexStub {
  /** Answers when the organization can be used; for a repeated idempotency key with what the first one made. */
  create(caller: Caller, organization: NewOrganization): Promise<CreatedOrganization | Failure>;
  list(caller: Caller, limit: number, cursor: string | null): Promise<Page<string> | Failure>;
  /** Called by the organization itself when it has been deleted. */
  forget(organizationId: string): Promise<void>;
}

export interface DatabaseSetup {
  readonly organizationId: string;
  readonly databaseId: string;
  readonly jurisdiction: Jurisdiction | null;
}

/** What the directory asks of a database's object. Each may be asked again after it was done, also after a restart. */
export interface DatabaseControl {
  /** Makes the schema. The same setup again changes nothing; `conflict` for another owner or after `wipe`. */
  initialize(setup: DatabaseSetup): Promise<{ readonly initialized: true } | Failure>;
  /** From now to `until` grants of this token are refused; what is open under it is closed. On a wiped one: nothing. */
  revoke(tokenId: string, until: UnixMs): Promise<void>;
  /**
   * Removes everything but a tombstone and closes what is open. `deleteBackups`: and leaves its backup, if it has one, to the
   * object `deletionName`, which deletes it.
   */
  wipe(options: { readonly deleteBackups: boolean }): Promise<void>;
  stats(): Promise<DatabaseStats | Failure>;
  backup(command: BackupCommand): Promise<BackupAnswer>;
  /** Going back in time. */
  restore(command: RestoreCommand): Promise<RestoreAnswer | Failure>;
}

export interface MintedToken {
  /** The whole text, which is shown once. */
  readonly token: string;
  readonly secretHash: Uint8Array;
  readonly signingKey: string;
}

/** How the doors read and make access tokens. */
export interface AccessTokens {
  /**
   * Who presents this token; `unauthenticated` for one whose check is not right. `origin`: of the foreign web page that sends it; the
   * deployment's token is for no page.
   */
  caller(token: string, origin: string | null): Promise<Caller | Failure>;
  /**
   * With an idempotency key the secret is derived from it, so that a repeated request is answered with the same token although
   * none is stored; `signingKey` then names the key that the first one was made with. `conflict` if that is no longer there.
   */
  mint(
    organizationId: string,
    tokenId: string,
    idempotencyKey: string | null,
    signingKey: string | null,
  ): Promise<MintedToken | Failure>;
}
