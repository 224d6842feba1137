/**
 * The types that doors, directory and objects share about organizations, their databases, tokens and jobs: what a management request asks
 * (`Commands`), who asks (`Caller`), and the answers. Plain data, so that it can be sent between objects.
 */
import type { Grant } from "./grant.ts";
import type { OrphanedArchive } from "./orphaned-archives.ts";
import type { ApiKeyAnswer, ApiKeyCommand, ApiKeyInfo, ApiKeyWithSecret, NewApiKey } from "./api-keys.ts";
import type {
  ArchiveAnswer,
  ArchiveCommand,
  ArchiveDestinationInfo,
  ArchiveInfo,
  ArchiveListQuery,
  ArchiveScheduleInfo,
  ArchiveScheduleSetting,
  ArchiveType,
  NewArchiveDestination,
} from "./archive-commands.ts";
import type { BackupAnswer, BackupCommand, BackupInfo, VerificationInterval, BackupTimes } from "./backup-commands.ts";
import type { BackupCredentials, NewBackupDestination } from "./backup-destinations.ts";
import type { BackupHealth } from "./backup-health.ts";
import type { Idempotency } from "./idempotency.ts";
import type { UnixMs } from "../core/clock.ts";
import type { Failure } from "../core/errors.ts";
import type { Jurisdiction, LocationHint } from "./placement.ts";
import type {
  ForkArchiveCommand,
  RestorableRange,
  RestoreAnswer,
  RestoreCommand,
  RestorePointInfo,
} from "./restore-commands.ts";
import type { DeliveryInfo, NewWebhook, WebhookInfo, WebhookWithSecret } from "./webhooks.ts";
import type {
  DatabaseInfo,
  DatabaseStats,
  FeedSetting,
  Job,
  JobKind,
  NumberedPage,
  OrganizationInfo,
  OrganizationMetrics,
  Page,
  Scopes,
  TokenInfo,
  UsageBucket,
  UsageCounters,
} from "./resources.ts";

export interface Ordering {
  readonly sort: "createdAt" | "updatedAt";
  readonly order: "asc" | "desc";
  /** A text that the id must contain; in a list with a cursor, the id or the name. null: no condition. */
  readonly query: string | null;
}

/** A token as it is stored: with the SHA-256 of its secret. */
export interface NewToken {
  readonly id: string;
  readonly secretHash: Uint8Array;
  readonly signingKey: string;
  readonly name: string;
}

