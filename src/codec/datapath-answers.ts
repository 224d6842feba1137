/**
 * Decodes the data path's answers from bytes to the types of `operations.ts`, for programs that ask a database. It is the inverse of the
 * encoders in `datapath.ts`.
 *
 * An answer holds no more than the largest request may ask for. Bytes that no database of ours sends (cut off, or another program's)
 * become a failure with the code "internal". A database that takes no reads or no writes at present is "unavailable". Decoded keys and
 * values are views of the answer's bytes.
 */
import { asUnixMs, type UnixMs } from "../core/clock.ts";
import { failure, type Failure } from "../core/errors.ts";
import { MAX_CHECKS, MAX_READ_ENTRIES, MAX_READ_RANGES, MAX_WATCHED_KEYS } from "../core/limits.ts";
import { Encoding, type CommitResult, type Entry } from "../core/operations.ts";
import { type Version, versionOfBytes } from "../core/versionstamp.ts";
import { EXPIRY_FIELD, type WrittenEntry } from "./datapath.ts";
import { decoding, MalformedProtobuf, ProtobufReader } from "./protobuf.ts";

/** The value 1 of SnapshotReadStatus and of AtomicWriteStatus: success. */
const SUCCESS = 1;
const READ_DISABLED = 2;
const CHECK_FAILURE = 2;
const WRITE_DISABLED = 5;

const NO_BYTES: Uint8Array = new Uint8Array(0);

/** SnapshotReadOutput: the entries of each range, in the request's order. */
export function decodeSnapshotReadOutput(
  bytes: Uint8Array,
): { readonly ok: true; readonly ranges: readonly (readonly WrittenEntry[])[] } | Failure {
  return decoding("The answer to the read", "internal", () => {
    const reader = new ProtobufReader(bytes);
    const ranges: WrittenEntry[][] = [];
    let entries = 0;
    let disabled = false;
    let status = 0;
    while (reader.next()) {
      switch (reader.field) {
        case 1: {
          if (ranges.length === MAX_READ_RANGES) return tooMany("read", MAX_READ_RANGES, "ranges");
          const range = readEntries(reader, MAX_READ_ENTRIES - entries);
          if (range === undefined) return tooMany("read", MAX_READ_ENTRIES, "entries");
          entries += range.length;
          ranges.push(range);
          break;
        }
        case 2:
          disabled = reader.bool();
          break;
        case 4:
          // Whether the read is strongly consistent: every read of ours is.
          reader.bool();
          break;
        case 8:
          status = reader.int32();
          break;
        default:
          reader.skip();
      }
    }
    if (disabled) status = READ_DISABLED;
    return status === SUCCESS ? { ok: true, ranges } : unsuccessful("read", status, READ_DISABLED);
  });
}

/** AtomicWriteOutput. Failed checks are a result, not a failure. */
export function decodeAtomicWriteOutput(
  bytes: Uint8Array,
): { readonly ok: true; readonly result: CommitResult } | Failure {
  return decoding("The answer to the write", "internal", () => {
    const reader = new ProtobufReader(bytes);
    const failedChecks: number[] = [];
    let checkCount = 0;
    let versionstamp = NO_BYTES;
    let status = 0;
    while (reader.next()) {
      switch (reader.field) {
        case 1:
          status = reader.int32();
          break;
        case 2:
          versionstamp = reader.bytes();
          break;
        case 4:
          checkCount += reader.repeatedUint32(failedChecks, MAX_CHECKS - failedChecks.length);
          break;
        default:
          reader.skip();
      }
    }
    if (status === SUCCESS) return { ok: true, result: { ok: true, version: versionOf(versionstamp) } };
    if (status !== CHECK_FAILURE) return unsuccessful("write", status, WRITE_DISABLED);
    if (checkCount > MAX_CHECKS) return tooMany("write", MAX_CHECKS, "failed checks");
    return { ok: true, result: { ok: false, failedChecks } };
  });
}

/**
 * WatchOutput: the entry of each key of the watch, in the watch's order; null where there is no entry. "unchanged": the entry is as
 * before.
 */
