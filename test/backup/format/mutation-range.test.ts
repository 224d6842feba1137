/** Log objects: our codec against the generated one and against the engine's own rows, and every way to damage an object. */
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { NO_OBJECT_BEFORE } from "../../../src/backup/format/fields.ts";
import type { Damage } from "../../../src/backup/format/damage.ts";
import {
  type CommitInWireForm,
  encodeMutationRange,
  type LogEntry,
  type MutationRange,
  openMutationRange,
} from "../../../src/backup/format/mutation-range.ts";
import { encodeLogEntries } from "../../../src/engine/log-entry.ts";
import { asUnixMs } from "../../../src/core/clock.ts";
import { toHex } from "../../../src/core/bytes.ts";
import { MAX_BACKUP_RANGE_BYTES, MAX_LOG_OBJECT_ENTRIES } from "../../../src/core/limits.ts";
import { Encoding } from "../../../src/core/operations.ts";
import { asVersion, timeOfVersion, type Version, writeVersionstamp } from "../../../src/core/versionstamp.ts";
import { arbitraryEntry } from "../../support/operations.ts";
import { sealed } from "../../support/sealed.ts";
import { BackupMutationRangeSchema } from "../../support/proto/generated/com/deno/kv/backup/backup_pb.js";

const place = { databaseId: "db", start: asVersion(1_700_000_000_000_000) };
const hash = new Uint8Array(32).fill(0xab);
type Effect = Parameters<typeof encodeLogEntries>[1][number];

const arbitraryEffect: fc.Arbitrary<Effect> = fc.oneof(
  fc
    .tuple(arbitraryEntry, fc.option(fc.integer({ min: 1, max: 8_640_000_000_000_000 }).map(asUnixMs)))
    .map(([{ key, value, encoding }, expiresAt]) => ({ type: "set" as const, key, value, encoding, expiresAt })),
  arbitraryEntry.map(({ key }) => ({ type: "delete" as const, key })),
);

/** Some commits in order, as effects. */
const arbitraryCommits = fc
  .array(fc.tuple(fc.integer({ min: 1, max: 2 ** 40 }), fc.array(arbitraryEffect, { minLength: 1, maxLength: 6 })), {
    minLength: 1,
    maxLength: 5,
  })
  .map((steps) => {
    let version = 1_700_000_000_000_000;
    return steps.map(([step, effects]) => {
      version += step;
      return { version: asVersion(version), effects };
    });
  });

function inWireForm(commits: readonly { version: Version; effects: readonly Effect[] }[]): CommitInWireForm[] {
  return commits.map(({ version, effects }) => ({ version, parts: encodeLogEntries(version, effects, 100) }));
}

function opened(outcome: MutationRange | Damage): MutationRange {
  if (!outcome.ok) throw new Error(`${outcome.object} ${outcome.problem}`);
  return outcome;
}

describe("a log object", () => {
  it("gives back what was written, in order, without copying", () => {
    fc.assert(
      fc.property(arbitraryCommits, fc.constantFrom(hash, NO_OBJECT_BEFORE), (commits, previous) => {
        const { name, bytes } = encodeMutationRange(place, inWireForm(commits), previous);
        const range = opened(openMutationRange(place, name, bytes));
        const expected: LogEntry[] = commits.flatMap(({ version, effects }) =>
          effects.map((effect, i): LogEntry => {
            const stamp = { version, order: i === effects.length - 1 ? 0xffff : i };
            if (effect.type === "delete") return { type: "clear", stamp, key: effect.key };
            const { key, value, encoding, expiresAt } = effect;
            return { type: "set", stamp, key, value, encoding, expiresAt };
          }),
        );
        const read = [...range.read()];
        expect(read).toEqual(expected);
        expect(read.every((entry) => entry.key.buffer === bytes.buffer)).toBe(true);
        expect(range.previousSha256).toEqual(previous);
        expect([range.entries, range.commits]).toEqual([expected.length, commits.length]);
      }),
    );
  });

  it("is what the generated code reads and writes (B13)", () => {
    fc.assert(
      fc.property(arbitraryCommits, (commits) => {
        const { name, bytes } = encodeMutationRange(place, inWireForm(commits), hash);
        const message = fromBinary(BackupMutationRangeSchema, bytes);
        expect(message.previousSha256).toEqual(hash);
        expect(message.timestampMs).toBe(BigInt(timeOfVersion(commits.at(-1)?.version ?? asVersion(0))));
        const entries = [...opened(openMutationRange(place, name, bytes)).read()];
        expect(message.entries.map(({ key, value, expireAtMs }) => [key, value, expireAtMs])).toEqual(
          entries.map((entry) =>
            entry.type === "clear"
              ? [entry.key, new Uint8Array(), 0n]
              : [entry.key, entry.value, BigInt(entry.expiresAt ?? 0)],
          ),
        );
        expect(sealed(bytes.subarray(0, -35))).toEqual(bytes);
        // It leaves out empty values, which our rows spell out: the same message.
        const unsealed = create(BackupMutationRangeSchema, { ...message, ownSha256: new Uint8Array() });
        const theirs = sealed(toBinary(BackupMutationRangeSchema, unsealed));
        expect([...opened(openMutationRange(place, name, theirs)).read()]).toEqual(entries);
      }),
    );
  });
});