/** Every command of an organization, by name. The directory's policy says which permissions each needs. */
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
  /** null leaves a member as it is. */
  "databases.update": {
    input: {
      databaseId: string;
      name: string | null;
      description: string | null;
      feed: FeedSetting | "off" | null;
    };
    output: DatabaseInfo;
  };
  /** The job is null when the database was deleted so long ago that its job is no longer kept. */
  "databases.delete": { input: { databaseId: string; deleteBackups: boolean }; output: { job: Job | null } };
  "databases.stats": { input: { databaseId: string }; output: DatabaseStats };
  /** The answer has the secret, which is shown only once. */
  "keys.create": {
    input: NewApiKey & { readonly databaseId: string; readonly idempotency: Idempotency | null };
    output: ApiKeyWithSecret;
  };
  "keys.list": { input: { databaseId: string }; output: Page<ApiKeyInfo> };
  "keys.get": { input: { databaseId: string; keyId: string }; output: ApiKeyInfo };
  "keys.delete": { input: { databaseId: string; keyId: string }; output: { readonly deleted: true } };
  /** Answers after the destination was tried. */
  "backups.enable": {
    input: { databaseId: string; destination: NewBackupDestination } & BackupTimes;
    output: BackupInfo;
  };
  "backups.get": { input: { databaseId: string }; output: { readonly backup: BackupInfo | null } };
  /** Finds a backup by its own id. */
  "backups.find": { input: { backupId: string }; output: BackupInfo };
  "backups.delete": { input: { backupId: string }; output: { readonly deleted: true } };
  "backups.pause": { input: { databaseId: string; paused: boolean }; output: BackupInfo };
  /** New credentials for the same place. */
  "backups.rotate": { input: { databaseId: string; credentials: BackupCredentials }; output: BackupInfo };
  /** null: there is nothing to restore yet. */
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
  /** A restore in place. The caller has confirmed it. */
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
  /** A restore into a new database, from a bucket alone. `databaseId`: of the database whose backup it is. */
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
  "archives.create": {
    input: { databaseId: string; type: ArchiveType; description: string };
    output: ArchiveInfo;
  };
  "archives.list": {
    input: { databaseId: string } & ArchiveListQuery;
    output: { readonly archives: readonly ArchiveInfo[]; readonly count: number };
  };
  "archives.get": { input: ArchiveName; output: ArchiveInfo };
  "archives.cancel": { input: ArchiveName; output: ArchiveInfo };
  "archives.destroy": { input: ArchiveName; output: { readonly destroyed: true } };
  "archives.verify": { input: ArchiveName; output: Job };
  /** A restore in place. The caller has confirmed it. */
  "archives.restore": { input: ArchiveName & { safetyArchive: boolean }; output: Job };
  /** Makes a new database with the state of an archive. */
  "archives.fork": {
    input: ArchiveName & { name: string };
    output: { readonly database: DatabaseInfo; readonly job: Job };
  };
  /** The caller may have the file. The door asks the database's object for the bytes. */
  "archives.download": { input: ArchiveName; output: DatabasePlace };
  /** The caller may bring a file. The door hands it to the database's object. */
  "archives.upload": { input: { databaseId: string }; output: DatabasePlace };
  "orphanedArchives.list": { input: { limit: number; cursor: string | null }; output: Page<OrphanedArchive> };
  /** The caller may have the file, too. */
  "orphanedArchives.get": { input: { archiveId: string }; output: OrphanedArchive };
  /** Makes a new database with the state of one. */
  "orphanedArchives.fork": {
    input: { archiveId: string; name: string; idempotency: Idempotency | null };
    output: { readonly database: DatabaseInfo; readonly job: Job };
  };
  "orphanedArchives.destroy": { input: { archiveId: string }; output: { readonly destroyed: true } };
  "archiveSchedule.get": { input: { databaseId: string }; output: ScheduleAndSecret };
  "archiveSchedule.update": {
    input: { databaseId: string; changes: Partial<ArchiveScheduleSetting> };
    output: ScheduleAndSecret;
  };
  "archiveDestinations.list": {
    input: { databaseId: string };
    output: { readonly destinations: readonly ArchiveDestinationInfo[] };
  };
  "archiveDestinations.get": { input: DestinationName; output: ArchiveDestinationInfo };
  /** Answers after the place was tried. */
  "archiveDestinations.create": {
    input: { databaseId: string; destination: NewArchiveDestination };
    output: ArchiveDestinationInfo;
  };
  "archiveDestinations.update": {
    input: DestinationName & { changes: Partial<NewArchiveDestination> };
    output: ArchiveDestinationInfo;
  };
  "archiveDestinations.destroy": { input: DestinationName; output: { readonly destroyed: true } };
  "archiveDestinations.test": { input: DestinationName; output: ArchiveDestinationInfo };
  "tokens.create": { input: { token: NewToken; scopes: Scopes; idempotency: Idempotency | null }; output: TokenInfo };
  "tokens.list": { input: { limit: number; cursor: string | null }; output: Page<TokenInfo> };
  /** `minted`: what becomes of the tokens that were minted with this token, and of those minted with them. */
  "tokens.revoke": { input: { tokenId: string; minted: "keep" | "revoke" }; output: TokenInfo };
  /** The answer has the secret, which is shown only once. */
  "webhooks.create": { input: NewWebhook & { idempotency: Idempotency | null }; output: WebhookWithSecret };
  "webhooks.list": { input: null; output: Page<WebhookInfo> };
  "webhooks.get": { input: { webhookId: string }; output: WebhookInfo };
  /** null leaves a member as it is. */
  "webhooks.update": {
    input: { webhookId: string } & { readonly [Member in keyof NewWebhook]: NewWebhook[Member] | null };
    output: WebhookInfo;
  };
  "webhooks.delete": { input: { webhookId: string }; output: { readonly deleted: true } };
  /** The secret before it signs for a day more. */
  "webhooks.rotateSecret": { input: { webhookId: string }; output: WebhookWithSecret };
  /** Answers when the endpoint has answered, or after its deadline. */
  "webhooks.test": { input: { webhookId: string }; output: DeliveryInfo };
  "webhooks.deliveries": { input: { webhookId: string }; output: Page<DeliveryInfo> };
  "jobs.get": { input: { jobId: string }; output: Job };
  "jobs.cancel": { input: { jobId: string }; output: Job };
  "analytics.get": { input: { since: UnixMs; until: UnixMs }; output: { buckets: readonly UsageBucket[] } };
  "metrics.get": { input: null; output: OrganizationMetrics };
}

