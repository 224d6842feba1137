/** Backups as somebody uses them with curl, against a whole server and a bucket on this machine. */
import { afterAll, expect, test } from "vitest";
import { openKv } from "@deno/kv";
import { startManagedServer, Tenant, type Answer } from "../support/management.ts";
import { destinationAt } from "../support/s3-place.ts";
import { startS3Server } from "../support/s3-server.ts";

const [server, s3] = await Promise.all([startManagedServer(), startS3Server()]);
const tenant = await Tenant.make(server);
const { accessKeyId, secretAccessKey } = s3;
const destination = destinationAt(s3);

afterAll(async () => {
  await Promise.all([server.close(), s3.close()]);
});

const send = (method: string, path: string, body?: unknown): Promise<Answer> =>
  server.send(method, path, tenant.token, body);

async function open(databaseId: string) {
  const { connectUrl, accessToken } = tenant.opening(databaseId);
  return openKv(connectUrl, { accessToken });
}

async function keysOf(databaseId: string): Promise<number[]> {
  const kv = await open(databaseId);
  const keys: number[] = [];
  for await (const { key } of kv.list<number>({ prefix: ["n"] })) keys.push(Number(key[1]));
  kv.close();
  return keys;
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
  await expect.poll(async () => (await send("GET", `/api/jobs/${jobId}`)).body.status).not.toBe("running");
  return (await send("GET", `/api/jobs/${jobId}`)).body;
}

test("half the data is deleted by mistake: the moment is found, forked, compared, and restored in place", async () => {
  const id = await tenant.newDatabase("shop");
  const path = `/api/databases/${id}`;
  const wrong = await send("POST", `${path}/backup`, { destination: { ...destination, secretAccessKey: "wrong" } });
  expect(wrong).toMatchObject({ status: 400, body: { code: "invalid" } });
  const made = await send("POST", `${path}/backup`, { destination, intervalMs: 500 });
  expect(made).toMatchObject({ status: 201, body: { intervalMs: 500, retentionDays: 30, paused: false } });
  expect(JSON.stringify(made.body)).not.toContain(secretAccessKey);
  expect((await send("POST", `${path}/backup`, { destination })).status).toBe(409);

  const kv = await open(id);
  const all = Array.from({ length: 20 }, (_, n) => n);
  let last = "";
  for (const n of all) last = (await kv.set(["n", n], n)).versionstamp;
  for (const n of all.slice(10)) await kv.delete(["n", n]);
  kv.close();
  await expect
    .poll(async () => (await send("GET", `${path}/backup`)).body)
    .toMatchObject({ status: { code: "active" }, backlogBytes: 0, lastError: null });

  const { body: whole } = await send("GET", `${path}/backup/range`);
  expect(whole.range.last.versionstamp > last).toBe(true);
  const page = await send("GET", `${path}/backup/points?at=${last}&limit=2`);
  expect(page.body.items[0]).toEqual({ versionstamp: last, time: expect.stringMatching(/Z$/) });

  const { body: fork } = await accepted("POST", `${path}/forks`, { at: last, name: "as it was" });
  expect(fork).toMatchObject({ database: { name: "as it was" }, job: { kind: "database.fork", error: null } });
  expect(await finished(fork.job.id)).toMatchObject({ status: "completed", result: { versionstamp: last } });
  expect(await keysOf(fork.database.id)).toEqual(all);
  expect(await keysOf(id)).toEqual(all.slice(0, 10));

  expect((await send("POST", `${path}/restores`, { at: last })).status).toBe(400);
  const restore = await accepted("POST", `${path}/restores`, { at: last, confirm: true });
  expect(restore.headers.get("location")).toBe(`/api/jobs/${restore.body.id}`);
  expect(await finished(restore.body.id)).toMatchObject({ kind: "database.restore", status: "completed" });
  expect(await keysOf(id)).toEqual(all);
  expect((await send("POST", `/api/jobs/${restore.body.id}:cancel`)).status).toBe(409);

  const { body: alone } = await accepted("POST", `/api/organizations/${tenant.organizationId}/restores`, {
    destination,
    databaseId: id,
    at: last,
  });
  expect(await finished(alone.job.id)).toMatchObject({ status: "completed" });
  expect(await keysOf(alone.database.id)).toEqual(all);
});

test("a backup is paused, goes on, gets new credentials, is verified and ended", async () => {
  const id = await tenant.newDatabase();
  const path = `/api/databases/${id}/backup`;
  expect((await send("GET", path)).status).toBe(404);
  await send("POST", path, { destination, intervalMs: 500 });
  await expect.poll(async () => (await send("GET", path)).body.status.code).toBe("active");
  expect((await send("POST", `${path}:pause`)).body).toMatchObject({ paused: true });
  const kv = await open(id);
  await kv.set(["n", 1], 1);
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
