/**
 * Entries of a file, a batch at a time, each one commit. Without `overwrite` an entry that is there stays as it is: the commit checks that
 * none is, and is tried again without those that are, so that a write that comes in between is not lost either.
 */
import { decodeEntryList } from "../codec/entry-list.ts";
import type { ImportedEntries } from "../contracts/entry-commands.ts";
import { type Grant, refusedKeys } from "../contracts/grant.ts";
import { toBinaryText } from "../core/bytes.ts";
import type { Failure } from "../core/errors.ts";
import type { AtomicWrite, SetMutation, StoredEntry } from "../core/operations.ts";
import { writeMemory } from "./commit-queue.ts";
import type { OpenDatabase } from "./database-wiring.ts";

/** The grant allows writing. */
export async function importEntries(
  { commits, database, room }: Pick<OpenDatabase, "commits" | "database" | "room">,
  grant: Grant,
  list: Uint8Array,
  overwrite: boolean,
): Promise<ImportedEntries | Failure> {
  const decoded = decodeEntryList(list);
  if (!decoded.ok) return decoded;
  const given = decoded.entries.filter((entry) => entry !== null);
  const refused = refusedKeys(
    grant,
    given.map(({ key }) => key),
  );
  if (refused !== null) return refused;
  let entries = overwrite ? given : firstOfEach(given);
  for (;;) {
    const write = writeOf(entries, overwrite);
    const noRoom = await room.refusal(write, list.byteLength);
    if (noRoom !== null) return noRoom;
    const outcome = await commits.submit(write, writeMemory(write, list.byteLength));
    if ("code" in outcome) return outcome;
    if (outcome.ok) {
      const written = entries.length;
      return { ok: true, written, skipped: given.length - written, version: database.lastVersion };
    }
    const there = new Set(outcome.failedChecks);
    entries = entries.filter((_, index) => !there.has(index));
  }
}

/** Each key once: to the second line the first one's entry is there already. */
function firstOfEach(entries: readonly StoredEntry[]): readonly StoredEntry[] {
  const seen = new Set<string>();
  return entries.filter(({ key }) => {
    const text = toBinaryText(key);
    return !seen.has(text) && seen.add(text);
  });
}

function writeOf(entries: readonly StoredEntry[], overwrite: boolean): AtomicWrite {
  return {
    checks: overwrite ? [] : entries.map(({ key }) => ({ key, version: null })),
    mutations: entries.map(({ key, value, encoding, expiresAt }): SetMutation => ({
      type: "set",
      key,
      value,
      encoding,
      expiresAt,
      versionstampedKey: false,
    })),
    enqueues: [],
  };
}
