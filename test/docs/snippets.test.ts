/** The Deno programs of the pages have no errors of types, as a reader's editor or `deno check` would show them. */
import { execFile } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { temporaryFolder } from "../local/stand-in-server.ts";
import { codeBlocks, pages, readPage, repository } from "./markdown.ts";

const programs = pages.flatMap((path) =>
  codeBlocks(readPage(path))
    .filter(({ language }) => language === "ts")
    .map(({ text }) => ({ path, text })),
);

test("Deno finds no error in any of them", async () => {
  const folder = temporaryFolder();
  const files = programs.map(({ path, text }, i) => {
    const file = join(folder, `${path.replaceAll(/\W/g, "-")}-${i}.ts`);
    writeFileSync(file, text);
    return file;
  });
  expect(files.length).toBeGreaterThan(3);
  const deno = join(repository, "node_modules/.bin/deno");
  // It throws with what Deno has found.
  await promisify(execFile)(deno, ["check", "--unstable-kv", "--no-config", ...files], {
    cwd: folder,
    env: { ...process.env, NO_COLOR: "1", DENO_NO_UPDATE_CHECK: "1" },
  });
});
