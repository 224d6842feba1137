/** An archive is hardly larger than the same entries as NDJSON under gzip. */
import { createGzip } from "node:zlib";
import { expect, test } from "vitest";
import { extractArchive } from "../../../src/client/archive.ts";
import { ARCHIVE_CHUNK_BYTES, ArchiveWriter, newArchiveHeader } from "../../../src/codec/archive/archive-writer.ts";
import { encodeKey } from "../../../src/codec/key-codec.ts";
import { encodeV8 } from "../../../src/codec/v8/codec.ts";
import { isFailure } from "../../../src/core/errors.ts";
import { Encoding, type StoredEntry } from "../../../src/core/operations.ts";
import { asVersion } from "../../../src/core/versionstamp.ts";
import { ARCHIVE_KEY, HEADER } from "../../support/archives.ts";

const WORDS = "the quick brown fox jumps over a lazy dog while seven wizards box".split(" ");

/** Entries such as programs store: an object of some fields, `bytes` long, about a third of it random. */
function entriesFrom(first: number, count: number, bytes: number): StoredEntry[] {
  return Array.from({ length: count }, (_, i) => {
    const n = first + i;
    const key = encodeKey(["orders", n]);
    const seed = (n * 2_654_435_761) % 2 ** 32;
    let text = "";
    for (let k = 0; text.length < bytes; k++) {
      const noise = ((seed ^ (k * 40_503)) * 48_271) >>> 0;
      text += k % 3 === 0 ? noise.toString(36) : ` ${WORDS[noise % WORDS.length] ?? ""} `;
    }
    const value = encodeV8({ id: n, customer: `customer-${seed % 5000}`, text, paid: n % 2 === 0 });
    if (isFailure(key) || isFailure(value)) throw new Error("an entry");
    return {
      key: key.bytes,
      value: value.bytes,
      encoding: Encoding.v8,
      version: asVersion(HEADER.version - 1 - (seed % 1e9)),
      expiresAt: null,
    };
  });
}

async function* archiveOf(count: number, bytes: number): AsyncGenerator<Uint8Array, void, undefined> {
  const header = await newArchiveHeader(HEADER, ARCHIVE_KEY);
  const writer = await ArchiveWriter.open(header, HEADER.salt, ARCHIVE_KEY);
  yield header;
  const perFrame = Math.ceil(ARCHIVE_CHUNK_BYTES / (bytes + 60));
  for (let i = 0; i < count; i += perFrame)
    yield await writer.entries(entriesFrom(i, Math.min(perFrame, count - i), bytes));
  yield await writer.end();
}

/** Bytes of the archive, and of the same entries as NDJSON under gzip. */
async function sizes(count: number, bytes: number): Promise<{ archive: number; gzipped: number; lines: number }> {
  let [archive, gzipped, lines] = [0, 0, 0];
  const zip = createGzip();
  const ended = new Promise((resolve) => zip.once("end", resolve));
  zip.on("data", (piece: Buffer) => (gzipped += piece.length));
  async function* counted(): AsyncGenerator<Uint8Array, void, undefined> {
    for await (const piece of archiveOf(count, bytes)) {
      archive += piece.length;
      yield piece;
    }
  }
  const keys = `${ARCHIVE_KEY.kid}:${Buffer.from(ARCHIVE_KEY.secret).toString("base64")}`;
  for await (const text of extractArchive(counted(), { keys })) {
    lines += text.split("\n").length - 1;
    if (!zip.write(text)) await new Promise((resolve) => zip.once("drain", resolve));
  }
  zip.end();
  await ended;
  return { archive, gzipped, lines };
}

test("an archive has at most 1.05 times the bytes of its NDJSON under gzip, for small entries and for large ones (Z8)", async () => {
  for (const [count, bytes] of [
    [6_000, 60],
    [2_000, 1_000],
    [60, 60_000],
  ] as const) {
    const { archive, gzipped, lines } = await sizes(count, bytes);
    expect(lines).toBe(count);
    expect(archive / gzipped, `${count} entries of ${bytes} bytes`).toBeLessThanOrEqual(1.05);
  }
});
