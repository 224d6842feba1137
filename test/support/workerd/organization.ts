/** An organization over real storage whose databases are kept in memory, so that tests kill and restart it between any two steps. */
import { asUnixMs, type UnixMs } from "../../../src/core/clock.ts";
import { failure } from "../../../src/core/errors.ts";
import type {
  Caller,
  CommandName,
  DatabaseControl,
  Input,
  OrganizationSetup,
  Output,
  Scopes,
  TokenCaller,
} from "../../../src/core/management.ts";
import type { SyncStorage } from "../../../src/core/storage.ts";
import { sha256 } from "../../../src/directory/digest.ts";
import { EVERY_SCOPE, Organization } from "../../../src/directory/organization.ts";
import { OrganizationService } from "../../../src/directory/organization-service.ts";
import { systemEntropy } from "../../../src/objects/stubs.ts";
import { MovedClock, ok } from "./directory.ts";

export const ORGANIZATION_ID = "6f1b3e0a-1111-4222-8333-444455556666";

/** What one database was told. */
export interface Told {
  initialized: number;
  wiped: number;
  revoked: Map<string, UnixMs>;
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
  /** Called before and after a database is told something: may throw, or be `killed`. */
  onStep: (when: "before" | "after") => void | Promise<void> = () => {};
  /** What databases answer instead of being initialized. */
  refusing: string | null = null;
  knowsJurisdictions = true;
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

  toldTo(id: string): Told {
    const told = this.told.get(id) ?? { initialized: 0, wiped: 0, revoked: new Map() };
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
      index: () => ({ forget: async (id) => void this.forgotten.push(id) }),
      dueBy: (at) => {
        this.alarmAt = at;
      },
    });
  }

  #control(id: string): DatabaseControl {
    const told = this.toldTo(id);
    const step = async (change: () => void) => {
      if (this.outOfOrder.has(id)) throw new Error("out of order");
      await this.onStep("before");
      change();
      await this.onStep("after");
    };
    return {
      initialize: async () => {
        if (this.refusing !== null) return failure("conflict", this.refusing);
        await step(() => told.initialized++);
        return { initialized: true };
      },
      revoke: (tokenId, until) => step(() => told.revoked.set(tokenId, until)),
      wipe: () => step(() => told.wiped++),
      stats: () => Promise.reject(new Error("not asked here")),
      backup: () => Promise.reject(new Error("not asked here")),
      restore: () => Promise.reject(new Error("not asked here")),
    };
  }
}

export async function callerOf(tokenId: string, secret = tokenId): Promise<TokenCaller> {
  return { kind: "token", organizationId: ORGANIZATION_ID, tokenId, secretHash: await sha256(secret) };
}
