/** Every route of /api. */
import { toHex } from "../../../core/bytes.ts";
import { type Failure, isFailure } from "../../../core/errors.ts";
import type { Caller } from "../../../contracts/management.ts";
import { BACKUP_ROUTES } from "./backup-routes.ts";
import { ORPHANED_ARCHIVE_ROUTES } from "./orphaned-archive-routes.ts";
import { KEY_ROUTES } from "./key-routes.ts";
import { metricsText } from "./metrics.ts";
import { prefixOf } from "./notation-schemas.ts";
import { jobJson } from "../../http/job-json.ts";
import { jobLocation, route, type ApiRoute, type Ask } from "./route.ts";
import * as schemas from "./schemas.ts";
import { WEBHOOK_ROUTES } from "./webhook-routes.ts";

const TOKEN_ID_BYTES = 8;

const organizationRoute = {
  params: schemas.organizationParams,
  success: { status: 200, description: "The organization", schema: schemas.organization },
  show: schemas.organizationJson,
} as const;

const organizations: readonly ApiRoute[] = [
  route({
    method: "post",
    path: "/api/organizations",
    summary: "Create an organization (deployment's token)",
    body: schemas.newOrganization,
    idempotent: true,
    success: { status: 201, description: "The organization and its first token", schema: schemas.createdOrganization },
    async answer({ ask, context, caller, body, idempotency }) {
      const refused = await notGenuine(ask, caller);
      if (refused !== undefined) return refused;
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
      return { organization, tokenId: made.tokenId, token: shown.token };
    },
    location: ({ organization }) => `/api/organizations/${organization.id}`,
  }),
  route({
    method: "get",
    path: "/api/organizations",
    summary: "List organizations (deployment's token)",
    query: schemas.pageQuery,
    success: { status: 200, description: "A page, oldest first", schema: schemas.pageOf(schemas.organization) },
    async answer({ ask, context, caller, query }) {
      const refused = await notGenuine(ask, caller);
      if (refused !== undefined) return refused;
      const page = await context.index().list(caller, query.limit, query.cursor ?? null);
      if (isFailure(page)) return page;
      const found = await Promise.all(page.items.map((id) => ask("organization.get", null, id)));
      // A database that was deleted a moment ago may still be in the list.
      return { items: found.flatMap((info) => (isFailure(info) ? [] : [info])), next: page.next };
    },
    show: schemas.pageJson(schemas.organizationJson),
  }),
  route({
    ...organizationRoute,
    method: "get",
    path: "/api/organizations/:organizationId",
    summary: "Get an organization",
    answer: ({ ask, params }) => ask("organization.get", null, params.organizationId),
  }),
  route({
    ...organizationRoute,
    method: "patch",
    path: "/api/organizations/:organizationId",
    summary: "Rename an organization",
    body: schemas.newOrganization,
    answer: ({ ask, params, body }) => ask("organization.rename", body, params.organizationId),
  }),
  route({
    method: "delete",
    path: "/api/organizations/:organizationId",
    summary: "Delete an organization that has no databases",
    params: schemas.organizationParams,
    success: { status: 204, description: "It is deleted, and its tokens with it", schema: null },
    answer: ({ ask, params }) => ask("organization.delete", null, params.organizationId),
  }),
];

const databaseRoute = {
  params: schemas.databaseParams,
  success: { status: 200, description: "The database", schema: schemas.database },
  show: schemas.databaseJson,
} as const;

const databases: readonly ApiRoute[] = [
  route({
    method: "post",
    path: "/api/organizations/:organizationId/databases",
    summary: "Create a database",
    params: schemas.organizationParams,
    body: schemas.newDatabase,
    idempotent: true,
    success: { status: 201, description: "The database, ready to be opened", schema: schemas.database },
    answer: ({ ask, params, body, idempotency }) =>
      ask(
        "databases.create",
        {
          name: body.name ?? "",
          description: body.description ?? "",
          locationHint: body.locationHint ?? null,
          jurisdiction: body.jurisdiction ?? null,
          idempotency,
        },
        params.organizationId,
      ),
    show: schemas.databaseJson,
    location: ({ id }) => `/api/databases/${id}`,
  }),
  route({
    method: "get",
    path: "/api/organizations/:organizationId/databases",
    summary: "List the databases that the token covers",
    params: schemas.organizationParams,
    query: schemas.databasesQuery,
    success: { status: 200, description: "A page", schema: schemas.pageOf(schemas.database) },
    answer({ ask, params, query }) {
      const { limit, cursor, q, sort, order } = query;
      const input = { limit, cursor: cursor ?? null, query: q ?? null, sort, order };
      return ask("databases.list", input, params.organizationId);
    },
    show: schemas.pageJson(schemas.databaseJson),
  }),
  route({
    ...databaseRoute,
    method: "get",
    path: "/api/databases/:databaseId",
    summary: "Get a database",
    answer: ({ ask, params }) => ask("databases.get", params),
  }),
  route({
    ...databaseRoute,
    method: "patch",
    path: "/api/databases/:databaseId",
    summary: "Rename or describe a database, or keep its log for change feeds",
    body: schemas.databaseChange,
    async answer({ ask, params, body }) {
      const { name = null, description = null, feed } = body;
      const read = prefixOf(feed?.prefix);
      if (!read.ok) return read;
      const kept = feed === null ? "off" : feed && { retentionHours: feed.retentionHours, prefix: read.prefix };
      return ask("databases.update", { ...params, name, description, feed: kept ?? null });
    },
  }),
  route({
    method: "delete",
    path: "/api/databases/:databaseId",
    summary: "Delete a database with all that it holds; asking twice is not an error",
    params: schemas.databaseParams,
    query: schemas.deletionQuery,
    success: {
      status: 202,
      description: "The job that deletes it; 204 when that is no longer kept",
      schema: schemas.job,
    },
    async answer({ ask, params, query }) {
      const deletion = await ask("databases.delete", { ...params, deleteBackups: query.backups === "delete" });
      if (isFailure(deletion)) return deletion;
      return deletion.job ?? new Response(null, { status: 204 });
    },
    show: jobJson,
    location: jobLocation,
  }),
  route({
    method: "get",
    path: "/api/databases/:databaseId/stats",
    summary: "Get a database's statistics",
    params: schemas.databaseParams,
    success: { status: 200, description: "The statistics", schema: schemas.stats },
    answer: ({ ask, params }) => ask("databases.stats", params),
  }),
];

