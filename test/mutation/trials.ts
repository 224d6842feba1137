/**
 * Each mutant is put into a copy of the tree and the tests run until one fails: first the test files that import the mutated file, and
 * of these the quickest first. A mutant may make a test endless, so each test file has a deadline, measured by what it takes unchanged.
 */
import { cpSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { mutated, type Mutant } from "./mutants.ts";
import { TestProcess, type Outcome } from "./test-process.ts";

export type Verdict = "killed" | "timeout" | "survived" | "not tried";

export interface Trial {
  readonly mutant: Mutant;
  readonly verdict: Verdict;
  /** The test that noticed it. */
  readonly by: string | undefined;
  readonly ms: number;
}

interface TestFile {
  /** Below the root. */
  readonly path: string;
  readonly code: string;
  readonly ms: number;
}

/** In the root: what is large and is no source. */
const NOT_COPIED = new Set([".cairn", ".git", ".wrangler", "dist", "node_modules"]);
/** A busy machine may take this much longer than it took for the unchanged code. */
const PATIENCE = 4;
const LEAST_DEADLINE_MS = 20_000;

export class Trials {
  readonly #root: string;
  readonly #trees: readonly Tree[];
  readonly #endsAt: number;

  /** `folder`: a new one, for `workers` copies of the tree at `root`. No mutant is tried after `endsAt`. */
  constructor(root: string, folder: string, workers: number, endsAt: number) {
    this.#root = root;
    this.#trees = Array.from({ length: workers }, (_, i) => new Tree(root, join(folder, String(i))));
    this.#endsAt = endsAt;
  }

  /** Runs the unchanged tests; throws with the first failure, since then they tell nothing about mutants. */
  async measure(paths: readonly string[], onMeasured: (path: string, ms: number) => void): Promise<TestFile[]> {
    return this.#each(paths, async (tree, path) => {
      const startedAt = Date.now();
      const outcome = await tree.run(path, this.#endsAt - startedAt);
      const ms = Date.now() - startedAt;
      if (outcome.kind === "timeout") throw new Error(`${path} did not end within the time that --minutes gives.`);
      if (outcome.kind === "failed") throw new Error(`${path} fails without any change: ${outcome.failure}`);
      onMeasured(path, ms);
      return { path, code: readFileSync(join(this.#root, path), "utf8"), ms };
    });
  }

  try(mutants: readonly Mutant[], tests: readonly TestFile[], onTrial: (trial: Trial) => void): Promise<Trial[]> {
    return this.#each(mutants, async (tree, mutant) => {
      const startedAt = Date.now();
      const original = readFileSync(join(this.#root, mutant.file), "utf8");
      tree.write(mutant.file, mutated(original, mutant));
      const [verdict, by] = await this.#verdict(tree, inOrder(tests, mutant.file));
      tree.write(mutant.file, original);
      const trial = { mutant, verdict, by, ms: Date.now() - startedAt };
      onTrial(trial);
      return trial;
    });
  }

  /** Kills what runs. */
  stop(): void {
    for (const tree of this.#trees) tree.stop();
  }

  async #verdict(tree: Tree, tests: readonly TestFile[]): Promise<[Verdict, string | undefined]> {
    for (const { path, ms } of tests) {
      const deadline = Math.max(LEAST_DEADLINE_MS, ms * PATIENCE);
      const left = this.#endsAt - Date.now();
      if (left <= 0) return ["not tried", undefined];
      let outcome = await tree.run(path, Math.min(deadline, left));
      // On a busy machine a test may fail without any mutant, though hardly twice in a row.
      if (outcome.kind === "failed") outcome = await tree.run(path, Math.min(deadline, left));
      if (outcome.kind === "failed") return ["killed", `${basename(path)}: ${outcome.failure}`];
      if (outcome.kind === "timeout") return deadline < left ? ["timeout", path] : ["not tried", undefined];
    }
    return ["survived", undefined];
  }

  /** Every tree takes the next one until none is left. The results are in the order of the items. */
  async #each<Item, Result>(
    items: readonly Item[],
    work: (tree: Tree, item: Item) => Promise<Result>,
  ): Promise<Result[]> {
    const results: Result[] = [];
    const next = items.entries();
    await Promise.all(
      this.#trees.map(async (tree) => {
        for (const [index, item] of next) results[index] = await work(tree, item);
      }),
    );
    return results;
  }
}

class Tree {
  readonly #folder: string;
  readonly #tests: TestProcess;
  /** What the process of the tests does not know of yet: a mutated file, and the one that was mended before it. */
  readonly #changed = new Set<string>();

  constructor(root: string, folder: string) {
    this.#folder = folder;
    mkdirSync(folder);
    for (const name of readdirSync(root)) {
      if (!NOT_COPIED.has(name)) cpSync(join(root, name), join(folder, name), { recursive: true });
    }
    symlinkSync(join(root, "node_modules"), join(folder, "node_modules"));
    this.#tests = new TestProcess(folder);
  }

  write(file: string, code: string): void {
    const path = join(this.#folder, file);
    writeFileSync(path, code);
    this.#changed.add(path);
  }

  run(test: string, deadlineMs: number): Promise<Outcome> {
    const changed = [...this.#changed];
    this.#changed.clear();
    return this.#tests.run({ test: join(this.#folder, test), changed }, deadlineMs);
  }

  stop(): void {
    this.#tests.stop();
  }
}

function inOrder(tests: readonly TestFile[], file: string): TestFile[] {
  const imports = ({ code }: TestFile) => code.includes(`${file}"`);
  return [...tests].toSorted((a, b) => Number(imports(b)) - Number(imports(a)) || a.ms - b.ms);
}
