/**
 * Whether a log in the bucket holds what was stored by this database since it was last looked at, and nothing else; and taking out of
 * it what another process had on its way there when this one took over, which never counted for anybody.
 */
import type { Destination, DestinationFailure } from "./destinations/destination.ts";
import { headName } from "./format/manifest.ts";
import { openMutationRange } from "./format/mutation-range.ts";
import { type GenerationPlace, logsPrefix } from "./format/object-names.ts";
import { sha256Hex } from "./format/sha256.ts";
import { toHex } from "../core/bytes.ts";
import { previousOf } from "./folder-chain.ts";
import type { Generation } from "./generation-row.ts";

/** `what`: a sentence without its full stop. */
export type LogVerdict =
  | { readonly ok: true; readonly verdict: "ours" }
  | { readonly ok: true; readonly verdict: "foreign" | "gone"; readonly what: string };

/** So many objects are read to tell ours from others. */
const MOST_SIFTED = 2_000;

/** `pending`: the name of the object that is being sent, or was: it may be there or not. */
export async function checkLog(
  destination: Destination,
  place: GenerationPlace,
  { log, seen }: Generation,
  pending: string | null,
): Promise<LogVerdict | DestinationFailure> {
  const head = log.head === null ? null : headName(place, log.head);
  const expected = log.objects - seen.objects;
  let after = seen.head === null ? null : headName(place, seen.head);
  let found = 0;
  let hasHead = expected === 0;
  do {
    const page = await destination.list(logsPrefix(place), after === null ? {} : { after });
    if (!page.ok) return page;
    for (const { name } of page.objects) {
      if (name === pending) continue;
      if (head === null || name > head) return foreign(name);
      if (name === head) hasHead = true;
      found += 1;
    }
    after = page.next;
  } while (after !== null && found <= expected);
  if (!hasHead && head !== null) return gone(`The object ${head} is gone from the bucket`);
  if (found > expected) {
    return {
      ok: true,
      verdict: "foreign",
      what: `There are objects in ${logsPrefix(place)} that this database has not stored`,
    };
  }
  if (found === expected) return { ok: true, verdict: "ours" };
  const [count, verb] = [expected - found, expected - found === 1 ? "is" : "are"];
  return gone(`${count} of the objects stored last in ${logsPrefix(place)} ${verb} gone from the bucket`);
}

/**
 * The objects in a log, since it was last looked at, that are no part of the chain which ends with this database's last one, though each
 * follows one of that. null: there is something else as well.
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

function foreign(name: string): LogVerdict {
  return {
    ok: true,
    verdict: "foreign",
    what: `The object ${name} is in the bucket, and this database has not stored it`,
  };
}

function gone(what: string): LogVerdict {
  return { ok: true, verdict: "gone", what };
}
