/** Every route of /api. */
import { toHex } from "../../../core/bytes.ts";
import type { Failure } from "../../../core/errors.ts";
import { isFailure, type Caller, type Page } from "../../../core/management.ts";
import { ask, idempotencyOf, type ManagementContext } from "../context.ts";
import { BACKUP_ROUTES } from "./backup-routes.ts";
import { metricsText } from "./metrics.ts";
import { route, type ApiRoute } from "./route.ts";
import * as schemas from "./schemas.ts";

const TOKEN_ID_BYTES = 8;

const organizations: readonly ApiRoute[] = [
  route({
    method: "post",
    path: "/api/organizations",
    summary: "Create an organization (deployment's token)",
    params: schemas.nothing,
    query: schemas.nothing,
    body: schemas.newOrganization,
    idempotent: true,
    success: { status: 201, description: "The organization and its first token", schema: schemas.createdOrganization },
    async answer({ context, caller, request, body, bodyText }) {
      const refused = await notGenuine(context, caller);
      if (refused !== undefined) return refused;
      const idempotency = await idempotencyOf(request, bodyText);
      if (isFailure(idempotency)) return idempotency;
      const { accessTokens, entropy, clock } = context;
      const id = entropy.uuid();
      const tokenId = toHex(entropy.bytes(TOKEN_ID_BYTES));
      const minted = await accessTokens.mint(id, tokenId, idempotency?.key ?? null, null);
      if (isFailure(minted)) return minted;
      const { secretHash, signingKey } = minted;
      const token = { id: tokenId, secretHash, signingKey, name: "first token" };
      const setup = { id, name: body.name, createdAt: clock.now(), token };
      const made = await context.index().create(caller, { setup, idempotency });
      if (isFailure(made)) return made;
      const shown =
        made.id === id
          ? minted
          : await accessTokens.mint(made.id, made.tokenId, idempotency?.key ?? null, made.signingKey);
      if (isFailure(shown)) return shown;
      const organization = schemas.organizationJson({ ...made, updatedAt: made.createdAt });
      return created(`/api/organizations/${made.id}`, { organization, tokenId: made.tokenId, token: shown.token });
    },
  }),
  route({
    method: "get",
    path: "/api/organizations",
    summary: "List organizations (deployment's token)",
    params: schemas.nothing,
    query: schemas.pageQuery,
    body: null,
    idempotent: false,
    success: { status: 200, description: "A page, oldest first", schema: schemas.pageOf(schemas.organization) },
    async answer({ context, caller, query }) {
      const refused = await notGenuine(context, caller);
      if (refused !== undefined) return refused;
      const page = await context.index().list(caller, query.limit, query.cursor ?? null);
      if (isFailure(page)) return page;
      const found = await Promise.all(page.items.map((id) => ask(context, caller, id, "organization.get", null)));
      // One that was deleted a moment ago is still in the list.
      const items = found.flatMap((info) => (isFailure(info) ? [] : [schemas.organizationJson(info)]));
      return Response.json(pageJson({ items, next: page.next }));
    },
  }),
  route({
    method: "get",
    path: "/api/organizations/:organizationId",
    summary: "Get an organization",
    params: schemas.organizationParams,
    query: schemas.nothing,
    body: null,
    idempotent: false,
    success: { status: 200, description: "The organization", schema: schemas.organization },
    async answer({ context, caller, params }) {
      const info = await ask(context, caller, params.organizationId, "organization.get", null);
      return isFailure(info) ? info : Response.json(schemas.organizationJson(info));
    },
  }),
  route({
    method: "patch",
    path: "/api/organizations/:organizationId",
    summary: "Rename an organization",
    params: schemas.organizationParams,
    query: schemas.nothing,
    body: schemas.newOrganization,
    idempotent: false,
    success: { status: 200, description: "The organization", schema: schemas.organization },
    async answer({ context, caller, params, body }) {
      const info = await ask(context, caller, params.organizationId, "organization.rename", body);
      return isFailure(info) ? info : Response.json(schemas.organizationJson(info));
    },
  }),
  route({
    method: "delete",
    path: "/api/organizations/:organizationId",
    summary: "Delete an organization that has no databases",
    params: schemas.organizationParams,
    query: schemas.nothing,
    body: null,
    idempotent: false,
    success: { status: 204, description: "It is deleted, and its tokens with it", schema: null },
    async answer({ context, caller, params }) {
      const deleted = await ask(context, caller, params.organizationId, "organization.delete", null);
      return isFailure(deleted) ? deleted : new Response(null, { status: 204 });
    },
  }),
];