interface ArchiveName {
  databaseId: string;
  archiveId: string;
}

interface DestinationName {
  databaseId: string;
  destinationId: string;
}

/** What leads to a database's object. */
export interface DatabasePlace {
  readonly jurisdiction: Jurisdiction | null;
}

export interface ScheduleAndSecret {
  readonly schedule: ArchiveScheduleInfo;
  /** Shown once, when the URL that it signs for was set. */
  readonly secret: string | null;
}

export type CommandName = keyof Commands;
export type Input<Name extends CommandName> = Commands[Name]["input"];
export type Output<Name extends CommandName> = Commands[Name]["output"];

/** Somebody who presented a token whose check is right. Only the organization knows whether the token's secret is right. */
export interface TokenCaller {
  readonly kind: "token";
  readonly organizationId: string;
  readonly tokenId: string;
  /** SHA-256 of the presented secret. */
  readonly secretHash: Uint8Array;
  /** The origin of the page that presented it, when that is a page of another origin. null: it is not. */
  readonly origin: string | null;
}

/** The caller presented the deployment's own token. */
export interface DeploymentCaller {
  readonly kind: "deployment";
}

export type Caller = TokenCaller | DeploymentCaller;

/** What an organization needs to begin: its own data, and its first token, which has every permission. */
export interface OrganizationSetup {
  readonly id: string;
  readonly name: string;
  readonly createdAt: UnixMs;
  readonly token: NewToken;
}

/** "unrecorded": nothing is written, so an existing record must cover the grant. "recorded" when it is left out. */
export type ExchangeMode = "recorded" | "unrecorded";

