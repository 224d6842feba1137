/** What the directory's tests share: keys, a context of the management doors over the real objects, and a clock that is moved. */
import { env } from "cloudflare:workers";
import { runInDurableObject } from "cloudflare:test";
import type { Authority, DataToken } from "../../../src/contracts/authority.ts";
import { asUnixMs, type Clock, type UnixMs } from "../../../src/core/clock.ts";
import { type Failure, isFailure } from "../../../src/core/errors.ts";

import type { SyncStorage } from "../../../src/core/storage.ts";
import { AccessTokenKeys } from "../../../src/directory/access-token.ts";
import { DataTokens } from "../../../src/contracts/data-token.ts";
import type { TokenAlias } from "../../../src/directory/deployment.ts";
import { signingKeys, type SigningKeys } from "../../../src/contracts/signing-keys.ts";
import type { ManagementContext } from "../../../src/doors/management/context.ts";
import { thrownCalls } from "../../../src/doors/http/thrown.ts";
import { managementDoor } from "../../../src/doors/management/door.ts";
import { orphanedArchiveBytes } from "../../../src/objects/archive-places.ts";
import type { Env } from "../../../src/objects/env.ts";
import { organizationIndex, organizationStub } from "../../../src/objects/stubs.ts";
import { systemClock, systemEntropy, systemTimers } from "../../../src/objects/system.ts";
import type { FakeDatabaseObject } from "./directory-worker.ts";

interface TestEnv extends Omit<Env, "DATABASES"> {
  readonly DATABASES: DurableObjectNamespace<FakeDatabaseObject>;
}

// The bindings of test/support/workerd/directory.wrangler.toml.
export const bindings = env as unknown as TestEnv;

// Only the class of the databases' objects differs, and no part that takes this asks them.
const everyBinding = env as unknown as Env;

export const DEPLOYMENT_TOKEN = "deployment-token-of-the-tests";

export function keysOf(...names: string[]): SigningKeys {
  return ok(signingKeys(names.map((name) => `${name}:${btoa(name.padEnd(32, "."))}`).join(",")));
}

export function accessTokenKeys(keys: SigningKeys, alias: TokenAlias | null = null): AccessTokenKeys {
  return new AccessTokenKeys({ keys, deploymentTokens: [DEPLOYMENT_TOKEN], alias }, systemEntropy);
}

export const accessTokens = accessTokenKeys(keysOf("k1"));
export const dataTokens = new DataTokens(keysOf("k1"));

export const context: ManagementContext = {
  accessTokens,
  clock: systemClock,
  timers: systemTimers,
  entropy: systemEntropy,
  publicAddress: { url: null, trustsProxy: false },
  failureOfThrown: thrownCalls({ clock: systemClock, noRoom: async () => null }),
  organization: (id) => organizationStub(bindings, id),
  index: () => organizationIndex(bindings),
  orphanedArchiveBytes: (organizationId, archive, range) =>
    orphanedArchiveBytes(everyBinding, organizationId, archive, range),
};

const door = managementDoor(context);

export class MovedClock implements Clock {
  time: UnixMs;

  constructor(time = 1_800_000_000_000) {
    this.time = asUnixMs(time);
  }

  now(): UnixMs {
    return this.time;
  }

  pass(ms: number): void {
    this.time = asUnixMs(this.time + ms);
  }
}

export function ok<T>(value: T | Failure): T {
  if (isFailure(value)) throw new Error(JSON.stringify(value));
  return value;
}

/** As the door of KV Connect does it, for a program that is no web page. */
export async function exchangeToken(
  authority: Authority,
  accessToken: string,
  databaseId: string,
  moment?: string,
): Promise<DataToken | Failure> {
  const caller = await authority.caller(accessToken, null);
  return isFailure(caller) ? caller : authority.exchange(caller, databaseId, moment);
}

/** Runs with the storage of an object of its own. */
export async function withStorage(run: (storage: SyncStorage) => void | Promise<void>): Promise<void> {
  const stub = bindings.DATABASES.getByName(crypto.randomUUID());
  await runInDurableObject(stub, async (_, state) => run(state.storage));
}

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  /** As JSON when it is JSON, otherwise as text. */
  // What an answer holds is what the tests are about.
  // oxlint-disable-next-line typescript/no-explicit-any
  readonly body: any;
}

export interface Sending {
  readonly token?: string | null;
  readonly body?: unknown;
  readonly headers?: Record<string, string>;
}

/** Sends to the management doors, as the Worker does. */
export async function send(method: string, path: string, { token, body, headers }: Sending = {}): Promise<Answer> {
  const request = new Request(`https://cairn.test${path}`, {
    method,
    headers: { ...(token ? { authorization: `Bearer ${token}` } : {}), ...headers },
    ...(body === undefined
      ? {}
      : { body: typeof body === "string" || body instanceof Uint8Array ? body : JSON.stringify(body) }),
  });
  const response = await door(request, new URL(request.url).pathname);
  if (response === undefined) throw new Error(`${path} is no path of the management doors`);
  const text = await response.text();
  const isJson = response.headers.get("content-type")?.includes("json") === true && text !== "";
  const answer: Answer = { status: response.status, headers: response.headers, body: isJson ? JSON.parse(text) : text };
  if (answer.status >= 400 && method !== "HEAD") expectOurWords(answer.body.detail ?? answer.body.message);
  return answer;
}

/** Every error is a sentence of ours, with one full stop at its end: not the validator's, and not the runtime's. */
function expectOurWords(said: unknown): void {
  const theirs =
    /Invalid input|Invalid option|Invalid discriminator|expected \w+, received|Too (big|small): |Unrecognized key|\[object/;
  if (typeof said === "string" && /[^.…][.?!…]$/.test(said) && !theirs.test(said)) return;
  throw new Error(`not a sentence of ours: ${JSON.stringify(said)}`);
}

export interface Tenant {
  readonly organizationId: string;
  readonly token: string;
  readonly tokenId: string;
}

export async function newTenant(name = "tenant"): Promise<Tenant> {
  const { body } = await send("POST", "/api/organizations", { token: DEPLOYMENT_TOKEN, body: { name } });
  return { organizationId: body.organization.id, token: body.token, tokenId: body.tokenId };
}

export async function newDatabase(tenant: Tenant, name = "database"): Promise<string> {
  const path = `/api/organizations/${tenant.organizationId}/databases`;
  return (await send("POST", path, { token: tenant.token, body: { name } })).body.id;
}

/** A token minted with the tenant's first one. */
export async function newToken(
  tenant: Tenant,
  scopes: Record<string, unknown>,
): Promise<{ id: string; token: string }> {
  const path = `/api/organizations/${tenant.organizationId}/tokens`;
  const body = { name: "token", permissions: ["read"], databases: "all", ...scopes };
  const answer = await send("POST", path, { token: tenant.token, body });
  if (answer.status !== 201) throw new Error(JSON.stringify(answer.body));
  return answer.body;
}