const databases: readonly ApiRoute[] = [
  route({
    method: "post",
    path: "/api/organizations/:organizationId/databases",
    summary: "Create a database",
    params: schemas.organizationParams,
    query: schemas.nothing,
    body: schemas.newDatabase,
    idempotent: true,
    success: { status: 201, description: "The database, ready to be opened", schema: schemas.database },
    async answer({ context, caller, request, params, body, bodyText }) {
      const idempotency = await idempotencyOf(request, bodyText);
      if (isFailure(idempotency)) return idempotency;
      const info = await ask(context, caller, params.organizationId, "databases.create", {
        name: body.name ?? "",
        description: body.description ?? "",
        locationHint: body.locationHint ?? null,
        jurisdiction: body.jurisdiction ?? null,
        idempotency,
      });
      return isFailure(info) ? info : created(`/api/databases/${info.id}`, schemas.databaseJson(info));
    },
  }),
  route({
    method: "get",
    path: "/api/organizations/:organizationId/databases",
    summary: "List the databases that the token covers",
    params: schemas.organizationParams,
    query: schemas.databasesQuery,
    body: null,
    idempotent: false,
    success: { status: 200, description: "A page", schema: schemas.pageOf(schemas.database) },
    async answer({ context, caller, params, query }) {
      const { limit, cursor, q, sort, order } = query;
      const input = { limit, cursor: cursor ?? null, query: q ?? null, sort, order };
      const page = await ask(context, caller, params.organizationId, "databases.list", input);
      if (isFailure(page)) return page;
      return Response.json(pageJson({ items: page.items.map(schemas.databaseJson), next: page.next }));
    },
  }),
  route({
    method: "get",
    path: "/api/databases/:databaseId",
    summary: "Get a database",
    params: schemas.databaseParams,
    query: schemas.nothing,
    body: null,
    idempotent: false,
    success: { status: 200, description: "The database", schema: schemas.database },
    async answer({ context, caller, params }) {
      const info = await ask(context, caller, null, "databases.get", params);
      return isFailure(info) ? info : Response.json(schemas.databaseJson(info));
    },
  }),
  route({
    method: "patch",
    path: "/api/databases/:databaseId",
    summary: "Rename or describe a database",
    params: schemas.databaseParams,
    query: schemas.nothing,
    body: schemas.databaseChange,
    idempotent: false,
    success: { status: 200, description: "The database", schema: schemas.database },
    async answer({ context, caller, params, body }) {
      const change = { ...params, name: body.name ?? null, description: body.description ?? null };
      const info = await ask(context, caller, null, "databases.update", change);
      return isFailure(info) ? info : Response.json(schemas.databaseJson(info));
    },
  }),
  route({
    method: "delete",
    path: "/api/databases/:databaseId",
    summary: "Delete a database with all that it holds; asking twice is not an error",
    params: schemas.databaseParams,
    query: schemas.deletionQuery,
    body: null,
    idempotent: false,
    success: {
      status: 202,
      description: "The job that deletes it; 204 when that is no longer kept",
      schema: schemas.job,
    },
    async answer({ context, caller, params }) {
      const input = { ...params, deleteBackups: false };
      const deletion = await ask(context, caller, null, "databases.delete", input);
      if (isFailure(deletion)) return deletion;
      if (deletion.job === null) return new Response(null, { status: 204 });
      const headers = { location: `/api/jobs/${deletion.job.id}` };
      return Response.json(schemas.jobJson(deletion.job), { status: 202, headers });
    },
  }),
  route({
    method: "get",
    path: "/api/databases/:databaseId/stats",
    summary: "Get a database's statistics",
    params: schemas.databaseParams,
    query: schemas.nothing,
    body: null,
    idempotent: false,
    success: { status: 200, description: "The statistics", schema: schemas.stats },
    async answer({ context, caller, params }) {
      const stats = await ask(context, caller, null, "databases.stats", params);
      return isFailure(stats) ? stats : Response.json(stats);
    },
  }),
];

