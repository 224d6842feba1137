/** Our codec, where a failure is the test's. */
import { decodeV8, encodeV8 } from "../../src/codec/v8/codec.ts";

export function encoded(value: unknown): Uint8Array {
  const result = encodeV8(value);
  if (!result.ok) throw new Error(result.message);
  return result.bytes;
}

export function decoded(bytes: Uint8Array): unknown {
  const result = decodeV8(bytes);
  if (!result.ok) throw new Error(result.message);
  return result.value;
}
