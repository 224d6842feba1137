/** The repository as it is cloned, before `npm ci`: the scripts say what is missing, whatever Node runs npm. */
import { execFile } from "node:child_process";
import { cpSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { repository } from "./program.ts";
import { temporaryFolder } from "./stand-in-server.ts";

function cloned(): string {
  const root = temporaryFolder();
  for (const name of ["src", "package.json"]) cpSync(join(repository, name), join(root, name), { recursive: true });
  return root;
}

function run(
  root: string,
  script: string,
): Promise<{ readonly code: unknown; readonly stdout: string; readonly stderr: string }> {
  return new Promise((resolve) => {
    execFile("npm", ["run", "--silent", script], { cwd: root }, (error, stdout, stderr) =>
      resolve({ code: error?.code ?? 0, stdout, stderr }),
    );
  });
}

const sentence = "The packages that this needs are not installed yet. Run: npm ci\n";

test.each(["start", "dev", "secrets"])("npm run %s says so in one line", async (script) => {
  expect(await run(cloned(), script)).toEqual({ code: 1, stdout: "", stderr: sentence });
});

test("and so does npm start where the installation broke off", async () => {
  const root = cloned();
  mkdirSync(join(root, "node_modules/.bin"), { recursive: true });
  expect(await run(root, "start")).toEqual({ code: 1, stdout: "", stderr: sentence });
});
