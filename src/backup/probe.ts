/** Tries a destination before a backup relies on it: everything that a backup will need to do, with one small object. */
import { equalBytes } from "../core/bytes.ts";
import {
  type Destination,
  type DestinationFailure,
  destinationFailure,
  type Done,
} from "./destinations/destination.ts";
import { databasePrefix } from "./format/object-names.ts";

interface Step {
  readonly name: "put" | "get" | "head" | "list" | "delete";
  readonly run: () => Promise<Done | DestinationFailure>;
}

/**
 * null: an object can be written, read, listed and deleted. A failure says which request failed. The stored object is deleted again, or
 * the failure says where it lies. `mark`: bytes that nobody can have put there before.
 */
export async function probe(
  destination: Destination,
  databaseId: string,
  mark: Uint8Array,
): Promise<DestinationFailure | null> {
  const name = `${databasePrefix(databaseId)}probe`;
  const remove = () => destination.delete(name);
  const steps: readonly Step[] = [
    { name: "put", run: () => destination.put(name, mark) },
    { name: "get", run: () => readBack(destination, name, mark) },
    { name: "head", run: () => destination.head(name) },
    { name: "list", run: () => listed(destination, name) },
    { name: "delete", run: remove },
  ];
  for (const step of steps) {
    const failed = await step.run();
    if (failed.ok) continue;
    // A refused object is not there. When there was no answer, it is unknown whether it is.
    const mayBeThere = step.name !== "put" || failed.class === "retry";
    const removed = mayBeThere ? await remove() : failed;
    const left = mayBeThere && !removed.ok ? ` It may have left the object ${destination.prefix}${name} behind.` : "";
    return { ...failed, message: `The trial's ${step.name} request failed. ${failed.message}${left}` };
  }
  return null;
}

async function readBack(destination: Destination, name: string, mark: Uint8Array): Promise<Done | DestinationFailure> {
  const got = await destination.get(name, undefined, mark.length);
  return got.ok && !equalBytes(got.bytes, mark) ? notLikeAStore("gave other bytes back than were stored") : got;
}

async function listed(destination: Destination, name: string): Promise<Done | DestinationFailure> {
  const page = await destination.list(name);
  const isThere = page.ok && page.objects.some((object) => object.name === name);
  return page.ok && !isThere ? notLikeAStore("does not list what was stored") : page;
}

function notLikeAStore(what: string): DestinationFailure {
  return destinationFailure("bad", `The destination ${what}: check the endpoint.`);
}
