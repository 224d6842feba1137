/** Whatever was done to an archive is found, and the message says where. A wrong key is told apart from damage. */
import { gzipSync } from "node:zlib";
import fc from "fast-check";
import { expect, test } from "vitest";
import { decodeArchiveHeader } from "../../../src/codec/archive/archive-header.ts";
import { type ArchiveProblem } from "../../../src/codec/archive/archive-problem.ts";
import { continueArchive, openArchive, type ReaderPosition } from "../../../src/codec/archive/archive-reader.ts";
import { ArchiveWriter, newArchiveHeader } from "../../../src/codec/archive/archive-writer.ts";
import { FrameKind, writeFrameHead } from "../../../src/codec/archive/archive-layout.ts";
import { bodySeal } from "../../../src/codec/archive/archive-seal.ts";
import { encodeEntries, encodeTotals } from "../../../src/codec/archive/archive-chunk.ts";
import { concatBytes, equalBytes } from "../../../src/core/bytes.ts";
import {
  MAX_ARCHIVE_CHUNK_BYTES,
  MAX_ARCHIVE_CHUNK_ENTRIES,
  MAX_ARCHIVE_SETTINGS_BYTES,
} from "../../../src/core/archive-format-limits.ts";
import type { KeyList, NamedKey } from "../../../src/core/key-list.ts";
import type { StoredEntry } from "../../../src/core/operations.ts";
import { asVersion } from "../../../src/core/versionstamp.ts";
import { archiveEntries, archiveFile, ARCHIVE_KEY, HEADER, type ArchiveFile } from "../../support/archives.ts";

const other: KeyList = [{ kid: ARCHIVE_KEY.kid, secret: new Uint8Array(32).fill(9) }];
const keys: KeyList = [ARCHIVE_KEY];

/** Reads to the end. null: the archive is whole. */
async function problemOf(file: Uint8Array, list: KeyList | null = keys): Promise<ArchiveProblem | null> {
  const opened = await openArchive([file], list);
  if (!opened.ok) return opened;
  for (;;) {
    const part = await opened.reader.next();
    if (!part.ok) return part;
    if (part.part === "end") return null;
  }
}

async function both(work: (file: ArchiveFile) => Promise<void>): Promise<void> {
  for (const key of [ARCHIVE_KEY, null]) await work(await archiveFile(archiveEntries(9), { key, perFrame: 3 }));
}

test("a whole archive is read back as it was written, in pieces of any size (Z1)", async () => {
  await both(async ({ bytes, entries }) => {
    for (const size of [1, 7, 64, bytes.length]) {
      const pieces = Array.from({ length: Math.ceil(bytes.length / size) }, (_, i) =>
        bytes.subarray(i * size, (i + 1) * size),
      );
      const opened = await openArchive(pieces, keys);
      if (!opened.ok) throw new Error(opened.message);
      const found: StoredEntry[] = [];
      for (;;) {
        const part = await opened.reader.next();
        if (!part.ok) throw new Error(part.message);
        if (part.part === "end") break;
        if (part.part === "entries") found.push(...part.entries);
      }
      expect(found).toEqual(entries);
    }
  });
});

test("each bit of an archive, flipped, is found, and the chunk or the header is named (Z2)", async () => {
  await both(async ({ bytes, frames }) => {
    const starts = [0, ...frames];
    for (let at = 0; at < bytes.length; at++) {
      const altered = bytes.slice();
      altered[at] = (altered[at] ?? 0) ^ (1 << (at % 8));
      const problem = await problemOf(altered);
      const chunk = starts.findLastIndex((start) => start <= at) - 1;
      const kind = at < 8 ? "not-an-archive" : "damaged";
      const name = at < 8 ? "first 8 bytes" : chunk < 0 ? "header" : `hunk ${chunk}`;
      expect(problem?.problem, `byte ${at}: ${problem?.message}`).toBe(kind);
      expect(problem?.message).toContain(name);
      expect(problem?.offset).toBe(chunk < 0 ? 0 : starts[chunk + 1]);
    }
  });
});

