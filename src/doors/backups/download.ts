/** The file of an archive, streamed, whole or one range of it. */
import { archiveProtocol } from "../../contracts/archive-files.ts";
import type { ArchiveInfo } from "../../contracts/archive-commands.ts";
import { fromHex, toBase64 } from "../../core/bytes.ts";
import { failure, type Failure, isFailure } from "../../core/errors.ts";
import { PRIVATE } from "../http/answers.ts";
import { describeRange, rangeOf } from "../http/byte-range.ts";
import type { ArchiveCall } from "./call.ts";
import { statusByCondition } from "../http/entity-tags.ts";
import { failureIn } from "./object-answer.ts";
import { refused } from "./refusal.ts";

export async function downloadArchive(call: ArchiveCall): Promise<Response | Failure> {
  const { ask, databaseId, id, request, parts } = call;
  const archive = await ask("archives.get", { databaseId, archiveId: id });
  if (isFailure(archive)) return archive;
  const place = await ask("archives.download", { databaseId, archiveId: id });
  if (isFailure(place)) return place;
  const { size, checksum } = archive;
  if (archive.status !== "completed" || size === null || checksum === null) return notWhole(archive);
  const etag = `"${checksum}"`;
  const headers = headersOf(archive, checksum, etag);
  const instead = statusByCondition(request.headers, etag);
  if (instead === 304) return new Response(null, { status: instead, headers });
  if (instead === 412)
    return failure("precondition-failed", `The file's ETag is ${etag}, which If-Match does not name.`);
  // A range of nothing is not defined.
  const range = request.method === "HEAD" ? null : rangeOf(request.headers, size, etag);
  if (range === "unsatisfiable") {
    return refused(failure("invalid", `The range lies behind the end of the file, which has ${size} bytes.`), {
      as: [416, "Range Not Satisfiable"],
      headers: { "content-range": `bytes */${size}` },
    });
  }
  const status = describeRange(headers, size, range);
  if (request.method === "HEAD") return new Response(null, { status, headers });
  const wanted = range === null ? "" : `?first=${range.first}&last=${range.last}`;
  const files = parts.files(databaseId, place);
  const answer = await files(new Request(`https://object${archiveProtocol.path}/${id}${wanted}`));
  const failed = await failureIn(answer);
  return failed ?? new Response(answer.body, { status, headers });
}

function headersOf(archive: ArchiveInfo, checksum: string, etag: string): Headers {
  const name = `cairn-${archive.databaseId}-${archive.id}.cairn`;
  return new Headers({
    "content-type": "application/octet-stream",
    "content-disposition": `attachment; filename="${name}"`,
    "cache-control": PRIVATE,
    "repr-digest": `sha-256=:${toBase64(fromHex(checksum))}:`,
    etag,
  });
}

function notWhole({ id, status }: ArchiveInfo): Failure {
  return failure("conflict", `Archive ${id} is ${status}: only a completed archive can be downloaded.`);
}
