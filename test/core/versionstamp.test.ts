import { describe, expect, test } from "vitest";
import { toHex } from "../../src/core/bytes.ts";
import { asUnixMs } from "../../src/core/clock.ts";
import {
  asVersion,
  timeOfVersion,
  versionAtTime,
  versionOfBytes,
  versionOfHex,
  versionstampBytes,
  versionstampHex,
} from "../../src/core/versionstamp.ts";

describe("a versionstamp", () => {
  test.each([
    [1, "00000000000000010000"],
    [0xff, "00000000000000ff0000"],
    [2 ** 32 - 1, "00000000ffffffff0000"],
    [2 ** 32, "00000001000000000000"],
    [0x0006_444c_9be6_2a40, "0006444c9be62a400000"],
    [2 ** 53 - 1, "001fffffffffffff0000"],
  ])("of version %i is 8 bytes of the version and two zero bytes, 20 digits as text (S1)", (number, text) => {
    const version = asVersion(number);
    expect(versionstampHex(version)).toBe(text);
    expect(toHex(versionstampBytes(version))).toBe(text);
    expect(versionOfHex(text)).toBe(version);
    expect(versionOfBytes(versionstampBytes(version))).toBe(version);
  });

  test.each(["0006444c9be62a400001", "00200000000000000000", "0006444c9be62a40", ""])(
    "that no commit can have is none: %j",
    (text) => {
      expect(versionOfHex(text)).toBeUndefined();
      expect(versionOfBytes(Uint8Array.from(Buffer.from(text, "hex")))).toBeUndefined();
    },
  );

  test("its time is the millisecond of the commit (S5)", () => {
    const time = asUnixMs(Date.UTC(2026, 10, 27, 2, 30, 0, 123));
    const first = versionAtTime(time);
    expect(first).toBe(time * 1000);
    expect(timeOfVersion(first)).toBe(time);
    expect(timeOfVersion(asVersion(first + 999))).toBe(time);
    expect(timeOfVersion(asVersion(first + 1000))).toBe(time + 1);
  });
});
