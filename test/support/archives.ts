/** Archives to be read, damaged and restored: with what is in them, and where each of their chunks begins. */
import { ArchiveWriter, newArchiveHeader } from "../../src/codec/archive/archive-writer.ts";
import { encodeKey } from "../../src/codec/key-codec.ts";
import { concatBytes } from "../../src/core/bytes.ts";
import { asUnixMs } from "../../src/core/clock.ts";
import { isFailure } from "../../src/core/errors.ts";
import type { NamedKey } from "../../src/core/key-list.ts";
import { Encoding, type StoredEntry } from "../../src/core/operations.ts";
import { asVersion } from "../../src/core/versionstamp.ts";

export const ARCHIVE_KEY: NamedKey = { kid: "k1", secret: new Uint8Array(32).fill(7) };

export const HEADER = {
  databaseId: "0e3f7a52-5a53-4c8a-9b5e-0d6f3f2b1c4d",
  owner: "9b1d5f0e-7c52-4a7e-8f3b-2f6f0f9a1c22",
  version: asVersion(1_764_230_400_000_000),
  type: "database",
  createdAt: asUnixMs(1_764_230_400_123),
  salt: Uint8Array.from({ length: 32 }, (_, i) => i),
} as const;

/** Entries in the order of their keys: of each encoding, with and without an expiry. */
export function archiveEntries(count: number): StoredEntry[] {
  return Array.from({ length: count }, (_, i) => {
    const key = encodeKey(["entry", i]);
    if (isFailure(key)) throw new Error(key.message);
    const encoding = [Encoding.v8, Encoding.le64, Encoding.bytes][i % 3] ?? Encoding.v8;
    const value = encoding === Encoding.le64 ? new Uint8Array(8).fill(i) : new Uint8Array([0xff, 15, 0x49, i % 64]);
    const expiresAt = i % 2 === 0 ? null : asUnixMs(4_000_000_000_000 + i);
    return { key: key.bytes, value, encoding, version: asVersion(HEADER.version - count + i), expiresAt };
  });
}

export interface ArchiveFile {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly header: Uint8Array<ArrayBuffer>;
  readonly entries: readonly StoredEntry[];
  /** Where each chunk begins, the end included. */
  readonly frames: readonly number[];
  readonly key: NamedKey | null;
}

export async function archiveFile(
  entries: readonly StoredEntry[],
  { key, perFrame, salt = HEADER.salt }: { key: NamedKey | null; perFrame: number; salt?: Uint8Array },
): Promise<ArchiveFile> {
  const header = await newArchiveHeader({ ...HEADER, salt }, key);
  const writer = await ArchiveWriter.open(header, salt, key);
  const parts: Uint8Array[] = [header];
  const frames: number[] = [];
  let at = header.length;
  const add = (frame: Uint8Array): void => {
    frames.push(at);
    parts.push(frame);
    at += frame.length;
  };
  for (let i = 0; i < entries.length; i += perFrame) add(await writer.entries(entries.slice(i, i + perFrame)));
  add(await writer.end());
  return { bytes: concatBytes(parts), header, entries, frames, key };
}
