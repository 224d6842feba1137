/**
 * workerd killed with SIGKILL while a backup is set up through the API, and while one is deleted with its database: at each request
 * to the bucket, before the bucket has seen it and after it has answered. There is never half a backup: the first request was all
 * or nothing, the same one can be sent again, and everything is in the bucket, or nothing, in the end.
 */
import { openKv } from "@deno/kv";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Destination } from "../../src/backup/destinations/destination.ts";
import { type FaultProxy, startFaultProxy } from "../support/fault-proxy.ts";
import { type Answer, type ManagedServer, startManagedServer, Tenant } from "../support/management.ts";
import { openS3At } from "../support/open-s3.ts";
import { listGenerations, readGeneration } from "../support/reference-reader.ts";
import { destinationAt } from "../support/s3-place.ts";
import { type S3Server, startS3Server } from "../support/s3-server.ts";

/** One server may die four times in a minute before it gives up. */
const KILLS_OF_ONE_SERVER = 3;

const ENTRIES = 40;

let s3: S3Server;
let proxy: FaultProxy;
let bucket: Destination;
let server: ManagedServer | null = null;
let tenant: Tenant;
let kills = 0;

beforeAll(async () => {
  s3 = await startS3Server();
  proxy = await startFaultProxy(s3.endpoint);
  bucket = openS3At(s3);
});

afterAll(async () => {
  await server?.close();
  await proxy.close();
  await s3.close();
});

