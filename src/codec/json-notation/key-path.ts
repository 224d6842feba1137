/**
 * Keys as the path of a URL: `users/alice`, one percent-encoded segment for each part. A segment is a string unless it begins with `~`,
 * which begins a typed part. Empty strings, `.` and `..` are written in a typed form as well, because URLs lose such segments on their
 * way. The path that is written for a key is read as exactly that key.
 */
import { failure } from "../../core/errors.ts";
import { MAX_KEY_PATH_CHARACTERS } from "../../core/limits.ts";
import { Refusal } from "../v8/refusal.ts";
import { fromBase64Url, toBase64Url } from "../base64url.ts";
import {
  encodedPart,
  type EncodedKeyOrFailure,
  joinedParts,
  NEGATIVE_NAN,
  type Part,
  partsOfKey,
} from "./key-parts.ts";
import { quotedExcerpt } from "./place.ts";
import { isDecimalInteger, numberOfText, textOfNumber } from "./scalars.ts";

const FORMS =
  "a typed part is ~n1.5 (number), ~i-12 (bigint), ~btrue or ~bfalse, ~uAP8B (bytes in base64url), ~s (a string, also an empty one) or ~~ (a string that begins with ~)";

const isDots = /^\.\.?$/;

/** The path of an encoded key, without a leading slash. */
export function pathOfKey(encoded: Uint8Array): string {
  return partsOfKey(encoded)
    .map((part) => encodeURIComponent(segmentOf(part)))
    .join("/");
}

function segmentOf(part: Part): string {
  switch (typeof part) {
    case "string":
      if (part.startsWith("~")) return `~${part}`;
      return part === "" || isDots.test(part) ? `~s${part}` : part;
    case "number":
      return `~n${textOfNumber(part)}`;
    case "symbol":
      return `~n${NEGATIVE_NAN.description}`;
    case "bigint":
      return `~i${part}`;
    case "boolean":
      return `~b${part}`;
    default:
      return `~u${toBase64Url(part)}`;
  }
}

/** The encoded key of the rest of a URL's path, which is still percent-encoded and has no leading slash. */
export function keyOfPath(path: string): EncodedKeyOrFailure {
  if (path.length > MAX_KEY_PATH_CHARACTERS) {
    return failure(
      "limit",
      `The path of the key has ${path.length} characters; the limit is ${MAX_KEY_PATH_CHARACTERS}.`,
    );
  }
  const segments = path === "" ? [] : path.split("/");
  try {
    const parts = segments.map((segment, index) => {
      const refuse = (text: string): Refusal =>
        new Refusal("invalid", `Segment ${index + 1} of the path of the key, ${quotedExcerpt(segment)}, ${text}`);
      return encodedPart(partOfSegment(segment, refuse), refuse);
    });
    return joinedParts(parts, "The path of the key");
  } catch (error) {
    if (error instanceof Refusal) return error.failure;
    throw error;
  }
}

function partOfSegment(segment: string, refuse: (text: string) => Refusal): Part {
  const text = decoded(segment);
  if (text === undefined) throw refuse("is not percent-encoded UTF-8; % is written %25 and / is written %2F.");
  if (text === "") throw refuse("is empty; an empty string is written ~s.");
  if (!text.startsWith("~")) return text;
  const rest = text.slice(2);
  switch (text[1]) {
    case "~":
      return text.slice(1);
    case "s":
      return rest;
    case "n": {
      if (rest === NEGATIVE_NAN.description) return NEGATIVE_NAN;
      const value = numberOfText(rest);
      if (value !== undefined) return value;
      throw refuse("is no number; one is written ~n1.5, ~n-0, ~nNaN, ~nInfinity or ~n-Infinity.");
    }
    case "i":
      if (!isDecimalInteger(rest)) throw refuse("is no bigint; one is written ~i-12.");
      return BigInt(rest);
    case "b":
      if (rest === "true" || rest === "false") return rest === "true";
      throw refuse("is no boolean; one is written ~btrue or ~bfalse.");
    case "u": {
      const value = fromBase64Url(rest);
      if (value !== undefined) return value;
      throw refuse("is not base64url; the bytes 0, 255, 1 are written ~uAP8B.");
    }
    default:
      throw refuse(`begins with ~ and no letter of a type; ${FORMS}.`);
  }
}

function decoded(segment: string): string | undefined {
  try {
    return decodeURIComponent(segment);
  } catch {
    return undefined;
  }
}
