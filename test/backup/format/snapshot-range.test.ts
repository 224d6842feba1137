/** Snapshot objects: our codec against the generated one, and every way to damage an object. */
import { create, fromBinary, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { MAX_SNAPSHOT_RANGE_ENTRIES } from "../../../src/core/limits.ts";
import { NO_OBJECT_BEFORE } from "../../../src/backup/format/fields.ts";
import type { Damage } from "../../../src/backup/format/damage.ts";
import {
  encodeSnapshotRange,
  openSnapshotRange,
  type SnapshotEntry,
  snapshotEntryBound,
  type SnapshotRange,
} from "../../../src/backup/format/snapshot-range.ts";
import { compareBytes, concatBytes } from "../../../src/core/bytes.ts";
import { asUnixMs } from "../../../src/core/clock.ts";
import { asVersion, versionstampBytes } from "../../../src/core/versionstamp.ts";
import { arbitraryEntry } from "../../support/operations.ts";
import { sealed } from "../../support/sealed.ts";
import { BackupSnapshotRangeSchema } from "../../support/proto/generated/com/deno/kv/backup/backup_pb.js";

const place = { databaseId: "db", start: asVersion(1000) };
const name = "db/00000000000003e8/snapshots/0001_0000000000000001_0000000000000000.bin";
const hash = new Uint8Array(32).fill(0xcd);
const text = (of: string): Uint8Array => new TextEncoder().encode(of);
/** One string part. */
const tooLongKey = text(`\u0002${"a".repeat(2047)}\u0000`);

const arbitraryEntries: fc.Arbitrary<SnapshotEntry[]> = fc
  .array(fc.tuple(arbitraryEntry, fc.option(fc.integer({ min: 1, max: 8_640_000_000_000_000 }).map(asUnixMs))), {
    minLength: 1,
    maxLength: 8,
  })
  .map((pairs) => pairs.map(([entry, expiresAt]) => ({ ...entry, expiresAt })))
  .map((entries) => entries.toSorted((a, b) => compareBytes(a.key, b.key)))
  .map((entries) => entries.filter(({ key }, i) => i === 0 || compareBytes(entries[i - 1]?.key ?? key, key) !== 0));

function opened(outcome: SnapshotRange | Damage): SnapshotRange {
  if (!outcome.ok) throw new Error(`${outcome.object} ${outcome.problem}`);
  return outcome;
}

describe("a snapshot object", () => {
  it("gives back what was written, in order, without copying, within its bound", () => {
    fc.assert(
      fc.property(arbitraryEntries, fc.constantFrom(hash, NO_OBJECT_BEFORE), (entries, previous) => {
        const bytes = encodeSnapshotRange(entries, previous);
        const range = opened(openSnapshotRange(place, name, bytes));
        const read = [...range.read()];
        expect(read).toEqual(entries);
        expect(read.every((entry) => entry.value.buffer === bytes.buffer)).toBe(true);
        expect(range.previousSha256).toEqual(previous);
        expect(range.entries).toBe(entries.length);
        expect([range.firstKey, range.lastKey]).toEqual([entries[0]?.key, entries.at(-1)?.key]);
        const bound = entries.reduce((sum, { key, value }) => sum + snapshotEntryBound(key.length, value.length), 75);
        expect(bytes.length).toBeLessThanOrEqual(bound);
      }),
    );
  });

  it("is what the generated code reads (B13)", () => {
    fc.assert(
      fc.property(arbitraryEntries, (entries) => {
        const bytes = encodeSnapshotRange(entries, hash);
        const message = fromBinary(BackupSnapshotRangeSchema, bytes);
        expect(sealed(bytes.subarray(0, -35))).toEqual(bytes);
        const expiry = (ms: number | null): Uint8Array => {
          const eight = new Uint8Array(8);
          new DataView(eight.buffer).setBigInt64(0, BigInt(ms ?? -1), true);
          return eight;
        };
        expect(message.previousSha256).toEqual(hash);
        expect(message.dataList.map(({ key, value }) => [key, value])).toEqual(
          entries.map(({ key, value }) => [Uint8Array.of(0x64, ...key), value]),
        );
        expect(message.metadataList.map(({ key, value }) => [key, value])).toEqual(
          entries.map(({ key, version, encoding, expiresAt }) => [
            Uint8Array.of(0x6d, ...key),
            concatBytes([versionstampBytes(version), Uint8Array.of(encoding), expiry(expiresAt)]),
          ]),
        );
      }),
    );
  });
});

describe("a damaged snapshot object", () => {
  const entry = (letter: number, expiresAt: number | null): SnapshotEntry => ({
    key: Uint8Array.of(2, letter, 0),
    value: Uint8Array.of(1, 2, 3),
    encoding: 3,
    version: asVersion(1_800_000_000_000_000),
    expiresAt: expiresAt === null ? null : asUnixMs(expiresAt),
  });
  const sample = encodeSnapshotRange([entry(97, null), entry(98, 1_800_000_000_000)], hash);

  it("is refused at every length but its own", () => {
    for (let length = 0; length < sample.length; length++) {
      const outcome = openSnapshotRange(place, name, sample.subarray(0, length));
      expect(outcome).toMatchObject({ ok: false, object: name });
    }
    expect(openSnapshotRange(place, name, sample).ok).toBe(true);
  });

  it("with any one bit flipped is refused (B18)", () => {
    for (let bit = 0; bit < sample.length * 8; bit++) {
      const bytes = sample.slice();
      const at = Math.floor(bit / 8);
      bytes[at] = (bytes[at] ?? 0) ^ (1 << (bit % 8));
      expect(openSnapshotRange(place, name, bytes)).toMatchObject({ ok: false, object: name });
    }
  });

  it("never makes the decoder throw, whatever the bytes", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        for (const object of [bytes, sealed(bytes)]) {
          expect(openSnapshotRange(place, name, object)).toMatchObject({ ok: false, object: name });
        }
      }),
    );
  });

  const metadata = concatBytes([versionstampBytes(asVersion(5)), Uint8Array.of(3), new Uint8Array(8).fill(0xff)]);
  const data = { key: Uint8Array.of(0x64, 2, 97, 0), value: Uint8Array.of(1) };
  const about = { key: Uint8Array.of(0x6d, 2, 97, 0), value: metadata };
  const withByte = (index: number, byte: number): Uint8Array => metadata.map((old, i) => (i === index ? byte : old));
  const open = (message: MessageInitShape<typeof BackupSnapshotRangeSchema>): SnapshotRange | Damage =>
    openSnapshotRange(
      place,
      name,
      sealed(
        toBinary(BackupSnapshotRangeSchema, create(BackupSnapshotRangeSchema, { previousSha256: hash, ...message })),
      ),
    );

  it("is told from this one, which is sound", () => {
    expect(open({ dataList: [data], metadataList: [about] })).toMatchObject({ ok: true, entries: 1 });
  });

  it.each<[string, MessageInitShape<typeof BackupSnapshotRangeSchema>, string]>([
    ["nothing in it", {}, "holds no entry"],
    ["data without metadata", { dataList: [data] }, "no metadata for entry 0"],
    ["metadata without data", { metadataList: [about] }, "field 2 where entry 0"],
    [
      "metadata of another key",
      { dataList: [data], metadataList: [{ ...about, key: Uint8Array.of(0x6d, 2, 98, 0) }] },
      "different keys",
    ],
    [
      "data under another letter",
      { dataList: [{ ...data, key: Uint8Array.of(0x65, 2, 97, 0) }], metadataList: [about] },
      "different keys",
    ],
    [
      "empty keys",
      { dataList: [{ ...data, key: Uint8Array.of(0x64) }], metadataList: [{ ...about, key: Uint8Array.of(0x6d) }] },
      "none that can be",
    ],
    [
      "keys that are none",
      { dataList: [{ ...data, key: text("dno") }], metadataList: [{ ...about, key: text("mno") }] },
      "none that can be",
    ],
    [
      "keys of 2,049 bytes",
      {
        dataList: [{ ...data, key: Uint8Array.of(0x64, ...tooLongKey) }],
        metadataList: [{ ...about, key: Uint8Array.of(0x6d, ...tooLongKey) }],
      },
      "none that can be",
    ],
    [
      "a value of more than 1 MiB",
      { dataList: [{ ...data, value: new Uint8Array(2 ** 20 + 1) }], metadataList: [about] },
      "impossible versionstamp, value",
    ],
    [
      "metadata cut short",
      { dataList: [data], metadataList: [{ ...about, value: metadata.slice(1) }] },
      "another length",
    ],
    [
      "a versionstamp that nobody has",
      { dataList: [data], metadataList: [{ ...about, value: withByte(9, 1) }] },
      "impossible versionstamp",
    ],
    [
      "no versionstamp",
      { dataList: [data], metadataList: [{ ...about, value: metadata.map((byte, i) => (i < 10 ? 0 : byte)) }] },
      "impossible versionstamp",
    ],
    [
      "an unknown encoding",
      { dataList: [data], metadataList: [{ ...about, value: withByte(10, 0) }] },
      "impossible versionstamp",
    ],
    [
      "an expiry before 1970",
      { dataList: [data], metadataList: [{ ...about, value: withByte(11, 0) }] },
      "impossible versionstamp",
    ],
    [
      "a hash of 31 bytes",
      { dataList: [data], metadataList: [about], previousSha256: hash.slice(1) },
      "hash of another length",
    ],
  ])("by %s is refused, saying so", (_, message, problem) => {
    const outcome = open(message);
    expect(outcome).toMatchObject({ ok: false, object: name });
    expect(outcome).toHaveProperty("problem", expect.stringContaining(problem));
  });

  it("by a field of an entry that the format does not know is refused", () => {
    // Field 3 of two bytes, in place of the value.
    const unknown = Uint8Array.of(0x1a, 1, 1);
    const withUnknown = sealed(
      concatBytes([
        toBinary(BackupSnapshotRangeSchema, create(BackupSnapshotRangeSchema, { previousSha256: hash })),
        Uint8Array.of(0x0a, 2 + data.key.length + unknown.length, 0x0a, data.key.length, ...data.key, ...unknown),
      ]),
    );
    expect(openSnapshotRange(place, name, withUnknown)).toHaveProperty("problem", expect.stringContaining("a field 3"));
  });

  it("by keys out of order is refused", () => {
    const bytes = encodeSnapshotRange([entry(98, null), entry(97, null)], hash);
    expect(openSnapshotRange(place, name, bytes)).toHaveProperty("problem", expect.stringContaining("order of keys"));
    const twice = encodeSnapshotRange([entry(98, null), entry(98, null)], hash);
    expect(openSnapshotRange(place, name, twice)).toHaveProperty("problem", expect.stringContaining("order of keys"));
  });

  it("by more entries than a scan gives is refused", () => {
    const entries = Array.from({ length: MAX_SNAPSHOT_RANGE_ENTRIES + 1 }, (_, i) => ({
      ...entry(97, null),
      key: Uint8Array.of(2, ...text(String(i).padStart(5, "0")), 0),
    }));
    expect(openSnapshotRange(place, name, encodeSnapshotRange(entries.slice(0, -1), hash)).ok).toBe(true);
    expect(openSnapshotRange(place, name, encodeSnapshotRange(entries, hash))).toHaveProperty(
      "problem",
      "has more than 20000 entries",
    );
  });
});
