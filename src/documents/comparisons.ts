/**
 * Comparisons of columns and ids with values: the list of a condition, and the filter of a `getMany`.
 *
 * Values are equal, or in an order, only within a type: string, number or boolean. Strings are ordered by their code points, as keys are.
 * A missing column, or one that holds null, satisfies only `!=`. A list, an object or a Date differs from every value.
 */
import { MAX_CONDITION_VALUE_BYTES, MAX_CONDITIONS } from "../core/document-limits.ts";
import { atMost, flagOf, objectOf, refuse, tooMuch } from "../codec/json-notation/members.ts";
import { described } from "../codec/json-notation/place.ts";
import { byteLength, readColumnName } from "./definition.ts";

const SYMBOLS = ["=", "!=", ">", ">=", "<", "<="] as const;
const LOGICALS = ["and", "or", "not"] as const;
type Symbol = (typeof SYMBOLS)[number];
type Scalar = string | number | boolean;

interface Comparison {
  readonly column: string;
  readonly symbol: Symbol;
  readonly value: Scalar;
  readonly passIfMissing: boolean;
}

/** Comparisons and how they are joined. Without any, it holds. */
export interface ComparisonList {
  readonly comparisons: readonly Comparison[];
  readonly logical: (typeof LOGICALS)[number];
}

/** The value of a column or an id. `undefined`: there is none. */
export type Lookup = (name: string) => unknown;

const EXAMPLE = `{"column":"price","symbol":"<","value":5}`;

/** Reads `conditionList` and `conditionLogical` of an object. `name`: that of the object, "condition" or "filter". */
export function readComparisons(
  { conditionList, conditionLogical }: { readonly conditionList?: unknown; readonly conditionLogical?: unknown },
  name: string,
): ComparisonList {
  const logical = readLogical(conditionLogical, `${name}.conditionLogical`);
  const where = `${name}.conditionList`;
  const comparisons = atMost(MAX_CONDITIONS, conditionList ?? [], where).map((json, index) =>
    readComparison(json, `${where}[${index}]`),
  );
  if (logical === "not" && comparisons.length !== 1) {
    return refuse(`${where} has ${comparisons.length} members; with conditionLogical "not" it must have exactly one.`);
  }
  return { comparisons, logical };
}

function readLogical(given: unknown, where: string): ComparisonList["logical"] {
  if (given === undefined || given === null) return "and";
  return (
    LOGICALS.find((one) => one === given) ??
    refuse(`${where} is ${described(given)}; it must be one of ${LOGICALS.join(", ")}.`)
  );
}

function readComparison(json: unknown, where: string): Comparison {
  const given = objectOf(json, where, EXAMPLE);
  const { value } = given;
  const symbol =
    SYMBOLS.find((one) => one === given["symbol"]) ??
    refuse(`${where}.symbol is ${described(given["symbol"])}; it must be one of ${SYMBOLS.join(", ")}.`);
  if (!isScalar(value)) {
    return refuse(`${where}.value is ${described(value)}; it must be a string, a number, true or false.`);
  }
  if (typeof value === "string" && byteLength(value) > MAX_CONDITION_VALUE_BYTES) {
    return tooMuch(`${where}.value has ${byteLength(value)} bytes; the limit is ${MAX_CONDITION_VALUE_BYTES}.`);
  }
  return {
    column: readColumnName(given["column"], `${where}.column`),
    symbol,
    value,
    passIfMissing: flagOf(given, where, "passIfMissing"),
  };
}

function isScalar(value: unknown): value is Scalar {
  return typeof value === "string" || typeof value === "number" || typeof value === "boolean";
}

export function comparisonsHold({ comparisons, logical }: ComparisonList, lookup: Lookup): boolean {
  switch (logical) {
    case "and":
      return comparisons.every((comparison) => holds(comparison, lookup));
    case "or":
      return comparisons.length === 0 || comparisons.some((comparison) => holds(comparison, lookup));
    case "not":
      return comparisons.every((comparison) => !holds(comparison, lookup));
  }
}

function holds({ column, symbol, value, passIfMissing }: Comparison, lookup: Lookup): boolean {
  const found = lookup(column);
  if (found === undefined || found === null) return passIfMissing || symbol === "!=";
  if (typeof found !== typeof value) return symbol === "!=";
  switch (symbol) {
    case "=":
      return found === value;
    case "!=":
      return found !== value;
    case ">":
      return compareScalars(found, value) > 0;
    case ">=":
      return compareScalars(found, value) >= 0;
    case "<":
      return compareScalars(found, value) < 0;
    case "<=":
      return compareScalars(found, value) <= 0;
  }
}

/** Negative, zero or positive; NaN where a NaN is in no order. Both have the same type. */
function compareScalars(found: unknown, value: Scalar): number {
  if (typeof found === "string" && typeof value === "string") return compareTexts(found, value);
  const [a, b] = [Number(found), Number(value)];
  if (a === b) return 0;
  return a < b ? -1 : a > b ? 1 : Number.NaN;
}

/** The order of the texts' code points, which is that of their UTF-8 bytes. */
export function compareTexts(one: string, other: string): number {
  const shared = Math.min(one.length, other.length);
  for (let i = 0; i < shared; i++) {
    const [a, b] = [one.charCodeAt(i), other.charCodeAt(i)];
    if (a !== b) return rankOfUnit(a) - rankOfUnit(b);
  }
  return one.length - other.length;
}

/** Halves of surrogate pairs stand for characters above all that have one unit. */
function rankOfUnit(unit: number): number {
  return unit >= 0xd800 && unit <= 0xdfff ? unit + 0x1_0000 : unit;
}
