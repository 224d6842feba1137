/** An archive that comes as a file: as the body itself, or as the one part of a multipart form. It goes on to the object as it comes. */
import { reading } from "../../codec/json-notation/members.ts";
import { framed } from "../../codec/framed-body.ts";
import type { ArchiveInfo } from "../../contracts/archive-commands.ts";
import { archiveProtocol } from "../../contracts/archive-files.ts";
import { failure, type Failure, isFailure } from "../../core/errors.ts";
import { BodyPieces } from "../http/request-body.ts";
import type { ArchiveCall, Found } from "./call.ts";
import { boundaryOf, BrokenBody, fileOfForm } from "./form-file.ts";
import { descriptionOf } from "./input.ts";
import { failureIn } from "./object-answer.ts";
import { archiveJson } from "./wire.ts";

const NO_FILE = failure(
  "invalid",
  "The body is empty: send the file as the body, or as the one part of a multipart form.",
);

const BROKE_OFF = failure("invalid", "The body of the request broke off.");

export async function uploadArchive(call: ArchiveCall): Promise<Found | Failure> {
  const { ask, databaseId, request, query, parts } = call;
  const description = reading(() => descriptionOf(query.get("description") ?? ""));
  if (isFailure(description)) return description;
  const boundary = boundaryOf(request.headers.get("content-type"));
  if (boundary !== null && typeof boundary === "object") return boundary;
  if (request.body === null) return NO_FILE;
  const place = await ask("archives.upload", { databaseId });
  if (isFailure(place)) return place;
  const pieces = piecesOf(new BodyPieces(request.body, parts));
  let broken: Failure | null = null;
  const body = framed(boundary === null ? pieces : fileOfForm(pieces, boundary), (error) => {
    broken = error instanceof BrokenBody ? error.why : BROKE_OFF;
  });
  const headers = { [archiveProtocol.descriptionHeader]: encodeURIComponent(description) };
  const init: RequestInit = { method: "POST", headers, body };
  const answer = await parts.files(databaseId, place)(new Request(`https://object${archiveProtocol.path}`, init));
  const failed = await failureIn(answer);
  if (failed !== null) return broken ?? failed;
  // Our own object made it, from a value of this type.
  const archive: ArchiveInfo = await answer.json();
  const location = `/api/databases/${databaseId}/backups/${archive.id}`;
  return { status: 202, data: archiveJson(archive), headers: { location } };
}

/** A body without a byte is none. */
function piecesOf(body: BodyPieces): () => Promise<Uint8Array | null> {
  let isEmpty = true;
  return async () => {
    const piece = await body.next();
    if (piece === null && isEmpty) throw new BrokenBody(NO_FILE);
    isEmpty = false;
    if (piece === null || piece instanceof Uint8Array) return piece;
    throw new BrokenBody(piece);
  };
}
