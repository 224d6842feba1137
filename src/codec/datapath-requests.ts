/**
 * Encodes the data path's requests from the types of `operations.ts` to bytes, for programs that ask a database. The decoders of
 * `datapath.ts` give the same operations back. They judge the limits; the encoders do not.
 */
import type { UnixMs } from "../core/clock.ts";
import { EXPIRIES_FIELD } from "./datapath.ts";
import { bytesFieldSize, ProtobufWriter, varintFieldSize, varintSize } from "./protobuf.ts";
import type { AtomicWrite, Check, Encoding, Enqueue, Mutation, ReadRange } from "../core/operations.ts";
import { VERSIONSTAMP_BYTES, versionstampBytes } from "../core/versionstamp.ts";

/** A stamp that no commit of ours carries. It is written for the check "other". */
const FOREIGN_VERSIONSTAMP = new Uint8Array(VERSIONSTAMP_BYTES).fill(0xff);

const NO_BYTES = new Uint8Array(0);

/** The size of every bool and enum of these messages: a tag of one byte and a number of one byte. */
const SMALL_FIELD_BYTES = 2;

const typeNumber = { set: 1, delete: 2, sum: 3, max: 4, min: 5 } as const;
const SET_WITH_VERSIONSTAMPED_KEY = 9;

/** SnapshotRead. */
export function encodeSnapshotRead(ranges: readonly ReadRange[], expiries = false): Uint8Array<ArrayBuffer> {
  let size = expiries ? varintFieldSize(EXPIRIES_FIELD, 1) : 0;
  for (const range of ranges) size += bytesFieldSize(1, sizeOfRange(range));
  const writer = new ProtobufWriter(size);
  for (const range of ranges) {
    writer.messageField(1, sizeOfRange(range));
    writer.bytesField(1, range.start);
    writer.bytesField(2, range.end);
    writer.varintField(3, range.limit);
    if (range.reverse) writer.varintField(4, 1);
  }
  if (expiries) writer.varintField(EXPIRIES_FIELD, 1);
  return writer.finish();
}

function sizeOfRange(range: ReadRange): number {
  const bounds = bytesFieldSize(1, range.start.length) + bytesFieldSize(2, range.end.length);
  return bounds + varintFieldSize(3, range.limit) + (range.reverse ? SMALL_FIELD_BYTES : 0);
}

/** Watch. */
export function encodeWatch(keys: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  let size = 0;
  for (const key of keys) size += bytesFieldSize(1, bytesFieldSize(1, key.length));
  const writer = new ProtobufWriter(size);
  for (const key of keys) {
    writer.messageField(1, bytesFieldSize(1, key.length));
    writer.bytesField(1, key);
  }
  return writer.finish();
}

/** AtomicWrite. Times must not be before 1970. */
export function encodeAtomicWrite(write: AtomicWrite): Uint8Array<ArrayBuffer> {
  let size = 0;
  for (const check of write.checks) size += bytesFieldSize(1, sizeOfCheck(check));
  for (const mutation of write.mutations) size += bytesFieldSize(2, sizeOfMutation(mutation));
  for (const enqueue of write.enqueues) size += bytesFieldSize(3, sizeOfEnqueue(enqueue));
  const writer = new ProtobufWriter(size);
  for (const check of write.checks) {
    writer.messageField(1, sizeOfCheck(check));
    writer.bytesField(1, check.key);
    writer.bytesField(2, stampOfCheck(check));
  }
  for (const mutation of write.mutations) {
    writer.messageField(2, sizeOfMutation(mutation));
    writeMutation(writer, mutation);
  }
  for (const enqueue of write.enqueues) {
    writer.messageField(3, sizeOfEnqueue(enqueue));
    writeEnqueue(writer, enqueue);
  }
  return writer.finish();
}

function stampOfCheck(check: Check): Uint8Array {
  if (check.version === null) return NO_BYTES;
  return check.version === "other" ? FOREIGN_VERSIONSTAMP : versionstampBytes(check.version);
}

function sizeOfCheck(check: Check): number {
  return bytesFieldSize(1, check.key.length) + bytesFieldSize(2, check.version === null ? 0 : VERSIONSTAMP_BYTES);
}

function sizeOfMutation(mutation: Mutation): number {
  const size = bytesFieldSize(1, mutation.key.length) + SMALL_FIELD_BYTES;
  if (mutation.type === "delete") return size;
  const withValue = size + bytesFieldSize(2, sizeOfValue(mutation.value));
  if (mutation.type === "set") {
    return withValue + (mutation.expiresAt === null ? 0 : varintFieldSize(4, expireAtMs(mutation.expiresAt)));
  }
  const { sumMin, sumMax, clamp } = mutation;
  return (
    withValue +
    (sumMin === null ? 0 : bytesFieldSize(5, sumMin.length)) +
    (sumMax === null ? 0 : bytesFieldSize(6, sumMax.length)) +
    (clamp ? SMALL_FIELD_BYTES : 0)
  );
}

/** 0 means no expiry there. The first millisecond of 1970 is as over as the next one. */
function expireAtMs(expiresAt: UnixMs): number {
  return Math.max(1, expiresAt);
}

function sizeOfValue(value: Uint8Array): number {
  return bytesFieldSize(1, value.length) + SMALL_FIELD_BYTES;
}

function writeMutation(writer: ProtobufWriter, mutation: Mutation): void {
  writer.bytesField(1, mutation.key);
  const suffixed = mutation.type === "set" && mutation.versionstampedKey;
  writer.varintField(3, suffixed ? SET_WITH_VERSIONSTAMPED_KEY : typeNumber[mutation.type]);
  if (mutation.type === "delete") return;
  writeValue(writer, mutation.value, mutation.encoding);
  if (mutation.type === "set") {
    if (mutation.expiresAt !== null) writer.varintField(4, expireAtMs(mutation.expiresAt));
    return;
  }
  if (mutation.sumMin !== null) writer.bytesField(5, mutation.sumMin);
  if (mutation.sumMax !== null) writer.bytesField(6, mutation.sumMax);
  if (mutation.clamp) writer.varintField(7, 1);
}

function writeValue(writer: ProtobufWriter, value: Uint8Array, encoding: Encoding): void {
  writer.messageField(2, sizeOfValue(value));
  writer.bytesField(1, value);
  writer.varintField(2, encoding);
}

function sizeOfEnqueue(enqueue: Enqueue): number {
  let size = bytesFieldSize(1, enqueue.payload.length) + varintFieldSize(2, enqueue.deliverAt);
  for (const key of enqueue.keysIfUndelivered) size += bytesFieldSize(3, key.length);
  return size + bytesFieldSize(4, sizeOfSchedule(enqueue));
}

function sizeOfSchedule(enqueue: Enqueue): number {
  let size = 0;
  for (const delay of enqueue.backoffSchedule) size += varintSize(delay);
  return size;
}

function writeEnqueue(writer: ProtobufWriter, enqueue: Enqueue): void {
  writer.bytesField(1, enqueue.payload);
  writer.varintField(2, enqueue.deliverAt);
  for (const key of enqueue.keysIfUndelivered) writer.bytesField(3, key);
  writer.messageField(4, sizeOfSchedule(enqueue));
  for (const delay of enqueue.backoffSchedule) writer.varint(delay);
}