/** Two commits: a set with an expiry and a clear; a sum's result. */
const sample = encodeMutationRange(
  place,
  inWireForm([
    {
      version: asVersion(1_800_000_000_000_000),
      effects: [
        {
          type: "set",
          key: Uint8Array.of(2, 97, 0),
          value: Uint8Array.of(1, 2, 3),
          encoding: Encoding.bytes,
          expiresAt: asUnixMs(5),
        },
        { type: "delete", key: Uint8Array.of(2, 98, 0) },
      ],
    },
    {
      version: asVersion(1_800_000_000_000_001),
      effects: [
        {
          type: "set",
          key: Uint8Array.of(2, 99, 0),
          value: new Uint8Array(8),
          encoding: Encoding.le64,
          expiresAt: null,
        },
      ],
    },
  ]),
  hash,
);

describe("a damaged log object", () => {
  it("is refused at every length but its own (B18)", () => {
    for (let length = 0; length < sample.bytes.length; length++) {
      const outcome = openMutationRange(place, sample.name, sample.bytes.subarray(0, length));
      expect(outcome).toMatchObject({ ok: false, object: sample.name });
    }
    expect(openMutationRange(place, sample.name, sample.bytes).ok).toBe(true);
  });

  it("with any one bit flipped is refused (B18)", () => {
    for (let bit = 0; bit < sample.bytes.length * 8; bit++) {
      const bytes = sample.bytes.slice();
      const at = Math.floor(bit / 8);
      bytes[at] = (bytes[at] ?? 0) ^ (1 << (bit % 8));
      expect(openMutationRange(place, sample.name, bytes)).toMatchObject({ ok: false, object: sample.name });
    }
  });

  it("never makes the decoder throw, whatever the bytes", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        for (const object of [bytes, sealed(bytes)]) {
          expect(openMutationRange(place, sample.name, object)).toMatchObject({ ok: false, object: sample.name });
        }
      }),
    );
  });

  type Entry = {
    versionstamp: Uint8Array;
    kind: number;
    key: Uint8Array;
    value?: Uint8Array;
    valueEncoding?: number;
    expireAtMs?: bigint;
  };
  const stampOf = (version: number, order: number): Uint8Array => {
    const bytes = new Uint8Array(12);
    const view = new DataView(bytes.buffer);
    view.setBigUint64(0, BigInt(version));
    view.setUint16(10, order);
    return bytes;
  };
  const set = (order: number, changes: Partial<Entry> = {}, version = 1000): Entry => ({
    versionstamp: stampOf(version, order),
    kind: 1,
    key: Uint8Array.of(2, 97, 0),
    value: Uint8Array.of(1),
    valueEncoding: 3,
    ...changes,
  });
  const nameOf = (entries: Entry[]): string => {
    const [first, last] = [entries[0], entries.at(-1)].map((entry) => toHex(entry?.versionstamp ?? new Uint8Array(12)));
    return `db/00060a24181e4000/logs/0001_${first?.slice(0, 16)}_${first}_${last}.bin`;
  };
  const open = (entries: Entry[], name = nameOf(entries), timestampMs = 1n): MutationRange | Damage => {
    const message = create(BackupMutationRangeSchema, { entries, timestampMs, previousSha256: hash });
    return openMutationRange(place, name, sealed(toBinary(BackupMutationRangeSchema, message)));
  };
  const end = 0xffff;

  it("is told from this one, which is sound", () => {
    expect(open([set(0), set(1), set(end), set(end, {}, 1001)])).toMatchObject({ ok: true, entries: 4, commits: 2 });
  });

  it.each<[string, Entry[], string]>([
    ["a commit without its end", [set(0), set(1)], "does not end with the last entry of a commit"],
    ["a commit without its beginning", [set(1), set(end)], "at the beginning"],
    ["a missing entry", [set(0), set(2), set(end)], "after 00000000000003e800000000"],
    ["an entry twice", [set(0), set(0), set(end)], "after"],
    ["two commits in one version", [set(end), set(end)], "after"],
    ["commits out of order", [set(end, {}, 1001), set(end, {}, 1000)], "ends before it begins"],
    ["a commit within another", [set(0), set(end, {}, 1001)], "after"],
    ["an unknown kind", [set(end, { kind: 6 })], "kind 6"],
    ["a kind that is never written", [set(end, { kind: 3 })], "kind 3"],
    ["no kind", [set(end, { kind: 0 })], "kind 0"],
    ["a clear with a value", [set(end, { kind: 2 })], "a value in the clear"],
    ["a set of the empty key", [set(end, { key: new Uint8Array() })], "no key"],
    ["a set of what is no key", [set(end, { key: Uint8Array.of(0x6e, 0x6f) })], "none that can be"],
    [
      "a key of 2,049 bytes",
      [set(end, { key: Uint8Array.of(2, ...new Uint8Array(2047).fill(97), 0) })],
      "none that can be",
    ],
    ["a value of more than 1 MiB", [set(end, { value: new Uint8Array(2 ** 20 + 1) })], "impossible value"],
    ["an unknown encoding", [set(end, { valueEncoding: 4 })], "impossible value"],
    ["a counter of 7 bytes", [set(end, { valueEncoding: 2, value: new Uint8Array(7) })], "impossible value"],
    ["an expiry past all dates", [set(end, { expireAtMs: 8_640_000_000_000_001n })], "impossible value or expiry"],
    ["an expiry past 2^63", [set(end, { expireAtMs: 2n ** 63n })], "impossible value or expiry"],
  ])("by %s is refused, saying so (B14)", (_, entries, problem) => {
    const name = nameOf(entries);
    const outcome = open(entries);
    expect(outcome).toMatchObject({ ok: false, object: name });
    expect(outcome).toHaveProperty("problem", expect.stringContaining(problem));
  });

  it.each<{ what: string; entries: Entry[]; name: string; time: bigint; problem: string }>([
    { what: "no entries", entries: [], name: nameOf([set(end)]), time: 1n, problem: "holds no entry" },
    {
      what: "a stamp of 10 bytes",
      entries: [set(end, { versionstamp: new Uint8Array(10) })],
      name: nameOf([set(end)]),
      time: 1n,
      problem: "12 bytes",
    },
    {
      what: "a stamp of no version",
      entries: [set(end, { versionstamp: stampOf(0, end) })],
      name: nameOf([set(end)]),
      time: 1n,
      problem: "12 bytes",
    },
    {
      what: "another time than its last commit's",
      entries: [set(end)],
      name: nameOf([set(end)]),
      time: 2n,
      problem: "another time",
    },
    {
      what: "the name of an object that begins earlier",
      entries: [set(end)],
      name: nameOf([set(0), set(end)]),
      time: 1n,
      problem: "begins with",
    },
    {
      what: "the name of an object that ends later",
      entries: [set(end)],
      name: nameOf([set(end), set(end, {}, 1001)]),
      time: 1n,
      problem: "ends with",
    },
    {
      what: "another folder",
      entries: [set(end)],
      name: nameOf([set(end)]).replace("logs", "snapshots"),
      time: 1n,
      problem: "is not the name",
    },
  ])("by $what is refused, saying so", ({ entries, name, time, problem }) => {
    const outcome = open(entries, name, time);
    expect(outcome).toMatchObject({ ok: false, object: name });
    expect(outcome).toHaveProperty("problem", expect.stringContaining(problem));
  });

  it("by a field that the format does not know is refused", () => {
    const unknown = sealed(Uint8Array.of(...sample.bytes.subarray(0, -35), 0x18, 0x01));
    expect(openMutationRange(place, sample.name, unknown)).toHaveProperty(
      "problem",
      expect.stringContaining("field 3"),
    );
  });
});

