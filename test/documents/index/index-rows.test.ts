/** What a document has in the indexes of its table, and both sides of each limit. */
import { expect, test } from "vitest";
import {
  MAX_INDEXED_NAME_CHARS,
  MAX_INDEXED_POINTS,
  MAX_INDEXED_TEXT_CHARS,
  MAX_INDEXED_VALUES,
  MAX_KEYWORD_CHARS,
  MAX_LOOKED_AT_ELEMENTS,
  MAX_NESTED_DEPTH,
} from "../../../src/core/document-limits.ts";
import type { ColumnType } from "../../../src/contracts/document-commands.ts";
import { type IndexType, rowsOf } from "../../../src/documents/index/index-rows.ts";

type Types = Readonly<Record<string, readonly ColumnType[]>>;

/** The rows as text, "column.path type value"; at the end what was left out, if anything was. */
function rows(
  document: Readonly<Record<string, unknown>>,
  types: Types | null = null,
  refused: readonly IndexType[] = [],
) {
  const indexes: string[] = [];
  const columns = types && new Map(Object.entries(types).map(([name, of]) => [name, new Set(of)]));
  const found = rowsOf(document, columns, (name, path, type) => {
    if (refused.includes(type)) return null;
    const index = `${path === "" ? name : `${name}.${path}`} ${type}`;
    if (!indexes.includes(index)) indexes.push(index);
    return indexes.indexOf(index);
  });
  return [
    ...found.values.map(({ index, value }) => `${indexes[index]} ${String(value)}`),
    ...found.texts.map(({ index, texts }) => `${indexes[index]} ${texts.join(" / ")}`),
    ...found.points.map(
      ({ index, points }) => `${indexes[index]} ${points.map(({ lat, lon }) => `${lat},${lon}`).join(" ")}`,
    ),
    ...Array.from(found.many, (index) => `many in ${indexes[index]}`),
    ...(found.leftOut > 0 ? [`left out: ${found.leftOut}`] : []),
  ];
}

interface Case {
  readonly what: string;
  readonly value: unknown;
  /** Undefined: as it comes. */
  readonly types?: readonly ColumnType[];
  readonly rows: readonly string[];
}

const left = "left out: 1";
const present = "c present 0";
const cases: readonly Case[] = [
  { what: "a string as it comes", value: "Köln", rows: ["c keyword Köln", "c text Köln"] },
  { what: "an empty string as it comes", value: "", rows: ["c keyword "] },
  { what: "half a surrogate pair", value: "\ud800", types: ["keyword"], rows: ["c keyword \ufffd"] },
  { what: "a number", value: 1.5, rows: ["c number 1.5"] },
  { what: "minus zero", value: -0, rows: ["c number 0"] },
  { what: "infinity", value: Infinity, rows: ["c number Infinity"] },
  { what: "NaN", value: Number.NaN, rows: [present, left] },
  { what: "the greatest exact bigint", value: 2n ** 53n - 1n, rows: ["c number 9007199254740991"] },
  { what: "a bigint beyond", value: 2n ** 53n, rows: [present, left] },
  { what: "a boolean", value: true, rows: ["c boolean 1"] },
  { what: "null", value: null, rows: [] },
  { what: "undefined", value: undefined, rows: [] },
  { what: "a date", value: new Date(0), rows: [present, left] },
  { what: "bytes", value: new Uint8Array(2), rows: [present, left] },
  { what: "an object without members", value: {}, rows: [present] },
  { what: "an object", value: { a: { b: "x" }, n: 5, z: null }, rows: ["c.a.b keyword x", "c.n number 5"] },
  {
    what: "names with a dot, and without a character",
    value: { "a.b": 1, "": 2, ok: true },
    rows: ["c.ok boolean 1", left],
  },
  { what: "an empty list", value: [], rows: [] },
  { what: "a list of nothing", value: [null, undefined], rows: [] },
  {
    what: "a list with a value twice",
    value: [1, 2, 1n, -0, 0],
    rows: ["c number 1", "c number 2", "c number 0", "many in c number"],
  },
  { what: "a list of one value", value: ["x"], types: ["keyword"], rows: ["c keyword x"] },
  {
    what: "a list of several types",
    value: ["x", 1, true],
    rows: ["c keyword x", "c number 1", "c boolean 1", "c text x"],
  },
  { what: "a list in a list", value: [[1], 2], rows: ["c number 2", left] },
  {
    what: "a list of objects",
    value: [{ a: 1 }, { a: 2 }, { a: [1, 3] }],
    rows: ["c.a number 1", "c.a number 2", "c.a number 3", "many in c.a number"],
  },
  { what: "a list of texts", value: ["one", "", "two"], types: ["text"], rows: ["c text one / two"] },
  { what: "an empty text", value: "", types: ["text"], rows: [] },
  { what: "a string as keyword and text", value: "x", types: ["keyword", "text"], rows: ["c keyword x", "c text x"] },
  { what: "a number where a keyword is defined", value: 5, types: ["keyword"], rows: [present, left] },
  { what: "a list with an element of another type", value: [5, "x"], types: ["keyword"], rows: ["c keyword x", left] },
  { what: "an integer", value: 5, types: ["integer"], rows: ["c number 5"] },
  { what: "a fraction where an integer is defined", value: 5.5, types: ["integer"], rows: [present, left] },
  { what: "a place", value: " 48.1, -11.5 ", types: ["geo"], rows: ["c geo 48.1,-11.5"] },
  {
    what: "places, one of them twice",
    value: ["1,2", "1.0,2.0", "90,-180"],
    types: ["geo"],
    rows: ["c geo 1,2 90,-180", "many in c geo"],
  },
  ...["90.1,0", "0,180.1", "1", "1,2,3", "a,b", "1e1,2", ""].map((value) => ({
    what: `the text "${value}" where a place is defined`,
    value,
    types: ["geo"] as const,
    rows: value === "" ? [left] : [present, left],
  })),
  { what: "a string where a nested column is defined", value: "x", types: ["nested"], rows: [present, left] },
];

