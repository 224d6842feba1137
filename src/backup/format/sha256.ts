/** Synchronous SHA-256. Web Crypto's returns a promise, and hashes are needed within a transaction. */
import { createHash } from "node:crypto";
import { toHex } from "../../core/bytes.ts";

export function sha256(bytes: Uint8Array): Uint8Array {
  return createHash("sha256").update(bytes).digest();
}

/** 64 hex digits. */
export function sha256Hex(bytes: Uint8Array): string {
  return toHex(sha256(bytes));
}
