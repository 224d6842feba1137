/**
 * The parts of keys, as the notation and the path form share them. A NaN whose sign bit is set is a different key than other NaNs, and
 * JavaScript may lose the sign. So this NaN is a part with a name here: it is recognised by the bytes of the key, and written as these
 * bytes.
 */
import { assert } from "../../core/assert.ts";
import { concatBytes } from "../../core/bytes.ts";
import { failure, type Failure } from "../../core/errors.ts";
import { decodeKey, encodeKey, type KeyPart } from "../key-codec.ts";
import { MAX_KEY_BIGINT_BYTES, MAX_KEY_BYTES } from "../../core/limits.ts";
import type { Refusal } from "../v8/refusal.ts";

export const NEGATIVE_NAN = Symbol("-NaN");
const NEGATIVE_NAN_BYTES = Uint8Array.of(0x21, 0x00, 0x07, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff);

export type Part = KeyPart | typeof NEGATIVE_NAN;

export type EncodedKeyOrFailure = { readonly ok: true; readonly bytes: Uint8Array<ArrayBuffer> } | Failure;

/** The parts of a stored key. The bytes must be a key. */
export function partsOfKey(encoded: Uint8Array): Part[] {
  const decoded = decodeKey(encoded);
  assert(decoded.ok, "a stored key to be an encoded key");
  const { key } = decoded;
  if (!key.some(Number.isNaN)) return key;
  let offset = 0;
  return key.map((part) => {
    const first = encoded[offset + 1];
    const reencoded = encodeKey([part]);
    assert(reencoded.ok, "a part of a key to be a key");
    offset += reencoded.bytes.length;
    return Number.isNaN(part) && first === NEGATIVE_NAN_BYTES[1] ? NEGATIVE_NAN : part;
  });
}

/** The bytes of a part. Throws the `Refusal` that `refuse` makes of the rest of a sentence. */
export function encodedPart(part: Part, refuse: (text: string) => Refusal): Uint8Array<ArrayBuffer> {
  if (part === NEGATIVE_NAN) return NEGATIVE_NAN_BYTES;
  if (typeof part === "string" && !part.isWellFormed())
    throw refuse("holds half of a surrogate pair, which a key cannot hold.");
  const encoded = encodeKey([part]);
  // Of these types, only a bigint can be refused.
  if (!encoded.ok) throw refuse(`is a bigint of more than ${MAX_KEY_BIGINT_BYTES} bytes, which a key cannot hold.`);
  return encoded.bytes;
}

/** `name` begins the sentence of a failure. `most`: how many bytes the key may have. */
export function joinedParts(parts: readonly Uint8Array[], name: string, most = MAX_KEY_BYTES): EncodedKeyOrFailure {
  if (parts.length === 0) return failure("invalid", `${name} has no parts; a key needs at least one.`);
  const bytes = concatBytes(parts);
  if (bytes.length > most) {
    return failure("limit", `${name} has ${bytes.length} bytes as it is stored; the limit is ${most}.`);
  }
  return { ok: true, bytes };
}
