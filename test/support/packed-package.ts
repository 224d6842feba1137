/**
 * The package as `npm pack` makes it, unpacked into a folder's node_modules: what people install. It is packed in a copy of the checkout,
 * because several tests may do so at the same time.
 */
import { execFile } from "node:child_process";
import { randomUUID } from "node:crypto";
import { cpSync, existsSync, mkdirSync, renameSync, writeFileSync } from "node:fs";
import { delimiter, join } from "node:path";
import { promisify } from "node:util";
import { BUILT_WORKERS } from "./built-workers.ts";

const repository = join(import.meta.dirname, "../..");
const FILES = ["package.json", "tsconfig.json", "wrangler.toml", "CHANGELOG.md", "README.md", "LICENSE", "src"];
const run = promisify(execFile);

/** Programs in the folder can import the package. It is packed once in a run of the tests. */
export async function installPackage(folder: string): Promise<void> {
  const shared = process.env[BUILT_WORKERS];
  const packed = join(shared ?? folder, "package.tgz");
  if (!existsSync(packed)) await pack(folder, packed);
  await run("tar", ["-xzf", packed], { cwd: folder });
  mkdirSync(join(folder, "node_modules"));
  renameSync(join(folder, "package"), join(folder, "node_modules/cairn-kv"));
  writeFileSync(join(folder, "package.json"), '{"type":"module"}');
}

async function pack(folder: string, into: string): Promise<void> {
  const checkout = join(folder, "checkout");
  for (const name of FILES) cpSync(join(repository, name), join(checkout, name), { recursive: true });
  const path = [join(repository, "node_modules/.bin"), process.env["PATH"] ?? ""].join(delimiter);
  const env = { ...process.env, PATH: path };
  const { stdout } = await run("npm", ["pack", "--json", "--pack-destination", folder], { cwd: checkout, env });
  // As npm documents it.
  const [{ filename } = { filename: "" }] = JSON.parse(stdout) as { readonly filename: string }[];
  // Whoever finds the file finds all of it. The folders may be on two file systems.
  const own = `${into}.${randomUUID()}`;
  cpSync(join(folder, filename), own);
  renameSync(own, into);
}
