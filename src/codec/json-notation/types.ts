/** The notation's names for types, and the test for its form. The names are those in files of the Deno KV ecosystem. */
import { errorClasses, type ViewClass, viewClasses } from "../v8/format.ts";

export interface JsonObject {
  readonly [member: string]: unknown;
}

export function isObject(json: unknown): json is JsonObject {
  return typeof json === "object" && json !== null && !Array.isArray(json);
}

/** Views by the name of their class. */
export const viewsByName: ReadonlyMap<string, ViewClass> = new Map(
  viewClasses.map((each) => [each.constructor.name, each]),
);

export const errorsByName: ReadonlyMap<string, ErrorConstructor> = new Map([
  ["Error", Error],
  ...errorClasses.map((each) => [each.name, each.constructor] as const),
]);

/** These two names, and a `Uint8Array` that is `raw`, stand for a whole stored value, never for a part of one. */
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

/** Every member that means something in the notation. `encoding` belongs to `v8`, `raw` to `Uint8Array`, `hole` to `undefined`. */
const members: ReadonlySet<string> = new Set(["type", "value", "byteLength", "hole", "raw", "encoding"]);

export function isTypeName(type: unknown): boolean {
  return typeof type === "string" && typeNames.has(type);
}

/**
 * Whether JSON has the form `{"type": known, "value": …}` and only members that the notation knows. This tells notation and plain JSON
 * apart where both are possible: plain JSON of this form is never written, and JSON of this form is never read as plain.
 */
export function isNotation(json: unknown): boolean {
  if (!isObject(json)) return false;
  const { type } = json;
  if (typeof type !== "string" || !typeNames.has(type)) return false;
  if (!Object.hasOwn(json, "value") && !typesWithoutValue.has(type)) return false;
  for (const member in json) if (!members.has(member)) return false;
  return true;
}
