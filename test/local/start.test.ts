/** `npm start` as a process: what it prints, how it ends, and what it refuses. */
import { execFile } from "node:child_process";
import { chmodSync, existsSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { createServer, type AddressInfo } from "node:net";
import { join } from "node:path";
import { openKv } from "@deno/kv";
import { expect, onTestFinished, test } from "vitest";
import { announced, isRunning, repository, runScript, workerdPid } from "./program.ts";
import { http2Session, temporaryFolder } from "./stand-in-server.ts";

function shell(command: string): Promise<{ readonly stdout: string; readonly stderr: string }> {
  return new Promise((resolve) => {
    execFile("sh", ["-c", command], { cwd: repository }, (_error, stdout, stderr) => resolve({ stdout, stderr }));
  });
}

test("--json prints one line with exactly six members, and the access token is the one that was given", async () => {
  const program = runScript("start", ["--port=0", "--json", `--persist-to=${temporaryFolder()}`], {
    CAIRN_ACCESS_TOKEN: "token-of-the-environment",
  });
  const line = await announced(program);
  expect(Object.keys(line)).toEqual(["url", "connectUrl", "databaseId", "accessToken", "organizationId", "adminToken"]);
  expect(line.url).toMatch(/^http:\/\/127\.0\.0\.1:\d+$/);
  expect(line.connectUrl).toBe(`${line.url}/databases/${line.databaseId}/connect`);
  expect(line.accessToken).toBe("token-of-the-environment");
  program.process.kill("SIGTERM");
  expect(await program.exited).toBe(0);
  expect(program.stdout().split("\n")).toHaveLength(2);
  expect(program.stderr()).toBe("");
});

test("the snippet that it prints runs in a shell as it stands, in Deno; and @deno/kv reads what it wrote", async () => {
  const program = runScript("start", ["--port=0", `--persist-to=${temporaryFolder()}`]);
  await expect.poll(program.stdout).toContain("Ctrl-C stops it.");
  const snippet = /^ *DENO_KV_ACCESS_TOKEN=.*$/m.exec(program.stdout())?.[0] ?? "";
  expect(await shell(snippet)).toEqual({ stdout: expect.stringContaining('value: "Hello from Cairn"'), stderr: "" });

  const [, url = "", accessToken = ""] =
    /openKv\("([^"]+)", \{ accessToken: "([^"]+)" \}\);$/m.exec(program.stdout()) ?? [];
  const kv = await openKv(url, { accessToken });
  onTestFinished(() => kv.close());
  expect((await kv.get(["greeting"])).value).toBe("Hello from Cairn");
});

/** `link-behind-tls-proxy`: the next page's request would carry the token in the clear, or meet a closed port. */
test("behind a proxy its links are those that it was told of, and never the header's where it was not told to trust that", async () => {
  const links = async (...options: string[]) => {
    const program = runScript("start", ["--port=0", "--json", `--persist-to=${temporaryFolder()}`, ...options]);
    const { url, connectUrl, organizationId, databaseId, adminToken } = await announced(program);
    const curl = `curl -sS -H 'Host: kv.example.com' -H 'X-Forwarded-Proto: https' -H 'Authorization: Bearer ${adminToken}'`;
    const list = `/v1/organizations/${organizationId}/databases`;
    const [page, exchange] = await Promise.all([
      shell(`${curl} -D - -o /dev/null '${url}${list}'`),
      shell(`${curl} -X POST '${url}/databases/${databaseId}/connect'`),
    ]);
    const link = /^link: <([^>]*)>/im.exec(page.stdout)?.[1]?.replace(list, "/…");
    const [endpoint] = (JSON.parse(exchange.stdout) as { endpoints: { url: string }[] }).endpoints;
    return { link, endpoint: endpoint?.url.replace(databaseId, "…"), connectUrl: connectUrl.replace(databaseId, "…") };
  };
  const [untold, told, trusting] = await Promise.all([
    links(),
    links("--public-url=https://kv.example.com"),
    links("--trust-proxy"),
  ]);
  expect(untold).toMatchObject({ link: "/…?page=1&limit=20", endpoint: "http://kv.example.com/databases/…" });
  const right = { link: "https://kv.example.com/…?page=1&limit=20", endpoint: "https://kv.example.com/databases/…" };
  expect(told).toEqual({ ...right, connectUrl: "https://kv.example.com/databases/…/connect" });
  expect(trusting).toMatchObject(right);
});

test("it makes no call to itself through the environment's proxy", async () => {
  const proxy = { NODE_USE_ENV_PROXY: "1", HTTP_PROXY: "http://127.0.0.1:9", http_proxy: "http://127.0.0.1:9" };
  const program = runScript("start", ["--port=0", "--json", `--persist-to=${temporaryFolder()}`], proxy);
  expect((await announced(program)).databaseId).toMatch(/^[0-9a-f-]{36}$/);
});

