/** Takes objects out of a bucket, a slice at a time. */
import type { Destination, DestinationFailure } from "../destinations/destination.ts";

/** With the page of names they are 20 requests, each of which the drivers may try twice: a slice has 40. */
const DELETIONS_PER_SLICE = 19;

/**
 * Deletes the first of the objects whose names begin so, in the order of names: of a generation `differential` goes first, without
 * which nobody can read it. `isEmpty`: none is left.
 */
export async function deleteSome(
  destination: Destination,
  namePrefix: string,
): Promise<{ readonly ok: true; readonly deleted: number; readonly isEmpty: boolean } | DestinationFailure> {
  const page = await destination.list(namePrefix, { limit: DELETIONS_PER_SLICE });
  if (!page.ok) return page;
  for (const { name } of page.objects) {
    const outcome = await destination.delete(name);
    if (!outcome.ok) return outcome;
  }
  return { ok: true, deleted: page.objects.length, isEmpty: page.next === null };
}
