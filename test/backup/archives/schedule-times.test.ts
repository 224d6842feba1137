/** When a schedule is due: time zones, days on which clocks change, clocks that were wrong, and what is no schedule. */
import { describe, expect, test } from "vitest";
import { cronTimes, type CronTimes, isWrong, nextRuns } from "../../../src/backup/archives/schedule-times.ts";
import { MAX_CRON_CHARACTERS } from "../../../src/core/archive-limits.ts";
import { asUnixMs, type UnixMs } from "../../../src/core/clock.ts";
import { isFailure } from "../../../src/core/errors.ts";

const at = (text: string): UnixMs => asUnixMs(Date.parse(text));
const NOW = at("2026-11-27T12:00:00Z");

function timesOf(cron: string, timezone = "UTC"): CronTimes {
  const times = cronTimes(cron, timezone, NOW);
  if (isFailure(times)) throw new Error(times.message);
  return times;
}

function three(cron: string, timezone: string, from: string): string[] {
  return nextRuns(timesOf(cron, timezone), at(from), 3).map((time) => new Date(time).toISOString().slice(0, 16));
}

test.each([
  [
    "every night",
    "0 3 * * *",
    "UTC",
    "2026-11-27T12:00Z",
    ["2026-11-28T03:00", "2026-11-29T03:00", "2026-11-30T03:00"],
  ],
  [
    "in a zone",
    "0 3 * * *",
    "Asia/Kathmandu",
    "2026-11-27T12:00Z",
    ["2026-11-27T21:15", "2026-11-28T21:15", "2026-11-29T21:15"],
  ],
  [
    "weekdays by name",
    "30 6 * * MON-FRI",
    "UTC",
    "2026-11-27T12:00Z",
    ["2026-11-30T06:30", "2026-12-01T06:30", "2026-12-02T06:30"],
  ],
  [
    "day or weekday",
    "0 3 13 * 5",
    "UTC",
    "2026-12-05T00:00Z",
    ["2026-12-11T03:00", "2026-12-13T03:00", "2026-12-18T03:00"],
  ],
  ["leap days", "0 0 29 2 *", "UTC", "2026-11-27T12:00Z", ["2028-02-29T00:00", "2032-02-29T00:00", "2036-02-29T00:00"]],
  [
    "the hour that is missing in spring",
    "30 2 * * *",
    "Europe/Berlin",
    "2026-03-28T12:00Z",
    ["2026-03-29T01:00", "2026-03-30T00:30", "2026-03-31T00:30"],
  ],
  [
    "several runs in the missing hour are one",
    "*/20 2 * * *",
    "Europe/Berlin",
    "2026-03-28T12:00Z",
    ["2026-03-29T01:00", "2026-03-30T00:00", "2026-03-30T00:20"],
  ],
  [
    "one of several runs a day in the missing hour",
    "30 2,14 * * *",
    "America/New_York",
    "2027-03-13T20:00Z",
    ["2027-03-14T07:00", "2027-03-14T18:30", "2027-03-15T06:30"],
  ],
  [
    "a missing hour in years",
    "15,45 2 14 3 *",
    "America/New_York",
    "2026-11-27T12:00Z",
    ["2027-03-14T07:00", "2028-03-14T06:15", "2028-03-14T06:45"],
  ],
  [
    "every hour, without the missing one",
    "30 * * * *",
    "Europe/Berlin",
    "2026-03-29T00:00Z",
    ["2026-03-29T00:30", "2026-03-29T01:30", "2026-03-29T02:30"],
  ],
  [
    "a missing half hour",
    "0,20 2 * * *",
    "Australia/Lord_Howe",
    "2026-10-03T00:00Z",
    ["2026-10-03T15:30", "2026-10-04T15:00", "2026-10-04T15:20"],
  ],
  [
    "the hour that comes twice in autumn, once",
    "30 2 * * *",
    "Europe/Berlin",
    "2026-10-24T12:00Z",
    ["2026-10-25T00:30", "2026-10-26T01:30", "2026-10-27T01:30"],
  ],
])("the next three runs: %s (Z31)", (_, cron, timezone, from, runs) => {
  expect(three(cron, timezone, from)).toEqual(runs);
});

describe("no schedule (Z28)", () => {
  test.each([
    ["", "UTC", "five fields"],
    ["0 3 * *", "UTC", "five fields"],
    ["0 0 3 * * *", "UTC", "five fields"],
    ["@daily", "UTC", "five fields"],
    ["? 3 * * *", "UTC", "five fields"],
    ["2026-12-01T00:00:00 * * * *", "UTC", "five fields"],
    ["60 3 * * *", "UTC", "out of range"],
    ["0 24 * * *", "UTC", "out of range"],
    ["0 3 * 13 *", "UTC", "out of range"],
    ["*/0 3 * * *", "UTC", "out of range"],
    ["0 3 30 2 *", "UTC", "never runs"],
    ["0 3 * * *", "Mars/Olympus", "IANA"],
    ["0 3 * * *", "+02:00", "IANA"],
    ["0 3 * * *", "", "IANA"],
  ])("%j in %j is refused: %s", (cron, timezone, why) => {
    expect(cronTimes(cron, timezone, NOW)).toMatchObject({
      ok: false,
      code: "invalid",
      message: expect.stringContaining(why),
    });
  });

  test("a text is at most so long", () => {
    const padded = (length: number) => "0 3 * * *".padStart(length);
    expect(isFailure(cronTimes(padded(MAX_CRON_CHARACTERS), "UTC", NOW))).toBe(false);
    expect(cronTimes(padded(MAX_CRON_CHARACTERS + 1), "UTC", NOW)).toMatchObject({ code: "limit" });
  });
});

test("a clock that was set back by up to an hour was right before (Z31)", () => {
  expect(isWrong(at("2026-11-27T13:00Z"), NOW)).toBe(false);
  expect(isWrong(at("2026-11-27T13:00:01Z"), NOW)).toBe(true);
});
