/**
 * Who may import whom in src/, of ours and of npm's. A file's layer is the row with the longest path that it lies below; a layer imports
 * itself and what its row lists, and nothing else. Each door is a layer of its own, so doors never know each other; what they share is
 * `doors/http`. The rule that reads this table is `import-arrows.ts`; test/lint shows that each arrow bites.
 *
 * `documents`, `cli` and `console` are planned: their rows hold from their first file on.
 */

interface Layer {
  /** Layers that it may import: rows of this table. */
  readonly imports: readonly string[];
  /** Packages of npm, and `node:` for Node's own modules. */
  readonly packages?: readonly string[];
  /** Paths below src/ that it must not import, though it may import their layer. */
  readonly except?: readonly string[];
}

const values = ["core", "codec"];
const shared = [...values, "contracts"];
const backup = [
  "backup",
  "backup/format",
  "backup/destinations",
  "backup/continuous",
  "backup/recovery",
  "backup/archives",
];

export const layers: Readonly<Record<string, Layer>> = {
  core: { imports: [] },
  codec: { imports: ["core"] },
  contracts: { imports: values },
  engine: { imports: shared },
  documents: { imports: [...shared, "engine"] },
  "documents/access": { imports: shared, packages: ["jose"] },
  "backup/format": { imports: shared, packages: ["node:"] },
  "backup/destinations": { imports: shared, packages: ["aws4fetch"] },
  // What its two halves share. Going back in time knows nothing of how a backup is made.
  backup: { imports: [...shared, "backup/format", "backup/destinations"] },
  "backup/recovery": { imports: [...shared, "backup", "backup/format", "backup/destinations"] },
  "backup/continuous": { imports: [...shared, "backup", "backup/format", "backup/destinations", "backup/recovery"] },
  // Restores are one kind of work, whether they read a continuous backup or an archive. croner computes when a schedule is due.
  "backup/archives": {
    imports: [...shared, "backup", "backup/format", "backup/destinations", "backup/recovery"],
    packages: ["croner"],
  },
  directory: { imports: shared },
  objects: { imports: [...shared, "engine", "documents", ...backup, "directory"] },
  "doors/http": { imports: shared },
  "doors/*": { imports: [...shared, "doors/http"] },
  "doors/management": { imports: [...shared, "doors/http"], packages: ["chanfana", "itty-router", "zod"] },
  "worker.ts": {
    imports: [...shared, "documents/access", "directory", "objects", "doors/http", "doors/*", "doors/management"],
  },
  client: { imports: values, except: ["core/storage.ts", "core/migrations.ts"] },
  cli: { imports: [...values, "client"], packages: ["node:"] },
  console: { imports: [...values, "client"] },
  // Its front answers KV Connect's data path by the door's own rules.
  local: { imports: [...shared, "doors/http", "doors/*"], packages: ["node:", "esbuild"] },
};

/**
 * Paths below src/ whose code talks to the platform itself: they may import `cloudflare:*` and name its types. Everything else is
 * compiled without them (`tsconfig.portable.json`), or is Node's (`local/`).
 */
export const knowsThePlatform = [/^objects\//, /^worker\.ts$/, /^backup\/destinations\/r2\.ts$/];

/** Paths below src/ that hand the real clock, timers and randomness to the others, or run in the programs of others. */
export const ownsTheClock = [/^objects\/system\.ts$/, /^local\//, /^client\//];

/** "core", "backup/format", "doors/rest", "worker.ts": the layer of a path below src/. */
export function layerOf(path: string): string {
  const [first = "", second = ""] = path.split("/");
  const below = `${first}/${second}`;
  return below in layers || (first === "doors" && second !== "") ? below : first;
}

/** The table's row for a layer: doors share one, unless they have their own. */
export function rowOf(layer: string): string {
  return layer in layers || !layer.startsWith("doors/") ? layer : "doors/*";
}

/** `from`, `to`: paths below src/. */
export function mayImport(from: string, to: string): boolean {
  const [fromLayer, toLayer] = [layerOf(from), layerOf(to)];
  if (fromLayer === toLayer) return true;
  const row = layers[rowOf(fromLayer)];
  if (row === undefined || row.except?.includes(to) === true) return false;
  return row.imports.includes(rowOf(toLayer));
}

/** `specifier`: as it is imported, "jose" or "node:fs". */
export function mayImportPackage(from: string, specifier: string): boolean {
  const allowed = layers[rowOf(layerOf(from))]?.packages ?? [];
  return allowed.some((one) => (one.endsWith(":") ? specifier.startsWith(one) : `${specifier}/`.startsWith(`${one}/`)));
}
