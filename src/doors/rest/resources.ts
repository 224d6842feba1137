/** What lies under `/api/databases/{id}/`, by the part of the path that follows it: one line for each resource. */
import { writeAtomically } from "./atomic.ts";
import { getEntries } from "./batch.ts";
import type { Resource } from "../http/call.ts";
import { exportEntries } from "./export.ts";
import { importEntries } from "./import.ts";
import { getJob } from "./jobs.ts";
import { listEntries } from "./list.ts";
import { diffMoments } from "./diff.ts";
import { historyOfKey } from "./history.ts";
import { undelete } from "./undelete.ts";
import { deleteEntries } from "./deletion.ts";
import { countEntries } from "./count.ts";
import { getFeed } from "./feed.ts";
import { watchEntries } from "./watch.ts";
import { deleteEntry, getEntry, putEntry } from "./entry.ts";

/** `entries/{key…}`, and `entries?key=…`. HEAD is answered like GET, without the body. */
export const ENTRY: Resource = { GET: getEntry, PUT: putEntry, DELETE: deleteEntry };

/** `jobs/{id}`: a job that `entries:delete` has begun. */
export const JOB: Resource = { GET: getJob };

export const RESOURCES: Readonly<Record<string, Resource>> = {
  entries: { GET: listEntries },
  "entries:get": { POST: getEntries },
  "entries:delete": { POST: deleteEntries },
  atomic: { POST: writeAtomically },
  export: { GET: exportEntries },
  import: { POST: importEntries, PUT: importEntries },
  history: { GET: historyOfKey },
  undelete: { POST: undelete },
  diff: { GET: diffMoments },
  count: { GET: countEntries },
  feed: { GET: getFeed },
  watch: { GET: watchEntries },
};
