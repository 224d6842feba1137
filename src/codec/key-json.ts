/** Keys as JSON says them: in the management API, and in sentences for people. */
import { toBase64 } from "../core/bytes.ts";
import { decodeKey, type Key } from "./key-codec.ts";

/** A part of one of JSON's own types, or the form of a type that JSON has not. */
export type KeyPartJson =
  | string
  | number
  | boolean
  | { readonly type: "bigint"; readonly value: string }
  | { readonly type: "bytes"; readonly value: string };

/** Of a key in a sentence: enough to know it again. */
const MAX_TEXT_LENGTH = 200;

export function jsonOfKey(key: Key): KeyPartJson[] {
  return key.map((part) => {
    if (typeof part === "bigint") return { type: "bigint", value: String(part) };
    return part instanceof Uint8Array ? { type: "bytes", value: toBase64(part) } : part;
  });
}

/** An encoded key for a sentence, of a bounded length: `["users","bob"]`. Bytes that are no key are said to be none. */
export function textOfKey(encoded: Uint8Array): string {
  const decoded = decodeKey(encoded);
  if (!decoded.ok) return "(bytes that are no key)";
  const text = JSON.stringify(jsonOfKey(decoded.key));
  return text.length <= MAX_TEXT_LENGTH ? text : `${text.slice(0, MAX_TEXT_LENGTH).toWellFormed()}…`;
}