/** One organization's object. */
export interface OrganizationStub {
  /** Asking twice is not an error. `conflict` when the organization was deleted. */
  initialize(setup: OrganizationSetup): Promise<{ readonly initialized: true } | Failure>;
  /** `named`: the organization in the request's path, if there is one. Fails with `not-found` when it is not the caller's. */
  run<Name extends CommandName>(
    caller: Caller,
    named: string | null,
    name: Name,
    input: Input<Name>,
  ): Promise<Output<Name> | Failure>;
  /**
   * What the token allows at the database. A record of it is written before the answer, so that a revocation finds the database.
   * "unavailable" when nothing may be written and no record covers the grant.
   */
  exchange(caller: TokenCaller, databaseId: string, mode?: ExchangeMode): Promise<Grant | Failure>;
  /**
   * Called by the organization's databases, for every 15 minutes in which they were used. `usedAt`: the first use since the last report.
   */
  reportUsage(databaseId: string, counters: UsageCounters, usedAt: UnixMs): Promise<void>;
  /** Called by the organization's databases when the health of their backup has changed. null: there is no backup any more. */
  reportBackup(databaseId: string, health: BackupHealth | null): Promise<void>;
  /** Called by the organization's databases before they begin a job that a client asked of them. Calling it again changes nothing. */
  noteJob(databaseId: string, jobId: string, kind: JobKind): Promise<void>;
  /** Whether there is or was this organization. */
  exists(): Promise<boolean>;
  /** The tokens that cover the database and have not ended, the oldest first, at most so many that they fit into an archive. */
  tokensOf(databaseId: string): Promise<readonly TokenInfo[]>;
  /**
   * Called by the organization's databases when an archive failed of which the organization's webhooks are to be told. Calling it again
   * with the same id changes nothing. `body`: the event, as JSON.
   */
  tellOfArchive(eventId: string, body: string): Promise<void>;
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

/** The deployment's list of organizations. It is called only when an organization is created, listed or deleted. */
export interface IndexStub {
  /** Answers when the organization can be used. A repeated idempotency key gets what its first request made. */
  create(caller: Caller, organization: NewOrganization): Promise<CreatedOrganization | Failure>;
  list(caller: Caller, limit: number, cursor: string | null): Promise<Page<string> | Failure>;
  /** Called by the organization when it has been deleted. */
  forget(organizationId: string): Promise<void>;
}

export interface DatabaseSetup {
  readonly organizationId: string;
  readonly databaseId: string;
  readonly jurisdiction: Jurisdiction | null;
}

/** What the directory asks of a database's object. Each method is idempotent, also after a restart. */
export interface DatabaseControl {
  /** Makes the schema. The same setup again changes nothing. `conflict` for another owner, or after `wipe`. */
  initialize(setup: DatabaseSetup): Promise<{ readonly initialized: true } | Failure>;
  /**
   * From now to `until`, grants of this token are refused, it makes no API key, and what is open under its grants is closed. `keysOf`: the
   * API keys that this token made are deleted. Does nothing in a wiped object.
   */
  revoke(tokenId: string, until: UnixMs, keysOf?: string): Promise<void>;
  /**
   * Removes everything except a tombstone, and closes what is open. `deleteBackups`: hands over its backup, if it has one, to the object
   * `deletionName`, which deletes it.
   */
  wipe(options: { readonly deleteBackups: boolean }): Promise<void>;
  stats(): Promise<DatabaseStats | Failure>;
  /** From now on the log is kept for feeds with this setting. null: it is not kept any more. */
  keepFeed(setting: FeedSetting | null): Promise<{ readonly ok: true } | Failure>;
  /** The database's API keys. */
  apiKeys(command: ApiKeyCommand): Promise<ApiKeyAnswer>;
  backup(command: BackupCommand): Promise<BackupAnswer>;
  /** Archives, their destinations and their schedule. */
  archives(command: ArchiveCommand): Promise<ArchiveAnswer>;
  /** Restores, forks, verifications and states of the past. */
  restore(command: RestoreCommand | ForkArchiveCommand): Promise<RestoreAnswer | Failure>;
}

export interface MintedToken {
  /** The whole text of the token, which is shown only once. */
  readonly token: string;
  readonly secretHash: Uint8Array;
  readonly signingKey: string;
}

/** How the doors read and mint access tokens. */
export interface AccessTokens {
  /**
   * The caller who presents this token. `unauthenticated` for a token whose check is not right. `origin`: of the page of another origin
   * that sends the request. The deployment's token is for no page.
   */
  caller(token: string, origin: string | null): Promise<Caller | Failure>;
  /**
   * With an idempotency key the secret is derived from it, so that a repeated request gets the same token although no secret is stored.
   * `signingKey` then names the key with which the first one was made. `conflict` when that key is no longer there.
   */
  mint(
    organizationId: string,
    tokenId: string,
    idempotencyKey: string | null,
    signingKey: string | null,
  ): Promise<MintedToken | Failure>;
}
