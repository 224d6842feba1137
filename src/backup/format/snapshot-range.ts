/**
 * A snapshot object: entries of one consistent read in the order of their keys, the hash of the object before it, and its own hash. Each
 * entry is a pair of an element of the data list and one of the metadata list. Ours are written alternately, which is the same message to
 * every reader of protobuf, so reading needs one pass and no table. Reading checks everything first and then walks through the entries
 * without copying.
 */
import { assert } from "../../core/assert.ts";
import { compareBytes, equalBytes } from "../../core/bytes.ts";
import type { UnixMs } from "../../core/clock.ts";
import { MAX_SNAPSHOT_RANGE_ENTRIES } from "../../core/limits.ts";
import type { Entry } from "../../core/operations.ts";
import { bytesFieldSize, ProtobufReader, ProtobufWriter } from "../../codec/protobuf.ts";
import {
  NO_VERSION,
  type Version,
  VERSIONSTAMP_BYTES,
  versionOfBytes,
  writeVersionstamp,
} from "../../core/versionstamp.ts";
import { checkValue, isKey } from "../../codec/stored-entry.ts";
import { type Damage, DamageFound } from "./damage.ts";
import { EXPIRY_BYTES, readExpiry, writeExpiry } from "./expiry.ts";
import { assertSha256, decoding, eachOnce, PairField, readPreviousSha256, SnapshotRangeField } from "./fields.ts";
import { type GenerationPlace, parseSnapshotObjectName } from "./object-names.ts";
import { SEAL_BYTES, unseal, writeSeal } from "./seal.ts";

export interface SnapshotEntry extends Entry {
  readonly expiresAt: UnixMs | null;
}

export interface SnapshotRange {
  readonly ok: true;
  /** The number of entries. */
  readonly entries: number;
  readonly firstKey: Uint8Array;
  readonly lastKey: Uint8Array;
  /** The version of the entry that was changed last. */
  readonly newest: Version;
  /** NO_OBJECT_BEFORE in the first object of its folder. */
  readonly previousSha256: Uint8Array;
  /** Keys and values are views of the object's bytes. */
  read(): Generator<SnapshotEntry, void>;
}

const DATA = 0x64;
const METADATA = 0x6d;
const METADATA_BYTES = VERSIONSTAMP_BYTES + 1 + EXPIRY_BYTES;

/** An upper bound for the bytes that an entry takes in an object. */
export function snapshotEntryBound(keyBytes: number, valueBytes: number): number {
  return 2 * keyBytes + valueBytes + 64;
}

/** `entries` must ascend by key. */
export function encodeSnapshotRange(
  entries: readonly SnapshotEntry[],
  previousSha256: Uint8Array,
): Uint8Array<ArrayBuffer> {
  assert(entries.length > 0, "a snapshot object to hold an entry");
  assertSha256(previousSha256);
  let size = SEAL_BYTES + bytesFieldSize(SnapshotRangeField.previousSha256, previousSha256.length);
  for (const { key, value } of entries) {
    size += bytesFieldSize(SnapshotRangeField.dataList, pairSize(key.length, value.length));
    size += bytesFieldSize(SnapshotRangeField.metadataList, pairSize(key.length, METADATA_BYTES));
  }
  const writer = new ProtobufWriter(size);
  for (const entry of entries) {
    writePairHead(writer, SnapshotRangeField.dataList, DATA, entry.key, entry.value.length);
    writer.raw(entry.value);
    writePairHead(writer, SnapshotRangeField.metadataList, METADATA, entry.key, METADATA_BYTES);
    const at = writer.reserve(METADATA_BYTES);
    writeVersionstamp(writer.target, at, entry.version);
    writer.target[at + VERSIONSTAMP_BYTES] = entry.encoding;
    writeExpiry(writer.target, at + VERSIONSTAMP_BYTES + 1, entry.expiresAt);
  }
  writer.bytesField(SnapshotRangeField.previousSha256, previousSha256);
  writeSeal(writer);
  return writer.finish();
}

