/** Backups over /api to the deployment's own R2 bucket, through the whole Worker and its real objects. */
import { env } from "cloudflare:workers";
import { evictDurableObject, runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { beforeAll, describe, expect, test } from "vitest";
import { encodeAtomicWrite, encodeSnapshotRead } from "../../src/codec/datapath-requests.ts";
import { toHex } from "../../src/core/bytes.ts";
import { encodeManifest, parseManifest } from "../../src/backup/format/manifest.ts";
import type { Env } from "../../src/objects/env.ts";
import worker from "../../src/worker.ts";
import { CAIRN_DEPLOYMENT_TOKEN, CAIRN_SIGNING_KEYS } from "../support/deployment-secrets.ts";
import { fromBinary } from "@bufbuild/protobuf";
import {
  AtomicWriteOutputSchema,
  SnapshotReadOutputSchema,
} from "../support/proto/generated/com/deno/kv/datapath/datapath_pb.js";
import { key, prefix, set, text, write } from "../support/workerd/engine.ts";

// The plugin's environment is the deployment's, without its secrets.
const configured: Env = { ...(env as unknown as Env), CAIRN_DEPLOYMENT_TOKEN, CAIRN_SIGNING_KEYS };
const { BACKUPS, DATABASES } = configured;

interface Answer {
  readonly status: number;
  // What an answer holds is what the tests are about.
  // oxlint-disable-next-line typescript/no-explicit-any
  readonly body: any;
}

let organizationId: string;
let token: string;

beforeAll(async () => {
  const { body } = await send("POST", "/api/organizations", { name: "tenant" }, CAIRN_DEPLOYMENT_TOKEN);
  ({ token } = body);
  organizationId = body.organization.id;
});

function fetchWorker(method: string, path: string, by: string, body?: string | Uint8Array): Promise<Response> {
  const headers = { authorization: `Bearer ${by}` };
  const sent = body === undefined ? {} : { body };
  return worker.fetch(new Request(`https://cairn.test${path}`, { method, headers, ...sent }), configured);
}

async function send(method: string, path: string, body?: unknown, by = token): Promise<Answer> {
  const answer = await fetchWorker(method, path, by, body === undefined ? undefined : JSON.stringify(body));
  const whole = await answer.text();
  return { status: answer.status, body: whole === "" ? null : JSON.parse(whole) };
}

/** A database with what it takes to read and write it, by name of the values. */
async function opened(id: string) {
  const { body } = await send("POST", `/databases/${id}/connect`, { supportedVersions: [3] });
  const call = async (path: string, message: Uint8Array): Promise<Uint8Array | number> => {
    const headers = { authorization: `Bearer ${body.token}`, "x-denokv-version": "3", "x-denokv-database-id": id };
    const request = new Request(`https://cairn.test${path}`, { method: "POST", headers, body: message });
    const answer = await worker.fetch(request, configured);
    return answer.ok ? new Uint8Array(await answer.arrayBuffer()) : answer.status;
  };
  const path = new URL(body.endpoints[0].url, "https://cairn.test").pathname;
  return {
    async put(name: string, value: string): Promise<string> {
      const answer = await call(`${path}/atomic_write`, encodeAtomicWrite(write([set(key("n", name), text(value))])));
      if (typeof answer === "number") throw new Error(`${answer}`);
      return toHex(fromBinary(AtomicWriteOutputSchema, answer).versionstamp);
    },
    /** All values, or the status of the refusal. */
    async values(): Promise<string[] | number> {
      const answer = await call(`${path}/snapshot_read`, encodeSnapshotRead([prefix(key("n"), 100)]));
      if (typeof answer === "number") return answer;
      const [range] = fromBinary(SnapshotReadOutputSchema, answer).ranges;
      return (range?.values ?? []).map(({ value }) => new TextDecoder().decode(value));
    },
  };
}

/** Where the organization's prefix "in/r2" is in the bucket that it shares. */
const ownFolder = () => `${organizationId}/in/r2`;

/** A database with a backup in the bound bucket, which is active and has all. */
async function withBackup(): Promise<{ id: string; backup: string; versions: readonly string[] }> {
  const made = await send("POST", `/api/organizations/${organizationId}/databases`, { name: "shop" });
  const { id } = made.body;
  const backup = `/api/databases/${id}/backup`;
  const enabled = await send("POST", backup, { destination: { kind: "r2", prefix: "in/r2" }, intervalMs: 500 });
  expect(enabled).toMatchObject({ status: 201, body: { destination: { kind: "r2", prefix: ownFolder() } } });
  await until(async () => (await send("GET", backup)).body, { status: { code: "active" } });
  const database = await opened(id);
  const versions = [await database.put("a", "one"), await database.put("a", "two")];
  await until(async () => (await send("GET", backup)).body, { backlogBytes: 0, lagMs: 0 });
  return { id, backup, versions };
}

async function until(ask: () => Promise<unknown>, expected: object): Promise<void> {
  await expect.poll(ask).toMatchObject(expected);
}

async function completed(jobId: string): Promise<Answer["body"]> {
  await until(async () => (await send("GET", `/api/jobs/${jobId}`)).body, { finishedAt: expect.any(String) });
  return (await send("GET", `/api/jobs/${jobId}`)).body;
}

describe("a prefix", () => {
  test("is brought back alone, in place and into another database; the job counts what it undid there", async () => {
    const { id, backup, versions } = await withBackup();
    const [one = ""] = versions;
    const database = await opened(id);
    await database.put("b", "other");
    await until(async () => (await send("GET", backup)).body, { backlogBytes: 0, lagMs: 0 });

    const under = [{ type: "string", value: "n" }, "a"];
    const restore = await send("POST", `/api/databases/${id}/restores`, { at: one, confirm: true, prefix: under });
    expect(restore.status).toBe(202);
    const done = await completed(restore.body.id);
    expect(done).toMatchObject({
      status: "completed",
      result: { undone: { commits: 1, exact: true, first: versions[1] } },
    });
    expect(await database.values()).toEqual(["one", "other"]);
    await database.put("c", "new");
    await until(async () => (await send("GET", `/api/jobs/${restore.body.id}`)).body.result.before, {
      stored: true,
      fork: { body: { prefix: ["n", "a"].map((value) => ({ type: "string", value })) } },
    });
    const { fork } = (await send("GET", `/api/jobs/${restore.body.id}`)).body.result.before;
    const brought = await send(fork.method, fork.path, fork.body);
    expect(brought).toMatchObject({ status: 202 });
    expect(await completed(brought.body.job.id)).toMatchObject({ status: "completed" });
    expect(await (await opened(brought.body.database.id)).values()).toEqual(["two"]);

    const alone = await send("POST", `/api/organizations/${organizationId}/restores`, {
      destination: { kind: "r2", prefix: "in/r2" },
      databaseId: id,
      prefix: ["n", "b"],
    });
    expect(alone).toMatchObject({ status: 202 });
    expect(await completed(alone.body.job.id)).toMatchObject({ status: "completed" });
    expect(await (await opened(alone.body.database.id)).values()).toEqual(["other"]);
  });
});

describe("a backup in the deployment's bucket", () => {
  test("is enabled, seen, gone back to in every way, verified and ended", async () => {
    const { id, backup, versions } = await withBackup();
    const [one = ""] = versions;
    expect((await send("POST", `${backup}:rotateCredentials`, { accessKeyId: "a", secretAccessKey: "b" })).status).toBe(
      400,
    );
    expect((await send("GET", `${backup}/range`)).body.range.last.versionstamp >= one).toBe(true);
    expect((await send("GET", `${backup}/points?at=${one}&limit=1`)).body.items).toMatchObject([{ versionstamp: one }]);

    const fork = await send("POST", `/api/databases/${id}/forks`, { at: one });
    expect(fork.status).toBe(202);
    expect(await completed(fork.body.job.id)).toMatchObject({ status: "completed", result: { versionstamp: one } });
    expect(await (await opened(fork.body.database.id)).values()).toEqual(["one"]);

    const alone = await send("POST", `/api/organizations/${organizationId}/restores`, {
      destination: { kind: "r2", prefix: "in/r2" },
      databaseId: id,
      at: one,
    });
    expect(await completed(alone.body.job.id)).toMatchObject({ status: "completed" });
    expect(await (await opened(alone.body.database.id)).values()).toEqual(["one"]);

    const { body: page } = await send("GET", `${backup}/points?at=latest&keys=true&prefix=["n","a"]`);
    const typed = ["n", "a"].map((value) => ({ type: "string", value }));
    expect(page.items.map(({ versionstamp, changes }: Answer["body"]) => ({ versionstamp, changes }))).toEqual(
      versions.toReversed().map((versionstamp) => ({
        versionstamp,
        changes: { keys: [{ key: typed, change: "set" }], more: 0 },
      })),
    );

    const restore = await send("POST", `/api/databases/${id}/restores`, { at: one, confirm: true });
    expect(await completed(restore.body.id)).toMatchObject({ kind: "database.restore", status: "completed" });
    expect(await (await opened(id)).values()).toEqual(["one"]);

    const verify = await send("POST", `${backup}:verify`);
    expect(await completed(verify.body.id)).toMatchObject({
      status: "completed",
      result: { verification: { good: true, live: { count: 1 }, backup: { count: 1 } } },
    });
    expect((await send("GET", backup)).body.verification).toMatchObject({
      everyHours: 24,
      automatic: true,
      last: { good: true, error: null, damagedObject: null, report: { good: true } },
    });

    expect((await send("DELETE", backup)).status).toBe(204);
    expect((await send("GET", backup)).status).toBe(404);
    expect((await BACKUPS?.list({ prefix: `${ownFolder()}/${id}/` }))?.objects.length).toBeGreaterThan(1);
  });

  test("one that is damaged is found by the verification that goes on by itself, and named", async () => {
    const { id, backup } = await withBackup();
    for (const hours of [0, 0.5, 2_209, "24"])
      expect((await send("POST", `${backup}:verifyEvery`, { hours })).status).toBe(400);
    const before = Date.now();
    const { status, body } = await send("POST", `${backup}:verifyEvery`, { hours: 24 });
    expect([status, body.verification.everyHours, body.verification.last]).toEqual([200, 24, null]);
    expect(Date.parse(body.verification.nextAt) - before).toBeGreaterThanOrEqual(24 * 3_600_000);

    const { objects } = (await BACKUPS?.list({ prefix: `${ownFolder()}/${id}/` })) ?? { objects: [] };
    const damaged = objects.map((object) => object.key).find((name) => name.includes("/logs/")) ?? "";
    // Objects are named as they are below the destination's prefix.
    const named = damaged.slice(`${ownFolder()}/`.length);
    const bytes = new Uint8Array((await (await BACKUPS?.get(damaged))?.arrayBuffer()) ?? new ArrayBuffer(0));
    bytes[20] = (bytes[20] ?? 0) ^ 4;
    await BACKUPS?.put(damaged, bytes);
    // A day later.
    const stub = DATABASES.getByName(id);
    await runInDurableObject(stub, (_, state) => {
      state.storage.sql.exec("UPDATE verification_schedule SET next_at = ?1", Date.now() - 1);
    });
    await evictDurableObject(stub);
    await runDurableObjectAlarm(stub);
    await until(async () => (await send("GET", backup)).body.verification, {
      everyHours: 24,
      last: { good: false, damagedObject: named, error: expect.stringContaining(named), report: { good: false } },
    });
    const { verification, generations, lastError } = (await send("GET", backup)).body;
    expect(Date.parse(verification.nextAt)).toBeGreaterThan(Date.now() + 23 * 3_600_000);
    // Nothing is promised any more that is not there, and another generation takes its place.
    expect(generations[0]).toMatchObject({ state: "damaged", endedBecause: expect.stringContaining(named) });
    expect(lastError.message).toMatch(/^A verification has found: .* A new generation begins\./);
    await until(async () => (await send("GET", backup)).body, { generations: [{}, { state: "complete" }] });
    const after = (await send("GET", backup)).body.generations[1]?.after;
    expect((await send("GET", `${backup}/range`)).body.range.first.versionstamp).toBe(after);

    expect((await send("POST", `${backup}:verifyEvery`, { hours: null })).body.verification).toMatchObject({
      everyHours: null,
      nextAt: null,
      last: { good: false },
    });
  });

  test("a manifest that is an outdated one is named by a verification, and written anew; the backup itself stays (B36)", async () => {
    const { id, backup } = await withBackup();
    const name = `${ownFolder()}/${id}/manifest.json`;
    const stored = async (): Promise<Uint8Array> =>
      new Uint8Array((await (await BACKUPS?.get(name))?.arrayBuffer()) ?? new ArrayBuffer(0));
    // When it has this generation as it is, a minute goes by before it is written again.
    await until(async () => parseManifest(id, await stored()), {
      ok: true,
      manifest: { generations: [{ state: "complete" }] },
    });
    const read = parseManifest(id, await stored());
    if (!read.ok) throw new Error(read.problem);
    const outdated = { ...read.manifest, generations: [] };
    await BACKUPS?.put(name, encodeManifest(outdated));
    const verify = await send("POST", `${backup}:verify`);
    const { status, result } = await completed(verify.body.id);
    expect([status, result.verification.good, result.verification.damaged]).toEqual(["failed", false, []]);
    expect(result.verification.problems).toEqual([
      expect.stringMatching(/manifest\.json is not the one that was written last/),
    ]);
    await until(async () => parseManifest(id, await stored()), {
      ok: true,
      manifest: { generations: [{ start: read.manifest.generations[0]?.start }] },
    });
    expect((await send("GET", backup)).body.generations).toMatchObject([{ state: "complete" }]);
  });

  test("the schedule and what was found end with it", async () => {
    const { backup } = await withBackup();
    await send("POST", `${backup}:verifyEvery`, { hours: 1 });
    const { body: job } = await send("POST", `${backup}:verify`);
    await completed(job.id);
    expect((await send("GET", backup)).body.verification).toMatchObject({ everyHours: 1, last: { good: true } });
    expect((await send("DELETE", backup)).status).toBe(204);
    expect((await send("POST", `${backup}:verifyEvery`, { hours: 1 })).status).toBe(404);
    await send("POST", backup, { destination: { kind: "r2", prefix: "in/r2" }, intervalMs: 500 });
    const { verification } = (await send("GET", backup)).body;
    expect(verification).toMatchObject({ everyHours: 24, automatic: true, last: null });
  });
});
