/** What the answers of doors that speak JSON share. */
import { decodeEntryList, type EntryList } from "../../codec/entry-list.ts";
import type { EntryAnswer } from "../../contracts/entry-commands.ts";
import type { Failure } from "../../core/errors.ts";

/**
 * A database's contents are private: no shared cache keeps them. A browser may keep them, and asks each time whether they are still
 * valid.
 */
export const PRIVATE = "private, no-cache";

export function jsonAnswer(text: string, headers: Readonly<Record<string, string>> = {}, status = 200): Response {
  return new Response(text, {
    status,
    headers: { "content-type": "application/json", "cache-control": PRIVATE, ...headers },
  });
}

export function listOf(answer: EntryAnswer): EntryList | Failure {
  return answer instanceof Uint8Array ? decodeEntryList(answer) : answer;
}
