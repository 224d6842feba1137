/** The deployment's encryption keys, `CAIRN_ENCRYPTION_KEYS`, a list as `key-list.ts` reads it: the current one encrypts. */
import type { Failure } from "../core/errors.ts";
import { type KeyList, parseKeyList } from "./key-list.ts";

/** AES-256. */
const ENCRYPTION_KEY_BYTES = 32;

/** `invalid` with a sentence to be put behind the variable's name and a comma; it shows nothing of the keys. */
export function encryptionKeys(text: string): KeyList | Failure {
  return parseKeyList(text, { atLeast: ENCRYPTION_KEY_BYTES, atMost: ENCRYPTION_KEY_BYTES });
}
