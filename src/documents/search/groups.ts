/**
 * `groupBy`: the rows of a search by the values of a column, with how many there are and what is computed of other columns. A row whose
 * column has a list is in the group of each of its values; one without a value is in none.
 */
import { MAX_GROUP_COLUMNS, MAX_GROUPS, MAX_SEARCH_TEXT_CHARS } from "../../core/search-limits.ts";
import { atMost, objectOf, tooMuch } from "../../codec/json-notation/members.ts";
import type { JsonObject } from "../../codec/json-notation/types.ts";
import { readColumnName } from "../definition.ts";
import type { DocumentTable } from "../index/registry.ts";
import type { Candidate, Matcher } from "./matches.ts";
import { compareValues } from "./order.ts";
import { readColumn, type Scalar } from "./query.ts";
import { checkColumn, typesOf } from "./sources.ts";

const FUNCTIONS = ["min", "max", "sum", "avg"] as const;
type GroupFunction = (typeof FUNCTIONS)[number];

interface Group {
  readonly value: Scalar;
  count: number;
  /** For each column that something is computed of. */
  readonly numbers: Map<string, Numbers>;
}

interface Numbers {
  count: number;
  sum: number;
  min: number;
  max: number;
}

export interface GroupRequest {
  readonly column: string;
  readonly computed: Readonly<Record<GroupFunction, readonly string[]>>;
}

/** Reads `groupBy`. null: it is not asked for. */
export function readGroupBy(json: unknown): GroupRequest | null {
  if (json === undefined || json === null) return null;
  const given = objectOf(json, "groupBy", `{"column":"city","sum":["price"]}`);
  return {
    column: readColumn(given, "groupBy"),
    computed: {
      min: readColumns(given, "min"),
      max: readColumns(given, "max"),
      sum: readColumns(given, "sum"),
      avg: readColumns(given, "avg"),
    },
  };
}

function readColumns(given: JsonObject, member: GroupFunction): readonly string[] {
  if (given[member] === undefined || given[member] === null) return [];
  const columns = atMost(MAX_GROUP_COLUMNS, given[member], `groupBy.${member}`);
  return [...new Set(columns.map((one, index) => readColumnName(one, `groupBy.${member}[${index}]`)))];
}

export class Groups {
  readonly #request: GroupRequest;
  readonly #columns: readonly string[];
  readonly #groups = new Map<Scalar, Group>();
  /** Of the values of all groups. */
  #characters = 0;

  /** Refuses columns that are not indexed. */
  constructor(request: GroupRequest, table: DocumentTable) {
    this.#request = request;
    this.#columns = [...new Set(FUNCTIONS.flatMap((name) => request.computed[name]))];
    const types = typesOf(table, request.column);
    checkColumn(table, request.column, "groupBy.column", types, types === null ? [] : ["keyword", "number", "boolean"]);
    for (const name of FUNCTIONS) {
      for (const [index, column] of request.computed[name].entries()) {
        checkColumn(table, column, `groupBy.${name}[${index}]`, typesOf(table, column), ["number"]);
      }
    }
  }

  add(document: Candidate, matcher: Matcher): void {
    // Once for the document: it may be in a thousand groups, with columns of long lists.
    const computed = this.#columns.map((column) => ({ column, of: numbersOf(matcher.values(document, column)) }));
    for (const value of new Set(matcher.values(document, this.#request.column))) {
      const group = this.#groupOf(value);
      group.count += 1;
      for (const { column, of } of computed) if (of !== null) addTo(group, column, of);
    }
  }

  /** The groups with most rows first. */
  results(): readonly Readonly<Record<string, unknown>>[] {
    const groups = [...this.#groups.values()].toSorted((a, b) => b.count - a.count || compareValues(a.value, b.value));
    return groups.map((group) => ({ value: group.value, count: group.count, ...this.#computed(group) }));
  }

  #groupOf(value: Scalar): Group {
    let group = this.#groups.get(value);
    if (group !== undefined) return group;
    if (this.#groups.size >= MAX_GROUPS) {
      tooMuch(
        `groupBy.column has more than ${MAX_GROUPS} values among the rows of the search, which is the limit: narrow the search.`,
      );
    }
    if (typeof value === "string") this.#characters += value.length;
    if (this.#characters > MAX_SEARCH_TEXT_CHARS) {
      tooMuch(
        `The values of groupBy.column have more than ${MAX_SEARCH_TEXT_CHARS} characters together, which is the limit: narrow the search, or group by a column of short values.`,
      );
    }
    group = { value, count: 0, numbers: new Map() };
    this.#groups.set(value, group);
    return group;
  }

  #computed({ numbers }: Group): Record<string, Record<string, number | null>> {
    const { computed } = this.#request;
    const results: Record<string, Record<string, number | null>> = {};
    for (const name of FUNCTIONS) {
      if (computed[name].length === 0) continue;
      results[name] = Object.fromEntries(computed[name].map((column) => [column, resultOf(name, numbers.get(column))]));
    }
    return results;
  }
}

/** null: none of the values is a number. */
function numbersOf(values: readonly Scalar[]): Numbers | null {
  let numbers: Numbers | null = null;
  for (const value of values) {
    if (typeof value !== "number") continue;
    numbers ??= { count: 0, sum: 0, min: value, max: value };
    numbers.count += 1;
    numbers.sum += value;
    numbers.min = Math.min(numbers.min, value);
    numbers.max = Math.max(numbers.max, value);
  }
  return numbers;
}

function addTo(group: Group, column: string, { count, sum, min, max }: Numbers): void {
  const before = group.numbers.get(column);
  if (before === undefined) return void group.numbers.set(column, { count, sum, min, max });
  before.count += count;
  before.sum += sum;
  before.min = Math.min(before.min, min);
  before.max = Math.max(before.max, max);
}

/** null: the group has no number in the column. */
function resultOf(name: GroupFunction, numbers: Numbers | undefined): number | null {
  if (numbers === undefined) return null;
  return name === "avg" ? numbers.sum / numbers.count : numbers[name];
}
