/**
 * The Worker: which request goes to which door, and what the doors are made of. Everything is put together once per isolate and
 * configuration; a request that no door knows is 404.
 */
import { asUnixMs, type Clock } from "./core/clock.ts";
import type { Authority } from "./core/authority.ts";
import { ConfiguredAuthority } from "./directory/configured-authority.ts";
import { DataTokens } from "./directory/data-token.ts";
import { signingKeys } from "./directory/signing-keys.ts";
import { kvConnectDoor } from "./doors/kv-connect/door.ts";
import type { Timers } from "./doors/kv-connect/timers.ts";
import type { Env } from "./objects/env.ts";
import type { DatabaseStub } from "./objects/interface.ts";

export { DatabaseObject } from "./objects/database-object.ts";

type Handler = (request: Request) => Promise<Response>;

const clock: Clock = { now: () => asUnixMs(Date.now()) };

const timers: Timers = {
  after(ms, callback) {
    const timer = setTimeout(callback, ms);
    return () => clearTimeout(timer);
  },
};

/** The bindings of an isolate never change, but tests give each their own. */
const handlers = new WeakMap<Env, Handler>();

export default {
  fetch(request: Request, env: Env): Promise<Response> {
    let handler = handlers.get(env);
    if (handler === undefined) handlers.set(env, (handler = compose(env)));
    return handler(request);
  },
};

function compose(env: Env): Handler {
  const database = (databaseId: string) => env.DATABASES.getByName(databaseId);
  const authority = authorityOf(env);
  if (typeof authority === "string") return async () => notConfigured(authority);
  const kvConnect = kvConnectDoor({ authority: withInitialization(authority, database), database, clock, timers });
  return (request) => kvConnect(request, pathOf(request.url)) ?? Promise.resolve(nothingHere());
}

/** Of an absolute URL, without its query. A URL object at every request is measurably slower. */
function pathOf(url: string): string {
  const from = url.indexOf("/", url.indexOf("//") + 2);
  const to = url.indexOf("?", from);
  return url.slice(from, to === -1 ? url.length : to);
}

/** The configured authority, or what is wrong with the configuration. */
function authorityOf(env: Env): Authority | string {
  const { CAIRN_DATABASE_ID: databaseId, CAIRN_ACCESS_TOKEN: accessToken } = env;
  if (databaseId === undefined || databaseId === "") return "CAIRN_DATABASE_ID is not set";
  if (accessToken === undefined || accessToken === "") return "CAIRN_ACCESS_TOKEN is not set";
  const keys = signingKeys(env.CAIRN_SIGNING_KEYS ?? "");
  if ("ok" in keys) return `CAIRN_SIGNING_KEYS: ${keys.message}`;
  return new ConfiguredAuthority({ databaseId, accessToken }, new DataTokens(keys), clock);
}

/** The configured database exists once somebody with its token asks for it; made-up ids never get this far. */
function withInitialization(
  authority: Authority,
  database: (id: string) => Pick<DatabaseStub, "initialize">,
): Authority {
  return {
    async exchange(accessToken, databaseId) {
      const exchanged = await authority.exchange(accessToken, databaseId);
      if (!("ok" in exchanged)) await database(databaseId).initialize();
      return exchanged;
    },
    verify: (dataToken, databaseId) => authority.verify(dataToken, databaseId),
  };
}

function nothingHere(): Response {
  return new Response("There is nothing at this address.\n", { status: 404 });
}

function notConfigured(what: string): Response {
  return new Response(`This deployment is not configured: ${what}\n`, { status: 500 });
}
