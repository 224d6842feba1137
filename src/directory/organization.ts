/**
 * The state of one organization, in the storage of its object. A decision is made in one transaction and survives a kill right after it.
 * This class is synchronous and calls no other object: what others must be told is in its outbox, which `organization-service.ts`
 * delivers.
 */
import { assert } from "../core/assert.ts";
import type { Grant } from "../contracts/grant.ts";
import type { BackupHealth } from "../contracts/backup-health.ts";
import { asUnixMs, type UnixMs } from "../core/clock.ts";
import { failure, type Failure, isFailure } from "../core/errors.ts";
import { MAX_DATABASES } from "../core/limits.ts";
import { hasSchema, migrate } from "../core/migrations.ts";
import type { Idempotency } from "../contracts/idempotency.ts";
import type {
  Caller,
  CommandName,
  ExchangeMode,
  Input,
  OrganizationSetup,
  TokenCaller,
} from "../contracts/management.ts";
import type {
  DatabaseInfo,
  Job,
  OrganizationInfo,
  OrganizationMetrics,
  Scopes,
  TokenInfo,
  UsageCounters,
  JobKind,
} from "../contracts/resources.ts";
import type { SqlValue, SyncStorage } from "../core/storage.ts";
import { BackupIds } from "./backup-ids.ts";
import { Cascades } from "./cascades.ts";
import { couldNotBeMade, Databases, databaseInfo } from "./databases.ts";
import { Deliveries } from "./deliveries.ts";
import { grantEnd, grantOf, LEAST_GRANT_MS } from "./grants.ts";
import { IdempotencyKeys } from "./idempotency.ts";
import { type NewDatabase, JobOrders } from "./job-orders.ts";
import { Jobs } from "./jobs.ts";
import { KeyMakers } from "./key-makers.ts";
import { Monitoring } from "./monitoring.ts";
import { ORGANIZATION_SCHEMA } from "./organization-schema.ts";
import { type Filling, Outbox } from "./outbox.ts";
import { refuses, refusesDeployment } from "./policy.ts";
import { type Admitted, beyond, checkScopes, coversDatabase, EVERY_SCOPE, mintsBeyondItself } from "./scopes.ts";
import { DEPLOYMENT, Tokens } from "./tokens.ts";
import { Usage } from "./usage.ts";

const DAY_MS = 24 * 60 * 60 * 1000;

/** A request for an API key that was admitted before its token was revoked is over by then. */
const KEY_UNDER_WAY_MS = 60 * 60 * 1000;

/** When housekeeping continues that could not handle everything at once. */
const SOON_MS = 10_000;

interface Row extends Record<string, SqlValue> {
  id: string;
  name: string;
  state: "ready" | "deleted";
  created_at: number;
  updated_at: number;
  housekeeping_at: number | null;
}

const noSuchOrganization = failure("not-found", "There is no such organization, or none that this token may know of.");
const noSuchDatabase = failure("not-found", "There is no such database, or none that this token may know of.");
const noSuchToken = failure("not-found", "There is no such token, or none that this token may know of.");
const notRecorded = failure("unavailable", "The exchange could not be recorded. Try again.");
const noSuchJob = failure("not-found", "There is no such job, or none that this token may know of.");

/** Whether an organization was ever made in this storage. Writes nothing. */
export function isInitialized(storage: SyncStorage): boolean {
  return hasSchema(storage, ORGANIZATION_SCHEMA);
}

export class Organization {
  readonly #storage: SyncStorage;
  readonly #idempotency: IdempotencyKeys;
  readonly #tokens: Tokens;
  readonly #keyMakers: KeyMakers;
  readonly #usage: Usage;
  /** The service reads it, and `deliveries` removes messages from it. */
  readonly outbox: Outbox;
  readonly deliveries: Deliveries;
  readonly cascades: Cascades;
  readonly databases: Databases;
  readonly jobs: Jobs;
  readonly orders: JobOrders;
  readonly monitoring: Monitoring;
  readonly backupIds: BackupIds;
  readonly id: string;

