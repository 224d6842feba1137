/** Plain JSON out and in: JSON stands for itself unless it has the form of the notation. */
import * as fc from "fast-check";
import { expect, test } from "vitest";
import { difference } from "../v8-difference.ts";
import { failureOf, textOf, valueOf } from "./notation.ts";

const shared = { a: [1] };

test.each<[unknown, string]>([
  [null, "null"],
  ["a\ud800", '"a\\ud800"'],
  [1e21, "1e+21"],
  [{ a: [1, "b", true, null, {}] }, '{"a":[1,"b",true,null,{}]}'],
  [JSON.parse('{"__proto__":1}'), '{"__proto__":1}'],
  [{ toJSON: "a" }, '{"toJSON":"a"}'],
  [[shared, shared], '[{"a":[1]},{"a":[1]}]'],
  [{ type: "user", value: 1 }, '{"type":"user","value":1}'],
  [{ type: "object", properties: {} }, '{"type":"object","properties":{}}'],
  [{ type: "number" }, '{"type":"number"}'],
  [{ type: "number", value: 1, unit: "kg" }, '{"type":"number","value":1,"unit":"kg"}'],
  [[{ type: "number", value: "1" }], '[{"type":"number","value":"1"}]'],
])("%j is given as plain JSON and taken as such", (value, text) => {
  expect(textOf(value, true)).toEqual({ text, form: "plain" });
  expect(difference(valueOf(JSON.parse(text), true), JSON.parse(text))).toBeUndefined();
});

test.each<[string, unknown]>([
  ["undefined", undefined],
  ["a member undefined", { a: undefined }],
  // oxlint-disable-next-line no-sparse-arrays -- holes are what is tested
  ["a hole", [1, , 2]],
  // oxlint-disable-next-line no-sparse-arrays -- as many properties as elements are missing
  ["-0", [-0]],
  ["NaN", Number.NaN],
  ["Infinity", [Infinity]],
  ["a bigint", { id: 1n }],
  ["a Date", { at: new Date(0) }],
  ["a Map", new Map([["a", 1]])],
  ["bytes", Uint8Array.of(1)],
  ["an error", Object.assign(new Error("a"), { stack: "b" })],
  ["what has the form of the notation", { type: "string", value: "a" }],
  ["what has it with another value", { type: "number", value: "x" }],
  ["undefined by the notation", { type: "undefined" }],
])("%s would be lost: the whole value is in the notation", (_, value) => {
  const { text, form } = textOf(value, true);
  expect(form).toBe("notation");
  expect(text).toBe(textOf(value).text);
  expect(difference(valueOf(JSON.parse(text), true), value)).toBeUndefined();
});

test.each<[string, unknown]>([
  ["an array with a property in place of an element", Object.assign([1, 2, 3], { name: "a" })],
  // oxlint-disable-next-line no-sparse-arrays -- as many properties as elements are missing
  ["a hole and a property", Object.assign([1, , 2], { name: "a" })],
  ["a boxed primitive", [Object(1)]],
  ["a cycle", cyclic()],
  ["what repeats without end", doubling()],
  ["a long text in many places", repeating()],
])("%s is given as its bytes", (_, value) => {
  expect(textOf(value, true).form).toBe("v8");
});

function cyclic(): unknown {
  const cycle: Record<string, unknown> = { a: [] };
  cycle["b"] = [cycle];
  return cycle;
}

/** 2^30 copies of one object. */
function doubling(): unknown {
  return Array.from({ length: 30 }).reduce<unknown>((inner) => [inner, inner], {});
}

function repeating(): unknown {
  const long = { text: "x".repeat(10_000) };
  return Array.from({ length: 1000 }, () => long);
}

test("a refusal of what has the form of the notation says so", () => {
  expect(failureOf({ type: "number", value: "5" }, true)).toBe(
    'value.value is "5"; a number is written 1.5, "NaN", "Infinity", "-Infinity" or "-0".',
  );
});

test("plain JSON nested too deep is refused", () => {
  const deep = Array.from({ length: 501 }).reduce<unknown>((inner) => [inner], 1);
  expect(failureOf(deep, true)).toBe("value: a value nested deeper than 500 levels cannot be stored.");
});

test("any JSON comes back as itself", () => {
  fc.assert(
    fc.property(fc.json({ maxDepth: 3 }), (text) => {
      const json: unknown = JSON.parse(text);
      expect(difference(valueOf(JSON.parse(textOf(json, true).text), true), json)).toBeUndefined();
    }),
    { numRuns: 500 },
  );
});

test.each(["1e999", "[-1e999]", '{"a":{"b":[1,1e999]}}'])("%s is refused: it would be stored as Infinity", (text) => {
  expect(failureOf(JSON.parse(text), true)).toBe("value has a number that is beyond the range of a number.");
});
