/** The Durable Object that lists the deployment's organizations. There is one, and only requests about that list reach it. */
import { DurableObject } from "cloudflare:workers";
import type { Failure } from "../core/errors.ts";
import type { Caller, CreatedOrganization, NewOrganization } from "../contracts/management.ts";
import type { Page } from "../contracts/resources.ts";
import { OrganizationIndex } from "../directory/organization-index.ts";
import { AlarmClock } from "./alarm-clock.ts";
import type { Env } from "./env.ts";
import { ObjectTables } from "./object-tables.ts";
import type { IndexRole } from "./roles.ts";
import { organizationStub } from "./stubs.ts";
import { alarmParts, systemClock } from "./system.ts";

export class IndexObject extends DurableObject<Env> implements IndexRole {
  readonly #index: OrganizationIndex;
  readonly #alarms: AlarmClock;

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env);
    const index = new OrganizationIndex(ctx.storage, {
      clock: systemClock,
      organization: (id) => organizationStub(env, id),
      dueBy: (at) => this.#alarms.dueBy(at),
    });
    this.#index = index;
    this.#alarms = new AlarmClock(ctx.storage, new ObjectTables(ctx.storage), alarmParts(ctx.id), [
      { name: "organizations", dueAt: () => index.dueAt(), run: () => index.work() },
    ]);
    void ctx.blockConcurrencyWhile(() => this.#alarms.start());
  }

  async create(caller: Caller, organization: NewOrganization): Promise<CreatedOrganization | Failure> {
    this.#alarms.rescue();
    return this.#index.create(caller, organization);
  }

  async list(caller: Caller, limit: number, cursor: string | null): Promise<Page<string> | Failure> {
    this.#alarms.rescue();
    return this.#index.list(caller, limit, cursor);
  }

  async forget(organizationId: string): Promise<void> {
    await this.#index.forget(organizationId);
  }

  override async alarm(info?: AlarmInvocationInfo): Promise<void> {
    await this.#alarms.ring(info?.isRetry);
  }
}
