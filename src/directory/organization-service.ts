/**
 * An organization at work: it answers commands, and delivers what it decided to databases and to the index. The request that caused a
 * message delivers it at once. The alarm delivers it again until it has arrived. Delivery is idempotent.
 */
import type { Grant } from "../contracts/grant.ts";
import type { BackupHealth } from "../contracts/backup-health.ts";
import { earliest, type UnixMs } from "../core/clock.ts";
import { failure, type Failure, isFailure } from "../core/errors.ts";
import type { Idempotency } from "../contracts/idempotency.ts";
import type {
  Caller,
  CommandName,
  Commands,
  ExchangeMode,
  Input,
  Output,
  TokenCaller,
} from "../contracts/management.ts";
import type { UsageCounters, JobKind } from "../contracts/resources.ts";
import { isMarked, storageCodeOf } from "../contracts/platform-marks.ts";
import { ApiKeyService } from "./api-key-service.ts";
import { ArchiveRequests } from "./archive-requests.ts";
import { BackupService } from "./backup-service.ts";
import { couldNotBeMade } from "./databases.ts";
import type { NotDelivered } from "./deliveries.ts";
import type { Organization } from "./organization.ts";
import type { Admitted } from "./scopes.ts";
import type { Delivery, Message } from "./outbox.ts";
import { OrphanedArchiveRequests } from "./orphaned-archive-requests.ts";
import { RestoreCommands } from "./restore-requests.ts";
import { WebhookService } from "./webhook-service.ts";
import type { OrganizationParts } from "./organization-parts.ts";

/** At most this many objects are called at the same time. */
const CONCURRENT_DELIVERIES = 6;

type Handlers = {
  readonly [Name in CommandName]: (
    who: Admitted,
    input: Input<Name>,
  ) => Output<Name> | Failure | Promise<Output<Name> | Failure>;
};

export class OrganizationService {
  readonly #organization: Organization;
  readonly #parts: OrganizationParts;
  readonly #handlers: Handlers;
  /** Works by itself, so that a slow endpoint delays nothing else. */
  readonly webhooks: WebhookService;
  readonly #restores: RestoreCommands;
  /** Deliveries under way, by the ids of their messages. */
  readonly #underWay = new Map<number, Promise<NotDelivered | undefined>>();
  /** The last change of a database's feed that is under way, by the database's id. */
  readonly #feedChanges = new Map<string, Promise<void>>();

