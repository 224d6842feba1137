/** Holds every import of src/ (static, type-only, re-exported or dynamic) to the table in `layers.ts`. */
import { posix } from "node:path";
import { knowsThePlatform, layerOf, layers, mayImport, mayImportPackage, rowOf } from "./layers.ts";
import { literalText, pathBelowSrc, type Node, type Rule } from "./rule.ts";

export const importArrows: Rule = {
  create(context) {
    const from = pathBelowSrc(context.filename);
    if (from === undefined) return {};

    const check = (node: Node): void => {
      const specifier = literalText(node["source"]);
      if (specifier === undefined) return;
      const message = objection(from, specifier);
      if (message !== undefined) context.report({ message, node });
    };
    return {
      ImportDeclaration: check,
      ExportNamedDeclaration: check,
      ExportAllDeclaration: check,
      ImportExpression: check,
      TSImportType: check,
    };
  },
};

/** Why the file at `from` (below src/) must not import `specifier`, or undefined when it may. */
function objection(from: string, specifier: string): string | undefined {
  if (specifier.startsWith("cloudflare:")) {
    if (knowsThePlatform.some((path) => path.test(from))) return undefined;
    return `only src/objects, src/worker.ts and src/backup/destinations/r2 import "${specifier}"; take what you need as a parameter`;
  }
  const layer = layerOf(from);
  const row = layers[rowOf(layer)];
  if (row === undefined) return `${layer} is not a layer of .oxlint/layers.ts: give it a row there`;
  const list = (allowed: readonly string[], nothing: string): string =>
    allowed.length === 0 ? nothing : allowed.join(", ");
  if (!specifier.startsWith(".")) {
    if (mayImportPackage(from, specifier)) return undefined;
    return `${layer} must not import the package "${specifier}"; it may import ${list(row.packages ?? [], "none")}`;
  }

  const to = posix.join(posix.dirname(from), specifier);
  if (to.startsWith("../")) return `"${specifier}" lies outside src/, which is all that the product may import`;
  if (mayImport(from, to)) return undefined;
  if (row.except?.includes(to) === true) return `${layer} must not import ${to}`;
  return `${layer} must not import ${layerOf(to)}; it may import ${list(row.imports, "nothing else of ours")}`;
}
