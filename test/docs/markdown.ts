/** What the tests need to know of a page: its code blocks, its tables' rows, and what it names. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

export const repository = join(import.meta.dirname, "../..");

/** Paths of the pages that users read, relative to the repository. */
export const pages: readonly string[] = [
  "README.md",
  "CONTRIBUTING.md",
  "SECURITY.md",
  "CHANGELOG.md",
  "examples/README.md",
  ...readdirSync(join(repository, "docs"), { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".md"))
    .map((name) => `docs/${name}`),
];

export function readPage(path: string): string {
  return readFileSync(join(repository, path), "utf8");
}

interface Block {
  readonly language: string;
  readonly text: string;
}

/** Fenced blocks in their order, without the indentation of a list that they stand in. */
export function codeBlocks(page: string): Block[] {
  return [...page.matchAll(/^( *)```(\w+)\n(.*?)^ *```$/gms)].map(([, indent = "", language = "", text = ""]) => ({
    language,
    text: text.replaceAll(new RegExp(`^${indent}`, "gm"), ""),
  }));
}

/** What is below this heading of the second level, without the heading. Throws if there is none. */
export function chapter(page: string, heading: string): string {
  const [, text] = page.split(`\n## ${heading}\n`);
  if (text === undefined) throw new Error(`expected a chapter ${JSON.stringify(heading)}`);
  return text.split("\n## ")[0] ?? "";
}

/** The one block of this language that holds `words`. Throws if there is none, or another. */
export function blockWith(page: string, language: string, words: string): string {
  const found = codeBlocks(page).filter((block) => block.language === language && block.text.includes(words));
  const [block] = found;
  if (block === undefined || found.length > 1) {
    throw new Error(`expected one ${language} block with ${JSON.stringify(words)}, found ${found.length}`);
  }
  return block.text;
}

/** The cells of every row of every table, headings among them. */
export function tableRows(page: string): string[][] {
  return [...page.matchAll(/^\|(.*)\|$/gm)].map(([, row = ""]) => row.split("|").map((cell) => cell.trim()));
}

/** Everything in backticks that is not a block. */
export function codeWords(page: string): string[] {
  return [...page.replaceAll(/^ *```.*?^ *```$/gms, "").matchAll(/`([^`\n]+)`/g)].map(([, word = ""]) => word);
}
