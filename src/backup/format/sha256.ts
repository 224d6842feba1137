/** SHA-256 that answers at once: Web Crypto's is a promise, and a chain of hashes is compared between two rows of one transaction. */
import { createHash } from "node:crypto";
import { toHex } from "../../core/bytes.ts";

export function sha256(bytes: Uint8Array): Uint8Array {
  return createHash("sha256").update(bytes).digest();
}

/** 64 hex digits. */
export function sha256Hex(bytes: Uint8Array): string {
  return toHex(sha256(bytes));
}
