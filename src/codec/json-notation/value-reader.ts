/**
 * Reads values from parsed JSON in the notation. What cannot be read with certainty is refused, with its place. Members that the notation
 * does not know are ignored, as the ecosystem's readers ignore our members.
 */
import { hide, newError } from "../v8/errors.ts";
import { MAX_VALUE_DEPTH, MAX_VALUE_ERRORS } from "../../core/limits.ts";
import { described, type Place } from "./place.ts";
import { readBigint, readBoolean, readBytes, readNumber, readString } from "./scalars.ts";
import { msOfTime } from "./time-text.ts";
import { errorsByName, isObject, isTypeName, type JsonObject, viewsByName } from "./types.ts";

/** Reads one value. Throws only `Refusal`. */
export class ValueReader {
  readonly #place: Place;
  #depth = 0;
  #errors = 0;

  constructor(place: Place) {
    this.#place = place;
  }

  read(json: unknown): unknown {
    if (!isObject(json)) {
      throw this.#place.refusal(
        `is ${described(json)}; a value is an object like {"type":"string","value":"a"} or {"type":"null"}.`,
      );
    }
    const { type } = json;
    switch (type) {
      case "string":
        return readString(json, this.#place);
      case "number":
        return readNumber(json, this.#place);
      case "boolean":
        return readBoolean(json, this.#place);
      case "bigint":
        return readBigint(json, this.#place);
      case "null":
        return null;
      case "undefined":
        return undefined;
      case "object":
        return this.#inside(() => this.#object(json));
      case "Array":
        return this.#inside(() => this.#array(this.#list(json)));
      case "Set":
        return this.#inside(() => this.#set(this.#list(json)));
      case "Map":
        return this.#inside(() => this.#map(this.#list(json)));
      case "Date":
        return this.#date(json);
      case "RegExp":
        return this.#regExp(json);
      case "ArrayBuffer":
        return readBytes(json, this.#place).buffer;
      default:
        return this.#otherClass(type, json);
    }
  }

  #otherClass(type: unknown, json: JsonObject): unknown {
    if (typeof type === "string") {
      const view = viewsByName.get(type);
      if (view !== undefined) {
        const { buffer, byteLength } = readBytes(json, this.#place);
        if (byteLength % view.elementSize === 0) return new view.constructor(buffer, 0, byteLength / view.elementSize);
        throw this.#place.refusal(
          `has ${byteLength} bytes; the elements of a ${type} have ${view.elementSize} bytes each.`,
          "value",
        );
      }
      const errorClass = errorsByName.get(type);
      if (errorClass !== undefined) return this.#inside(() => this.#error(errorClass, json));
      if (isTypeName(type))
        throw this.#place.refusal(
          `is ${described(type)}, which stands for a whole value and not for a part of one.`,
          "type",
        );
    }
    throw this.#place.refusal(
      `is ${described(type)}; a type is "string", "number", "boolean", "bigint", "null", "undefined", "object" or the name of a class like "Array", "Map", "Date", "Uint8Array", "TypeError".`,
      "type",
    );
  }

  /** Reads what is inside the member `value` of a container. */
  #inside<T>(contents: () => T): T {
    if (++this.#depth > MAX_VALUE_DEPTH)
      throw this.#place.refusal(
        `is nested deeper than ${MAX_VALUE_DEPTH} levels, which is the limit.`,
        undefined,
        "limit",
      );
    this.#place.enter("value");
    const read = contents();
    this.#place.leave();
    this.#depth--;
    return read;
  }

  #member(json: unknown, step: string | number): unknown {
    this.#place.enter(step);
    const value = this.read(json);
    this.#place.leave();
    return value;
  }

  #list(json: JsonObject): readonly unknown[] {
    const { value } = json;
    if (Array.isArray(value)) return value;
    throw this.#place.refusal(`is ${described(value)}; it must be an array.`);
  }

  #object(json: JsonObject): object {
    const { value } = json;
    if (!isObject(value))
      throw this.#place.refusal(`is ${described(value)}; it must be an object with a value for each name.`);
    const object: Record<string, unknown> = {};
    for (const name of Object.keys(value)) {
      const member = this.#member(value[name], name);
      if (name !== "__proto__") object[name] = member;
      else Object.defineProperty(object, name, { value: member, writable: true, enumerable: true, configurable: true });
    }
    return object;
  }

  /** The ecosystem's writers write null for a hole. */
  #array(list: readonly unknown[]): unknown[] {
    const array: unknown[] = [];
    for (let i = 0; i < list.length; i++) {
      const json = list[i];
      if (json === null || isHole(json)) array.length++;
      else array.push(this.#member(json, i));
    }
    return array;
  }

  #set(list: readonly unknown[]): Set<unknown> {
    const set = new Set<unknown>();
    for (let i = 0; i < list.length; i++) set.add(this.#member(list[i], i));
    return set;
  }

  #map(list: readonly unknown[]): Map<unknown, unknown> {
    const map = new Map<unknown, unknown>();
    for (let i = 0; i < list.length; i++) {
      const pair = list[i];
      this.#place.enter(i);
      if (!Array.isArray(pair) || pair.length !== 2)
        throw this.#place.refusal(
          `is ${described(pair)}${Array.isArray(pair) ? ` of ${pair.length}` : ""}; it must be an array of a key and a value.`,
        );
      const key = this.#member(pair[0], 0);
      map.set(key, this.#member(pair[1], 1));
      this.#place.leave();
    }
    return map;
  }

  /** The ecosystem's writers write null for an invalid date. */
  #date(json: JsonObject): Date {
    const { value } = json;
    const ms = value === null ? Number.NaN : typeof value === "string" ? msOfTime(value) : undefined;
    if (ms !== undefined) return new Date(ms);
    throw this.#place.refusal(
      `is ${described(value)}; it must be a time in ISO 8601, for example "2026-11-26T12:00:00.000Z".`,
      "value",
    );
  }

  #regExp(json: JsonObject): RegExp {
    const text = readString(json, this.#place);
    const end = text.lastIndexOf("/");
    if (!text.startsWith("/") || end < 2)
      throw this.#place.refusal(
        `is ${described(text)}; it must be a regular expression between slashes, for example "/a+b/i".`,
        "value",
      );
    try {
      return new RegExp(text.slice(1, end), text.slice(end + 1));
    } catch {
      throw this.#place.refusal(`is ${described(text)}, whose pattern or flags this runtime does not take.`, "value");
    }
  }

  #error(constructor: ErrorConstructor, json: JsonObject): Error {
    const { value } = json;
    if (!isObject(value))
      throw this.#place.refusal(`is ${described(value)}; it must be an object like {"message":"…","stack":"…"}.`);
    if (++this.#errors > MAX_VALUE_ERRORS)
      throw this.#place.refusal(
        `is one of more than ${MAX_VALUE_ERRORS} errors, which is the limit.`,
        undefined,
        "limit",
      );
    const error = newError(constructor);
    // The new error may have a stack of its own.
    hide(error, "stack", undefined);
    for (const name of ["message", "stack"] as const) {
      const text = value[name];
      if (text === undefined) continue;
      if (typeof text !== "string") throw this.#place.refusal(`is ${described(text)}; it must be a string.`, name);
      hide(error, name, text);
    }
    if (value["cause"] !== undefined) hide(error, "cause", this.#member(value["cause"], "cause"));
    return error;
  }
}

function isHole(json: unknown): boolean {
  return isObject(json) && json["type"] === "undefined" && json["hole"] === true;
}
