/**
 * Checks whether a log in the bucket holds exactly what this database has stored since the last check. Also finds objects that another
 * process had on their way when this one took over: they never counted for anybody, and can be deleted.
 */
import type { Destination, DestinationFailure } from "../destinations/destination.ts";
import { headName } from "../format/manifest.ts";
import { openMutationRange } from "../format/mutation-range.ts";
import { type GenerationPlace, logsPrefix } from "../format/object-names.ts";
import { sha256Hex } from "../format/sha256.ts";
import { toHex } from "../../core/bytes.ts";
import { previousOf } from "./folder-chain.ts";
import type { Generation } from "./generation-row.ts";

/**
 * "behind": an object lies behind the last one that was stored. "beside": before that, there are more objects than were stored. "gone":
 * there are fewer. `isIntact`: everything that was stored is there, with nothing beside it. `what`: a sentence without its full stop.
 */
export type LogVerdict =
  | { readonly ok: true; readonly verdict: "ours" }
  | {
      readonly ok: true;
      readonly verdict: "behind" | "beside" | "gone";
      readonly what: string;
      readonly isIntact: boolean;
    };

/** How many objects are read to tell ours from others. */
const MOST_SIFTED = 2_000;

/** `pending`: the name of the object that is being sent, or was being sent: it may or may not be there. */
export async function checkLog(
  destination: Destination,
  place: GenerationPlace,
  { log, seen }: Generation,
  pending: string | null,
): Promise<LogVerdict | DestinationFailure> {
  const folder = logsPrefix(place);
  const head = log.head === null ? null : headName(place, log.head);
  const expected = log.objects - seen.objects;
  let after = seen.head === null ? null : headName(place, seen.head);
  let found = 0;
  let hasHead = expected === 0;
  let behind: string | null = null;
  do {
    const page = await destination.list(folder, after === null ? {} : { after });
    if (!page.ok) return page;
    for (const { name } of page.objects) {
      if (name === pending) continue;
      if (name === head) hasHead = true;
      if (head === null || name > head) behind ??= name;
      else found += 1;
    }
    after = page.next;
  } while (after !== null && behind === null && found < expected + MOST_SIFTED);
  if (!hasHead && head !== null) return { ok: true, verdict: "gone", what: isGone(head), isIntact: false };
  const isIntact = found === expected;
  if (behind !== null) return { ok: true, verdict: "behind", what: isNotOurs(behind), isIntact };
  if (isIntact) return { ok: true, verdict: "ours" };
  if (found > expected) {
    const what = `There are objects in ${folder} that this database has not stored`;
    return { ok: true, verdict: "beside", what, isIntact };
  }
  const [count, verb] = [expected - found, expected - found === 1 ? "is" : "are"];
  const what = `${count} of the objects stored last in ${folder} ${verb} gone from the bucket`;
  return { ok: true, verdict: "gone", what, isIntact };
}

/**
 * The objects in a log, since the last check, that are not part of the chain which ends with this database's last object, although each
 * follows an object of that chain. null: there are other objects as well.
 */
export async function straysIn(
  destination: Destination,
  place: GenerationPlace,
  { log, seen }: Generation,
  pending: string | null,
): Promise<{ readonly ok: true; readonly strays: readonly string[] | null } | DestinationFailure> {
  const undecided = { ok: true, strays: null } as const;
  const before = toHex(previousOf(seen));
  const previous = new Map<string, string>();
  const names = new Map<string, string>();
  let after = seen.head === null ? null : headName(place, seen.head);
  do {
    const page = await destination.list(logsPrefix(place), after === null ? {} : { after });
    if (!page.ok) return page;
    for (const { name, size } of page.objects) {
      if (name === pending) continue;
      if (names.size >= MOST_SIFTED) return undecided;
      const got = await destination.get(name, undefined, size);
      if (!got.ok) return got.class === "not-found" || got.class === "bad" ? undecided : got;
      const range = openMutationRange(place, name, got.bytes);
      if (!range.ok) return undecided;
      const sha256 = sha256Hex(got.bytes);
      names.set(sha256, name);
      previous.set(sha256, toHex(range.previousSha256));
    }
    after = page.next;
  } while (after !== null);
  const chain = new Set([before]);
  for (let at = toHex(previousOf(log)); at !== before;) {
    chain.add(at);
    const next = previous.get(at);
    if (next === undefined || chain.has(next) !== (next === before)) return undecided;
    at = next;
  }
  const strays = [...names].filter(([sha256]) => !chain.has(sha256));
  const follow = strays.every(([sha256]) => chain.has(previous.get(sha256) ?? ""));
  return follow ? { ok: true, strays: strays.map(([, name]) => name) } : undecided;
}

export function isNotOurs(name: string): string {
  return `The object ${name} is in the bucket, and this database has not stored it`;
}

export function isGone(name: string): string {
  return `The object ${name} is gone from the bucket`;
}
