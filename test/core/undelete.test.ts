/** Which entries of a moment an undelete brings back. */
import { expect, test } from "vitest";
import { asUnixMs } from "../../src/core/clock.ts";
import { addCounts, fateOf, NOTHING_UNDELETED } from "../../src/core/undelete.ts";
import { asVersion } from "../../src/core/versionstamp.ts";

const then = asVersion(5);
const other = asVersion(9);
const now = asUnixMs(1000);

test.each([
  // What is there now; its expiry then; what becomes of it, and with `force`.
  [null, null, "count", "count"],
  [null, 1001, "count", "count"],
  [null, 1000, "expired", "expired"],
  [then, null, "unchanged", "unchanged"],
  [other, null, "skipped", "count"],
  [other, 1001, "skipped", "count"],
  [other, 1000, "expired", "expired"],
] as const)("over %s, with the expiry %s, it is %s, and %s by force (H27)", (present, expiry, fate, forced) => {
  const entry = { version: then, expiresAt: expiry === null ? null : asUnixMs(expiry) };
  expect(fateOf(entry, present, { force: false, now })).toBe(fate);
  expect(fateOf(entry, present, { force: true, now })).toBe(forced);
});

test("counts add up, each by itself", () => {
  const one = { count: 1, skipped: 2, unchanged: 3, expired: 4 };
  expect(addCounts(one, { count: 10, skipped: 20, unchanged: 30, expired: 40 })).toEqual({
    count: 11,
    skipped: 22,
    unchanged: 33,
    expired: 44,
  });
  expect(addCounts(NOTHING_UNDELETED, one)).toEqual(one);
});
