/** Moments and times as they are sent to us: what is read, what it means, and what is said of the rest. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { asUnixMs } from "../../src/core/clock.ts";
import { fixedMoment, readMoment, tooLate, versionOfMoment } from "../../src/core/moment.ts";
import { readTime } from "../../src/core/rfc3339.ts";
import { asVersion, versionstampHex } from "../../src/core/versionstamp.ts";

const NOW = asUnixMs(1_800_000_000_000);
const LATEST = asVersion(1_700_000_000_000_000);

function timeOf(text: string): number | string | null {
  const read = readTime(text);
  return read.ok ? read.time : read.flaw;
}

function versionOf(text: string): number {
  const read = readMoment(text, NOW);
  if (!read.ok) throw new Error(read.message);
  return versionOfMoment(read.moment, LATEST);
}

describe("a time as in RFC 3339", () => {
  test("is read as the runtime reads it, whatever the offset", () => {
    const times = fc.date({ min: new Date("0000-01-01"), max: new Date("9999-12-31"), noInvalidDate: true });
    const offsets = fc.tuple(fc.constantFrom("+", "-"), fc.nat(23), fc.nat(59));
    fc.assert(
      fc.property(times, offsets, (date, [sign, hours, minutes]) => {
        const text = date.toISOString();
        expect(timeOf(text)).toBe(date.getTime());
        const offset = `${sign}${String(hours).padStart(2, "0")}:${String(minutes).padStart(2, "0")}`;
        const elsewhere = text.replace("Z", offset);
        expect(timeOf(elsewhere)).toBe(Date.parse(elsewhere));
      }),
    );
  });

  test.for([
    ["2027-01-15t08:00:00z", "2027-01-15T08:00:00Z"],
    ["2027-01-15 08:00:00Z", "2027-01-15T08:00:00Z"],
    ["2027-01-15T08:00:00.1239999999Z", "2027-01-15T08:00:00.123Z"],
    ["2027-01-15T08:00:00.5Z", "2027-01-15T08:00:00.500Z"],
    ["2027-01-15T08:00:00-00:00", "2027-01-15T08:00:00Z"],
    ["2028-02-29T00:00:00Z", "2028-02-29T00:00:00Z"],
    ["2016-12-31T23:59:60Z", "2017-01-01T00:00:00Z"],
    ["2017-01-01T00:59:60.25+01:00", "2017-01-01T00:00:00.250Z"],
  ])("%s is %s", ([text, same]) => {
    expect(timeOf(text ?? "")).toBe(Date.parse(same ?? ""));
  });

  test.for([
    ["2026-02-31T00:00:00Z", "month 02 of 2026 has 28 days"],
    ["2026-11-31T00:00:00Z", "month 11 of 2026 has 30 days"],
    ["2100-02-29T00:00:00Z", "month 02 of 2100 has 28 days"],
    ["2026-01-00T00:00:00Z", "month 01 of 2026 has 31 days"],
    ["2026-13-01T00:00:00Z", "there is no month 13"],
    ["2026-00-01T00:00:00Z", "there is no month 00"],
    ["2026-01-01T24:00:00Z", "there is no hour 24"],
    ["2026-01-01T23:60:00Z", "there is no minute 60"],
    ["2026-01-01T23:59:61Z", "there is no second 61"],
    ["2026-01-15T12:00:60Z", "there is no leap second then"],
    ["2026-01-01T00:00:00+24:00", "there is no offset +24:00"],
    ["2026-01-01T00:00:00-01:60", "there is no offset -01:60"],
  ])("%s is refused, and the message says what is wrong", ([text, flaw]) => {
    expect(timeOf(text ?? "")).toBe(flaw);
  });

  test.for([
    "",
    "2026-01-01",
    "2026-01-01T00:00Z",
    "2026-01-01T00:00:00",
    "2026-01-01T00:00:00.Z",
    "2026-01-01T00:00:00,5Z",
    "2026-1-1T00:00:00Z",
    "+002026-01-01T00:00:00Z",
    "2026-01-01T00:00:00+01",
    "2026-01-01T00:00:00 01:00",
    " 2026-01-01T00:00:00Z",
    "2026-01-01T00:00:00Z\n",
    "1800000000000",
    `2026-01-01T00:00:00.${"9".repeat(31)}Z`,
  ])("%j has another form", (text) => {
    expect(timeOf(text)).toBeNull();
  });
});

describe("a moment", () => {
  test("is a versionstamp in either case, a time to the millisecond, some time ago, or the latest state (G1)", () => {
    const version = asVersion(1_800_000_000_123_456);
    expect(versionOf(versionstampHex(version))).toBe(version);
    expect(versionOf(versionstampHex(version).toUpperCase())).toBe(version);
    expect(versionOf("2027-01-15T09:00:00.123+01:00")).toBe(1_800_000_000_123_999);
    expect(versionOf("latest")).toBe(LATEST);
    const ago: [string, number][] = [
      ["-0s", 0],
      ["-90s", 90],
      ["-5m", 300],
      ["-1h30m", 5_400],
      ["-2d", 172_800],
      ["-1d2h3m4s", 93_784],
    ];
    for (const [text, seconds] of ago) expect(versionOf(text)).toBe((NOW - seconds * 1000) * 1000 + 999);
  });

  test("keeps its meaning as a fixed text, however late it is read", () => {
    for (const text of ["latest", "-5m", "2027-01-15T08:00:00.123Z", versionstampHex(asVersion(7))]) {
      const read = readMoment(text, NOW);
      if (!read.ok) throw new Error(read.message);
      const later = readMoment(fixedMoment(read.moment), asUnixMs(NOW + 3_600_000));
      expect(later).toEqual(read);
    }
  });

  test.for([
    "",
    "now",
    "Latest",
    "-",
    "-5",
    "-5x",
    "-m",
    "5m",
    "-30m1h",
    "-1.5h",
    "2027-01-15",
    "0006651728a3d9850001",
    "1800000000000",
  ])("%j is none (G1)", (text) => {
    const refused = readMoment(text, NOW);
    expect(refused).toMatchObject({ ok: false, code: "invalid" });
    expect(refused).toMatchObject({ message: expect.stringContaining("must be a time as in RFC 3339") });
    expect(refused).not.toMatchObject({ message: expect.stringContaining("%2B") });
  });

  test("whose day does not exist is refused with the reason; one whose plus sign was lost is refused with the way to write it (G1)", () => {
    expect(readMoment("2026-02-31T00:00:00Z", NOW)).toEqual({
      ok: false,
      code: "invalid",
      message: '"2026-02-31T00:00:00Z" is no time: month 02 of 2026 has 28 days.',
    });
    for (const text of ["2027-01-15T09:00:00 01:00", "2027-01-15T09:00:00.123 01:00"]) {
      expect(readMoment(text, NOW)).toMatchObject({ message: expect.stringContaining("write + as %2B, or use Z") });
    }
  });

  test.for(["1960-01-01T00:00:00Z", "2300-01-01T00:00:00Z", "-999999d"])(
    "%s is outside of what there can be",
    (text) => {
      expect(readMoment(text, NOW)).toMatchObject({ message: expect.stringContaining("1970 to 2255") });
    },
  );

  test("is too late while a commit may still be made that belongs to it, and never at or before the last one", () => {
    const atNow = asVersion(NOW * 1000);
    expect(tooLate(asVersion(atNow - 1), LATEST, NOW)).toBeNull();
    expect(tooLate(atNow, LATEST, NOW)).toMatchObject({ code: "not-found" });
    expect(tooLate(asVersion(atNow + 999), LATEST, NOW)).toMatchObject({ code: "not-found" });
    expect(tooLate(asVersion(atNow + 5_000_000), asVersion(atNow + 5_000_000), NOW)).toBeNull();
    expect(tooLate(asVersion(atNow + 5_000_001), asVersion(atNow + 5_000_000), NOW)).not.toBeNull();
  });
});
