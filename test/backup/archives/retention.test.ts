/** Which archives are deleted: never one that somebody asked for, never the newest good one. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { excessOf, type RetainedArchive } from "../../../src/backup/archives/retention.ts";
import { asUnixMs } from "../../../src/core/clock.ts";

const DAY = 24 * 60 * 60 * 1000;
const NOW = 1_800_000_000_000;
const everywhere = new Map<string, number | null>();

function archive(
  id: number,
  daysAgo: number,
  changes: Partial<RetainedArchive> = {},
  at: readonly string[] = ["a"],
): RetainedArchive {
  return {
    id: String(id),
    origin: "schedule",
    status: "completed",
    createdAt: asUnixMs(NOW - daysAgo * DAY),
    destinations: at.map((destinationId) => ({
      destinationId,
      name: destinationId,
      type: "s3",
      status: "stored",
      object: "x",
      error: null,
    })),
    ...changes,
  };
}

const nightly = (count: number): RetainedArchive[] => Array.from({ length: count }, (_, i) => archive(count - i, i));
const excess = (archives: readonly RetainedArchive[], days: number | null, most: number | null, mostAt = everywhere) =>
  excessOf(archives, { days, most, mostAt }, asUnixMs(NOW));

test("what is older than the retention goes, the oldest first (Z32)", () => {
  expect(excess(nightly(6), 3, null).archives).toEqual(["1"]);
  expect(excess(nightly(8), 3, null).archives).toEqual(["1", "2", "3"]);
  expect(excess(nightly(6), null, null).archives).toEqual([]);
});

test("what is more than the number goes, also when it is young", () => {
  expect(excess(nightly(6), 30, 4).archives).toEqual(["1", "2"]);
  expect(excess(nightly(6), null, 0).archives).toEqual(["1", "2", "3", "4", "5"]);
});

test("the newest good one stays, however old it is, and failed ones after it do not count (Z32)", () => {
  const archives = [
    archive(1, 90),
    archive(2, 80),
    archive(3, 70, { status: "failed" }),
    archive(4, 1, { status: "running" }),
  ];
  expect(excess(archives, 7, 1).archives).toEqual(["1"]);
  expect(excess([archive(1, 90)], 7, 1).archives).toEqual([]);
});

test("only archives of the schedule go (Z32)", () => {
  const origins = ["request", "upload", "safety"] as const;
  const others = origins.map((origin, i) => archive(i + 1, 90, { origin }));
  expect(excess([...others, archive(8, 1), archive(9, 0)], 7, 1).archives).toEqual(["8"]);
});

describe("a clock that was wrong (Z32)", () => {
  test("one run that was years ahead deletes nothing, and neither does the next one with the right time", () => {
    const ahead = archive(9, -3650);
    const years = asUnixMs(NOW + 3650 * DAY);
    const before = nightly(7);
    expect(excessOf([...before, ahead], { days: 30, most: null, mostAt: everywhere }, years).archives).toEqual([]);
    expect(excess([...before, ahead, archive(10, 0)], 30, null).archives).toEqual([]);
  });
});

describe("a destination's own number", () => {
  test("takes copies away there, and leaves them elsewhere", () => {
    const archives = [3, 2, 1].map((id, i) => archive(id, i, {}, ["a", "b"]));
    expect(excess(archives, null, null, new Map([["a", 1]]))).toEqual({
      archives: [],
      copies: [
        { id: "2", destinationId: "a" },
        { id: "1", destinationId: "a" },
      ],
    });
  });

  test("destroys an archive whose last copy it is", () => {
    const archives = [archive(3, 0), archive(2, 1, {}, ["a", "b"]), archive(1, 2)];
    expect(excess(archives, null, null, new Map([["a", 1]]))).toEqual({
      archives: ["1"],
      copies: [{ id: "2", destinationId: "a" }],
    });
  });
});

describe("a destination that archives have not reached for longer than they are kept (Z32)", () => {
  const since = Array.from({ length: 8 }, (_, i) => archive(20 - i, i, {}, ["a"]));
  const old = [archive(3, 10, {}, ["a", "b"]), archive(2, 11, {}, ["a", "b"]), archive(1, 12, {}, ["a", "b"])];
  const destinations = new Map([
    ["a", null],
    ["b", null],
  ]);

  test("keeps the newest that it has", () => {
    expect(excess([...since, ...old], 7, null, destinations)).toEqual({
      archives: ["1", "2"],
      copies: [{ id: "3", destinationId: "a" }],
    });
    expect(excess([...since, ...old], null, 2, destinations)).toEqual({
      archives: ["1", "2", "13", "14", "15", "16", "17", "18"],
      copies: [{ id: "3", destinationId: "a" }],
    });
  });

  test("keeps nothing when it was removed", () => {
    expect(excess([...since, ...old], 7, null, new Map([["a", null]]))).toEqual({
      archives: ["1", "2", "3"],
      copies: [],
    });
  });
});

test("whatever there is: the newest good one keeps every copy, and nothing that is not good is touched (Z32)", () => {
  const any = fc.record({
    daysAgo: fc.integer({ min: -400, max: 400 }),
    origin: fc.constantFrom("schedule", "schedule", "request", "safety", "upload"),
    status: fc.constantFrom("completed", "completed", "failed", "running", "pending"),
    at: fc.subarray(["a", "b", "c"], { minLength: 1 }),
  });
  const few = fc.option(fc.integer({ min: 0, max: 5 }));
  fc.assert(
    fc.property(fc.array(any, { maxLength: 12 }), few, few, few, (all, days, most, atA) => {
      const archives = all.map(({ daysAgo, origin, status, at }, i) => archive(i + 1, daysAgo, { origin, status }, at));
      const { archives: gone, copies } = excess(
        archives,
        days,
        most,
        atA === null
          ? everywhere
          : new Map([
              ["a", atA],
              ["b", null],
            ]),
      );
      const good = archives.filter(({ origin, status }) => origin === "schedule" && status === "completed");
      const newest = good.at(-1)?.id;
      const touched = [...gone, ...copies.map(({ id }) => id)];
      expect(touched.every((id) => id !== newest && good.some((one) => one.id === id))).toBe(true);
      // The newest copy at a destination stays there.
      for (const place of atA === null ? [] : ["a", "b"]) {
        const there = good.findLast(({ destinations }) => destinations.some((one) => one.destinationId === place));
        expect(gone).not.toContain(there?.id);
        expect(copies).not.toContainEqual({ id: there?.id, destinationId: place });
      }
      // A copy that goes is not the last one.
      for (const { id, destinationId } of copies) {
        const left = good
          .find((one) => one.id === id)
          ?.destinations.filter((place) => place.destinationId !== destinationId);
        expect(left?.length).toBeGreaterThan(0);
      }
    }),
  );
});
