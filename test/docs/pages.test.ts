/** What the pages name is there: files, links, scripts, folders. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative, sep } from "node:path";
import { expect, test } from "vitest";
import { layerOf, layers, rowOf } from "../../.oxlint/layers.ts";
import { codeBlocks, codeWords, pages, readPage, repository, tableRows } from "./markdown.ts";

const manifest = JSON.parse(readFileSync(join(repository, "package.json"), "utf8")) as {
  readonly scripts: Readonly<Record<string, string>>;
};

test.each(pages)("every file that %s names exists", (path) => {
  const named = codeWords(readPage(path)).filter((word) => /^(src|test|docs|\.oxlint)\/[\w./-]+$/.test(word));
  expect(named.filter((file) => !existsSync(join(repository, file)))).toEqual([]);
});

test.each(pages)("every name that %s looks for in a file is there", (path) => {
  const named = [...readPage(path).matchAll(/`(\w+)` (?:in|of) `((?:src|test)\/[\w./-]+\.ts)`/g)];
  const missing = named.filter(([, name = "", file = ""]) => !new RegExp(`\\b${name}\\b`).test(readPage(file)));
  expect(missing.map(([words]) => words)).toEqual([]);
});

test.each(pages)("every link of %s to a file leads somewhere", (path) => {
  const targets = [...readPage(path).matchAll(/\]\(([^)]+)\)/g)].map(([, target = ""]) => target);
  const own = targets.filter((target) => !target.startsWith("https://"));
  const leadsNowhere = own.filter((target) => {
    const [file = "", anchor] = target.split("#");
    const found = file === "" ? path : join(dirname(path), file);
    if (!existsSync(join(repository, found))) return true;
    return anchor !== undefined && !anchorsOf(readPage(found)).includes(anchor);
  });
  expect(leadsNowhere).toEqual([]);
});

/** Of its headings, as GitHub makes them. */
function anchorsOf(page: string): string[] {
  return [...page.matchAll(/^#+ (.*)$/gm)].map(([, heading = ""]) =>
    heading
      .toLowerCase()
      .replaceAll(/[^\w\- ]/g, "")
      .replaceAll(" ", "-"),
  );
}

test("the README lists every page, and the index of the rules those of docs/spec", () => {
  const isRule = (path: string): boolean => path.startsWith("docs/spec/") && path !== "docs/spec/README.md";
  const inReadme = tableRows(readPage("README.md")).flatMap(
    ([first = ""]) => /^\[(docs\/\S+)\]/.exec(first)?.[1] ?? [],
  );
  const listed = pages.filter((path) => path.startsWith("docs/") && !isRule(path));
  expect(inReadme.toSorted()).toEqual(listed.toSorted());
});

test("every page that a comment of the source names exists", () => {
  const sources = readdirSync(join(repository, "src"), { recursive: true, encoding: "utf8" }).filter((name) =>
    name.endsWith(".ts"),
  );
  const named = sources.flatMap((name) => readPage(join("src", name)).match(/\bdocs\/[\w-]+\.md\b/g) ?? []);
  expect(named).not.toEqual([]);
  expect(named.filter((file) => !existsSync(join(repository, file)))).toEqual([]);
});

test.each(pages.filter((path) => path !== "README.md"))("%s begins with what its reader can do after it", (path) => {
  expect(readPage(path)).toMatch(/^# .*\n\nAfter (this page|these pages) /);
});

/** Words that were hard to read wherever they stood; a sentence with the common word is clearer. */
const AVOIDED = /\b(but for|for ever|nothing but|whoever|whosoever|reckoned)\b/i;

test.each(pages)("%s has the common word where there is one", (path) => {
  const lines = readPage(path)
    .replaceAll(/^ *```.*?^ *```$/gms, "")
    .replaceAll(/`[^`\n]*`/g, "");
  expect(lines.split("\n").filter((line) => AVOIDED.test(line))).toEqual([]);
});

test("the comments and the messages of the source have the common word, too", () => {
  const sources = readdirSync(join(repository, "src"), { recursive: true, encoding: "utf8" }).filter((name) =>
    name.endsWith(".ts"),
  );
  expect(sources.length).toBeGreaterThan(200);
  const found = sources.flatMap((name) =>
    readPage(join("src", name))
      .split("\n")
      .filter((line) => AVOIDED.test(line))
      .map((line) => `src/${name}: ${line.trim()}`),
  );
  expect(found).toEqual([]);
});

test.each(pages)("every npm script that %s names exists", (path) => {
  const page = readPage(path);
  const text = [...codeWords(page), ...codeBlocks(page).map((block) => block.text)].join("\n");
  const named = [...text.matchAll(/npm (?:run ([\w:]+)|(start|test)\b)/g)].map(
    ([, run, direct]) => run ?? direct ?? "",
  );
  expect(named.filter((name) => manifest.scripts[name] === undefined)).toEqual([]);
});

test("the architecture has a row for every folder of src that holds files", () => {
  const folders = readdirSync(join(repository, "src"), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith(".ts"))
    .map((entry) => relative(join(repository, "src"), entry.parentPath).split(sep).join("/"))
    .filter((folder) => folder !== "");
  const found = new Set(folders.map((folder) => layerOf(`${folder}/file.ts`)));
  const rows = tableRows(readPage("docs/ARCHITECTURE.md")).map(([first = ""]) => first);
  expect(found.size).toBeGreaterThan(5);
  expect([...found].filter((layer) => !rows.includes(`\`src/${layer}/\``))).toEqual([]);
});

test("the architecture tells of each layer what it may import, as the linter has it", () => {
  // The linter lets all doors share a row, and has rows for what does not exist yet.
  const existing = (name: string): boolean => existsSync(join(repository, "src", name));
  const listed = (names: readonly string[], nothing: string): string =>
    names.length === 0 ? nothing : names.join(", ");
  let held = 0;
  for (const [folder = "", , imports = "", packages = ""] of tableRows(readPage("docs/ARCHITECTURE.md"))) {
    const layer = /^`src\/([\w/-]+)\/`$/.exec(folder)?.[1];
    const row = layer === undefined ? undefined : layers[rowOf(layer)];
    if (row === undefined) continue;
    const known = row.imports.map((name) => (name === "doors/*" ? "doors/kv-connect" : name)).filter(existing);
    expect(`${layer}: ${imports}`).toBe(`${layer}: ${listed(known, "nothing")}`);
    expect(`${layer}: ${packages}`).toBe(`${layer}: ${listed(row.packages ?? [], "none")}`);
    held += 1;
  }
  expect(held).toBeGreaterThan(12);
});
