/** An organization over real storage whose databases are kept in memory, so that tests kill and restart it between any two steps. */
import { asUnixMs, type UnixMs } from "../../../src/core/clock.ts";
import { type Failure, failure } from "../../../src/core/errors.ts";
import type {
  Caller,
  CommandName,
  DatabaseControl,
  Input,
  OrganizationSetup,
  Output,
  TokenCaller,
} from "../../../src/contracts/management.ts";
import type { Scopes } from "../../../src/contracts/resources.ts";
import type { ForkArchiveCommand, RestoreAnswer, RestoreCommand } from "../../../src/contracts/restore-commands.ts";
import type { SyncStorage } from "../../../src/core/storage.ts";
import { asVersion } from "../../../src/core/versionstamp.ts";
import { sha256 } from "../../../src/core/digest.ts";
import { Organization } from "../../../src/directory/organization.ts";
import { EVERY_SCOPE } from "../../../src/directory/scopes.ts";
import { OrganizationService } from "../../../src/directory/organization-service.ts";
import { secretBox } from "../../../src/objects/backup-wiring.ts";
import { systemEntropy } from "../../../src/objects/system.ts";
import { OrphanedArchives } from "../../../src/backup/archives/orphaned-archives.ts";
import { MemoryDestination } from "../memory-destination.ts";
import { HeldTimers } from "../held-timers.ts";
import { MovedClock, ok } from "./directory.ts";

export const ORGANIZATION_ID = "6f1b3e0a-1111-4222-8333-444455556666";

/** What one database was told. */
export interface Told {
  initialized: number;
  wiped: number;
  revoked: Map<string, UnixMs>;
  /** Tokens whose API keys were to be deleted. */
  keysOf: Set<string>;
  /** Ids of the jobs that have begun in it. */
  readonly jobs: Set<string>;
}

/** In place of going on: an object that is killed never does, and what it held in memory is left behind. */
export function killed(): Promise<void> {
  return new Promise(() => {});
}

export class TestOrganization {
  readonly clock = new MovedClock();
  readonly told = new Map<string, Told>();
  readonly forgotten: string[] = [];
  readonly root: TokenCaller;
  /** Databases that do not answer. */
  readonly outOfOrder = new Set<string>();
  /** Why databases refuse to begin jobs. */
  refusal: Failure | null = null;
  /** Called before and after a database is told or asked something: may throw, or be `killed`. */
  onStep: (when: "before" | "after", databaseId: string) => void | Promise<void> = () => {};
  /** What databases answer instead of being initialized. */
  refusing: string | null = null;
  knowsJurisdictions = true;
  /** The deployment's own place for archives. */
  readonly ownPlace = new MemoryDestination();
  /** What the endpoints of webhooks answer. */
  endpoint: (request: Request) => Promise<Response> = async () => new Response(null, { status: 204 });
  readonly timers = new HeldTimers();
  noRoom: Failure | null = null;
  /** From the next restart on. */
  encryptionKeys: string | null = `k1:${btoa("1".repeat(32))}`;
  alarmAt: UnixMs | null = null;
  organization: Organization;
  service: OrganizationService;
  readonly #storage: SyncStorage;

