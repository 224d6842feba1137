/**
 * Stored values (bytes and their encoding) as JSON text and from JSON. Every stored value has a text, and reading that text gives an
 * equal value of the same encoding:
 * - V8 values are written in the notation or in plain JSON. A value that neither can express is written as its bytes:
 *   `{"type":"v8","value":"<base64url>"}`;
 * - `KvU64`: `{"type":"KvU64","value":"<decimal>"}`;
 * - raw bytes: a Uint8Array, which Deno's clients make of them, with `"raw":true`, which other readers ignore.
 */
import { failure, type Failure } from "../../core/errors.ts";
import { MAX_NOTATION_CHARACTERS, MAX_VALUE_BYTES } from "../../core/limits.ts";
import { Encoding } from "../../core/operations.ts";
import { decodeV8, encodeV8 } from "../v8/codec.ts";
import { Refusal } from "../v8/refusal.ts";
import { storableV8 } from "../v8/storable.ts";
import { toBase64Url } from "../base64url.ts";
import { described, Place } from "./place.ts";
import { BEYOND_NUMBERS, hasFiniteNumbers, literalTextOf, plainTextOf } from "./plain-value.ts";
import { readBigint, readBytes } from "./scalars.ts";
import { isNotation, isObject, type JsonObject } from "./types.ts";
import { ValueReader } from "./value-reader.ts";
import { ValueWriter } from "./value-writer.ts";

export interface StoredValue {
  readonly value: Uint8Array;
  readonly encoding: Encoding;
}

/** `plain`: JSON that does not have the notation's form stands for itself. `literal`: JSON of that form stands for itself too. */
export interface NotationOptions {
  readonly plain: boolean;
  readonly literal?: boolean;
}

/** `v8`: the notation could not express the value, and its bytes were written. */
export interface ValueText {
  readonly text: string;
  readonly form: "notation" | "plain" | "v8";
}

const LE64_BYTES = 8;

/**
 * How much longer than a value its text may be. The densest values, arrays of holes, come to 33 characters a byte. A text that grows
 * further comes from an object in many places, or from an array with few elements and a great length, and is no more readable than the
 * bytes.
 */
const CHARACTERS_OF_A_BYTE = 64;
const CHARACTERS_OF_ANY_VALUE = 4096;

/** Takes time and memory in proportion to the value's bytes, whatever the bytes are. */
export function textOfStored({ value, encoding }: StoredValue, { plain, literal }: NotationOptions): ValueText {
  switch (encoding) {
    case Encoding.v8: {
      const decoded = decodeV8(value);
      if (!decoded.ok) return { text: textOfBytes(value), form: "v8" };
      const text = textOfValue(decoded.value, textRoom(value.length), { plain, literal: literal === true });
      return text ?? { text: textOfBytes(value), form: "v8" };
    }
    case Encoding.le64: {
      if (value.length !== LE64_BYTES) return { text: textOfBytes(value, encoding), form: "v8" };
      const number = new DataView(value.buffer, value.byteOffset, LE64_BYTES).getBigUint64(0, true);
      return { text: `{"type":"KvU64","value":"${number}"}`, form: "notation" };
    }
    case Encoding.bytes: {
      const text = `{"type":"Uint8Array","value":"${toBase64Url(value)}","byteLength":${value.length},"raw":true}`;
      return { text, form: "notation" };
    }
  }
}

/** How many characters the text of a stored value of this many bytes may have. */
export function textRoom(bytes: number): number {
  return Math.min(MAX_NOTATION_CHARACTERS, CHARACTERS_OF_ANY_VALUE + CHARACTERS_OF_A_BYTE * bytes);
}

/**
 * The text of a decoded V8 value, in at most `room` characters. undefined: neither plain JSON nor the notation can express the value in so
 * many.
 */
export function textOfValue(value: unknown, room: number, { plain, literal }: NotationOptions): ValueText | undefined {
  const plainText = literal === true ? literalTextOf : plainTextOf;
  const asPlain = plain ? plainText(value, room) : undefined;
  if (asPlain !== undefined) return { text: asPlain, form: "plain" };
  const text = new ValueWriter(room).write(value);
  return text === undefined ? undefined : { text, form: "notation" };
}

/**
 * The form of bytes that the notation cannot express. `encoding` is written only for damaged values: no program can have stored a KvU64
 * of another length.
 */
export function textOfBytes(value: Uint8Array, encoding?: Encoding): string {
  return `{"type":"v8","value":"${toBase64Url(value)}"${encoding === undefined ? "" : `,"encoding":${encoding}`}}`;
}

/**
 * What to store for parsed JSON. `root` is the caller's name for it in errors: "value", "mutations[2].value". Fails with "invalid", or
 * with "limit" for a value that is too large or too deep.
 */
export function storedOfJson(
  json: unknown,
  root: string,
  { plain }: NotationOptions,
): { readonly ok: true; readonly stored: StoredValue } | Failure {
  try {
    const stored = plain && !isNotation(json) ? storedOfPlain(json, root) : storedOfNotation(json, root);
    if (stored.value.length <= MAX_VALUE_BYTES) return { ok: true, stored };
    return failure(
      "limit",
      `${root} has ${stored.value.length} bytes as it is stored; the limit is ${MAX_VALUE_BYTES}.`,
    );
  } catch (error) {
    if (error instanceof Refusal) return error.failure;
    throw error;
  }
}

function storedOfPlain(json: unknown, root: string): StoredValue {
  if (!hasFiniteNumbers(json)) throw new Refusal("invalid", `${root} ${BEYOND_NUMBERS}.`);
  return encoded(json, root);
}

function storedOfNotation(json: unknown, root: string): StoredValue {
  const place = new Place(root);
  if (isObject(json)) {
    switch (json["type"]) {
      case "KvU64":
        return { value: le64(json, place), encoding: Encoding.le64 };
      case "v8":
        return { value: storableV8(v8Bytes(json, place)), encoding: Encoding.v8 };
      case "Uint8Array":
        if (json["raw"] === true) return { value: readBytes(json, place), encoding: Encoding.bytes };
        break;
      default:
    }
  }
  return encoded(new ValueReader(place).read(json), root);
}

function encoded(value: unknown, root: string): StoredValue {
  const bytes = encodeV8(value);
  if (bytes.ok) return { value: bytes.bytes, encoding: Encoding.v8 };
  throw new Refusal(bytes.code, `${root}: ${bytes.message}.`);
}

function le64(json: JsonObject, place: Place): Uint8Array {
  const number = readBigint(json, place);
  if (BigInt.asUintN(64, number) !== number)
    throw place.refusal(`is ${described(json["value"])}; a KvU64 is from 0 to 18446744073709551615.`, "value");
  const bytes = new Uint8Array(LE64_BYTES);
  new DataView(bytes.buffer).setBigUint64(0, number, true);
  return bytes;
}

function v8Bytes(json: JsonObject, place: Place): Uint8Array {
  const { encoding } = json;
  if (encoding === undefined || encoding === Encoding.v8) return readBytes(json, place);
  throw place.refusal(
    `is ${described(encoding)}: such bytes were damaged where they were stored, and are no value.`,
    "encoding",
  );
}