  constructor(organization: Organization, parts: OrganizationParts) {
    this.#organization = organization;
    this.#parts = parts;
    const now = () => parts.clock.now();
    const backups = new BackupService(organization, parts);
    const keys = new ApiKeyService(organization, parts);
    const webhooks = new WebhookService(organization, parts);
    this.webhooks = webhooks;
    const restores = new RestoreCommands(organization, parts, (id, idempotency) => this.#tellNew(id, idempotency));
    this.#restores = restores;
    const archives = new ArchiveRequests(organization, parts, restores);
    const orphanedArchives = new OrphanedArchiveRequests(organization.databases, parts.orphanedArchives, restores);
    this.#handlers = {
      "organization.get": () => organization.info(),
      "organization.rename": (_, { name }) => organization.rename(name, now()),
      "organization.delete": () => this.#deleteOrganization(),
      "databases.create": (who, input) => this.#createDatabase(who, input),
      "databases.list": (who, input) => organization.listDatabases(who, input),
      "databases.page": (who, input) => organization.pageOfDatabases(who, input),
      "databases.get": (who, { databaseId }) => organization.database(who, databaseId),
      "databases.update": (who, input) => this.#updateDatabase(who, input),
      "databases.delete": async (who, input) => {
        const deletion = await this.#deleteDatabase(who, input);
        if (isFailure(deletion) || deletion.job === null) return deletion;
        const job = await restores.job(who, deletion.job.id);
        return isFailure(job) ? job : { job };
      },
      "databases.stats": (who, { databaseId }) => this.#stats(who, databaseId),
      "keys.create": (who, input) => keys.create(who, input),
      "keys.list": (who, input) => keys.list(who, input),
      "keys.get": (who, input) => keys.get(who, input),
      "keys.delete": (who, input) => keys.delete(who, input),
      "backups.enable": (who, input) => backups.enable(who, input),
      "backups.get": (who, { databaseId }) => backups.get(who, databaseId),
      "backups.find": (who, { backupId }) => backups.find(who, backupId),
      "backups.delete": (who, { backupId }) => backups.delete(who, backupId),
      "backups.pause": (who, input) => backups.pause(who, input),
      "backups.rotate": (who, input) => backups.rotate(who, input),
      "backups.verifyEvery": (who, input) => backups.verifyEvery(who, input),
      "backups.range": (who, input) => restores.range(who, input),
      "backups.points": (who, input) => restores.points(who, input),
      "backups.verify": (who, input) => restores.verify(who, input),
      "restores.create": (who, input) => restores.inPlace(who, input),
      "forks.create": (who, input) => restores.fork(who, input),
      "restores.createFromBucket": (who, input) => restores.fromBucket(who, input),
      "archives.create": (who, input) => archives.create(who, input),
      "archives.list": (who, input) => archives.list(who, input),
      "archives.get": (who, input) => archives.get(who, input),
      "archives.cancel": (who, input) => archives.cancel(who, input),
      "archives.destroy": (who, input) => archives.destroy(who, input),
      "archives.verify": (who, input) => archives.verify(who, input),
      "archives.restore": (who, input) => archives.restore(who, input),
      "archives.fork": (who, input) => archives.fork(who, input),
      "archives.download": (who, { databaseId }) => archives.place(who, databaseId),
      "archives.upload": (who, { databaseId }) => archives.place(who, databaseId),
      "orphanedArchives.list": (_, input) => orphanedArchives.list(input),
      "orphanedArchives.get": (_, input) => orphanedArchives.get(input),
      "orphanedArchives.fork": (who, input) => orphanedArchives.fork(who, input),
      "orphanedArchives.destroy": (_, input) => orphanedArchives.destroy(input),
      "archiveSchedule.get": (who, input) => archives.schedule(who, input),
      "archiveSchedule.update": (who, input) => archives.setSchedule(who, input),
      "archiveDestinations.list": (who, input) => archives.destinations(who, input),
      "archiveDestinations.get": (who, input) => archives.destination(who, input),
      "archiveDestinations.create": (who, input) => archives.addDestination(who, input),
      "archiveDestinations.update": (who, input) => archives.changeDestination(who, input),
      "archiveDestinations.destroy": (who, input) => archives.removeDestination(who, input),
      "archiveDestinations.test": (who, input) => archives.testDestination(who, input),
      "tokens.create": (who, input) => organization.createToken(who, input, now()),
      "tokens.list": (who, input) => organization.listTokens(who, input),
      "tokens.revoke": (who, input) => this.#revokeToken(who, input),
      "webhooks.create": (who, input) => webhooks.create(who, input),
      "webhooks.list": () => webhooks.list(),
      "webhooks.get": (_, input) => webhooks.get(input),
      "webhooks.update": (_, input) => webhooks.update(input),
      "webhooks.delete": (_, input) => webhooks.delete(input),
      "webhooks.rotateSecret": (_, input) => webhooks.rotateSecret(input),
      "webhooks.test": (_, input) => webhooks.test(input),
      "webhooks.deliveries": (_, input) => webhooks.deliveries(input),
      "jobs.get": (who, { jobId }) => restores.job(who, jobId),
      "jobs.cancel": (who, { jobId }) => restores.cancel(who, jobId),
      "analytics.get": (_, { since, until }) => ({ buckets: organization.buckets(since, until) }),
      "metrics.get": () => organization.metrics(now()),
    };
  }

  /** `askedAt`: the time by the clock of the side that verified the caller's token. It decides whether the token has expired. */
  async run<Name extends CommandName>(
    caller: Caller,
    named: string | null,
    name: Name,
    input: Commands[Name]["input"],
    askedAt: UnixMs = this.#now(),
  ): Promise<Output<Name> | Failure> {
    const who = this.#organization.admit(caller, named, name, askedAt);
    if (isFailure(who)) return who;
    const answer = await this.#handlers[name](who, input);
    this.#setAlarm();
    return answer;
  }

  exchange(
    caller: TokenCaller,
    databaseId: string,
    mode: ExchangeMode = "recorded",
    askedAt: UnixMs = this.#now(),
  ): Grant | Failure {
    const grant = this.#organization.exchange(caller, databaseId, mode, askedAt);
    if (mode === "recorded") this.#setAlarm();
    return grant;
  }

  reportUsage(databaseId: string, counters: UsageCounters, usedAt: UnixMs): void {
    this.#organization.reportUsage(databaseId, counters, usedAt, this.#now());
    this.#setAlarm();
  }

  noteJob(databaseId: string, jobId: string, kind: JobKind): void {
    this.#organization.noteJob(databaseId, jobId, kind, this.#now());
    this.#setAlarm();
  }

  tellOfArchive(eventId: string, body: string): void {
    this.webhooks.tellOfArchive(eventId, body);
    this.#setAlarm();
  }

  reportBackup(databaseId: string, health: BackupHealth | null): void {
    this.#organization.reportBackup(databaseId, health, this.#now());
    this.#setAlarm();
  }

