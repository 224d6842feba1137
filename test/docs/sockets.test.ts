/** docs/sockets.md followed literally: its programs run, what is said on a socket is said, its examples are started. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { openKv } from "@deno/kv";
import { afterAll, describe, expect, onTestFinished, test } from "vitest";
import { SocketClose } from "../../src/contracts/socket.ts";
import {
  MAX_SOCKET_FRAME_BYTES,
  MAX_SOCKET_FRAME_REQUESTS,
  MAX_SOCKET_REQUESTS_IN_FLIGHT,
  MAX_SOCKET_WATCHES,
  MAX_SOCKETS,
} from "../../src/core/limits.ts";
import { temporaryFolder } from "../local/stand-in-server.ts";
import { launchBrowser, whyNoBrowser } from "../support/browser.ts";
import { freePort } from "../support/cut-proxy.ts";
import { tryExchange } from "../support/management.ts";
import { startTestServer } from "../support/server.ts";
import { subprotocols } from "../support/socket-client.ts";
import { blockWith, chapter, codeBlocks, readPage, repository, tableRows } from "./markdown.ts";
import { type Shell, startShell } from "./shell.ts";

const page = readPage("docs/sockets.md");

const server = await startTestServer();
afterAll(() => server.close());

/** A shell that has the variables of the page. */
function openShell(cwd: string): Shell {
  const { connectUrl: CONNECT_URL, accessToken: DENO_KV_ACCESS_TOKEN } = server;
  const { organizationId: ORGANIZATION_ID, adminToken: ADMIN_TOKEN, databaseId: DATABASE_ID } = server;
  return startShell(cwd, { CONNECT_URL, DENO_KV_ACCESS_TOKEN, ORGANIZATION_ID, ADMIN_TOKEN, DATABASE_ID });
}

/** As `npx` would find it in the checkout, where a reader is. */
const type = (shell: Shell, commands: string): Promise<void> =>
  shell.type(commands.replaceAll(/npx (deno|node|wrangler)/g, "$1"));

test("the shortest program shows the greeting and its change", async () => {
  const folder = temporaryFolder();
  const shell = openShell(folder);
  writeFileSync(join(folder, "watch.mjs"), blockWith(page, "js", "greeting:"));
  const [watching = "", writing = ""] = blockWith(page, "sh", "watch.mjs").trim().split("\n");
  const [first = "", second = ""] = blockWith(page, "text", "greeting:").trim().split("\n");
  await type(shell, watching);
  await shell.saw([first]);
  await type(shell, writing);
  await shell.saw([second]);
  expect(shell.output()).not.toContain("closed:");
});

test("the shortest program works in the console of a page of the server itself", async (context) => {
  if (whyNoBrowser !== null) return context.skip(whyNoBrowser);
  const browser = await launchBrowser();
  onTestFinished(() => browser.close());
  const window = await browser.newPage();
  const said: string[] = [];
  window.on("console", (message) => said.push(message.text()));
  expect(page).toContain("open http://127.0.0.1:4512/healthz,");
  await window.goto(`${server.url}/healthz`);
  const values = JSON.stringify({ CONNECT_URL: server.connectUrl, DENO_KV_ACCESS_TOKEN: server.accessToken });
  const program = blockWith(page, "js", "greeting:").replace("process.env", values);
  await window.evaluate(`(async () => {${program}})()`);
  await expect.poll(() => said).toContainEqual(expect.stringMatching(/^greeting: /));
});

/** A message of the page, and the responses that the page shows for it. `…` stands for any text. */
const said = codeBlocks(page)
  .filter(({ language }) => language === "json")
  .map(({ text }) => text);
const conversation = said.flatMap((request, i) => (i % 2 === 0 ? [[request, said[i + 1] ?? ""] as const] : []));

test("each request is answered as shown", async () => {
  const { socket, next } = await openSocket();
  expect(conversation.length).toBeGreaterThan(5);
  for (const [request, answer] of conversation) {
    socket.send(request);
    const shown = responsesIn(answer);
    expect(byId(await next(shown.length))).toEqual(byId(shown).map(withAnyText));
  }
  const renewal = blockWith(page, "text", '"token":"…"').trim().split("\n");
  const [renewed = "", done = ""] = renewal;
  socket.send(renewed.replace("…", await dataToken()));
  expect(await next(1)).toEqual(responsesIn(done));
});

interface Response {
  readonly id: number;
}

const responsesIn = (text: string): Response[] => (JSON.parse(text) as { readonly responses: Response[] }).responses;

/** Answers may overtake each other. */
const byId = (responses: readonly Response[]): Response[] => responses.toSorted((a, b) => a.id - b.id);

const anyText: unknown = expect.any(String);

function withAnyText(json: unknown): unknown {
  if (json === "…") return anyText;
  if (Array.isArray(json)) return json.map(withAnyText);
  if (typeof json !== "object" || json === null) return json;
  return Object.fromEntries(Object.entries(json).map(([name, value]) => [name, withAnyText(value)]));
}

