/** The deployment's signing keys, `CAIRN_SIGNING_KEYS`, a list as `key-list.ts` reads it: the current one signs. */
import type { Failure } from "../core/errors.ts";
import { type KeyList, type NamedKey, parseKeyList } from "./key-list.ts";

/** What HS256 asks for (RFC 7518, section 3.2): a key as long as its digest. */
export const MIN_SIGNING_KEY_BYTES = 32;

export type SigningKey = NamedKey;
export type SigningKeys = KeyList;

/**
 * `invalid` with a sentence to be put behind the variable's name and a comma: it names the entry by its place and shows nothing
 * of its text, which may be the secret.
 */
export function signingKeys(text: string): SigningKeys | Failure {
  return parseKeyList(text, { atLeast: MIN_SIGNING_KEY_BYTES, atMost: Infinity });
}
