/**
 * A digest of a database's whole state: the sum modulo 2^256 of the SHA-256 of each entry, and the number of entries. It does not depend
 * on the order in which entries are added, and can be adjusted when entries come and go. So it describes one moment although a scan takes
 * long. It finds accidents, not forgery.
 *
 * An entry is hashed as: key length (4 bytes, big endian), encoded key, encoding (1 byte), versionstamp (10 bytes), value. It can be
 * computed from a file made by `denokv`, which drops expiries. A second sum has the expiry appended (8 bytes, little endian, −1 for
 * none), for our own verification.
 */
import { createHash } from "node:crypto";
import { assert } from "../../core/assert.ts";
import { toHex } from "../../core/bytes.ts";
import type { EntriesDigest } from "../../contracts/restore-commands.ts";
import { VERSIONSTAMP_BYTES, writeVersionstamp } from "../../core/versionstamp.ts";
import { EXPIRY_BYTES, writeExpiry } from "./expiry.ts";
import type { SnapshotEntry } from "./snapshot-range.ts";

export class StateDigest {
  #count = 0;
  readonly #sum: Sum;
  readonly #sumWithExpiries: Sum;

  constructor(from: EntriesDigest = { count: 0, sum: "", sumWithExpiries: "" }) {
    this.#count = from.count;
    this.#sum = new Sum(from.sum);
    this.#sumWithExpiries = new Sum(from.sumWithExpiries);
  }

  add(entry: SnapshotEntry): void {
    const { plain, withExpiry } = hashEntry(entry);
    this.#count += 1;
    this.#sum.add(plain);
    this.#sumWithExpiries.add(withExpiry);
  }

  /** Removes an entry exactly as it was added. */
  remove(entry: SnapshotEntry): void {
    const { plain, withExpiry } = hashEntry(entry);
    this.#count -= 1;
    this.#sum.subtract(plain);
    this.#sumWithExpiries.subtract(withExpiry);
  }

  /** The digest as it is stored, compared and shown. */
  value(): EntriesDigest {
    return { count: this.#count, sum: this.#sum.hex(), sumWithExpiries: this.#sumWithExpiries.hex() };
  }
}

function hashEntry(entry: SnapshotEntry): { plain: Uint8Array; withExpiry: Uint8Array } {
  const { key, value } = entry;
  const head = new Uint8Array(4 + key.length + 1 + VERSIONSTAMP_BYTES);
  new DataView(head.buffer).setUint32(0, key.length);
  head.set(key, 4);
  head[4 + key.length] = entry.encoding;
  writeVersionstamp(head, 5 + key.length, entry.version);
  const expiry = new Uint8Array(EXPIRY_BYTES);
  writeExpiry(expiry, 0, entry.expiresAt);
  const hash = createHash("sha256").update(head).update(value);
  const longer = hash.copy().update(expiry);
  return { plain: hash.digest(), withExpiry: longer.digest() };
}

/** An integer modulo 2^256, in eight limbs of 32 bits, the least significant first. */
class Sum {
  readonly #limbs = new Uint32Array(8);

  /** From hex digits; empty for 0. */
  constructor(hex: string) {
    assert(/^([0-9a-f]{64})?$/.test(hex), `64 hex digits, got ${JSON.stringify(hex)}`);
    if (hex === "") return;
    for (let i = 0; i < 8; i++) this.#limbs[i] = Number.parseInt(hex.slice(56 - 8 * i, 64 - 8 * i), 16);
  }

  add(hash: Uint8Array): void {
    this.#combine(hash, 1);
  }

  subtract(hash: Uint8Array): void {
    this.#combine(hash, -1);
  }

  hex(): string {
    const bytes = new Uint8Array(32);
    const view = new DataView(bytes.buffer);
    for (const [i, limb] of this.#limbs.entries()) view.setUint32(28 - 4 * i, limb);
    return toHex(bytes);
  }

  /** `hash` is a big-endian number of 32 bytes. */
  #combine(hash: Uint8Array, sign: 1 | -1): void {
    const view = new DataView(hash.buffer, hash.byteOffset, 32);
    let carry = 0;
    for (let i = 0; i < 8; i++) {
      // There are eight limbs, so the index is in bounds. The sum of three such terms is exact.
      const total = (this.#limbs[i] as number) + sign * view.getUint32(28 - 4 * i) + carry;
      this.#limbs[i] = total >>> 0;
      carry = Math.floor(total / 0x1_0000_0000);
    }
  }
}
