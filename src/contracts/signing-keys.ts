/** The deployment's signing keys, `CAIRN_SIGNING_KEYS`. `key-list.ts` reads the list. The current key signs. */
import type { Failure } from "../core/errors.ts";
import { type KeyList, type NamedKey, parseKeyList } from "../core/key-list.ts";

/** HS256 requires it (RFC 7518, section 3.2): a key as long as its digest. */
export const MIN_SIGNING_KEY_BYTES = 32;

export type SigningKey = NamedKey;
export type SigningKeys = KeyList;

/**
 * The keys. `invalid` with a sentence to follow the variable's name and a comma. It names the entry by its place and shows nothing of its
 * text, which may be the secret.
 */
export function signingKeys(text: string): SigningKeys | Failure {
  return parseKeyList(text, { atLeast: MIN_SIGNING_KEY_BYTES, atMost: Infinity });
}
