/**
 * The door of TTL records: `/api/databases/{id}/records` and the addresses in `resources.ts` (docs/spec/records.md). A record is an entry
 * (`codec/record.ts`), so every other door sees what this door writes.
 */
import type { Resource } from "../http/call.ts";
import { type DataDoor, dataDoor, type DataDoorParts, resourceNamed, type TargetOf } from "../http/data-door.ts";
import { KEY_PARAMETER } from "./key.ts";
import { CHECKED_RECORD, RECORD, RESOURCES } from "./resources.ts";

const RECORDS = "records";

/** Follows the key in the path. The colon may be percent-encoded. */
const CHECK_AND_WRITE = /(?::|%3[aA])checkAndWrite$/;

const ANY_RECORD: Resource = { ...RECORD, ...CHECKED_RECORD };

const targetOf: TargetOf = (rest, query, method) => {
  if (rest.startsWith(`${RECORDS}/`)) {
    const keyPath = rest.slice(RECORDS.length + 1);
    if (!CHECK_AND_WRITE.test(keyPath)) return { resource: RECORD, keyPath };
    // A key may end with these characters. So for methods other than POST, the whole path is the key.
    return { resource: ANY_RECORD, keyPath: method === "POST" ? keyPath.replace(CHECK_AND_WRITE, "") : keyPath };
  }
  if (rest === RECORDS && query.has(KEY_PARAMETER)) return { resource: RECORD, keyPath: undefined };
  return resourceNamed(RESOURCES, rest);
};

export function recordsDoor(parts: DataDoorParts): DataDoor {
  return dataDoor(parts, targetOf);
}