  /** When the alarm is needed next. */
  dueAt(): UnixMs | null {
    const { outbox, cascades } = this.#organization;
    return earliest([outbox.dueAt(), cascades.dueAt(), this.#organization.housekeepingAt()]);
  }

  /** Does what is due: a step of a cascade, a batch of deliveries, and the removal of old records. */
  async work(): Promise<void> {
    const cascadesAt = this.#organization.cascades.dueAt();
    if (cascadesAt !== null && cascadesAt <= this.#now()) await this.#carryCascadeOn();
    await this.#deliver(this.#organization.outbox.due(this.#now()));
    const housekeepingAt = this.#organization.housekeepingAt();
    if (housekeepingAt !== null && housekeepingAt <= this.#now()) this.#organization.housekeep(this.#now());
  }

  async #createDatabase(
    who: Admitted,
    input: Input<"databases.create">,
  ): Promise<Output<"databases.create"> | Failure> {
    if (input.jurisdiction !== null && !this.#parts.knowsJurisdictions()) {
      return failure("unsupported", "This deployment cannot keep a database to a jurisdiction: leave it out.");
    }
    const noRoom = await this.#parts.roomForDatabase();
    const id = this.#organization.createDatabase(who, input, this.#parts.entropy.uuid(), this.#now(), noRoom);
    if (isFailure(id)) return id;
    const notReady = await this.#tellNew(id, input.idempotency);
    const database = this.#organization.database(who, id);
    if (!isFailure(database)) return database;
    return notReady ?? failure("conflict", "What this Idempotency-Key made has been deleted.");
  }

  /**
   * Tells a new database's object its setup, and has it filled if it is to be. Returns why the database is not ready, unless it was
   * deleted since.
   */
  async #tellNew(databaseId: string, idempotency: Idempotency | null): Promise<Failure | undefined> {
    this.#setAlarm();
    const [failed] = await this.#deliver(this.#organization.outbox.ofSubject(databaseId));
    if (failed?.refused?.by === "fill" || failed?.refused?.by === "deaths") return failed.refused.why;
    const record = this.#organization.databases.get(databaseId);
    if (record?.state === "creating") {
      return failure(
        "unavailable",
        idempotency === null
          ? "The database is being made and will appear in the list. The same request again makes another one."
          : "The database is being made and will appear. The same request with the same Idempotency-Key answers with it.",
      );
    }
    if (record === undefined || !couldNotBeMade(record)) return undefined;
    return failure(
      "unavailable",
      "The database could not be made, and nothing of it is left. Send the same request again.",
    );
  }

  async #updateDatabase(
    who: Admitted,
    input: Input<"databases.update">,
  ): Promise<Output<"databases.update"> | Failure> {
    const { databaseId, feed } = input;
    if (feed === null) return this.#organization.updateDatabase(who, input, this.#now());
    // Changes are made in the order in which they were asked for, so that the record says what the database does.
    const before = this.#feedChanges.get(databaseId);
    const change = (async () => {
      await before;
      const database = this.#organization.database(who, databaseId);
      if (isFailure(database)) return database;
      const answer = await this.#parts.database(databaseId, database).keepFeed(feed === "off" ? null : feed);
      return answer.ok ? this.#organization.updateDatabase(who, input, this.#now()) : answer;
    })();
    const ended = change.then(
      () => undefined,
      () => undefined,
    );
    this.#feedChanges.set(databaseId, ended);
    try {
      return await change;
    } finally {
      if (this.#feedChanges.get(databaseId) === ended) this.#feedChanges.delete(databaseId);
    }
  }

  async #deleteDatabase(
    who: Admitted,
    input: Input<"databases.delete">,
  ): Promise<Output<"databases.delete"> | Failure> {
    const begun = this.#organization.deleteDatabase(who, input, this.#parts.entropy.uuid(), this.#now());
    if (isFailure(begun) || begun.job === null) return begun;
    this.#setAlarm();
    await this.#deliver(this.#organization.outbox.ofSubject(input.databaseId));
    return begun;
  }

  async #deleteOrganization(): Promise<Output<"organization.delete"> | Failure> {
    const deleted = this.#organization.delete(this.#now());
    if (isFailure(deleted)) return deleted;
    this.#setAlarm();
    await this.#deliver(this.#organization.outbox.ofSubject(this.#organization.id));
    return deleted;
  }

