/**
 * /v1: the Deno Deploy Subhosting API v1, as far as it concerns organizations and databases, so that its programs and its SDK work with
 * another base URL. Success is always 200. An error is `{code, message}`.
 */
import { failure, type Failure, isFailure } from "../../../core/errors.ts";
import type { Caller } from "../../../contracts/management.ts";
import { DEFAULT_BACKUP_TIMES } from "../../../contracts/backup-commands.ts";
import { answerOptions, methodsTaken } from "../../http/cors.ts";
import { linkOrigin } from "../../http/public-url.ts";
import { ask, callerOf } from "../../http/directory.ts";
import { failureOfLost, readBody, type ManagementContext } from "../context.ts";
import { descriptionOf, destinationOf, pageQuery, timeRange } from "./input.ts";
import { analyticsJson, backupJson, databaseJson, errorResponse, linkHeader, organizationJson } from "./wire.ts";

interface Call {
  readonly context: ManagementContext;
  readonly caller: Caller;
  readonly request: Request;
  readonly url: URL;
  /** The text of the path's one variable part. */
  readonly id: string;
}

export interface V1Route {
  readonly method: "GET" | "POST" | "PATCH" | "DELETE";
  /** `:id` stands for the one variable part. */
  readonly path: string;
  readonly answer: (call: Call) => Promise<Response | Failure>;
}

export const V1_ROUTES: readonly V1Route[] = [
  {
    method: "GET",
    path: "/v1/organizations/:id",
    async answer({ context, caller, id }) {
      const organization = await ask(context, caller, id, "organization.get", null);
      return isFailure(organization) ? organization : Response.json(organizationJson(organization));
    },
  },
  {
    method: "GET",
    path: "/v1/organizations/:id/databases",
    async answer({ context, caller, request, id, url }) {
      const query = pageQuery(url.searchParams);
      if (isFailure(query)) return query;
      const page = await ask(context, caller, id, "databases.page", query);
      if (isFailure(page)) return page;
      const headers = { link: linkHeader(url, linkOrigin(request, context.publicAddress), query, page.total) };
      return Response.json(page.items.map(databaseJson), { headers });
    },
  },
  {
    method: "POST",
    path: "/v1/organizations/:id/databases",
    async answer({ context, caller, id, request }) {
      const body = await bodyWithDescription(request, context);
      if (isFailure(body)) return body;
      const wishes = { name: "", locationHint: null, jurisdiction: null, idempotency: null };
      const database = await ask(context, caller, id, "databases.create", {
        ...wishes,
        description: body.description ?? "",
      });
      return isFailure(database) ? database : Response.json(databaseJson(database));
    },
  },
  {
    method: "PATCH",
    path: "/v1/databases/:id",
    async answer({ context, caller, id, request }) {
      const body = await bodyWithDescription(request, context);
      if (isFailure(body)) return body;
      const change = { databaseId: id, name: null, description: body.description, feed: null };
      const database = await ask(context, caller, null, "databases.update", change);
      return isFailure(database) ? database : Response.json(databaseJson(database));
    },
  },
  {
    method: "POST",
    path: "/v1/databases/:id/database_backups",
    async answer({ context, caller, id, request }) {
      const body = await readBody(request, context);
      if (isFailure(body)) return body;
      const destination = destinationOf(body.value);
      if (isFailure(destination)) return destination;
      const wanted = { databaseId: id, destination, ...DEFAULT_BACKUP_TIMES };
      const backup = await ask(context, caller, null, "backups.enable", wanted);
      return isFailure(backup) ? backup : Response.json(backupJson(backup));
    },
  },
  {
    method: "GET",
    path: "/v1/databases/:id/database_backups",
    async answer({ context, caller, id }) {
      const found = await ask(context, caller, null, "backups.get", { databaseId: id });
      if (isFailure(found)) return found;
      return Response.json(found.backup === null ? [] : [backupJson(found.backup)]);
    },
  },
  {
    method: "GET",
    path: "/v1/database_backups/:id",
    async answer({ context, caller, id }) {
      const backup = await ask(context, caller, null, "backups.find", { backupId: id });
      return isFailure(backup) ? backup : Response.json(backupJson(backup));
    },
  },
  {
    method: "DELETE",
    path: "/v1/database_backups/:id",
    async answer({ context, caller, id }) {
      const deleted = await ask(context, caller, null, "backups.delete", { backupId: id });
      return isFailure(deleted) ? deleted : Response.json({});
    },
  },
  {
    method: "GET",
    path: "/v1/organizations/:id/analytics",
    async answer({ context, caller, id, url }) {
      const range = timeRange(url.searchParams, context.clock.now());
      if (isFailure(range)) return range;
      const analytics = await ask(context, caller, id, "analytics.get", range);
      return isFailure(analytics) ? analytics : Response.json(analyticsJson(analytics.buckets));
    },
  },
];

const patterns = V1_ROUTES.map((route) => ({
  route,
  pattern: new RegExp(`^${route.path.replace(":id", "([^/]+)")}/?$`),
}));

/** Answers any request whose path begins with /v1, except HEAD. */
export async function answerV1(request: Request, context: ManagementContext): Promise<Response> {
  try {
    const methods = request.method === "OPTIONS" ? methodsOf(new URL(request.url).pathname) : [];
    if (methods.length > 0) return answerOptions(request, methods);
    const answer = await routed(request, context);
    return isFailure(answer) ? errorResponse(answer) : answer;
  } catch (error) {
    return errorResponse(await failureOfLost(request, error, context));
  }
}

/** The methods that the path takes. Empty for a path that does not exist. */
function methodsOf(path: string): string[] {
  return methodsTaken(patterns.filter(({ pattern }) => pattern.test(path)).map(({ route }) => route.method));
}

async function routed(request: Request, context: ManagementContext): Promise<Response | Failure> {
  const url = new URL(request.url);
  for (const { route, pattern } of patterns) {
    const [, id] = (route.method === request.method && pattern.exec(url.pathname)) || [];
    if (id === undefined) continue;
    const caller = await callerOf(request, context);
    if (isFailure(caller)) return caller;
    return route.answer({ context, caller, request, url, id: id.toLowerCase() });
  }
  // Also for another method of an existing path: the Subhosting API has no 405.
  return failure("not-found", `There is no ${request.method} ${url.pathname.slice(0, 200)}.`);
}

async function bodyWithDescription(
  request: Request,
  context: ManagementContext,
): Promise<{ readonly description: string | null } | Failure> {
  const body = await readBody(request, context);
  return isFailure(body) ? body : descriptionOf(body.value);
}
