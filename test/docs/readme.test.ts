/** README.md followed literally: the server started with npm, its programs run by the clients that they are for. */
import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { createInterface } from "node:readline";
import { promisify } from "node:util";
import { afterAll, expect, test } from "vitest";
import { encryptionKeys } from "../../src/contracts/encryption-keys.ts";
import { deploymentOf } from "../../src/directory/deployment.ts";
import { announcement } from "../../src/local/announcement.ts";
import { helpText } from "../../src/local/options.ts";
import { blockWith, readPage, repository } from "./markdown.ts";

const readme = readPage("README.md");
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

/** A program of the README under its name in the folder. */
function save(name: string, language: string, words: string): void {
  writeFileSync(join(folder, name), blockWith(readme, language, words));
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
    const shown = JSON.parse(blockWith(readme, "json", "connectUrl")) as object;
    expect(Object.keys(server)).toEqual(Object.keys(shown));
    const { url = "", connectUrl = "", accessToken = "" } = server;
    const variables = { CONNECT_URL: connectUrl, DENO_KV_ACCESS_TOKEN: accessToken };

    save("hello.ts", "ts", "alice");
    const deno = "npx deno run --allow-env --allow-net --unstable-kv hello.ts";
    expect(readme).toContain(`\n${deno}\n`);
    const greeting = await shell(deno.slice("npx ".length), variables, folder);
    expect(greeting).toBe(blockWith(readme, "text", "first: true"));

    // `@deno/kv` is found from the checkout, as the README says.
    const node = `node --input-type=module --eval "$PROGRAM"`;
    const program = { PROGRAM: blockWith(readme, "js", "@deno/kv") };
    expect(await shell(node, { ...variables, ...program }, repository)).toBe(
      blockWith(readme, "text", "{ name: 'Alice'"),
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
  const block = blockWith(readme, "text", "Cairn is running.");
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
  expect(blockWith(readme, "text", "Usage: npm start")).toBe(`${helpText("npm start")}\n`);
});

test("the commands that make secrets make good ones", async () => {
  const commands = blockWith(readme, "sh", "SIGNING_KEYS=$(");
  const print = `printf '%s\\n' "$DEPLOYMENT_TOKEN" "$SIGNING_KEYS" "$ENCRYPTION_KEYS"`;
  const made = await shell(`${commands}\n${print}`, {}, folder);
  const [CAIRN_DEPLOYMENT_TOKEN = "", CAIRN_SIGNING_KEYS = "", keys = ""] = made.split("\n");
  expect(CAIRN_DEPLOYMENT_TOKEN).toMatch(/^cairn_deployment_[\w-]{43}$/);
  expect(deploymentOf({ CAIRN_DEPLOYMENT_TOKEN, CAIRN_SIGNING_KEYS })).toMatchObject({ keys: [{ kid: "k1" }] });
  expect(encryptionKeys(keys)).toMatchObject([{ kid: "k1" }]);
});

test("the example of a .dev.vars holds no secret, and the command that makes one makes what it names", async () => {
  const named = (text: string) =>
    [...text.matchAll(/^(\w+)="(.*)"$/gm)].map(([, name = "", value = ""]) => [name, value]);
  const example = Object.fromEntries(named(readFileSync(join(repository, ".dev.vars.example"), "utf8")));
  expect(Object.values(example).join("")).toBe("");
  const command = blockWith(readme, "sh", ".dev.vars").trim();
  await shell(command.replace("> .dev.vars", '> "$FILE"'), { FILE: join(folder, "vars") }, repository);
  const { CAIRN_DESTINATIONS: _, ...secrets } = example;
  const made = Object.fromEntries(named(readFileSync(join(folder, "vars"), "utf8")));
  expect(Object.keys(made)).toEqual(Object.keys(secrets));
  expect(deploymentOf(made)).toMatchObject({ loopbackOnly: null });
});

test("wrangler builds what would be deployed, with its bindings", async () => {
  const command = blockWith(readme, "sh", "deploy --dry-run").trim();
  const printed = await shell(`${command} --outdir "$OUT"`, { OUT: join(folder, "built") }, repository);
  for (const binding of ["DATABASES (DatabaseObject)", "ORGANIZATIONS (OrganizationObject)", "INDEX (IndexObject)"]) {
    expect(printed).toContain(`env.${binding}`);
  }
});
