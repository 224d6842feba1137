/**
 * A whole server that is told to restore from a bucket whose owner means harm: it says what is wrong, goes on serving everybody else,
 * and takes no more memory than its limits say.
 */
import { readFileSync } from "node:fs";
import { gzipSync } from "node:zlib";
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { sealManifest } from "../../src/backup/format/manifest.ts";
import { type HostileStore, s3Error, startHostileStore, type StoreAnswer } from "../support/hostile-store.ts";
import { type Answer, type ManagedServer, startManagedServer, Tenant } from "../support/management.ts";

const databaseId = "6f1c1f0a-0000-4000-8000-000000000001";
const at = "2026-11-02T00:00:00Z";
const MIB = 2 ** 20;

let server: ManagedServer;
let tenant: Tenant;

beforeAll(async () => {
  server = await startManagedServer();
  tenant = await Tenant.make(server);
});
afterAll(() => server.close());

/** What a restore from this store is answered. The server's process is the same one after it, and was not long away. */
async function restoreFrom(store: HostileStore): Promise<Answer> {
  const pid = server.workerdPid();
  const before = memoryOf(pid);
  const destination = {
    kind: "s3",
    endpoint: store.endpoint,
    bucketName: "bucket",
    bucketRegion: "us-east-1",
    accessKeyId: "key",
    secretAccessKey: "secret",
  };
  const path = `/api/organizations/${tenant.organizationId}/restores`;
  const answer = await server.send("POST", path, tenant.token, { destination, databaseId, at, name: "restored" });
  expect(server.workerdPid()).toBe(pid);
  expect(memoryOf(pid) - before).toBeLessThan(200 * MIB);
  return answer;
}

/** The most that the process ever held. */
function memoryOf(pid: number): number {
  return Number(/VmHWM:\s*(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]) * 1024;
}

async function storeWith(manifest: StoreAnswer): Promise<HostileStore> {
  const store = await startHostileStore(({ path }) =>
    path.endsWith("/manifest.json") ? manifest : s3Error(404, "NoSuchKey"),
  );
  onTestFinished(() => store.close());
  return store;
}

const manifestOf = (generations: string): Uint8Array =>
  sealManifest(
    `{"format": 1, "databaseId": "${databaseId}", "writtenAt": "2026-11-02T00:00:00.000Z", "generations": [${generations}]}`,
  );

describe("a manifest", () => {
  it("of millions of numbers is refused, by its size and by their number", async () => {
    const large = await restoreFrom(await storeWith({ body: manifestOf(`${"1,".repeat(15_999_000)}1`) }));
    expect(large).toMatchObject({ status: 400, body: { detail: expect.stringContaining("31998") } });
    expect(large.body.detail).toContain("at most 4194304 bytes are read of it");
    const many = await restoreFrom(await storeWith({ body: manifestOf(`${"1,".repeat(2_000_000)}1`) }));
    expect(many).toMatchObject({ status: 409, body: { detail: expect.stringContaining("more than 100000 values") } });
  });

  it("in chunks of one byte takes no more memory than in one", async () => {
    const store = await storeWith({ body: manifestOf(`"${"x".repeat(500_000)}"`), chunkBytes: 1 });
    expect((await restoreFrom(store)).body.detail).toContain("has no field state");
  });

  it("that unpacks to gigabytes is unpacked up to its limit", async () => {
    const headers = { "content-encoding": "gzip" };
    const store = await storeWith({ body: gzipSync(Buffer.alloc(1024 * MIB), { level: 9 }), headers });
    expect((await restoreFrom(store)).body.detail).toContain("is longer; at most 4194304 bytes are read of it");
  });

  it("that is packed is read", async () => {
    const headers = { "content-encoding": "gzip" };
    const store = await storeWith({ body: gzipSync(manifestOf("1")), headers });
    expect((await restoreFrom(store)).body.detail).toContain("has no field state");
  });

  it("that is said to lie elsewhere is not followed there", async () => {
    const elsewhere = await startHostileStore(() => ({ body: "secret" }));
    onTestFinished(() => elsewhere.close());
    for (const status of [301, 302, 303, 307, 308]) {
      const headers = { location: `${elsewhere.endpoint}/bucket/manifest.json` };
      const answer = await restoreFrom(await storeWith({ status, headers }));
      expect(answer).toMatchObject({
        status: 400,
        body: { detail: expect.stringContaining(`elsewhere (HTTP ${status})`) },
      });
    }
    expect(elsewhere.seen).toEqual([]);
  });
});
