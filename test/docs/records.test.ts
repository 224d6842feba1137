/** docs/records.md followed literally: its programs and commands run against a server as `npm start` runs it. */
import { execFile } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { promisify } from "node:util";
import { beforeAll, expect, test } from "vitest";
import { temporaryFolder } from "../local/stand-in-server.ts";
import { installPackage } from "../support/packed-package.ts";
import { startTestServer, type TestServer } from "../support/server.ts";
import { blockWith, codeBlocks, readPage } from "./markdown.ts";
import { typed } from "./server-shell.ts";
import { startShell } from "./shell.ts";

const page = readPage("docs/records.md");

let server: TestServer;
let variables: Readonly<Record<"CAIRN_URL" | "CAIRN_DATABASE_URL" | "DATABASE_ID" | "CAIRN_TOKEN", string>>;

beforeAll(async () => {
  server = await startTestServer();
  const { url, connectUrl, databaseId, accessToken } = server;
  variables = { CAIRN_URL: url, CAIRN_DATABASE_URL: connectUrl, DATABASE_ID: databaseId, CAIRN_TOKEN: accessToken };
  return () => server.close();
});

/** Each program, and what stands below it as its output. */
const programs = codeBlocks(page).flatMap(({ language, text }, i, blocks) => {
  const below = blocks[i + 1];
  return language === "js" && below?.language === "text" ? [{ program: text, output: below.text }] : [];
});

test("its programs print what it says (A19)", async () => {
  const folder = temporaryFolder();
  await installPackage(folder);
  expect(programs).toHaveLength(4);
  for (const [i, { program, output }] of programs.entries()) {
    const file = join(folder, `program-${i}.mjs`);
    writeFileSync(file, program);
    const { stdout } = await promisify(execFile)(process.execPath, [file], { env: { ...process.env, ...variables } });
    expect(stdout.trim()).toBe(output.trim());
  }
  const file = join(folder, "worker.mjs");
  writeFileSync(file, blockWith(page, "js", "export default"));
  // What the block exports.
  const { default: worker } = (await import(pathToFileURL(file).href)) as {
    readonly default: { fetch(request: Request, env: object): Promise<Response> };
  };
  const visit = async () => (await worker.fetch(new Request("http://worker.example"), variables)).text();
  expect([await visit(), await visit()]).toEqual(["visit 1\n", "visit 2\n"]);
});

test("its commands are answered", async () => {
  const shell = startShell(temporaryFolder(), variables);
  const said = await typed(shell, blockWith(page, "sh", "records()"));
  const [written, got, checked, several, listed, cleared, deleted] = said.trim().split("\n");
  expect([written, checked, deleted]).toEqual(["{}", "{}", "{}"]);
  expect(got).toMatch(/^\{"current_coupon":\{"value":\{"index":4\},"created_at":"[^"]+","expired_at":"[^"]+"\}\}$/);
  expect(several).toContain('"index":5');
  expect(listed).toMatch(/^\{"item":\{"current_coupon":/);
  expect(cleared).toBe('{"deleted":0,"isMoreResults":false,"endCursor":null}');
});
