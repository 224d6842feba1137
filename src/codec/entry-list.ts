/**
 * EntryList: entries on their way between a door and a database's object, in protobuf's wire format. It has what KV Connect says of an
 * entry, and the expiry. Both sides are ours and of one build, so the format is neither stored nor promised.
 *
 *     message EntryList { repeated Item items = 1; bool more = 2; uint64 read_at = 3; bytes next = 4; }
 *     message Item { bytes key = 1; bytes value = 2; int32 encoding = 3; uint64 version = 4; uint64 expires_at = 5; }
 *
 * An item without a key stands for a key that has no entry.
 */
import { asUnixMs, type UnixMs } from "../core/clock.ts";
import { type Failure } from "../core/errors.ts";
import type { Encoding, StoredEntry } from "../core/operations.ts";
import { asVersion, type Version } from "../core/versionstamp.ts";
import { bytesFieldSize, decoding, ProtobufReader, ProtobufWriter, varintFieldSize } from "./protobuf.ts";

export interface EntryList {
  /** null: a requested key has no entry. */
  readonly entries: readonly (StoredEntry | null)[];
  /** Whether the requested range has more entries. */
  readonly more: boolean;
  /** At or above the version of every commit that the list can show. */
  readonly readAt: Version;
  /** Only in a page of a level of keys: where the rest of the range begins. */
  readonly next?: Uint8Array;
}

const NO_BYTES: Uint8Array = new Uint8Array(0);

export function encodeEntryList({ entries, more, readAt, next }: EntryList): Uint8Array<ArrayBuffer> {
  let size = varintFieldSize(3, readAt) + (more ? varintFieldSize(2, 1) : 0);
  if (next !== undefined) size += bytesFieldSize(4, next.length);
  for (const entry of entries) size += bytesFieldSize(1, sizeOfItem(entry));
  const writer = new ProtobufWriter(size);
  for (const entry of entries) {
    writer.messageField(1, sizeOfItem(entry));
    if (entry === null) continue;
    writer.bytesField(1, entry.key);
    writer.bytesField(2, entry.value);
    writer.varintField(3, entry.encoding);
    writer.varintField(4, entry.version);
    if (entry.expiresAt !== null) writer.varintField(5, entry.expiresAt);
  }
  if (more) writer.varintField(2, 1);
  writer.varintField(3, readAt);
  if (next !== undefined) writer.bytesField(4, next);
  return writer.finish();
}

function sizeOfItem(entry: StoredEntry | null): number {
  if (entry === null) return 0;
  const { key, value, encoding, version, expiresAt } = entry;
  return (
    bytesFieldSize(1, key.length) +
    bytesFieldSize(2, value.length) +
    varintFieldSize(3, encoding) +
    varintFieldSize(4, version) +
    (expiresAt === null ? 0 : varintFieldSize(5, expiresAt))
  );
}

/** Keys and values are views of the bytes. */
export function decodeEntryList(bytes: Uint8Array): ({ readonly ok: true } & EntryList) | Failure {
  return decoding("The list of entries", "internal", () => {
    const reader = new ProtobufReader(bytes);
    const entries: (StoredEntry | null)[] = [];
    let more = false;
    let readAt = 0;
    let next: Uint8Array | undefined;
    while (reader.next()) {
      if (reader.field === 1) entries.push(readItem(reader));
      else if (reader.field === 2) more = reader.bool();
      else if (reader.field === 3) readAt = reader.int64();
      else if (reader.field === 4) next = reader.bytes();
      else reader.skip();
    }
    const rest = next === undefined ? {} : { next };
    return { ok: true, entries, more, readAt: asVersion(readAt), ...rest };
  });
}

function readItem(reader: ProtobufReader): StoredEntry | null {
  let [key, value] = [NO_BYTES, NO_BYTES];
  let [encoding, version] = [0, 0];
  let expiresAt: UnixMs | null = null;
  const outer = reader.enter();
  while (reader.next()) {
    if (reader.field === 1) key = reader.bytes();
    else if (reader.field === 2) value = reader.bytes();
    else if (reader.field === 3) encoding = reader.int32();
    else if (reader.field === 4) version = reader.int64();
    else if (reader.field === 5) expiresAt = asUnixMs(reader.int64());
    else reader.skip();
  }
  reader.leave(outer);
  // The encoder took the number from a value of this type.
  return key.length === 0
    ? null
    : { key, value, encoding: encoding as Encoding, version: asVersion(version), expiresAt };
}
