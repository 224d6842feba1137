/**
 * The door of TTL records: `/api/databases/{id}/records` and the addresses in `resources.ts` (docs/spec/records.md). A record is an entry
 * (`codec/record.ts`), so what is written here is seen at every other door.
 */
import type { Resource } from "../http/call.ts";
import { type DataDoor, dataDoor, type DataDoorParts, resourceNamed, type TargetOf } from "../http/data-door.ts";
import { KEY_PARAMETER } from "./key.ts";
import { CHECKED_RECORD, RECORD, RESOURCES } from "./resources.ts";

const RECORDS = "records";

/** Behind a key; the colon may be percent-encoded. */
const CHECK_AND_WRITE = /(?::|%3[aA])checkAndWrite$/;

const ANY_RECORD: Resource = { ...RECORD, ...CHECKED_RECORD };

const targetOf: TargetOf = (rest, query, method) => {
  if (rest.startsWith(`${RECORDS}/`)) {
    const keyPath = rest.slice(RECORDS.length + 1);
    if (!CHECK_AND_WRITE.test(keyPath)) return { resource: RECORD, keyPath };
    // A key may end in the same way, so the other methods mean the whole of it.
    return { resource: ANY_RECORD, keyPath: method === "POST" ? keyPath.replace(CHECK_AND_WRITE, "") : keyPath };
  }
  if (rest === RECORDS && query.has(KEY_PARAMETER)) return { resource: RECORD, keyPath: undefined };
  return resourceNamed(RESOURCES, rest);
};

export function recordsDoor(parts: DataDoorParts): DataDoor {
  return dataDoor(parts, targetOf);
}
