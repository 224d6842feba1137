/**
 * What a grant with a key prefix may touch. Reads see the part of their ranges that lies under the prefix, so that a program that
 * lists everything lists everything it may see; whatever else names a key outside it is refused whole.
 */
import type { Grant } from "../contracts/grant.ts";
import { fromHex } from "../core/bytes.ts";
import { type Failure, failure } from "../core/errors.ts";
import { textOfKey } from "../codec/key-json.ts";
import { admitsKey, intersectRange } from "../codec/key-prefix.ts";
import type { AtomicWrite, ReadRange } from "../core/operations.ts";

/** The ranges as far as the grant goes, in the same order; one that lies outside is empty. */
export function admittedRanges(grant: Grant, ranges: readonly ReadRange[]): readonly ReadRange[] {
  if (grant.keyPrefix === undefined) return ranges;
  const prefix = fromHex(grant.keyPrefix);
  return ranges.map((range) => ({
    ...range,
    ...(intersectRange(prefix, range.start, range.end) ?? { start: prefix, end: prefix }),
  }));
}

export function refusedKeys(grant: Grant, keys: Iterable<Uint8Array>): Failure | null {
  if (grant.keyPrefix === undefined) return null;
  const prefix = fromHex(grant.keyPrefix);
  for (const key of keys) {
    if (!admitsKey(prefix, key)) {
      return failure(
        "forbidden",
        `This token allows only keys under its key prefix; the request names ${textOfKey(key)}`,
      );
    }
  }
  return null;
}

/** Every key that a write looks at or changes. A versionstamped one lies under a prefix exactly if the key before its stamp does. */
export function* keysOf(write: AtomicWrite): Generator<Uint8Array, void, undefined> {
  for (const { key } of write.checks) yield key;
  for (const { key } of write.mutations) yield key;
  for (const { keysIfUndelivered } of write.enqueues) yield* keysIfUndelivered;
}