const tokens: readonly ApiRoute[] = [
  route({
    method: "post",
    path: "/api/organizations/:organizationId/tokens",
    summary: "Mint a token within one's own scopes",
    params: schemas.organizationParams,
    query: schemas.nothing,
    body: schemas.newToken,
    idempotent: true,
    success: { status: 201, description: "The token, shown this once", schema: schemas.createdToken },
    async answer({ context, caller, request, params, body, bodyText }) {
      const idempotency = await idempotencyOf(request, bodyText);
      if (isFailure(idempotency)) return idempotency;
      const scopes = schemas.scopesOf(body);
      if (isFailure(scopes)) return scopes;
      const { accessTokens, entropy } = context;
      const organizationId = caller.kind === "token" ? caller.organizationId : params.organizationId;
      const key = idempotency?.key ?? null;
      const id = toHex(entropy.bytes(TOKEN_ID_BYTES));
      const minted = await accessTokens.mint(organizationId, id, key, null);
      if (isFailure(minted)) return minted;
      const { secretHash, signingKey } = minted;
      const token = { id, secretHash, signingKey, name: body.name };
      const info = await ask(context, caller, params.organizationId, "tokens.create", { token, scopes, idempotency });
      if (isFailure(info)) return info;
      const shown = info.id === id ? minted : await accessTokens.mint(organizationId, info.id, key, info.signingKey);
      if (isFailure(shown)) return shown;
      const location = `/api/organizations/${organizationId}/tokens/${info.id}`;
      return created(location, { ...schemas.tokenJson(info), token: shown.token });
    },
  }),
  route({
    method: "get",
    path: "/api/organizations/:organizationId/tokens",
    summary: "List the tokens within one's own scopes",
    params: schemas.organizationParams,
    query: schemas.pageQuery,
    body: null,
    idempotent: false,
    success: { status: 200, description: "A page, oldest first", schema: schemas.pageOf(schemas.token) },
    async answer({ context, caller, params, query }) {
      const input = { limit: query.limit, cursor: query.cursor ?? null };
      const page = await ask(context, caller, params.organizationId, "tokens.list", input);
      if (isFailure(page)) return page;
      return Response.json(pageJson({ items: page.items.map(schemas.tokenJson), next: page.next }));
    },
  }),
  route({
    method: "delete",
    path: "/api/organizations/:organizationId/tokens/:tokenId",
    summary: "Revoke a token; answers when no database takes it any more",
    params: schemas.tokenParams,
    query: schemas.nothing,
    body: null,
    idempotent: false,
    success: { status: 200, description: "The revoked token", schema: schemas.token },
    async answer({ context, caller, params: { organizationId, tokenId } }) {
      const info = await ask(context, caller, organizationId, "tokens.revoke", { tokenId });
      return isFailure(info) ? info : Response.json(schemas.tokenJson(info));
    },
  }),
];

const others: readonly ApiRoute[] = [
  route({
    method: "get",
    path: "/api/jobs/:jobId",
    summary: "Follow a job",
    params: schemas.jobParams,
    query: schemas.nothing,
    body: null,
    idempotent: false,
    success: { status: 200, description: "The job", schema: schemas.job },
    async answer({ context, caller, params }) {
      const info = await ask(context, caller, null, "jobs.get", params);
      return isFailure(info) ? info : Response.json(schemas.jobJson(info));
    },
  }),
  route({
    method: "post",
    // The colon in brackets is one that does not begin a parameter.
    path: "/api/jobs/:jobId[:]cancel",
    summary: "Cancel a job",
    params: schemas.jobParams,
    query: schemas.nothing,
    body: null,
    idempotent: false,
    success: { status: 200, description: "The job", schema: schemas.job },
    async answer({ context, caller, params }) {
      const info = await ask(context, caller, null, "jobs.cancel", params);
      return isFailure(info) ? info : Response.json(schemas.jobJson(info));
    },
  }),
  route({
    method: "get",
    path: "/metrics",
    summary: "The organization's metrics, in the text format of Prometheus",
    params: schemas.nothing,
    query: schemas.nothing,
    body: null,
    idempotent: false,
    success: { status: 200, description: "Metrics as text", schema: null },
    async answer({ context, caller }) {
      const metrics = await ask(context, caller, null, "metrics.get", null);
      if (isFailure(metrics)) return metrics;
      return new Response(metricsText(metrics), {
        headers: { "content-type": "text/plain; version=0.0.4; charset=utf-8" },
      });
    },
  }),
];

export const API_ROUTES: readonly ApiRoute[] = [...organizations, ...databases, ...BACKUP_ROUTES, ...tokens, ...others];

/** The index knows no secrets, so before it says what a token lacks, the token's organization says whether it is one. */
async function notGenuine(context: ManagementContext, caller: Caller): Promise<Failure | undefined> {
  if (caller.kind === "deployment") return undefined;
  const answer = await ask(context, caller, null, "organization.get", null);
  return isFailure(answer) && answer.code === "unauthenticated" ? answer : undefined;
}

function created(location: string, body: unknown): Response {
  // Some of these show a token, once.
  return Response.json(body, { status: 201, headers: { location, "cache-control": "no-store" } });
}

/** The cursor is left out at the end. */
function pageJson<Item>({ items, next }: Page<Item>): { items: readonly Item[]; next?: string } {
  return next === null ? { items } : { items, next };
}