it("the empty key may be cleared: that makes a point where nothing changed", () => {
  const marker = encodeMutationRange(
    place,
    inWireForm([{ version: asVersion(1_800_000_000_000_000), effects: [{ type: "delete", key: new Uint8Array() }] }]),
    NO_OBJECT_BEFORE,
  );
  expect([...opened(openMutationRange(place, marker.name, marker.bytes)).read()]).toMatchObject([
    { type: "clear", key: new Uint8Array() },
  ]);
});

it("of the most entries there can be is taken, and of one more refused", () => {
  // A marker is the smallest commit: no entry of ours takes less room.
  const [marker = new Uint8Array()] = encodeLogEntries(
    asVersion(1_800_000_000_000_000),
    [{ type: "delete", key: new Uint8Array() }],
    100,
  );
  expect(marker.length).toBe(20);
  const most = MAX_LOG_OBJECT_ENTRIES;
  expect(most).toBeGreaterThan(Math.ceil(MAX_BACKUP_RANGE_BYTES / marker.length) + 1);
  const part = (i: number): Uint8Array => {
    const bytes = marker.slice();
    writeVersionstamp(bytes, 4, asVersion(1_800_000_000_000_000 + i));
    return bytes;
  };
  const commits = Array.from({ length: most + 1 }, (_, i) => ({
    version: asVersion(1_800_000_000_000_000 + i),
    parts: [part(i)],
  }));
  const [fits, tooMany] = [commits.slice(0, -1), commits].map((each) => encodeMutationRange(place, each, hash));
  if (fits === undefined || tooMany === undefined) throw new Error("no objects");
  expect(openMutationRange(place, fits.name, fits.bytes)).toMatchObject({ ok: true, commits: most });
  expect(openMutationRange(place, tooMany.name, tooMany.bytes)).toHaveProperty(
    "problem",
    `has more than ${most} entries`,
  );
});
