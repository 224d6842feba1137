/**
 * The file of an archive, streamed, whole or one range of it (RFC 9110, section 14). A range that was asked for with `If-Range` and the
 * entity tag of another file gets the whole file.
 */
import { archiveProtocol } from "../../contracts/archive-files.ts";
import type { ArchiveInfo } from "../../contracts/archive-commands.ts";
import { fromHex, toBase64 } from "../../core/bytes.ts";
import { failure, type Failure, isFailure } from "../../core/errors.ts";
import { PRIVATE } from "../http/answers.ts";
import type { ArchiveCall } from "./call.ts";
import { failureIn } from "./object-answer.ts";
import { refused } from "./refusal.ts";

interface Range {
  readonly first: number;
  readonly last: number;
}

export async function downloadArchive(call: ArchiveCall): Promise<Response | Failure> {
  const { ask, databaseId, id, request, parts } = call;
  const archive = await ask("archives.get", { databaseId, archiveId: id });
  if (isFailure(archive)) return archive;
  const place = await ask("archives.download", { databaseId, archiveId: id });
  if (isFailure(place)) return place;
  const { size, checksum } = archive;
  if (archive.status !== "completed" || size === null || checksum === null) return notWhole(archive);
  const etag = `"${checksum}"`;
  const range = rangeOf(request.headers, size, etag);
  if (range === "unsatisfiable") {
    const why = failure("invalid", `The range lies behind the end of the file, which has ${size} bytes.`);
    return refused(why, [416, "Range Not Satisfiable"], { "content-range": `bytes */${size}` });
  }
  const headers = headersOf(archive, checksum, etag);
  const length = range === null ? size : range.last - range.first + 1;
  headers.set("content-length", String(length));
  if (range !== null) headers.set("content-range", `bytes ${range.first}-${range.last}/${size}`);
  const status = range === null ? 200 : 206;
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
    "accept-ranges": "bytes",
    "cache-control": PRIVATE,
    "repr-digest": `sha-256=:${toBase64(fromHex(checksum))}:`,
    etag,
  });
}

function notWhole({ id, status }: ArchiveInfo): Failure {
  return failure("conflict", `Archive ${id} is ${status}: only a completed archive can be downloaded.`);
}

/** null: the whole file. A request for several ranges, or in another unit, gets the whole file, as RFC 9110 allows. */
function rangeOf(headers: Headers, size: number, etag: string): Range | null | "unsatisfiable" {
  const [, from, to] = /^bytes=(\d{0,15})-(\d{0,15})$/.exec(headers.get("range")?.replaceAll(" ", "") ?? "") ?? [];
  if (from === undefined || to === undefined || (from === "" && to === "")) return null;
  const condition = headers.get("if-range");
  if (condition !== null && condition !== etag) return null;
  // Without a beginning it is so many last bytes.
  const first = from === "" ? Math.max(0, size - Number(to)) : Number(from);
  const last = from === "" || to === "" ? size - 1 : Math.min(Number(to), size - 1);
  if (from !== "" && to !== "" && Number(to) < first) return null;
  return first > last ? "unsatisfiable" : { first, last };
}
