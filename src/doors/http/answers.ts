/** What the answers of doors that speak JSON share. */
import { decodeEntryList, type EntryList } from "../../codec/entry-list.ts";
import type { EntryAnswer } from "../../contracts/entry-commands.ts";
import type { Failure } from "../../core/errors.ts";

/**
 * A database's contents are private: no shared cache keeps them. A browser may keep them, and asks each time whether they are still
 * valid.
 */
export const PRIVATE = "private, no-cache";

/** An answer before it is one of the platform's: the front of `npm start` sends its own. */
export interface HttpAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly text: string;
}

export function responseOf({ status, headers, text }: HttpAnswer): Response {
  return new Response(text, { status, headers });
}

export function jsonParts(text: string, headers: Readonly<Record<string, string>> = {}, status = 200): HttpAnswer {
  return { status, headers: { "content-type": "application/json", "cache-control": PRIVATE, ...headers }, text };
}

export function jsonAnswer(text: string, headers: Readonly<Record<string, string>> = {}, status = 200): Response {
  return responseOf(jsonParts(text, headers, status));
}

export function listOf(answer: EntryAnswer): EntryList | Failure {
  return answer instanceof Uint8Array ? decodeEntryList(answer) : answer;
}
