/** `cairn-kv/kvs` of the packed package, from each runtime that it is for, against a server as `npm start` runs it. */
import { execFile } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { build } from "esbuild";
import { convertV4MiniflareOptions, Miniflare } from "miniflare";
import { afterAll, beforeAll, describe, expect, onTestFinished, test, vi } from "vitest";
import { createKvs, KvsError } from "../../src/client/kvs.ts";
import { launchBrowser, whyNoBrowser } from "../support/browser.ts";
import { startDenoProcess } from "../support/deno-process.ts";
import { type ManagedServer, startManagedServer, Tenant } from "../support/management.ts";
import { installPackage } from "../support/packed-package.ts";

const run = promisify(execFile);
const denoBinary = join(import.meta.dirname, "../../node_modules/.bin/deno");
const PROGRAM = "records-program.mjs";

let server: ManagedServer;
let folder: string;
/** As programs in Node and Deno get them. */
let environment: NodeJS.ProcessEnv;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "cairn-records-"));
  [server] = await Promise.all([startManagedServer(), installPackage(folder)]);
  const { CAIRN_DATABASE_URL, CAIRN_TOKEN } = {
    CAIRN_DATABASE_URL: server.connectUrl,
    CAIRN_TOKEN: server.accessToken,
  };
  environment = { ...process.env, CAIRN_DATABASE_URL, CAIRN_TOKEN, NO_COLOR: "1", DENO_NO_UPDATE_CHECK: "1" };
  writeFileSync(join(folder, PROGRAM), readFileSync(join(import.meta.dirname, "clients", PROGRAM)));
  const main = `import { kvs } from "cairn-kv/kvs";
    import { run } from "./${PROGRAM}";
    console.log(JSON.stringify(await run(kvs, process.argv[2])));`;
  writeFileSync(join(folder, "main.mjs"), main);
});

afterAll(async () => {
  await server.close();
  rmSync(folder, { recursive: true, force: true });
});

/** What the program finds in every runtime. */
function expectResults(results: Record<string, unknown>): void {
  const { nothing, cleared, lock, ...others } = results;
  expect([nothing, cleared]).toEqual([{}, {}]);
  expect(lock).toEqual([200, ...Array(4).fill(409)]);
  expect(others).toEqual({
    coupon: 4,
    renewed: [200, 404],
    weather: { sun: 1 },
    owner: 200,
    renewedLock: 200,
    held: 404,
    free: 200,
    several: [
      ["a", "a"],
      ["..", ".."],
    ],
    listed: [".", "..", "a", "a/b", "b"],
    bounded: ["..", "a", "a/b"],
    ifAbsent: [200, 409],
    refused: Array(11).fill(400),
    withoutArguments: Array(15).fill(400),
    keysLeftOut: {},
  });
}

