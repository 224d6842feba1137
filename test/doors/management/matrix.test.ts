/**
 * Every route of the management doors against every kind of caller. The routes come from the code: one without a row here fails.
 * A row gives the status for each caller that is not refused as `REFUSED` says; bad credentials are 401 everywhere.
 */
import { beforeAll, describe, expect, test } from "vitest";
import { API_ROUTES } from "../../../src/doors/management/api/routes.ts";
import { V1_ROUTES } from "../../../src/doors/management/v1/routes.ts";
import { atAnotherTime } from "../../support/moved-date.ts";
import { toHex } from "../../../src/core/bytes.ts";
import {
  bindings,
  DEPLOYMENT_TOKEN,
  newDatabase,
  newTenant,
  newToken,
  send,
  type Answer,
  type Tenant,
} from "../../support/workerd/directory.ts";

/**
 * `other`: every permission, at another tenant. Then one permission each, for all databases. `elsewhere` and `here`: every
 * permission for one database, another one or the one that is asked about. `prefix`: read and write under a key prefix.
 */
const CALLERS = [
  "other",
  "read",
  "write",
  "admin",
  "backup",
  "metrics",
  "elsewhere",
  "here",
  "prefix",
  "deployment",
] as const;
type Caller = (typeof CALLERS)[number];

/** What a caller gets whom a row does not name: nobody learns of another tenant's, and what is not allowed is refused. */
const REFUSED: Readonly<Record<Caller, number>> = {
  other: 404,
  read: 403,
  write: 403,
  admin: 403,
  backup: 403,
  metrics: 403,
  elsewhere: 403,
  here: 403,
  prefix: 403,
  deployment: 403,
};

