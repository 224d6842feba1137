/**
 * A whole server that is told to restore from a bucket whose owner means harm: it says what is wrong, goes on serving everybody else,
 * and takes no more memory than its limits say.
 */
import { readFileSync } from "node:fs";
import { createHash } from "node:crypto";
import { brotliCompressSync, constants, gzipSync } from "node:zlib";
import { openKv } from "@deno/kv";
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { MAX_SESSION_TOKEN_CHARACTERS } from "../../src/core/limits.ts";
import { sealManifest } from "../../src/backup/format/manifest.ts";
import { writeBackup } from "../support/backup-writer.ts";
import {
  type HostileStore,
  s3Error,
  startHostileStore,
  type StoreAnswer,
  type StoreRequest,
} from "../support/hostile-store.ts";
import { type Answer, type ManagedServer, startManagedServer, Tenant } from "../support/management.ts";
import { MemoryDestination } from "../support/memory-destination.ts";

const databaseId = "6f1c1f0a-0000-4000-8000-000000000001";
const MIB = 2 ** 20;

/** Bodies of a gigabyte, by their encoding. */
const zeros = Buffer.alloc(2 ** 30);
const bombs: Readonly<Record<string, Buffer>> = {
  gzip: gzipSync(zeros, { level: 1 }),
  br: brotliCompressSync(zeros, { params: { [constants.BROTLI_PARAM_QUALITY]: 1 } }),
};
const bombOf = (encoding: string): StoreAnswer => ({
  body: bombs[encoding] ?? "",
  headers: { "content-encoding": encoding },
});

let server: ManagedServer;
let tenant: Tenant;

beforeAll(async () => {
  server = await startManagedServer();
  tenant = await Tenant.make(server);
});
afterAll(() => server.close());

/** The server's process is the same one after this work, and did not need much memory for it. */
async function unharmed(work: () => Promise<Answer>): Promise<Answer> {
  const pid = server.workerdPid();
  const before = memoryOf(pid);
  const answer = await work();
  expect(server.workerdPid()).toBe(pid);
  expect(memoryOf(pid) - before).toBeLessThan(200 * MIB);
  return answer;
}

/** What a restore from this store is answered. */
function restoreFrom(store: HostileStore, at = "2026-11-02T00:00:00Z"): Promise<Answer> {
  const destination = {
    kind: "s3",
    endpoint: store.endpoint,
    bucketName: "bucket",
    bucketRegion: "us-east-1",
    accessKeyId: "key",
    secretAccessKey: "secret",
  };
  const path = `/api/organizations/${tenant.organizationId}/restores`;
  const order = { destination, databaseId, at, name: "restored" };
  return unharmed(() => server.send("POST", path, tenant.token, order));
}

