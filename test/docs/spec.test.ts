/** docs/spec/: every rule has a test that carries its number, and no title names a rule that does not exist. */
import { describe, expect, test } from "vitest";
import { encodeKey } from "../../src/codec/key-codec.ts";
import { toHex } from "../../src/core/bytes.ts";
import { pages, readPage } from "./markdown.ts";
import { allTitles, titlesIn } from "./titles.ts";

/** The letter of each page's rules. */
const LETTERS: Readonly<Record<string, string>> = {
  "docs/spec/keys.md": "K",
  "docs/spec/values.md": "V",
  "docs/spec/reads.md": "R",
  "docs/spec/writes.md": "W",
  "docs/spec/versions.md": "S",
  "docs/spec/watches.md": "O",
  "docs/spec/feed.md": "F",
  "docs/spec/socket.md": "N",
  "docs/spec/http.md": "H",
  "docs/spec/records.md": "A",
  "docs/spec/documents.md": "D",
  "docs/spec/backups.md": "B",
  "docs/spec/restores.md": "G",
  "docs/spec/archives.md": "Z",
  "docs/spec/tokens.md": "T",
};

const rulesOf = (page: string): string[] => [...page.matchAll(/^- \*\*(\w+)\*\* \S/gm)].map(([, rule = ""]) => rule);

/** Names of stores and of an engine: no rule has them, so that a title may. */
const NO_RULES: ReadonlySet<string> = new Set(["R2", "S3", "V8"]);

const rules = Object.keys(LETTERS).flatMap((path) => rulesOf(readPage(path)));
const titles = allTitles();

/** The rules that a title holds: its end, as in `(X1)` or `(X1, X2)`. */
function heldBy(title: string): string[] {
  return / \(([A-Z]\d+(?:, [A-Z]\d+)*)\)$/.exec(title)?.[1]?.split(", ") ?? [];
}

test("every page of docs/spec has a letter, and no rule has the name of a store or an engine", () => {
  const found = pages.filter((path) => path.startsWith("docs/spec/") && path !== "docs/spec/README.md");
  expect(found.toSorted()).toEqual(Object.keys(LETTERS).toSorted());
  expect(rules.filter((rule) => NO_RULES.has(rule))).toEqual([]);
});

test.each(Object.entries(LETTERS))(
  "every item of %s is a rule %s with a number of its own, in order",
  (path, letter) => {
    const page = readPage(path);
    const found = rulesOf(page);
    expect(found.length).toBeGreaterThan(8);
    expect(page.match(/^- /gm)).toHaveLength(found.length);
    expect(new Set(found).size).toBe(found.length);
    for (const chapter of page.split(/^## /m)) {
      const numbers = rulesOf(chapter).map((rule) => Number(rule.slice(1)));
      expect(rulesOf(chapter)).toEqual(numbers.toSorted((a, b) => a - b).map((number) => `${letter}${number}`));
    }
  },
);

test("every rule has a test", () => {
  const held = new Set(titles.flatMap(({ text }) => heldBy(text)));
  expect(rules.filter((rule) => !held.has(rule))).toEqual([]);
});

test("no title names a rule that does not exist, or names one elsewhere than at its end", () => {
  const known = new Set(rules);
  const wrong = titles.filter(({ text }) => {
    const named = (text.match(/\b[A-Z]\d+\b/g) ?? []).filter((name) => known.has(name));
    const looksLikeRules = /\([A-Z]\d+\b[^)]*\)$/.test(text);
    return named.join() !== heldBy(text).join() || (looksLikeRules && named.length === 0);
  });
  expect(wrong).toEqual([]);
});

test("the index lists every page with its letter", () => {
  const index = readPage("docs/spec/README.md");
  for (const [path, letter] of Object.entries(LETTERS)) {
    const name = path.replace("docs/spec/", "");
    expect(index).toContain(`| [${name}](${name}) | ${letter} |`);
  }
});

test("the example of the page of keys is the encoding of that key", () => {
  const encoded = encodeKey(["users", 1]);
  const hex = encoded.ok ? toHex(encoded.bytes).replaceAll(/..(?=.)/g, "$& ") : "";
  expect(readPage("docs/spec/keys.md")).toContain(`\`["users", 1]\` is \`${hex}\`.`);
});

describe("titles are read", () => {
  const read = (source: string): string[] => titlesIn(source, "test/x.test.ts").map(({ text }) => text);

  test.each([
    ["of test, it and describe", 'test("a"); it("b"); describe("c", () => { test("d"); });', ["a", "b", "c", "d"]],
    [
      "of modified ones",
      'test.only("a"); describe.skipIf(true)("b"); test.concurrent.each(rows)("c %s");',
      ["a", "b", "c %s"],
    ],
    ["with types", 'test.each<[string, number]>([["x", 1]] as const)("%s is %i", async () => {});', ["%s is %i"]],
    ["behind a function of the file", 'function held(title: string) { test(title, () => {}); }\nheld("a");', ["a"]],
    ["of templates, without what they insert", "test(`killed ${when} it (${1})`);", ["killed … it (…)"]],
    ["of cases", 'export const cases: Cases = { "a": async () => {}, "b": run };', ["a", "b"]],
    ["and nothing else", 'const a = "x"; run("b"); expect("c"); test(title); // test("d")', []],
  ])("%s", (_, source, expected) => {
    expect(read(source)).toEqual(expected);
  });

  test("from all files", () => {
    expect(titles.length).toBeGreaterThan(1_500);
    const first = titles.find(({ file }) => file === "test/docs/spec.test.ts");
    expect(first?.text).toMatch(/^every page of docs\/spec has a letter/);
    expect(readPage("test/docs/spec.test.ts").split("\n")[(first?.line ?? 0) - 1]).toContain(first?.text);
  });
});
