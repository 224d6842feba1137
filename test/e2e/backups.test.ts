/** Backups as somebody uses them with curl, against a whole server and a bucket on this machine. */
import { createHash, randomBytes } from "node:crypto";
import { fromBinary } from "@bufbuild/protobuf";
import { openKv } from "@deno/kv";
import { afterAll, beforeEach, expect, test } from "vitest";
import { startFaultProxy } from "../support/fault-proxy.ts";
import { startManagedServer, Tenant, type Answer } from "../support/management.ts";
import { SnapshotReadOutputSchema } from "../support/proto/generated/com/deno/kv/datapath/datapath_pb.js";
import { encodeRead, encodeWrite, type RawConnect, rawKey, rawPoint, rawSet } from "../support/raw-connect.ts";
import { destinationAt } from "../support/s3-place.ts";
import { startS3Server } from "../support/s3-server.ts";

const [server, s3] = await Promise.all([startManagedServer(), startS3Server()]);
const proxy = await startFaultProxy(s3.endpoint);
const tenant = await Tenant.make(server);
const { accessKeyId, secretAccessKey } = s3;
const destination = destinationAt({ ...s3, endpoint: proxy.endpoint });

beforeEach(() => proxy.heal());

afterAll(async () => {
  await Promise.all([server.close(), proxy.close()]);
  await s3.close();
});

const send = (method: string, path: string, body?: unknown): Promise<Answer> =>
  server.send(method, path, tenant.token, body);

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

async function open(databaseId: string) {
  const { connectUrl, accessToken } = tenant.opening(databaseId);
  return openKv(connectUrl, { accessToken });
}

/** Every entry below "n": its number, its versionstamp and its bytes. */
async function entriesOf(databaseId: string): Promise<Map<number, string>> {
  const kv = await open(databaseId);
  const entries = new Map<number, string>();
  for await (const { key, value, versionstamp } of kv.list<Uint8Array>({ prefix: ["n"] })) {
    entries.set(Number(key[1]), `${versionstamp} ${createHash("sha256").update(value).digest("hex")}`);
  }
  kv.close();
  return entries;
}

/** Asks again while the backup has not got so far. */
async function accepted(method: string, path: string, body?: unknown): Promise<Answer> {
  let answer = await send(method, path, body);
  await expect
    .poll(async () => (answer.status === 503 ? (answer = await send(method, path, body)) : answer).status)
    .toBe(202);
  return answer;
}

async function finished(jobId: string): Promise<Answer["body"]> {
  return (await followed(jobId)).at(-1);
}

/** Until the backup is active and has everything. */
async function stored(path: string): Promise<void> {
  await expect
    .poll(async () => (await send("GET", `${path}/backup`)).body)
    .toMatchObject({ status: { code: "active" }, backlogBytes: 0, lastError: null });
}

/** A job as it was each time that it was asked for, until it was over. */
async function followed(jobId: string): Promise<Answer["body"][]> {
  const deadline = Date.now() + 30_000;
  for (const seen: Answer["body"][] = []; ; await sleep(20)) {
    const { status, body } = await send("GET", `/api/jobs/${jobId}`);
    expect(status).toBe(200);
    seen.push(body);
    if (body.status !== "running") return seen;
    if (Date.now() > deadline) throw new Error(JSON.stringify(body));
  }
}

/** What is done grows and never shrinks, and was seen to grow while it ran. */
function expectProgress(jobs: readonly Answer["body"][]): void {
  const done = jobs.map((job) => Number(job.done));
  expect(done).toEqual(done.toSorted((one, other) => one - other));
  const running = jobs.filter(({ status, total }) => status === "running" && total > 0);
  expect(new Set(running.map((job) => job.done)).size).toBeGreaterThan(2);
  expect(running.some((job) => job.done < job.total && job.rate !== 0)).toBe(true);
  const last = jobs.at(-1);
  expect([last.status, last.done]).toEqual(["completed", last.total]);
}

/** A client that reads two entries and writes another one as often as it can. */
class Traffic {
  readonly #client: RawConnect;
  readonly #over = new AbortController();
  readonly #ended: Promise<void>;
  /** In the order of the reads: which of the two entries there are, or the status. */
  readonly reads: string[] = [];
  readonly writes: number[] = [];

  constructor(client: RawConnect, keys: readonly Uint8Array[]) {
    this.#client = client;
    this.#ended = this.#run(encodeRead({ ranges: keys.map(rawPoint) }));
  }