test("an archive that is cut short anywhere, or goes on behind its end, is found (Z3)", async () => {
  await both(async ({ bytes, frames }) => {
    for (let length = 0; length < bytes.length; length++) {
      const problem = await problemOf(bytes.subarray(0, length));
      expect(problem?.problem, `${length} bytes`).toBe(length < 14 ? "not-an-archive" : "damaged");
      expect(problem?.message).toContain(length < 14 ? "an archive's header is longer" : "cut short");
    }
    const longer = await problemOf(concatBytes([bytes, Uint8Array.of(0)]));
    expect(longer?.message).toBe(
      `Chunk ${frames.length - 1}, at byte ${frames.at(-1)}, is the last one, and the file goes on behind it.`,
    );
  });
});

test("chunks that are swapped, repeated, left out or of another archive are found (Z4)", async () => {
  await both(async ({ bytes, frames, key }) => {
    const cut = [0, ...frames, bytes.length];
    const parts = cut.slice(0, -1).map((start, i) => bytes.subarray(start, cut[i + 1]));
    const [header = bytes, one = bytes, two = bytes, three = bytes, end = bytes] = parts;
    const another = await archiveFile(archiveEntries(9), { key, perFrame: 3, salt: new Uint8Array(32).fill(5) });
    const foreign = another.bytes.subarray(another.frames[1], another.frames[2]);
    for (const [wrong, list] of [
      [1, [header, two, one, three, end]],
      [1, [header, two, three, end]],
      [2, [header, one, one, two, three, end]],
      [3, [header, one, two, end]],
      [2, [header, one, foreign, three, end]],
      [2, [header, one, three, two, end]],
    ] as const) {
      const problem = await problemOf(concatBytes(list));
      expect(problem?.message).toMatch(
        new RegExp(`^Chunk ${wrong - 1}, at byte \\d+, was altered, or belongs to another place`),
      );
    }
  });
});

test("a key that is missing and a key that is another one are told apart from damage (Z5)", async () => {
  const { bytes } = await archiveFile(archiveEntries(3), { key: ARCHIVE_KEY, perFrame: 3 });
  const missing = await problemOf(bytes, null);
  expect(missing).toMatchObject({ problem: "no-key" });
  expect(missing?.message).toContain('encrypted with the key "k1"');
  expect(await problemOf(bytes, [{ ...ARCHIVE_KEY, kid: "k2" }])).toMatchObject({ problem: "no-key" });
  const wrong = await problemOf(bytes, other);
  expect(wrong).toMatchObject({ problem: "wrong-key" });
  expect(wrong?.message).toContain("The archive's header is whole");
  // A damaged header is damage, whichever key is given.
  const altered = bytes.slice();
  altered[20] = (altered[20] ?? 0) ^ 1;
  expect(await problemOf(altered, other)).toMatchObject({ problem: "damaged" });
});

test("a chunk that is well sealed and wrong inside is refused: a bomb, totals that do not fit, an unknown field, keys out of order (Z6)", async () => {
  const salt = HEADER.salt;
  const header = await newArchiveHeader(HEADER, null);
  const seal = await bodySeal(null, salt);
  const frame = async (kind: number, content: Uint8Array, behind: Uint8Array = header): Promise<Uint8Array> => {
    const body = gzipSync(content);
    const head = writeFrameHead({ length: body.length, kind, epoch: 0 });
    return concatBytes([head, await seal.seal(body, { headerHash: behind.slice(-32), index: 0, epoch: 0, head })]);
  };
  const problem = async (kind: number, content: Uint8Array) =>
    (await problemOf(concatBytes([header, await frame(kind, content)])))?.message;
  expect(await problem(FrameKind.entries, new Uint8Array(MAX_ARCHIVE_CHUNK_BYTES + 1))).toContain(
    "is no gzip stream of at most",
  );
  expect(await problem(FrameKind.end, encodeTotals({ entries: 1, frames: 0, bytes: 0 }))).toContain(
    "announces 1 entries, and there were 0",
  );
  expect(await problem(FrameKind.entries, Uint8Array.of(0x50, 1))).toContain("has a field 10");
  expect(await problem(FrameKind.settings, Uint8Array.of(0x7b, 0x7d))).toContain("has settings where none belong");
  const fullHeader = await newArchiveHeader({ ...HEADER, type: "full" }, null);
  const settings = new TextEncoder().encode("[".repeat(MAX_ARCHIVE_SETTINGS_BYTES + 1));
  expect(
    (await problemOf(concatBytes([fullHeader, await frame(FrameKind.settings, settings, fullHeader)])))?.message,
  ).toContain("has settings of more than 1048576 bytes");
  const many = archiveEntries(MAX_ARCHIVE_CHUNK_ENTRIES + 1);
  const full = encodeEntries(many.slice(0, -1));
  // It ends where another chunk should follow.
  expect(await problem(FrameKind.entries, full)).toContain("cut short");
  expect(await problem(FrameKind.entries, concatBytes([full, encodeEntries(many.slice(-1))]))).toContain(
    "has more than the 5000 entries that a chunk can have",
  );
  const writer = await ArchiveWriter.open(header, salt, null);
  const [a, b] = archiveEntries(2);
  if (a === undefined || b === undefined) throw new Error("two entries");
  const twisted = concatBytes([header, await writer.entries([b, a])]);
  expect((await problemOf(twisted))?.message).toContain("out of the order of keys");
  const newer = { ...a, version: asVersion(HEADER.version + 1) };
  const late = await ArchiveWriter.open(header, salt, null);
  expect((await problemOf(concatBytes([header, await late.entries([newer])])))?.message).toContain(
    "newer than the archive's versionstamp",
  );
});

