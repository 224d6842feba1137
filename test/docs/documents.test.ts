/** docs/documents.md followed literally: its programs and commands run against a server as `npm start` runs it. */
import { execFile } from "node:child_process";
import { symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { beforeAll, expect, test } from "vitest";
import { temporaryFolder } from "../local/stand-in-server.ts";
import { startTestServer, type TestServer } from "../support/server.ts";
import { blockWith, codeBlocks, readPage, repository } from "./markdown.ts";
import { typed } from "./server-shell.ts";
import { type Shell, startShell } from "./shell.ts";

const page = readPage("docs/documents.md");

let server: TestServer;

beforeAll(async () => {
  server = await startTestServer();
  return () => server.close();
});

function newShell(folder = temporaryFolder()): Shell {
  const { url: CAIRN_URL, databaseId: DATABASE_ID, adminToken: ADMIN_TOKEN, connectUrl: CAIRN_DATABASE_URL } = server;
  const DENO_KV_ACCESS_TOKEN = server.accessToken;
  return startShell(folder, { CAIRN_URL, DATABASE_ID, ADMIN_TOKEN, CAIRN_DATABASE_URL, DENO_KV_ACCESS_TOKEN });
}

/** What the commands print, without what the shell of the tests adds. */
async function lines(shell: Shell, commands: string): Promise<string[]> {
  const printed = (await typed(shell, commands)).replace(/block \d+ is done\n$/, "");
  return printed.replace(/\n$/, "").split("\n");
}

const blocks = codeBlocks(page);

/** Each block of a language, with what stands below it as its output. */
function withOutput(language: string): readonly { readonly text: string; readonly output: string }[] {
  return blocks.flatMap((block, i) => {
    const below = blocks[i + 1];
    return block.language === language && below?.language === "text" ? [{ text: block.text, output: below.text }] : [];
  });
}

test("its commands print what it says (D39)", async () => {
  const folder = temporaryFolder();
  const shell = newShell(folder);
  const [first] = withOutput("sh");
  expect(await lines(shell, first?.text ?? "")).toEqual(first?.output.trim().split("\n"));
  const places = await lines(shell, blockWith(page, "sh", "tables/shop/branches"));
  expect(places.at(-1)).toBe(blockWith(page, "json", "bund").trim());
  const [defined, refused, list, deleted] = await lines(shell, blockWith(page, "sh", "tables/shop/dishes"));
  expect(JSON.parse(defined ?? "")).toMatchObject({ appId: "shop", tableId: "dishes", inferred: false });
  expect(JSON.parse(refused ?? "")).toMatchObject({ status: 400, detail: expect.stringContaining("price") });
  expect(JSON.parse(list ?? "").items).toMatchObject([
    { tableId: "branches" },
    { tableId: "dishes" },
    { tableId: "menu", inferred: true },
  ]);
  expect(deleted ?? "").toBe("");
  writeFileSync(join(folder, "menu.ts"), blockWith(page, "ts", "Deno.openKv"));
  expect(await lines(shell, "deno run --allow-env --allow-net --unstable-kv menu.ts")).toEqual(["fried rice"]);
});

test("its programs print what it says (D30, D37)", async () => {
  const [key = ""] = await lines(newShell(), blockWith(page, "sh", "/keys"));
  const made = JSON.parse(key);
  const folder = temporaryFolder();
  // Where `npm install jsonwebtoken` would have put it.
  symlinkSync(join(repository, "node_modules"), join(folder, "node_modules"));
  writeFileSync(join(folder, "cdb.mjs"), blockWith(page, "js", "export async function cdb"));
  const cdb = {
    CDB_URL: `${server.url}/cdb`,
    CDB_ENV_ID: server.databaseId,
    CDB_KEY_ID: made.id,
    CDB_SECRET: made.secret,
  };
  const env = { ...process.env, ...cdb };
  const programs = withOutput("js");
  expect(programs).toHaveLength(8);
  for (const [i, { text, output }] of programs.entries()) {
    const file = join(folder, `program-${i}.mjs`);
    writeFileSync(file, text);
    const { stdout } = await promisify(execFile)(process.execPath, [file], { env });
    expect(stdout.trim()).toBe(output.trim());
  }
});