async function dataToken(): Promise<string> {
  const exchanged = await tryExchange(server);
  if (!("token" in exchanged)) throw new Error(exchanged.sentence);
  return exchanged.token;
}

async function openSocket() {
  const address = `${server.url.replace("http", "ws")}/api/databases/${server.databaseId}/socket`;
  const socket = new WebSocket(address, subprotocols(await dataToken()));
  onTestFinished(() => socket.close());
  const came: Response[] = [];
  socket.addEventListener("message", ({ data }) => came.push(...responsesIn(String(data))));
  await new Promise((resolve) => socket.addEventListener("open", resolve));
  return {
    socket,
    next: async (count: number): Promise<Response[]> => {
      await expect.poll(() => came.length).toBeGreaterThanOrEqual(count);
      return came.splice(0);
    },
  };
}

test("the codes are those of the rules, and of the server", () => {
  const codesOf = (text: string): number[] =>
    tableRows(text)
      .flatMap(([codes = ""]) => codes.split(", "))
      .filter((code) => /^\d{4}$/.test(code))
      .map(Number)
      .toSorted((a, b) => a - b);
  const inGuide = codesOf(chapter(page, "When the server closes"));
  expect(inGuide).toEqual(codesOf(readPage("docs/spec/socket.md")));
  // 1002 and 1009 are the platform's own. 1006 comes from no server: it is what a client sees when there is no close frame.
  expect(inGuide).toEqual([1002, 1006, 1009, ...Object.values(SocketClose)].toSorted((a, b) => a - b));
});

test("the limits are those of the server", () => {
  const limits = chapter(page, "Limits and costs");
  const numbers = [
    `${MAX_SOCKET_FRAME_REQUESTS} requests in a message`,
    `${MAX_SOCKET_REQUESTS_IN_FLIGHT.toLocaleString("en")} requests that are not answered yet`,
    `${MAX_SOCKET_WATCHES} watches on a socket`,
    `${MAX_SOCKET_FRAME_BYTES / 1024 / 1024} MiB a\nmessage`,
    `${MAX_SOCKETS.toLocaleString("en")} sockets for a database`,
  ];
  for (const number of numbers) expect(limits).toContain(number);
});

describe("the examples are started by the commands of the page", () => {
  test("the board", async () => {
    const shell = openShell(repository);
    const port = `${await freePort()}`;
    const blocks = codeBlocks(chapter(page, "A web page"));
    const [variables = "", minting = "", serving = ""] = blocks.map(({ text }) => text);
    expect([...variables.matchAll(/^export (\w+)/gm)].map(([, name]) => name)).toEqual([
      "CONNECT_URL",
      "ORGANIZATION_ID",
      "ADMIN_TOKEN",
      "DATABASE_ID",
    ]);
    await shell.type(minting.replace("http://127.0.0.1:4512", server.url).replace("8080", port));
    await shell.type(`PORT=${port} ${serving.trim()} &`);
    const board = `http://localhost:${port}`;
    await shell.saw([(blocks[3]?.text ?? "").trim().replace("http://localhost:8080", board)]);
    const given = await fetch(`${board}/token`, { method: "POST" });
    expect(await given.json()).toEqual({
      socket: `${server.url.replace("http", "ws")}/api/databases/${server.databaseId}/socket`,
      token: expect.any(String),
      expiresIn: expect.any(Number),
    });
    expect(await (await fetch(board)).text()).toContain("<title>The board</title>");
  });

  test("the Worker", async () => {
    const shell = openShell(repository);
    const port = `${await freePort()}`;
    const [starting = "", asking = "", answers = ""] = codeBlocks(chapter(page, "A Worker that holds a session")).map(
      ({ text }) => text.replaceAll("8787", port),
    );
    await type(shell, `${starting.trim()} --inspector-port=0 &`);
    await shell.saw([`Ready on http://localhost:${port}`]);
    await shell.type(asking);
    expect(shell.output().match(/^\{"views.*$/gm)).toEqual(answers.trim().split("\n"));
  });
});

// The last one, because it kills the workerd of all.
test("the program that comes back has what changed meanwhile, deletes included", async () => {
  const folder = temporaryFolder();
  const shell = openShell(folder);
  const kv = await openKv(server.connectUrl, { accessToken: server.accessToken });
  onTestFinished(() => kv.close());
  await kv.set(["users", "alice"], 1);
  await kv.set(["users", "bob"], 1);
  writeFileSync(join(folder, "follow.mjs"), blockWith(page, "js", "watchPrefix"));
  await shell.type("node follow.mjs &");
  await shell.saw(["users: alice, bob"]);
  await kv.delete(["users", "alice"]);
  await shell.saw(["users: bob"]);
  process.kill(server.workerdPid(), "SIGKILL");
  // Until workerd is started again there may be no answer.
  await expect.poll(() => kv.delete(["users", "bob"]).then(() => "done", String)).toBe("done");
  await kv.set(["users", "carol"], 1);
  await shell.saw(["users: carol"]);
});
