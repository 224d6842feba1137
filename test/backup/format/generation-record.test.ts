import { describe, expect, it } from "vitest";
import {
  encodeGenerationRecord,
  type GenerationRecord,
  parseGenerationRecord,
} from "../../../src/backup/format/generation-record.ts";
import { sealManifest } from "../../../src/backup/format/manifest.ts";
import { generationRecordName } from "../../../src/backup/format/object-names.ts";
import { asUnixMs } from "../../../src/core/clock.ts";
import { MAX_GENERATION_RECORD_BYTES } from "../../../src/core/limits.ts";
import { asVersion } from "../../../src/core/versionstamp.ts";

const place = { databaseId: "db", start: asVersion(1_800_000_000_000_000) };
const object = generationRecordName(place);
const record: GenerationRecord = {
  writer: "0f".repeat(16),
  since: asUnixMs(Date.UTC(2026, 10, 2)),
  follows: {
    start: asVersion(1_700_000_000_000_000),
    leftAt: { lastPoint: asVersion(1_750_000_000_000_000), heldUpTo: asVersion(1_760_000_000_000_000) },
  },
  snapshot: {
    consistentFrom: asVersion(1_800_000_000_000_100),
    objects: 2,
    bytes: 99,
    head: { object: "snapshots/0001_x.bin", sha256: "ab".repeat(32) },
  },
};
const bytes = encodeGenerationRecord(place, record);

describe("the record of a generation", () => {
  it("comes back as it was, also before its snapshot is whole and of the first generation", () => {
    expect(parseGenerationRecord(place, bytes)).toEqual({ ok: true, record });
    const young = { ...record, follows: null, snapshot: null };
    expect(parseGenerationRecord(place, encodeGenerationRecord(place, young))).toEqual({ ok: true, record: young });
  });

  it("cut short anywhere or with any one bit flipped is refused", () => {
    for (let length = 0; length < bytes.length; length++) {
      expect(parseGenerationRecord(place, bytes.subarray(0, length))).toMatchObject({ ok: false, object });
    }
    for (let bit = 0; bit < bytes.length * 8; bit++) {
      const flipped = bytes.slice();
      flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      expect(parseGenerationRecord(place, flipped)).toMatchObject({ ok: false, object });
    }
  });

  const text = new TextDecoder().decode(bytes).replace(/,\n {2}"sha256": "[0-9a-f]{64}"\n}\n$/, "\n}\n");
  it.each([
    ["of another generation", text.replace('"start": "000665', '"start": "000664'), "is another generation's"],
    ["of another database", text.replace('"databaseId": "db"', '"databaseId": "dc"'), "is another generation's"],
    ["of another format", text.replace('"format": 1', '"format": 2'), "has format 2"],
    ["without a writer", text.replace("0f0f", "xxxx"), "names no writer"],
    ["that is no JSON", "[}", "is not JSON"],
    ["that is too long", text.replace("0f0f", "f".repeat(MAX_GENERATION_RECORD_BYTES)), "is longer than 4096 bytes"],
  ])("%s is refused, saying so", (_, changed, problem) => {
    expect(parseGenerationRecord(place, sealManifest(changed))).toMatchObject({
      ok: false,
      object,
      problem: expect.stringContaining(problem),
    });
  });

  it("is well below its limit", () => {
    expect(bytes.length).toBeLessThan(MAX_GENERATION_RECORD_BYTES / 3);
  });
});
