/** What the REST API's answers have in common. */
import { failure, type Failure, isFailure } from "../../core/errors.ts";
import type { CommitResult, StoredEntry } from "../../core/operations.ts";
import { versionstampHex } from "../../core/versionstamp.ts";
import { decodeEntryList, type EntryList } from "../../codec/entry-list.ts";
import type { EntryAnswer } from "../../contracts/entry-commands.ts";
import { etagOf } from "./preconditions.ts";

/** What is in a database is nobody else's: no cache on the way keeps it. A browser may, and asks each time whether it still holds. */
const PRIVATE = "private, no-cache";

export function jsonAnswer(text: string, headers: Readonly<Record<string, string>> = {}, status = 200): Response {
  return new Response(text, {
    status,
    headers: { "content-type": "application/json", "cache-control": PRIVATE, ...headers },
  });
}

/** Of a commit; `failedChecks` is not for this. */
export function committed({ version }: Extract<CommitResult, { readonly ok: true }>): Response {
  const versionstamp = versionstampHex(version);
  return jsonAnswer(`{"ok":true,"versionstamp":"${versionstamp}"}`, {
    etag: etagOf(version),
    "cairn-versionstamp": versionstamp,
  });
}

export function entryHeaders({ version, expiresAt }: StoredEntry): Record<string, string> {
  return {
    etag: etagOf(version),
    "cairn-versionstamp": versionstampHex(version),
    "cache-control": PRIVATE,
    vary: "Accept, Cairn-Values",
    ...(expiresAt === null ? {} : { "cairn-expires-at": new Date(expiresAt).toISOString() }),
  };
}

export function listOf(answer: EntryAnswer): EntryList | Failure {
  return answer instanceof Uint8Array ? decodeEntryList(answer) : answer;
}

/** The one entry that was asked for; null: there is none. */
export function entryOf(answer: EntryAnswer): StoredEntry | null | Failure {
  const list = listOf(answer);
  if (isFailure(list)) return list;
  const [entry] = list.entries;
  return entry === undefined ? failure("internal", "The database answered another question.") : entry;
}
