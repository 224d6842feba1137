/**
 * The messages of KV Connect's data path (package com.deno.kv.datapath), for the side that answers: requests are decoded from bytes to
 * the types of `operations.ts` and validated, answers are encoded. The code is written by hand because a request is decoded in the
 * database's object, whose CPU limits its speed. The tests compare it with generated code.
 *
 * A request that is decoded without a failure keeps every limit and rule that can be judged without the stored state and the clock. The
 * engine judges the other rules. Decoded keys and values are views of the request's bytes.
 */
import { overLimit, readCheck, readEnqueue, readMutation, readRange, readWatchedKey } from "./datapath-parts.ts";
import type { UnixMs } from "../core/clock.ts";
import { failure, type Failure, isFailure } from "../core/errors.ts";
import {
  MAX_ATOMIC_WRITE_BYTES,
  MAX_CHECKS,
  MAX_MUTATIONS,
  MAX_READ_ENTRIES,
  MAX_READ_RANGES,
  MAX_WATCHED_KEYS,
} from "../core/limits.ts";
import type {
  AtomicWrite,
  Check,
  CommitResult,
  Enqueue,
  Entry,
  Mutation,
  ReadRange,
  StoredEntry,
} from "../core/operations.ts";
import { bytesFieldSize, decoding, ProtobufReader, ProtobufWriter, varintFieldSize, varintSize } from "./protobuf.ts";
import { VERSIONSTAMP_BYTES, writeVersionstamp } from "../core/versionstamp.ts";

/** A field of SnapshotRead that only our own programs send: the answer is to say when each entry expires. */
export const EXPIRIES_FIELD = 15;

/** The field of KvEntry that then says it. Other programs skip it. */
export const EXPIRY_FIELD = 5;

export interface DecodedRead {
  readonly ok: true;
  readonly ranges: ReadRange[];
  readonly expiries?: true;
}

/** SnapshotRead. A message without ranges reads nothing. */
export function decodeSnapshotRead(bytes: Uint8Array): DecodedRead | Failure {
  return decoding("The snapshot read", "invalid", () => {
    const reader = new ProtobufReader(bytes);
    const ranges: ReadRange[] = [];
    let count = 0;
    let entries = 0;
    let expiries = false;
    while (reader.next()) {
      if (reader.field === EXPIRIES_FIELD) {
        expiries = reader.bool();
        continue;
      }
      if (reader.field !== 1 || ++count > MAX_READ_RANGES) {
        reader.skip();
        continue;
      }
      const range = readRange(reader, ranges.length);
      if (isFailure(range)) return range;
      entries += range.limit;
      ranges.push(range);
    }
    if (count > MAX_READ_RANGES) return overLimit("The snapshot read", count, "ranges", MAX_READ_RANGES);
    if (entries > MAX_READ_ENTRIES) {
      return failure(
        "limit",
        `The ranges of the snapshot read ask for ${entries} entries together; the limit is ${MAX_READ_ENTRIES}. Lower the limit or batchSize.`,
      );
    }
    return expiries ? { ok: true, ranges, expiries } : { ok: true, ranges };
  });
}

/** AtomicWrite. */
export function decodeAtomicWrite(bytes: Uint8Array): { readonly ok: true; readonly write: AtomicWrite } | Failure {
  return decoding("The atomic write", "invalid", () => {
    const reader = new ProtobufReader(bytes);
    const checks: Check[] = [];
    const mutations: Mutation[] = [];
    const enqueues: Enqueue[] = [];
    let checkCount = 0;
    let changeCount = 0;
    let size = 0;
    while (reader.next()) {
      if (reader.field === 1 && ++checkCount <= MAX_CHECKS) {
        const check = readCheck(reader, checks.length);
        if (isFailure(check)) return check;
        size += check.key.length;
        checks.push(check);
      } else if (reader.field === 2 && ++changeCount <= MAX_MUTATIONS) {
        const mutation = readMutation(reader, mutations.length);
        if (isFailure(mutation)) return mutation;
        size += sizeOfMutation(mutation);
        mutations.push(mutation);
      } else if (reader.field === 3 && ++changeCount <= MAX_MUTATIONS) {
        const enqueue = readEnqueue(reader, enqueues.length);
        if (isFailure(enqueue)) return enqueue;
        size += enqueue.payload.length;
        for (const key of enqueue.keysIfUndelivered) size += key.length;
        enqueues.push(enqueue);
      } else {
        reader.skip();
      }
    }
    if (checkCount > MAX_CHECKS) return overLimit("The atomic write", checkCount, "checks", MAX_CHECKS);
    if (changeCount > MAX_MUTATIONS) {
      return overLimit("The atomic write", changeCount, "mutations and enqueues", MAX_MUTATIONS);
    }
    if (size > MAX_ATOMIC_WRITE_BYTES) {
      return overLimit("The atomic write", size, "bytes of keys and values", MAX_ATOMIC_WRITE_BYTES);
    }
    return { ok: true, write: { checks, mutations, enqueues } };
  });
}

