/**
 * Who may import whom in src/. A file's layer is the first folder below src/ (or the file itself, for src/worker.ts); a layer
 * imports itself and what is listed for it, and nothing else of ours. Each door is a layer of its own, so doors never know each
 * other; what they share is `doors/http`. The rule that reads this table is `import-arrows.ts`; test/lint shows that each arrow bites.
 */

interface Layer {
  /** Layers that it may import. */
  readonly imports: readonly string[];
  /** Paths below src/ that it may import besides: one file of a layer that it must not know as a whole. */
  readonly files?: readonly string[];
}

const everythingOnTheServer = [
  "core",
  "engine",
  "documents",
  "backup",
  "directory",
  "objects",
  "doors/http",
  "doors/*",
];

export const layers: Readonly<Record<string, Layer>> = {
  core: { imports: [] },
  engine: { imports: ["core"] },
  documents: { imports: ["core", "engine"] },
  backup: { imports: ["core"] },
  directory: { imports: ["core"] },
  objects: { imports: ["core", "engine", "documents", "backup", "directory"] },
  "doors/http": { imports: ["core"] },
  "doors/*": { imports: ["core", "doors/http"], files: ["objects/interface.ts"] },
  "worker.ts": { imports: everythingOnTheServer },
  client: { imports: ["core"] },
  cli: { imports: ["core", "client"] },
  console: { imports: ["core", "client"] },
  local: { imports: ["core", "client"] },
};

/** Paths below src/ whose code talks to the platform itself: they may import `cloudflare:*` and name its bindings' types. */
export const knowsThePlatform = [/^objects\//, /^worker\.ts$/, /^backup\/destinations\/r2/];

/** Paths below src/ that hand the real clock and the real randomness to the others. */
export const ownsTheClock = [/^objects\//, /^worker\.ts$/, /^local\//];

/** "core", "doors/kv-connect", "worker.ts": the layer of a path below src/. */
export function layerOf(path: string): string {
  const [first = "", second] = path.split("/");
  return first === "doors" && second !== undefined ? `doors/${second}` : first;
}

/** The table's row for a layer: all doors share one, but what they share has its own. */
export function rowOf(layer: string): string {
  return layer in layers || !layer.startsWith("doors/") ? layer : "doors/*";
}

export function mayImport(from: string, to: string): boolean {
  const [fromLayer, toLayer] = [layerOf(from), layerOf(to)];
  if (fromLayer === toLayer) return true;
  const row = layers[rowOf(fromLayer)];
  if (row === undefined) return false;
  return row.imports.includes(rowOf(toLayer)) || (row.files ?? []).includes(to);
}
