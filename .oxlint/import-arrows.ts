/** Holds every import of src/ (static, type-only, re-exported or dynamic) to the table in `layers.ts`. */
import { posix } from "node:path";
import { knowsThePlatform, layerOf, layers, mayImport, rowOf } from "./layers.ts";
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
  if (!specifier.startsWith(".")) return undefined;

  const to = posix.join(posix.dirname(from), specifier);
  if (to.startsWith("../")) return `"${specifier}" lies outside src/, which is all that the product may import`;
  if (mayImport(from, to)) return undefined;

  const row = layers[rowOf(layerOf(from))];
  if (row === undefined) return `${layerOf(from)} is not a layer of .oxlint/layers.ts: give it a row there`;
  const allowed = [...row.imports, ...(row.files ?? [])].join(", ");
  return `${layerOf(from)} must not import ${layerOf(to)}; it may import ${allowed === "" ? "nothing else of ours" : allowed}`;
}
