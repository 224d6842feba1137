/** What the answers of the REST API share. */
import { failure, type Failure, isFailure } from "../../core/errors.ts";
import type { CommitResult, StoredEntry } from "../../core/operations.ts";
import { versionstampHex } from "../../core/versionstamp.ts";
import type { EntryAnswer } from "../../contracts/entry-commands.ts";
import { jsonAnswer, listOf, PRIVATE } from "../http/answers.ts";
import { etagOf } from "./preconditions.ts";

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

/** The one requested entry. null: there is none. */
export function entryOf(answer: EntryAnswer): StoredEntry | null | Failure {
  const list = listOf(answer);
  if (isFailure(list)) return list;
  const [entry] = list.entries;
  return entry === undefined ? failure("internal", "The database answered another question.") : entry;
}
