/** Field numbers and enumerations of the messages in a backup (package com.deno.kv.backup), and what their decoders share. */
import { assert } from "../../core/assert.ts";
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

export function assertSha256(hash: Uint8Array): void {
  assert(hash.length === SHA256_BYTES, `a SHA-256, got ${hash.length} bytes`);
}
