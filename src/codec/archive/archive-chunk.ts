/** What the bodies of an archive hold once they are opened and decompressed: entries, or the totals at the end. */
import { MAX_ARCHIVE_CHUNK_ENTRIES } from "../../core/archive-format-limits.ts";
import { assert } from "../../core/assert.ts";
import { compareBytes } from "../../core/bytes.ts";
import type { StoredEntry } from "../../core/operations.ts";
import { asVersion, type Version } from "../../core/versionstamp.ts";
import { bytesFieldSize, ProtobufReader, ProtobufWriter, varintFieldSize } from "../protobuf.ts";
import { checkValue, isKey } from "../stored-entry.ts";
import { ChunkDamage } from "./archive-problem.ts";

const ChunkField = { entry: 1 } as const;
const EntryField = { key: 1, value: 2, encoding: 3, version: 4, expiresAtMs: 5 } as const;
const EndField = { entries: 1, frames: 2, bytes: 3 } as const;

/** What the archive has up to its end. */
export interface ArchiveTotals {
  readonly entries: number;
  /** Frames before the last one. */
  readonly frames: number;
  /** Bytes of keys and values. */
  readonly bytes: number;
}

export function encodeEntries(entries: readonly StoredEntry[]): Uint8Array {
  assert(entries.length > 0, "a chunk to hold an entry");
  assert(entries.length <= MAX_ARCHIVE_CHUNK_ENTRIES, `a chunk of at most ${MAX_ARCHIVE_CHUNK_ENTRIES} entries`);
  let size = 0;
  for (const entry of entries) size += bytesFieldSize(ChunkField.entry, entrySize(entry));
  const writer = new ProtobufWriter(size);
  for (const entry of entries) {
    writer.messageField(ChunkField.entry, entrySize(entry));
    writer.bytesField(EntryField.key, entry.key);
    writer.bytesField(EntryField.value, entry.value);
    writer.varintField(EntryField.encoding, entry.encoding);
    writer.varintField(EntryField.version, entry.version);
    if (entry.expiresAt !== null) writer.varintField(EntryField.expiresAtMs, entry.expiresAt);
  }
  return writer.finish();
}

function entrySize({ key, value, encoding, version, expiresAt }: StoredEntry): number {
  return (
    bytesFieldSize(EntryField.key, key.length) +
    bytesFieldSize(EntryField.value, value.length) +
    varintFieldSize(EntryField.encoding, encoding) +
    varintFieldSize(EntryField.version, version) +
    (expiresAt === null ? 0 : varintFieldSize(EntryField.expiresAtMs, expiresAt))
  );
}

/** Keys and values are views of the bytes. Throws for what no writer of archives has written. */
export function decodeEntries(bytes: Uint8Array): StoredEntry[] {
  const reader = new ProtobufReader(bytes);
  const entries: StoredEntry[] = [];
  while (reader.next()) {
    if (reader.field !== ChunkField.entry) throw new ChunkDamage(`has a field ${reader.field} between its entries`);
    if (entries.length >= MAX_ARCHIVE_CHUNK_ENTRIES) {
      throw new ChunkDamage(`has more than the ${MAX_ARCHIVE_CHUNK_ENTRIES} entries that a chunk can have`);
    }
    entries.push(readEntry(reader, entries.length));
  }
  if (entries.length === 0) throw new ChunkDamage("holds no entry");
  return entries;
}

function readEntry(reader: ProtobufReader, index: number): StoredEntry {
  let key: Uint8Array = new Uint8Array();
  let value: Uint8Array = new Uint8Array();
  let [encoding, version, expiresAtMs] = [0, 0, 0];
  const outer = reader.enter();
  while (reader.next()) {
    if (reader.field === EntryField.key) key = reader.bytes();
    else if (reader.field === EntryField.value) value = reader.bytes();
    else if (reader.field === EntryField.encoding) encoding = reader.int32();
    else if (reader.field === EntryField.version) version = reader.int64();
    else if (reader.field === EntryField.expiresAtMs) expiresAtMs = reader.int64();
    else throw new ChunkDamage(`has a field ${reader.field} in entry ${index}`);
  }
  reader.leave(outer);
  if (!isKey(key)) throw new ChunkDamage(`has no key, or none that can be, in entry ${index}`);
  const checked = checkValue(value, encoding, expiresAtMs);
  if (checked === undefined || !Number.isSafeInteger(version) || version <= 0) {
    throw new ChunkDamage(`has an impossible versionstamp, value or expiry in entry ${index}`);
  }
  return { key, value, version: asVersion(version), ...checked };
}

export function encodeTotals({ entries, frames, bytes }: ArchiveTotals): Uint8Array {
  const size =
    varintFieldSize(EndField.entries, entries) +
    varintFieldSize(EndField.frames, frames) +
    varintFieldSize(EndField.bytes, bytes);
  const writer = new ProtobufWriter(size);
  writer.varintField(EndField.entries, entries);
  writer.varintField(EndField.frames, frames);
  writer.varintField(EndField.bytes, bytes);
  return writer.finish();
}

export function decodeTotals(bytes: Uint8Array): ArchiveTotals {
  const reader = new ProtobufReader(bytes);
  let [entries, frames, contents] = [-1, -1, -1];
  while (reader.next()) {
    if (reader.field === EndField.entries) entries = reader.int64();
    else if (reader.field === EndField.frames) frames = reader.int64();
    else if (reader.field === EndField.bytes) contents = reader.int64();
    else reader.skip();
  }
  return { entries, frames, bytes: contents };
}

/** Adds entries to totals. Throws for entries out of order or from after the archive's version. */
export class ArchiveOrder {
  entries: number;
  bytes: number;
  #last: Uint8Array | null;
  readonly #version: Version;

  constructor(
    version: Version,
    from: { readonly entries: number; readonly bytes: number; readonly last: Uint8Array | null },
  ) {
    this.#version = version;
    this.entries = from.entries;
    this.bytes = from.bytes;
    this.#last = from.last;
  }

  get last(): Uint8Array | null {
    return this.#last;
  }

  add(entries: readonly StoredEntry[]): void {
    for (const { key, value, version } of entries) {
      if (this.#last !== null && compareBytes(this.#last, key) >= 0) {
        throw new ChunkDamage(`has entry ${this.entries} of the archive out of the order of keys`);
      }
      if (version > this.#version) {
        throw new ChunkDamage(`has an entry that is newer than the archive's versionstamp (entry ${this.entries})`);
      }
      this.#last = key;
      this.entries += 1;
      this.bytes += key.length + value.length;
    }
  }
}
