/**
 * The Durable Object of one organization: a thin shell that connects `directory/` to storage, alarm and the other objects. An object that
 * was never initialised has no schema, writes nothing and refuses every caller.
 */
import { DurableObject } from "cloudflare:workers";
import type { Grant } from "../contracts/grant.ts";
import type { BackupHealth } from "../contracts/backup-health.ts";
import type { UnixMs } from "../core/clock.ts";
import { failure, type Failure } from "../core/errors.ts";
import type {
  Caller,
  CommandName,
  ExchangeMode,
  Input,
  OrganizationSetup,
  Output,
  TokenCaller,
} from "../contracts/management.ts";
import type { TokenInfo, UsageCounters, JobKind } from "../contracts/resources.ts";
import { isInitialized, Organization } from "../directory/organization.ts";
import { noRoomForDatabase } from "../core/storage-room.ts";
import { OrganizationService } from "../directory/organization-service.ts";
import type { OrganizationParts } from "../directory/organization-parts.ts";
import { AlarmClock } from "./alarm-clock.ts";
import { orphanedArchives } from "./archive-places.ts";
import { secretBox } from "./backup-wiring.ts";
import { ClockWatch, STARTS_ANEW } from "./clock-watch.ts";
import { askDisk, DiskSpace, type Need } from "./disk-space.ts";
import type { Env } from "./env.ts";
import { ObjectTables } from "./object-tables.ts";
import type { OrganizationRole } from "./roles.ts";
import { databaseControl, knowsJurisdictions, organizationIndex } from "./stubs.ts";
import { alarmParts, systemClock, systemEntropy, systemTimers } from "./system.ts";
import { wayOut } from "./way-out.ts";

interface Open {
  readonly organization: Organization;
  readonly service: OrganizationService;
  readonly alarms: AlarmClock;
}

/** The file and the write-ahead log of a new database, before anything is stored in it. */
const DATABASE_NEED: Need = {
  bytes: 512 * 1024,
  leave: ({ reserve }) => reserve,
  refusal: noRoomForDatabase,
};

export class OrganizationObject extends DurableObject<Env> implements OrganizationRole {
  #open: Open | null = null;
  readonly #clockWatch = new ClockWatch(systemClock, () => void this.#startAnew());

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env);
    if (isInitialized(ctx.storage)) void ctx.blockConcurrencyWhile(() => this.#start(null));
  }

  async initialize(setup: OrganizationSetup): Promise<{ readonly initialized: true } | Failure> {
    if (this.#open === null) await this.ctx.blockConcurrencyWhile(() => this.#start(setup));
    return this.#open?.organization.checkAlive() ?? { initialized: true };
  }

  async run<Name extends CommandName>(
    caller: Caller,
    named: string | null,
    name: Name,
    input: Input<Name>,
    askedAt: UnixMs = systemClock.now(),
  ): Promise<Output<Name> | Failure> {
    // Databases that are asked about moments get the time from this object.
    const tellsTime = /^(forks|restores|backups)\./.test(name);
    if (!(tellsTime ? this.#clockWatch.isRight(askedAt) : this.#clockWatch.goesOn(askedAt))) return STARTS_ANEW;
    if (this.#open === null) return unknown(caller);
    this.#open.alarms.rescue();
    return this.#open.service.run(caller, named, name, input, askedAt);
  }

  async exchange(
    caller: TokenCaller,
    databaseId: string,
    mode: ExchangeMode = "recorded",
    askedAt: UnixMs = systemClock.now(),
  ): Promise<Grant | Failure> {
    if (!this.#clockWatch.goesOn(askedAt)) return STARTS_ANEW;
    if (this.#open === null) return unknown(caller);
    this.#open.alarms.rescue();
    return this.#open.service.exchange(caller, databaseId, mode, askedAt);
  }

  async reportUsage(databaseId: string, counters: UsageCounters, usedAt: UnixMs): Promise<void> {
    this.#open?.service.reportUsage(databaseId, counters, usedAt);
  }

  async reportBackup(databaseId: string, health: BackupHealth | null): Promise<void> {
    this.#open?.service.reportBackup(databaseId, health);
  }

  async noteJob(databaseId: string, jobId: string, kind: JobKind): Promise<void> {
    this.#open?.service.noteJob(databaseId, jobId, kind);
  }

  async exists(): Promise<boolean> {
    return this.#open !== null;
  }

  async tokensOf(databaseId: string): Promise<readonly TokenInfo[]> {
    return this.#open?.organization.tokensOf(databaseId, systemClock.now()) ?? [];
  }

  async tellOfArchive(eventId: string, body: string): Promise<void> {
    this.#open?.service.tellOfArchive(eventId, body);
  }

  override async alarm(info?: AlarmInvocationInfo): Promise<void> {
    await this.#open?.alarms.ring(info?.isRetry);
  }

  async #startAnew(): Promise<void> {
    await this.ctx.storage.sync();
    this.ctx.abort(STARTS_ANEW.message);
  }

  async #start(setup: OrganizationSetup | null): Promise<void> {
    const { storage } = this.ctx;
    const organization = new Organization(storage, setup);
    const disk = new DiskSpace(askDisk(this.env.DISK, systemTimers), systemClock);
    const service = new OrganizationService(organization, {
      clock: systemClock,
      entropy: systemEntropy,
      database: (id, placement) => databaseControl(this.env, id, placement),
      roomForDatabase: async () => disk.refusal(DATABASE_NEED),
      knowsJurisdictions: () => knowsJurisdictions(this.env),
      secrets: secretBox(this.env),
      webhooks: webhookParts(this.env),
      index: () => organizationIndex(this.env),
      orphanedArchives: orphanedArchives(this.env, organization.id),
      dueBy: (at) => alarms.dueBy(at),
    });
    const alarms = new AlarmClock(storage, new ObjectTables(storage), alarmParts(this.ctx.id), [
      { name: "directory", dueAt: () => service.dueAt(), run: () => service.work() },
      { name: "webhooks", dueAt: () => service.webhooks.dueAt(), run: () => service.webhooks.work() },
    ]);
    await alarms.start();
    this.#open = { organization, service, alarms };
  }
}

/** Events may go to the same places as backups, through a way out of their own. */
function webhookParts(env: Env): OrganizationParts["webhooks"] {
  return { strict: env.CAIRN_DESTINATIONS !== "any", timers: systemTimers, fetch: wayOut(env.WEBHOOKS, env) };
}

function unknown(caller: Caller): Failure {
  return caller.kind === "deployment"
    ? failure("not-found", "There is no such organization, or none that this token may know of.")
    : failure("unauthenticated", "There is no such access token.");
}
