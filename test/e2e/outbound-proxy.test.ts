/** A server in a company's network: destinations are reached through the proxy that its environment names, and through nothing else. */
import { afterAll, afterEach, beforeAll, expect, onTestFinished, test } from "vitest";
import { openKv } from "@deno/kv";
import { MAX_SESSION_TOKEN_CHARACTERS } from "../../src/core/limits.ts";
import { type ForwardProxy, startForwardProxy } from "../support/forward-proxy.ts";
import { s3Error, startHostileStore } from "../support/hostile-store.ts";
import { type Answer, type ManagedServer, startManagedServer, Tenant } from "../support/management.ts";
import { type RenamedStore, startStoreNamed, startVirtualHostStore } from "../support/renamed-store.ts";
import { destinationAt } from "../support/s3-place.ts";
import { type S3Server, startS3Server } from "../support/s3-server.ts";
import { authority, startTlsProxy, type TlsProxy } from "../support/tls-proxy.ts";

const CREDENTIALS = "cairn:pass word";

let s3: S3Server;
let tls: TlsProxy;
let wrong: TlsProxy;
let named: RenamedStore;
let byHost: RenamedStore;
let proxy: ForwardProxy;
let server: ManagedServer;
let tenant: Tenant;

beforeAll(async () => {
  s3 = await startS3Server();
  // The name in the certificate.
  named = await startStoreNamed("other.example", s3);
  tls = await startTlsProxy(named.port, "other");
  wrong = await startTlsProxy(named.port, "expired");
  byHost = await startVirtualHostStore(s3);
  // The proxy alone knows these names.
  proxy = await startForwardProxy({
    "other.example:443": tls.port,
    "other.example:8443": wrong.port,
    [`backups.${new URL(byHost.endpoint).host}`]: byHost.port,
  });
  proxy.credentials = CREDENTIALS;
  const [user = "", password = ""] = CREDENTIALS.split(":").map(encodeURIComponent);
  const proxyUrl = proxy.url.replace("//", `//${user}:${password}@`);
  server = await startManagedServer({
    HTTPS_PROXY: proxyUrl,
    http_proxy: proxyUrl,
    NO_PROXY: "direct.example, 10.0.0.0/8",
    NODE_EXTRA_CA_CERTS: authority,
  });
  tenant = await Tenant.make(server);
});
afterAll(async () => {
  await server.close();
  await Promise.all([proxy.close(), tls.close(), wrong.close(), byHost.close(), named.close()]);
  await s3.close();
});
afterEach(() => {
  proxy.does = "pass";
  proxy.credentials = CREDENTIALS;
});

const send = (method: string, url: string, body?: unknown): Promise<Answer> =>
  server.send(method, url, tenant.token, body);

async function enableAt(endpoint: string, more: Record<string, unknown> = {}): Promise<{ id: string; answer: Answer }> {
  const id = await tenant.newDatabase();
  const destination = { ...destinationAt({ ...s3, endpoint }), ...more };
  return { id, answer: await send("POST", `/api/databases/${id}/backup`, { destination, intervalMs: 500 }) };
}

/** What enabling a backup there is refused with. */
const refusal = async (endpoint: string): Promise<string> => (await enableAt(endpoint)).answer.body.detail;

test(
  "a backup is sent and restored through a tunnel, to a host that only the proxy knows",
  { timeout: 90_000 },
  async () => {
    const { id, answer } = await enableAt(named.endpoint);
    expect(answer.status).toBe(201);
    expect(answer.body.destination).toMatchObject({ endpoint: named.endpoint, addressing: "path" });
    const { connectUrl, accessToken } = tenant.opening(id);
    const kv = await openKv(connectUrl, { accessToken });
    // More than one object, each larger than any buffer on the way.
    for (let i = 0; i < 3; i++) {
      const atomic = kv.atomic();
      for (let j = 0; j < 50; j++) atomic.set(["blob", i, j], new Uint8Array(60_000).fill(i * 50 + j));
      await atomic.commit();
    }
    const { versionstamp } = await kv.set(["last"], "value");
    kv.close();
    const backup = () =>
      send("GET", `/api/databases/${id}/backup`).then(({ body }) => [body.status.code, body.backlogBytes]);
    await expect.poll(backup).toEqual(["active", 0]);
    const made = await send("POST", `/api/databases/${id}/forks`, { at: versionstamp, name: "fork" });
    const job = () => send("GET", `/api/jobs/${made.body.job.id}`).then(({ body }) => body.status);
    await expect.poll(job).toBe("completed");
    const fork = tenant.opening(made.body.database.id);
    const restored = await openKv(fork.connectUrl, { accessToken: fork.accessToken });
    expect((await restored.get(["last"])).value).toBe("value");
    expect((await restored.get<Uint8Array>(["blob", 2, 49])).value?.every((byte) => byte === 149)).toBe(true);
    restored.close();
    expect(proxy.seen.length).toBeGreaterThan(0);
    expect(new Set(proxy.seen)).toEqual(new Set(["CONNECT other.example:443"]));
  },
);

