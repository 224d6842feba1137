/** Tries out a destination before it is trusted with a backup: everything that a backup will need to do, with one small object. */
import { equalBytes } from "../core/bytes.ts";
import type { Destination, DestinationFailure } from "./destinations/destination.ts";
import { databasePrefix } from "./format/object-names.ts";

/** null: it can be written, read, listed and cleaned up. `mark`: bytes that nobody can have put there before. */
export async function probe(
  destination: Destination,
  databaseId: string,
  mark: Uint8Array,
): Promise<DestinationFailure | null> {
  const name = `${databasePrefix(databaseId)}probe`;
  const put = await destination.put(name, mark);
  if (!put.ok) return put;
  const got = await destination.get(name, undefined, mark.length);
  if (!got.ok) return got;
  if (!equalBytes(got.bytes, mark)) return notLikeAStore("gave other bytes back than were stored");
  const listed = await destination.list(name);
  if (!listed.ok) return listed;
  if (!listed.objects.some((object) => object.name === name)) return notLikeAStore("does not list what was stored");
  const deleted = await destination.delete(name);
  return deleted.ok ? null : deleted;
}

function notLikeAStore(what: string): DestinationFailure {
  return { ok: false, class: "bad", message: `The destination ${what}: check the endpoint.` };
}
