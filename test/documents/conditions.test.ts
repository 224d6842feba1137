/** Comparisons of columns with values, against an oracle that compares UTF-8 bytes and enumerates the types. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { comparisonsHold, readComparisons } from "../../src/documents/comparisons.ts";

const utf8 = new TextEncoder();
const SYMBOLS = ["=", "!=", ">", ">=", "<", "<="] as const;
type Scalar = string | number | boolean;

const lookup = (columns: Record<string, unknown>) => (name: string) =>
  Object.hasOwn(columns, name) ? columns[name] : undefined;

function holds(column: unknown, symbol: string, value: Scalar, passIfMissing = false): boolean {
  const list = readComparisons({ conditionList: [{ column: "c", symbol, value, passIfMissing }] }, "condition");
  return comparisonsHold(list, lookup(column === undefined ? {} : { c: column }));
}

/** -1, 0 or 1; null: not equal and not ordered. */
function order(one: unknown, other: Scalar): number | null {
  if (typeof one === "string" && typeof other === "string") {
    const [a, b] = [utf8.encode(one), utf8.encode(other)];
    for (let i = 0; i < Math.max(a.length, b.length); i++) {
      const difference = (a[i] ?? -1) - (b[i] ?? -1);
      if (difference !== 0) return Math.sign(difference);
    }
    return 0;
  }
  if (typeof one === "number" && typeof other === "number") {
    return Number.isNaN(one) ? null : one > other ? 1 : one < other ? -1 : 0;
  }
  if (typeof one === "boolean" && typeof other === "boolean") return Number(one) - Number(other);
  return null;
}

function expected(one: unknown, symbol: string, other: Scalar): boolean {
  const found = order(one, other);
  switch (symbol) {
    case "=":
      return found === 0;
    case "!=":
      return found !== 0;
    case ">":
      return found !== null && found > 0;
    case ">=":
      return found !== null && found >= 0;
    case "<":
      return found !== null && found < 0;
    default:
      return found !== null && found <= 0;
  }
}

const scalar = fc.oneof(
  fc.string({ unit: "binary", maxLength: 4 }),
  fc.constantFrom("", "a", "\uffff", "\u{10000}", "\ue000", "é"),
  fc.double({ noNaN: true, noDefaultInfinity: true }),
  fc.constantFrom(0, -0, 1, -1, 5e-324, Number.MAX_VALUE),
  fc.boolean(),
);
const stored = fc.oneof(
  scalar,
  fc.constantFrom<unknown>(null, [], ["a"], {}, 5n, new Date(0), Number.NaN, Infinity, -Infinity, undefined),
);

describe("a comparison (D6)", () => {
  test("is that of the types, the numbers and the UTF-8 bytes", () => {
    fc.assert(
      fc.property(stored, fc.constantFrom(...SYMBOLS), scalar, (one, symbol, other) => {
        expect(holds(one, symbol, other)).toBe(expected(one, symbol, other));
      }),
      { numRuns: 3000 },
    );
  });

  test("of a missing column, or of one that holds null, is satisfied by != alone, or by passIfMissing", () => {
    for (const missing of [undefined, null]) {
      for (const symbol of SYMBOLS) {
        expect(holds(missing, symbol, 1)).toBe(symbol === "!=");
        expect(holds(missing, symbol, 1, true)).toBe(true);
      }
    }
    expect(holds(2, "=", 1, true)).toBe(false);
  });
});

const is = (column: string, value: number) => ({ column, symbol: "=", value });
const lists: [object, boolean][] = [
  [{}, true],
  [{ conditionList: [] }, true],
  [{ conditionList: [], conditionLogical: "or" }, true],
  [{ conditionList: [is("a", 1), is("b", 2)] }, true],
  [{ conditionList: [is("a", 1), is("b", 3)] }, false],
  [{ conditionList: [is("a", 0), is("b", 2)], conditionLogical: "or" }, true],
  [{ conditionList: [is("a", 0), is("b", 3)], conditionLogical: "or" }, false],
  [{ conditionList: [is("a", 0)], conditionLogical: "not" }, true],
  [{ conditionList: [is("a", 1)], conditionLogical: "not" }, false],
  [{ conditionList: [is("none", 1)], conditionLogical: "not" }, true],
  [{ conditionList: null, conditionLogical: null }, true],
];

test.each(lists)("and, or, not join comparisons: of %j it is %s (D6)", (list, result) => {
  expect(comparisonsHold(readComparisons(list, "condition"), lookup({ a: 1, b: 2 }))).toBe(result);
});
