/**
 * TTL records: small records with an age (docs/spec/records.md). A record is the entry `["kvs", key]` or `["kvs", namespace, key]`. The
 * record was written at the time of the entry's versionstamp, and it expires when the entry does. Nothing else is stored.
 */
import type { UnixMs } from "../core/clock.ts";
import { failure, type Failure } from "../core/errors.ts";
import { MAX_KEY_BYTES, MAX_VALUE_BYTES } from "../core/limits.ts";
import { Encoding, type StoredEntry } from "../core/operations.ts";
import { timeOfVersion, type Version } from "../core/versionstamp.ts";
import { described } from "./json-notation/place.ts";
import { BEYOND_NUMBERS, hasFiniteNumbers } from "./json-notation/plain-value.ts";
import { type StoredValue, textOfStored } from "./json-notation/stored-value.ts";
import { isObject } from "./json-notation/types.ts";
import { appendStringPart, decodeKey, encodeKey } from "./key-codec.ts";
import type { KeyRange } from "./key-prefix.ts";
import { encodeV8 } from "./v8/codec.ts";
import { concatBytes } from "../core/bytes.ts";

/** The first part of every record's key. */
const RECORDS = "kvs";

/** The tag of a string part. The keys of a parent's records lie between the parent with this byte and the parent with the next byte. */
const STRING_PART = 0x02;

export const AGE_OPERATORS = ["=", "<", "<=", ">", ">="] as const;
export type AgeOperator = (typeof AGE_OPERATORS)[number];

/** The condition `created_at (operator) unixtimeMs`. */
export interface AgeCondition {
  readonly operator: AgeOperator;
  readonly unixtimeMs: number;
}

/** The encoded beginning of the keys of a namespace's records, which have one string part more. null: the records without a namespace. */
export function parentOfRecords(namespace: string | null): Uint8Array | Failure {
  if (namespace !== null) {
    const flaw = flawOfName(namespace, "namespace");
    if (flaw !== null) return flaw;
  }
  const encoded = encodeKey(namespace === null ? [RECORDS] : [RECORDS, namespace]);
  return encoded.ok ? encoded.bytes : encoded;
}

/** `name`: how a message calls the key. */
export function recordKey(parent: Uint8Array, key: unknown, name = "key"): Uint8Array | Failure {
  if (typeof key !== "string") return failure("invalid", `${name} is ${described(key)}; it must be a string.`);
  const flaw = flawOfName(key, name);
  if (flaw !== null) return flaw;
  const encoded = appendStringPart(parent, key);
  return encoded.length <= MAX_KEY_BYTES ? encoded : tooLong(name, encoded.length);
}

/** The range of all keys that begin with the parent and a string. Keys with more parts are not records. */
export function rangeOfRecords(parent: Uint8Array): KeyRange {
  return {
    start: concatBytes([parent, Uint8Array.of(STRING_PART)]),
    end: concatBytes([parent, Uint8Array.of(STRING_PART + 1)]),
  };
}

/** The place of a key among the records of the parent, for a bound of a range. Unlike a record's key, the text may be empty. */
export function recordBound(parent: Uint8Array, key: string, name: string): Uint8Array | Failure {
  return key === "" ? rangeOfRecords(parent).start : recordKey(parent, key, name);
}

/** The key of a record as programs write it: its last part. */
export function nameOfRecord(key: Uint8Array): string {
  const decoded = decodeKey(key);
  const last = decoded.ok ? decoded.key.at(-1) : undefined;
  return typeof last === "string" ? last : "";
}

/**
 * When a record was written, and never a time in the future. After a restart, versions may run some seconds ahead of the clock: then the
 * record's time is given as now.
 */
export function createdAt(version: Version, now: UnixMs): UnixMs {
  const time = timeOfVersion(version);
  return time < now ? time : now;
}

export function ageHolds(created: UnixMs, { operator, unixtimeMs }: AgeCondition): boolean {
  switch (operator) {
    case "=":
      return created === unixtimeMs;
    case "<":
      return created < unixtimeMs;
    case "<=":
      return created <= unixtimeMs;
    case ">":
      return created > unixtimeMs;
    case ">=":
      return created >= unixtimeMs;
  }
}

/** A member of an answer: `"key":{"value":…,"created_at":"…","expired_at":"…"}`. */
export function textOfRecord(entry: StoredEntry, now: UnixMs): string {
  const { text } = textOfStored(entry, { plain: true, literal: true });
  const created = textOfTime(createdAt(entry.version, now));
  const expired = entry.expiresAt === null ? "null" : textOfTime(entry.expiresAt);
  return `${JSON.stringify(nameOfRecord(entry.key))}:{"value":${text},"created_at":${created},"expired_at":${expired}}`;
}

/** Years above 9999 have a sign and six digits, as in ISO 8601. */
function textOfTime(ms: UnixMs): string {
  return `"${new Date(ms).toISOString()}"`;
}

/** The stored form of a record's value, which is a JSON object. The object is never read as notation. */
export function storedRecord(json: unknown): StoredValue | Failure {
  if (!isObject(json)) {
    return failure("invalid", `value is ${described(json)}; it must be an object, like {"index":1}.`);
  }
  if (!hasFiniteNumbers(json)) return failure("invalid", `value ${BEYOND_NUMBERS}.`);
  const encoded = encodeV8(json);
  if (!encoded.ok) return failure(encoded.code, `value: ${encoded.message}`);
  if (encoded.bytes.length > MAX_VALUE_BYTES) return valueTooLarge(`it has ${encoded.bytes.length} as it is stored`);
  return { value: encoded.bytes, encoding: Encoding.v8 };
}

/** Programs look for the words `value size should be less than`. */
export function valueTooLarge(has: string): Failure {
  return failure("limit", `The value size should be less than ${MAX_VALUE_BYTES + 1} bytes: ${has}.`);
}

function flawOfName(text: string, name: string): Failure | null {
  if (text === "") return failure("invalid", `${name} is empty; it must have at least one character.`);
  if (text.isWellFormed()) return null;
  return failure("invalid", `${name} has half of a surrogate pair, which is no character and cannot be stored.`);
}

function tooLong(name: string, bytes: number): Failure {
  return failure(
    "limit",
    `${name} is too long: the record's key has ${bytes} bytes as it is stored; the limit is ${MAX_KEY_BYTES}.`,
  );
}