function sizeOfMutation(mutation: Mutation): number {
  switch (mutation.type) {
    case "delete":
      return mutation.key.length;
    case "set":
      return mutation.key.length + mutation.value.length;
    default:
      return (
        mutation.key.length + mutation.value.length + (mutation.sumMin?.length ?? 0) + (mutation.sumMax?.length ?? 0)
      );
  }
}

/** Watch: 1 to 10 keys. */
export function decodeWatch(bytes: Uint8Array): { readonly ok: true; readonly keys: Uint8Array[] } | Failure {
  return decoding("The watch", "invalid", () => {
    const reader = new ProtobufReader(bytes);
    const keys: Uint8Array[] = [];
    let count = 0;
    while (reader.next()) {
      if (reader.field !== 1 || ++count > MAX_WATCHED_KEYS) {
        reader.skip();
        continue;
      }
      const key = readWatchedKey(reader, keys.length);
      if (isFailure(key)) return key;
      keys.push(key);
    }
    if (count === 0) return failure("invalid", "The watch names no keys; it needs at least one.");
    if (count > MAX_WATCHED_KEYS) return overLimit("The watch", count, "keys", MAX_WATCHED_KEYS);
    return { ok: true, keys };
  });
}

// Answers. Every tag below takes one byte. An encoding, a bool or a status takes one byte more.
const SMALL_FIELD_BYTES = 2;
const VERSIONSTAMP_FIELD_BYTES = bytesFieldSize(4, VERSIONSTAMP_BYTES);

/** An entry with its expiry, where that is asked for and there is one. */
export interface WrittenEntry extends Entry {
  readonly expiry?: UnixMs;
}

/** The entries of a read that asked for their expiries. */
export function withExpiries(ranges: readonly (readonly StoredEntry[])[]): WrittenEntry[][] {
  return ranges.map((entries) =>
    entries.map((entry) => (entry.expiresAt === null ? entry : { ...entry, expiry: entry.expiresAt })),
  );
}

/** SnapshotReadOutput of a strongly consistent read that succeeded, in one buffer. `ranges` are in the request's order. */
export function encodeSnapshotReadOutput(ranges: readonly (readonly WrittenEntry[])[]): Uint8Array<ArrayBuffer> {
  const sizes = ranges.map(sizeOfRange);
  const writer = new ProtobufWriter(sizeOfOutput(sizes));
  writeOutput(writer, ranges, sizes, undefined);
  return writer.finish();
}

/** Values of at least this size become chunks of their own, without a copy. A smaller value is cheaper to copy than to send by itself. */
const OWN_CHUNK_BYTES = 16 * 1024;

/**
 * The same bytes as `encodeSnapshotReadOutput`, `size` in all, in chunks that do not copy the large values. For an answer that is
 * streamed: otherwise its values would be in memory twice.
 */
export function snapshotReadOutputChunks(ranges: readonly (readonly Entry[])[]): {
  readonly size: number;
  readonly chunks: readonly Uint8Array[];
} {
  const sizes = ranges.map(sizeOfRange);
  const size = sizeOfOutput(sizes);
  let largeBytes = 0;
  for (const entries of ranges) {
    for (const { value } of entries) if (value.length >= OWN_CHUNK_BYTES) largeBytes += value.length;
  }
  const gaps: Gap[] = [];
  const writer = new ProtobufWriter(size - largeBytes);
  writeOutput(writer, ranges, sizes, gaps);
  const rest = writer.finish();
  const chunks: Uint8Array[] = [];
  let from = 0;
  for (const { offset, value } of gaps) {
    chunks.push(rest.subarray(from, offset), value);
    from = offset;
  }
  chunks.push(rest.subarray(from));
  return { size, chunks };
}