const tokens: readonly ApiRoute[] = [
  route({
    method: "post",
    path: "/api/organizations/:organizationId/tokens",
    summary: "Mint a token within one's own scopes",
    params: schemas.organizationParams,
    body: schemas.newToken,
    idempotent: true,
    success: { status: 201, description: "The token, shown this once", schema: schemas.createdToken },
    async answer({ ask, context, caller, params, body, idempotency }) {
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
      const info = await ask("tokens.create", { token, scopes, idempotency }, params.organizationId);
      if (isFailure(info)) return info;
      const shown = info.id === id ? minted : await accessTokens.mint(organizationId, info.id, key, info.signingKey);
      return isFailure(shown) ? shown : { info, organizationId, token: shown.token };
    },
    show: ({ info, token }) => ({ ...schemas.tokenJson(info), token }),
    location: ({ info, organizationId }) => `/api/organizations/${organizationId}/tokens/${info.id}`,
  }),
  route({
    method: "get",
    path: "/api/organizations/:organizationId/tokens",
    summary: "List the tokens within one's own scopes",
    params: schemas.organizationParams,
    query: schemas.pageQuery,
    success: { status: 200, description: "A page, oldest first", schema: schemas.pageOf(schemas.token) },
    answer: ({ ask, params, query }) =>
      ask("tokens.list", { limit: query.limit, cursor: query.cursor ?? null }, params.organizationId),
    show: schemas.pageJson(schemas.tokenJson),
  }),
  route({
    method: "delete",
    path: "/api/organizations/:organizationId/tokens/:tokenId",
    summary: "Revoke a token; answers when no database takes it any more",
    params: schemas.tokenParams,
    query: schemas.revocationQuery,
    success: { status: 200, description: "The revoked token", schema: schemas.token },
    answer: ({ ask, params: { organizationId, tokenId }, query: { minted } }) =>
      ask("tokens.revoke", { tokenId, minted }, organizationId),
    show: schemas.tokenJson,
  }),
];

const jobRoute = {
  params: schemas.jobParams,
  success: { status: 200, description: "The job", schema: schemas.job },
  show: jobJson,
} as const;

const others: readonly ApiRoute[] = [
  route({
    ...jobRoute,
    method: "get",
    path: "/api/jobs/:jobId",
    summary: "Follow a job",
    answer: ({ ask, params }) => ask("jobs.get", params),
  }),
  route({
    ...jobRoute,
    method: "post",
    // The colon in brackets does not begin a parameter.
    path: "/api/jobs/:jobId[:]cancel",
    summary: "Cancel a job",
    answer: ({ ask, params }) => ask("jobs.cancel", params),
  }),
  route({
    method: "get",
    path: "/metrics",
    summary: "The organization's metrics, in the text format of Prometheus",
    success: { status: 200, description: "Metrics as text", schema: null },
    async answer({ ask }) {
      const metrics = await ask("metrics.get", null);
      if (isFailure(metrics)) return metrics;
      return new Response(metricsText(metrics), {
        headers: { "content-type": "text/plain; version=0.0.4; charset=utf-8" },
      });
    },
  }),
];

export const API_ROUTES: readonly ApiRoute[] = [
  ...organizations,
  ...databases,
  ...KEY_ROUTES,
  ...BACKUP_ROUTES,
  ...ORPHANED_ARCHIVE_ROUTES,
  ...tokens,
  ...WEBHOOK_ROUTES,
  ...others,
];

/**
 * The index knows no tokens. So before it says which permission a token lacks, the token's organization checks that the token is genuine,
 * and which pages may use it.
 */
async function notGenuine(ask: Ask, caller: Caller): Promise<Failure | undefined> {
  if (caller.kind === "deployment") return undefined;
  const answer = await ask("organization.get", null);
  if (!isFailure(answer)) return undefined;
  return answer.code === "unauthenticated" || answer.code === "forbidden-origin" ? answer : undefined;
}
