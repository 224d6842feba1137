/**
 * Keys in the notation. The written form is exact: `[{"type":"string","value":"users"},{"type":"number","value":1}]`. When a key is read,
 * a part may also be a plain JSON string, number or boolean: `["users",1]`.
 */
import { MAX_KEY_BYTES, MAX_RANGE_BOUND_BYTES } from "../../core/limits.ts";
import { Refusal } from "../v8/refusal.ts";
import { toBase64Url } from "../base64url.ts";
import { parseJson } from "./bounded-json.ts";
import {
  encodedPart,
  type EncodedKeyOrFailure,
  joinedParts,
  NEGATIVE_NAN,
  type Part,
  partsOfKey,
} from "./key-parts.ts";
import { described, Place } from "./place.ts";
import { jsonTextOfNumber, quoted, readBigint, readBoolean, readBytes, readNumber, readString } from "./scalars.ts";
import { type Failure, failure } from "../../core/errors.ts";
import { isObject, type JsonObject } from "./types.ts";

const EXAMPLE = 'for example ["users", 1]';

/** The JSON text of an encoded key. */
export function textOfKeyNotation(encoded: Uint8Array): string {
  const texts = partsOfKey(encoded).map((part) => {
    switch (typeof part) {
      case "string":
        return `{"type":"string","value":${quoted(part)}}`;
      case "number":
        return `{"type":"number","value":${jsonTextOfNumber(part)}}`;
      case "symbol":
        return `{"type":"number","value":"${NEGATIVE_NAN.description}"}`;
      case "boolean":
        return `{"type":"boolean","value":${part}}`;
      case "bigint":
        return `{"type":"bigint","value":"${part}"}`;
      default:
        return `{"type":"Uint8Array","value":"${toBase64Url(part)}","byteLength":${part.length}}`;
    }
  });
  return `[${texts.join(",")}]`;
}

/** The encoded key of parsed JSON. `root` is the caller's name for the JSON: "key", "mutations[2].key". */
export function keyOfNotation(json: unknown, root: string): EncodedKeyOrFailure {
  return encodedOf(json, root, MAX_KEY_BYTES);
}

/** A bound of a range: a key that may be a byte longer than one that is stored. */
export function boundOfNotation(json: unknown, root: string): EncodedKeyOrFailure {
  return encodedOf(json, root, MAX_RANGE_BOUND_BYTES);
}

function encodedOf(json: unknown, root: string, most: number): EncodedKeyOrFailure {
  const place = new Place(root);
  try {
    if (!Array.isArray(json)) throw place.refusal(`is ${described(json)}; a key is an array of its parts, ${EXAMPLE}.`);
    // Each part takes at least one byte.
    if (json.length > most)
      throw place.refusal(`has ${json.length} parts; the limit is ${most} bytes.`, undefined, "limit");
    const parts = json.map((part: unknown, index) => {
      place.enter(index);
      const encoded = encodedPart(partOfJson(part, place), (text) => place.refusal(text));
      place.leave();
      return encoded;
    });
    return joinedParts(parts, root, most);
  } catch (error) {
    if (error instanceof Refusal) return error.failure;
    throw error;
  }
}

/** The encoded key of JSON text, as it stands in a query parameter. */
export function keyOfNotationText(text: string, root: string): EncodedKeyOrFailure {
  const parsed = parseJson(text, root);
  return parsed.ok ? keyOfNotation(parsed.json, root) : noKey(parsed);
}

/** Names the form as well: a text that is not JSON is often a key as somebody would say it. */
export function noKey(notJson: Failure): Failure {
  return failure(notJson.code, `${notJson.message} A key is an array in JSON, like ["users",1].`);
}

function partOfJson(json: unknown, place: Place): Part {
  switch (typeof json) {
    case "string":
    case "boolean":
      return json;
    case "number":
      if (!Number.isFinite(json))
        throw place.refusal('is beyond the range of a number; infinity is {"type":"number","value":"Infinity"}.');
      return json;
    default:
      if (isObject(json)) return typedPart(json, place);
      throw place.refusal(
        `is ${described(json)}; a part is a string, a number, a boolean, or an object like {"type":"bigint","value":"12"}.`,
      );
  }
}

function typedPart(json: JsonObject, place: Place): Part {
  switch (json["type"]) {
    case "string":
      return readString(json, place);
    case "boolean":
      return readBoolean(json, place);
    case "bigint":
      return readBigint(json, place);
    case "Uint8Array":
      return readBytes(json, place);
    case "number":
      return json["value"] === NEGATIVE_NAN.description ? NEGATIVE_NAN : readNumber(json, place);
    default:
      throw place.refusal(
        `is ${described(json["type"])}; the type of a part is "string", "number", "boolean", "bigint" or "Uint8Array".`,
        "type",
      );
  }
}
