/**
 * The parts of the data path's requests (package com.deno.kv.datapath). Each function reads one part from a reader that stands before it,
 * and validates the part. A failure names the part by its field and its index in the request. Whole messages, and the limits on how many
 * parts they have, are in `datapath.ts`.
 */
import { compareBytes } from "../core/bytes.ts";
import { asUnixMs } from "../core/clock.ts";
import { failure, type Failure, isFailure } from "../core/errors.ts";
import { isEncodedKey } from "./key-codec.ts";
import {
  MAX_BACKOFF_DELAY_MS,
  MAX_BACKOFF_DELAYS,
  MAX_KEY_BYTES,
  MAX_KEYS_IF_UNDELIVERED,
  MAX_RANGE_BOUND_BYTES,
  MAX_TIME_MS,
  MAX_VALUE_BYTES,
} from "../core/limits.ts";
import { Encoding, type Check, type Enqueue, type Mutation, type ReadRange } from "../core/operations.ts";
import type { ProtobufReader } from "./protobuf.ts";
import { storableV8 } from "./v8/storable.ts";
import { VERSIONSTAMP_BYTES, versionOfBytes, VERSIONSTAMP_SUFFIX_BYTES } from "../core/versionstamp.ts";

const LE64_BYTES = 8;

const NO_BYTES: Uint8Array = new Uint8Array(0);

/** ReadRange. */
export function readRange(reader: ProtobufReader, index: number): ReadRange | Failure {
  let start = NO_BYTES;
  let end = NO_BYTES;
  let limit = 0;
  let reverse = false;
  const outer = reader.enter();
  while (reader.next()) {
    switch (reader.field) {
      case 1:
        start = reader.bytes();
        break;
      case 2:
        end = reader.bytes();
        break;
      case 3:
        limit = reader.int32();
        break;
      case 4:
        reverse = reader.bool();
        break;
      default:
        reader.skip();
    }
  }
  reader.leave(outer);
  const isStartTooLong = start.length > MAX_RANGE_BOUND_BYTES;
  if (isStartTooLong || end.length > MAX_RANGE_BOUND_BYTES) {
    const name = isStartTooLong ? "start" : "end";
    const { length } = isStartTooLong ? start : end;
    return overLimit(`ranges[${index}]: its ${name}`, length, "bytes", MAX_RANGE_BOUND_BYTES);
  }
  if (limit < 1) return failure("invalid", `ranges[${index}]: its limit is ${limit}; it must be at least 1.`);
  if (compareBytes(start, end) > 0) return failure("invalid", `ranges[${index}]: its start lies after its end.`);
  return { start, end, limit, reverse };
}

/** Check. */
export function readCheck(reader: ProtobufReader, index: number): Check | Failure {
  let key = NO_BYTES;
  let versionstamp = NO_BYTES;
  const outer = reader.enter();
  while (reader.next()) {
    switch (reader.field) {
      case 1:
        key = reader.bytes();
        break;
      case 2:
        versionstamp = reader.bytes();
        break;
      default:
        reader.skip();
    }
  }
  reader.leave(outer);
  const flaw = flawOfKey(key, 0);
  if (flaw !== undefined) return failure(flaw.code, `checks[${index}]: its key ${flaw.text}`);
  if (versionstamp.length === 0) return { key, version: null };
  if (versionstamp.length !== VERSIONSTAMP_BYTES) {
    const length = versionstamp.length;
    return failure(
      "invalid",
      `checks[${index}]: its versionstamp has ${length} bytes; it must have ${VERSIONSTAMP_BYTES}, or none for "no entry".`,
    );
  }
  // No commit has a stamp of zeroes. It would be the version that stands for "before every commit".
  return { key, version: versionOfBytes(versionstamp) || "other" };
}

