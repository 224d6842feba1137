/** The routes of /api about backups and going back in time. */
import { failure, isFailure } from "../../../core/errors.ts";
import type { DatabaseInfo, Job } from "../../../contracts/resources.ts";
import * as backups from "./backup-schemas.ts";
import { jobJson } from "../../http/job-json.ts";
import { jobLocation, route, type ApiRoute } from "./route.ts";
import { prefixOf, prefixOfText } from "./notation-schemas.ts";
import * as schemas from "./schemas.ts";

const noBackup = failure("not-found", "This database has no backup.");

const backupRoute = {
  params: schemas.databaseParams,
  success: { status: 200, description: "The backup", schema: backups.backup },
  show: backups.backupJson,
} as const;

const jobRoute = {
  success: { status: 202, description: "The job", schema: schemas.job },
  show: jobJson,
  location: jobLocation,
} as const;

export const fillingRoute = {
  success: { status: 202, description: "The new database and the job that fills it", schema: backups.filling },
  show: ({ database, job }: Filling) => ({ database: schemas.databaseJson(database), job: jobJson(job) }),
  location: ({ job }: Filling) => jobLocation(job),
} as const;

interface Filling {
  readonly database: DatabaseInfo;
  readonly job: Job;
}

export const BACKUP_ROUTES: readonly ApiRoute[] = [
  route({
    ...backupRoute,
    method: "post",
    path: "/api/databases/:databaseId/backup",
    summary: "Give a database a continuous backup; answers when the destination has been tried",
    body: backups.newBackup,
    success: { status: 201, description: "The backup", schema: backups.backup },
    answer: ({ ask, params, body }) =>
      ask("backups.enable", { ...params, ...body, destination: backups.destinationOf(body.destination) }),
    location: (_, { databaseId }) => `/api/databases/${databaseId}/backup`,
  }),
  route({
    ...backupRoute,
    method: "get",
    path: "/api/databases/:databaseId/backup",
    summary: "Get a database's backup, and how it is doing",
    async answer({ ask, params }) {
      const found = await ask("backups.get", params);
      return isFailure(found) ? found : (found.backup ?? noBackup);
    },
  }),
  route({
    method: "delete",
    path: "/api/databases/:databaseId/backup",
    summary: "End a backup; what it has stored stays",
    params: schemas.databaseParams,
    success: { status: 204, description: "It is ended", schema: null },
    async answer({ ask, params }) {
      const found = await ask("backups.get", params);
      if (isFailure(found)) return found;
      return found.backup === null ? noBackup : ask("backups.delete", { backupId: found.backup.id });
    },
  }),
  route({
    ...backupRoute,
    method: "post",
    path: "/api/databases/:databaseId/backup[:]pause",
    summary: "Pause a backup: what is committed meanwhile waits in the database",
    answer: ({ ask, params }) => ask("backups.pause", { ...params, paused: true }),
  }),
  route({
    ...backupRoute,
    method: "post",
    path: "/api/databases/:databaseId/backup[:]resume",
    summary: "Resume a backup",
    answer: ({ ask, params }) => ask("backups.pause", { ...params, paused: false }),
  }),
  route({
    ...backupRoute,
    method: "post",
    path: "/api/databases/:databaseId/backup[:]rotateCredentials",
    summary: "Give a backup new credentials for the same bucket; they are tried first",
    body: backups.newCredentials,
    answer: ({ ask, params, body }) => ask("backups.rotate", { ...params, credentials: backups.credentialsOf(body) }),
  }),
  route({
    ...backupRoute,
    method: "post",
    path: "/api/databases/:databaseId/backup[:]verifyEvery",
    summary: "Have a backup verified by itself every so many hours, or no more",
    body: backups.verificationInterval,
    answer: ({ ask, params, body }) => ask("backups.verifyEvery", { ...params, ...body }),
  }),
  route({
    ...jobRoute,
    method: "post",
    path: "/api/databases/:databaseId/backup[:]verify",
    summary: "Replay a backup elsewhere and compare it with the database",
    params: schemas.databaseParams,
    answer: ({ ask, params }) => ask("backups.verify", params),
  }),
  route({
    method: "get",
    path: "/api/databases/:databaseId/backup/range",
    summary: "Get the first and the last moment that a backup can give back",
    params: schemas.databaseParams,
    success: { status: 200, description: "The range; null while there is none", schema: backups.range },
    answer: ({ ask, params }) => ask("backups.range", params),
    show: backups.rangeJson,
  }),
  route({
    method: "get",
    path: "/api/databases/:databaseId/backup/points",
    summary: "List commits around a moment",
    params: schemas.databaseParams,
    query: backups.pointsQuery,
    success: { status: 200, description: "A page, the nearest to the moment first", schema: backups.points },
    async answer({ ask, params, query }) {
      const read = prefixOfText(query.prefix);
      if (!read.ok) return read;
      return ask("backups.points", { ...params, ...query, keys: query.keys === "true", prefix: read.prefix });
    },
    show: ({ points, next }) => schemas.pageJson(backups.pointJson)({ items: points, next }),
  }),
  route({
    ...jobRoute,
    method: "post",
    path: "/api/databases/:databaseId/restores",
    summary: "Bring a database back to a moment, in place; or only the keys under a prefix",
    params: schemas.databaseParams,
    body: backups.newRestore,
    idempotent: true,
    async answer({ ask, params, body, idempotency }) {
      const read = prefixOf(body.prefix);
      if (!read.ok) return read;
      return ask("restores.create", { ...params, at: body.at, prefix: read.prefix, idempotency });
    },
  }),
  route({
    ...fillingRoute,
    method: "post",
    path: "/api/databases/:databaseId/forks",
    summary: "Make another database what this one was at a moment",
    params: schemas.databaseParams,
    body: backups.newFork,
    idempotent: true,
    async answer({ ask, params, body, idempotency }) {
      const read = prefixOf(body.prefix);
      if (!read.ok) return read;
      return ask("forks.create", { ...params, ...body, prefix: read.prefix, idempotency });
    },
  }),
  route({
    ...fillingRoute,
    method: "post",
    path: "/api/organizations/:organizationId/restores",
    summary: "Make a new database from a bucket alone",
    params: schemas.organizationParams,
    body: backups.newRestoreFromBucket,
    idempotent: true,
    async answer({ ask, params, body, idempotency }) {
      const read = prefixOf(body.prefix);
      if (!read.ok) return read;
      const databaseId = body.databaseId.toLowerCase();
      const destination = backups.destinationOf(body.destination);
      const wanted = { ...body, databaseId, destination, prefix: read.prefix, idempotency };
      return ask("restores.createFromBucket", wanted, params.organizationId);
    },
  }),
];
