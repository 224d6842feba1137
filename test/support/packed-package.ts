/**
 * The package as `npm pack` makes it, unpacked into a folder's node_modules: what people install. It is packed in a copy of the checkout,
 * because several tests may do so at the same time.
 */
import { execFile } from "node:child_process";
import { cpSync, mkdirSync, renameSync, writeFileSync } from "node:fs";
import { delimiter, join } from "node:path";
import { promisify } from "node:util";

const repository = join(import.meta.dirname, "../..");
const FILES = ["package.json", "tsconfig.json", "wrangler.toml", "CHANGELOG.md", "README.md", "LICENSE", "src"];
const run = promisify(execFile);

/** Programs in the folder can import the package. */
export async function installPackage(folder: string): Promise<void> {
  const checkout = join(folder, "checkout");
  for (const name of FILES) cpSync(join(repository, name), join(checkout, name), { recursive: true });
  const path = [join(repository, "node_modules/.bin"), process.env["PATH"] ?? ""].join(delimiter);
  const env = { ...process.env, PATH: path };
  await run("npm", ["pack", "--pack-destination", folder], { cwd: checkout, env });
  await run("sh", ["-c", "tar -xzf cairn-kv-*.tgz"], { cwd: folder });
  mkdirSync(join(folder, "node_modules"));
  renameSync(join(folder, "package"), join(folder, "node_modules/cairn-kv"));
  writeFileSync(join(folder, "package.json"), '{"type":"module"}');
}
