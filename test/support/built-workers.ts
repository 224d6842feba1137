/** The Workers that servers of tests run, each built once in a run of the tests. */
import { createHash, randomUUID } from "node:crypto";
import { existsSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { bundleWorker } from "../../src/local/bundle.ts";
import { isFailure, type Failure } from "../../src/core/errors.ts";

/** The variable with the folder that test/support/built-global-setup.ts makes for a run. */
export const BUILT_WORKERS = "CAIRN_TEST_BUILT_WORKERS";

/** As `bundleWorker`, which it calls when nobody in this run has built this Worker yet, and always outside a run of the tests. */
export async function builtWorker(entry: string): Promise<string | Failure> {
  const folder = process.env[BUILT_WORKERS];
  if (folder === undefined) return bundleWorker(entry);
  const file = join(folder, `${createHash("sha256").update(entry).digest("hex")}.js`);
  if (existsSync(file)) return readFileSync(file, "utf8");
  const worker = await bundleWorker(entry);
  if (isFailure(worker)) return worker;
  // Another process may build it at the same time: whoever reads the file finds one whole Worker.
  const own = join(folder, randomUUID());
  writeFileSync(own, worker);
  renameSync(own, file);
  return worker;
}