/** Checks an object completely. The caller compares order and hashes between objects. */
export function openSnapshotRange(place: GenerationPlace, object: string, bytes: Uint8Array): SnapshotRange | Damage {
  const name = parseSnapshotObjectName(place, object);
  if (!name.ok) return name;
  return decoding(object, () => {
    const content = unseal(bytes);
    const walker = new PairWalker(content);
    let firstKey: Uint8Array | undefined;
    let lastKey: Uint8Array | undefined;
    let newest = NO_VERSION;
    let entries = 0;
    for (let entry = walker.next(); entry !== undefined; entry = walker.next()) {
      if (lastKey !== undefined && compareBytes(lastKey, entry.key) >= 0) {
        throw new DamageFound(`has entry ${entries} out of the order of keys`);
      }
      firstKey ??= entry.key;
      lastKey = entry.key;
      if (entry.version > newest) newest = entry.version;
      entries += 1;
      if (entries > MAX_SNAPSHOT_RANGE_ENTRIES) {
        throw new DamageFound(`has more than ${MAX_SNAPSHOT_RANGE_ENTRIES} entries`);
      }
    }
    if (firstKey === undefined || lastKey === undefined) throw new DamageFound("holds no entry");
    const { previousSha256 } = walker;
    if (previousSha256 === null) throw new DamageFound("lacks the hash of the object before it");
    return { ok: true, entries, firstKey, lastKey, newest, previousSha256, read: () => walk(content) };
  });
}

function* walk(bytes: Uint8Array): Generator<SnapshotEntry, void> {
  const walker = new PairWalker(bytes);
  for (let entry = walker.next(); entry !== undefined; entry = walker.next()) yield entry;
}

class PairWalker {
  previousSha256: Uint8Array | null = null;
  readonly #reader: ProtobufReader;
  #count = 0;

  constructor(bytes: Uint8Array) {
    this.#reader = new ProtobufReader(bytes);
  }

  /** undefined after the last entry. */
  next(): SnapshotEntry | undefined {
    const reader = this.#reader;
    while (reader.next()) {
      switch (reader.field) {
        case SnapshotRangeField.dataList:
          return this.#entry();
        case SnapshotRangeField.previousSha256:
          if (this.previousSha256 !== null) throw new DamageFound("has two hashes of the object before it");
          this.previousSha256 = readPreviousSha256(reader);
          break;
        default:
          throw new DamageFound(`has a field ${reader.field} where entry ${this.#count} should begin`);
      }
    }
    return undefined;
  }

  #entry(): SnapshotEntry {
    const reader = this.#reader;
    const index = this.#count;
    this.#count += 1;
    const data = readPair(reader);
    if (!reader.next() || reader.field !== SnapshotRangeField.metadataList) {
      throw new DamageFound(`has no metadata for entry ${index}`);
    }
    const metadata = readPair(reader);
    const key = data.key.subarray(1);
    const belongs = data.key[0] === DATA && metadata.key[0] === METADATA;
    if (!belongs || !equalBytes(key, metadata.key.subarray(1))) {
      throw new DamageFound(`has data and metadata of different keys in entry ${index}`);
    }
    if (!isKey(key)) throw new DamageFound(`has no key, or none that can be, in entry ${index}`);
    if (metadata.value.length !== METADATA_BYTES)
      throw new DamageFound(`has metadata of another length in entry ${index}`);
    const version = versionOfBytes(metadata.value.subarray(0, VERSIONSTAMP_BYTES));
    const expiry = readExpiry(metadata.value, VERSIONSTAMP_BYTES + 1);
    const encoding = metadata.value[VERSIONSTAMP_BYTES] ?? 0;
    const checked = expiry === undefined ? undefined : checkValue(data.value, encoding, expiry ?? 0);
    if (version === undefined || version === 0 || checked === undefined) {
      throw new DamageFound(`has an impossible versionstamp, value or expiry in entry ${index}`);
    }
    return { key, value: data.value, version, ...checked };
  }
}

function readPair(reader: ProtobufReader): { key: Uint8Array; value: Uint8Array } {
  let key: Uint8Array = new Uint8Array();
  let value: Uint8Array = new Uint8Array();
  const outer = reader.enter();
  eachOnce(reader, (field) => {
    if (field === PairField.key) key = reader.bytes();
    else if (field === PairField.value) value = reader.bytes();
    else return false;
    return true;
  });
  reader.leave(outer);
  return { key, value };
}

function pairSize(keyLength: number, valueLength: number): number {
  return bytesFieldSize(PairField.key, keyLength + 1) + bytesFieldSize(PairField.value, valueLength);
}

/** Writes a pair except for its value, whose bytes the caller writes next. */
function writePairHead(writer: ProtobufWriter, list: number, kind: number, key: Uint8Array, valueLength: number): void {
  writer.messageField(list, pairSize(key.length, valueLength));
  writer.messageField(PairField.key, key.length + 1);
  const at = writer.reserve(1);
  writer.target[at] = kind;
  writer.raw(key);
  writer.messageField(PairField.value, valueLength);
}
