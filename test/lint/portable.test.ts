/**
 * Cloudflare's types are known only where the platform is wired in: everything else of src/ is compiled without them
 * (`tsconfig.portable.json`), and so without whatever the package that declares them declares.
 */
import { execFile } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { join, relative } from "node:path";
import { expect, test } from "vitest";
import { knowsThePlatform } from "../../.oxlint/layers.ts";

const root = join(import.meta.dirname, "../..");
const fixtures = join(import.meta.dirname, "fixtures");
const FIXTURE = "src/engine/platform-types.ts";

/** What the compiler prints, with or without errors. */
async function compiled(folder: string, ...options: string[]): Promise<string[]> {
  const tsc = join(root, "node_modules/.bin/tsc");
  const args = ["-p", join(folder, "tsconfig.portable.json"), "--pretty", "false", ...options];
  const output = await new Promise<string>((resolve) => {
    // It exits with 1 or 2 because it finds what it should find.
    execFile(tsc, args, { cwd: folder, maxBuffer: 1 << 24 }, (_exit, stdout) => resolve(stdout));
  });
  return output.split("\n");
}

function pathsIn(folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: "utf8" }).map((path) => path.replaceAll("\\", "/"));
}

test("exactly the lines that name something of Cloudflare's are not compiled", async () => {
  const lines = readFileSync(join(fixtures, FIXTURE), "utf8").split("\n");
  const wrong = lines.flatMap((line, index) => (line.endsWith("// not compiled") ? [index + 1] : []));
  expect(wrong.length).toBeGreaterThan(5);
  const errors = (await compiled(fixtures)).flatMap((line) => {
    const [, file, number] = /^(\S+)\((\d+),\d+\): error /.exec(line) ?? [];
    return file === FIXTURE ? [Number(number)] : [];
  });
  expect([...new Set(errors)]).toEqual(wrong);
});

test("every file is compiled so, except those that may know the platform, and Node's", async () => {
  const src = join(root, "src");
  const listed = await compiled(root, "--listFilesOnly");
  const held = listed.map((path) => relative(src, path).replaceAll("\\", "/"));
  const free = (path: string): boolean =>
    knowsThePlatform.some((known) => known.test(path)) || path.startsWith("local/");
  const wanted = pathsIn(src).filter((path) => path.endsWith(".ts") && !free(path));
  expect(wanted.length).toBeGreaterThan(200);
  expect(held.filter((path) => !path.startsWith("..")).toSorted()).toEqual(wanted.toSorted());
});
