/** Keys as JSON: in the management API, and in sentences for people. */
import { toBase64 } from "../core/bytes.ts";
import { decodeKey, type Key } from "./key-codec.ts";

/** A part whose type JSON has, or the form of a part whose type JSON lacks. */
export type KeyPartJson =
  | string
  | number
  | boolean
  | { readonly type: "bigint"; readonly value: string }
  | { readonly type: "bytes"; readonly value: string };

/** The greatest length of a key in a sentence: enough to recognise the key. */
const MAX_TEXT_LENGTH = 200;

export function jsonOfKey(key: Key): KeyPartJson[] {
  return key.map((part) => {
    if (typeof part === "bigint") return { type: "bigint", value: String(part) };
    return part instanceof Uint8Array ? { type: "bytes", value: toBase64(part) } : part;
  });
}

/** An encoded key for a sentence, of a bounded length: `["users","bob"]`. For bytes that are no key, the text says so. */
export function textOfKey(encoded: Uint8Array): string {
  const decoded = decodeKey(encoded);
  if (!decoded.ok) return "(bytes that are no key)";
  const text = JSON.stringify(jsonOfKey(decoded.key));
  return text.length <= MAX_TEXT_LENGTH ? text : `${text.slice(0, MAX_TEXT_LENGTH).toWellFormed()}…`;
}
