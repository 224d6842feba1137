/** The walk through organizations, databases and tokens in docs/tokens.md, typed into a shell block by block. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { announced, runScript } from "../local/program.ts";
import { temporaryFolder } from "../local/stand-in-server.ts";
import { codeBlocks, readPage } from "./markdown.ts";
import { startShell } from "./shell.ts";

/** From making things to taking a token back. What follows tells of permissions, and has no commands to type. */
function section(): string {
  const page = readPage("docs/tokens.md");
  const end = page.indexOf("\n## What a token may do\n");
  return page.slice(0, end === -1 ? undefined : end);
}

test("every command works as it stands: a refused write, a revoked token, its watch ended and another's going on", async () => {
  const folder = temporaryFolder();
  const server = await announced(runScript("start", ["--port=0", "--json", `--persist-to=${join(folder, ".cairn")}`]));
  const shell = startShell(folder);
  const files = ["watch.ts", "write.ts"];
  expect([...section().matchAll(/Save this as `([\w.]+)`/g)].map(([, name]) => name)).toEqual(files);

  const steps: Readonly<Record<string, (text: string) => unknown>> = {
    ts: (text) => writeFileSync(join(folder, files.shift() ?? ""), text),
    // As `npx` would find it in the checkout, where a reader is.
    sh: (text) => shell.type(text.replaceAll("npx deno", "deno").replace("http://127.0.0.1:4512", server.url)),
    text: (text) => shell.saw(text.trim().split("\n")),
  };
  for (const { language, text } of codeBlocks(section())) await steps[language]?.(text);
  // What went on in the background has ended by itself, as the page says.
  await shell.type("wait");
  const seen = shell
    .output()
    .match(/^(first|second) (sees|ended).*$/gm)
    ?.toSorted();
  expect(seen).toEqual([
    "first ended: Failed to fetch metadata: The access token has been revoked.",
    "first sees null",
    "first sees placed",
    "second sees null",
    "second sees placed",
    "second sees shipped",
  ]);
});
