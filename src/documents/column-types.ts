/** What the values of a defined column may be. A column's value may also be a list of such values. */
import type { ColumnType } from "../contracts/document-commands.ts";
import { described } from "../codec/json-notation/place.ts";
import { refuse, Refused } from "../codec/json-notation/members.ts";
import { failure } from "../core/errors.ts";
import type { ColumnDefinition } from "./definition.ts";
import { parsePoint } from "./geo.ts";
import type { Columns } from "./document.ts";

interface TypeRule {
  readonly holds: (value: unknown) => boolean;
  /** What a value of the type is, to continue "it must be". */
  readonly is: string;
}

const rules: Readonly<Record<ColumnType, TypeRule>> = {
  keyword: { holds: (value) => typeof value === "string", is: "a string" },
  text: { holds: (value) => typeof value === "string", is: "a string" },
  integer: { holds: Number.isSafeInteger, is: "an integer from -(2^53-1) to 2^53-1" },
  number: { holds: (value) => typeof value === "number", is: "a number" },
  boolean: { holds: (value) => typeof value === "boolean", is: "true or false" },
  geo: {
    holds: (value) => typeof value === "string" && parsePoint(value) !== null,
    is: `a place as "latitude,longitude", for example "31.23,121.47"`,
  },
  nested: {
    holds: (value) => typeof value === "object" && value !== null && !Array.isArray(value),
    is: "an object",
  },
};

/** Whether a value, or each element of a list, has the type. */
export function hasType(value: unknown, type: ColumnType): boolean {
  return Array.isArray(value) ? value.every(rules[type].holds) : rules[type].holds(value);
}

/** Refuses the first of the given columns whose value does not have the type that the table defines. */
export function checkColumnTypes(definitions: readonly ColumnDefinition[] | undefined, given: Columns): void {
  for (const { name, type } of definitions ?? []) {
    if (!Object.hasOwn(given, name)) continue;
    const value = given[name];
    if (hasType(value, type)) continue;
    const { is } = rules[type];
    const found = Array.isArray(value) ? `a list with other values` : described(value);
    throw new Refused(
      failure(
        "type-mismatch",
        `columns[${JSON.stringify(name)}] is ${found}; the table defines it as ${type}: it must be ${is}, or a list of such values.`,
      ),
    );
  }
}

/** A number of JSON that is an integer, or a refusal. */
export function integerOf(value: unknown, where: string): number {
  if (typeof value === "number" && Number.isSafeInteger(value)) return value;
  return refuse(`${where} is ${described(value)}; it must be an integer from -(2^53-1) to 2^53-1.`);
}
