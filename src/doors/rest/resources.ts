/** What lies under `/api/databases/{id}/`, by the part of the path that follows it: one line for each resource. */
import type { Resource } from "./call.ts";
import { listEntries } from "./list.ts";
import { deleteEntry, getEntry, putEntry } from "./entry.ts";

/** `entries/{key…}`, and `entries?key=…`. HEAD is answered as GET is, without its body. */
export const ENTRY: Resource = { GET: getEntry, PUT: putEntry, DELETE: deleteEntry };

export const RESOURCES: Readonly<Record<string, Resource>> = {
  entries: { GET: listEntries },
};