test("a writer and a reader that are interrupted after any chunk continue where they were (Z7)", async () => {
  const whole = await archiveFile(archiveEntries(9), { key: ARCHIVE_KEY, perFrame: 3 });
  for (const stop of [0, 1, 2, 3]) {
    // The writer: what it wrote after its stored position is written again, in the next epoch, and under other nonces.
    const first = await ArchiveWriter.open(whole.header, HEADER.salt, ARCHIVE_KEY);
    const kept: Uint8Array[] = [whole.header];
    for (let i = 0; i < stop; i++) kept.push(await first.entries(whole.entries.slice(3 * i, 3 * i + 3)));
    const { position } = first;
    const lost = stop < 3 ? await first.entries(whole.entries.slice(3 * stop, 3 * stop + 3)) : await first.end();
    const second = await ArchiveWriter.open(whole.header, HEADER.salt, ARCHIVE_KEY, { ...position, epoch: 1 });
    for (let i = stop; i < 3; i++) kept.push(await second.entries(whole.entries.slice(3 * i, 3 * i + 3)));
    kept.push(await second.end());
    expect(equalBytes(kept[stop + 1] ?? new Uint8Array(), lost)).toBe(false);
    const file = concatBytes(kept);
    expect(await problemOf(file)).toBeNull();

    // The reader.
    const opened = await openArchive([file], keys);
    if (!opened.ok) throw new Error(opened.message);
    for (let i = 0; i < stop; i++) expect(await opened.reader.next()).toMatchObject({ ok: true, part: "entries" });
    const at: ReaderPosition = JSON.parse(JSON.stringify(opened.reader.position));
    const continued = await continueArchive([file.subarray(at.offset)], whole.header, keys, at);
    if (!continued.ok) throw new Error(continued.message);
    const entries: StoredEntry[] = [];
    for (;;) {
      const part = await continued.reader.next();
      if (!part.ok) throw new Error(part.message);
      if (part.part === "end") break;
      if (part.part === "entries") entries.push(...part.entries);
    }
    expect(entries).toEqual(whole.entries.slice(3 * stop));
  }
});

test("random bytes, and random bytes behind a good header, never throw and are never whole", async () => {
  const { header } = await archiveFile(archiveEntries(1), { key: null, perFrame: 1 });
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ maxLength: 400 }), fc.boolean(), async (bytes, behind) => {
      expect(await problemOf(behind ? concatBytes([header, bytes]) : bytes)).not.toBeNull();
    }),
    { numRuns: 200 },
  );
});

const never: NamedKey = { kid: "k1", secret: new Uint8Array(32).fill(1) };
test("the header shows nothing of the key: the check is the same only for the same salt and key", async () => {
  const salts = [HEADER.salt, new Uint8Array(32).fill(3)];
  const made = await Promise.all(
    [ARCHIVE_KEY, never].flatMap((key) => salts.map((salt) => newArchiveHeader({ ...HEADER, salt }, key))),
  );
  const checks = await Promise.all(
    made.map(async (bytes) => {
      const decoded = await decodeArchiveHeader(bytes);
      return String(decoded.ok ? decoded.header.encryption?.keyCheck : decoded.message);
    }),
  );
  expect(new Set(checks).size).toBe(4);
});
