/** A SHA-256 of bytes that come one after the other. */
import { createHash } from "node:crypto";
import { toHex } from "../../core/bytes.ts";

export class RunningSha256 {
  readonly #hash = createHash("sha256");
  /** How many bytes it covers. */
  size = 0;

  add(bytes: Uint8Array): void {
    this.#hash.update(bytes);
    this.size += bytes.length;
  }

  /** 64 hex digits, of what was added so far. More can be added afterwards. */
  hex(): string {
    return toHex(this.#hash.copy().digest());
  }
}
