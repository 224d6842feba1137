/** The names that the notation has for types, and what is of its form. The names are those of the Deno KV ecosystem's files. */
import { errorClasses, type ViewClass, viewClasses } from "../v8/format.ts";

export interface JsonObject {
  readonly [member: string]: unknown;
}

export function isObject(json: unknown): json is JsonObject {
  return typeof json === "object" && json !== null && !Array.isArray(json);
}

/** By the name of their class. */
export const viewsByName: ReadonlyMap<string, ViewClass> = new Map(
  viewClasses.map((each) => [each.constructor.name, each]),
);

export const errorsByName: ReadonlyMap<string, ErrorConstructor> = new Map([
  ["Error", Error],
  ...errorClasses.map((each) => [each.name, each.constructor] as const),
]);

/** These two and a `Uint8Array` that is `raw` stand for a stored value as a whole, never for a part of one. */
export const wholeValueTypes = ["KvU64", "v8"] as const;

const typeNames: ReadonlySet<string> = new Set([
  "string",
  "number",
  "boolean",
  "bigint",
  "null",
  "undefined",
  "Array",
  "object",
  "Map",
  "Set",
  "Date",
  "RegExp",
  "ArrayBuffer",
  ...viewsByName.keys(),
  ...errorsByName.keys(),
  ...wholeValueTypes,
]);

const typesWithoutValue: ReadonlySet<string> = new Set(["undefined", "null"]);

/** Every member that the notation gives a meaning. `encoding` belongs to `v8`, `raw` to `Uint8Array`, `hole` to `undefined`. */
const members: ReadonlySet<string> = new Set(["type", "value", "byteLength", "hole", "raw", "encoding"]);

export function isTypeName(type: unknown): boolean {
  return typeof type === "string" && typeNames.has(type);
}

/**
 * Whether JSON has the form `{"type": known, "value": …}` and no member that the notation does not know. It tells, where plain
 * JSON is taken and given, one from the other: plain JSON of this form is never given, and is not taken as plain JSON.
 */
export function isNotation(json: unknown): boolean {
  if (!isObject(json)) return false;
  const { type } = json;
  if (typeof type !== "string" || !typeNames.has(type)) return false;
  if (!Object.hasOwn(json, "value") && !typesWithoutValue.has(type)) return false;
  for (const member in json) if (!members.has(member)) return false;
  return true;
}