/** A job, when it has come to its end. */
async function ended(jobId: string): Promise<Answer> {
  let job: Answer | undefined;
  const read = async () => (job = await server.send("GET", `/api/jobs/${jobId}`, tenant.token)).body.status;
  await expect.poll(read).toMatch(/completed|failed/);
  if (job === undefined) throw new Error("the job was not read");
  return job;
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

  it("that unpacks to gigabytes is unpacked up to its limit (B45)", async () => {
    const store = await storeWith(bombOf("gzip"));
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

/** A page of what lies below a prefix. */
function listing(path: string, objects: ReadonlyMap<string, Uint8Array>): StoreAnswer {
  const query = new URL(path, "http://store").searchParams;
  const named = [...objects].map(([object, { length }]) => ({ key: decodeURIComponent(object.slice(8)), length }));
  const below = named.filter(
    ({ key }) => key.startsWith(query.get("prefix") ?? "") && key > (query.get("start-after") ?? ""),
  );
  const found = below.toSorted((a, b) => (a.key < b.key ? -1 : 1)).slice(0, Number(query.get("max-keys") ?? 1000));
  const contents = found.map(({ key, length }) => `<Contents><Key>${key}</Key><Size>${length}</Size></Contents>`);
  const isTruncated = found.length < below.length;
  return {
    body: `<ListBucketResult><IsTruncated>${isTruncated}</IsTruncated>${contents.join("")}</ListBucketResult>`,
  };
}

describe("a restore of a backup", () => {
  it.each([
    ["a snapshot's object", "/snapshots/"],
    ["an object of the log", "/logs/"],
    ["the end of a generation's snapshot", "/differential"],
  ])("of which %s unpacks to gigabytes fails with its name", async (_, part) => {
    const backup = new MemoryDestination();
    await writeBackup(backup, databaseId, 31, 40);
    const objects = new Map([...backup.objects].map(([name, bytes]) => [`/bucket/${name}`, bytes]));
    const store = await startHostileStore(({ path }) => {
      if (path.startsWith("/bucket?")) return listing(path, objects);
      const body = objects.get(path);
      if (body === undefined) return s3Error(404, "NoSuchKey");
      return path.includes(part) ? bombOf("gzip") : { body };
    });
    onTestFinished(() => store.close());
    const job = await unharmed(async () => ended((await restoreFrom(store, "latest")).body.job.id));
    expect(job.body.status).toBe("failed");
    expect(job.body.error).toMatch(
      new RegExp(`^The object "[^"]*${part}[^"]*" is longer; at most \\d+ bytes are read`),
    );
  });
});

describe("a backup", () => {
  /** A store that keeps objects by their path, and answers some requests otherwise. What it keeps is returned, too. */
  async function storeBut(answer: (request: StoreRequest) => StoreAnswer | undefined) {
    const objects = new Map<string, Buffer>();
    const store = await startHostileStore((request) => {
      const { method, path, body } = request;
      const otherwise = answer(request);
      if (otherwise !== undefined) return otherwise;
      if (method === "PUT") objects.set(path, body);
      if (method === "DELETE") objects.delete(path);
      if (method === "PUT") return {};
      if (method === "DELETE") return { status: 204 };
      if (path.startsWith("/bucket?")) return listing(path, objects);
      const there = objects.get(path);
      return there === undefined ? s3Error(404, "NoSuchKey") : { body: there };
    });
    onTestFinished(() => store.close());
    return { store, objects };
  }

  async function enableAt(endpoint: string, more: Readonly<Record<string, string>> = {}) {
    const id = await tenant.newDatabase();
    const destination = {
      kind: "s3",
      endpoint,
      bucketName: "bucket",
      bucketRegion: "us-east-1",
      accessKeyId: "key",
      secretAccessKey: "secret",
      prefix: "p",
      ...more,
    };
    const order = { destination, intervalMs: 500 };
    return { id, ...(await unharmed(() => server.send("POST", `/api/databases/${id}/backup`, tenant.token, order))) };
  }

  it("whose trial fails leaves nothing in the bucket", async () => {
    const { store, objects } = await storeBut(({ path }) =>
      path.includes("list-type=2") ? s3Error(403, "AccessDenied") : undefined,
    );
    const answer = await enableAt(store.endpoint);
    expect(answer).toMatchObject({
      status: 400,
      body: {
        detail:
          'The trial\'s list request failed. The credentials do not allow to list objects in bucket "bucket" (HTTP 403, AccessDenied): grant s3:ListBucket. A policy of the bucket, a lock on its objects or a cap of the account may be why, too.',
      },
    });
    expect([...objects.keys()]).toEqual([]);
    expect(store.seen.map(({ method }) => method)).toEqual(["PUT", "GET", "HEAD", "GET", "DELETE"]);
  });

  it("whose endpoint contains the bucket leaves nothing either", async () => {
    const { store, objects } = await storeBut(() => undefined);
    const { status, body } = await enableAt(`${store.endpoint}/bucket`);
    expect(status).toBe(400);
    expect(body.detail).toMatch(
      /^The trial's list request failed\. .*the endpoint, which must not contain the bucket\.$/,
    );
    expect([...objects.keys()]).toEqual([]);
  });

  it.each([
    [403, "SecondLevelDomainForbidden", "virtual-host"],
    [403, "KMS.DisabledException", "key management"],
    [400, "XMinioAdminBucketQuotaExceeded", "quota"],
    [400, "InvalidRequest", "InvalidRequest"],
    [403, "<b>AccessDenied</b>", "HTTP 403)"],
  ])("that is refused with %i %s is told what leads to the cause", async (status, code, words) => {
    const { store } = await storeBut(() => s3Error(status, code));
    const { body } = await enableAt(store.endpoint);
    expect(body.detail).toMatch(/^The trial's put request failed\. /);
    expect(body.detail).toContain(words);
    expect(body.detail).not.toMatch(/secret words|<b>/);
  });

  describe.each(Object.keys(bombs))("whose answers are bombs of %s", (encoding) => {
    it.each([
      ["PUT", 200, "The destination's answer is longer; at most"],
      ["PUT", 403, 'The destination refused to store an object in bucket "bucket" (HTTP 403)'],
      ["GET", 200, "is longer; at most"],
      ["LIST", 200, "The destination's answer is longer; at most 4194304 bytes are read of it."],
      ["LIST", 500, "could not take the request now (HTTP 500)"],
      ["DELETE", 200, "The destination's answer is longer; at most"],
    ])("to %s with %i reads them up to its limit", async (what, status, words) => {
      const { store } = await storeBut(({ method, path }) => {
        const asked = path.startsWith("/bucket?") ? "LIST" : method;
        return asked === what ? { ...bombOf(encoding), status } : undefined;
      });
      expect((await enableAt(store.endpoint)).body.detail).toContain(words);
    });
  });

  it("that is said to belong elsewhere is not taken there (B43)", async () => {
    const elsewhere = await startHostileStore(() => ({}));
    onTestFinished(() => elsewhere.close());
    for (const status of [301, 302, 303, 307, 308]) {
      const { store } = await storeBut(({ path }) => ({
        status,
        headers: { location: `${elsewhere.endpoint}${path}` },
      }));
      expect((await enableAt(store.endpoint)).body.detail).toContain(
        `put request failed. The destination sends requests for bucket "bucket" elsewhere (HTTP ${status})`,
      );
    }
    expect(elsewhere.seen).toEqual([]);
  });

  it("can be kept in a bucket of Google's, with an underscore in its name", async () => {
    const { store } = await storeBut(() => s3Error(404, "NoSuchBucket"));
    expect((await enableAt(store.endpoint, { bucketName: "my_bucket" })).body.detail).toContain(
      'no bucket "my_bucket"',
    );
  });

  it("sends a session token of the greatest length", async () => {
    const { store } = await storeBut(() => undefined);
    const sessionToken = "t".repeat(MAX_SESSION_TOKEN_CHARACTERS);
    expect(await enableAt(store.endpoint, { sessionToken })).toMatchObject({ status: 201 });
    expect(new Set(store.seen.map(({ headers }) => headers["x-amz-security-token"]))).toEqual(new Set([sessionToken]));
    const longer = await enableAt(store.endpoint, { sessionToken: `${sessionToken}t` });
    expect(longer).toMatchObject({ status: 400 });
    expect(longer.body.detail).toContain("16385");
  });

  it("goes to a bucket that locks its objects, which takes none without its MD5", async () => {
    const md5Of = (body: Buffer) => createHash("md5").update(body).digest("base64");
    const { store, objects } = await storeBut(({ method, headers, body }) =>
      method === "PUT" && headers["content-md5"] !== md5Of(body) ? s3Error(400, "InvalidRequest") : undefined,
    );
    const enabled = await enableAt(store.endpoint);
    expect(enabled).toMatchObject({ status: 201 });
    const stored = (part: string) => [...objects.keys()].filter((key) => key.includes(part)).length;
    await expect.poll(() => stored("/manifest.json")).toBe(1);
    // The trial has learned it, and so has what stores since. What comes later is sent once.
    const without = () => store.seen.filter(({ method, headers }) => method === "PUT" && !("content-md5" in headers));
    const before = without().length;
    const { connectUrl, accessToken } = tenant.opening(enabled.id);
    const kv = await openKv(connectUrl, { accessToken });
    for (let n = 1; n <= 2; n++) {
      await kv.set(["n"], n);
      await expect.poll(() => stored("/logs/")).toBe(n);
    }
    kv.close();
    expect(without()).toHaveLength(before);
  });

  it("that is refused whatever is sent is tried with an MD5 once", async () => {
    const { store } = await storeBut(() => s3Error(400, "InvalidRequest"));
    expect((await enableAt(store.endpoint)).body.detail).toContain("(HTTP 400, InvalidRequest)");
    expect(store.seen.map(({ method, headers }) => [method, "content-md5" in headers])).toEqual([
      ["PUT", false],
      ["PUT", true],
    ]);
  });

  it("is told what is wrong with how its bucket is to be addressed", async () => {
    const id = await tenant.newDatabase();
    const destination = {
      kind: "s3",
      endpoint: "http://127.0.0.1:9",
      bucketName: "bucket",
      bucketRegion: "us-east-1",
      accessKeyId: "key",
      secretAccessKey: "secret",
      addressing: "virtual-host",
    };
    const path = `/api/databases/${id}/backup`;
    expect((await server.send("POST", path, tenant.token, { destination })).body.detail).toContain(
      "must have a name, not an address",
    );
    const wrong = await server.send("POST", path, tenant.token, { destination: { ...destination, addressing: "dns" } });
    expect(wrong.status).toBe(400);
    expect(JSON.stringify(wrong.body)).toContain("addressing");
  });
});