/** Mutation. */
export function readMutation(reader: ProtobufReader, index: number): Mutation | Failure {
  let key = NO_BYTES;
  let value: RawValue | null = null;
  let type = 0;
  let expireAtMs = 0;
  let sumMin: Uint8Array | null = null;
  let sumMax: Uint8Array | null = null;
  let clamp = false;
  const outer = reader.enter();
  while (reader.next()) {
    switch (reader.field) {
      case 1:
        key = reader.bytes();
        break;
      case 2:
        value = readRawValue(reader, value);
        break;
      case 3:
        type = reader.int32();
        break;
      case 4:
        expireAtMs = reader.int64();
        break;
      case 5:
        sumMin = bytesOrNull(reader.bytes());
        break;
      case 6:
        sumMax = bytesOrNull(reader.bytes());
        break;
      case 7:
        clamp = reader.bool();
        break;
      default:
        reader.skip();
    }
  }
  reader.leave(outer);

  const name = nameOfType(type);
  if (name === undefined) return failure("invalid", `mutations[${index}]: its type is ${type}, which is not known.`);
  const versionstampedKey = name === "set with versionstamped key";
  const flaw = flawOfKey(key, versionstampedKey ? VERSIONSTAMP_SUFFIX_BYTES : 0);
  if (flaw !== undefined) return failure(flaw.code, `mutations[${index}] (${name}): its key ${flaw.text}`);
  if (name !== "sum" && (sumMin !== null || sumMax !== null || clamp)) {
    return failure("invalid", `mutations[${index}] (${name}): sum_min, sum_max and sum_clamp go with sum alone.`);
  }
  if (name === "delete") return { type: "delete", key };

  const checked = checkValue(value);
  if (isFailure(checked)) return failure(checked.code, `mutations[${index}] (${name}): ${checked.message}`);
  const { data, encoding } = checked;
  if (name === "sum" || name === "min" || name === "max") {
    const bound = Math.max(sumMin?.length ?? 0, sumMax?.length ?? 0);
    if (bound > MAX_VALUE_BYTES) {
      return overLimit(`mutations[${index}] (sum): its sum_min or sum_max`, bound, "bytes", MAX_VALUE_BYTES);
    }
    return { type: name, key, value: data, encoding, sumMin, sumMax, clamp };
  }
  if (!(Math.abs(expireAtMs) <= MAX_TIME_MS)) {
    return failure(
      "invalid",
      `mutations[${index}] (${name}): its expire_at_ms is ${expireAtMs}; the latest is ${MAX_TIME_MS}.`,
    );
  }
  const expiresAt = expireAtMs === 0 || expireAtMs === -1 ? null : asUnixMs(expireAtMs);
  return { type: "set", key, value: data, encoding, expiresAt, versionstampedKey };
}

type MutationName = Mutation["type"] | "set with versionstamped key";

function nameOfType(type: number): MutationName | undefined {
  switch (type) {
    case 1:
      return "set";
    case 2:
      return "delete";
    case 3:
      return "sum";
    case 4:
      return "max";
    case 5:
      return "min";
    case 9:
      return "set with versionstamped key";
    default:
      return undefined;
  }
}

interface RawValue {
  data: Uint8Array;
  encoding: number;
}

/** KvValue. As in protobuf, a second one in the same mutation is merged into the first. */
function readRawValue(reader: ProtobufReader, earlier: RawValue | null): RawValue {
  const value = earlier ?? { data: NO_BYTES, encoding: 0 };
  const outer = reader.enter();
  while (reader.next()) {
    switch (reader.field) {
      case 1:
        value.data = reader.bytes();
        break;
      case 2:
        value.encoding = reader.int32();
        break;
      default:
        reader.skip();
    }
  }
  reader.leave(outer);
  return value;
}

/** The message of a failure continues "mutations[i]: ". */
function checkValue(value: RawValue | null): { readonly data: Uint8Array; readonly encoding: Encoding } | Failure {
  if (value === null) return failure("invalid", "it has no value.");
  const { data, encoding } = value;
  if (data.length > MAX_VALUE_BYTES) return overLimit("its value", data.length, "bytes", MAX_VALUE_BYTES);
  switch (encoding) {
    case Encoding.v8:
      return { data: storableV8(data), encoding };
    case Encoding.le64:
      if (data.length !== LE64_BYTES) {
        return failure("invalid", `its LE64 value has ${data.length} bytes; it must have ${LE64_BYTES}.`);
      }
      return { data, encoding };
    case Encoding.bytes:
      return { data, encoding };
    default:
      return failure("invalid", `its value has the encoding ${encoding}, which is not known.`);
  }
}

