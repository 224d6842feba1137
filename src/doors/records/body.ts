/** Reads the bodies of requests about records: JSON objects in which every member is known. */
import { objectOf, reading, Refused, refuse } from "../../codec/json-notation/members.ts";
import { described, quotedExcerpt } from "../../codec/json-notation/place.ts";
import type { JsonObject } from "../../codec/json-notation/types.ts";
import { storedRecord, valueTooLarge } from "../../codec/record.ts";
import { asUnixMs, type UnixMs } from "../../core/clock.ts";
import { type Failure, isFailure } from "../../core/errors.ts";
import { MAX_ENTRY_LINE_CHARACTERS, MAX_TIME_MS } from "../../core/limits.ts";
import type { SetMutation } from "../../core/operations.ts";
import type { RestCall } from "../http/call.ts";
import { jsonOfBody, readBody, readJsonBody } from "../http/request-body.ts";

/** A day. The store that programs with records come from has the same default. */
const DEFAULT_MINUTES = 24 * 60;

const MS_PER_MINUTE = 60_000;

/** Returns what `read` makes of the body, or why the body cannot be read. */
export async function bodyOf<T>(
  call: RestCall,
  limit: number,
  members: readonly string[],
  example: string,
  read: (body: JsonObject) => T,
): Promise<T | Failure> {
  const body = await readJsonBody(call.request, limit, call);
  return isFailure(body) ? body : readMembers(body.value, members, example, read);
}

/** Like `bodyOf`, for a body with a record's value. If the body is too large, the message has the words that programs look for. */
export async function bodyWithValue<T>(
  call: RestCall,
  members: readonly string[],
  example: string,
  read: (body: JsonObject) => T,
): Promise<T | Failure> {
  const bytes = await readBody(call.request, MAX_ENTRY_LINE_CHARACTERS, call);
  if (isFailure(bytes)) {
    return bytes.code === "limit" ? valueTooLarge(`the body alone has more than ${MAX_ENTRY_LINE_CHARACTERS}`) : bytes;
  }
  const body = jsonOfBody(call.request, bytes);
  return isFailure(body) ? body : readMembers(body.value, members, example, read);
}

function readMembers<T>(
  json: unknown,
  members: readonly string[],
  example: string,
  read: (body: JsonObject) => T,
): T | Failure {
  return reading(() => {
    const body = objectOf(json, "The body", example);
    const unknown = Object.keys(body).find((name) => !members.includes(name));
    if (unknown !== undefined) {
      refuse(`The body has ${quotedExcerpt(unknown)}, which is not known here: it takes ${members.join(", ")}.`);
    }
    return read(body);
  });
}

/** Throws `Refused`. */
export function setOf(key: Uint8Array, body: JsonObject, now: UnixMs): SetMutation {
  if (!Object.hasOwn(body, "value")) refuse('value is missing; it must be an object, like {"index":1}.');
  const stored = storedRecord(body["value"]);
  if (isFailure(stored)) throw new Refused(stored);
  return { type: "set", key, ...stored, expiresAt: expiryOf(body["minutesToExpire"], now), versionstampedKey: false };
}

function expiryOf(minutes: unknown, now: UnixMs): UnixMs | null {
  if (minutes === null) return null;
  const wanted = minutes === undefined ? DEFAULT_MINUTES : minutes;
  if (typeof wanted !== "number" || !(wanted > 0)) {
    return refuse(
      `minutesToExpire is ${described(minutes)}; it must be a number above 0, like 5 or 0.5, or null for a record that never expires.`,
    );
  }
  const expiresAt = now + Math.max(1, Math.round(wanted * MS_PER_MINUTE));
  if (expiresAt <= MAX_TIME_MS) return asUnixMs(expiresAt);
  return refuse(
    `minutesToExpire is ${wanted}; the limit is ${Math.floor((MAX_TIME_MS - now) / MS_PER_MINUTE)}. For a record that never expires it is null.`,
  );
}
