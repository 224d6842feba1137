/** Numbers, bigints, texts, booleans and bytes: what keys and values have in common, in the notation and in paths. */
import { MAX_NOTATION_BIGINT_DIGITS } from "../../core/limits.ts";
import { fromBase64Url } from "../base64url.ts";
import { described, type Place } from "./place.ts";
import type { JsonObject } from "./types.ts";

/** Numbers that JSON cannot express, and -0, which the runtime's own writer would turn into 0. */
const numbersByName: ReadonlyMap<unknown, number> = new Map([
  ["NaN", Number.NaN],
  ["Infinity", Number.POSITIVE_INFINITY],
  ["-Infinity", Number.NEGATIVE_INFINITY],
  ["-0", -0],
]);

const decimalNumber = /^-?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?$/;
const decimalInteger = /^-?\d+$/;

/** `1.5`, or one of the names above: a number where only text is possible. */
export function textOfNumber(value: number): string {
  return Object.is(value, -0) ? "-0" : String(value);
}

/** The JSON of a number. */
export function jsonTextOfNumber(value: number): string {
  return Number.isFinite(value) && !Object.is(value, -0) ? String(value) : `"${textOfNumber(value)}"`;
}

/** Reads what `textOfNumber` writes, and any other decimal number that a double can hold. */
export function numberOfText(text: string): number | undefined {
  const named = numbersByName.get(text);
  if (named !== undefined) return named;
  if (!decimalNumber.test(text)) return undefined;
  const value = Number(text);
  return Number.isFinite(value) ? value : undefined;
}

export function readNumber(json: JsonObject, place: Place): number {
  const { value } = json;
  if (typeof value === "number" && Number.isFinite(value)) return value;
  const named = numbersByName.get(value);
  if (named !== undefined) return named;
  throw place.refusal(
    `${typeof value === "number" ? "is beyond the range of a number" : `is ${described(value)}`}; a number is written 1.5, "NaN", "Infinity", "-Infinity" or "-0".`,
    "value",
  );
}

export function isDecimalInteger(text: string): boolean {
  return decimalInteger.test(text);
}

const tooLarge = 10n ** BigInt(MAX_NOTATION_BIGINT_DIGITS);

export function isWritable(value: bigint): boolean {
  return value < tooLarge && value > -tooLarge;
}

/** Decimal digits as a text, or a JSON number that is an exact integer. */
export function readBigint(json: JsonObject, place: Place): bigint {
  const { value } = json;
  if (typeof value === "number" && Number.isSafeInteger(value)) return BigInt(value);
  if (typeof value !== "string" || !isDecimalInteger(value)) {
    throw place.refusal(
      `is ${described(value)}; it must be the digits of an integer as a string, for example "-12".`,
      "value",
    );
  }
  if (value.length > MAX_NOTATION_BIGINT_DIGITS + (value.startsWith("-") ? 1 : 0)) {
    throw place.refusal(
      `has ${value.length} characters; the limit is ${MAX_NOTATION_BIGINT_DIGITS} digits. A larger bigint is written as the v8 form.`,
      "value",
      "limit",
    );
  }
  return BigInt(value);
}

export function readString(json: JsonObject, place: Place): string {
  const { value } = json;
  if (typeof value === "string") return value;
  throw place.refusal(`is ${described(value)}; it must be a string.`, "value");
}

export function readBoolean(json: JsonObject, place: Place): boolean {
  const { value } = json;
  if (typeof value === "boolean") return value;
  throw place.refusal(`is ${described(value)}; it must be true or false.`, "value");
}

/** Base64url. Where `byteLength` is given, the bytes must be as many; some writers leave it out. */
export function readBytes(json: JsonObject, place: Place): Uint8Array<ArrayBuffer> {
  const { value, byteLength } = json;
  const bytes = typeof value === "string" ? fromBase64Url(value) : undefined;
  if (bytes === undefined) {
    throw place.refusal(
      `is ${described(value)}; it must be bytes in base64url, for example "AP8B" for 0, 255, 1.`,
      "value",
    );
  }
  if (byteLength !== undefined && byteLength !== bytes.length) {
    throw place.refusal(
      `is ${described(byteLength)} and value has ${bytes.length} bytes; they must agree.`,
      "byteLength",
    );
  }
  return bytes;
}

// oxlint-disable-next-line no-control-regex -- a JSON string must not hold any
const needsEscape = /["\\\u0000-\u001f\ud800-\udfff]/;
const SHORT = 40;

/** A JSON string. The runtime's writer is called only where it is faster, or where something has to be escaped. */
export function quoted(text: string): string {
  return text.length < SHORT && !needsEscape.test(text) ? `"${text}"` : JSON.stringify(text);
}
