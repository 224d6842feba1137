/** The front page and the first pages followed literally: the server started with npm, programs run by the clients that they are for. */
import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { createInterface } from "node:readline";
import { promisify } from "node:util";
import { afterAll, expect, test } from "vitest";
import { deploymentOf } from "../../src/directory/deployment.ts";
import { announcement } from "../../src/local/announcement.ts";
import { helpText } from "../../src/local/options.ts";
import { blockWith, pages, readPage, repository } from "./markdown.ts";

const readme = readPage("README.md");
const start = readPage("docs/getting-started.md");
const machine = readPage("docs/one-machine.md");
const contributing = readPage("CONTRIBUTING.md");
const folder = mkdtempSync(join(tmpdir(), "cairn-readme-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const environment = {
  ...process.env,
  PATH: [join(repository, "node_modules/.bin"), process.env["PATH"]].join(delimiter),
  NO_COLOR: "1",
  DENO_NO_UPDATE_CHECK: "1",
  WRANGLER_SEND_METRICS: "false",
};

/** The command with its variables, in a shell; what it writes to stdout. */
async function shell(command: string, variables: Readonly<Record<string, string>>, cwd: string): Promise<string> {
  const run = promisify(execFile);
  return (await run("/bin/sh", ["-c", command], { cwd, env: { ...environment, ...variables } })).stdout;
}

/** A program of a page under its name in the folder. */
function save(name: string, page: string, words: string): void {
  writeFileSync(join(folder, name), blockWith(page, "ts", words));
}

/** Whatever is left of npm and what it started, also where npm alone has ended. */
function killGroup(leader: number | undefined): void {
  try {
    if (leader !== undefined) process.kill(-leader, "SIGKILL");
  } catch (error) {
    if (!(error instanceof Error && "code" in error && error.code === "ESRCH")) throw error;
  }
}

async function listens(url: string): Promise<boolean> {
  const { hostname, port } = new URL(url);
  const socket = connect(Number(port), hostname);
  const outcome = await Promise.race([
    once(socket, "connect").then(() => true),
    once(socket, "close").then(() => false),
  ]).catch(() => false);
  socket.destroy();
  return outcome;
}

test("the Deno program and the Node program print what is shown, against npm start; and npm start ends with npm", async () => {
  const args = ["start", "--silent", "--", "--json", "--port", "0", "--persist-to", join(folder, "data")];
  const npm = spawn("npm", args, {
    cwd: repository,
    env: environment,
    stdio: ["ignore", "pipe", "inherit"],
    detached: true,
  });
  const exited = once(npm, "exit");
  try {
    const [line] = (await once(createInterface({ input: npm.stdout }), "line")) as [string];
    const server = JSON.parse(line) as Record<string, string>;
    const shown = JSON.parse(blockWith(machine, "json", "connectUrl")) as object;
    expect(Object.keys(server)).toEqual(Object.keys(shown));
    const { url = "", connectUrl = "", accessToken = "" } = server;
    const variables = { CONNECT_URL: connectUrl, DENO_KV_ACCESS_TOKEN: accessToken };

    save("hello.ts", start, "alice");
    const deno = "npx deno run --allow-env --allow-net --unstable-kv hello.ts";
    expect(start).toContain(`\n${deno}\n`);
    const greeting = await shell(deno.slice("npx ".length), variables, folder);
    expect(greeting).toBe(blockWith(start, "text", "first: true"));

    save("shop.ts", readme, "stock");
    const sold = await shell(deno.slice("npx ".length).replace("hello.ts", "shop.ts"), variables, folder);
    expect(sold).toBe(blockWith(readme, "text", "sold"));

    // `@deno/kv` is found from the checkout, as the page says.
    const node = `node --input-type=module --eval "$PROGRAM"`;
    const program = { PROGRAM: blockWith(start, "js", "@deno/kv") };
    expect(await shell(node, { ...variables, ...program }, repository)).toBe(
      blockWith(start, "text", "{ name: 'Alice'"),
    );

    npm.kill("SIGTERM");
    expect(await exited).toEqual([0, null]);
    expect(await listens(url)).toBe(false);
  } finally {
    killGroup(npm.pid);
    await exited;
  }
});

test("what npm start prints is shown as it is", () => {
  const block = blockWith(start, "text", "Cairn is running.");
  const valueOf = (label: string): string => new RegExp(`${label} +(.*)`).exec(block)?.[1] ?? "";
  const connectUrl = valueOf("connect URL");
  const printed = announcement({
    url: new URL(connectUrl).origin,
    publicUrl: new URL(connectUrl).origin,
    folder: valueOf("data folder"),
    databaseId: /databases\/([^/]+)/.exec(connectUrl)?.[1] ?? "",
    accessToken: valueOf("access token"),
    organizationId: valueOf("organization"),
    adminToken: valueOf("admin token"),
  });
  expect(block).toBe(printed.slice(1));
});

test("the options are those of --help", () => {
  expect(blockWith(machine, "text", "Usage: npm start")).toBe(`${helpText("npm start")}\n`);
});

test("the example of a .dev.vars holds no secret, and the command that makes one makes what it names", async () => {
  const named = (text: string) =>
    [...text.matchAll(/^(\w+)="(.*)"$/gm)].map(([, name = "", value = ""]) => [name, value]);
  const example = Object.fromEntries(named(readFileSync(join(repository, ".dev.vars.example"), "utf8")));
  expect(Object.values(example).join("")).toBe("");
  const command = blockWith(contributing, "sh", ".dev.vars").trim();
  await shell(command.replace("> .dev.vars", '> "$FILE"'), { FILE: join(folder, "vars") }, repository);
  const { CAIRN_DESTINATIONS: _, ...secrets } = example;
  const made = Object.fromEntries(named(readFileSync(join(folder, "vars"), "utf8")));
  expect(Object.keys(made)).toEqual(Object.keys(secrets));
  expect(deploymentOf(made)).toMatchObject({ loopbackOnly: null });
});

test("the front page is short, and shows no token that looks like a real one", () => {
  expect(readme.trimEnd().split("\n").length).toBeLessThanOrEqual(150);
  for (const path of pages) expect([path, readPage(path).match(/cairn_[0-9a-f]{8,}/g)]).toEqual([path, null]);
});

test("the front page begins with the two commands", () => {
  expect(blockWith(readme, "sh", "npm ci")).toBe("npm ci\nnpm start\n");
});
