/**
 * The door of plain HTTP: `/api/databases/{id}/entries/…` and the addresses in `resources.ts` (docs/spec/http.md). Each resource decodes its
 * request, calls the database's object, and encodes the answer.
 */
import { type DataDoor, dataDoor, type DataDoorParts, resourceNamed, type TargetOf } from "../http/data-door.ts";
import { KEY_PARAMETER } from "./key.ts";
import { ENTRY, JOB, RESOURCES } from "./resources.ts";

const ENTRIES = "entries";
const JOBS = "jobs/";

const targetOf: TargetOf = (rest, query) => {
  if (rest.startsWith(`${ENTRIES}/`)) return { resource: ENTRY, keyPath: rest.slice(ENTRIES.length + 1) };
  if (rest.startsWith(JOBS)) return { resource: JOB, keyPath: rest.slice(JOBS.length) };
  if (rest === ENTRIES && query.has(KEY_PARAMETER)) return { resource: ENTRY, keyPath: undefined };
  return resourceNamed(RESOURCES, rest);
};

export function restDoor(parts: DataDoorParts): DataDoor {
  return dataDoor(parts, targetOf);
}
