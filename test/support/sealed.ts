/** An object's bytes with the seal that ends it, computed by another hash than ours: field 101, the SHA-256 of all before it. */
import { createHash } from "node:crypto";
import { concatBytes } from "../../src/core/bytes.ts";

export function sealed(bytes: Uint8Array): Uint8Array {
  return concatBytes([bytes, Uint8Array.of(0xaa, 0x06, 0x20), createHash("sha256").update(bytes).digest()]);
}
