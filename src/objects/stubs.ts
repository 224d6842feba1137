/** Finds each object. */
import { assert } from "../core/assert.ts";
import type { ApiKeyStub } from "../contracts/api-keys.ts";
import type { Grant } from "../contracts/grant.ts";
import type { DatabaseControl, DatabasePlace, IndexStub, OrganizationStub } from "../contracts/management.ts";
import type { Jurisdiction, LocationHint } from "../contracts/placement.ts";
import { type PastKeeper, pastName } from "../contracts/restore-commands.ts";
import { versionOfHex } from "../core/versionstamp.ts";
import type { Env } from "./env.ts";
import { ASKED_AT_HEADER, type DatabaseStub } from "../contracts/database.ts";
import { PastDatabase } from "./past-database.ts";
import { withPlainAnswers } from "./plain-answers.ts";
import type { DatabaseRole } from "./roles.ts";
import { systemClock } from "./system.ts";

/** The only index of the deployment. */
const INDEX_NAME = "organizations";

export function organizationStub(env: Pick<Env, "ORGANIZATIONS">, id: string): OrganizationStub {
  const object = withPlainAnswers(env.ORGANIZATIONS.getByName(id));
  return {
    initialize: (setup) => object.initialize(setup),
    run: (caller, named, name, input) => object.run(caller, named, name, input, systemClock.now()),
    exchange: (caller, databaseId, mode) => object.exchange(caller, databaseId, mode, systemClock.now()),
    reportUsage: (databaseId, counters, usedAt) => object.reportUsage(databaseId, counters, usedAt),
    reportBackup: (databaseId, health) => object.reportBackup(databaseId, health),
    noteJob: (databaseId, jobId, kind) => object.noteJob(databaseId, jobId, kind),
    exists: () => object.exists(),
    tokensOf: (databaseId) => object.tokensOf(databaseId),
    tellOfArchive: (eventId, body) => object.tellOfArchive(eventId, body),
  };
}

export function organizationIndex(env: Pick<Env, "INDEX">): IndexStub {
  return withPlainAnswers(env.INDEX.getByName(INDEX_NAME));
}

export interface Placement {
  readonly jurisdiction?: Jurisdiction | null;
  readonly locationHint?: LocationHint | null;
}

export function databaseControl(
  env: Pick<Env, "DATABASES">,
  id: string,
  { jurisdiction, locationHint }: Placement,
): DatabaseControl {
  const options = locationHint ? { locationHint } : {};
  const object = withPlainAnswers(within(env.DATABASES, jurisdiction).getByName(id, options));
  return {
    initialize: (setup) => object.initialize(setup),
    revoke: (tokenId, until, keysOf) => object.revoke(tokenId, until, keysOf),
    wipe: (wishes) => object.wipe(wishes),
    stats: () => object.stats(),
    keepFeed: (setting) => object.keepFeed(setting),
    apiKeys: (command) => object.apiKeys(command, systemClock.now()),
    backup: (command) => object.backup(command, systemClock.now()),
    archives: (command) => object.archives(command, systemClock.now()),
    restore: (command) => object.restore(command, systemClock.now()),
  };
}

/** The database's object for the data path, or the object of its past state. The grant says where it is, so no other object is asked. */
export function databaseStub(env: Pick<Env, "DATABASES">, id: string, grant: Grant): DatabaseStub {
  if (grant.at === undefined) return dataPath(granted(env, id, grant));
  const version = versionOfHex(grant.at);
  assert(version !== undefined, `the versionstamp of a commit in a grant, got ${grant.at}`);
  const state = dataPath(granted(env, pastName(id, version), grant));
  return new PastDatabase(state, pastKeeper(env, id, grant), grant, grant.at);
}

/** The database's object for the files of archives (`archiveProtocol`). The organization has admitted the caller. */
export function archiveFiles(
  env: Pick<Env, "DATABASES">,
  id: string,
  { jurisdiction }: DatabasePlace,
): (request: Request) => Promise<Response> {
  const object = within(env.DATABASES, jurisdiction).getByName(id);
  return (request) => object.fetch(request);
}

/** The database's own object, which keeps its states of the past. */
export function pastKeeper(env: Pick<Env, "DATABASES">, id: string, grant: Grant): PastKeeper {
  const object = granted(env, id, grant);
  return {
    openPast: (asked, at, room) => object.openPast(asked, at, room, systemClock.now()),
    owner: (asked) => object.owner(asked, systemClock.now()),
  };
}

/** The object of a database, for callers who show an API key whose id says where the object is. */
export function apiKeyStub(env: Pick<Env, "DATABASES">, id: string, jurisdiction: Jurisdiction | null): ApiKeyStub {
  const object = withPlainAnswers(within(env.DATABASES, jurisdiction).getByName(id));
  return { openApiKey: (keyId) => object.openApiKey(keyId, systemClock.now()) };
}

/** Each call carries the time at which it is made, because the object's own clock may stand still (`clock-watch.ts`). */
function dataPath(object: DurableObjectStub<DatabaseRole>): DatabaseStub {
  return {
    snapshotRead: (grant, request) => object.snapshotRead(grant, request, systemClock.now()),
    atomicWrite: (grant, request) => object.atomicWrite(grant, request, systemClock.now()),
    entries: (grant, command) => object.entries(grant, command, systemClock.now()),
    owner: (grant) => object.owner(grant, systemClock.now()),
    keyHistory: (grant, key, before, limit) => object.keyHistory(grant, key, before, limit, systemClock.now()),
    countEntries: (grant, range) => object.countEntries(grant, range, systemClock.now()),
    deleteEntries: (grant, range, dryRun) => object.deleteEntries(grant, range, dryRun, systemClock.now()),
    importEntries: (grant, list, overwrite) => object.importEntries(grant, list, overwrite, systemClock.now()),
    beginUndelete: (grant, range, wish) => object.beginUndelete(grant, range, wish, systemClock.now()),
    entryJob: (grant, jobId) => object.entryJob(grant, jobId, systemClock.now()),
    writeAtTurn: (grant, request, condition) => object.writeAtTurn(grant, request, condition, systemClock.now()),
    clearLevel: (grant, level) => object.clearLevel(grant, level, systemClock.now()),
    documents: (grant, request) => object.documents(grant, request, systemClock.now()),
    documentTables: (grant, command) => object.documentTables(grant, command, systemClock.now()),
    feedPage: (grant, request) => object.feedPage(grant, request, systemClock.now()),
    fetch: (request) => {
      request.headers.set(ASKED_AT_HEADER, String(systemClock.now()));
      return object.fetch(request);
    },
  };
}

function granted(env: Pick<Env, "DATABASES">, name: string, { jurisdiction }: Grant): DurableObjectStub<DatabaseRole> {
  return within(env.DATABASES, jurisdiction).getByName(name);
}

/** The objects in a jurisdiction, or those without one. */
export function within<Kind extends Rpc.DurableObjectBranded>(
  namespace: DurableObjectNamespace<Kind>,
  jurisdiction: Jurisdiction | null | undefined,
): DurableObjectNamespace<Kind> {
  return jurisdiction ? namespace.jurisdiction(jurisdiction) : namespace;
}

/** Whether the platform can keep objects in a jurisdiction. Plain workerd cannot. */
export function knowsJurisdictions(env: Pick<Env, "DATABASES">): boolean {
  try {
    env.DATABASES.jurisdiction("eu");
    return true;
  } catch {
    return false;
  }
}
