/** The whole local server around a stand-in Worker on workerd: what it passes on, what survives, what it does when workerd dies. */
import { isFailure } from "../../src/core/errors.ts";
import { execFileSync } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { expect, onTestFinished, test, vi } from "vitest";
import { onWorkerd, startServer, type RunningServer } from "../../src/local/server.ts";
import { http2Request, http2Session, startStandIn, temporaryFolder } from "./stand-in-server.ts";

const count = async (server: RunningServer): Promise<number> =>
  Number(await (await fetch(`${server.url}/count`)).text());

function killUpstream(server: RunningServer): void {
  const pid = server.upstream?.pid;
  if (pid === undefined) throw new Error("expected the server process to run");
  process.kill(pid, "SIGKILL");
}

test("both protocols reach the Worker, with its secrets and the client's host", async () => {
  const server = await startStandIn(temporaryFolder());
  const session = http2Session(server.url);
  const one = await fetch(`${server.url}/echo`, { method: "POST", body: "one" });
  expect([await one.text(), one.headers.get("x-method")]).toEqual(["one", "POST"]);
  const two = await http2Request(session, { ":method": "PUT", ":path": "/echo" }, "two");
  expect(two).toMatchObject({ status: 200, body: "two", headers: { "x-method": "PUT" } });
  expect((await http2Request(session, { ":path": "/token" })).body).toBe(server.secrets.CAIRN_DEPLOYMENT_TOKEN);
  expect((await http2Request(session, { ":path": "/host", ":authority": "kv.test:99" })).body).toBe("kv.test:99");
});

test("the way to backup destinations leads to the machine's own network, and not to where clouds keep credentials", async () => {
  const server = await startStandIn(temporaryFolder());
  const sent = async (url: string) => (await fetch(`${server.url}/destination`, { method: "POST", body: url })).text();
  expect(await sent(server.url)).toBe("answered");
  // Whatever name led there: workerd looks at the address, and says no more than this of one that it does not connect to.
  for (const address of ["169.254.169.254", "[fd00:ec2::254]", "[fe80::1]"]) {
    expect(await sent(`http://${address}:${new URL(server.url).port}/`)).toMatch(/^Error: internal error/);
  }
});

test("a WebSocket passes through the front", async () => {
  const server = await startStandIn(temporaryFolder());
  const socket = new WebSocket(`${server.url.replace("http:", "ws:")}/socket`);
  onTestFinished(() => socket.close());
  const messages: unknown[] = [];
  socket.addEventListener("message", (event) => messages.push(event.data));
  await new Promise((resolve) => socket.addEventListener("open", resolve));
  socket.send("text");
  socket.send("x".repeat(1_000_000));
  await expect.poll(() => messages).toEqual(["text", "x".repeat(1_000_000)]);
});

test("streams run side by side, and the Worker sees each end that its client gave up", async () => {
  const server = await startStandIn(temporaryFolder());
  const session = http2Session(server.url);
  const streams = Array.from({ length: 50 }, () => session.request({ ":path": "/ticks" }));
  await Promise.all(streams.map((stream) => new Promise((resolve) => stream.once("data", resolve))));
  const abort = new AbortController();
  const overHttp1 = await fetch(`${server.url}/ticks`, { signal: abort.signal });
  expect((await http2Request(session, { ":path": "/open-streams" })).body).toBe("51");
  for (const stream of streams) stream.close();
  abort.abort();
  await expect.poll(async () => (await fetch(`${server.url}/open-streams`)).text()).toBe("0");
  expect(overHttp1.status).toBe(200);
});

test("data and secrets survive a restart of the server", async () => {
  const folder = temporaryFolder();
  const first = await startStandIn(folder);
  expect([await count(first), await count(first)]).toEqual([1, 2]);
  await first.close();
  const second = await startStandIn(folder);
  expect(await count(second)).toBe(3);
  expect(second.secrets).toEqual(first.secrets);
});

