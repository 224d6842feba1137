// Placeholder while helper-1 writes the real one.
import { failure, type Failure } from "../errors.ts";
export function decodeV8(_bytes: Uint8Array): { readonly ok: true; readonly value: unknown } | Failure {
  return failure("unsupported", "not yet");
}
export function encodeV8(_value: unknown): { readonly ok: true; readonly bytes: Uint8Array<ArrayBuffer> } | Failure {
  return failure("unsupported", "not yet");
}