/** Enqueue. */
export function readEnqueue(reader: ProtobufReader, index: number): Enqueue | Failure {
  let payload = NO_BYTES;
  let deadlineMs = 0;
  const keysIfUndelivered: Uint8Array[] = [];
  let keyCount = 0;
  const backoffSchedule: number[] = [];
  let delayCount = 0;
  const outer = reader.enter();
  while (reader.next()) {
    switch (reader.field) {
      case 1:
        payload = reader.bytes();
        break;
      case 2:
        deadlineMs = reader.int64();
        break;
      case 3:
        if (++keyCount <= MAX_KEYS_IF_UNDELIVERED) keysIfUndelivered.push(reader.bytes());
        else reader.skip();
        break;
      case 4:
        delayCount += reader.repeatedUint32(backoffSchedule, MAX_BACKOFF_DELAYS - backoffSchedule.length);
        break;
      default:
        reader.skip();
    }
  }
  reader.leave(outer);

  if (payload.length > MAX_VALUE_BYTES) {
    return overLimit(`enqueues[${index}]: its payload`, payload.length, "bytes", MAX_VALUE_BYTES);
  }
  if (keyCount > MAX_KEYS_IF_UNDELIVERED) {
    return overLimit(`enqueues[${index}]`, keyCount, "keys for undelivered messages", MAX_KEYS_IF_UNDELIVERED);
  }
  for (const [position, key] of keysIfUndelivered.entries()) {
    const flaw = flawOfKey(key, 0);
    if (flaw !== undefined)
      return failure(flaw.code, `enqueues[${index}]: keys_if_undelivered[${position}] ${flaw.text}`);
  }
  if (delayCount > MAX_BACKOFF_DELAYS) {
    return overLimit(`enqueues[${index}]: its backoff schedule`, delayCount, "delays", MAX_BACKOFF_DELAYS);
  }
  const longest = Math.max(0, ...backoffSchedule);
  if (longest > MAX_BACKOFF_DELAY_MS) {
    return failure(
      "limit",
      `enqueues[${index}]: a backoff delay is ${longest} ms; the limit is ${MAX_BACKOFF_DELAY_MS} ms.`,
    );
  }
  if (!(Math.abs(deadlineMs) <= MAX_TIME_MS)) {
    return failure("invalid", `enqueues[${index}]: its deadline_ms is ${deadlineMs}; the latest is ${MAX_TIME_MS}.`);
  }
  return { payload: storableV8(payload), deliverAt: asUnixMs(deadlineMs), keysIfUndelivered, backoffSchedule };
}

/** WatchKey. */
export function readWatchedKey(reader: ProtobufReader, index: number): Uint8Array | Failure {
  let key = NO_BYTES;
  const outer = reader.enter();
  while (reader.next()) {
    if (reader.field === 1) key = reader.bytes();
    else reader.skip();
  }
  reader.leave(outer);
  const flaw = flawOfKey(key, 0);
  return flaw === undefined ? key : failure(flaw.code, `keys[${index}]: the key ${flaw.text}`);
}

/** What is wrong with a key, to continue a sentence about it. `suffix`: how many bytes the commit will add to the key. */
function flawOfKey(
  key: Uint8Array,
  suffix: number,
): { readonly code: "invalid" | "limit"; readonly text: string } | undefined {
  const length = key.length + suffix;
  if (length > MAX_KEY_BYTES) {
    const how = suffix === 0 ? "" : " with its versionstamp";
    return { code: "limit", text: `has ${length} bytes${how}; the limit is ${MAX_KEY_BYTES}.` };
  }
  if (!isEncodedKey(key)) {
    return { code: "invalid", text: key.length === 0 ? "is missing or empty." : "is not a well-formed encoded key." };
  }
  return undefined;
}

function bytesOrNull(bytes: Uint8Array): Uint8Array | null {
  return bytes.length === 0 ? null : bytes;
}

/** `what` begins the sentence and says what is too big. */
export function overLimit(what: string, size: number, unit: string, limit: number): Failure {
  return failure("limit", `${what} has ${size} ${unit}; the limit is ${limit}.`);
}