test("workerd killed: what it acknowledged is there, it runs again by itself, meanwhile 503 on both protocols", async () => {
  const held = Promise.withResolvers<void>();
  let starts = 0;
  const server = await startStandIn(temporaryFolder(), async () => {
    starts++;
    if (starts > 1) await held.promise;
  });
  const session = http2Session(server.url);
  expect([await count(server), await count(server)]).toEqual([1, 2]);
  const before = server.upstream?.pid;

  killUpstream(server);
  await expect.poll(() => server.upstream, { interval: 1 }).toBe(undefined);
  const refused = await Promise.all([
    fetch(`${server.url}/count`).then(async (answer) => [answer.status, await answer.text()]),
    http2Request(session, { ":path": "/count" }).then((answer) => [answer.status, answer.body]),
  ]);
  const sentence = "The database server is starting. Send the request again in a moment.\n";
  expect(refused).toEqual([
    [503, sentence],
    [503, sentence],
  ]);

  held.resolve();
  await expect.poll(() => server.upstream?.pid).toEqual(expect.any(Number));
  expect(server.upstream?.pid).not.toBe(before);
  expect(Number(readFileSync(join(server.folder, "workerd.pid"), "utf8"))).toBe(server.upstream?.pid);
  expect(Number((await http2Request(session, { ":path": "/count" })).body)).toBe(3);
});

test("workerd hung: it is killed and started anew, with what it acknowledged, and the log says so in a line", async () => {
  const written: string[] = [];
  const write = vi.spyOn(process.stderr, "write").mockImplementation((text) => written.push(String(text)) > 0);
  onTestFinished(() => write.mockRestore());
  const server = await startStandIn(temporaryFolder(), undefined, { everyMs: 100, deadlineMs: 2000 });
  expect(await count(server)).toBe(1);
  const hung = server.upstream?.pid;
  if (hung === undefined) throw new Error("expected the server process to run");
  process.kill(hung, "SIGSTOP");
  const waiting = fetch(`${server.url}/count`).then(
    (answer) => answer.status,
    () => "broken off",
  );
  await expect.poll(() => server.upstream?.pid !== hung && server.upstream !== undefined).toBe(true);
  // Whoever waited is told, and does not wait on.
  expect(["broken off", 503]).toContain(await waiting);
  expect(Number(await (await fetch(`${server.url}/count`)).text())).toBeGreaterThanOrEqual(2);
  expect(written.join("")).toBe("workerd ended (SIGKILL), which had not answered for 2 seconds\nStarting it again.\n");
});

test("a workerd whose process id cannot be written down is ended before the next one is started", async () => {
  const folder = temporaryFolder();
  const pidFile = join(folder, "workerd.pid");
  let starts = 0;
  const server = await startStandIn(folder, () => {
    starts++;
    if (starts === 2) {
      rmSync(pidFile, { force: true });
      mkdirSync(pidFile);
    }
    if (starts === 3) rmdirSync(pidFile);
    return Promise.resolve();
  });
  killUpstream(server);
  await expect.poll(() => [starts, server.upstream !== undefined]).toEqual([3, true]);
  const processes = execFileSync("ps", ["-eo", "pid,args"], { encoding: "utf8" }).split("\n");
  const onFolder = processes.filter((line) => line.includes(`workerd serve ${folder}`) && !line.includes("/bin/sh"));
  expect(onFolder.map((line) => Number.parseInt(line, 10))).toEqual([server.upstream?.pid]);
});

test("a server whose process is being started again, however long that takes, closes all the same", async () => {
  let starts = 0;
  const server = await startStandIn(temporaryFolder(), () =>
    ++starts > 1 ? new Promise(() => undefined) : Promise.resolve(),
  );
  killUpstream(server);
  await expect.poll(() => starts).toBe(2);
  await server.close(100);
  await expect(fetch(server.url)).rejects.toThrow("fetch failed");
});

test("workerd killed under a stream resets it", async () => {
  const server = await startStandIn(temporaryFolder());
  const stream = http2Session(server.url).request({ ":path": "/ticks" });
  const ended = new Promise((resolve) => stream.once("error", resolve));
  await new Promise((resolve) => stream.once("data", resolve));
  killUpstream(server);
  expect(await ended).toMatchObject({ code: "ERR_HTTP2_STREAM_ERROR" });
});

test("after five deaths within a minute the server gives up and says how the last one went", async () => {
  const server = await startStandIn(temporaryFolder());
  let reason = "";
  void server.givenUp.then((failure) => (reason = failure.message));
  for (let death = 1; death <= 4; death++) {
    await expect.poll(() => server.upstream).toBeDefined();
    killUpstream(server);
    await expect.poll(() => server.upstream, { interval: 1 }).toBe(undefined);
  }
  await expect.poll(() => server.upstream).toBeDefined();
  expect(reason).toBe("");
  killUpstream(server);
  await expect.poll(() => reason).toMatch(/died 5 times within a minute.*workerd ended \(SIGKILL\)/);
  expect((await fetch(server.url)).status).toBe(503);
});

