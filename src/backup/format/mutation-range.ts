/**
 * A log object: whole commits in order, the time of the last one, the hash of the object before it, and its own hash. Writing
 * concatenates the rows of the mutation log, which are already in wire form. Reading checks everything first and then walks through the
 * entries without copying. So code that applies the entries meets no damage in the middle.
 */
import { assert } from "../../core/assert.ts";
import { toHex } from "../../core/bytes.ts";
import type { UnixMs } from "../../core/clock.ts";
import { MAX_LOG_OBJECT_ENTRIES } from "../../core/limits.ts";
import type { Encoding } from "../../core/operations.ts";
import { bytesFieldSize, ProtobufReader, ProtobufWriter, varintFieldSize } from "../../codec/protobuf.ts";
import { LAST_ORDER, timeOfVersion, type Version } from "../../core/versionstamp.ts";
import { checkValue, isKey } from "../../codec/stored-entry.ts";
import { type Damage, DamageFound } from "./damage.ts";
import {
  assertSha256,
  decoding,
  eachOnce,
  LogEntryField,
  MutationKind,
  MutationRangeField,
  readPreviousSha256,
  SHA256_BYTES,
} from "./fields.ts";
import { isLastOfCommit, type LogStamp, logStampHex, logStampOfBytes } from "./log-stamp.ts";
import { type GenerationPlace, logObjectName, parseLogObjectName } from "./object-names.ts";
import { SEAL_BYTES, unseal, writeSeal } from "./seal.ts";

/** A commit as the mutation log has it: parts in wire form, to be concatenated. */
export interface CommitInWireForm {
  readonly version: Version;
  readonly parts: readonly Uint8Array[];
}

export interface EncodedObject {
  readonly name: string;
  readonly bytes: Uint8Array<ArrayBuffer>;
}

export interface LogSet {
  readonly type: "set";
  readonly stamp: LogStamp;
  readonly key: Uint8Array;
  readonly value: Uint8Array;
  readonly encoding: Encoding;
  readonly expiresAt: UnixMs | null;
}

/** A delete. A delete of the empty key changes nothing, and only makes its commit a point. */
export interface LogClear {
  readonly type: "clear";
  readonly stamp: LogStamp;
  readonly key: Uint8Array;
}

export type LogEntry = LogSet | LogClear;

export interface MutationRange {
  readonly ok: true;
  readonly first: LogStamp;
  readonly last: LogStamp;
  /** The number of entries. */
  readonly entries: number;
  readonly commits: number;
  /** NO_OBJECT_BEFORE in the first object of its folder. */
  readonly previousSha256: Uint8Array;
  /** Keys and values are views of the object's bytes. */
  read(): Generator<LogEntry, void>;
}

/** The object for these commits. Its name and its bytes are a function of them and of the object before. */
export function encodeMutationRange(
  place: GenerationPlace,
  commits: readonly CommitInWireForm[],
  previousSha256: Uint8Array,
): EncodedObject {
  const firstPart = commits[0]?.parts[0];
  const last = commits.at(-1);
  assert(firstPart !== undefined && last !== undefined, "a log object to hold at least one commit");
  assertSha256(previousSha256);
  const time = timeOfVersion(last.version);
  let size = SEAL_BYTES + varintFieldSize(MutationRangeField.timestampMs, time);
  size += bytesFieldSize(MutationRangeField.previousSha256, previousSha256.length);
  for (const { parts } of commits) for (const part of parts) size += part.length;
  const writer = new ProtobufWriter(size);
  for (const { parts } of commits) for (const part of parts) writer.raw(part);
  writer.varintField(MutationRangeField.timestampMs, time);
  writer.bytesField(MutationRangeField.previousSha256, previousSha256);
  writeSeal(writer);
  const stamps = { first: firstEntry(firstPart).stamp, last: { version: last.version, order: LAST_ORDER } };
  return { name: logObjectName(place, stamps), bytes: writer.finish() };
}

/**
 * Checks an object completely: the wire form, every entry, that commits are whole and in order, and that the name fits the contents. The
 * caller compares the hash of the object before.
 */
export function openMutationRange(place: GenerationPlace, object: string, bytes: Uint8Array): MutationRange | Damage {
  const name = parseLogObjectName(place, object);
  if (!name.ok) return name;
  return decoding(object, () => {
    const { first, last } = name;
    const content = unseal(bytes);
    const checked = check(content);
    for (const [what, inside, named] of [
      ["begins", checked.first, first],
      ["ends", checked.last, last],
    ] as const) {
      if (logStampHex(inside) === logStampHex(named)) continue;
      throw new DamageFound(`${what} with ${logStampHex(inside)}, and is named after ${logStampHex(named)}`);
    }
    const { entries, commits, previousSha256 } = checked;
    return { ok: true, first, last, entries, commits, previousSha256, read: () => walk(content) };
  });
}

/**
 * The hash of the object before that this object carries, in hex, found by its position only. So it can also be read from an object that
 * is damaged elsewhere.
 */
export function previousSha256Of(bytes: Uint8Array): string {
  return toHex(
    bytes.subarray(Math.max(0, bytes.length - SEAL_BYTES - SHA256_BYTES), Math.max(0, bytes.length - SEAL_BYTES)),
  );
}