const MATRIX: Readonly<Record<string, Partial<Readonly<Record<Caller, number>>>>> = {
  "GET /v1/organizations/:id": { read: 200, admin: 200, backup: 200, elsewhere: 200, here: 200, deployment: 200 },
  "GET /v1/organizations/:id/databases": { read: 200, admin: 200, backup: 200, elsewhere: 200, here: 200 },
  "POST /v1/organizations/:id/databases": { admin: 200 },
  "PATCH /v1/databases/:id": { admin: 200, elsewhere: 404, here: 200 },
  "POST /v1/databases/:id/database_backups": { admin: 409, elsewhere: 404, here: 409 },
  "GET /v1/databases/:id/database_backups": { admin: 200, backup: 200, elsewhere: 404, here: 200 },
  "GET /v1/database_backups/:id": { admin: 200, backup: 200, elsewhere: 404, here: 200 },
  "DELETE /v1/database_backups/:id": { admin: 200, elsewhere: 404, here: 200 },
  "GET /v1/organizations/:id/analytics": { read: 200, admin: 200, backup: 200 },
  "POST /api/organizations": { other: 403, deployment: 201 },
  "GET /api/organizations": { other: 403, deployment: 200 },
  "GET /api/organizations/:organizationId": {
    read: 200,
    admin: 200,
    backup: 200,
    elsewhere: 200,
    here: 200,
    deployment: 200,
  },
  "PATCH /api/organizations/:organizationId": { admin: 200, deployment: 200 },
  "DELETE /api/organizations/:organizationId": { admin: 409, deployment: 409 },
  "POST /api/organizations/:organizationId/databases": { admin: 201 },
  "GET /api/organizations/:organizationId/databases": { read: 200, admin: 200, backup: 200, elsewhere: 200, here: 200 },
  "GET /api/databases/:databaseId": { read: 200, admin: 200, backup: 200, elsewhere: 404, here: 200 },
  "PATCH /api/databases/:databaseId": { admin: 200, elsewhere: 404, here: 200 },
  "DELETE /api/databases/:databaseId": { admin: 202, elsewhere: 404, here: 202 },
  "GET /api/databases/:databaseId/stats": { read: 200, admin: 200, backup: 200, elsewhere: 404, here: 200 },
  // A token with admin alone makes no key, because a key reads and writes.
  "POST /api/databases/:databaseId/keys": { elsewhere: 404, here: 201 },
  "GET /api/databases/:databaseId/keys": { admin: 200, elsewhere: 404, here: 200 },
  "GET /api/databases/:databaseId/keys/:keyId": { admin: 200, elsewhere: 404, here: 200 },
  "DELETE /api/databases/:databaseId/keys/:keyId": { admin: 204, elsewhere: 404, here: 204 },
  "POST /api/databases/:databaseId/backup": { admin: 409, elsewhere: 404, here: 409 },
  "GET /api/databases/:databaseId/backup": { admin: 200, backup: 200, elsewhere: 404, here: 200 },
  "DELETE /api/databases/:databaseId/backup": { admin: 204, elsewhere: 404, here: 204 },
  "POST /api/databases/:databaseId/backup[:]pause": { admin: 200, backup: 200, elsewhere: 404, here: 200 },
  "POST /api/databases/:databaseId/backup[:]resume": { admin: 200, backup: 200, elsewhere: 404, here: 200 },
  "POST /api/databases/:databaseId/backup[:]rotateCredentials": { admin: 200, elsewhere: 404, here: 200 },
  "POST /api/databases/:databaseId/backup[:]verifyEvery": { admin: 200, backup: 200, elsewhere: 404, here: 200 },
  "POST /api/databases/:databaseId/backup[:]verify": { admin: 202, backup: 202, elsewhere: 404, here: 202 },
  "GET /api/databases/:databaseId/backup/range": { admin: 200, backup: 200, elsewhere: 404, here: 200 },
  "GET /api/databases/:databaseId/backup/points": { admin: 200, backup: 200, elsewhere: 404, here: 200 },
  "POST /api/databases/:databaseId/restores": { admin: 202, backup: 202, elsewhere: 404, here: 202 },
  "POST /api/databases/:databaseId/forks": { admin: 202, backup: 202 },
  "POST /api/organizations/:organizationId/restores": { admin: 202 },
  "GET /api/organizations/:organizationId/orphanedArchives": { admin: 200, backup: 200 },
  "GET /api/organizations/:organizationId/orphanedArchives/:archiveId": { admin: 200, backup: 200 },
  "GET /api/organizations/:organizationId/orphanedArchives/:archiveId[:]download": { admin: 200, backup: 200 },
  "POST /api/organizations/:organizationId/orphanedArchives/:archiveId[:]fork": { admin: 202, backup: 202 },
  "DELETE /api/organizations/:organizationId/orphanedArchives/:archiveId": { admin: 204, backup: 204 },
  "POST /api/organizations/:organizationId/tokens": { admin: 201, deployment: 201 },
  "GET /api/organizations/:organizationId/tokens": { admin: 200, elsewhere: 200, here: 200, deployment: 200 },
  "DELETE /api/organizations/:organizationId/tokens/:tokenId": {
    admin: 200,
    elsewhere: 404,
    here: 404,
    deployment: 200,
  },
  "POST /api/organizations/:organizationId/webhooks": { admin: 201 },
  "GET /api/organizations/:organizationId/webhooks": { admin: 200 },
  "GET /api/organizations/:organizationId/webhooks/:webhookId": { admin: 200 },
  "PATCH /api/organizations/:organizationId/webhooks/:webhookId": { admin: 200 },
  "DELETE /api/organizations/:organizationId/webhooks/:webhookId": { admin: 204 },
  "GET /api/organizations/:organizationId/webhooks/:webhookId/deliveries": { admin: 200 },
  "POST /api/organizations/:organizationId/webhooks/:webhookId[:]test": { admin: 200 },
  "POST /api/organizations/:organizationId/webhooks/:webhookId[:]rotateSecret": { admin: 200 },
  "GET /api/jobs/:jobId": { read: 200, admin: 200, backup: 200, elsewhere: 404, here: 404 },
  "POST /api/jobs/:jobId[:]cancel": { admin: 409, elsewhere: 404, here: 404 },
  "GET /metrics": { other: 200, metrics: 200 },
};

const BACKUP = {
  kind: "s3",
  endpoint: "https://s3.example",
  bucketName: "bucket",
  bucketRegion: "auto",
  accessKeyId: "id",
  secretAccessKey: "hidden",
};

