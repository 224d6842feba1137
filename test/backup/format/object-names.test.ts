import { describe, expect, it } from "vitest";
import {
  differentialName,
  encodeDifferential,
  generationOf,
  generationPrefix,
  logObjectName,
  manifestName,
  parseDifferential,
  parseLogObjectName,
  parseSnapshotObjectName,
  snapshotObjectName,
} from "../../../src/backup/format/object-names.ts";
import { asVersion, LAST_ORDER } from "../../../src/core/versionstamp.ts";

const databaseId = "5e2a0c1e-7a39-4a86-b6fb-3c6f6a4d2a10";
const place = { databaseId, start: asVersion(0x5f0e_1234_5678_9) };
const first = { version: asVersion(0x5f0e_1234_5679_0), order: 0 };
const last = { version: asVersion(0x5f0e_1234_5679_8), order: LAST_ORDER };
const folder = `${databaseId}/0005f0e123456789/`;
const logName = `${folder}logs/0001_0005f0e123456790_0005f0e12345679000000000_0005f0e1234567980000ffff.bin`;
const text = (value: string): Uint8Array => new TextEncoder().encode(value);

describe("names", () => {
  it("are as the format says, to the character (B12)", () => {
    expect(generationPrefix(place)).toBe(folder);
    expect(manifestName(databaseId)).toBe(`${databaseId}/manifest.json`);
    expect(differentialName(place)).toBe(`${folder}differential`);
    expect(logObjectName(place, { first, last })).toBe(logName);
    expect(snapshotObjectName(place, { series: 0xabc, sequence: 7 })).toBe(
      `${folder}snapshots/0001_0000000000000abc_0000000000000007.bin`,
    );
  });

  it("come back from a listing", () => {
    expect(parseLogObjectName(place, logName)).toEqual({ ok: true, first, last });
    const snapshot = { series: Number.MAX_SAFE_INTEGER, sequence: 0 };
    expect(parseSnapshotObjectName(place, snapshotObjectName(place, snapshot))).toEqual({ ok: true, ...snapshot });
    expect(generationOf(databaseId, logName)).toBe(place.start);
    expect(generationOf("another", logName)).toBeUndefined();
    expect(generationOf(databaseId, manifestName(databaseId))).toBeUndefined();
  });

  it("sort as they are replayed (B12)", () => {
    const starts = [1, 15, 16, 255, 256, 2 ** 32, 2 ** 52].map(asVersion);
    const names = starts.map((version) =>
      logObjectName(place, { first: { version, order: 0 }, last: { version, order: LAST_ORDER } }),
    );
    expect(names.toSorted()).toEqual(names);
  });

  it.each([
    ["another folder", logName.replace("logs", "snapshots")],
    ["another generation", logName.replace("0005f0e123456789/", "0005f0e12345678a/")],
    ["another database", `x${logName}`],
    ["another format", logName.replace("0001_", "0002_")],
    ["an upper-case digit", logName.replace("_0005f0e123456790_", "_0005F0E123456790_")],
    ["a missing digit", logName.replace("_0005f0e123456790_", "_005f0e123456790_")],
    ["another number than its first commit's", logName.replace("_0005f0e123456790_", "_0005f0e123456791_")],
    ["an end within a commit", logName.replace("0000ffff", "00000001")],
    ["an end before its beginning", logName.replace("0005f0e1234567980000ffff", "0005f0e12345678f0000ffff")],
    ["a version past 2^53", logName.replaceAll("0005f0e1", "00205f0e")],
    ["something behind it", `${logName}.tmp`],
    ["something within it", logName.replace("logs/", "logs/x/")],
  ])("of a log object with %s is refused", (_, name) => {
    expect(parseLogObjectName(place, name)).toMatchObject({ ok: false, object: name });
  });

  it.each(["0001_0000000000000abc.bin", "0001_0000000000000abc_0020000000000000.bin", "0001_0_0.bin", ""])(
    "of a snapshot object %j is refused",
    (name) => {
      const object = `${folder}snapshots/${name}`;
      expect(parseSnapshotObjectName(place, object)).toMatchObject({ ok: false, object });
    },
  );
});

describe("differential", () => {
  it("is 20 hex digits and nothing more", () => {
    const bytes = encodeDifferential(last.version);
    expect(new TextDecoder().decode(bytes)).toBe("0005f0e1234567980000");
    expect(parseDifferential(place, bytes)).toEqual({ ok: true, consistentFrom: last.version });
    const least = asVersion(1);
    expect(parseDifferential(place, encodeDifferential(least))).toEqual({ ok: true, consistentFrom: least });
  });

  it.each([
    "",
    "0005f0e123456798000",
    "0005f0e1234567980000\n",
    "0005f0e1234567980001",
    "0".repeat(20),
    "ÿ".repeat(20),
  ])("%j is refused", (content) => {
    expect(parseDifferential(place, text(content))).toMatchObject({ ok: false, object: `${folder}differential` });
  });
});