/** A value that was not written, and the place where it belongs. */
interface Gap {
  readonly offset: number;
  readonly value: Uint8Array;
}

function sizeOfOutput(rangeSizes: readonly number[]): number {
  let size = 2 * SMALL_FIELD_BYTES;
  for (const rangeSize of rangeSizes) size += bytesFieldSize(1, rangeSize);
  return size;
}

function sizeOfRange(entries: readonly WrittenEntry[]): number {
  let size = 0;
  for (const entry of entries) size += bytesFieldSize(1, sizeOfEntry(entry));
  return size;
}

function sizeOfEntry(entry: WrittenEntry): number {
  return (
    bytesFieldSize(1, entry.key.length) +
    bytesFieldSize(2, entry.value.length) +
    SMALL_FIELD_BYTES +
    VERSIONSTAMP_FIELD_BYTES +
    (entry.expiry === undefined ? 0 : varintFieldSize(EXPIRY_FIELD, entry.expiry))
  );
}

function writeOutput(
  writer: ProtobufWriter,
  ranges: readonly (readonly WrittenEntry[])[],
  rangeSizes: readonly number[],
  gaps: Gap[] | undefined,
): void {
  for (const [index, entries] of ranges.entries()) {
    // `rangeSizes` has one number for each range.
    writer.messageField(1, rangeSizes[index] as number);
    for (const entry of entries) {
      writer.messageField(1, sizeOfEntry(entry));
      writeEntry(writer, entry, gaps);
    }
  }
  writer.varintField(4, 1);
  writer.varintField(8, 1);
}

/** KvEntry. With `gaps`, a large value is not written but noted there. */
function writeEntry(writer: ProtobufWriter, entry: WrittenEntry, gaps: Gap[] | undefined): void {
  const { value } = entry;
  writer.bytesField(1, entry.key);
  writer.messageField(2, value.length);
  if (gaps !== undefined && value.length >= OWN_CHUNK_BYTES) gaps.push({ offset: writer.position, value });
  else writer.raw(value);
  writer.varintField(3, entry.encoding);
  writer.messageField(4, VERSIONSTAMP_BYTES);
  writeVersionstamp(writer.target, writer.reserve(VERSIONSTAMP_BYTES), entry.version);
  if (entry.expiry !== undefined) writer.varintField(EXPIRY_FIELD, entry.expiry);
}

/** AtomicWriteOutput: the commit's versionstamp, or which checks failed. */
export function encodeAtomicWriteOutput(result: CommitResult): Uint8Array<ArrayBuffer> {
  if (result.ok) {
    const writer = new ProtobufWriter(SMALL_FIELD_BYTES + bytesFieldSize(2, VERSIONSTAMP_BYTES));
    writer.varintField(1, 1);
    writer.messageField(2, VERSIONSTAMP_BYTES);
    writeVersionstamp(writer.target, writer.reserve(VERSIONSTAMP_BYTES), result.version);
    return writer.finish();
  }
  let packedSize = 0;
  for (const index of result.failedChecks) packedSize += varintSize(index);
  const writer = new ProtobufWriter(SMALL_FIELD_BYTES + bytesFieldSize(4, packedSize));
  writer.varintField(1, 2);
  writer.messageField(4, packedSize);
  for (const index of result.failedChecks) writer.varint(index);
  return writer.finish();
}

/**
 * WatchOutput: the entries of the watch's keys, in the watch's order, null where there is none. Every key is sent as changed, because
 * Deno's own client takes an unchanged key for a deleted one.
 */
export function encodeWatchOutput(entries: readonly (Entry | null)[]): Uint8Array<ArrayBuffer> {
  const sizes = entries.map(sizeOfWatchedKey);
  let size = SMALL_FIELD_BYTES;
  for (const keySize of sizes) size += bytesFieldSize(2, keySize);
  const writer = new ProtobufWriter(size);
  writer.varintField(1, 1);
  for (const [index, entry] of entries.entries()) {
    // `sizes` has one number for each entry.
    writer.messageField(2, sizes[index] as number);
    writer.varintField(1, 1);
    if (entry === null) continue;
    writer.messageField(2, sizeOfEntry(entry));
    writeEntry(writer, entry, undefined);
  }
  return writer.finish();
}

function sizeOfWatchedKey(entry: Entry | null): number {
  return SMALL_FIELD_BYTES + (entry === null ? 0 : bytesFieldSize(2, sizeOfEntry(entry)));
}
