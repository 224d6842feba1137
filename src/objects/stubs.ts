/** Where each object is found, and the real clock, timers and randomness. */
import type { Grant } from "../core/authority.ts";
import { asUnixMs, type Clock } from "../core/clock.ts";
import type { Entropy } from "../core/entropy.ts";
import type { DatabaseControl, IndexStub, OrganizationStub } from "../core/management.ts";
import type { Jurisdiction, LocationHint } from "../core/placement.ts";
import type { Timers } from "../core/timers.ts";
import type { DirectoryEnv } from "./directory-env.ts";
import type { Env } from "./env.ts";
import type { DatabaseStub } from "./interface.ts";

export const systemClock: Clock = { now: () => asUnixMs(Date.now()) };

export const systemEntropy: Entropy = {
  bytes: (length) => crypto.getRandomValues(new Uint8Array(length)),
  uuid: () => crypto.randomUUID(),
};

export const systemTimers: Timers = {
  after(ms, callback) {
    const timer = setTimeout(callback, ms);
    return () => clearTimeout(timer);
  },
};

/** The one index of the deployment. */
const INDEX_NAME = "organizations";

export function organizationStub(env: Pick<DirectoryEnv, "ORGANIZATIONS">, id: string): OrganizationStub {
  return env.ORGANIZATIONS.getByName(id);
}

export function organizationIndex(env: Pick<DirectoryEnv, "INDEX">): IndexStub {
  return env.INDEX.getByName(INDEX_NAME);
}

export interface Placement {
  readonly jurisdiction?: Jurisdiction | null;
  readonly locationHint?: LocationHint | null;
}

export function databaseControl(
  env: Pick<DirectoryEnv, "DATABASES">,
  id: string,
  { jurisdiction, locationHint }: Placement,
): DatabaseControl {
  const namespace = jurisdiction ? env.DATABASES.jurisdiction(jurisdiction) : env.DATABASES;
  const options = locationHint ? { locationHint } : {};
  return namespace.getByName(id, options);
}

/** The same object for the data path. The grant says where it is, so nobody has to be asked. */
export function databaseStub(env: Pick<Env, "DATABASES">, id: string, { jurisdiction }: Grant): DatabaseStub {
  const namespace = jurisdiction === undefined ? env.DATABASES : env.DATABASES.jurisdiction(jurisdiction);
  return namespace.getByName(id);
}

/** Whether the platform can keep objects to a jurisdiction: plain workerd cannot. */
export function knowsJurisdictions(env: Pick<DirectoryEnv, "DATABASES">): boolean {
  try {
    env.DATABASES.jurisdiction("eu");
    return true;
  } catch {
    return false;
  }
}