test.each(["SIGINT", "SIGTERM"] as const)(
  "%s ends it cleanly, workerd too, and frees port and folder",
  async (signal) => {
    const folder = temporaryFolder();
    const first = runScript("start", ["--port=0", "--json", `--persist-to=${folder}`]);
    const { url } = await announced(first);
    const workerd = workerdPid(folder);
    first.process.kill(signal);
    expect(await first.exited).toBe(0);
    expect(isRunning(workerd)).toBe(false);
    expect(existsSync(join(folder, "workerd.pid"))).toBe(false);
    const again = runScript("start", [`--port=${new URL(url).port}`, "--json", `--persist-to=${folder}`]);
    expect((await announced(again)).url).toBe(url);
  },
);

test("kill -9 takes workerd along, and the next start finds folder, secrets and data (W29)", async () => {
  const folder = temporaryFolder();
  const first = runScript("start", ["--port=0", "--json", `--persist-to=${folder}`]);
  const before = await announced(first);
  const kv = await openKv(before.connectUrl, { accessToken: before.accessToken });
  await kv.set(["kept"], "value");
  kv.close();
  const workerd = workerdPid(folder);
  expect(isRunning(workerd)).toBe(true);
  first.process.kill("SIGKILL");
  await expect.poll(() => isRunning(workerd)).toBe(false);

  const after = await announced(runScript("start", ["--port=0", "--json", `--persist-to=${folder}`]));
  expect([after.accessToken, after.databaseId]).toEqual([before.accessToken, before.databaseId]);
  const again = await openKv(after.connectUrl, { accessToken: after.accessToken });
  onTestFinished(() => again.close());
  expect((await again.get(["kept"])).value).toBe("value");
});

test("workerd killed five times within a minute ends it with the reason", async () => {
  const folder = temporaryFolder();
  const program = runScript("start", ["--port=0", "--json", `--persist-to=${folder}`]);
  await announced(program);
  for (let death = 1; death <= 5; death++) {
    await expect.poll(() => existsSync(join(folder, "workerd.pid"))).toBe(true);
    const pid = workerdPid(folder);
    process.kill(pid, "SIGKILL");
    await expect.poll(() => existsSync(join(folder, "workerd.pid")) && workerdPid(folder) === pid).toBe(false);
  }
  expect(await program.exited).toBe(1);
  expect(program.stderr()).toMatch(/died 5 times within a minute.*SIGKILL/);
});

test("it goes on when nobody reads any more what it prints", async () => {
  const folder = temporaryFolder();
  const program = runScript("start", ["--port=0", "--json", `--persist-to=${folder}`]);
  const { url } = await announced(program);
  program.process.stdout?.destroy();
  program.process.stderr?.destroy();
  const workerd = workerdPid(folder);
  process.kill(workerd, "SIGKILL");
  await expect.poll(() => isRunning(workerd)).toBe(false);
  await expect.poll(async () => (await fetch(url)).status).toBe(404);
  program.process.kill("SIGTERM");
  expect(await program.exited).toBe(0);
});

test("more requests at once than workerd can have descriptors open are refused, and it lives on", async () => {
  const folder = temporaryFolder();
  const args = ["--port=0", "--json", `--persist-to=${folder}`];
  const { url } = await announced(runScript("start", args, {}, repository, "ulimit -n 256"));
  const workerd = workerdPid(folder);
  const session = http2Session(url);
  let refused = 0;
  for (let opened = 0; opened < 300; opened++) {
    const stream = session.request({ ":method": "POST", ":path": "/" }, { endStream: false });
    stream.on("error", () => undefined);
    stream.on("response", (headers) => (refused += headers[":status"] === 503 ? 1 : 0));
  }
  await expect.poll(() => refused).toBeGreaterThan(200);
  session.destroy();
  await expect.poll(async () => (await fetch(url)).status).toBe(404);
  expect(workerdPid(folder)).toBe(workerd);
});

test("a port in use is an error of one line that names it, and leaves no folder behind", async () => {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => void server.close());
  // A TCP server that listens has such an address.
  const { port } = server.address() as AddressInfo;
  const folder = temporaryFolder();
  const program = runScript("start", [`--port=${port}`, `--persist-to=${join(folder, "data")}`]);
  expect(await program.exited).toBe(1);
  expect(program.stderr()).toMatch(new RegExp(`^Port ${port} on 127\\.0\\.0\\.1 is in use: .*\\n$`));
  expect(program.stdout()).toBe("");
  expect(readdirSync(folder)).toEqual([]);
});

