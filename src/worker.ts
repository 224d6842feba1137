/**
 * The Worker: which request goes to which door, and how the doors are built. Everything is built once per isolate and configuration. A
 * request that no door takes gets 404.
 */
import { isFailure } from "./core/errors.ts";
import type { Grant } from "./contracts/grant.ts";

import type { PublicAddress } from "./core/public-address.ts";
import { diskIsFull } from "./core/storage-room.ts";
import { isLoopback } from "./contracts/secret-text.ts";
import { AccessTokenKeys } from "./directory/access-token.ts";
import { DataTokens } from "./contracts/data-token.ts";
import { deploymentOf } from "./directory/deployment.ts";
import { DirectoryAuthority } from "./directory/directory-authority.ts";
import { ApiKeyIds } from "./contracts/api-key-id.ts";
import { verifyCallerToken } from "./documents/access/caller-token.ts";
import { DOCUMENTS_ADDRESS, documentsDoor } from "./doors/documents/door.ts";
import { KV_CONNECT_ADDRESS, kvConnectDoor } from "./doors/kv-connect/door.ts";
import { AccessGrants } from "./doors/http/access-grants.ts";
import { answeringFirst } from "./doors/http/answered-first.ts";
import { PastStates } from "./doors/http/past.ts";
import { malformedUrl, plainText } from "./doors/http/plain-text.ts";
import { Rations } from "./doors/http/ration.ts";
import { thrownCalls } from "./doors/http/thrown.ts";
import { MANAGEMENT_ADDRESS, managementDoor } from "./doors/management/door.ts";
import { BACKUPS_ADDRESS, backupsDoor } from "./doors/backups/door.ts";
import { recordsDoor } from "./doors/records/door.ts";
import { restDoor } from "./doors/rest/door.ts";
import { socketDoor } from "./doors/socket/door.ts";
import { orphanedArchiveBytes } from "./objects/archive-places.ts";
import { askDisk, DiskSpace } from "./objects/disk-space.ts";
import type { Env } from "./objects/env.ts";
import {
  apiKeyStub,
  archiveFiles,
  databaseStub,
  organizationIndex,
  organizationStub,
  pastKeeper,
} from "./objects/stubs.ts";
import { processTurns } from "./objects/database-wiring.ts";
import { acceptSocket, systemClock, systemEntropy, systemTimers } from "./objects/system.ts";

export { DatabaseObject } from "./objects/database-object.ts";
export { IndexObject } from "./objects/index-object.ts";
export { OrganizationObject } from "./objects/organization-object.ts";

type Handler = (request: Request) => Promise<Response>;

/** The bindings of an isolate never change, but each test passes its own. */
const handlers = new WeakMap<Env, Handler>();

export default {
  fetch(request: Request, env: Env): Promise<Response> {
    let handler = handlers.get(env);
    if (handler === undefined) handlers.set(env, (handler = compose(env)));
    return handler(request);
  },
};

function compose(env: Env): Handler {
  const deployment = deploymentOf(env);
  if (isFailure(deployment)) return async () => notConfigured(deployment.message);
  const { loopbackOnly, publicAddress } = deployment;
  const [clock, entropy] = [systemClock, systemEntropy];
  const accessTokens = new AccessTokenKeys(deployment, entropy);
  const dataTokens = new DataTokens(deployment.keys);
  const organization = (id: string) => organizationStub(env, id);
  const authority = new DirectoryAuthority({
    accessTokens,
    dataTokens,
    clock,
    organization,
    pastKeeper: (id, grant) => pastKeeper(env, id, grant),
  });
  const disk = new DiskSpace(askDisk(env.DISK, systemTimers), clock);
  const noRoom = () => disk.refusalNow({ bytes: 0, leave: ({ reserve }) => reserve, refusal: diskIsFull });
  const failureOfThrown = thrownCalls({ clock, noRoom });
  const database = (id: string, grant: Grant) => databaseStub(env, id, grant);
  const answeredFirst = answeringFirst(systemTimers, (bytes) => new FixedLengthStream(bytes));
  const kvConnect = kvConnectDoor({
    authority,
    database,
    clock,
    timers: systemTimers,
    publicAddress,
    failureOfThrown,
  });
  const socket = socketDoor({
    authority,
    database,
    clock,
    timers: systemTimers,
    failureOfThrown,
    accept: acceptSocket,
  });
  const gate = { authority, accessGrants: new AccessGrants(authority, clock) };
  const pasts = new PastStates({
    database,
    pastKeeper: (id, grant) => pastKeeper(env, id, grant),
    clock,
    timers: systemTimers,
  });
  const rations = new Rations({ clock, timers: systemTimers, turns: processTurns });
  const dataDoors = { gate, pasts, rations, database, clock, timers: systemTimers, failureOfThrown };
  const rest = restDoor(dataDoors);
  const records = recordsDoor(dataDoors);
  const documents = documentsDoor({
    ...dataDoors,
    apiKeyIds: new ApiKeyIds(deployment.keys),
    apiKeys: (id, jurisdiction) => apiKeyStub(env, id, jurisdiction),
    verifyToken: verifyCallerToken,
    entropy,
  });
  const backups = backupsDoor({
    accessTokens,
    clock,
    timers: systemTimers,
    failureOfThrown,
    organization,
    files: (id, place) => archiveFiles(env, id, place),
  });
  const management = managementDoor({
    accessTokens,
    clock,
    timers: systemTimers,
    entropy,
    publicAddress,
    failureOfThrown,
    organization,
    index: () => organizationIndex(env),
    orphanedArchiveBytes: (organizationId, archive, range) => orphanedArchiveBytes(env, organizationId, archive, range),
  });
  return (request) => {
    const { url } = request;
    if (loopbackOnly !== null && !leadsToLoopback(url, publicAddress)) {
      return Promise.resolve(notConfigured(loopbackOnly.message));
    }
    const path = pathOf(url);
    const other = () => (URL.canParse(url) ? management(request, path) : Promise.resolve(malformedUrl()));
    const answer =
      kvConnect(request, path) ??
      socket(request, path) ??
      rest(request, path) ??
      records(request, path) ??
      documents(request, path) ??
      (URL.canParse(url) ? backups(request, path) : undefined) ??
      other() ??
      Promise.resolve(nothingHere());
    return answer.then((settled) => answeredFirst(request, settled));
  };
}

/** The path of an absolute URL, without its query. Making a URL object for every request is measurably slower. */
function pathOf(url: string): string {
  const from = url.indexOf("/", url.indexOf("//") + 2);
  const to = url.indexOf("?", from);
  return url.slice(from, to === -1 ? url.length : to);
}

/** Whether the names in the addresses lead to this machine only. */
function leadsToLoopback(url: string, address: PublicAddress): boolean {
  return [url, address.url ?? url].every((one) => URL.canParse(one) && isLoopback(new URL(one).hostname));
}

function nothingHere(): Response {
  return plainText(
    404,
    `There is nothing at this address. ${KV_CONNECT_ADDRESS} ${DOCUMENTS_ADDRESS} ${BACKUPS_ADDRESS} ${MANAGEMENT_ADDRESS}\n`,
  );
}

function notConfigured(what: string): Response {
  return plainText(500, `This deployment is not configured: ${what}\n`);
}
