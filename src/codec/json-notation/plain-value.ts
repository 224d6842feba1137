/** Values as plain JSON, where JSON can express them. */
import { MAX_VALUE_DEPTH } from "../../core/limits.ts";
import { isNotation } from "./types.ts";

/**
 * The JSON text of a value. Undefined when something would be lost: undefined, holes, -0, NaN, bigints, and every class except Object and
 * Array. Also undefined when the JSON would have the form of the notation, because it would be read as notation. An object that stands in
 * two places is written in both, because JSON has no identity that could be lost. Cycles, and repeats beyond `maxLength`, are not
 * written.
 */
export function plainTextOf(value: unknown, maxLength: number): string | undefined {
  return isNotation(value) ? undefined : checkedText(value, new PlainCheck(maxLength, false), maxLength);
}

/** Like `plainTextOf`, where nothing is read as notation: JSON of any form stands for itself, and -0 is written as 0. */
export function literalTextOf(value: unknown, maxLength: number): string | undefined {
  return checkedText(value, new PlainCheck(maxLength, true), maxLength);
}

/** Whether parsed JSON has no number beyond the range of a number: the runtime's parser reads 1e999 as Infinity. */
export function hasFiniteNumbers(json: unknown): boolean {
  if (typeof json === "number") return Number.isFinite(json);
  if (typeof json !== "object" || json === null) return true;
  return Array.isArray(json) ? json.every(hasFiniteNumbers) : Object.values(json).every(hasFiniteNumbers);
}

/** Continues a sentence after the name of such JSON. */
export const BEYOND_NUMBERS = "has a number that is beyond the range of a number";

function checkedText(value: unknown, check: PlainCheck, maxLength: number): string | undefined {
  if (!check.admits(value, 0)) return undefined;
  const text = JSON.stringify(value);
  return text.length <= maxLength ? text : undefined;
}

class PlainCheck {
  /** Characters that are left, without escapes. They bound what repeated objects can add up to. */
  #left: number;
  readonly #admitsMinusZero: boolean;

  constructor(maxLength: number, admitsMinusZero: boolean) {
    this.#left = maxLength;
    this.#admitsMinusZero = admitsMinusZero;
  }

  /** `depth`: how many containers are around the value. */
  admits(value: unknown, depth: number): boolean {
    this.#left -= 2;
    if (this.#left < 0) return false;
    switch (typeof value) {
      case "string":
        this.#left -= value.length;
        return true;
      case "number":
        return Number.isFinite(value) && (this.#admitsMinusZero || !Object.is(value, -0));
      case "boolean":
        return true;
      case "object":
        return value === null || (depth < MAX_VALUE_DEPTH && this.#admitsMembers(value, depth + 1));
      default:
        return false;
    }
  }

  #admitsMembers(object: object, depth: number): boolean {
    const names = Object.keys(object);
    if (Array.isArray(object)) {
      // Each property that is no element adds a name. A hole takes one away, but is undefined and is refused below.
      if (names.length !== object.length) return false;
      for (let i = 0; i < object.length; i++) if (!this.admits(object[i], depth)) return false;
      return true;
    }
    if (Object.getPrototypeOf(object) !== Object.prototype) return false;
    for (const name of names) {
      this.#left -= name.length;
      if (!this.admits(Reflect.get(object, name), depth)) return false;
    }
    return true;
  }
}
