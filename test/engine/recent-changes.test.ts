/** The keys of the last changes, against a plain list of them. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { MAX_RECENT_CHANGE_BYTES } from "../../src/core/limits.ts";
import { asVersion, NO_VERSION } from "../../src/core/versionstamp.ts";
import { CHANGE_OVERHEAD_BYTES, type KeyChange, RecentChanges } from "../../src/engine/recent-changes.ts";

const version = asVersion;
const sizeOf = ({ key }: KeyChange): number => key.length + CHANGE_OVERHEAD_BYTES;

function keysFrom(recent: RecentChanges, from: number): Uint8Array[] {
  const keys: Uint8Array[] = [];
  expect(recent.visit(from, (key) => keys.push(key.slice()) > 0)).toBe(recent.next);
  return keys;
}

/** Of a key that one byte fills. */
const nameOf = (key: Uint8Array): string => `${key.length} ${key[0]} ${key.at(-1)}`;

test("every change above what is known is found in order, and the oldest go beyond the bound", () => {
  const step = fc.oneof(
    { weight: 20, arbitrary: fc.record({ keys: fc.array(fc.integer({ min: 1, max: 40 }), { maxLength: 5 }) }) },
    // Larger than the bound together, and small ones in great number.
    { weight: 1, arbitrary: fc.constant({ keys: Array.from({ length: 300 }, () => 2_048) }) },
    { weight: 1, arbitrary: fc.constant({ keys: Array.from({ length: 3_000 }, () => 1) }) },
    { weight: 1, arbitrary: fc.record({ forget: fc.nat(20) }) },
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), fc.array(fc.nat(60), { maxLength: 10 }), (steps, asked) => {
      const recent = new RecentChanges(version(10));
      const all: KeyChange[] = [];
      let last = 10;
      for (const one of steps) {
        if ("forget" in one) {
          recent.forgetUpTo(version(Math.max(0, last - one.forget)));
          continue;
        }
        last += 1;
        for (const length of one.keys) {
          const change = { key: new Uint8Array(length).fill(all.length), version: version(last) };
          expect(recent.add(change.key, change.version)).toBe(all.length);
          all.push(change);
        }
      }
      expect(recent.next).toBe(all.length);
      const kept = all.slice(recent.first);
      expect(kept.reduce((sum, change) => sum + sizeOf(change), 0)).toBeLessThanOrEqual(MAX_RECENT_CHANGE_BYTES);
      expect(recent.knownAfter).toBeGreaterThanOrEqual(all[recent.first - 1]?.version ?? 10);
      for (const number of asked) {
        const after = recent.firstAfter(version(number));
        expect(after === null).toBe(number < recent.knownAfter);
        const found = after === null ? [] : keysFrom(recent, after);
        const expected = after === null ? [] : all.filter((change) => change.version > number);
        expect(found.map(nameOf)).toEqual(expected.map(({ key }) => nameOf(key)));
      }
    }),
    { numRuns: 100 },
  );
});

test("a visit stops where it is told to, and goes on from there", () => {
  const recent = new RecentChanges(NO_VERSION);
  for (let i = 0; i < 5_000; i++) recent.add(Uint8Array.of(i >> 8, i & 0xff), version(i + 1));
  const seen: number[] = [];
  let from = 0;
  while (from < recent.next) {
    let left = 700;
    from = recent.visit(from, ([high = 0, low = 0]) => {
      seen.push(high * 256 + low);
      left -= 1;
      return left > 0;
    });
  }
  expect(seen).toEqual(Array.from({ length: 5_000 }, (_, i) => i));
});

test("earlier changes are put before the others, whose numbers stay", () => {
  const recent = new RecentChanges(version(5_000));
  recent.add(Uint8Array.of(1), version(5_001));
  expect(recent.firstAfter(version(4_999))).toBeNull();
  const earlier = Array.from({ length: 3_000 }, (_, i) => ({
    key: Uint8Array.of(i & 0xff, 7),
    version: version(i + 1),
  }));
  expect(recent.roomBefore).toBe(MAX_RECENT_CHANGE_BYTES - 17);
  recent.addBefore(earlier, version(0));
  expect([recent.first, recent.next, recent.knownAfter]).toEqual([-3_000, 1, 0]);
  expect(keysFrom(recent, recent.firstAfter(version(2_998)) ?? 99).map((key) => [...key])).toEqual([
    [2_998 & 0xff, 7],
    [2_999 & 0xff, 7],
    [1],
  ]);
  expect(recent.roomBefore, "only once").toBe(0);
});

test("nothing is put before a gap", () => {
  const recent = new RecentChanges(version(10));
  recent.forgetUpTo(version(11));
  expect(recent.roomBefore).toBe(0);
});
