/** docs/changes.md followed literally: its commands and programs run against a server as `npm start` runs it. */
import { spawn } from "node:child_process";
import { readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, expect, onTestFinished, test } from "vitest";
import { temporaryFolder } from "../local/stand-in-server.ts";
import { tryExchange } from "../support/management.ts";
import { launchBrowser, whyNoBrowser } from "../support/browser.ts";
import { servePage } from "../support/served-page.ts";
import { startTestServer } from "../support/server.ts";
import { blockWith, codeBlocks, readPage, repository } from "./markdown.ts";
import { typed } from "./server-shell.ts";
import { startShell } from "./shell.ts";

const page = readPage("docs/changes.md");
const server = await startTestServer();
const variables = {
  CAIRN_URL: server.url,
  DATABASE_ID: server.databaseId,
  TOKEN: server.accessToken,
  ADMIN_TOKEN: server.adminToken,
};
afterAll(() => server.close());

const shape = (text: string) =>
  text.replaceAll(/000[0-9a-f]{13}0000|000661…0000/g, "STAMP").replaceAll(/"timestamp":"[^"]*"/g, '"timestamp":"TIME"');

async function put(key: string, value: unknown): Promise<void> {
  const url = `${server.url}/api/databases/${server.databaseId}/entries/${key}?values=plain`;
  const headers = { authorization: `Bearer ${server.accessToken}` };
  expect((await fetch(url, { method: "PUT", headers, body: JSON.stringify(value) })).status).toBe(200);
}

/** Runs a program of the page, where npm's packages are found. */
function run(program: string, ...args: string[]): { output: () => string } {
  const folder = temporaryFolder();
  symlinkSync(join(repository, "node_modules"), join(folder, "node_modules"));
  const file = join(folder, "program.mjs");
  writeFileSync(file, program);
  const child = spawn(process.execPath, [...args, file], { env: { ...process.env, ...variables } });
  onTestFinished(() => void child.kill());
  let output = "";
  for (const out of [child.stdout, child.stderr])
    out.setEncoding("utf8").on("data", (text: string) => (output += text));
  return { output: () => output };
}

test("its commands give what it says", async () => {
  const folder = temporaryFolder();
  const shell = startShell(folder, variables);
  const [, ...blocks] = codeBlocks(page).flatMap(({ language, text }) => (language === "sh" ? [text] : []));
  const said: string[] = [];
  for (const block of blocks) said.push(await typed(shell, block));
  const [first = "", second = ""] = blockWith(page, "text", "event: entries").trim().split("\n\n");
  const output = shape(shell.output());
  await expect.poll(() => shape(shell.output())).toContain(`${shape(first)}\n\n`);
  const [before = "", after = ""] = shape(second).split("[…]");
  expect(output).toContain(before);
  expect(output).toContain(after);
  const [, , switched = "", read = "", , copied = ""] = said;
  expect(switched).toContain('"feed":{"retentionHours":24,"prefix":null}');
  expect(shape(read)).toContain(shape(blockWith(page, "json", '"type":"users"').trim()));
  expect(read).toMatch(/stream-next-offset: 000[0-9a-f]{13}0000/i);
  await expect.poll(() => shell.output()).toMatch(/event: data\ndata: \[\{"type":"users","key":"users\/bob"/);
  expect(shell.output()).toMatch(/event: control\ndata: \{"streamNextOffset"/);
  expect(readFileSync(join(folder, "copy.ndjson"), "utf8")).toContain("alice");
  expect(copied).toContain("[]");
  expect(said.at(-1)).toContain('"prefix":[{"type":"string","value":"users"}]');
});

test("its program follows the users", async () => {
  await put("users/carol", { name: "Carol" });
  const { output } = run(blockWith(page, "js", "@durable-streams/client"));
  await expect.poll(output).toMatch(/^[0-9a-f]{20} .*users\/carol/m);
  await put("users/dave", { name: "Dave" });
  await expect.poll(output).toMatch(/users\/carol.* users\/dave/);
});

/** The program of the page's chapter for web pages, which says in `shown` what it shows. */
function ofWebPage(dataToken: string, shown: string): string {
  const constants = Object.entries({ server: server.url, databaseId: server.databaseId, dataToken })
    .map(([name, text]) => `const ${name} = ${JSON.stringify(text)};\n`)
    .join("");
  return `${constants}const show = (shown) => ${shown};\n${blockWith(page, "js", "EventSource")}`;
}

test("its web page shows the to-dos, and says why it ends", async () => {
  const exchanged = await tryExchange(server);
  if (!("token" in exchanged)) throw new Error(exchanged.sentence);
  await put("todos/7", "ring the bank");
  const program = ofWebPage(exchanged.token, 'console.log("shown:", JSON.stringify(shown))');
  const { output } = run(program, "--experimental-eventsource");
  await expect.poll(output).toMatch(/shown: .*"ring the bank"/);
  await put("todos/7", "rang the bank");
  await expect.poll(output).toMatch(/shown: .*"rang the bank"/);
});

test("its web page does so in a browser, and asks again after an answer that is an error", async (context) => {
  if (whyNoBrowser !== null) return context.skip(whyNoBrowser);
  const origin = await servePage("<title>to-dos</title><p></p>");
  const minted = await fetch(`${server.url}/api/organizations/${server.organizationId}/tokens`, {
    method: "POST",
    headers: { authorization: `Bearer ${server.adminToken}` },
    body: JSON.stringify({ name: "page", permissions: ["read"], databases: "all", allowedOrigins: [origin] }),
  });
  const { token } = (await minted.json()) as { readonly token: string };
  const exchanged = await fetch(server.connectUrl, {
    method: "POST",
    headers: { authorization: `Bearer ${token}`, origin },
    body: '{"supportedVersions":[3]}',
  });
  const { token: dataToken } = (await exchanged.json()) as { readonly token: string };
  const browser = await launchBrowser();
  onTestFinished(() => browser.close());
  const window = await browser.newPage();
  await window.clock.install();
  await window.goto(origin);
  await put("todos/8", "water the plants");
  // As the answer of a proxy whose server starts again.
  await window.route("**/watch?**", (route) => route.fulfill({ status: 503 }), { times: 1 });
  const refused = window.waitForResponse((response) => response.status() === 503);
  await window.evaluate(ofWebPage(dataToken, 'document.querySelector("p").textContent = shown'));
  await refused;
  const shown = (): Promise<string | null> => window.textContent("p");
  await expect.poll(async () => window.clock.fastForward(5_000).then(shown)).toContain("water the plants");
  await put("todos/8", "watered");
  await expect.poll(shown).toContain("watered");
});
