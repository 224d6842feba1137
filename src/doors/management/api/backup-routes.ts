/** The routes of /api about backups and going back in time. */
import { failure } from "../../../core/errors.ts";
import { isFailure, type DatabaseInfo, type Job } from "../../../core/management.ts";
import { ask } from "../context.ts";
import * as backups from "./backup-schemas.ts";
import { route, type ApiRoute } from "./route.ts";
import * as schemas from "./schemas.ts";

const noBackup = failure("not-found", "This database has no backup.");

export const BACKUP_ROUTES: readonly ApiRoute[] = [
  route({
    method: "post",
    path: "/api/databases/:databaseId/backup",
    summary: "Give a database a continuous backup; answers when the destination has been tried",
    params: schemas.databaseParams,
    query: schemas.nothing,
    body: backups.newBackup,
    idempotent: false,
    success: { status: 201, description: "The backup", schema: backups.backup },
    async answer({ context, caller, params, body }) {
      const wanted = { ...params, ...body, destination: backups.destinationOf(body.destination) };
      const made = await ask(context, caller, null, "backups.enable", wanted);
      if (isFailure(made)) return made;
      const headers = { location: `/api/databases/${params.databaseId}/backup` };
      return Response.json(backups.backupJson(made), { status: 201, headers });
    },
  }),
  route({
    method: "get",
    path: "/api/databases/:databaseId/backup",
    summary: "Get a database's backup, and how it is doing",
    params: schemas.databaseParams,
    query: schemas.nothing,
    body: null,
    idempotent: false,
    success: { status: 200, description: "The backup", schema: backups.backup },
    async answer({ context, caller, params }) {
      const found = await ask(context, caller, null, "backups.get", params);
      if (isFailure(found)) return found;
      return found.backup === null ? noBackup : Response.json(backups.backupJson(found.backup));
    },
  }),
  route({
    method: "delete",
    path: "/api/databases/:databaseId/backup",
    summary: "End a backup; what it has stored stays",
    params: schemas.databaseParams,
    query: schemas.nothing,
    body: null,
    idempotent: false,
    success: { status: 204, description: "It is ended", schema: null },
    async answer({ context, caller, params }) {
      const found = await ask(context, caller, null, "backups.get", params);
      if (isFailure(found)) return found;
      if (found.backup === null) return noBackup;
      const deleted = await ask(context, caller, null, "backups.delete", { backupId: found.backup.id });
      return isFailure(deleted) ? deleted : new Response(null, { status: 204 });
    },
  }),
  pausing("pause", "Pause a backup: what is committed meanwhile waits in the database", true),
  pausing("resume", "Resume a backup", false),
  route({
    method: "post",
    path: "/api/databases/:databaseId/backup[:]rotateCredentials",
    summary: "Give a backup new credentials for the same bucket; they are tried first",
    params: schemas.databaseParams,
    query: schemas.nothing,
    body: backups.newCredentials,
    idempotent: false,
    success: { status: 200, description: "The backup", schema: backups.backup },
    async answer({ context, caller, params, body }) {
      const change = { ...params, credentials: backups.credentialsOf(body) };
      const info = await ask(context, caller, null, "backups.rotate", change);
      return isFailure(info) ? info : Response.json(backups.backupJson(info));
    },
  }),
  route({
    method: "post",
    path: "/api/databases/:databaseId/backup[:]verify",
    summary: "Replay a backup elsewhere and compare it with the database",
    params: schemas.databaseParams,
    query: schemas.nothing,
    body: null,
    idempotent: false,
    success: { status: 202, description: "The job", schema: schemas.job },
    async answer({ context, caller, params }) {
      const job = await ask(context, caller, null, "backups.verify", params);
      return isFailure(job) ? job : accepted(job, schemas.jobJson(job));
    },
  }),
  route({
    method: "get",
    path: "/api/databases/:databaseId/backup/range",
    summary: "Get the first and the last moment that a backup can give back",
    params: schemas.databaseParams,
    query: schemas.nothing,
    body: null,
    idempotent: false,
    success: { status: 200, description: "The range; null while there is none", schema: backups.range },
    async answer({ context, caller, params }) {
      const found = await ask(context, caller, null, "backups.range", params);
      if (isFailure(found)) return found;
      if (found.range === null) return Response.json({ range: null });
      const { first, last } = found.range;
      return Response.json({ range: { first: schemas.restorePointJson(first), last: schemas.restorePointJson(last) } });
    },
  }),
  route({
    method: "get",
    path: "/api/databases/:databaseId/backup/points",
    summary: "List commits around a moment",
    params: schemas.databaseParams,
    query: backups.pointsQuery,
    body: null,
    idempotent: false,
    success: { status: 200, description: "A page, the nearest to the moment first", schema: backups.points },
    async answer({ context, caller, params, query }) {
      const page = await ask(context, caller, null, "backups.points", { ...params, ...query });
      if (isFailure(page)) return page;
      const items = page.points.map(schemas.restorePointJson);
      return Response.json(page.next === null ? { items } : { items, next: page.next });
    },
  }),
  route({
    method: "post",
    path: "/api/databases/:databaseId/restores",
    summary: "Bring a database back to a moment, in place",
    params: schemas.databaseParams,
    query: schemas.nothing,
    body: backups.newRestore,
    idempotent: false,
    success: { status: 202, description: "The job", schema: schemas.job },
    async answer({ context, caller, params, body }) {
      const job = await ask(context, caller, null, "restores.create", { ...params, at: body.at });
      return isFailure(job) ? job : accepted(job, schemas.jobJson(job));
    },
  }),
  route({
    method: "post",
    path: "/api/databases/:databaseId/forks",
    summary: "Make another database what this one was at a moment",
    params: schemas.databaseParams,
    query: schemas.nothing,
    body: backups.newFork,
    idempotent: false,
    success: { status: 202, description: "The new database and the job that fills it", schema: backups.filling },
    async answer({ context, caller, params, body }) {
      const made = await ask(context, caller, null, "forks.create", { ...params, ...body });
      return isFailure(made) ? made : filled(made);
    },
  }),
  route({
    method: "post",
    path: "/api/organizations/:organizationId/restores",
    summary: "Make a new database from a bucket alone",
    params: schemas.organizationParams,
    query: schemas.nothing,
    body: backups.newRestoreFromBucket,
    idempotent: false,
    success: { status: 202, description: "The new database and the job that fills it", schema: backups.filling },
    async answer({ context, caller, params, body }) {
      const databaseId = body.databaseId.toLowerCase();
      const wanted = { ...body, databaseId, destination: backups.destinationOf(body.destination) };
      const made = await ask(context, caller, params.organizationId, "restores.createFromBucket", wanted);
      return isFailure(made) ? made : filled(made);
    },
  }),
];

function pausing(verb: "pause" | "resume", summary: string, paused: boolean): ApiRoute {
  return route({
    method: "post",
    path: `/api/databases/:databaseId/backup[:]${verb}`,
    summary,
    params: schemas.databaseParams,
    query: schemas.nothing,
    body: null,
    idempotent: false,
    success: { status: 200, description: "The backup", schema: backups.backup },
    async answer({ context, caller, params }) {
      const info = await ask(context, caller, null, "backups.pause", { ...params, paused });
      return isFailure(info) ? info : Response.json(backups.backupJson(info));
    },
  });
}

function accepted(job: Job, body: unknown): Response {
  return Response.json(body, { status: 202, headers: { location: `/api/jobs/${job.id}` } });
}

function filled({ database, job }: { readonly database: DatabaseInfo; readonly job: Job }): Response {
  return accepted(job, { database: schemas.databaseJson(database), job: schemas.jobJson(job) });
}