  /** `setup` makes the organization if there is none. Without `setup` there must be one. */
  constructor(storage: SyncStorage, setup: OrganizationSetup | null) {
    const { sql } = storage;
    this.#storage = storage;
    this.#idempotency = new IdempotencyKeys(sql);
    this.jobs = new Jobs(sql);
    this.#tokens = new Tokens(sql);
    this.#keyMakers = new KeyMakers(sql);
    this.#usage = new Usage(sql);
    this.monitoring = new Monitoring(storage);
    this.outbox = new Outbox(sql);
    this.cascades = new Cascades(sql);
    this.backupIds = new BackupIds(sql);
    storage.transactionSync(() => {
      migrate(storage, ORGANIZATION_SCHEMA);
      if (setup !== null) this.#make(setup);
    });
    this.id = this.#row().id;
    this.databases = new Databases(sql, this.id);
    this.deliveries = new Deliveries({
      storage,
      outbox: this.outbox,
      databases: this.databases,
      jobs: this.jobs,
      backupIds: this.backupIds,
      tokens: this.#tokens,
    });
    this.orders = new JobOrders(storage, this.jobs, {
      madeBefore: (who, idempotency, now) => this.#madeBefore(who, idempotency, now),
      addDatabase: (wanted, id, filling, now) => this.#addDatabase(wanted, id, filling, now),
      added: (who, idempotency, jobId, now) => {
        this.#keepHouse(now);
        this.#remember(who, idempotency, jobId, now);
      },
    });
  }

  /** `conflict` when the organization was deleted: its id is never used again. */
  checkAlive(): Failure | undefined {
    return this.#row().state === "ready" ? undefined : failure("conflict", "The organization was deleted.");
  }

  /**
   * The gate of every command. First the caller is authenticated, then the organization that the request names is compared, then the
   * policy is asked. So a caller without a good token is told only `unauthenticated`.
   */
  admit(caller: Caller, named: string | null, command: CommandName, now: UnixMs): Admitted | Failure {
    const deleted = this.checkAlive() !== undefined;
    if (caller.kind === "deployment") return deleted ? noSuchOrganization : (refusesDeployment(command) ?? deployment);
    const token = this.#tokenOf(caller, now);
    if (isFailure(token)) return token;
    this.#tokens.noteUse(token, now);
    if (named !== null && named !== this.id) return noSuchOrganization;
    return refuses(token.scopes, command) ?? { scopes: token.scopes, name: token.id };
  }

  info(): OrganizationInfo {
    const { id, name, created_at, updated_at } = this.#row();
    return { id, name, createdAt: asUnixMs(created_at), updatedAt: asUnixMs(updated_at) };
  }

  rename(name: string, now: UnixMs): OrganizationInfo {
    this.#storage.sql.exec("UPDATE organization SET name = ?1, updated_at = ?2", name, now);
    return this.info();
  }

