/** Stored values for tests. */
import { encodeV8 } from "../../../src/codec/v8/codec.ts";

/** The bytes of a value that can be stored. */
export function v8(value: unknown): Uint8Array<ArrayBuffer> {
  const encoded = encodeV8(value);
  if (!encoded.ok) throw new Error(encoded.message);
  return encoded.bytes;
}
