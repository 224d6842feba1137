/** What the answers of the REST API share. */
import { failure, type Failure, isFailure } from "../../core/errors.ts";
import type { CommitResult, StoredEntry } from "../../core/operations.ts";
import { type Version, versionstampHex } from "../../core/versionstamp.ts";
import { textOfEntry } from "../../codec/json-notation/entry-line.ts";
import type { NotationOptions } from "../../codec/json-notation/stored-value.ts";
import { textOfKey } from "../../codec/key-json.ts";
import { problemAnswer } from "../http/problem.ts";
import type { EntryAnswer } from "../../contracts/entry-commands.ts";
import { type HttpAnswer, jsonParts, listOf, PRIVATE, responseOf } from "../http/answers.ts";
import { etagOf } from "./preconditions.ts";

/** The answer to a commit that succeeded. `failedChecks` have another answer. */
export function committed({ version }: Extract<CommitResult, { readonly ok: true }>): Response {
  return responseOf(committedAnswer(version));
}

export function committedAnswer(version: Version): HttpAnswer {
  const versionstamp = versionstampHex(version);
  return jsonParts(`{"ok":true,"versionstamp":"${versionstamp}"}`, {
    etag: etagOf(version),
    "cairn-versionstamp": versionstamp,
  });
}

export function entryAnswer(entry: StoredEntry, notation: NotationOptions): HttpAnswer {
  return jsonParts(textOfEntry(entry, notation).text, entryHeaders(entry));
}

export function noEntry(key: Uint8Array): Failure {
  return failure("not-found", `There is no entry with the key ${textOfKey(key)}.`);
}

export function noEntryAnswer(key: Uint8Array): HttpAnswer {
  return problemAnswer(noEntry(key));
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