/** A request of the API, sent again until the server is there. */
async function send(method: string, path: string, body?: unknown): Promise<Answer> {
  const deadline = Date.now() + 30_000;
  for (;;) {
    const answer = await server?.send(method, path, tenant.token, body).catch(() => undefined);
    if (answer !== undefined && answer.status !== 503) return answer;
    if (Date.now() > deadline) throw new Error(`no answer: ${JSON.stringify(answer?.body)}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

async function newDatabase(): Promise<{ readonly id: string; readonly path: string }> {
  if (server === null || kills >= KILLS_OF_ONE_SERVER) {
    await server?.close();
    server = await startManagedServer();
    tenant = await Tenant.make(server);
    kills = 0;
  }
  const id = await tenant.newDatabase();
  await write(id, 0);
  return { id, path: `/api/databases/${id}` };
}

async function write(id: string, from: number): Promise<void> {
  const { connectUrl, accessToken } = tenant.opening(id);
  const kv = await openKv(connectUrl, { accessToken });
  for (let n = from; n < from + ENTRIES; n++) await kv.set(["n", n], n);
  kv.close();
}

function destination() {
  return destinationAt({ ...s3, endpoint: proxy.endpoint });
}

const enable = (path: string) => send("POST", `${path}/backup`, { destination: destination(), intervalMs: 500 });

type Moment = "before" | "after";

/** A kill when this request of the database's backup is sent. `after`: the bucket has carried it out. */
function killAt(id: string, method: string, pattern: RegExp, moment: Moment): Promise<void> {
  const path = new RegExp(`${id}.*${pattern.source}`);
  proxy.add({ method, path, times: 1, fault: moment === "before" ? { do: "hang" } : { do: "lose-answer" } });
  return expect
    .poll(() => proxy.seen.some((seen) => seen.fault !== "pass" && seen.method === method && path.test(seen.path)), {
      timeout: 20_000,
      interval: 2,
    })
    .toBe(true)
    .then(() => {
      if (server !== null) process.kill(server.workerdPid(), "SIGKILL");
      kills += 1;
      proxy.heal();
    });
}

async function namesIn(id: string): Promise<string[]> {
  const listed = await bucket.list(`${id}/`);
  if (!listed.ok) throw new Error(listed.message);
  return listed.objects.map(({ name }) => name);
}

async function settled(path: string): Promise<void> {
  await expect
    .poll(async () => (await send("GET", `${path}/backup`)).body, { timeout: 30_000 })
    .toMatchObject({ status: { code: "active" }, backlogBytes: 0, lastError: null });
}

/** What is done to the bucket, by which request it is known. */
type Step = readonly [what: string, method: string, pattern: RegExp];

function beforeAndAfter(steps: readonly Step[]) {
  const moments: readonly Moment[] = ["before", "after"];
  return steps.flatMap(([what, method, pattern]) => moments.map((moment) => [moment, what, method, pattern] as const));
}

describe("workerd is killed while a backup is enabled", () => {
  const steps: readonly Step[] = [
    ["the probe is stored", "PUT", /probe/],
    ["the probe is read", "GET", /probe$/],
    ["the probe is removed", "DELETE", /probe/],
    ["an earlier manifest is looked for", "GET", /manifest/],
    ["the manifest is stored", "PUT", /manifest/],
    ["the snapshot is stored", "PUT", /snapshots/],
    ["the log is stored", "PUT", /logs/],
    ["the snapshot is declared whole", "PUT", /differential/],
  ];
  test.each(beforeAndAfter(steps))("%s %s", { timeout: 120_000 }, async (moment, _, method, pattern) => {
    const { id, path } = await newDatabase();
    const killed = killAt(id, method, pattern, moment);
    await Promise.all([
      server
        ?.send("POST", `${path}/backup`, tenant.token, { destination: destination(), intervalMs: 500 })
        .catch(() => undefined),
      killed,
    ]);
    const found = await send("GET", `${path}/backup`);
    const again = await enable(path);
    expect(again.status, "nothing was made and it can be, or it was made and is there").toBe(
      found.status === 404 ? 201 : 409,
    );
    const { body: backup } = await send("GET", `${path}/backup`);
    expect(backup).toMatchObject({ paused: false, intervalMs: 500 });
    const byItsId = await send("GET", `/v1/database_backups/${backup.id}`);
    expect(byItsId).toMatchObject({ status: 200, body: { id: backup.id } });
    await write(id, ENTRIES);
    await settled(path);
    const [folder = "", ...others] = await listGenerations(bucket, id);
    expect(others).toEqual([]);
    const last = [...(await readGeneration(bucket, id, folder)).states()].at(-1);
    expect(last?.entries.size).toBe(2 * ENTRIES);
    expect(await namesIn(id)).not.toContain(`${id}/probe`);
  });
});

describe("workerd is killed while a database is deleted with its backup", () => {
  const steps: readonly Step[] = [
    ["the manifest is removed", "DELETE", /manifest/],
    ["a generation is made unusable", "DELETE", /differential/],
    ["the rest is removed", "DELETE", /logs/],
  ];
  test.each(beforeAndAfter(steps))("%s %s", { timeout: 120_000 }, async (moment, _, method, pattern) => {
    const { id, path } = await newDatabase();
    expect((await enable(path)).status).toBe(201);
    await settled(path);
    const killed = killAt(id, method, pattern, moment);
    const [deleted] = await Promise.all([send("DELETE", `${path}?backups=delete`), killed]);
    expect(deleted).toMatchObject({ status: 202, body: { kind: "database.delete" } });
    expect((await send("GET", path)).status).toBe(404);
    await expect
      .poll(async () => (await send("GET", `/api/jobs/${deleted.body.id}`)).body, { timeout: 30_000 })
      .toMatchObject({ status: "completed", error: null });
    expect(await namesIn(id)).toEqual([]);
  });

  test("at any moment of the deletion", { timeout: 180_000 }, async () => {
    for (const afterMs of [0, 3, 6, 10, 20, 40]) {
      const { id, path } = await newDatabase();
      expect((await enable(path)).status).toBe(201);
      await settled(path);
      const answer = server?.send("DELETE", `${path}?backups=delete`, tenant.token).catch(() => undefined);
      await new Promise((resolve) => setTimeout(resolve, afterMs));
      if (server !== null) process.kill(server.workerdPid(), "SIGKILL");
      kills += 1;
      await answer;
      const { body } = await send("DELETE", `${path}?backups=delete`);
      await expect
        .poll(async () => (await send("GET", `/api/jobs/${body.id}`)).body.status, { timeout: 60_000 })
        .toBe("completed");
      expect(await namesIn(id)).toEqual([]);
    }
  });
});
