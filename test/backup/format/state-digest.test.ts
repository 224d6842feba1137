import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { SnapshotEntry } from "../../../src/backup/format/snapshot-range.ts";
import { StateDigest } from "../../../src/backup/format/state-digest.ts";
import { concatBytes, toHex } from "../../../src/core/bytes.ts";
import { asUnixMs } from "../../../src/core/clock.ts";
import { asVersion, versionstampBytes } from "../../../src/core/versionstamp.ts";
import { arbitraryEntry } from "../../support/operations.ts";

const arbitrary: fc.Arbitrary<SnapshotEntry> = fc
  .tuple(arbitraryEntry, fc.option(fc.integer({ min: 1, max: 2 ** 50 }).map(asUnixMs)))
  .map(([entry, expiresAt]) => ({ ...entry, expiresAt }));

/** As the format page says it, with big integers and the platform's own SHA-256. */
async function modelSum(entries: readonly SnapshotEntry[], withExpiries: boolean): Promise<string> {
  let sum = 0n;
  for (const { key, encoding, version, value, expiresAt } of entries) {
    const length = new Uint8Array(4);
    new DataView(length.buffer).setUint32(0, key.length);
    const expiry = new Uint8Array(withExpiries ? 8 : 0);
    if (withExpiries) new DataView(expiry.buffer).setBigInt64(0, BigInt(expiresAt ?? -1), true);
    const bytes = concatBytes([length, key, Uint8Array.of(encoding), versionstampBytes(version), value, expiry]);
    sum += BigInt(`0x${toHex(new Uint8Array(await crypto.subtle.digest("SHA-256", bytes)))}`);
  }
  return (sum % 2n ** 256n).toString(16).padStart(64, "0");
}

describe("the digest of a state", () => {
  it("of nothing is zero", () => {
    const zero = "0".repeat(64);
    expect(new StateDigest().value()).toEqual({ count: 0, sum: zero, sumWithExpiries: zero });
  });

  it("of one entry is a number that anyone can compute (B20)", () => {
    const digest = new StateDigest();
    const value = Uint8Array.of(0xff, 0x0f, 0x49, 0x02);
    digest.add({ key: Uint8Array.of(2, 97, 0), value, encoding: 1, version: asVersion(1000), expiresAt: null });
    expect(digest.value()).toEqual({
      count: 1,
      // printf '\0\0\0\3\2a\0\1\0\0\0\0\0\0\3\350\0\0\377\17\111\2' | sha256sum; the second with eight \377 appended.
      sum: "7e419e0d672ac7bfbbb2a8828e2675e847d2fa5011b58daa0cf8860bde7c2b8a",
      sumWithExpiries: "8c25098121d0fb96ac683bef18f1e8141e60f3121f6a25c527e2432138d0fa2f",
    });
  });

  it("is the sum of the entries' hashes modulo 2^256, in any order (B20)", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(arbitrary, { maxLength: 12 }), async (entries) => {
        const digest = new StateDigest();
        for (const entry of entries.toReversed()) digest.add(entry);
        expect(digest.value()).toEqual({
          count: entries.length,
          sum: await modelSum(entries, false),
          sumWithExpiries: await modelSum(entries, true),
        });
      }),
      { numRuns: 50 },
    );
  });

  it("forgets an entry that is removed, before or after it was stored away", () => {
    fc.assert(
      fc.property(fc.array(arbitrary, { maxLength: 6 }), fc.array(arbitrary, { maxLength: 6 }), (kept, removed) => {
        const expected = new StateDigest();
        for (const entry of kept) expected.add(entry);
        let digest = new StateDigest();
        for (const entry of removed) digest.add(entry);
        digest = new StateDigest(digest.value());
        for (const entry of kept) digest.add(entry);
        for (const entry of removed) digest.remove(entry);
        expect(digest.value()).toEqual(expected.value());
      }),
    );
  });
});