/** What is sent where a body is needed. The token that is asked for has admin for all databases. */
const BODIES: Record<string, unknown> = {
  "POST /v1/organizations/:id/databases": { description: "x" },
  "PATCH /v1/databases/:id": { description: "x" },
  "POST /v1/databases/:id/database_backups": BACKUP,
  "POST /api/databases/:databaseId/keys": { name: "x", permissions: ["documents"] },
  "POST /api/databases/:databaseId/backup": { destination: BACKUP },
  "POST /api/databases/:databaseId/backup[:]rotateCredentials": { accessKeyId: "id", secretAccessKey: "hidden" },
  "POST /api/databases/:databaseId/backup[:]verifyEvery": { hours: 24 },
  "POST /api/databases/:databaseId/restores": { at: "2026-01-01T00:00:00Z", confirm: true },
  "POST /api/databases/:databaseId/forks": { at: "2026-01-01T00:00:00Z" },
  "POST /api/organizations/:organizationId/restores": {
    destination: BACKUP,
    databaseId: "00000000-0000-4000-8000-000000000000",
    at: "2026-01-01T00:00:00Z",
  },
  "POST /api/organizations": { name: "x" },
  "PATCH /api/organizations/:organizationId": { name: "x" },
  "POST /api/organizations/:organizationId/databases": { name: "x" },
  "PATCH /api/databases/:databaseId": { name: "x" },
  "POST /api/organizations/:organizationId/webhooks": { url: "https://hooks.example" },
  "PATCH /api/organizations/:organizationId/webhooks/:webhookId": { description: "x" },
  "POST /api/organizations/:organizationId/tokens": { name: "x", permissions: ["admin"], databases: "all" },
};

const ROUTES = [
  ...V1_ROUTES.map(({ method, path }) => `${method} ${path}`),
  ...API_ROUTES.map(({ method, path }) => `${method.toUpperCase()} ${path}`),
];

interface Target {
  readonly databaseId: string;
  readonly tokenId: string;
  readonly jobId: string;
  readonly backupId: string;
  readonly webhookId: string;
  readonly archiveId: string;
}

let tenant: Tenant;
let other: Tenant;
let elsewhere: string;
/** Tokens that need no target. */
let tokens: Record<Exclude<Caller, "here">, string>;
let bad: Record<string, string | null>;

beforeAll(async () => {
  [tenant, other] = [await newTenant(), await newTenant()];
  elsewhere = await newDatabase(tenant);
  const withPermissions = async (...permissions: string[]) => (await newToken(tenant, { permissions })).token;
  const everywhere = ["read", "write", "admin", "backup", "metrics"];
  tokens = {
    other: other.token,
    read: await withPermissions("read"),
    write: await withPermissions("write"),
    admin: await withPermissions("admin"),
    backup: await withPermissions("backup"),
    metrics: await withPermissions("metrics"),
    elsewhere: (await newToken(tenant, { permissions: everywhere, databases: [elsewhere] })).token,
    prefix: (await newToken(tenant, { permissions: ["read", "write"], keyPrefix: ["a"] })).token,
    deployment: DEPLOYMENT_TOKEN,
  };
  const ending = await atAnotherTime(-120_000, () => {
    const expiresAt = new Date(Date.now() + 60_000).toISOString();
    return newToken(tenant, { permissions: everywhere, expiresAt });
  });
  const revoked = await newToken(tenant, { permissions: everywhere });
  await send("DELETE", `/api/organizations/${tenant.organizationId}/tokens/${revoked.id}`, tenant);
  const [cairn, organization, id, secret = "", check] = tenant.token.split("_");
  bad = {
    "no token": null,
    "a malformed token": "cairn_nonsense",
    "another scheme's token": "eyJhbGciOiJub25lIn0.e30.",
    "a token with a made-up check": [cairn, organization, id, secret, "0".repeat(24)].join("_"),
    "a token with a wrong secret": [cairn, organization, id, "0".repeat(64), check].join("_"),
    "an expired token": ending.token,
    "a revoked token": revoked.token,
    "the deployment's token and a bit": `${DEPLOYMENT_TOKEN}x`,
  };
});

/** A database with a backup, a token that has every permission for all of them, and a job about another database. */
async function newTarget(route: string): Promise<Target> {
  const databaseId = await newDatabase(tenant);
  const { id: tokenId } = await newToken(tenant, { permissions: ["admin"] });
  const deletedId = await newDatabase(tenant);
  const deleted = await send("DELETE", `/api/databases/${deletedId}`, tenant);
  const backup = await send("POST", `/v1/databases/${databaseId}/database_backups`, { ...tenant, body: BACKUP });
  const webhookId = route.includes("/webhooks") ? await onlyWebhook() : "";
  const archiveId = route.includes("/orphanedArchives") ? await orphanedArchive(deletedId) : "";
  return { databaseId, tokenId, jobId: deleted.body.id, backupId: backup.body.id, webhookId, archiveId };
}

