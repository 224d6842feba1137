/** The deployment's encryption keys, `CAIRN_ENCRYPTION_KEYS`. `key-list.ts` reads the list. The current key encrypts. */
import type { Failure } from "./errors.ts";
import { type KeyList, parseKeyList } from "./key-list.ts";

/** AES-256. */
const ENCRYPTION_KEY_BYTES = 32;

/** The keys. `invalid` with a sentence to follow the variable's name and a comma, which shows nothing of the keys. */
export function encryptionKeys(text: string): KeyList | Failure {
  return parseKeyList(text, { atLeast: ENCRYPTION_KEY_BYTES, atMost: ENCRYPTION_KEY_BYTES });
}
