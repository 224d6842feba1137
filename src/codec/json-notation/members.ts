/**
 * Reads the members of JSON requests: each member either has the wanted form, or is refused with a sentence that names it. Inside, a
 * refusal is thrown, so that code which reads a whole request need not check each step. `reading` turns it into a failure.
 */
import { failure, type Failure } from "../../core/errors.ts";
import { keyOfNotation } from "./key-notation.ts";
import { described, quotedExcerpt } from "./place.ts";
import { storedOfJson, type StoredValue } from "./stored-value.ts";
import { isObject, type JsonObject } from "./types.ts";

/** `reading` catches it. */
export class Refused extends Error {
  readonly why: Failure;

  constructor(why: Failure) {
    super(why.message);
    this.why = why;
  }
}

export function refuse(message: string): never {
  throw new Refused(failure("invalid", message));
}

/** A limit was passed. */
export function tooMuch(message: string): never {
  throw new Refused(failure("limit", message));
}

/** The result of `read`, or its refusal as a failure. */
export function reading<T>(read: () => T): T | Failure {
  try {
    return read();
  } catch (error) {
    if (error instanceof Refused) return error.why;
    throw error;
  }
}

export function arrayOf(json: unknown, name: string): readonly unknown[] {
  if (Array.isArray(json)) return json;
  return refuse(`${name} is ${described(json)}; it must be an array.`);
}

/** An array of at most so many members. Looked at before its members are, so that a larger one costs nothing. */
export function atMost(most: number, json: unknown, name: string): readonly unknown[] {
  const array = arrayOf(json, name);
  if (array.length <= most) return array;
  return tooMuch(`${name} has ${array.length} members; the limit is ${most}.`);
}

export function objectOf(json: unknown, name: string, example: string): JsonObject {
  if (isObject(json)) return json;
  return refuse(`${name} is ${described(json)}; it must be an object like ${example}.`);
}

/** Refuses a member with another name: what a misspelt member says must not be dropped in silence. `name`: of the object, for the sentence. */
export function onlyMembers(json: JsonObject, known: readonly string[], name: string): void {
  const unknown = Object.keys(json).find((member) => !known.includes(member));
  if (unknown !== undefined) {
    refuse(`${name} has ${quotedExcerpt(unknown)}, which is not known here: it takes ${known.join(", ")}.`);
  }
}

export function keyOf(json: unknown, name: string): Uint8Array {
  const key = keyOfNotation(json, name);
  if (!key.ok) throw new Refused(key);
  return key.bytes;
}

export function valueOf(json: JsonObject, name: string, member: string, plain: boolean): StoredValue {
  if (!Object.hasOwn(json, member)) refuse(`${name}.${member} is missing.`);
  const value = storedOfJson(json[member], `${name}.${member}`, { plain });
  if (!value.ok) throw new Refused(value);
  return value.stored;
}

export function flagOf(json: JsonObject, name: string, member: string): boolean {
  const flag = json[member] ?? false;
  if (typeof flag === "boolean") return flag;
  return refuse(`${name}.${member} is ${described(flag)}; it must be true or false.`);
}
