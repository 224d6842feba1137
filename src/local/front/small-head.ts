/** The heads of requests that may go over a session: small reads and writes of KV Connect, and single entries over plain HTTP. */
import type { HeaderLookup } from "../../doors/http/header-lookup.ts";
import { type DataHead, dataHeadOf } from "../../doors/kv-connect/admission.ts";
import { type SmallEntry, smallEntryOf } from "../../doors/rest/small-entry.ts";

export interface SmallHead {
  readonly type: "read" | "write";
  /** What KV Connect's rules are to see of it. */
  readonly data: DataHead;
  /** One entry over plain HTTP. undefined: KV Connect. */
  readonly entry?: SmallEntry;
  readonly fields: HeaderLookup;
}

const DATA_PATH = /^\/databases\/([^/?]+)\/(snapshot_read|atomic_write)$/;

/** Undefined: the request must be sent to the Worker. */
export function smallHeadOf(method: string, path: string, fields: HeaderLookup): SmallHead | undefined {
  if (method === "POST") {
    const [, databaseId, operation] = DATA_PATH.exec(path) ?? [];
    if (databaseId === undefined || fields.get("origin") !== null) return undefined;
    const type = operation === "atomic_write" ? "write" : "read";
    return { type, data: dataOf(type, databaseId, fields), fields };
  }
  // Only the Worker knows what an access token allows.
  const isDataToken = !/^bearer +cairn_/i.test(fields.get("authorization") ?? "");
  const entry = isDataToken ? smallEntryOf(method, path, fields) : undefined;
  if (entry === undefined) return undefined;
  const type = method === "GET" ? "read" : "write";
  return { type, data: dataOf(type, entry.databaseId, tokenOf(fields)), entry, fields };
}

function dataOf(type: SmallHead["type"], databaseId: string, headers: HeaderLookup): DataHead {
  const operation = type === "write" ? "atomic_write" : "snapshot_read";
  return dataHeadOf({ operation, databaseId, at: undefined, headers, origin: null });
}

/** Of the headers of a request over plain HTTP those that KV Connect's rules are to see. */
function tokenOf(headers: HeaderLookup): HeaderLookup {
  return { get: (name) => (name === "authorization" ? headers.get(name) : null) };
}
