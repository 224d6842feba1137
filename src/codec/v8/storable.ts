import { Tag, WRITTEN_VERSION } from "./format.ts";
import { V8Reader } from "./reader.ts";
import { Refusal } from "./refusal.ts";

const MAX_UINT32 = 0xffff_ffff;

/**
 * The bytes to store for a V8 value, so that every client can read it. Deno since 2.8 writes version 16, which Node's and older clients
 * refuse. Version 16 differs from 15 only where the length of a buffer passes 32 bits. At the sizes of values here, only a resizable
 * buffer can have such a length. Every other value of version 16 is copied and gets the header of version 15. All other bytes, malformed
 * ones too, are returned as the same object.
 */
export function storableV8(bytes: Uint8Array): Uint8Array {
  if (bytes[0] !== Tag.version || bytes[1] !== 16) return bytes;
  if (bytes.includes(Tag.resizableArrayBuffer) && !isWithin32Bits(bytes)) return bytes;
  const relabelled = Uint8Array.from(bytes);
  relabelled[1] = WRITTEN_VERSION;
  return relabelled;
}

function isWithin32Bits(bytes: Uint8Array): boolean {
  const reader = new V8Reader(bytes);
  try {
    reader.read();
  } catch (error) {
    if (error instanceof Refusal) return false;
    throw error;
  }
  return reader.longestLength <= MAX_UINT32;
}
