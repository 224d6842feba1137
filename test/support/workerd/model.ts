/**
 * The database as a plain map, written to be obviously right and nothing else: what the engine is compared with. U64 sums only;
 * the V8 ones have tests of their own.
 */
import { compareBytes, toHex } from "../../../src/core/bytes.ts";
import { type AtomicWrite, Encoding, type Entry, type ReadRange } from "../../../src/core/operations.ts";
import { asVersion, versionstampHex, type Version } from "../../../src/core/versionstamp.ts";
import { text } from "./engine.ts";

export interface ModelEntry extends Entry {
  readonly expiresAt: number | null;
}

/** What the engine is expected to answer: it chooses the version, the model says whether there is one. */
export type Expected =
  | { readonly kind: "committed" }
  | { readonly kind: "failed checks"; readonly failedChecks: number[] }
  | { readonly kind: "refused" };

export class Model {
  entries = new Map<string, ModelEntry>();

  get(key: Uint8Array, now: number): ModelEntry | null {
    const entry = this.entries.get(toHex(key));
    return entry === undefined || (entry.expiresAt !== null && entry.expiresAt <= now) ? null : entry;
  }

  read(range: ReadRange, now: number): ModelEntry[] {
    const inRange = [...this.entries.values()].filter(
      (entry) =>
        compareBytes(entry.key, range.start) >= 0 &&
        compareBytes(entry.key, range.end) < 0 &&
        this.get(entry.key, now) !== null,
    );
    inRange.sort((a, b) => (range.reverse ? compareBytes(b.key, a.key) : compareBytes(a.key, b.key)));
    return inRange.slice(0, range.limit);
  }

  expect(write: AtomicWrite, now: number): Expected {
    const failed = write.checks.flatMap((check, i) =>
      (this.get(check.key, now)?.version ?? null) === check.version ? [] : [i],
    );
    if (failed.length > 0) return { kind: "failed checks", failedChecks: failed };
    return this.#after(write, asVersion(1), now) === null ? { kind: "refused" } : { kind: "committed" };
  }

  apply(write: AtomicWrite, version: Version, now: number): void {
    const after = this.#after(write, version, now);
    if (after === null) throw new Error("the model refuses what the engine committed");
    this.entries = after;
  }

  /** The state after the mutations, or null when one of them is an error. */
  #after(write: AtomicWrite, version: Version, now: number): Map<string, ModelEntry> | null {
    const trial = new Model();
    trial.entries = new Map(this.entries);
    for (const mutation of write.mutations) {
      const name = toHex(mutation.key);
      if (mutation.type === "delete") {
        trial.entries.delete(name);
      } else if (mutation.type === "set") {
        const suffix = mutation.versionstampedKey ? [2, ...text(versionstampHex(version)), 0] : [];
        const key = Uint8Array.of(...mutation.key, ...suffix);
        const { value, encoding, expiresAt } = mutation;
        if (expiresAt !== null && expiresAt <= now) trial.entries.delete(toHex(key));
        else trial.entries.set(toHex(key), { key, value, encoding, version, expiresAt });
      } else {
        const stored = trial.get(mutation.key, now);
        if (stored !== null && stored.encoding !== Encoding.le64) return null;
        const operand = toU64(mutation.value);
        const before = stored === null ? null : toU64(stored.value);
        const result = before === null ? operand : combine(mutation.type, before, operand);
        const value = fromU64(result);
        trial.entries.set(name, { key: mutation.key, value, encoding: Encoding.le64, version, expiresAt: null });
      }
    }
    return trial.entries;
  }
}

function combine(type: "sum" | "min" | "max", a: bigint, b: bigint): bigint {
  if (type === "sum") return BigInt.asUintN(64, a + b);
  if (type === "min") return a < b ? a : b;
  return a > b ? a : b;
}

function toU64(bytes: Uint8Array): bigint {
  return bytes.reduceRight((sum, byte) => sum * 256n + BigInt(byte), 0n);
}

function fromU64(value: bigint): Uint8Array {
  return Uint8Array.from({ length: 8 }, (_, i) => Number((value >> BigInt(8 * i)) & 255n));
}