  async #run(read: Uint8Array): Promise<void> {
    const write = encodeWrite({ mutations: [rawSet(rawKey("traffic"), new Uint8Array(8))] });
    while (!this.#over.signal.aborted) {
      const answer = await this.#client.post("snapshot_read", read);
      this.reads.push(answer.status === 200 ? presence(answer.body) : `${answer.status}`);
      this.writes.push((await this.#client.post("atomic_write", write)).status);
      await sleep(2);
    }
  }

  async end(): Promise<void> {
    this.#over.abort();
    await this.#ended;
    this.#client.close();
  }
}

function presence(body: Buffer): string {
  const { ranges } = fromBinary(SnapshotReadOutputSchema, new Uint8Array(body));
  return ranges.map(({ values }) => (values.length === 0 ? "gone" : "there")).join(", ");
}

const COUNT = 480;
const BLOCK = 40;

test(
  "half the data is deleted by mistake: the moment is found, forked, compared, and restored in place",
  { timeout: 120_000 },
  async () => {
    const id = await tenant.newDatabase("shop");
    const path = `/api/databases/${id}`;
    const wrong = await send("POST", `${path}/backup`, { destination: { ...destination, secretAccessKey: "wrong" } });
    expect(wrong).toMatchObject({ status: 400, body: { code: "invalid" } });
    const made = await send("POST", `${path}/backup`, { destination, intervalMs: 500 });
    expect(made).toMatchObject({ status: 201, body: { intervalMs: 500, retentionDays: 30, paused: false } });
    expect(JSON.stringify(made.body)).not.toContain(secretAccessKey);
    expect((await send("POST", `${path}/backup`, { destination })).status).toBe(409);

    const kv = await open(id);
    let last = "";
    for (let from = 0; from < COUNT; from += BLOCK) {
      const write = kv.atomic();
      for (let n = from; n < from + BLOCK; n++) write.set(["n", n], randomBytes(16_000));
      const committed = await write.commit();
      last = committed.ok ? committed.versionstamp : last;
      // So that the backup has several objects, which a restore gets a few at a time.
      await stored(path);
    }
    const then = await entriesOf(id);
    expect(then.size).toBe(COUNT);
    await sleep(10);
    const moment = new Date().toISOString();
    await sleep(10);
    let mistake = "";
    for (let from = 1; from < COUNT; from += 2 * BLOCK) {
      const write = kv.atomic();
      for (let n = from; n < from + 2 * BLOCK; n += 2) write.delete(["n", n]);
      const committed = await write.commit();
      mistake ||= committed.ok ? committed.versionstamp : "";
    }
    const left = await entriesOf(id);
    expect([...left]).toEqual([...then].filter(([n]) => n % 2 === 0));
    await stored(path);

    // The moment is found from about when it was.
    const { body: whole } = await send("GET", `${path}/backup/range`);
    expect(whole.range.last.versionstamp > mistake).toBe(true);
    const around = async (direction: string) =>
      (await send("GET", `${path}/backup/points?at=${moment}&limit=1&direction=${direction}`)).body.items;
    expect(await around("before")).toEqual([{ versionstamp: last, time: expect.stringMatching(/Z$/) }]);
    expect(await around("after")).toMatchObject([{ versionstamp: mistake }]);

    proxy.add({ fault: { do: "delay", ms: 100 }, method: "GET", path: /(snapshots|logs)%2F|(snapshots|logs)\/[^?]/ });
    const { body: fork } = await accepted("POST", `${path}/forks`, { at: moment, name: "as it was" });
    expect(fork).toMatchObject({ database: { name: "as it was" }, job: { kind: "database.fork", error: null } });
    const forking = await followed(fork.job.id);
    expectProgress(forking);
    expect(forking.at(-1)).toMatchObject({ result: { versionstamp: last } });
    expect(await entriesOf(fork.database.id)).toEqual(then);
    expect(await entriesOf(id)).toEqual(left);

    const keys = [0, 1].map((n) => ["n", n]);
    const reader = kv.watch<Uint8Array[]>(keys).getReader();
    const watched = async () => (await reader.read()).value?.map(({ versionstamp }) => versionstamp);
    const stampOf = (n: number) => then.get(n)?.split(" ")[0];
    expect(await watched()).toEqual([stampOf(0), null]);
    const traffic = new Traffic(await tenant.connect(id), [rawKey("n", 0), rawKey("n", 1)]);
    expect((await send("POST", `${path}/restores`, { at: last })).status).toBe(400);
    const restore = await accepted("POST", `${path}/restores`, { at: moment, confirm: true });
    expect(restore.headers.get("location")).toBe(`/api/jobs/${restore.body.id}`);
    const restoring = await followed(restore.body.id);
    expectProgress(restoring);
    expect(restoring.at(-1)).toMatchObject({ kind: "database.restore", result: { versionstamp: last } });
    await sleep(100);
    await traffic.end();
    expect(await entriesOf(id)).toEqual(then);
    expect(await watched()).toEqual([stampOf(0), stampOf(1)]);
    await reader.cancel();
    kv.close();
    // The one state, perhaps a refusal at the switch, the other state: never a mixture, and never back.
    const states = traffic.reads.filter((state, i) => state !== traffic.reads[i - 1]);
    expect(states.filter((state) => state !== "503")).toEqual(["there, gone", "there, there"]);
    expect(states.length).toBeLessThanOrEqual(3);
    for (const statuses of [traffic.reads, traffic.writes.map(String)]) {
      expect(statuses.filter((status) => status === "503").length).toBeLessThanOrEqual(statuses.length / 20);
    }
    expect(traffic.writes.filter((status) => status !== 200 && status !== 503)).toEqual([]);
    expect((await send("POST", `/api/jobs/${restore.body.id}:cancel`)).status).toBe(409);
    proxy.heal();

    // Whoever restored is told what that has undone: the mistake, and what was acknowledged meanwhile; and how it comes back.
    const blocks = Math.ceil(COUNT / 2 / BLOCK);
    const { undone, before } = restoring.at(-1).result;
    expect(undone).toMatchObject({ exact: true, first: mistake });
    expect(undone.commits).toBeGreaterThan(blocks);
    expect(undone.commits).toBeLessThanOrEqual(blocks + traffic.writes.filter((status) => status === 200).length);
    expect(before.versionstamp > mistake).toBe(true);
    const whatWas = async () => (await send("GET", `/api/jobs/${restore.body.id}`)).body.result.before;
    await expect.poll(whatWas).toMatchObject({ stored: true });
    const { fork: request } = await whatWas();
    const { body: back } = await accepted(request.method, request.path, request.body);
    expect(await finished(back.job.id)).toMatchObject({ status: "completed" });
    expect(await entriesOf(back.database.id)).toEqual(left);

    const { body: alone } = await accepted("POST", `/api/organizations/${tenant.organizationId}/restores`, {
      destination,
      databaseId: id,
      at: last,
    });
    expect(await finished(alone.job.id)).toMatchObject({ status: "completed" });
    expect(await entriesOf(alone.database.id)).toEqual(then);
  },
);

test("a backup is paused, goes on, gets new credentials, is verified and ended", async () => {
  const id = await tenant.newDatabase();
  const path = `/api/databases/${id}/backup`;
  expect((await send("GET", path)).status).toBe(404);
  await send("POST", path, { destination, intervalMs: 500 });
  await expect.poll(async () => (await send("GET", path)).body.status.code).toBe("active");
  expect((await send("POST", `${path}:pause`)).body).toMatchObject({ paused: true });
  const kv = await open(id);
  await kv.set(["n", 1], new Uint8Array(1));
  kv.close();
  expect((await send("GET", path)).body.backlogBytes).toBeGreaterThan(0);
  expect((await send("POST", `${path}:resume`)).body).toMatchObject({ paused: false });
  await expect.poll(async () => (await send("GET", path)).body.backlogBytes).toBe(0);
  const wrong = await send("POST", `${path}:rotateCredentials`, { accessKeyId, secretAccessKey: "wrong" });
  expect(wrong.status).toBe(400);
  expect((await send("POST", `${path}:rotateCredentials`, { accessKeyId, secretAccessKey })).status).toBe(200);
  const { body: job } = await accepted("POST", `${path}:verify`);
  expect(await finished(job.id)).toMatchObject({
    kind: "backup.verify",
    status: "completed",
    result: { verification: { good: true, live: { count: 1 }, backup: { count: 1 }, problems: [] } },
  });
  expect((await send("DELETE", path)).status).toBe(204);
  expect((await send("GET", path)).status).toBe(404);
});

test("a fork of no moment, or of a database without a backup, makes no database", async () => {
  const id = await tenant.newDatabase();
  const list = `/api/organizations/${tenant.organizationId}/databases?limit=100`;
  const before = (await send("GET", list)).body.items.length;
  expect((await send("POST", `/api/databases/${id}/forks`, { at: "2026-01-01T00:00:00Z" })).status).toBe(404);
  const from = {
    destination: { ...destination, secretAccessKey: "wrong" },
    databaseId: id,
    at: "2026-01-01T00:00:00Z",
  };
  const refused = await send("POST", `/api/organizations/${tenant.organizationId}/restores`, from);
  expect(refused.status).toBeGreaterThanOrEqual(400);
  expect((await send("GET", list)).body.items).toHaveLength(before);
});