  /** `conflict` while there are databases. The organization's tokens end with it, and the index is told to forget it. */
  delete(now: UnixMs): { readonly deleted: true } | Failure {
    return this.#storage.transactionSync(() => {
      if (this.databases.any()) {
        return failure(
          "conflict",
          "The organization still has databases, or some that are being made or deleted. Delete them first.",
        );
      }
      this.#storage.sql.exec("UPDATE organization SET state = 'deleted', updated_at = ?1", now);
      this.outbox.add({ kind: "forget", subject: this.id }, now);
      this.monitoring.organizationDeleted();
      return { deleted: true };
    });
  }

  /**
   * The id of the new database, or of the one that the idempotency key made before; one that could not be made counts as none. The
   * database is not visible before it is ready. `noRoom`: why there is no room for another one.
   */
  createDatabase(
    who: Admitted,
    input: Input<"databases.create">,
    newId: string,
    now: UnixMs,
    noRoom: Failure | null,
  ): string | Failure {
    const { idempotency, ...wanted } = input;
    return this.#storage.transactionSync(() => {
      const made = this.#madeBefore(who, idempotency, now);
      if (isFailure(made)) return made;
      const record = made === null ? undefined : this.databases.get(made);
      if (record !== undefined && !couldNotBeMade(record)) return record.id;
      const refused = noRoom ?? this.#addDatabase(wanted, newId, null, now);
      if (refused !== undefined) return refused;
      this.#remember(who, idempotency, newId, now);
      return newId;
    });
  }

  /**
   * A database that is ready and covered by the caller's scopes. A database that does not exist and one that is not covered get the same
   * answer.
   */
  database(who: Admitted, databaseId: string): DatabaseInfo | Failure {
    if (who.scopes !== null && !coversDatabase(who.scopes, databaseId)) return noSuchDatabase;
    const record = this.databases.get(databaseId);
    return record?.state === "ready" ? databaseInfo(record) : noSuchDatabase;
  }

  updateDatabase(
    who: Admitted,
    { databaseId, name, description, feed }: Input<"databases.update">,
    now: UnixMs,
  ): DatabaseInfo | Failure {
    const database = this.database(who, databaseId);
    if (isFailure(database)) return database;
    this.#storage.transactionSync(() => {
      if (name !== null || description !== null) {
        this.databases.describe(databaseId, name ?? database.name, description ?? database.description, now);
      }
      if (feed !== null) this.databases.setFeed(databaseId, feed === "off" ? null : feed, now);
    });
    return this.database(who, databaseId);
  }

  /**
   * Removes the database from every list at once. Its job shows when its data is deleted, and when its backup is, if that is deleted too.
   * For a database that is being deleted or was deleted, the answer is the same job.
   */
  deleteDatabase(
    who: Admitted,
    { databaseId, deleteBackups }: Input<"databases.delete">,
    jobId: string,
    now: UnixMs,
  ): { readonly job: Job | null } | Failure {
    return this.#storage.transactionSync(() => {
      if (who.scopes !== null && !coversDatabase(who.scopes, databaseId)) return noSuchDatabase;
      const record = this.databases.get(databaseId);
      if (record === undefined || record.state === "creating") return noSuchDatabase;
      if (record.state === "ready") {
        this.#usage.forgetDatabase(databaseId, now);
        this.monitoring.databaseDeleted(databaseId, now);
        this.databases.beginDeletion(databaseId, jobId, now);
        this.jobs.add(jobId, "database.delete", databaseId, now);
        this.outbox.add({ kind: "wipe", subject: databaseId, deleteBackups }, now);
        this.#keepHouse(now);
      }
      return { job: this.jobs.get(record.deletionJob ?? jobId) ?? null };
    });
  }

  listDatabases(who: Admitted, { limit, cursor, ...ordering }: Input<"databases.list">) {
    return this.databases.list(who.scopes ?? EVERY_SCOPE, ordering, limit, cursor);
  }

  pageOfDatabases(who: Admitted, { limit, page, ...ordering }: Input<"databases.page">) {
    return this.databases.page(who.scopes ?? EVERY_SCOPE, ordering, limit, page);
  }

  createToken(who: Admitted, { token, scopes, idempotency }: Input<"tokens.create">, now: UnixMs): TokenInfo | Failure {
    return this.#storage.transactionSync(() => {
      // Looked up before anything is checked: a repeated request gets what was made, even when the databases are gone or the token's end
      // has come.
      const made = this.#madeBefore(who, idempotency, now);
      if (isFailure(made)) return made;
      if (made !== null)
        return this.#tokens.get(made) ?? failure("conflict", "What this Idempotency-Key made is no longer there.");
      const refused =
        checkScopes(scopes, now) ?? this.#unknownDatabase(who, scopes) ?? mintsBeyondItself(who.scopes, scopes);
      if (refused !== undefined) return refused;
      const added = this.#tokens.add(token, scopes, who.scopes === null ? null : who.name, now);
      if (isFailure(added)) return added;
      this.#remember(who, idempotency, token.id, now);
      return added;
    });
  }

  listTokens(who: Admitted, { limit, cursor }: Input<"tokens.list">) {
    return this.#tokens.list(who.scopes, limit, cursor);
  }

  /** Those that cover the database and have not ended. */
  tokensOf(databaseId: string, now: UnixMs): readonly TokenInfo[] {
    return this.#tokens.covering(databaseId, now);
  }

  /**
   * From here on the token is refused. The messages to databases that hold grants of it are in the outbox. With `minted: "revoke"`,
   * `revokeMinted` revokes the tokens that it minted.
   */
  revokeToken(who: Admitted, { tokenId, minted }: Input<"tokens.revoke">, now: UnixMs): TokenInfo | Failure {
    return this.#storage.transactionSync(() => {
      const token = this.#tokens.get(tokenId);
      if (token === undefined || (who.scopes !== null && beyond(token.scopes, who.scopes, true) !== undefined))
        return noSuchToken;
      this.#revoke(tokenId, now);
      if (minted === "revoke") {
        this.#revokeKeys(tokenId, now);
        this.cascades.begin(tokenId, now);
      }
      this.#keepHouse(now);
      return this.#tokens.get(tokenId) ?? noSuchToken;
    });
  }

  /** Carries out one bounded step of the cascades. Returns the tokens that it revoked; null when nothing is left to do. */
  revokeMinted(now: UnixMs): readonly string[] | null {
    return this.#storage.transactionSync(() => {
      const tokens = this.cascades.step(now);
      for (const tokenId of tokens ?? []) {
        this.#revoke(tokenId, now);
        this.#revokeKeys(tokenId, now);
      }
      return tokens;
    });
  }

  /** The tokens of this revocation that databases may still have to be told of. */
  undelivered({ tokenId, minted }: Input<"tokens.revoke">): readonly string[] {
    return minted === "revoke" ? [tokenId, ...this.#tokens.undeliveredUnder(tokenId)] : [tokenId];
  }

  job(who: Admitted, jobId: string): Job | Failure {
    const job = this.jobs.get(jobId);
    if (job === undefined || (who.scopes !== null && !coversDatabase(who.scopes, job.databaseId))) return noSuchJob;
    return job;
  }

  /** Cancels a job that the organization itself carries out. */
  cancelJob(who: Admitted, jobId: string): Job | Failure {
    const job = this.job(who, jobId);
    if (isFailure(job)) return job;
    return failure("conflict", job.finishedAt === null ? "A deletion cannot be cancelled." : "The job has ended.");
  }

  buckets(since: UnixMs, until: UnixMs) {
    return this.#usage.buckets(since, until);
  }

  metrics(now: UnixMs): OrganizationMetrics {
    const { healths } = this.monitoring;
    return { now, ...this.#usage.metrics(), backups: healths.metrics(), webhooks: this.monitoring.webhookTotals() };
  }

  /** Does nothing for a database that is not ready. */
  reportBackup(databaseId: string, health: BackupHealth | null, now: UnixMs): void {
    if (this.databases.get(databaseId)?.state === "ready") this.monitoring.report(databaseId, health, now);
  }

  /** Makes something with this id, unless the idempotency key made something before. Returns the id of what exists. */
  createOnce(
    who: Admitted,
    idempotency: Idempotency | null,
    now: UnixMs,
    newId: string,
    make: () => Failure | undefined,
  ): string | Failure {
    return this.#storage.transactionSync(() => {
      const made = this.#madeBefore(who, idempotency, now) ?? make();
      if (made !== undefined) return made;
      this.#remember(who, idempotency, newId, now);
      return newId;
    });
  }

  reportUsage(databaseId: string, counters: UsageCounters, usedAt: UnixMs, now: UnixMs): void {
    this.#storage.transactionSync(() => {
      this.#usage.report(databaseId, counters, usedAt, now);
      this.#keepHouse(now);
    });
  }

  /**
   * What the token allows at the database, for as long as a data token may live. The grant is recorded in the same step, so a revocation
   * reaches everybody who holds one. One record serves the exchanges of an hour. With `unrecorded` nothing is written, and the grant ends
   * with the existing record. Without a record, or shortly before it ends, that is "unavailable".
   */
  exchange(caller: TokenCaller, databaseId: string, mode: ExchangeMode, now: UnixMs): Grant | Failure {
    return this.#storage.transactionSync(() => {
      const token = this.#tokenOf(caller, now);
      if (isFailure(token)) return token;
      const { scopes } = token;
      const refused = refuses(scopes, "exchange");
      if (refused !== undefined) return refused;
      const database = this.database({ scopes, name: token.id }, databaseId);
      if (isFailure(database)) return database;
      const end = grantEnd(scopes, now);
      if (mode === "unrecorded") {
        const recorded = this.#tokens.exchangedUntil(token.id, databaseId) ?? 0;
        if (recorded < Math.min(end, now + LEAST_GRANT_MS)) return notRecorded;
        return grantOf(token, caller, database, asUnixMs(Math.min(end, recorded)));
      }
      this.#tokens.noteUse(token, now);
      this.#tokens.recordExchange(token.id, databaseId, end);
      this.#keepHouse(now);
      return grantOf(token, caller, database, end);
    });
  }

  /** A database begins a job that a client asked of it. */
  noteJob(databaseId: string, jobId: string, kind: JobKind, now: UnixMs): void {
    this.#storage.transactionSync(() => {
      if (this.jobs.get(jobId) !== undefined || this.databases.get(databaseId)?.state !== "ready") return;
      this.jobs.add(jobId, kind, databaseId, now);
      this.#keepHouse(now);
    });
  }

  /** When old records are to be removed next. null when there are none. */
  housekeepingAt(): UnixMs | null {
    const at = this.#row().housekeeping_at;
    return at === null ? null : asUnixMs(at);
  }

  /** Removes old records: once a day while the organization is used, and a last time a week later. */
  housekeep(now: UnixMs): void {
    this.#storage.transactionSync(() => {
      this.#idempotency.purge(now);
      this.jobs.purge(now);
      // A cascade needs the tokens as they are.
      const moreTokens = this.cascades.dueAt() === null && this.#tokens.purge(now);
      this.#usage.purge(now);
      this.#storage.sql.exec(
        `UPDATE organization SET housekeeping_at = CASE WHEN
           ?2 OR EXISTS (SELECT 1 FROM idempotency) OR EXISTS (SELECT 1 FROM jobs) THEN ?1 END`,
        now + (moreTokens ? SOON_MS : DAY_MS),
        this.#tokens.anyToPurge() ? 1 : 0,
      );
    });
  }

  #make(setup: OrganizationSetup): void {
    const { sql } = this.#storage;
    if (sql.exec("SELECT 1 FROM organization").toArray().length > 0) return;
    sql.exec(
      "INSERT INTO organization (one, id, name, state, created_at, updated_at) VALUES (1, ?1, ?2, 'ready', ?3, ?3)",
      setup.id,
      setup.name,
      setup.createdAt,
    );
    const added = this.#tokens.add(setup.token, EVERY_SCOPE, null, setup.createdAt);
    assert(!isFailure(added), "room for an organization's first token");
  }

  #revoke(tokenId: string, now: UnixMs): void {
    for (const { databaseId, until } of this.#tokens.revoke(tokenId, now)) {
      this.outbox.add({ kind: "revoke", subject: databaseId, tokenId, until, keysOf: null }, now);
    }
  }

  #revokeKeys(tokenId: string, now: UnixMs): void {
    // A key that the token is making meanwhile is refused by the database for so long.
    const until = asUnixMs(now + KEY_UNDER_WAY_MS);
    for (const { maker, databaseId } of this.#keyMakers.take(tokenId)) {
      this.outbox.add({ kind: "revoke", subject: databaseId, tokenId, until, keysOf: maker }, now);
    }
  }

  /** To be called before a database makes an API key for the caller. Returns why it may not. */
  noteKeyMaker(who: Admitted, databaseId: string): Failure | undefined {
    if (who.scopes === null) return undefined;
    return this.#storage.transactionSync(() => {
      // It may have been revoked since the request was admitted.
      if (this.#tokens.get(who.name)?.revokedAt !== null) {
        return failure("unauthenticated", "The access token was revoked.");
      }
      this.#keyMakers.note(who.name, databaseId);
      return undefined;
    });
  }

  #tokenOf(caller: TokenCaller, now: UnixMs): TokenInfo | Failure {
    if (this.checkAlive() !== undefined)
      return failure("unauthenticated", "The access token's organization was deleted.");
    return this.#tokens.authenticate(caller, now);
  }

  #unknownDatabase(who: Admitted, { databases }: Scopes): Failure | undefined {
    if (databases === "all") return undefined;
    const index = databases.findIndex((id) => isFailure(this.database(who, id)));
    return index === -1 ? undefined : failure("invalid", `databases[${index}]: ${noSuchDatabase.message}`);
  }

  #addDatabase(wanted: NewDatabase, id: string, filling: Filling | null, now: UnixMs): Failure | undefined {
    if (this.databases.countEver() >= MAX_DATABASES) {
      return failure("limit", `An organization has at most ${MAX_DATABASES} databases, deleted ones included.`);
    }
    this.databases.add({ ...wanted, id, organizationId: this.id, feed: null, createdAt: now, updatedAt: now });
    this.outbox.add({ kind: "initialize", subject: id, filling }, now);
    return undefined;
  }

  #madeBefore(who: Admitted, idempotency: Idempotency | null, now: UnixMs): string | null | Failure {
    return idempotency === null ? null : this.#idempotency.find(who.name, idempotency, now);
  }

  #remember(who: Admitted, idempotency: Idempotency | null, resource: string, now: UnixMs): void {
    if (idempotency === null) return;
    this.#idempotency.add(who.name, idempotency, resource, now);
    this.#keepHouse(now);
  }

  #keepHouse(now: UnixMs): void {
    this.#storage.sql.exec("UPDATE organization SET housekeeping_at = ?1 WHERE housekeeping_at IS NULL", now + DAY_MS);
  }

  #row(): Row {
    return this.#storage.sql
      .exec<Row>("SELECT id, name, state, created_at, updated_at, housekeeping_at FROM organization")
      .one();
  }
}

const deployment: Admitted = { scopes: null, name: DEPLOYMENT };
