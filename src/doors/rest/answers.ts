/** What the answers of the REST API share. */
import { failure, type Failure, isFailure } from "../../core/errors.ts";
import type { CommitResult, StoredEntry } from "../../core/operations.ts";
import { versionstampHex } from "../../core/versionstamp.ts";
import { decodeEntryList, type EntryList } from "../../codec/entry-list.ts";
import type { EntryAnswer } from "../../contracts/entry-commands.ts";
import { etagOf } from "./preconditions.ts";

/**
 * A database's contents are private: no shared cache keeps them. A browser may keep them, and asks each time whether they are still
 * valid.
 */
const PRIVATE = "private, no-cache";

export function jsonAnswer(text: string, headers: Readonly<Record<string, string>> = {}, status = 200): Response {
  return new Response(text, {
    status,
    headers: { "content-type": "application/json", "cache-control": PRIVATE, ...headers },
  });
}

/** The answer to a commit that succeeded. `failedChecks` have another answer. */
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

/** The one requested entry. null: there is none. */
export function entryOf(answer: EntryAnswer): StoredEntry | null | Failure {
  const list = listOf(answer);
  if (isFailure(list)) return list;
  const [entry] = list.entries;
  return entry === undefined ? failure("internal", "The database answered another question.") : entry;
}
