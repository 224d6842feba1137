/** docs/http.md followed literally: its commands and programs run against a server as `npm start` runs it. */
import { execFile, spawnSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { promisify } from "node:util";
import { beforeAll, describe, expect, onTestFinished, test } from "vitest";
import type { ErrorCode } from "../../src/core/errors.ts";
import { failure } from "../../src/core/errors.ts";
import { problem } from "../../src/doors/http/problem.ts";
import { temporaryFolder } from "../local/stand-in-server.ts";
import { launchBrowser, whyNoBrowser } from "../support/browser.ts";
import { servePage } from "../support/served-page.ts";
import { startTestServer, type TestServer } from "../support/server.ts";
import { startWorker } from "../support/worker-program.ts";
import { blockWith, codeBlocks, readPage, tableRows } from "./markdown.ts";
import { bucketVariables, typed } from "./server-shell.ts";
import { startShell } from "./shell.ts";

const page = readPage("docs/http.md");

let server: TestServer;
let variables: Readonly<Record<"CAIRN_URL" | "DATABASE_ID" | "TOKEN", string>>;

beforeAll(async () => {
  server = await startTestServer();
  variables = { CAIRN_URL: server.url, DATABASE_ID: server.databaseId, TOKEN: server.accessToken };
  return () => server.close();
});

const commands = codeBlocks(page).flatMap(({ language, text }) => (language === "sh" ? [text] : []));
const [, ...following] = commands.filter((text) => !/-1[hm]/.test(text));
const [shortName = ""] = following;
const ofThePast = commands.filter((text) => /-1[hm]/.test(text));

test("its commands give what it says", async () => {
  const folder = temporaryFolder();
  const shell = startShell(folder, variables);
  const said: string[] = [];
  for (const block of following) said.push(await typed(shell, block));
  const [, one = "", condition = "", expiry = "", many = "", atomic = "", deleted = "", files = ""] = said;
  const [put = "", got = ""] = blockWith(page, "json", '"ok":true').trim().split("\n");
  const shape = (text: string) => text.replaceAll(/000[0-9a-f]{13}0000|000661…0000/g, "STAMP");
  expect(shape(one)).toContain(`${shape(put)}\n${shape(got)}`);
  expect(condition).toMatch(/"ok":true[\s\S]*"code":"conflict","versionstamp":"[\s\S]*somebody was faster/);
  expect(expiry).toMatch(/cairn-expires-at: \d{4}-/i);
  expect(many).toContain('"cursor"');
  expect(many).toMatch(/"count":3/);
  expect(many).toMatch(/"value":\{"item":"tea","n":3\}.*,null\]/);
  expect(atomic).toMatch(/^\{"ok":true/m);
  expect(deleted.match(/"count":1,/g)).toHaveLength(2);
  const lines = readFileSync(join(folder, "orders.ndjson"), "utf8").trimEnd().split("\n");
  expect(files).toContain(
    `"count":${lines.length},"skipped":0,"errors":0,"lineErrors":[],"nextLine":${lines.length + 1}`,
  );
});

test("what was deleted by mistake comes back with one command", async () => {
  const { url, databaseId, adminToken } = server;
  const bucket = await bucketVariables();
  const api = (path: string, method: string, body: object): Promise<Response> =>
    fetch(`${url}/api/databases/${databaseId}/${path}`, {
      method,
      headers: { authorization: `Bearer ${adminToken}` },
      body: JSON.stringify(body),
    });
  const enabled = await api("backup", "POST", {
    intervalMs: 500,
    destination: {
      kind: "s3",
      endpoint: bucket.S3_ENDPOINT,
      bucketRegion: bucket.S3_REGION,
      bucketName: bucket.S3_BUCKET,
      accessKeyId: bucket.S3_ACCESS_KEY_ID,
      secretAccessKey: bucket.S3_SECRET_ACCESS_KEY,
    },
  });
  expect(await enabled.text()).toContain('"id"');
  const authorization = `Bearer ${adminToken}`;
  const read = async (path: string): Promise<string> =>
    (await fetch(`${url}/api/databases/${databaseId}/${path}`, { headers: { authorization } })).text();
  await expect.poll(() => read("backup")).toContain('"code":"active"');
  for (const n of [11, 12]) await api(`entries/orders/~n${n}?values=plain`, "PUT", { n });
  const { versionstamp } = (await (await api("atomic", "POST", {})).json()) as { versionstamp: string };
  await api("entries:delete", "POST", { selector: { prefix: ["orders"] } });
  const shell = startShell(temporaryFolder(), variables);
  await shell.type(shortName.replace("curl", "curl --retry 30 --retry-delay 1"));
  // A minute ago the server was not there.
  const said: string[] = [];
  for (const block of ofThePast) said.push(await typed(shell, block.replaceAll(/-1[hm]/g, versionstamp)));
  const [then = "", undeleted = "", since = ""] = said;
  expect(then).toMatch(/"n":11.*"n":12/);
  const [listed, brought] = undeleted.match(/"count":(\d+)/g) ?? [];
  expect(listed).toBe(brought);
  expect(since).toMatch(/"change":"delete"[\s\S]*"changes":\[/);
  expect(await read("entries/orders/~n12?values=plain")).toContain('"n":12');
});

describe("the programs", () => {
  test("of a web page counts each visit once, however many come together", async () => {
    const constants = { server: server.url, databaseId: server.databaseId, token: server.accessToken };
    const { visit } = await load(withConstants(constants, blockWith(page, "js", "export async function visit")));
    const visits: number[] = await Promise.all(Array.from({ length: 5 }, () => visit()));
    expect(visits.toSorted((a, b) => a - b)).toEqual([1, 2, 3, 4, 5]);
  });

  test("of a web page does so in a browser, and a page of another origin may not", async (context) => {
    if (whyNoBrowser !== null) return context.skip(whyNoBrowser);
    const [origin, other] = [await servePage("<title>visits</title>"), await servePage("<title>another</title>")];
    const token = await mintToken({ allowedOrigins: [origin] });
    const constants = { server: server.url, databaseId: server.databaseId, token };
    const program = withConstants(constants, blockWith(page, "js", "export async function visit"));
    const browser = await launchBrowser();
    onTestFinished(() => browser.close());
    const visits = async (from: string, times: number): Promise<unknown> => {
      const window = await browser.newPage();
      await window.goto(from);
      const module = `new Blob([${JSON.stringify(program)}], { type: "text/javascript" })`;
      // As text: vitest rewrites the imports of functions.
      return window.evaluate(`import(URL.createObjectURL(${module}))
        .then(({ visit }) => Promise.all(Array.from({ length: ${times} }, () => visit())))
        .catch(String)`);
    };
    const [first, second] = (await Promise.all([visits(origin, 3), visits(origin, 3)])) as [number[], number[]];
    const all = [...first, ...second].toSorted((a, b) => a - b);
    const [least = 0] = all;
    expect(all).toEqual([0, 1, 2, 3, 4, 5].map((more) => least + more));
    expect(await visits(other, 1)).toBe("TypeError: Failed to fetch");
  });

  test("of a Worker keeps to-dos, under wrangler's dev server", async () => {
    const entrypoint = join(temporaryFolder(), "worker.mjs");
    writeFileSync(entrypoint, blockWith(page, "js", "env.CAIRN_URL"));
    const worker = await startWorker({ entrypoint }, variables);
    const ask = (init?: { method: "POST"; body: string }) => worker.fetch("http://todos.example/", init);
    expect((await ask({ method: "POST", body: "milk" })).status).toBe(200);
    await ask({ method: "POST", body: "tea" });
    const todos: unknown = await (await ask()).json();
    expect(todos).toHaveLength(2);
    expect(todos).toEqual(
      expect.arrayContaining([
        { text: "milk", done: false },
        { text: "tea", done: false },
      ]),
    );
  });

  test("in Python says what it has read", async (context) => {
    if (spawnSync("python3", ["--version"]).status !== 0) return context.skip("This machine has no python3.");
    const file = join(temporaryFolder(), "readings.py");
    writeFileSync(file, blockWith(page, "python", "urllib"));
    const { stdout } = await promisify(execFile)("python3", [file], { env: { ...process.env, ...variables } });
    expect(stdout).toBe("21.5 20\n412 conflict\n");
  });
});

test("the table of errors has the status of each code", async () => {
  const rows = tableRows(page).filter(([status = ""]) => /^\d{3}$/.test(status));
  const shown = new Map<string, string[]>();
  for (const [status = "", , codes = ""] of rows)
    for (const code of codes.replaceAll("`", "").split(", ")) shown.set(code, [...(shown.get(code) ?? []), status]);
  for (const [code, statuses] of shown) {
    // The page has the names of codes.
    expect(statuses).toContain(String(problem(failure(code as ErrorCode, "x")).status));
  }
  expect(shown.size).toBeGreaterThan(9);
});

/** An access token for this database. */
async function mintToken(scopes: Readonly<Record<string, unknown>>): Promise<string> {
  const { url, organizationId, databaseId, adminToken } = server;
  const answer = await fetch(`${url}/api/organizations/${organizationId}/tokens`, {
    method: "POST",
    headers: { authorization: `Bearer ${adminToken}` },
    body: JSON.stringify({ name: "page", permissions: ["read", "write"], databases: [databaseId], ...scopes }),
  });
  if (!answer.ok) throw new Error(await answer.text());
  return ((await answer.json()) as { readonly token: string }).token;
}

/** The program, in which these names are known. */
function withConstants(constants: Readonly<Record<string, string>>, program: string): string {
  const lines = Object.entries(constants).map(([name, text]) => `const ${name} = ${JSON.stringify(text)};\n`);
  return `${lines.join("")}${program}`;
}

/** A module of this text. */
async function load(text: string) {
  const file = join(temporaryFolder(), "program.mjs");
  writeFileSync(file, text);
  return import(pathToFileURL(file).href);
}