test.each(cases)("$what (D51, D52)", ({ value, types, rows: wanted }) => {
  expect(rows({ c: value }, types === undefined ? null : { c: types })).toEqual(wanted);
});

test("a column that is not defined, or not indexed, has nothing in the indexes, and is not counted (D51)", () => {
  expect(rows({ a: 1, b: 2 }, { b: ["number"] })).toEqual(["b number 2"]);
});

test("what finds no index is left out: one type of a column, or all of it with its presence (D52)", () => {
  expect(rows({ c: "x" }, null, ["text"])).toEqual(["c keyword x", left]);
  expect(rows({ c: "x", d: "y", n: 1 }, null, ["text", "keyword", "present"])).toEqual(["n number 1", "left out: 2"]);
  expect(rows({ c: "1,2" }, { c: ["geo"] }, ["geo"])).toEqual([present, left]);
});

test("both sides of each limit of what one document has in the indexes (D52)", () => {
  const numbers = (count: number) => Array.from({ length: count }, (_, i) => i);
  const many = "many in c number";
  expect(rows({ c: numbers(MAX_INDEXED_VALUES) })).toHaveLength(MAX_INDEXED_VALUES + 1);
  expect(rows({ c: numbers(MAX_INDEXED_VALUES + 1) }).slice(MAX_INDEXED_VALUES)).toEqual([many, left]);
  // The limit is the document's, and a column that comes later counts too.
  expect(rows({ c: numbers(MAX_INDEXED_VALUES), d: 1, e: true }).slice(MAX_INDEXED_VALUES)).toEqual([
    many,
    "left out: 2",
  ]);

  const points = numbers(MAX_INDEXED_POINTS + 1).map((n) => `0,${n / 100}`);
  const of = (count: number) => rows({ c: points.slice(0, count) }, { c: ["geo"] });
  expect(of(MAX_INDEXED_POINTS)).toEqual([expect.stringMatching(/,9\.99$/), "many in c geo"]);
  expect(of(MAX_INDEXED_POINTS + 1)).toEqual([expect.stringMatching(/,9\.99$/), "many in c geo", left]);

  const keyword = (text: string) => rows({ c: text }, { c: ["keyword"] })[0]?.slice("c keyword ".length);
  const whole = "x".repeat(MAX_KEYWORD_CHARS);
  expect([keyword(whole), keyword(`${whole}y`)]).toEqual([whole, whole]);
  const pair = `${whole.slice(1)}😀`;
  expect(keyword(pair), "no half a character").toBe(whole.slice(1));
  expect(keyword(`${whole.slice(2)}😀`)).toBe(`${whole.slice(2)}😀`);

  const text = "x".repeat(MAX_INDEXED_TEXT_CHARS);
  expect(rows({ c: text }, { c: ["text"] })).toEqual([`c text ${text}`]);
  expect(rows({ c: [text, "y"] }, { c: ["text"] })).toEqual([`c text ${text}`, left]);

  const nested = (depth: number): unknown => (depth === 0 ? 1 : { a: nested(depth - 1) });
  const path = numbers(MAX_NESTED_DEPTH)
    .map(() => ".a")
    .join("");
  expect(rows({ c: nested(MAX_NESTED_DEPTH) })).toEqual([`c${path} number 1`]);
  expect(rows({ c: nested(MAX_NESTED_DEPTH + 1) })).toEqual([present, left]);

  const name = "n".repeat(MAX_INDEXED_NAME_CHARS);
  expect(rows({ [name]: 1, c: { [name]: 2 } })).toEqual([`${name} number 1`, `c.${name} number 2`]);
  expect(rows({ [`${name}n`]: 1, c: { [`${name}n`]: 2 } })).toEqual([present, "left out: 2"]);

  const same = Array.from({ length: MAX_LOOKED_AT_ELEMENTS }, () => 1);
  expect(rows({ c: [...same.slice(1), 2] })).toEqual(["c number 1", "c number 2", many]);
  expect(rows({ c: [...same, 2] })).toEqual(["c number 1", left]);
  const circle: Record<string, unknown> = { n: 1 };
  circle["a"] = circle;
  circle["b"] = circle;
  expect(rows({ c: circle }).at(-1), "an object in itself ends").toBe(left);
});
