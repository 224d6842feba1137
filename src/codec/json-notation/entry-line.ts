/**
 * Entries as JSON text, one line each in an NDJSON file: `{"key":[…],"value":…,"versionstamp":"…"}`, and `"expiresAt"` where an entry has
 * one. Lines in files of the Deno KV ecosystem are read here, and the ecosystem's programs read these lines.
 */
import { asUnixMs, type UnixMs } from "../../core/clock.ts";
import { equalBytes } from "../../core/bytes.ts";
import { failure, type Failure } from "../../core/errors.ts";
import { MAX_ENTRY_LINE_CHARACTERS, MAX_TIME_MS } from "../../core/limits.ts";
import { Encoding, type StoredEntry } from "../../core/operations.ts";
import { versionstampHex } from "../../core/versionstamp.ts";
import { fromBase64Url, toBase64Url } from "../base64url.ts";
import { storableV8 } from "../v8/storable.ts";
import { parseJson } from "./bounded-json.ts";
import { keyOfNotation, textOfKeyNotation } from "./key-notation.ts";
import { described } from "./place.ts";
import {
  type NotationOptions,
  storedOfJson,
  type StoredValue,
  textOfBytes,
  textOfStored,
  type ValueText,
} from "./stored-value.ts";
import { msOfTime } from "./time-text.ts";
import { isObject } from "./types.ts";

/** The last millisecond that RFC 3339 can express: its years have four digits. */
const LAST_RFC3339_MS = Date.UTC(9999, 11, 31, 23, 59, 59, 999);

const BYTE_ORDER_MARK = "\ufeff";

/** What a line says to write. The line's versionstamp is left out, because an entry that is written gets a new one. */
export interface EntryToWrite extends StoredValue {
  readonly key: Uint8Array;
  readonly expiresAt: UnixMs | null;
}

/** The line without its end. `form` is the form of the value, which an export counts. */
export function textOfEntry(entry: StoredEntry, options: NotationOptions): ValueText {
  return withValue(entry, textOfStored(entry, options), "");
}

/**
 * The line of an export, from which an import makes the same stored bytes. Equal values may be stored in more than one way: the number 1
 * as an integer or as a double. So where reading the value gives other bytes, `"stored"` has the stored ones; other readers ignore it.
 * `more`: further members, each after a comma.
 */
export function exactLineOf(entry: StoredEntry, options: NotationOptions, more: string): ValueText {
  const value = textOfStored(entry, options);
  if (entry.encoding !== Encoding.v8 || value.form === "v8") return withValue(entry, value, more);
  const read = storedOfJson(JSON.parse(value.text), "value", options);
  if (!read.ok) return withValue(entry, { text: textOfBytes(entry.value), form: "v8" }, more);
  const isSame = read.stored.encoding === Encoding.v8 && equalBytes(read.stored.value, entry.value);
  return withValue(entry, value, isSame ? more : `,"stored":"${toBase64Url(entry.value)}"${more}`);
}

function withValue({ key, version, expiresAt }: StoredEntry, { text, form }: ValueText, more: string): ValueText {
  const expiry = expiresAt === null ? "" : `,"expiresAt":${textOfExpiry(expiresAt)}`;
  const stamp = versionstampHex(version);
  return { text: `{"key":${textOfKeyNotation(key)},"value":${text},"versionstamp":"${stamp}"${expiry}${more}}`, form };
}

/** The JSON of an expiry. */
export function textOfExpiry(ms: UnixMs): string {
  return ms >= 0 && ms <= LAST_RFC3339_MS ? `"${new Date(ms).toISOString()}"` : String(ms);
}

/**
 * The entry of one line, with or without the line's end; null for an empty line. A byte order mark before the line is accepted. Members
 * that the notation does not know are ignored. A failure says which member is wrong and what is wanted; the caller adds the line's
 * number.
 */
export function entryOfLine(
  line: string,
  options: NotationOptions,
): { readonly ok: true; readonly entry: EntryToWrite | null } | Failure {
  if (line.length > MAX_ENTRY_LINE_CHARACTERS) {
    return failure("limit", `The line has ${line.length} characters; the limit is ${MAX_ENTRY_LINE_CHARACTERS}.`);
  }
  const text = line.startsWith(BYTE_ORDER_MARK) ? line.slice(BYTE_ORDER_MARK.length) : line;
  if (text.trim() === "") return { ok: true, entry: null };
  const parsed = parseJson(text, "The line");
  return parsed.ok ? entryOfJson(parsed.json, options) : parsed;
}

function entryOfJson(
  json: unknown,
  options: NotationOptions,
): { readonly ok: true; readonly entry: EntryToWrite } | Failure {
  if (!isObject(json)) {
    return failure(
      "invalid",
      `The line is ${described(json)}; it must be an object like {"key":["users",1],"value":{"type":"string","value":"a"}}.`,
    );
  }
  const key = keyOfNotation(json["key"], "key");
  if (!key.ok) return key;
  if (!Object.hasOwn(json, "value"))
    return failure("invalid", 'value is missing; it is written like {"type":"string","value":"a"}.');
  const value = storedOfJson(json["value"], "value", options);
  if (!value.ok) return value;
  const exact = exactValue(json["stored"], value.stored, options);
  if (!exact.ok) return exact;
  const expiresAt = expiryOfJson(json["expiresAt"], "expiresAt");
  if (typeof expiresAt === "object" && expiresAt !== null) return expiresAt;
  return { ok: true, entry: { key: key.bytes, ...exact.stored, expiresAt } };
}

/** The bytes in `stored`, if they mean the same as the value. When the value was changed after the export, the value counts. */
function exactValue(json: unknown, read: StoredValue, options: NotationOptions): ReturnType<typeof storedOfJson> {
  if (json === undefined || json === null) return { ok: true, stored: read };
  const bytes = typeof json === "string" ? fromBase64Url(json) : undefined;
  if (bytes === undefined) {
    return failure("invalid", `stored is ${described(json)}; it must be the bytes of a V8 value in base64url.`);
  }
  const stored = { value: storableV8(bytes), encoding: Encoding.v8 };
  const { text, form } = textOfStored(stored, options);
  const again = form === "v8" ? undefined : storedOfJson(JSON.parse(text), "stored", options);
  const isSame = again?.ok === true && equalBytes(again.stored.value, read.value) && read.encoding === Encoding.v8;
  return { ok: true, stored: isSame ? stored : read };
}

/** A time in text or in milliseconds; null: there is none. `name`: the caller's name for it. */
export function expiryOfJson(json: unknown, name: string): UnixMs | null | Failure {
  if (json === undefined || json === null) return null;
  const ms = typeof json === "string" ? msOfTime(json) : json;
  if (typeof ms !== "number" || !Number.isSafeInteger(ms) || ms < 0 || ms > MAX_TIME_MS) {
    return failure(
      "invalid",
      `${name} is ${described(json)}; it must be a time from 1970 on, like "2026-11-26T12:00:00Z" or 1795694400000 (milliseconds).`,
    );
  }
  return asUnixMs(ms);
}
