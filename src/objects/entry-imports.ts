/**
 * Imports entries of a file, one batch at a time, each as one commit. Without `overwrite` an existing entry stays as it is. The commit
 * checks that there is none, and is tried again without the entries that exist. So a write that comes in between is not lost either.
 */
import { decodeEntryList } from "../codec/entry-list.ts";
import type { ImportedEntries } from "../contracts/entry-commands.ts";
import { type Grant, refusedKeys } from "../contracts/grant.ts";
import { toBinaryText } from "../core/bytes.ts";
import type { Failure } from "../core/errors.ts";
import type { AtomicWrite, SetMutation, StoredEntry } from "../core/operations.ts";
import { writeMemory } from "./commit-queue.ts";
import type { OpenDatabase } from "./database-wiring.ts";

/** The caller has checked that the grant allows writing. `refusal`: why it does not any more, after a wait. */
export async function importEntries(
  { commits, database, longWork, room }: Pick<OpenDatabase, "commits" | "database" | "longWork" | "room">,
  grant: Grant,
  list: Uint8Array,
  overwrite: boolean,
  refusal: () => Failure | null,
): Promise<ImportedEntries | Failure> {
  const decoded = longWork.piece(() => decodeEntryList(list));
  if (!decoded.ok) return decoded;
  const given = decoded.entries.filter((entry) => entry !== null);
  const refused = refusedKeys(
    grant,
    given.map(({ key }) => key),
  );
  if (refused !== null) return refused;
  let entries = overwrite ? given : longWork.piece(() => firstOfEach(given));
  for (;;) {
    const write = writeOf(entries, overwrite);
    const noRoom = await room.refusal(write, list.byteLength);
    if (noRoom !== null) return noRoom;
    const outcome = await commits.submit({ write, bytes: writeMemory(write, list.byteLength), refusal });
    if ("code" in outcome) return outcome;
    if (outcome.ok) {
      const written = entries.length;
      return { ok: true, written, skipped: given.length - written, version: database.lastVersion };
    }
    const there = new Set(outcome.failedChecks);
    entries = entries.filter((_, index) => !there.has(index));
  }
}

/** Each key once: when a key comes a second time, its entry exists already. */
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