describe("the package (A19)", () => {
  test("has no dependencies to install for it, and imports nothing", () => {
    const text = readFileSync(join(folder, "node_modules/cairn-kv/dist/client/kvs.js"), "utf8");
    expect(text).not.toMatch(/^\s*import\b|\bimport\(|\brequire\(/m);
    expect(readFileSync(join(folder, "node_modules/cairn-kv/dist/client/kvs.d.ts"), "utf8")).not.toMatch(/\bimport\b/);
  });

  test("works in Node, with its address and token from the environment", async () => {
    const { stdout } = await run(process.execPath, ["main.mjs", "node"], { cwd: folder, env: environment });
    expectResults(JSON.parse(stdout));
  });

  test("works in Deno, and its types are right there", async () => {
    const flags = ["--allow-net", "--allow-env", "--allow-read", "--node-modules-dir=manual", "--no-lock"];
    const { stdout } = await run(denoBinary, ["run", ...flags, "main.mjs", "deno"], { cwd: folder, env: environment });
    expectResults(JSON.parse(stdout));
    const typed = `import { createKvs, kvs, type KvsError, type KvsRecords } from "cairn-kv/kvs";
      interface Coupon { index: number }
      const records: KvsRecords<Coupon> = await kvs.get<Coupon>({ key: "a" });
      export const index: number | undefined = records["a"]?.value.index;
      export const page = createKvs({ url: "", token: "", namespace: "shop" }).list({ pageSize: 5 });
      export const status = (error: KvsError): number => error.status;
      // @ts-expect-error -- there is no such operator
      void kvs.checkAndWrite({ key: "a", value: {}, operator: "==", unixtimeMs: 0 });`;
    writeFileSync(join(folder, "typed.ts"), typed);
    await run(denoBinary, ["check", "--node-modules-dir=manual", "--no-lock", "typed.ts"], {
      cwd: folder,
      env: environment,
    });
  });

  test.each([
    ["given", "createKvs({ url: env.CAIRN_DATABASE_URL, token: env.CAIRN_TOKEN })"],
    ["in its environment", "kvs"],
  ])("works in a Worker, with its address and token %s", async (where, opening) => {
    const worker = `import { createKvs, kvs } from "cairn-kv/kvs";
        import { run } from "./${PROGRAM}";
        export default { fetch: async (request, env) => Response.json(await run(${opening}, "worker ${where}")) };`;
    const bundled = await build({
      stdin: { contents: worker, resolveDir: folder },
      bundle: true,
      format: "esm",
      write: false,
    });
    const { CAIRN_DATABASE_URL = "", CAIRN_TOKEN = "" } = environment;
    const runtime = new Miniflare(
      convertV4MiniflareOptions({
        modules: true,
        script: bundled.outputFiles[0]?.text ?? "",
        compatibilityDate: "2026-10-01",
        compatibilityFlags: ["nodejs_compat"],
        bindings: { CAIRN_DATABASE_URL, CAIRN_TOKEN },
        host: "127.0.0.1",
        port: 0,
        cf: false,
      }),
    );
    onTestFinished(() => runtime.dispose());
    const answer = await runtime.dispatchFetch("http://worker.example/");
    expectResults((await answer.json()) as Record<string, unknown>);
  });

  test("works in a web page of another origin", async (context) => {
    if (whyNoBrowser !== null) return context.skip(whyNoBrowser);
    const files: Readonly<Record<string, string>> = {
      "/kvs.js": readFileSync(join(folder, "node_modules/cairn-kv/dist/client/kvs.js"), "utf8"),
      "/program.js": readFileSync(join(folder, PROGRAM), "utf8"),
    };
    const pages = createServer(({ url = "" }, response) => {
      const type = url.endsWith(".js") ? "text/javascript" : "text/html";
      response.writeHead(200, { "content-type": type }).end(files[url] ?? "<title>records</title>");
    });
    await once(pages.listen(0, "127.0.0.1"), "listening");
    onTestFinished(() => void pages.close());
    // A server that listens on TCP.
    const origin = `http://127.0.0.1:${(pages.address() as AddressInfo).port}`;
    const tenant = await Tenant.make(server);
    const databaseId = await tenant.newDatabase();
    const { token } = await tenant.newToken({ databases: [databaseId], allowedOrigins: [origin] });
    const browser = await launchBrowser();
    onTestFinished(() => browser.close());
    const page = await browser.newPage();
    await page.goto(origin);
    const { connectUrl } = tenant.opening(databaseId);
    const results = await page.evaluate(
      `(async () => {
        const [{ createKvs }, { run }] = [await import("/kvs.js"), await import("/program.js")];
        return run(createKvs({ url: ${JSON.stringify(connectUrl)}, token: ${JSON.stringify(token)} }), "page");
      })()`,
    );
    // What the program returns.
    expectResults(results as Record<string, unknown>);
  });
});

describe("one keyspace (A1)", () => {
  test("Deno reads a record with kv.get, is told of it by a watch, and writes one", async () => {
    const deno = startDenoProcess(fileURLToPath(new URL("clients/records-deno.ts", import.meta.url)), server);
    onTestFinished(() => deno.close());
    const kvs = createKvs({ url: server.connectUrl, token: server.accessToken });
    await kvs.write({ key: "seen", value: { index: 1 } });
    expect(await deno.order({ get: ["kvs", "seen"] })).toEqual({ index: 1 });
    expect(await deno.order({ watch: ["kvs", "seen"] })).toEqual({ index: 1 });
    const told = deno.order({ next: true });
    await kvs.checkAndWrite({ key: "seen", value: { index: 2 }, operator: ">=", unixtimeMs: 0 });
    expect(await told).toEqual({ index: 2 });
    await deno.order({ set: ["kvs", "shop", "from deno"], value: { index: 3 } });
    const found = await kvs.get({ key: "from deno", namespace: "shop" });
    expect(found["from deno"]).toMatchObject({ value: { index: 3 }, expired_at: null });
  });
});

test("after workerd was killed, no record is from a time to come, and what was answered is there (A4)", async () => {
  const kvs = createKvs({ url: server.connectUrl, token: server.accessToken });
  await kvs.write({ key: "kept", value: { index: 1 } });
  const pid = server.workerdPid();
  process.kill(pid, "SIGKILL");
  await expect.poll(() => server.workerdPid()).not.toBe(pid);
  const kept = await vi.waitFor(() => kvs.get({ key: "kept" }), { timeout: 60_000 });
  expect(kept["kept"]?.value).toEqual({ index: 1 });
  await kvs.write({ key: "later", value: {} });
  const { later } = await kvs.get({ key: "later" });
  expect(Date.parse(later?.created_at ?? "")).toBeLessThanOrEqual(Date.now());
  const newer = { key: "later", value: {}, operator: ">", unixtimeMs: Date.now() + 60_000 } as const;
  await expect(kvs.checkAndWrite(newer)).rejects.toMatchObject({ status: 404 });
});

// On a machine with too much to do they may arrive more than the 50 milliseconds apart that A13 allows.
describe("of fifty checkAndWrite of one key that are sent together (A12)", { retry: 3 }, () => {
  let tries = 0;
  test.each([
    ["a new key", "<", 300_000],
    ["a condition that always holds", ">=", Number.MAX_SAFE_INTEGER],
  ] as const)("one writes and 49 get 409: %s", async (what, operator, ago) => {
    const kvs = createKvs({ url: server.connectUrl, token: server.accessToken });
    const unixtimeMs = Date.now() - ago;
    const key = `${what} ${++tries}`;
    const statuses = await Promise.all(
      Array.from({ length: 50 }, (_, index) =>
        kvs.checkAndWrite({ key, value: { index }, operator, unixtimeMs }).then(
          () => 200,
          (error: unknown) => (error instanceof KvsError ? error.status : 0),
        ),
      ),
    );
    expect(statuses.toSorted((a, b) => a - b)).toEqual([200, ...Array(49).fill(409)]);
    expect((await kvs.get({ key }))[key]?.value).toEqual({ index: statuses.indexOf(200) });
  });
});

describe("what is thrown (A20)", () => {
  const failing = async (call: Promise<unknown>): Promise<string> => {
    const error: unknown = await call.then(
      () => undefined,
      (thrown: unknown) => thrown,
    );
    return error instanceof KvsError ? `${error.status} ${error.code}: ${error.message}` : String(error);
  };

  test("says what is wrong, with the status of the server", async () => {
    const { connectUrl: url, accessToken: token } = server;
    const kvs = createKvs({ url, token });
    expect(await failing(kvs.list({ pageSize: 0 }))).toMatch(/^400 invalid: pageSize is "0"; it must be/);
    expect(await failing(kvs.write({ key: "a", value: { b: [Number.NaN] } }))).toBe(
      "400 invalid: value.b[0] is NaN, which JSON cannot say.",
    );
    expect(await failing(createKvs({ url, token: "wrong" }).get({ key: "a" }))).toMatch(/^401 unauthenticated: /);
    expect(await failing(createKvs({ url, token: "" }).get({ key: "a" }))).toMatch(/^400 invalid: There is no token: /);
    expect(await failing(createKvs({ token }).get({ key: "a" }))).toMatch(
      /^400 invalid: There is no url: .*CAIRN_DATABASE_URL/,
    );
    expect(await failing(createKvs({ url: "http://a.example/", token }).get({ key: "a" }))).toMatch(
      /^400 invalid: url is "http:\/\/a\.example\/"; it must be the connect URL/,
    );
    const large = kvs.write({ key: "a", value: { text: "x".repeat(1_100_000) } });
    expect(await failing(large)).toMatch(/^400 limit: .*value size should be less than/);
  });

  test("has the status 503 where no answer comes, after a while at the latest", async () => {
    const silent = createServer(() => undefined);
    await once(silent.listen(0, "127.0.0.1"), "listening");
    onTestFinished(() => {
      silent.closeAllConnections();
      silent.close();
    });
    // A server that listens on TCP.
    const url = `http://127.0.0.1:${(silent.address() as AddressInfo).port}/databases/x/connect`;
    expect(await failing(createKvs({ url, token: "t", timeoutMs: 20 }).get({ key: "a" }))).toBe(
      "503 unavailable: There was no answer. The call may have been carried out.",
    );
  });

  test.each([
    [502, "<h1>Bad Gateway</h1>", "502"],
    [200, "<h1>Welcome</h1>", "500"],
  ])("says that an answer is not ours: %i %s", async (status, body, expected) => {
    const strange = createServer((_, response) => void response.writeHead(status).end(body));
    await once(strange.listen(0, "127.0.0.1"), "listening");
    onTestFinished(() => void strange.close());
    // A server that listens on TCP.
    const url = `http://127.0.0.1:${(strange.address() as AddressInfo).port}/databases/x/connect`;
    expect(await failing(createKvs({ url, token: "t" }).get({ key: "a" }))).toContain(expected);
  });
});
