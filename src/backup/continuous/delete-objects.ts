/** Deletes objects in a bucket, one slice at a time. */
import type { Destination, DestinationFailure } from "../destinations/destination.ts";

/** With the page of names this makes 20 requests. The drivers may try each twice, and a slice has 40. */
const DELETIONS_PER_SLICE = 19;

/**
 * Deletes the first objects whose names begin with `prefix`, in the order of names. In a generation `differential` is deleted first:
 * without it nobody reads the generation. `isEmpty`: no object is left.
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
