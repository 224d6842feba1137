/**
 * The titles of all tests, read from the files without running them: the first argument of `test`, `it` and `describe`, with
 * `.each`, `.skipIf` and the like too; that of a function which hands its first parameter to one of them; and the members of what
 * has the type `Cases`, which are the titles of test/e2e/cases.
 */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { parseAst } from "vitest/node";
import { repository } from "./markdown.ts";

export interface Title {
  /** Relative to the repository. */
  readonly file: string;
  readonly line: number;
  /** Without the titles of the `describe`s around it. */
  readonly text: string;
}

const OF_VITEST: ReadonlySet<string> = new Set(["test", "it", "describe"]);
const MODIFIERS: ReadonlySet<string> = new Set(["only", "skip", "todo", "concurrent", "sequential", "fails"]);

export function allTitles(): Title[] {
  return readdirSync(join(repository, "test"), { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".ts") && !name.endsWith(".d.ts") && !name.startsWith("lint/fixtures/"))
    .map((name) => `test/${name}`)
    .toSorted()
    .flatMap((file) => titlesIn(readFileSync(join(repository, file), "utf8"), file));
}

export function titlesIn(source: string, file: string): Title[] {
  const nodes = nodesOf(parseAst(source, { lang: "ts" }));
  const runners = new Set([...OF_VITEST, ...nodes.flatMap((node) => wrapperIn(node) ?? [])]);
  const named = nodes.flatMap((node) => {
    if (node.type === "CallExpression" && isRunner(node["callee"], runners)) return firstOf(node["arguments"]);
    if (node.type === "VariableDeclarator" && isCases(node["id"])) return membersOf(node["init"]);
    return [];
  });
  return named.flatMap((node) => {
    const text = textOf(node);
    const line = source.slice(0, Number(node["start"])).split("\n").length;
    return text === undefined ? [] : [{ file, line, text }];
  });
}

/** The name of a function that hands its first parameter on as a title. */
function wrapperIn(node: Node): string | undefined {
  if (node.type !== "FunctionDeclaration") return undefined;
  const [parameter] = firstOf(node["params"]);
  const handsOn = nodesOf(node["body"]).some((inner) => {
    if (inner.type !== "CallExpression" || !isRunner(inner["callee"], OF_VITEST)) return false;
    const [title] = firstOf(inner["arguments"]);
    return title?.type === "Identifier" && title["name"] === parameter?.["name"];
  });
  return handsOn && isNode(node["id"]) ? String(node["id"]["name"]) : undefined;
}

/** `test`, `test.only`, `test.skipIf(…)`, `test.each(…)`; not `test.each` itself, whose argument is a table. */
function isRunner(callee: unknown, runners: ReadonlySet<string>): boolean {
  if (!isNode(callee)) return false;
  if (callee.type === "Identifier") return runners.has(String(callee["name"]));
  if (callee.type === "CallExpression") return runners.has(rootOf(callee));
  const property = isNode(callee["property"]) ? String(callee["property"]["name"]) : "";
  return callee.type === "MemberExpression" && MODIFIERS.has(property) && runners.has(rootOf(callee));
}

/** The name at the start of a chain of members and calls. */
function rootOf(node: Node): string {
  if (node.type === "Identifier") return String(node["name"]);
  const before = node.type === "CallExpression" ? node["callee"] : node["object"];
  return isNode(before) ? rootOf(before) : "";
}

function isCases(id: unknown): boolean {
  return isNode(id) && nodesOf(id["typeAnnotation"]).some((node) => node["name"] === "Cases");
}

function membersOf(object: unknown): Node[] {
  const members = isNode(object) && Array.isArray(object["properties"]) ? object["properties"] : [];
  return members.flatMap((member: unknown) => (isNode(member) && isNode(member["key"]) ? [member["key"]] : []));
}

/** What a literal says; of a template, what stands between its expressions. */
function textOf(node: Node): string | undefined {
  if (node.type === "Literal") return typeof node["value"] === "string" ? node["value"] : undefined;
  if (node.type !== "TemplateLiteral" || !Array.isArray(node["quasis"])) return undefined;
  return node["quasis"].map((quasi: { readonly value: { readonly cooked: string } }) => quasi.value.cooked).join("…");
}

interface Node {
  readonly type: string;
  readonly [member: string]: unknown;
}

function isNode(value: unknown): value is Node {
  return typeof value === "object" && value !== null && "type" in value && typeof value.type === "string";
}

/** None or one. */
function firstOf(list: unknown): Node[] {
  return Array.isArray(list) && isNode(list[0]) ? [list[0]] : [];
}

/** It and all that is in it. */
function nodesOf(value: unknown): Node[] {
  if (Array.isArray(value)) return value.flatMap(nodesOf);
  return isNode(value) ? [value, ...Object.values(value).flatMap(nodesOf)] : [];
}
