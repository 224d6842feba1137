/** V8 values: bytes to values and back. The engine and the other users of stored values read and write them with these two functions. */
import { InvariantError } from "../../core/assert.ts";
import { failure, type Failure } from "../../core/errors.ts";
import { V8Reader } from "./reader.ts";
import { Refusal } from "./refusal.ts";
import { V8Writer } from "./writer.ts";

/**
 * The value of V8 serializer bytes, versions 13 to 16, with the header. As in V8, bytes after the value are ignored. Fails with "invalid"
 * for malformed bytes; with "unsupported" for other versions, and for what belongs to the process that wrote the value (host objects,
 * shared memory, WebAssembly); with "limit" for a value nested deeper than 500 levels, and for masses of errors or resizable buffers. The
 * result shares no memory with the bytes.
 */
export function decodeV8(bytes: Uint8Array): { readonly ok: true; readonly value: unknown } | Failure {
  try {
    return { ok: true, value: new V8Reader(bytes).read() };
  } catch (error) {
    if (error instanceof Refusal) return error.failure;
    throw error;
  }
}

/**
 * The bytes of a value as V8's serializer writes them, version 15, with the header. As in V8, objects of other classes are written as
 * plain objects of their own enumerable properties, and a view is written with the whole of its buffer. Fails with "unsupported" for what
 * cannot be cloned (functions, symbols, shared memory, promises and other objects with inner state), with "limit" for a value nested
 * deeper than 500 levels, with "invalid" when a getter of the value throws.
 */
export function encodeV8(value: unknown): { readonly ok: true; readonly bytes: Uint8Array<ArrayBuffer> } | Failure {
  try {
    return { ok: true, bytes: new V8Writer().write(value) };
  } catch (error) {
    if (error instanceof Refusal) return error.failure;
    if (error instanceof InvariantError) throw error;
    return failure(
      "invalid",
      `the value could not be read: ${error instanceof Error ? error.message : "one of its getters threw"}`,
    );
  }
}
