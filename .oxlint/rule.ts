/** The little of ESLint's rule interface that our rules use. */

export interface Node {
  readonly type: string;
  readonly [property: string]: unknown;
}

export interface RuleContext {
  /** Absolute. */
  readonly filename: string;
  report(problem: { readonly message: string; readonly node: Node }): void;
}

export interface Rule {
  create(context: RuleContext): Readonly<Record<string, (node: Node) => void>>;
}

/**
 * The path below the innermost src/ folder, with forward slashes, or undefined outside of one. Innermost, so that the fixtures
 * in test/lint/fixtures/src stand for the real layers.
 */
export function pathBelowSrc(filename: string): string | undefined {
  const path = filename.replaceAll("\\", "/");
  const at = path.lastIndexOf("/src/");
  return at < 0 ? undefined : path.slice(at + "/src/".length);
}

/** The text of a string literal (or of a template without holes), or undefined for any other node. */
export function literalText(node: unknown): string | undefined {
  if (!isNode(node)) return undefined;
  return node.type === "Literal" && typeof node["value"] === "string" ? node["value"] : undefined;
}

export function isNode(value: unknown): value is Node {
  return typeof value === "object" && value !== null && "type" in value;
}

/** The name of an identifier node, or undefined for any other. */
export function identifierName(node: unknown): string | undefined {
  return isNode(node) && node.type === "Identifier" && typeof node["name"] === "string" ? node["name"] : undefined;
}