  /** Answers when every database that may hold grants of the token, or of tokens that are revoked with it, refuses them. */
  async #revokeToken(who: Admitted, input: Input<"tokens.revoke">): Promise<Output<"tokens.revoke"> | Failure> {
    const token = this.#organization.revokeToken(who, input, this.#now());
    if (isFailure(token)) return token;
    this.#setAlarm();
    const { outbox } = this.#organization;
    // Minted tokens are refused here before databases are told, so this holds even when a database cannot be told.
    while ((await this.#carryCascadeOn()) !== null);
    for (const tokenId of this.#organization.undelivered(input)) {
      for (let waiting = outbox.ofToken(tokenId); waiting.length > 0; waiting = outbox.ofToken(tokenId)) {
        const failed = await this.#deliver(waiting);
        if (failed.length > 0) {
          return failure(
            "unavailable",
            "The tokens are revoked and open nothing any more, but a database that one of them had opened could not be told yet. Cairn goes on trying; the same request answers when the database was told.",
          );
        }
      }
    }
    return token;
  }

  /** Carries out one step, and tells the databases of it. null: nothing was left to do. */
  async #carryCascadeOn(): Promise<readonly string[] | null> {
    const revoked = this.#organization.revokeMinted(this.#now());
    await this.#deliver((revoked ?? []).flatMap((tokenId) => this.#organization.outbox.ofToken(tokenId)));
    return revoked;
  }

  async #stats(who: Admitted, databaseId: string): Promise<Output<"databases.stats"> | Failure> {
    const database = this.#organization.database(who, databaseId);
    return isFailure(database) ? database : this.#parts.database(databaseId, database).stats();
  }

  /**
   * Returns the messages that did not arrive. A message that was being delivered when the object died is sent last and alone, because it
   * may be the cause.
   */
  async #deliver(deliveries: readonly Delivery[]): Promise<readonly NotDelivered[]> {
    const failed: NotDelivered[] = [];
    const deliverAll = async (queue: Iterable<Delivery>) => {
      for (const delivery of queue) {
        const outcome = await this.#deliverOne(delivery);
        if (outcome !== undefined) failed.push(outcome);
      }
    };
    const suspects = deliveries.filter(({ begun }) => begun > 0);
    const others = deliveries.filter(({ begun }) => begun === 0);
    const queue = others.values();
    const deliverers = Math.min(CONCURRENT_DELIVERIES, others.length);
    await Promise.all(Array.from({ length: deliverers }, () => deliverAll(queue)));
    await deliverAll(suspects);
    return failed;
  }

  /** Delivers a message only once at a time, however many calls ask for that. */
  #deliverOne({ id }: Delivery): Promise<NotDelivered | undefined> {
    const underWay = this.#underWay.get(id);
    if (underWay !== undefined) return underWay;
    const attempt = this.#attempt(id).finally(() => this.#underWay.delete(id));
    this.#underWay.set(id, attempt);
    return attempt;
  }

  async #attempt(id: number): Promise<NotDelivered | undefined> {
    // Read again, because the message may have arrived meanwhile.
    const delivery = this.#organization.outbox.get(id);
    if (delivery === undefined) return undefined;
    const { deliveries } = this.#organization;
    const heldBack = deliveries.begin(delivery, this.#now());
    if (heldBack !== undefined) {
      const { kind, subject } = delivery.message;
      console.error(`organization ${this.#organization.id}, message "${kind}" to ${subject}: ${heldBack.error}`);
      return heldBack;
    }
    const why = await this.#tell(delivery.message).catch((thrown: unknown): NotDelivered => ({
      refused: null,
      error: String(thrown),
      died: isMarked(thrown, "durableObjectReset") && storageCodeOf(thrown) === null,
    }));
    if (why === undefined) deliveries.arrived(delivery, this.#now());
    else deliveries.failed(delivery, why, this.#now());
    return why;
  }

  async #tell(message: Message): Promise<NotDelivered | undefined> {
    if (message.kind === "forget") {
      await this.#parts.index().forget(message.subject);
      return undefined;
    }
    const record = this.#organization.databases.get(message.subject);
    const placement = { jurisdiction: record?.jurisdiction ?? null, locationHint: record?.locationHint ?? null };
    const database = this.#parts.database(message.subject, placement);
    switch (message.kind) {
      case "initialize": {
        const { jurisdiction } = placement;
        const setup = { organizationId: this.#organization.id, databaseId: message.subject, jurisdiction };
        const answer = await database.initialize(setup);
        if (isFailure(answer)) return refused("initialize", answer);
        const why = message.filling === null ? undefined : await this.#restores.fill(message.subject, message.filling);
        return why === undefined ? undefined : refused("fill", why);
      }
      case "revoke":
        await database.revoke(message.tokenId, message.until, message.keysOf ?? undefined);
        return undefined;
      case "wipe":
        await database.wipe({ deleteBackups: message.deleteBackups });
        return undefined;
    }
  }

  #setAlarm(): void {
    const due = earliest([this.dueAt(), this.webhooks.dueAt()]);
    if (due !== null) this.#parts.dueBy(due);
  }

  #now(): UnixMs {
    return this.#parts.clock.now();
  }
}

function refused(by: "initialize" | "fill", why: Failure): NotDelivered {
  return { refused: { by, why }, error: why.message, died: false };
}
