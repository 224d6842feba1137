/** Field numbers and enumerations of the messages in a backup (package com.deno.kv.backup), and what their decoders share. */
import { assert } from "../../core/assert.ts";
import { asUnixMs, type UnixMs } from "../../core/clock.ts";
import { isEncodedKey } from "../../codec/key-codec.ts";
import { MAX_KEY_BYTES, MAX_TIME_MS, MAX_VALUE_BYTES } from "../../core/limits.ts";
import { Encoding } from "../../core/operations.ts";
import { MalformedProtobuf, type ProtobufReader } from "../../codec/protobuf.ts";
import { type Damage, damage, DamageFound } from "./damage.ts";

export const SHA256_BYTES = 32;

/**
 * A field of ours in both kinds of objects: the SHA-256 of the object before in the same folder, zeroes in the first object. Other
 * readers skip it.
 */
export const PREVIOUS_SHA256_FIELD = 100;

/** The second field of ours, the last one in both kinds: the SHA-256 of all bytes before it (`seal.ts`). */
export const OWN_SHA256_FIELD = 101;

export const NO_OBJECT_BEFORE: Uint8Array = new Uint8Array(SHA256_BYTES);

export const MutationRangeField = {
  entries: 1,
  timestampMs: 2,
  previousSha256: PREVIOUS_SHA256_FIELD,
  ownSha256: OWN_SHA256_FIELD,
} as const;
export const LogEntryField = { versionstamp: 1, kind: 2, key: 3, value: 4, valueEncoding: 5, expireAtMs: 6 } as const;
export const SnapshotRangeField = {
  dataList: 1,
  metadataList: 2,
  previousSha256: PREVIOUS_SHA256_FIELD,
  ownSha256: OWN_SHA256_FIELD,
} as const;
export const PairField = { key: 1, value: 2 } as const;

/** The format also has sum, max and min. They are written as sets of their results. */
export const MutationKind = { set: 1, clear: 2 } as const;

/** Runs a decoder, and returns as a value what it throws about the bytes. */
export function decoding<T extends { readonly ok: true }>(object: string, decode: () => T): T | Damage {
  try {
    return decode();
  } catch (error) {
    if (error instanceof DamageFound || error instanceof MalformedProtobuf) return damage(object, error.message);
    throw error;
  }
}

/** Calls `visit` for each field of the reader's message. A field that comes twice or is unknown is damage. */
export function eachOnce(reader: ProtobufReader, visit: (field: number) => boolean): void {
  let seen = 0;
  while (reader.next()) {
    const { field } = reader;
    if (field > 30 || !visit(field)) throw new DamageFound(`has a field ${field} that the format does not know`);
    if ((seen & (1 << field)) !== 0) throw new DamageFound(`has field ${field} twice in one message`);
    seen |= 1 << field;
  }
}

export function readPreviousSha256(reader: ProtobufReader): Uint8Array {
  const hash = reader.bytes();
  if (hash.length !== SHA256_BYTES) throw new DamageFound("carries a hash of another length than SHA-256's");
  return hash;
}

/** Whether an entry written by Cairn can have this key. */
export function isKey(bytes: Uint8Array): boolean {
  return bytes.length <= MAX_KEY_BYTES && isEncodedKey(bytes);
}

/** `expireAtMs` 0: never. undefined when no entry written by Cairn can have this value. */
export function checkValue(
  value: Uint8Array,
  encoding: number,
  expireAtMs: number,
): { readonly encoding: Encoding; readonly expiresAt: UnixMs | null } | undefined {
  if (encoding !== Encoding.v8 && encoding !== Encoding.le64 && encoding !== Encoding.bytes) return undefined;
  if (encoding === Encoding.le64 ? value.length !== 8 : value.length > MAX_VALUE_BYTES) return undefined;
  if (expireAtMs < 0 || expireAtMs > MAX_TIME_MS) return undefined;
  return { encoding, expiresAt: expireAtMs === 0 ? null : asUnixMs(expireAtMs) };
}

export function assertSha256(hash: Uint8Array): void {
  assert(hash.length === SHA256_BYTES, `a SHA-256, got ${hash.length} bytes`);
}