test("a server whose folder was removed does not start again on an empty one, and says what is missing", async () => {
  const folder = temporaryFolder();
  const server = await startStandIn(folder);
  rmSync(folder, { recursive: true });
  killUpstream(server);
  expect(await server.givenUp).toMatchObject({ message: expect.stringContaining("ENOENT") as string });
  expect(existsSync(folder)).toBe(false);
});

test("a request under way when the server closes is answered", async () => {
  const server = await startStandIn(temporaryFolder());
  const session = http2Session(server.url);
  const slow = [
    fetch(`${server.url}/slow`).then((answer) => answer.text()),
    http2Request(session, { ":path": "/slow" }).then((answer) => answer.body),
  ];
  await expect.poll(async () => (await fetch(`${server.url}/slow-requests`)).text(), { interval: 10 }).toBe("2");
  await server.close(10_000);
  expect(await Promise.all(slow)).toEqual(["finished", "finished"]);
});

test("a second server on the same folder is refused, and the folder is free again when the first has closed", async () => {
  const folder = temporaryFolder();
  const first = await startStandIn(folder);
  await expect(startStandIn(folder)).rejects.toThrow(
    `Another server is running on ${folder} (process ${process.pid}, ${first.url}, since 20`,
  );
  expect(await count(first)).toBe(1);
  await first.close();
  expect(await count(await startStandIn(folder))).toBe(2);
});

test("a Worker that does not build, or that workerd refuses, is a failure with the reason and leaves nothing locked", async () => {
  const missing = await onWorkerd("/nowhere/worker.ts", { namespaces: [], variables: [] });
  expect(missing).toMatchObject({ ok: false, message: expect.stringContaining("/nowhere/worker.ts") });

  const folder = temporaryFolder();
  const worker = join(folder, "worker.js");
  writeFileSync(worker, 'throw new Error("this Worker does not load")');
  const startUpstream = await onWorkerd(worker, { namespaces: [], variables: [] });
  if (isFailure(startUpstream)) throw new Error(startUpstream.message);
  const refused = await startServer({ host: "127.0.0.1", port: 0, persistTo: folder, secrets: {}, startUpstream });
  expect(refused).toMatchObject({ ok: false, message: expect.stringContaining("this Worker does not load") });
  expect(await count(await startStandIn(folder))).toBe(1);
});

/** Of a process, the TCP ports on which it listens. */
function listeningPorts(pid: number): number[] {
  const descriptors = readdirSync(`/proc/${pid}/fd`).flatMap((name) => {
    try {
      return [readlinkSync(`/proc/${pid}/fd/${name}`)];
    } catch {
      // It was closed meanwhile.
      return [];
    }
  });
  const inodes = new Set(descriptors.map((target) => /^socket:\[(\d+)\]$/.exec(target)?.[1]));
  const rows = ["tcp", "tcp6"].flatMap((name) => readFileSync(`/proc/${pid}/net/${name}`, "utf8").split("\n").slice(1));
  const fields = rows.map((row) => row.trim().split(/\s+/));
  const listening = fields.filter((row) => row[3] === "0A" && inodes.has(row[9]));
  return listening.map(([, local = ""]) => Number.parseInt(local.split(":")[1] ?? "", 16));
}

test("workerd listens on no TCP port, only on a Unix socket that its user alone can reach", async () => {
  const server = await startStandIn(temporaryFolder());
  const { upstream } = server;
  expect(listeningPorts(process.pid)).toContain(Number(new URL(server.url).port));
  expect(listeningPorts(upstream?.pid ?? 0)).toEqual([]);
  expect(upstream?.address).toEqual({ path: join(server.folder, "run/http.sock") });
  expect(statSync(join(server.folder, "run/http.sock")).isSocket()).toBe(true);
  expect(statSync(join(server.folder, "run")).mode & 0o077).toBe(0);
});

test("a data folder whose path is too long for a socket has its socket elsewhere, for its user alone", async () => {
  const folder = join(temporaryFolder(), "long".repeat(30));
  mkdirSync(folder);
  const server = await startStandIn(folder);
  const address = server.upstream?.address;
  const path = address !== undefined && "path" in address ? address.path : "";
  expect(path.startsWith(tmpdir())).toBe(true);
  expect(statSync(dirname(path)).mode & 0o077).toBe(0);
  expect(await count(server)).toBeGreaterThan(0);
  await server.close(0);
  expect(existsSync(dirname(path))).toBe(false);
});