async function orphanedArchive(databaseId: string): Promise<string> {
  const name = `${databaseId}/archives/00000001-0123456789abcdef.cairn`;
  await bindings.BACKUPS?.put(`${tenant.organizationId}/${name}`, "{}");
  return toHex(new TextEncoder().encode(name));
}

/** There may be few, so there is one. */
async function onlyWebhook(): Promise<string> {
  const path = `/api/organizations/${tenant.organizationId}/webhooks`;
  const { body } = await send("GET", path, tenant);
  for (const { id } of body.items) await send("DELETE", `${path}/${id}`, tenant);
  return (await send("POST", path, { ...tenant, body: { url: "https://hooks.example" } })).body.id;
}

function newNowhere(): Target {
  const [databaseId, jobId, backupId] = [crypto.randomUUID(), crypto.randomUUID(), crypto.randomUUID()];
  return {
    databaseId,
    tokenId: "0".repeat(16),
    jobId,
    backupId,
    webhookId: crypto.randomUUID(),
    archiveId: "61".repeat(77),
  };
}

function pathOf(route: string, organizationId: string, target: Target): string {
  const { databaseId, tokenId, jobId, backupId, webhookId, archiveId } = target;
  const path = route.slice(route.indexOf(" ") + 1);
  const ids = { organizations: organizationId, databases: databaseId, database_backups: backupId };
  const id = Object.entries(ids).find(([name]) => path.startsWith(`/v1/${name}/`))?.[1] ?? "";
  return path
    .replace(":organizationId", organizationId)
    .replace(":databaseId", databaseId)
    .replace(":tokenId", tokenId)
    .replace(":jobId", jobId)
    .replace(":webhookId", webhookId)
    .replace(":archiveId", archiveId)
    .replace(":keyId", "key_1")
    .replace(":id", id)
    .replace("[:]", ":")
    .replace(/points$/, "points?at=2026-01-01T00:00:00Z");
}

function ask(
  route: string,
  token: string | null,
  target: Target,
  organizationId = tenant.organizationId,
): Promise<Answer> {
  const body = BODIES[route];
  const method = route.slice(0, route.indexOf(" "));
  return send(method, pathOf(route, organizationId, target), { token, ...(body === undefined ? {} : { body }) });
}

test("every route has a row, and every row a route", () => {
  expect(ROUTES.toSorted()).toEqual(Object.keys(MATRIX).toSorted());
});

describe.each(ROUTES)("%s", (route) => {
  test("lets through who may, and nobody else (T5, T24)", async () => {
    const seen: Partial<Record<Caller, number>> = {};
    let target = await newTarget(route);
    for (const caller of CALLERS) {
      const here = { permissions: ["read", "write", "admin", "backup"], databases: [target.databaseId] };
      const token = caller === "here" ? (await newToken(tenant, here)).token : tokens[caller];
      const answer = await ask(route, token, target);
      seen[caller] = answer.status;
      const secret = token.split("_")[3] ?? token;
      expect(JSON.stringify([answer.body, [...answer.headers]])).not.toContain(secret);
      // What was refused must have changed nothing: the next caller finds the same target.
      if (answer.status < 300 && !route.startsWith("GET ")) target = await newTarget(route);
    }
    expect(seen).toEqual({ ...REFUSED, ...MATRIX[route] });
  });

  test("refuses bad credentials alike, whatever else is sent", async () => {
    const target = await newTarget(route);
    for (const [what, token] of Object.entries(bad)) {
      const answer = await ask(route, token, target);
      expect([what, answer.status]).toEqual([what, 401]);
      expect(answer.headers.get("www-authenticate")).toBe("Bearer");
      const nowhere = newNowhere();
      expect((await ask(route, token, nowhere, crypto.randomUUID())).body).toEqual(answer.body);
    }
  });
});

const ROUTES_WITH_IDS = ROUTES.filter((route) =>
  /:(id|organizationId|databaseId|tokenId|jobId|webhookId|archiveId)/.test(route),
);

test.each(ROUTES_WITH_IDS)(
  "%s answers about another tenant's ids as about ids that do not exist (T21)",
  async (route) => {
    const target = await newTarget(route);
    const nowhere = newNowhere();
    const foreign = await ask(route, other.token, target);
    const unknown = await ask(route, other.token, nowhere, crypto.randomUUID());
    expect([foreign.status, foreign.body]).toEqual([unknown.status, unknown.body]);
    expect(foreign.status).toBe(404);
  },
);
