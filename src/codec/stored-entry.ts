/** What an entry that Cairn has stored can be. All readers of entries from a bucket or a file check them with this. */
import { asUnixMs, type UnixMs } from "../core/clock.ts";
import { MAX_KEY_BYTES, MAX_TIME_MS, MAX_VALUE_BYTES } from "../core/limits.ts";
import { Encoding } from "../core/operations.ts";
import { isEncodedKey } from "./key-codec.ts";

/** Whether an entry written by Cairn can have this key. */
export function isKey(bytes: Uint8Array): boolean {
  return bytes.length <= MAX_KEY_BYTES && isEncodedKey(bytes);
}

/** `expireAtMs` 0: never. undefined when no entry written by Cairn can have this value. */
export function checkValue(
  value: Uint8Array,
  encoding: number,
  expireAtMs: number,
): { readonly encoding: Encoding; readonly expiresAt: UnixMs | null } | undefined {
  if (encoding !== Encoding.v8 && encoding !== Encoding.le64 && encoding !== Encoding.bytes) return undefined;
  if (encoding === Encoding.le64 ? value.length !== 8 : value.length > MAX_VALUE_BYTES) return undefined;
  if (expireAtMs < 0 || expireAtMs > MAX_TIME_MS) return undefined;
  return { encoding, expiresAt: expireAtMs === 0 ? null : asUnixMs(expireAtMs) };
}