test("a store that knows buckets by the host's name is reached by that name, over http", async () => {
  const { answer } = await enableAt(byHost.endpoint, { addressing: "virtual-host" });
  expect(answer).toMatchObject({ status: 201, body: { destination: { addressing: "virtual-host" } } });
  expect(proxy.seen.at(-1)).toContain(`http://backups.${new URL(byHost.endpoint).host}/`);
});

test("a session token of the greatest length passes", async () => {
  const store = await startHostileStore(() => s3Error(403, "ExpiredToken"));
  onTestFinished(() => store.close());
  proxy.ports["store.example:80"] = Number(new URL(store.endpoint).port);
  const sessionToken = "t".repeat(MAX_SESSION_TOKEN_CHARACTERS);
  const { answer } = await enableAt("http://store.example", { sessionToken });
  expect(answer.body.detail).toContain("(HTTP 403, ExpiredToken)");
  expect(store.seen.map(({ headers }) => headers["x-amz-security-token"])).toEqual([sessionToken]);
});

test("this machine, and what NO_PROXY names, is reached directly", async () => {
  expect((await enableAt(s3.endpoint)).answer.status).toBe(201);
  for (const endpoint of ["https://direct.example", "https://a.direct.example", "http://10.255.255.1:9"]) {
    const id = await tenant.newDatabase();
    // Nothing answers there: it is enough that the proxy is not asked.
    const answered = send("POST", `/api/databases/${id}/backup`, { destination: destinationAt({ ...s3, endpoint }) });
    await Promise.race([answered, new Promise((resolve) => setTimeout(resolve, 500))]);
  }
  expect(proxy.seen.filter((request) => /direct|10\.255|\/\/127/.test(request))).toEqual([]);
});

test("what the proxy does not do is said to be the proxy's", async () => {
  // A host of its own for each: tunnels that stand are used again.
  proxy.does = "refuse";
  expect(await refusal("https://a.example")).toMatch(/proxy .* refused the destination at a\.example: .* NO_PROXY/);
  proxy.does = "fail";
  expect(await refusal("https://c.example")).toMatch(/proxy .* could not reach the destination at c\.example/);
  proxy.does = "pass";
  proxy.credentials = "somebody:else";
  expect(await refusal("https://d.example")).toMatch(/proxy .* refused .* user name/);
  expect(await refusal("http://b.example")).toMatch(/proxy .* refused .* user name/);
});

test("a certificate is judged through the proxy as without one", async () => {
  expect(await refusal("https://other.example:8443")).toMatch(
    /certificate of the destination at other\.example:8443 has expired/,
  );
});

test("a proxy that is not there is said to be that; one of another kind ends the server", async () => {
  const lonely = await startManagedServer({ HTTPS_PROXY: "127.0.0.1:9" });
  const owner = await Tenant.make(lonely);
  const id = await owner.newDatabase();
  const destination = destinationAt({ ...s3, endpoint: "https://other.example" });
  const { body } = await lonely.send("POST", `/api/databases/${id}/backup`, owner.token, { destination });
  expect(body.detail).toMatch(/proxy .* could not be reached/);
  await lonely.close();
  await expect(startManagedServer({ HTTPS_PROXY: "socks5://127.0.0.1:9" })).rejects.toThrow(
    "HTTPS_PROXY must be the URL of an http proxy, such as http://proxy.example.com:3128.",
  );
});
