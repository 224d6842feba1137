/**
 * What the many servers of a run share: a folder where each Worker is kept that was built (`builtWorker`), and one where Node keeps what it
 * has compiled. Both are gone after the run.
 */
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestProject } from "vitest/node";
import { BUILT_WORKERS } from "./built-workers.ts";

export default function setup(project: TestProject): () => void {
  const folder = mkdtempSync(join(tmpdir(), "cairn-built-"));
  const [workers, compiled] = [join(folder, "workers"), join(folder, "compiled")];
  const empty = (): void => {
    rmSync(workers, { recursive: true, force: true });
    mkdirSync(workers);
  };
  empty();
  // The sources may have changed since.
  project.onTestsRerun(empty);
  process.env[BUILT_WORKERS] = workers;
  process.env["NODE_COMPILE_CACHE"] = compiled;
  return () => rmSync(folder, { recursive: true, force: true });
}
