/** docs/json-notation.md, held against the code: each row of its tables is written and read. */
import { runInThisContext } from "node:vm";
import { expect, test } from "vitest";
import { entryOfLine } from "../../src/codec/json-notation/entry-line.ts";
import { keyOfNotationText, textOfKeyNotation } from "../../src/codec/json-notation/key-notation.ts";
import { keyOfPath, pathOfKey } from "../../src/codec/json-notation/key-path.ts";
import { type StoredValue, storedOfJson, textOfStored } from "../../src/codec/json-notation/stored-value.ts";
import { encodeKey, type KeyPart } from "../../src/codec/key-codec.ts";
import { Encoding } from "../../src/core/operations.ts";
import { v8Serialize } from "../codec/v8-oracle.ts";
import { codeBlocks, readPage, tableRows } from "./markdown.ts";

const page = readPage("docs/json-notation.md");

/** The rows of the table with this heading, without the backticks around a cell. */
function table(...heading: string[]): string[][] {
  const rows = tableRows(page);
  const start = rows.findIndex((cells) => cells.join() === heading.join());
  if (start === -1) throw new Error(`no table ${heading.join()}`);
  const rest = rows.slice(start + 2);
  const next = rest.findIndex((_, i) => rest[i + 1]?.[0]?.startsWith("---") === true);
  return rest
    .slice(0, next === -1 ? rest.length : next)
    .map((cells) => cells.map((cell) => cell.replaceAll(/^`|`$/g, "")));
}

/** What an expression of the page is stored as. */
function storedBy(expression: string): StoredValue {
  if (expression === "raw bytes") return { value: Uint8Array.of(0, 255, 1), encoding: Encoding.bytes };
  const digits = /^new Deno\.KvU64\((\d+)n\)$/.exec(expression)?.[1];
  if (digits === undefined) return { value: v8Serialize(valueOf(expression)), encoding: Encoding.v8 };
  const value = new Uint8Array(8);
  new DataView(value.buffer).setBigUint64(0, BigInt(digits), true);
  return { value, encoding: Encoding.le64 };
}

function valueOf(expression: string): unknown {
  const value: unknown = runInThisContext(`{ ${expression} }`);
  if (value instanceof Error) value.stack = "…";
  return value;
}

test.each(table("part", "in JSON", "in a path"))("the part %s", (expression = "", json = "", path = "") => {
  // The column has parts of keys.
  const key = encodeKey([valueOf(expression) as KeyPart]);
  const bytes = key.ok ? key.bytes : new Uint8Array();
  expect(textOfKeyNotation(bytes)).toBe(`[${json}]`);
  expect(pathOfKey(bytes)).toBe(path);
  expect(keyOfNotationText(`[${json}]`, "key")).toEqual({ ok: true, bytes });
  expect(keyOfPath(path)).toEqual({ ok: true, bytes });
});

test.each(table("value", "in JSON"))("the value %s", (expression = "", json = "") => {
  const stored = storedBy(expression);
  expect(textOfStored(stored, { plain: false })).toEqual({ text: json, form: "notation" });
  const read = storedOfJson(JSON.parse(json), "value", { plain: false });
  expect(read.ok && textOfStored(read.stored, { plain: false }).text).toBe(json);
});

test.each(table("value", "why"))("%s has no form", (expression = "") => {
  const stored = storedBy(expression);
  const { text, form } = textOfStored(stored, { plain: false });
  expect(form).toBe("v8");
  expect(storedOfJson(JSON.parse(text), "value", { plain: false })).toEqual({ ok: true, stored });
});

test.each(table("value", "plain"))("%s where plain JSON is asked for", (expression = "", json = "") => {
  expect(textOfStored(storedBy(expression), { plain: true }).text).toBe(json);
  const read = storedOfJson(JSON.parse(json), "value", { plain: true });
  expect(read.ok && textOfStored(read.stored, { plain: true }).text).toBe(json);
});

test.each(table("line", "error"))("the line %s", (line = "", message = "") => {
  expect(entryOfLine(line, { plain: false })).toMatchObject({ ok: false, message });
});

test("the lines of the page are entries", () => {
  const lines = codeBlocks(page).map(({ text }) => entryOfLine(text, { plain: true }));
  expect(lines).toHaveLength(2);
  expect(lines).toEqual([
    { ok: true, entry: expect.objectContaining({ expiresAt: 1_795_694_400_000 }) },
    { ok: true, entry: expect.objectContaining({ expiresAt: null }) },
  ]);
  const [first, second] = lines.map((line) => (line.ok ? line.entry : null));
  expect([second?.key, second?.value]).toEqual([first?.key, first?.value]);
});

test("the times that the page shows are taken", () => {
  const times =
    /A `Date` is a day, .*?: (.*?)\. /
      .exec(page)?.[1]
      ?.split(", ")
      .map((time) => time.replaceAll("`", "")) ?? [];
  expect(times).toHaveLength(3);
  for (const value of times)
    expect(storedOfJson({ type: "Date", value }, "value", { plain: false })).toMatchObject({ ok: true });
});

test("the tables have rows", () => {
  const headings = [
    ["part", "in JSON", "in a path"],
    ["value", "in JSON"],
    ["value", "why"],
    ["value", "plain"],
    ["line", "error"],
  ];
  expect(headings.map((heading) => table(...heading).length)).toEqual([12, 18, 9, 5, 4]);
});
