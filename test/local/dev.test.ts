/** `npm run dev` as a process, in a copy of the sources that the test may change. */
import { execFileSync } from "node:child_process";
import { cpSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { openKv } from "@deno/kv";
import { expect, onTestFinished, test } from "vitest";
import { announced, repository, runScript } from "./program.ts";
import { http2Request, http2Session, temporaryFolder } from "./stand-in-server.ts";

function copyOfSources(): string {
  const root = temporaryFolder();
  for (const name of ["src", "wrangler.toml", "package.json", "tsconfig.json"]) {
    cpSync(join(repository, name), join(root, name), { recursive: true });
  }
  symlinkSync(join(repository, "node_modules"), join(root, "node_modules"));
  return root;
}

const processesOn = (folder: string): string[] =>
  execFileSync("ps", ["-eo", "args"], { encoding: "utf8" })
    .split("\n")
    .filter((line) => line.includes(folder));

test("both protocols reach wrangler's server, a changed source is loaded, kill -9 leaves nothing running", async () => {
  const root = copyOfSources();
  const program = runScript("dev", ["--port=0", "--json", `--persist-to=${join(root, "data")}`], {}, root);
  const { url, connectUrl, accessToken } = await announced(program);

  const kv = await openKv(connectUrl, { accessToken });
  onTestFinished(() => kv.close());
  await kv.set(["a"], 1n);
  expect((await kv.get(["a"])).value).toBe(1n);
  const answer = await http2Request(http2Session(url), { ":path": "/nothing-here" });
  expect(answer.status).toBe(404);

  const source = readFileSync(join(root, "src/worker.ts"), "utf8");
  const changed = source.replace("  fetch(request", '  fetch: () => new Response("changed"),\n  unused(request');
  expect(changed).not.toBe(source);
  writeFileSync(join(root, "src/worker.ts"), changed);
  await expect.poll(async () => (await fetch(url)).text()).toBe("changed");

  expect(processesOn(root).length).toBeGreaterThan(2);
  program.process.kill("SIGKILL");
  await expect.poll(() => processesOn(root)).toEqual([]);
});

test("it runs beside npm start in the same folder: with its secrets, without its data", async () => {
  const root = copyOfSources();
  const folder = join(root, "data");
  const args = ["--port=0", "--json", `--persist-to=${folder}`];
  // Both at once, so that both find no secrets.
  const [start, dev] = await Promise.all([
    announced(runScript("start", args, {}, root)),
    announced(runScript("dev", args, {}, root)),
  ]);
  expect(start.databaseId).not.toBe(dev.databaseId);
  const kept = JSON.parse(readFileSync(join(folder, "secrets.json"), "utf8")) as Record<string, string>;
  const token = kept["CAIRN_DEPLOYMENT_TOKEN"] ?? "";
  for (const { url, connectUrl, accessToken } of [start, dev]) {
    const organizations = await fetch(`${url}/api/organizations`, { headers: { authorization: `Bearer ${token}` } });
    expect(organizations.status).toBe(200);
    const kv = await openKv(connectUrl, { accessToken });
    await kv.set(["a"], url);
    expect((await kv.get(["a"])).value).toBe(url);
    kv.close();
  }
  const second = runScript("dev", args, {}, root);
  expect(await second.exited).toBe(1);
  expect(second.stderr()).toContain(`Another server is running on ${join(folder, "wrangler")} (process `);
});

test("SIGTERM ends it also while wrangler is not ready, as with a source that lacks a class", async () => {
  const root = copyOfSources();
  writeFileSync(join(root, "src/worker.ts"), "export default {};");
  const program = runScript("dev", ["--port=0", "--json", `--persist-to=${join(root, "data")}`], {}, root);
  await expect.poll(program.stderr).toContain("OrganizationObject");
  program.process.kill("SIGTERM");
  expect(await program.exited).toBe(0);
  await expect.poll(() => processesOn(root)).toEqual([]);
});

test("SIGTERM ends it cleanly, wrangler and its children too", async () => {
  const root = copyOfSources();
  // And it makes no call to itself through the environment's proxy, also where that leaves something else out.
  const proxy = { HTTP_PROXY: "http://127.0.0.1:9", NODE_USE_ENV_PROXY: "1", NO_PROXY: "company.example" };
  const program = runScript("dev", ["--port=0", "--json", `--persist-to=${join(root, "data")}`], proxy, root);
  await announced(program);
  program.process.kill("SIGTERM");
  expect(await program.exited).toBe(0);
  expect(processesOn(root)).toEqual([]);
});
