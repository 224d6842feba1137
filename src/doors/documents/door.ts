/**
 * The door of documents (docs/spec/documents.md): `POST /cdb` for programs with an API key, and the same actions with ordinary tokens below
 * `/api/databases/{id}/tables`. What documents are and what the actions do is in `src/documents/`: every other door sees the same entries.
 */
import { type DataDoor, dataDoor, type DataDoorParts } from "../http/data-door.ts";
import { type ApiKeyParts, ApiKeyGate } from "./api-key-gate.ts";
import { type CdbParts, cdbDoor } from "./cdb.ts";
import { tableTarget } from "./resources.ts";

/** For whom asks at an address where there is nothing. */
export const DOCUMENTS_ADDRESS = "Documents are at POST /cdb.";

export type DocumentsDoorParts = DataDoorParts & ApiKeyParts & Pick<CdbParts, "entropy">;

export function documentsDoor(parts: DocumentsDoorParts): DataDoor {
  const cdb = cdbDoor({ ...parts, gate: new ApiKeyGate(parts) });
  const tables = dataDoor(parts, tableTarget);
  return (request, path) => cdb(request, path) ?? tables(request, path);
}
