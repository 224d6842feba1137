/**
 * One commit in the form that the mutation log and the backup share: repeated field 1 of BackupMutationRange, in which each element is a
 * BackupReplicationLogEntry. Every entry carries a 12-byte stamp: the commit's versionstamp and the entry's order in the commit. The last
 * entry has the order ffff.
 */
import { asUnixMs, type UnixMs } from "../core/clock.ts";
import type { LoggedChange } from "../core/feed.ts";
import type { Effect, Encoding } from "../core/operations.ts";
import { bytesFieldSize, ProtobufReader, ProtobufWriter, varintFieldSize } from "../codec/protobuf.ts";
import { LAST_ORDER, LOG_STAMP_BYTES, type Version, writeVersionstamp } from "../core/versionstamp.ts";

const ENTRIES_FIELD = 1;
const EntryField = { versionstamp: 1, kind: 2, key: 3, value: 4, valueEncoding: 5, expireAtMs: 6 } as const;
const MutationKind = { set: 1, clear: 2 } as const;

/** The most bytes that an entry takes besides its key and value. */
const ENTRY_OVERHEAD_BYTES = 64;

/** An upper bound for the bytes that a change of a key and value of these sizes takes in the log. */
export function logEntryBound(keyBytes: number, valueBytes: number): number {
  return keyBytes + valueBytes + ENTRY_OVERHEAD_BYTES;
}

/** The commit's entries in order, divided into parts of at most `maxPartBytes`. No entry is divided. */
export function encodeLogEntries(
  version: Version,
  effects: readonly Effect[],
  maxPartBytes: number,
): Uint8Array<ArrayBuffer>[] {
  const parts: Uint8Array<ArrayBuffer>[] = [];
  let first = 0;
  while (first < effects.length) {
    let size = 0;
    let end = first;
    for (const effect of effects.slice(first)) {
      const added = bytesFieldSize(ENTRIES_FIELD, contentSize(effect));
      if (end > first && size + added > maxPartBytes) break;
      size += added;
      end += 1;
    }
    const writer = new ProtobufWriter(size);
    for (let order = first; order < end; order++) {
      // `order` is below the number of effects.
      writeEntry(writer, version, order === effects.length - 1 ? LAST_ORDER : order, effects[order] as Effect);
    }
    parts.push(writer.finish());
    first = end;
  }
  return parts;
}

/** The keys that a part of a commit changes, in the part's order. They are views of the part. */
export function* keysOfLogPart(part: Uint8Array): Generator<Uint8Array, void, undefined> {
  const reader = new ProtobufReader(part);
  while (reader.next()) {
    const outer = reader.enter();
    while (reader.next()) {
      if (reader.field === EntryField.key) yield reader.bytes();
      else reader.skip();
    }
    reader.leave(outer);
  }
}

/** The changes in a part of a commit, in the part's order. Keys and values are views of the part. */
export function* changesOfLogPart(part: Uint8Array): Generator<LoggedChange, void, undefined> {
  const reader = new ProtobufReader(part);
  while (reader.next()) {
    let kind = 0;
    let key: Uint8Array = NO_BYTES;
    let value: Uint8Array = NO_BYTES;
    let encoding = 0;
    let expiresAt: UnixMs | null = null;
    const outer = reader.enter();
    while (reader.next()) {
      if (reader.field === EntryField.key) key = reader.bytes();
      else if (reader.field === EntryField.value) value = reader.bytes();
      else if (reader.field === EntryField.kind) kind = reader.int32();
      else if (reader.field === EntryField.valueEncoding) encoding = reader.int32();
      else if (reader.field === EntryField.expireAtMs) expiresAt = asUnixMs(reader.int64());
      else reader.skip();
    }
    reader.leave(outer);
    // This file wrote it, from a value of this type.
    const set = { value, encoding: encoding as Encoding, expiresAt };
    yield { key, set: kind === MutationKind.set ? set : null };
  }
}

const NO_BYTES: Uint8Array = new Uint8Array();

function contentSize(effect: Effect): number {
  const common =
    bytesFieldSize(EntryField.versionstamp, LOG_STAMP_BYTES) +
    varintFieldSize(EntryField.kind, MutationKind.set) +
    bytesFieldSize(EntryField.key, effect.key.length);
  if (effect.type === "delete") return common;
  return (
    common +
    bytesFieldSize(EntryField.value, effect.value.length) +
    varintFieldSize(EntryField.valueEncoding, effect.encoding) +
    (effect.expiresAt === null ? 0 : varintFieldSize(EntryField.expireAtMs, effect.expiresAt))
  );
}

function writeEntry(writer: ProtobufWriter, version: Version, order: number, effect: Effect): void {
  writer.messageField(ENTRIES_FIELD, contentSize(effect));
  writer.messageField(EntryField.versionstamp, LOG_STAMP_BYTES);
  const at = writer.reserve(LOG_STAMP_BYTES);
  writeVersionstamp(writer.target, at, version);
  writer.target[at + 10] = order >> 8;
  writer.target[at + 11] = order & 0xff;
  writer.varintField(EntryField.kind, effect.type === "set" ? MutationKind.set : MutationKind.clear);
  writer.bytesField(EntryField.key, effect.key);
  if (effect.type === "delete") return;
  writer.bytesField(EntryField.value, effect.value);
  writer.varintField(EntryField.valueEncoding, effect.encoding);
  if (effect.expiresAt !== null) writer.varintField(EntryField.expireAtMs, effect.expiresAt);
}