function check(bytes: Uint8Array): Omit<MutationRange, "ok" | "read"> {
  const reader = new ProtobufReader(bytes);
  let first: LogStamp | undefined;
  let last: LogStamp | undefined;
  let entries = 0;
  let commits = 0;
  let time: number | undefined;
  let previousSha256: Uint8Array | null = null;
  while (reader.next()) {
    switch (reader.field) {
      case MutationRangeField.entries: {
        const { stamp } = readEntry(reader);
        if (isOutOfOrder(last, stamp)) {
          const place = last === undefined ? "at the beginning" : `after ${logStampHex(last)}`;
          throw new DamageFound(`has entry ${logStampHex(stamp)} ${place}`);
        }
        first ??= stamp;
        last = stamp;
        entries += 1;
        if (entries > MAX_LOG_OBJECT_ENTRIES) throw new DamageFound(`has more than ${MAX_LOG_OBJECT_ENTRIES} entries`);
        if (isLastOfCommit(stamp)) commits += 1;
        break;
      }
      case MutationRangeField.timestampMs:
        if (time !== undefined) throw new DamageFound("has two times");
        time = reader.int64();
        break;
      case MutationRangeField.previousSha256:
        if (previousSha256 !== null) throw new DamageFound("has two hashes of the object before it");
        previousSha256 = readPreviousSha256(reader);
        break;
      default:
        throw new DamageFound(`has a field ${reader.field} that the format does not know`);
    }
  }
  if (first === undefined || last === undefined) throw new DamageFound("holds no entry");
  if (previousSha256 === null) throw new DamageFound("lacks the hash of the object before it");
  if (!isLastOfCommit(last)) throw new DamageFound(`ends within a commit, at ${logStampHex(last)}`);
  if (time !== timeOfVersion(last.version)) throw new DamageFound("carries another time than its last commit's");
  return { first, last, entries, commits, previousSha256 };
}

/** The entries of a commit are numbered from 0 without gaps, except for its last one. A commit is greater than the one before. */
function isOutOfOrder(before: LogStamp | undefined, stamp: LogStamp): boolean {
  if (before === undefined || isLastOfCommit(before)) {
    if (before !== undefined && stamp.version <= before.version) return true;
    return stamp.order !== 0 && !isLastOfCommit(stamp);
  }
  return stamp.version !== before.version || (stamp.order !== before.order + 1 && !isLastOfCommit(stamp));
}

function* walk(bytes: Uint8Array): Generator<LogEntry, void> {
  const reader = new ProtobufReader(bytes);
  while (reader.next()) {
    if (reader.field === MutationRangeField.entries) yield readEntry(reader);
    else reader.skip();
  }
}

const noBytes = new Uint8Array();

function readEntry(reader: ProtobufReader): LogEntry {
  let stamp: LogStamp | undefined;
  let kind = 0;
  let key: Uint8Array = noBytes;
  let value: Uint8Array = noBytes;
  let encoding = 0;
  let expireAtMs = 0;
  const outer = reader.enter();
  eachOnce(reader, (field) => {
    switch (field) {
      case LogEntryField.versionstamp:
        stamp = logStampOfBytes(reader.bytes());
        return true;
      case LogEntryField.kind:
        kind = reader.int32();
        return true;
      case LogEntryField.key:
        key = reader.bytes();
        return true;
      case LogEntryField.value:
        value = reader.bytes();
        return true;
      case LogEntryField.valueEncoding:
        encoding = reader.int32();
        return true;
      case LogEntryField.expireAtMs:
        expireAtMs = reader.int64();
        return true;
      default:
        return false;
    }
  });
  reader.leave(outer);
  if (stamp === undefined) throw new DamageFound("has an entry without a stamp of 12 bytes");
  if (kind === MutationKind.clear) {
    if (value.length > 0 || encoding !== 0 || expireAtMs !== 0) {
      throw new DamageFound(`has a value in the clear ${logStampHex(stamp)}`);
    }
    return { type: "clear", stamp, key };
  }
  if (kind !== MutationKind.set) throw new DamageFound(`has kind ${kind} in entry ${logStampHex(stamp)}`);
  if (!isKey(key)) throw new DamageFound(`has no key, or none that can be, in entry ${logStampHex(stamp)}`);
  const checked = checkValue(value, encoding, expireAtMs);
  if (checked === undefined) throw new DamageFound(`has an impossible value or expiry in entry ${logStampHex(stamp)}`);
  return { type: "set", stamp, key, value, ...checked };
}

/** Whether the commit is a marker of the backup itself, which changes nothing: a clear of the empty key. */
export function isMarker({ parts: [first] }: CommitInWireForm): boolean {
  return first !== undefined && firstEntry(first).key.length === 0;
}

export function* entriesOf({ parts }: CommitInWireForm): Generator<LogEntry, void> {
  for (const part of parts) yield* walk(part);
}

function firstEntry(part: Uint8Array): LogEntry {
  const reader = new ProtobufReader(part);
  assert(reader.next() && reader.field === MutationRangeField.entries, "a log row to begin with an entry");
  return readEntry(reader);
}
