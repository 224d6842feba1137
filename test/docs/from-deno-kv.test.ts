/** docs/from-deno-kv.md: its script between the real Deno's files and databases of Cairn, stopped midway, and the way back. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { DatabaseSync } from "node:sqlite";
import { fileURLToPath } from "node:url";
import { openKv } from "@deno/kv";
import { expect, onTestFinished, test } from "vitest";
import { temporaryFolder } from "../local/stand-in-server.ts";
import { startManagedServer, Tenant } from "../support/management.ts";
import { blockWith, readPage, repository } from "./markdown.ts";

const page = readPage("docs/from-deno-kv.md");
const deno = join(repository, "node_modules/.bin/deno");
const command = blockWith(page, "sh", "copy.ts").trim().replace("npx deno", deno);
const program = fileURLToPath(new URL("copied-entries.ts", import.meta.url));
const helper = `${deno} run --allow-all --unstable-kv --no-config --no-lock ${program}`;

interface Run {
  readonly code: number | string | null;
  readonly lines: readonly string[];
  readonly stderr: string;
}

/** Killed with SIGKILL when it has printed that many lines. */
async function run(commandLine: string, cwd: string, env: NodeJS.ProcessEnv, killAfter = Infinity): Promise<Run> {
  const child = spawn("/bin/sh", ["-c", `exec ${commandLine}`], {
    cwd,
    env: { ...process.env, NO_COLOR: "1", DENO_NO_UPDATE_CHECK: "1", ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const closed = once(child, "close");
  onTestFinished(() => void child.kill("SIGKILL"));
  const lines: string[] = [];
  let stderr = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => (stderr += text));
  createInterface({ input: child.stdout }).on("line", (line) => {
    if (lines.push(line) === killAfter) child.kill("SIGKILL");
  });
  const [code, signal] = (await closed) as [number | null, string | null];
  return { code: signal ?? code, lines, stderr };
}

test("all kinds of entries go from a file to Cairn with a stop in between, to another database, and back to a file", async () => {
  const folder = temporaryFolder();
  writeFileSync(join(folder, "copy.ts"), blockWith(page, "ts", "copy-progress.json"));
  const server = await startManagedServer();
  onTestFinished(() => server.close());
  const tenant = await Tenant.make(server);
  const placeOf = async (name: string) => {
    const id = await tenant.newDatabase(name);
    const { token } = await tenant.newToken({ databases: [id] });
    return { url: tenant.opening(id).connectUrl, token };
  };
  const [first, second] = [await placeOf("first"), await placeOf("second")];
  const copy = (from: { url: string; token?: string }, to: typeof from, killAfter?: number) =>
    run(command, folder, { FROM: from.url, FROM_TOKEN: from.token, TO: to.url, TO_TOKEN: to.token }, killAfter);
  const compare = (place: typeof first, file: string) =>
    run(`${helper} compare ${file}`, folder, { OTHER: place.url, DENO_KV_ACCESS_TOKEN: place.token });
  const [before, after] = [{ url: "./before.sqlite" }, { url: "./after.sqlite" }];

  const filled = await run(`${helper} fill ${before.url}`, folder, {});
  expect(filled).toMatchObject({ code: 0, stderr: "" });
  const count = Number(filled.lines[0]);
  expect(count).toBeGreaterThan(5000);

  const stopped = await copy(before, first, 3);
  expect(stopped).toMatchObject({ code: "SIGKILL" });
  const rest = await copy(before, first);
  expect(rest).toMatchObject({ code: 0, stderr: "" });
  expect(rest.lines[0]).toMatch(/^going on after [1-4]\d{3} entries$/);
  expect(rest.lines.at(-1)).toBe(`done: ${count} entries`);
  expect(existsSync(join(folder, "copy-progress.json"))).toBe(false);
  expect(await compare(first, before.url)).toMatchObject({ code: 0, stderr: "" });

  // A stop between two others begins nothing in the middle. Each database is opened with its own token, which is of no use for the other.
  expect(await copy(before, first, 2)).toMatchObject({ code: "SIGKILL" });
  const between = await copy(first, second);
  expect(between).toMatchObject({ code: 0, stderr: "" });
  expect(between.lines[0]).toBe("500 entries");
  expect(await copy(second, after)).toMatchObject({ code: 0, stderr: "" });
  expect(await compare(first, after.url)).toMatchObject({ code: 0, stderr: "" });
});

/** Each key and when it expires, in seconds, as Deno's own file has them; null: never. */
function expiries(file: string): Map<string, number | null> {
  const database = new DatabaseSync(file, { readOnly: true });
  const rows = database.prepare("SELECT hex(k) AS k, expiration_ms AS e FROM kv").all();
  database.close();
  return new Map(rows.map(({ k, e }) => [String(k), Number(e) < 0 ? null : Math.round(Number(e) / 1000)]));
}

test("expiries go along from a file of Deno's, and a prefix takes its part alone", async () => {
  const folder = temporaryFolder();
  writeFileSync(join(folder, "copy.ts"), blockWith(page, "ts", "copy-progress.json"));
  expect(await run(`${helper} expire ./from.sqlite`, folder, {})).toMatchObject({ code: 0, stderr: "" });
  const copied = await run(command, folder, { FROM: "./from.sqlite", TO: "./to.sqlite" });
  expect(copied).toMatchObject({ code: 0, stderr: "" });
  const [before, after] = ["from", "to"].map((name) => expiries(join(folder, `${name}.sqlite`)));
  const times = [...(after ?? [])].map(([key, expiry]) => Math.abs((expiry ?? 0) - (before?.get(key) ?? 0)));
  expect(times).toHaveLength(23);
  // The client counts from now, and the time from there to the write is added.
  expect(Math.max(...times)).toBeLessThan(30);
  expect([...(after ?? [])].filter(([, expiry]) => expiry === null)).toHaveLength(1);

  const part = await run(command, folder, { FROM: "./from.sqlite", TO: "./part.sqlite", PREFIX: '["users"]' });
  expect(part).toMatchObject({ code: 0, stderr: "" });
  expect([...expiries(join(folder, "part.sqlite")).values()]).toEqual([null]);
});

test.each([
  ["./nothing.sqlite", "There is no file ./nothing.sqlite to copy from.\n"],
  [".", ". is not a database of Deno KV.\n"],
  ["./copy.ts", "./copy.ts is not a database of Deno KV.\n"],
])("the source %s is refused, and nothing is made", async (from, sentence) => {
  const folder = temporaryFolder();
  writeFileSync(join(folder, "copy.ts"), blockWith(page, "ts", "copy-progress.json"));
  expect(await run(command, folder, { FROM: from, TO: "./to.sqlite" })).toMatchObject({ code: 2, stderr: sentence });
  expect(readdirSync(folder)).toEqual(["copy.ts"]);
});

test.each(["users", "{}", '[{"a":1}]', "[null]"])("the prefix %s is refused", async (prefix) => {
  const folder = temporaryFolder();
  writeFileSync(join(folder, "copy.ts"), blockWith(page, "ts", "copy-progress.json"));
  const refused = await run(command, folder, { FROM: "./x", TO: "./y", PREFIX: prefix });
  expect(refused).toMatchObject({ code: 2, stderr: expect.stringContaining("PREFIX must be the first parts of keys") });
});

test("a value that Deno does not write ends the copy with its key, and a variable that is missing is named", async () => {
  const folder = temporaryFolder();
  writeFileSync(join(folder, "copy.ts"), blockWith(page, "ts", "copy-progress.json"));
  const server = await startManagedServer();
  onTestFinished(() => server.close());
  const kv = await openKv(server.connectUrl, { accessToken: server.accessToken });
  await kv.set(["small"], 1);
  await kv.set(["too", "large"], "x".repeat(70_000));
  kv.close();
  const env = { FROM: server.connectUrl, FROM_TOKEN: server.accessToken };
  const ended = await run(command, folder, { ...env, TO: "./kv.sqlite" });
  expect(ended.code).toBe(1);
  expect(ended.stderr).toContain('cannot write [ "too", "large" ]');
  expect(await run(command, folder, env)).toMatchObject({
    code: 2,
    stderr: "TO is not set: the URL or the file of a database.\n",
  });
});