export function decodeWatchOutput(
  bytes: Uint8Array,
): { readonly ok: true; readonly entries: readonly (Entry | null | "unchanged")[] } | Failure {
  return decoding("What the watch says", "internal", () => {
    const reader = new ProtobufReader(bytes);
    const entries: (Entry | null | "unchanged")[] = [];
    let status = 0;
    while (reader.next()) {
      switch (reader.field) {
        case 1:
          status = reader.int32();
          break;
        case 2:
          if (entries.length === MAX_WATCHED_KEYS) return tooMany("watch", MAX_WATCHED_KEYS, "keys");
          entries.push(readWatchedEntry(reader));
          break;
        default:
          reader.skip();
      }
    }
    return status === SUCCESS ? { ok: true, entries } : unsuccessful("watch", status, READ_DISABLED);
  });
}

/** ReadRangeOutput. Undefined when it has more than `room` entries. */
function readEntries(reader: ProtobufReader, room: number): WrittenEntry[] | undefined {
  const entries: WrittenEntry[] = [];
  const outer = reader.enter();
  while (reader.next()) {
    if (reader.field !== 1) {
      reader.skip();
      continue;
    }
    if (entries.length === room) return undefined;
    entries.push(entryOf(readRawEntry(reader, undefined)));
  }
  reader.leave(outer);
  return entries;
}

/** WatchKeyOutput. */
function readWatchedEntry(reader: ProtobufReader): Entry | null | "unchanged" {
  let changed = false;
  let entry: RawEntry | undefined;
  const outer = reader.enter();
  while (reader.next()) {
    switch (reader.field) {
      case 1:
        changed = reader.bool();
        break;
      case 2:
        entry = readRawEntry(reader, entry);
        break;
      default:
        reader.skip();
    }
  }
  reader.leave(outer);
  if (!changed) return "unchanged";
  return entry === undefined ? null : entryOf(entry);
}

interface RawEntry {
  key: Uint8Array;
  value: Uint8Array;
  encoding: number;
  versionstamp: Uint8Array;
  expiry?: UnixMs;
}

/** KvEntry. As in protobuf, a second one in the same place is merged into the first. */
function readRawEntry(reader: ProtobufReader, earlier: RawEntry | undefined): RawEntry {
  const entry = earlier ?? { key: NO_BYTES, value: NO_BYTES, encoding: 0, versionstamp: NO_BYTES };
  const outer = reader.enter();
  while (reader.next()) {
    switch (reader.field) {
      case 1:
        entry.key = reader.bytes();
        break;
      case 2:
        entry.value = reader.bytes();
        break;
      case 3:
        entry.encoding = reader.int32();
        break;
      case 4:
        entry.versionstamp = reader.bytes();
        break;
      case EXPIRY_FIELD:
        entry.expiry = asUnixMs(reader.int64());
        break;
      default:
        reader.skip();
    }
  }
  reader.leave(outer);
  return entry;
}

function entryOf({ key, value, encoding, versionstamp, expiry }: RawEntry): WrittenEntry {
  if (key.length === 0) throw new MalformedProtobuf("has an entry without a key");
  const entry = { key, value, encoding: encodingOf(encoding), version: versionOf(versionstamp) };
  return expiry === undefined ? entry : { ...entry, expiry };
}

function encodingOf(encoding: number): Encoding {
  switch (encoding) {
    case Encoding.v8:
    case Encoding.le64:
    case Encoding.bytes:
      return encoding;
    default:
      throw new MalformedProtobuf(`has a value with the encoding ${encoding}, which is not known`);
  }
}

function versionOf(versionstamp: Uint8Array): Version {
  const version = versionOfBytes(versionstamp);
  // No commit has a stamp of zeroes.
  if (!version) throw new MalformedProtobuf("has a versionstamp that no commit can have");
  return version;
}

type Asked = "read" | "write" | "watch";

function unsuccessful(asked: Asked, status: number, disabled: number): Failure {
  if (status === disabled) return failure("unavailable", `The database refuses every ${asked} now. Try again.`);
  return failure("internal", `The answer to the ${asked} has the status ${status}, which is not known.`);
}

function tooMany(asked: Asked, most: number, what: string): Failure {
  return failure("internal", `The answer to the ${asked} has more than ${most} ${what}, which nobody can ask for.`);
}
