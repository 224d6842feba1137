/** The addresses under `/api/databases/{id}/records`, one line for each. */
import type { Resource } from "../http/call.ts";
import { checkAndWrite } from "./check-and-write.ts";
import { clearRecords, listRecords } from "./list.ts";
import { deleteRecord, getRecord, getRecords, putRecord } from "./record.ts";

/** `records/{key}`, and `records?key=…`. HEAD is answered like GET, without the body. */
export const RECORD: Resource = { GET: getRecord, PUT: putRecord, DELETE: deleteRecord };

/** `records/{key}:checkAndWrite`. */
export const CHECKED_RECORD: Resource = { POST: checkAndWrite };

export const RESOURCES: Readonly<Record<string, Resource>> = {
  records: { GET: listRecords },
  "records:get": { POST: getRecords },
  /** For this address, the key is in the query. */
  "records:checkAndWrite": CHECKED_RECORD,
  "records:clear": { POST: clearRecords },
};
