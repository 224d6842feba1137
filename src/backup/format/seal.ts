/**
 * The end of every object of ours: field 101, the SHA-256 of all bytes before it. It is the last field. So any change of an object shows
 * in the object itself, also in the newest object, whose hash no other object carries yet. Other readers skip the field.
 */
import { equalBytes } from "../../core/bytes.ts";
import type { ProtobufWriter } from "../../codec/protobuf.ts";
import { DamageFound } from "./damage.ts";
import { OWN_SHA256_FIELD } from "./fields.ts";
import { sha256 } from "./sha256.ts";

/** Field 101, length-delimited, 32 bytes. */
const HEAD = Uint8Array.of(0xaa, 0x06, 0x20);

export const SEAL_BYTES = 35;

/** Ends an object. All bytes except these `SEAL_BYTES` must have been written. */
export function writeSeal(writer: ProtobufWriter): void {
  writer.bytesField(OWN_SHA256_FIELD, sha256(writer.target.subarray(0, writer.position)));
}

/** The object without its seal, as a view. Throws DamageFound when the object was changed. */
export function unseal(bytes: Uint8Array): Uint8Array {
  const content = bytes.subarray(0, Math.max(0, bytes.length - SEAL_BYTES));
  const seal = bytes.subarray(content.length);
  if (seal.length < SEAL_BYTES || !equalBytes(seal.subarray(0, HEAD.length), HEAD)) {
    throw new DamageFound("does not end with its own hash: it was cut short or altered");
  }
  if (!equalBytes(seal.subarray(HEAD.length), sha256(content))) {
    throw new DamageFound("was altered: its hash is another than the one that it carries");
  }
  return content;
}
