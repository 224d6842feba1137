import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { mutantsOf, mutated, parses, shuffled } from "./mutants.ts";
import { parseMutationOptions } from "./options.ts";
import { tokensOf } from "./tokens.ts";

function changesOf(code: string): string[] {
  return mutantsOf("a.ts", code).map((mutant) => mutated(code, mutant));
}

const cases: readonly [rule: string, code: string, changed: readonly string[]][] = [
  ["a comparison takes or leaves its bound", "a < b;", ["a <= b;"]],
  ["equality becomes inequality", "a === b;", ["a !== b;"]],
  ["and becomes or", "a && b;", ["a || b;"]],
  ["plus becomes minus, a sign stays", "a + -b;", ["a - -b;"]],
  ["a constant becomes the other one", "f = true;", ["f = false;"]],
  [
    "a number is one more, a bigint too",
    "f = [0xff, 1_000n];",
    ["f = [(0xff + 1), 1_000n];", "f = [0xff, (1_000n + 1n)];"],
  ],
  ["a condition always holds, and never", "if (f(a)) b = c;", ["if (true) b = c;", "if (false) b = c;"]],
  ["a loop never begins", "while (f(a)) b = c;", ["while (false) b = c;"]],
  ["a call is left out", "a = b; await this.#c.d(e)(f);", ["a = b; ;"]],
  ["a result is left out", "() => { return [a, { b }]; };", ["() => { return undefined; };"]],
  ["what is no statement stays", "a = b; const c = d(e); f(g).h = i;", []],
  ["types, comments and texts stay", 'const a: 1 | B<2> = /* 3 */ "4 < 5" as C; // 6 + 7', []],
  [
    "regular expressions stay, a division does not begin one",
    "a = /[/+]1/u; b = c / 2 / d;",
    ["a = /[/+]1/u; b = c / (2 + 1) / d;"],
  ],
  ["code inside a template is code", "a = `1 < ${`2${b < c}`} + 3`;", ["a = `1 < ${`2${b <= c}`} + 3`;"]],
  [
    "invariants and the words of errors stay",
    'assert(a < b, "1"); throw new E(`${1 + 2}`); c = failure("x", d + e);',
    [],
  ],
  ["names that every object knows are names", "class A { constructor() {} toString() {} }", []],
];

test.each(cases)("%s", (_, code, changed) => {
  expect(changesOf(code)).toEqual(changed);
});

describe("over the sources themselves", () => {
  const src = join(import.meta.dirname, "../../src");
  const files = readdirSync(src, { recursive: true, encoding: "utf8" }).filter((file) => file.endsWith(".ts"));

  test("tokens follow each other and lose nothing except blanks and comments", () => {
    for (const file of files) {
      const code = readFileSync(join(src, file), "utf8");
      const tokens = tokensOf(code);
      expect(tokens.filter(({ start, end, text }) => code.slice(start, end) !== text)).toEqual([]);
      const between = tokens.map(({ start }, i) => code.slice(tokens[i - 1]?.end ?? 0, start).trim());
      expect(between.filter((text) => !/^(?:$|\/[/*])/.test(text), file)).toEqual([]);
    }
  });

  test("mutants parse, and each differs from the source", () => {
    const file = "engine/plan.ts";
    const code = readFileSync(join(src, file), "utf8");
    const mutants = mutantsOf(file, code);
    expect(mutants.length).toBeGreaterThan(30);
    for (const mutant of mutants) {
      expect(mutated(code, mutant)).not.toBe(code);
      expect(parses(mutated(code, mutant)), `${mutant.start}: ${mutant.replacement}`).toBe(true);
    }
  });
});

test("a seed draws each mutant once, in the same order each time, and another seed in another", () => {
  const mutants = mutantsOf("a.ts", `f(${Array.from({ length: 50 }, (_, i) => i).join(", ")});`);
  const drawn = shuffled(mutants, 7);
  expect(shuffled(mutants, 7)).toEqual(drawn);
  expect(shuffled(mutants, 8)).not.toEqual(drawn);
  expect(drawn.toSorted((a, b) => a.start - b.start)).toEqual(mutants);
});

test("options that cannot be meant are refused by name", () => {
  expect(parseMutationOptions(["--folder", "src/engine/", "--seed", "2"])).toMatchObject({
    folder: "src/engine",
    seed: 2,
  });
  expect(() => parseMutationOptions([])).toThrow("--folder: expected a folder below src/");
  expect(() => parseMutationOptions(["--folder", "src/engine", "--sample", "0"])).toThrow(
    "--sample: expected a whole number",
  );
  expect(parseMutationOptions(["--help"])).toBeUndefined();
});
