/** docs/small-app.md followed literally: the app from Python, from a Worker and from a browser, all over the same entries. */
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Page } from "playwright-core";
import { afterAll, expect, onTestFinished, test } from "vitest";
import { launchBrowser, whyNoBrowser } from "../support/browser.ts";
import { freePort } from "../support/cut-proxy.ts";
import { servePage } from "../support/served-page.ts";
import { startTestServer } from "../support/server.ts";
import { startWorker } from "../support/worker-program.ts";
import { chapter, codeBlocks, readPage, repository } from "./markdown.ts";
import { typed } from "./server-shell.ts";
import { type Shell, startShell } from "./shell.ts";

const page = readPage("docs/small-app.md");
const blocksOf = (heading: string): string[] => codeBlocks(chapter(page, heading)).map(({ text }) => text);
const [, minting = ""] = codeBlocks(page).map(({ text }) => text);

const server = await startTestServer();
afterAll(() => server.close());

const whyNoPython =
  spawnSync("python3", ["--version"]).status === 0
    ? null
    : "There is no python3 on the PATH. Install it with: sudo apt-get install python3";

/** A shell with the page's variables and the token for pages of this origin. `token`: prints it. */
async function openShell(origin = "http://localhost:8080"): Promise<{ shell: Shell; token: string }> {
  const { url, organizationId, adminToken, databaseId } = server;
  const variables = {
    CAIRN_URL: url,
    ORGANIZATION_ID: organizationId,
    ADMIN_TOKEN: adminToken,
    DATABASE_ID: databaseId,
  };
  const shell = startShell(repository, variables);
  await shell.type(minting.replace("http://localhost:8080", origin));
  const [, token = ""] = /made (cairn_\S+)/.exec(await typed(shell, 'echo "made $TOKEN"')) ?? [];
  return { shell, token };
}

test("from Python: to-dos, visits, a session that ends, and a dashboard that goes on when the server was killed", async (context) => {
  if (whyNoPython !== null) return context.skip(whyNoPython);
  const { shell } = await openShell();
  const [commands = "", watching = "", shown = ""] = blocksOf("From Python");
  const said = await typed(shell, commands);
  const [id = "none"] = /^[0-9a-f-]{36}/m.exec(said) ?? [];
  expect(said).toContain(`${id} [ ] buy milk`);
  await shell.type(`${watching.trim()} &`);
  await shell.saw([shown.trim()]);
  const app = "python3 examples/small-app/app.py";
  await shell.type(`${app} done ${id}; ${app} enter bob 0.5`);
  await shell.saw(["1 to-dos, 1 done; 1 visits; here: alice, bob"]);
  await expect.poll(() => shell.output().trimEnd()).toMatch(/here: alice$/);
  process.kill(server.workerdPid(), "SIGKILL");
  await shell.type(`until ${app} visit 2>/dev/null; do sleep 0.2; done`);
  await shell.saw(["1 to-dos, 1 done; 2 visits; here: alice"]);
  expect(await typed(shell, `${app} done nobody; TOKEN=cairn_x ${app} list; env -u TOKEN ${app} list`)).toMatch(
    /^404 There is no entry.*\n401 .*\nSet TOKEN/,
  );
});

test("from a Worker, as wrangler runs it", async () => {
  const { shell } = await openShell();
  const port = `${await freePort()}`;
  const [starting = "", asking = ""] = blocksOf("From a Worker").map((text) => text.replaceAll("8787", port));
  await shell.type(`${starting.trim()} --inspector-port=0 &`);
  await shell.saw([`Ready on http://localhost:${port}`]);
  // A line of wrangler's log may come behind it.
  const [, state = ""] = /^(\{"todos".*\})/m.exec(await typed(shell, asking)) ?? [];
  // As the Worker answers.
  const { todos, visits, here } = JSON.parse(state) as {
    todos: { id: string; text: string }[];
    visits: string;
    here: string[];
  };
  expect(todos.map(({ text }) => text)).toContain("water the plants");
  expect([here.includes("bob"), Number(visits) > 0]).toEqual([true, true]);
  const { id = "" } = todos.find(({ text }) => text === "water the plants") ?? {};
  expect(await typed(shell, `curl -sS -X POST http://localhost:${port}/todos/${id}/done`)).toContain('"done":true');
  expect(await typed(shell, `curl -sS -X POST http://localhost:${port}/todos/none/done`)).toContain("Nothing is here.");
});

/** A window of the page, from wherever it is served. */
async function openWindow(origin: string, token: string, name: string): Promise<Page> {
  const browser = await launchBrowser();
  onTestFinished(() => browser.close());
  const window = await browser.newPage();
  await window.clock.install();
  await window.goto(`${origin}/#server=${server.url}&database=${server.databaseId}&token=${token}&name=${name}`);
  await window.waitForFunction('document.getElementById("state").textContent === "live"');
  return window;
}

test("from a web page, live beside the others, and again after an answer that is an error", async (context) => {
  if (whyNoBrowser !== null) return context.skip(whyNoBrowser);
  const origin = await servePage(readFileSync(join(repository, "examples/small-app/index.html"), "utf8"));
  const { token } = await openShell(origin);
  const window = await openWindow(origin, token, "carol");
  await expect.poll(() => window.textContent("#here")).toContain("carol");
  await window.fill("#text", "<b>call</b> the bank");
  await window.click("button");
  const todos = (): Promise<string | null> => window.textContent("#todos");
  await expect.poll(todos).toContain("<b>call</b> the bank");

  const worker = await startWorker(
    { config: join(repository, "examples/small-app/wrangler.toml") },
    { CAIRN_URL: server.url, DATABASE_ID: server.databaseId, TOKEN: token },
  );
  const ask = async (path: string, init?: { method: string; body: string }): Promise<string> =>
    (await worker.fetch(`http://app.example${path}`, init)).text();
  const before = Number(await window.textContent("#visits"));
  await ask("/todos", { method: "POST", body: "from a Worker" });
  expect(await ask("/")).toContain("<b>call</b> the bank");
  await expect.poll(todos).toContain("from a Worker");
  await expect.poll(() => window.textContent("#visits")).toBe(String(before + 1));
  await window.locator("li", { hasText: "the bank" }).locator("input").check();
  await expect.poll(() => ask("/")).toMatch(/"text":"<b>call<\/b> the bank","done":true/);

  // A session that nobody renews.
  const session = `${server.url}/api/databases/${server.databaseId}/entries/app/sessions/dave?values=plain&expireIn=600`;
  const headers = { authorization: `Bearer ${token}` };
  await fetch(session, { method: "PUT", headers, body: '{"name":"dave"}' });
  await expect.poll(() => window.textContent("#here")).toContain("dave");
  await expect.poll(() => window.textContent("#here")).not.toContain("dave");

  // As the answer of a proxy whose server starts again: a browser does not come back by itself after that.
  await window.route("**/watch?**", (route) => route.fulfill({ status: 503 }), { times: 1 });
  await window.reload();
  await window.waitForFunction('document.getElementById("state").textContent === "connecting…"');
  await expect.poll(() => window.clock.fastForward(5_000).then(() => window.textContent("#state"))).toBe("live");
  await expect.poll(todos).toContain("from a Worker");
});
