import type { Failure } from "../errors.ts";
import { V8Reader } from "./reader.ts";
import { Refusal } from "./refusal.ts";

/**
 * The value of V8 serializer bytes, versions 13 to 16, header included; bytes after the value are not looked at, as in V8.
 * Fails with "invalid" for malformed bytes, "unsupported" for other versions and for what belongs to the process that wrote it
 * (host objects, shared memory, WebAssembly), "limit" for what is nested deeper than 500 levels and for masses of resizable
 * buffers. Nothing in the result shares memory with the bytes.
 */
export function decodeV8(bytes: Uint8Array): { readonly ok: true; readonly value: unknown } | Failure {
  try {
    return { ok: true, value: new V8Reader(bytes).read() };
  } catch (error) {
    if (error instanceof Refusal) return error.failure;
    throw error;
  }
}
