/** The answers of /v1: its objects, its errors, and the Link header of its lists (RFC 8288). */
import type { BackupInfo } from "../../../contracts/backup-commands.ts";
import type { ErrorCode, Failure } from "../../../core/errors.ts";
import { unreachable } from "../../../core/assert.ts";
import { shownStatus } from "../sentences.ts";
import { refusalHeaders } from "../../http/refusal-headers.ts";
import type { PageQuery } from "./input.ts";
import type { DatabaseInfo, OrganizationInfo, UsageBucket } from "../../../contracts/resources.ts";

export function organizationJson({ id, name, createdAt, updatedAt }: OrganizationInfo) {
  return { id, name, createdAt: time(createdAt), updatedAt: time(updatedAt) };
}

export function databaseJson({ id, organizationId, description, updatedAt, createdAt }: DatabaseInfo) {
  return { id, organizationId, description, updatedAt: time(updatedAt), createdAt: time(createdAt) };
}

/** For a backup in the deployment's own bucket, which only `/api` can make, the members that describe an S3 bucket are left out. */
export function backupJson({ id, destination, status }: BackupInfo) {
  const shown = shownStatus(status);
  switch (destination.kind) {
    case "r2":
      return { id, ...destination, status: shown };
    case "s3": {
      const { kind, endpoint, bucketName, bucketRegion, accessKeyId, prefix } = destination;
      return { id, kind, endpoint, bucketName, bucketRegion, accessKeyId, prefix, status: shown };
    }
    default:
      return unreachable(destination);
  }
}

export function analyticsJson(buckets: readonly UsageBucket[]) {
  return {
    fields: [
      { name: "time", type: "time" },
      { name: "kvReadCount", type: "number" },
      { name: "kvWriteCount", type: "number" },
      { name: "kvReadUnits", type: "number" },
      { name: "kvWriteUnits", type: "number" },
      { name: "kvStorageBytes", type: "number" },
    ],
    values: buckets.map(({ start, reads, writes, readUnits, writeUnits, bytes }) => [
      time(start),
      reads,
      writes,
      readUnits,
      writeUnits,
      bytes,
    ]),
  };
}

/** As RFC 3339. */
function time(ms: number): string {
  return new Date(ms).toISOString();
}

export function errorResponse(refusal: Failure): Response {
  const [status, name] = statusAndName(refusal.code);
  return Response.json({ code: name, message: refusal.message }, { status, headers: refusalHeaders(refusal) });
}

function statusAndName(code: ErrorCode): [number, string] {
  switch (code) {
    case "invalid":
    case "limit":
    case "type-mismatch":
    case "unsupported":
      return [400, "badRequest"];
    case "unauthenticated":
      return [401, "unauthorized"];
    case "forbidden":
    case "forbidden-origin":
      return [403, "forbidden"];
    case "not-found":
      return [404, "notFound"];
    case "conflict":
      return [409, "conflict"];
    case "precondition-failed":
      return [412, "preconditionFailed"];
    case "too-old":
      return [410, "gone"];
    case "insufficient-storage":
      return [507, "insufficientStorage"];
    case "unavailable":
      return [503, "unavailable"];
    case "internal":
      return [500, "internalServerError"];
    default:
      return unreachable(code);
  }
}

/** The links to other pages of a list: the request's own URL with another page number. `origin`: how they begin, or "". */
export function linkHeader(url: URL, origin: string, { page, limit }: PageQuery, total: number): string {
  const last = Math.max(1, Math.ceil(total / limit));
  const links: [string, number][] = [["first", 1]];
  if (page > 1) links.push(["prev", Math.min(page - 1, last)]);
  if (page < last) links.push(["next", page + 1]);
  links.push(["last", last]);
  return links.map(([rel, number]) => `<${origin}${pathOfPage(url, number, limit)}>; rel="${rel}"`).join(", ");
}

function pathOfPage(url: URL, page: number, limit: number): string {
  const other = new URL(url);
  other.searchParams.set("page", String(page));
  other.searchParams.set("limit", String(limit));
  return `${other.pathname}${other.search}`;
}