test("a second one on the same folder is an error that names the folder, and the first goes on", async () => {
  const folder = temporaryFolder();
  const first = runScript("start", ["--port=0", "--json", `--persist-to=${folder}`]);
  const { url } = await announced(first);
  const second = runScript("start", ["--port=0", `--persist-to=${folder}`]);
  expect(await second.exited).toBe(1);
  const { pid } = first.process;
  const since = String.raw`since 20\d\d-\d\d-\d\dT[\d:.]+Z`;
  expect(second.stderr()).toMatch(
    new RegExp(`^Another server is running on ${folder} \\(process ${pid}, ${url}, ${since}\\): stop it, .*\\n$`),
  );
  expect((await fetch(url)).status).toBe(404);
});

test("a folder that cannot be written is an error that names it", async () => {
  const file = join(temporaryFolder(), "file");
  writeFileSync(file, "");
  const program = runScript("start", ["--port=0", `--persist-to=${join(file, "data")}`]);
  expect(await program.exited).toBe(1);
  expect(program.stderr()).toMatch(new RegExp(`^The data folder ${file}/data cannot be written .*\\n$`));
});

test.skipIf(process.platform !== "linux")("a folder where the system lets none be made is an error too", async () => {
  const program = runScript("start", ["--port=0", "--persist-to=/proc/cairn/data"]);
  expect(await program.exited).toBe(1);
  expect(program.stderr()).toMatch(/^The data folder \/proc\/cairn\/data cannot be written .*\n$/);
});

test.each([
  [["--host=no-such-host.invalid"], /^The host no-such-host\.invalid cannot be resolved: .*\n$/],
  [["--host=192.0.2.1"], /^192\.0\.2\.1 is not an address of this machine: .*\n$/],
  [["--prot=1"], /^Unknown option '--prot'.*\n$/],
  [["--access-token=with space"], /^--access-token must be 8 to 512 of .*\n$/],
])("%j is an error of one line", async (args, sentence) => {
  const program = runScript("start", ["--port=0", `--persist-to=${temporaryFolder()}`, ...args]);
  expect(await program.exited).toBe(1);
  expect(program.stderr()).toMatch(sentence);
});

test("a placeholder for a secret is an error where others can reach the server, and nothing is made (T28)", async () => {
  const folder = temporaryFolder();
  const args = ["--port=0", "--host=0.0.0.0", `--persist-to=${folder}`];
  const program = runScript("start", args, { CAIRN_DEPLOYMENT_TOKEN: "choose-a-long-random-token" });
  expect(await program.exited).toBe(1);
  expect(program.stderr()).toMatch(/^CAIRN_DEPLOYMENT_TOKEN, entry 1: it is a placeholder .*\n$/);
  expect(existsSync(join(folder, "secrets.json"))).toBe(false);
});

test("what it makes in its folder is for its owner alone, also in a folder that others may look into, of which it warns", async () => {
  const folder = temporaryFolder();
  chmodSync(folder, 0o755);
  const args = ["--port=0", "--json", `--persist-to=${folder}`];
  const program = runScript("start", args, {}, repository, "umask 022");
  const { connectUrl, accessToken } = await announced(program);
  expect(program.stderr()).toBe(
    `Other users of this machine can look into the data folder ${folder}. To keep them out: chmod 700 ${folder}\n`,
  );
  const kv = await openKv(connectUrl, { accessToken });
  await kv.set(["a"], 1);
  kv.close();
  const modes = readdirSync(folder, { recursive: true, encoding: "utf8" }).map((name) => [
    name,
    statSync(join(folder, name)).mode & 0o077,
  ]);
  const names = modes.map(([name]) => String(name));
  for (const one of [/^lock\.db$/, /\.sqlite$/, /\.sqlite-wal$/])
    expect(names).toContainEqual(expect.stringMatching(one));
  expect(modes.filter(([, open]) => open !== 0)).toEqual([]);
});

test("--help lists the options", async () => {
  const program = runScript("start", ["--help"]);
  expect(await program.exited).toBe(0);
  for (const option of ["port", "host", "persist-to", "access-token", "json"]) {
    expect(program.stdout()).toContain(`--${option}`);
  }
});

test("secrets are on no command line and in no file but those that only their owner reads", async () => {
  const folder = temporaryFolder();
  const { accessToken, adminToken } = await announced(
    runScript("start", ["--port=0", "--json", `--persist-to=${folder}`]),
  );
  const kept = JSON.parse(readFileSync(join(folder, "secrets.json"), "utf8")) as Record<string, string>;
  for (const [file, secret] of [
    ["tenant.json", accessToken],
    ["tenant.json", adminToken],
    ["secrets.json", kept["CAIRN_DEPLOYMENT_TOKEN"]],
    ["secrets.json", kept["CAIRN_SIGNING_KEYS"]],
  ] as const) {
    const found = await shell(
      `ps -eo args | grep -v grep | grep -cF -e '${secret}'; grep -rlF -e '${secret}' ${folder}`,
    );
    expect(found.stdout).toBe(`0\n${folder}/${file}\n`);
    expect(statSync(join(folder, file)).mode & 0o777).toBe(0o600);
  }
});
