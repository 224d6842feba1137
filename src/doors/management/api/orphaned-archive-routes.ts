/** The routes of /api about archives whose database was deleted. */
import { z } from "zod";
import type { OrphanedArchive } from "../../../contracts/orphaned-archives.ts";
import { failure, isFailure } from "../../../core/errors.ts";
import { PRIVATE } from "../../http/answers.ts";
import { describeRange, rangeOf } from "../../http/byte-range.ts";
import { statusByCondition } from "../../http/entity-tags.ts";
import { timeTextOrNull } from "../../http/job-json.ts";
import { problem } from "../../http/problem.ts";
import { fillingRoute } from "./backup-routes.ts";
import { route, type ApiRoute } from "./route.ts";
import * as schemas from "./schemas.ts";

const ARCHIVES = "/api/organizations/:organizationId/orphanedArchives";
const ARCHIVE = `${ARCHIVES}/:archiveId`;

const archiveParams = z.strictObject({ organizationId: z.string(), archiveId: z.string() });

const archive = z
  .object({
    id: z.string(),
    databaseId: z.string(),
    databaseName: z.string().meta({ description: "As the database was called when it was deleted." }),
    number: z.string().meta({ description: "The id that the archive had in its database." }),
    directory: z.string().meta({ description: "The directory of the destination." }),
    size: z.number().meta({ description: "Bytes." }),
    storedAt: schemas.time.nullable(),
  })
  .meta({ id: "OrphanedArchive" });

const newFork = z.strictObject({ name: schemas.nameOrEmpty.default("") });

function archiveJson({ storedAt, ...found }: OrphanedArchive) {
  return { ...found, storedAt: timeTextOrNull(storedAt) };
}

export const ORPHANED_ARCHIVE_ROUTES: readonly ApiRoute[] = [
  route({
    method: "get",
    path: ARCHIVES,
    summary: "List archives of deleted databases in the deployment's own place",
    params: schemas.organizationParams,
    query: schemas.pageQuery,
    success: {
      status: 200,
      description: "A page, by name; one may be empty and have a next page",
      schema: schemas.pageOf(archive),
    },
    answer: ({ ask, params, query: { limit, cursor } }) =>
      ask("orphanedArchives.list", { limit, cursor: cursor ?? null }, params.organizationId),
    show: schemas.pageJson(archiveJson),
  }),
  // Before the next one, whose id would take the word in.
  route({
    method: "get",
    path: `${ARCHIVE}[:]download`,
    summary: "Download an archive of a deleted database; with Range a part of it",
    params: archiveParams,
    success: { status: 200, description: "The file", schema: null },
    async answer({ ask, context, request: { headers: asked }, params: { organizationId, archiveId } }) {
      const found = await ask("orphanedArchives.get", { archiveId }, organizationId);
      if (isFailure(found)) return found;
      const { databaseId, number, size } = found;
      // A name is used for one file only, and has random bytes.
      const etag = `"${archiveId.slice(-64)}-${size}"`;
      const headers = new Headers({
        "content-type": "application/octet-stream",
        "content-disposition": `attachment; filename="cairn-${databaseId}-${number}.cairn"`,
        "cache-control": PRIVATE,
        etag,
      });
      const instead = statusByCondition(asked, etag);
      if (instead === 304) return new Response(null, { status: instead, headers });
      if (instead === 412) {
        return failure("precondition-failed", `The file's ETag is ${etag}, which If-Match does not name.`);
      }
      const range = rangeOf(asked, size, etag);
      if (range === "unsatisfiable") {
        return problem(failure("invalid", `The range lies behind the end of the file, which has ${size} bytes.`), {
          as: [416, "Range Not Satisfiable"],
          headers: { "content-range": `bytes */${size}` },
        });
      }
      const status = describeRange(headers, size, range);
      const bytes = context.orphanedArchiveBytes(organizationId, found, range ?? { first: 0, last: size - 1 });
      return isFailure(bytes) ? bytes : new Response(bytes, { status, headers });
    },
  }),
  route({
    method: "get",
    path: ARCHIVE,
    summary: "Get an archive of a deleted database",
    params: archiveParams,
    success: { status: 200, description: "The archive", schema: archive },
    answer: ({ ask, params: { organizationId, archiveId } }) =>
      ask("orphanedArchives.get", { archiveId }, organizationId),
    show: archiveJson,
  }),
  route({
    ...fillingRoute,
    method: "post",
    path: `${ARCHIVE}[:]fork`,
    summary: "Make a new database from an archive of a deleted one",
    params: archiveParams,
    body: newFork,
    idempotent: true,
    answer: ({ ask, params: { organizationId, archiveId }, body, idempotency }) =>
      ask("orphanedArchives.fork", { archiveId, ...body, idempotency }, organizationId),
  }),
  route({
    method: "delete",
    path: ARCHIVE,
    summary: "Destroy an archive of a deleted database",
    params: archiveParams,
    success: { status: 204, description: "It is destroyed", schema: null },
    answer: ({ ask, params: { organizationId, archiveId } }) =>
      ask("orphanedArchives.destroy", { archiveId }, organizationId),
  }),
];