  private constructor(storage: SyncStorage, root: TokenCaller) {
    this.#storage = storage;
    this.root = root;
    this.organization = new Organization(storage, this.#setup());
    this.service = this.#newService();
  }

  static async make(storage: SyncStorage): Promise<TestOrganization> {
    return new TestOrganization(storage, await callerOf("root"));
  }

  /** Everything that was in memory is gone. */
  restart(): void {
    this.organization = new Organization(this.#storage, null);
    this.service = this.#newService();
  }

  run<Name extends CommandName>(name: Name, input: Input<Name>, caller: Caller = this.root): Promise<Output<Name>> {
    return this.service.run(caller, null, name, input).then(ok);
  }

  async newDatabase(): Promise<string> {
    const wishes = { name: "n", description: "d", locationHint: null, jurisdiction: null, idempotency: null };
    return (await this.run("databases.create", wishes)).id;
  }

  /** A token with these scopes, minted by the first one. */
  async newToken(tokenId: string, scopes: Partial<Scopes>): Promise<TokenCaller> {
    const caller = await callerOf(tokenId);
    const token = { id: tokenId, secretHash: caller.secretHash, signingKey: "k1", name: tokenId };
    await this.run("tokens.create", { token, scopes: { ...EVERY_SCOPE, ...scopes }, idempotency: null });
    return caller;
  }

  /** Rings the alarm whenever it is due, until nothing is for an hour. */
  async settle(): Promise<void> {
    const end = this.clock.now() + 3_600_000;
    for (let due = this.service.dueAt(); due !== null && due < end; due = this.service.dueAt()) {
      this.clock.time = asUnixMs(Math.max(this.clock.now(), due));
      await this.service.work();
    }
  }

  /** Time passes, and webhooks are told of what is due in it. */
  async passForWebhooks(ms: number): Promise<void> {
    const end = this.clock.now() + ms;
    for (;;) {
      const due = this.service.webhooks.dueAt();
      if (due === null || due > end) break;
      this.clock.time = asUnixMs(Math.max(this.clock.now(), due));
      await this.service.webhooks.work();
    }
    this.clock.time = asUnixMs(end);
  }

  toldTo(id: string): Told {
    const told = this.told.get(id) ?? {
      initialized: 0,
      wiped: 0,
      revoked: new Map(),
      keysOf: new Set(),
      jobs: new Set(),
    };
    this.told.set(id, told);
    return told;
  }

  #setup(): OrganizationSetup {
    const { tokenId, secretHash } = this.root;
    const token = { id: tokenId, secretHash, signingKey: "k1", name: "first token" };
    return { id: ORGANIZATION_ID, name: "name", createdAt: this.clock.now(), token };
  }

  #newService(): OrganizationService {
    return new OrganizationService(this.organization, {
      clock: this.clock,
      entropy: systemEntropy,
      database: (id) => this.#control(id),
      knowsJurisdictions: () => this.knowsJurisdictions,
      roomForDatabase: async () => this.noRoom,
      secrets: secretBox({ CAIRN_ENCRYPTION_KEYS: this.encryptionKeys }),
      index: () => ({ forget: async (id) => void this.forgotten.push(id) }),
      orphanedArchives: new OrphanedArchives(() => this.ownPlace),
      webhooks: {
        strict: false,
        timers: this.timers,
        fetch: (url, init) => this.endpoint(new Request(url, init)),
      },
      dueBy: (at) => {
        this.alarmAt = at;
      },
    });
  }

  #control(id: string): DatabaseControl {
    const told = this.toldTo(id);
    const step = async <T>(change: () => T): Promise<T> => {
      if (this.outOfOrder.has(id)) throw new Error("out of order");
      await this.onStep("before", id);
      const outcome = change();
      await this.onStep("after", id);
      return outcome;
    };
    return {
      initialize: async () => {
        if (this.refusing !== null) return failure("conflict", this.refusing);
        await step(() => told.initialized++);
        return { initialized: true };
      },
      revoke: (tokenId, until, keysOf) =>
        step(() => {
          told.revoked.set(tokenId, until);
          if (keysOf !== undefined) told.keysOf.add(keysOf);
        }),
      wipe: () => step(() => void told.wiped++),
      stats: () => Promise.reject(new Error("not asked here")),
      apiKeys: () => Promise.reject(new Error("not asked here")),
      keepFeed: () => Promise.reject(new Error("not asked here")),
      backup: () => Promise.reject(new Error("not asked here")),
      archives: () => Promise.reject(new Error("not asked here")),
      restore: (command) => step(() => this.#answer(id, command)),
    };
  }

  /** As a database answers: what begins a job begins it once. */
  #answer(id: string, command: RestoreCommand | ForkArchiveCommand): RestoreAnswer | Failure {
    const point = { version: asVersion(1_000), time: asUnixMs(1), clock: null, changes: null };
    switch (command.command) {
      case "resolve":
        return { ok: true, kind: "points", points: [point], next: null };
      case "restore":
      case "restore from":
      case "receive orphaned archive":
      case "verify":
        return this.#begun(id, command.jobId);
      case "fork":
      case "fork archive":
        return this.#begun(command.intoDatabaseId, command.jobId);
      case "job":
        return this.toldTo(id).jobs.has(command.jobId)
          ? runningJob(command.jobId)
          : failure("not-found", "No such job");
      default:
        throw new Error(`${command.command} is not asked here`);
    }
  }

  #begun(id: string, jobId: string): RestoreAnswer | Failure {
    const { initialized, wiped, jobs } = this.toldTo(id);
    if (initialized === 0 || wiped > 0) return failure("not-found", "There is no such database");
    if (this.refusal !== null) return this.refusal;
    if (!jobs.has(jobId) && jobs.size > 0) return failure("conflict", "Another job is running");
    jobs.add(jobId);
    return runningJob(jobId);
  }
}

function runningJob(id: string): RestoreAnswer {
  const progress = { phase: "reading", done: 1, total: 2, rate: null, error: null, finishedAt: null } as const;
  const nothing = { damagedObject: null, verification: null, outcome: null, undeleted: null };
  const about = { kind: "fork", status: "running", version: null } as const;
  return { ok: true, kind: "job", job: { id, ...about, ...progress, ...nothing, createdAt: asUnixMs(1) } };
}

export async function callerOf(tokenId: string, secret = tokenId, origin: string | null = null): Promise<TokenCaller> {
  return { kind: "token", organizationId: ORGANIZATION_ID, tokenId, secretHash: await sha256(secret), origin };
}
