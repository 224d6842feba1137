/** Going back in time over the real objects: databases that back themselves up to the bound bucket, forks, states of the past. */
import { isFailure } from "../../src/core/errors.ts";
import { env } from "cloudflare:workers";
import { evictDurableObject, runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { describe, expect, test } from "vitest";
import { encodeAtomicWrite } from "../../src/codec/datapath-requests.ts";
import { asUnixMs } from "../../src/core/clock.ts";
import { checkName, type PastInfo, pastName, type RestoreCommand } from "../../src/contracts/restore-commands.ts";
import { timeOfVersion, type Version, versionstampHex } from "../../src/core/versionstamp.ts";
import type { Env } from "../../src/objects/env.ts";
import { passTime } from "../support/moved-date.ts";
import { ask, finished, job, newDatabase, put, until, withBackup } from "../support/workerd/backed-up-database.ts";
import { everything, read, type Stub, TestWatch } from "../support/workerd/database-object.ts";
import { DocumentDatabase } from "../support/workerd/documents.ts";
import { key, point, prefix, set, text, write } from "../support/workerd/engine.ts";

// The plugin's environment is the deployment's.
const { DATABASES, BACKUPS } = env as unknown as Env;

/** What is under the key, as text. */
async function get(stub: Stub, name: Uint8Array): Promise<string | null> {
  const [range] = await read(stub, [point(name)]);
  const value = range?.[0]?.value;
  return value === undefined ? null : new TextDecoder().decode(value);
}

async function past(stub: Stub, at: string): Promise<PastInfo> {
  const answer = await ask(stub, { command: "past", at, eviction: "least-recently-used" });
  if (!answer.ok || answer.kind !== "past") throw new Error(JSON.stringify(answer));
  return answer.past;
}

async function pastReady(stub: Stub, at: string): Promise<PastInfo & { object: Stub }> {
  let info = await past(stub, at);
  await until(async () => {
    info = await past(stub, at);
    return info.ready;
  });
  return { ...info, object: DATABASES.getByName(info.name) };
}

const a = key("a");

describe("a fork", () => {
  test("is unavailable until it is whole, and then the database as it was (G10)", async () => {
    const { stub } = await withBackup();
    const at = await put(stub, set(a, text("then")));
    await put(stub, set(a, text("now")));
    const { id, stub: fork } = await newDatabase();
    const jobId = crypto.randomUUID();
    const started = await job(stub, { ...into(id), jobId, at: versionstampHex(at) });
    expect(started).toMatchObject({ kind: "fork", version: at });
    const early = await fork.snapshotRead(everything, new Uint8Array());
    const wasRunning = (await job(fork, { command: "job", jobId })).status === "running";
    expect(wasRunning ? early : { code: "unavailable" }).toMatchObject({ code: "unavailable" });
    expect(await finished(fork, jobId)).toMatchObject({ status: "completed" });
    expect(await get(fork, a)).toBe("then");
    expect(await get(fork, key("before", 29))).toBe("29");
    expect(await fork.stats()).toMatchObject({ entries: 31 });
    expect(await put(fork, set(a, text("mine")))).toBeGreaterThan(at);
    expect(await get(stub, a)).toBe("now");
  });

  test("of a database without a backup, or into one that holds something or was never made, is refused", async () => {
    const { stub } = await withBackup();
    const taken = await newDatabase();
    await put(taken.stub, set(a, text("mine")));
    const command = { ...into(taken.id), jobId: "a", at: "latest" };
    expect(await ask(stub, command)).toMatchObject({ ok: false, code: "conflict" });
    expect(await get(taken.stub, a)).toBe("mine");
    expect(await taken.stub.restore({ ...command, ...into((await newDatabase()).id) })).toMatchObject({
      ok: false,
      code: "not-found",
    });
    const never = crypto.randomUUID();
    expect(await ask(stub, { ...command, ...into(never) })).toMatchObject({ ok: false, code: "not-found" });
    expect(await DATABASES.getByName(never).snapshotRead(everything, new Uint8Array())).toMatchObject({
      code: "not-found",
    });
  });

  test("from a bucket alone: what cannot begin leaves the new database as it was", async () => {
    const { id, stub } = await withBackup();
    const at = await put(stub, set(a, text("then")));
    await job(stub, { ...into((await newDatabase()).id), jobId: "x", at: versionstampHex(at) });
    const { stub: target } = await newDatabase();
    const order = {
      command: "restore from",
      jobId: "a",
      databaseId: id,
      destination: { kind: "r2", prefix: "" },
      at: versionstampHex(at),
      withoutManifest: false,
    } as const;
    expect(await target.restore({ ...order, at: "1999-01-01T00:00:00Z" })).toMatchObject({ code: "not-found" });
    expect(await get(target, a)).toBeNull();
    expect(await target.restore(order)).toMatchObject({ ok: true });
    expect(await finished(target, "a")).toMatchObject({ status: "completed" });
    expect(await get(target, a)).toBe("then");
  });
});

describe("an order that comes again", () => {
  test("while it is begun, while it is carried out, and after: is one job (G18)", async () => {
    const { id, stub } = await withBackup();
    const at = versionstampHex(await put(stub, set(a, text("then"))));
    await ask(stub, { command: "resolve", at });
    const [{ stub: target }, { id: forkId, stub: fork }] = [await newDatabase(), await newDatabase()];
    const destination = { kind: "r2", prefix: "" } as const;
    const from = { command: "restore from", databaseId: id, destination, at, withoutManifest: false } as const;
    const orders: readonly [Stub, Stub, RestoreCommand & { readonly jobId: string }][] = [
      [target, target, { ...from, jobId: "alone" }],
      [stub, fork, { ...into(forkId), jobId: "fork", at }],
      [stub, stub, { command: "restore", jobId: "in place", at }],
      [stub, stub, { command: "verify", jobId: "verify" }],
    ];
    for (const [asked, where, order] of orders) {
      const beside = await Promise.all([job(asked, order), job(asked, order), job(asked, order)]);
      expect(beside.map((one) => one.id)).toEqual([order.jobId, order.jobId, order.jobId]);
      expect(await finished(where, order.jobId)).toMatchObject({ status: "completed" });
      expect(await job(asked, order)).toMatchObject({ status: "completed" });
      const jobs = await where.restore({ command: "jobs" });
      expect(
        jobs.ok && jobs.kind === "jobs" ? jobs.jobs.filter(({ id: one }) => one === order.jobId) : [],
      ).toHaveLength(1);
    }
    // What is filled is open by now, and an order that comes late changes nothing.
    await put(target, set(a, text("mine")));
    expect(await job(target, { ...from, jobId: "alone" })).toMatchObject({ status: "completed" });
    expect(await get(target, a)).toBe("mine");
  });

  test("beside another that is refused leaves the database closed until it is whole", async () => {
    const { id, stub } = await withBackup();
    const at = versionstampHex(await put(stub, set(a, text("then"))));
    await ask(stub, { command: "resolve", at });
    const { stub: target } = await newDatabase();
    const destination = { kind: "r2", prefix: "" } as const;
    const from = { command: "restore from", databaseId: id, destination, withoutManifest: false } as const;
    const [refused, begun] = await Promise.all([
      target.restore({ ...from, jobId: "a", at: "1999-01-01T00:00:00Z" }),
      target.restore({ ...from, jobId: "b", at }),
    ]);
    expect([refused.ok, begun.ok]).toEqual([false, true]);
    const early = await target.snapshotRead(everything, new Uint8Array());
    const wasRunning = (await job(target, { command: "job", jobId: "b" })).status === "running";
    expect(wasRunning ? early : { code: "unavailable" }).toMatchObject({ code: "unavailable" });
    expect(await finished(target, "b")).toMatchObject({ status: "completed" });
    expect(await get(target, a)).toBe("then");
  });
});

function into(id: string) {
  return { command: "fork", intoDatabaseId: id, intoJurisdiction: null } as const;
}

describe("in place", () => {
  test("brings the database back while it is open; watchers see it; writes go on above (O2, G13)", async () => {
    const { stub } = await withBackup();
    const at = await put(stub, set(a, text("then")));
    const last = await put(stub, set(a, text("now")), set(key("oops"), text("!")));
    const watch = await TestWatch.open(stub, [a]);
    expect(new TextDecoder().decode((await watch.next())[0]?.entryIfChanged?.value)).toBe("now");
    watch.acknowledge();
    await job(stub, { command: "restore", jobId: "a", at: versionstampHex(at) });
    expect(await finished(stub, "a")).toMatchObject({ status: "completed", version: at });
    expect(new TextDecoder().decode((await watch.next())[0]?.entryIfChanged?.value)).toBe("then");
    expect(await get(stub, key("oops"))).toBeNull();
    expect(await put(stub, set(a, text("next")))).toBeGreaterThan(last);
    await evictDurableObject(stub);
    expect(await get(stub, a)).toBe("next");
    // The backup goes on in a new generation, and the old one still gives back what was undone. Commits before the one with which the
    // new generation begins are no points of it.
    await until(async () => {
      const answer = await stub.backup({ command: "status" });
      return answer.ok && answer.backup?.generations.at(-1)?.state === "complete";
    });
    const after = await put(stub, set(a, text("later")));
    await until(async () => {
      const answer = await stub.restore({
        command: "points",
        at: versionstampHex(after),
        direction: "before",
        limit: 1,
        keys: false,
      });
      return answer.ok && answer.kind === "points" && answer.points[0]?.version === after;
    });
    const { object } = await pastReady(stub, versionstampHex(last));
    expect(await get(object, key("oops"))).toBe("!");
  });
});

describe("a state of the past", () => {
  test("is read as of its commit, by that commit's clock, and cannot be written (G28)", async () => {
    const { id, stub } = await withBackup();
    const soon = asUnixMs(Date.now() + 60_000);
    const at = await put(stub, set(a, text("then"), { expiresAt: soon }));
    await put(stub, set(a, text("now")));
    const { object, name, version } = await pastReady(stub, versionstampHex(at));
    expect([name, version]).toEqual([pastName(id, at), at]);
    passTime(61_000);
    // It has expired by now, and had not then.
    expect(await get(object, a)).toBe("then");
    await evictDurableObject(object);
    await runDurableObjectAlarm(object);
    expect(await get(object, a)).toBe("then");
    const refused = await object.atomicWrite(everything, encodeAtomicWrite(write([set(a, text("x"))])));
    expect(refused).toMatchObject({ ok: false, code: "forbidden" });
    expect(await object.backup({ command: "status" })).toMatchObject({ ok: false, code: "forbidden" });
    expect(await get(stub, a)).toBe("now");
  });

  test("a time is rounded down to a commit, and finds the same object", async () => {
    const { stub } = await withBackup();
    const at = await put(stub, set(a, text("then")));
    passTime(20);
    const between = new Date(timeOfVersion(at) + 10).toISOString();
    await put(stub, set(a, text("now")));
    const found = await pastReady(stub, between);
    expect(found.version).toBe(at);
    expect(await get(found.object, a)).toBe("then");
    expect((await past(stub, versionstampHex(at))).name).toBe(found.name);
  });

  test("there are two at most: the one that was used least recently goes (G30)", async () => {
    const { stub } = await withBackup();
    const versions: Version[] = [];
    for (let i = 0; i < 3; i++) versions.push(await put(stub, set(a, text(`${i}`))));
    const [one = "", two = "", three = ""] = versions.map(versionstampHex);
    const first = await pastReady(stub, one);
    const second = await pastReady(stub, two);
    passTime(5);
    await pastReady(stub, one);
    const third = await pastReady(stub, three);
    expect(await get(first.object, a)).toBe("0");
    // Uses are told apart by the millisecond.
    passTime(5);
    expect(await get(third.object, a)).toBe("2");
    expect(await second.object.snapshotRead(everything, new Uint8Array())).toMatchObject({ code: "not-found" });
    // It is built again when it is asked for again.
    expect(await get((await pastReady(stub, two)).object, a)).toBe("1");
    expect(await first.object.snapshotRead(everything, new Uint8Array())).toMatchObject({ code: "not-found" });
  });

  test("has the documents and definitions as they were, and writes none (D25)", async () => {
    const { stub } = await withBackup();
    const documents = new DocumentDatabase(stub);
    await documents.create({ id: "x" }, { n: 1 });
    const at = await put(stub, set(a, text("then")));
    await documents.update({ id: "x" }, { n: 2 });
    await documents.create({ id: "x" }, {}, { tableId: "later" });
    const then = new DocumentDatabase((await pastReady(stub, versionstampHex(at))).object);
    expect(await then.get({ id: "x" })).toEqual({ ids: { id: "x" }, columns: { n: 1 } });
    expect(await then.get({ id: "x" }, { tableId: "later" })).toBeNull();
    const { tables } = await then.tables({ command: "list", appId: null, limit: 10, cursor: null });
    expect(tables).toMatchObject([{ appId: "shop", tableId: "orders", inferred: true }]);
    const readOnly = "forbidden: This is a database as it was at a moment: it can be read and not written.";
    expect(await then.update({ id: "x" }, { n: 3 })).toBe(readOnly);
    expect(await then.define({ ids: [{ name: "id", type: "string" }] })).toBe(readOnly);
    expect(await then.ask({ action: "search" })).toMatch(/^unsupported: /);
  });

  test("a state that nobody has read for a quarter of an hour is gone, and leaves nothing (G31)", async () => {
    const { stub } = await withBackup();
    const at = await put(stub, set(a, text("then")));
    const { object } = await pastReady(stub, versionstampHex(at));
    await runInDurableObject(object, (_, state) => {
      state.storage.sql.exec("UPDATE mode SET used_at = ?1", Date.now() - 15 * 60_000 - 1);
    });
    await evictDurableObject(object);
    await runDurableObjectAlarm(object);
    await until(async () => {
      const answer = await object.snapshotRead(everything, new Uint8Array());
      return isFailure(answer) && answer.code === "not-found";
    });
    const tables = await runInDurableObject(object, (_, state) =>
      state.storage.sql.exec("SELECT name FROM sqlite_schema").toArray(),
    );
    expect(tables.filter(({ name }) => !String(name).startsWith("_cf"))).toEqual([]);
    expect(await get((await pastReady(stub, versionstampHex(at))).object, a)).toBe("then");
  });

  test("a database is never wiped like one", async () => {
    const { stub } = await newDatabase();
    await put(stub, set(a, text("mine")));
    expect(await stub.discard()).toMatchObject({ ok: false, code: "conflict" });
    expect(await get(stub, a)).toBe("mine");
  });

  test("goes with the database that it was of", async () => {
    const { stub } = await withBackup();
    const at = await put(stub, set(a, text("then")));
    const { object } = await pastReady(stub, versionstampHex(at));
    await stub.wipe({ deleteBackups: false });
    expect(await object.snapshotRead(everything, new Uint8Array())).toMatchObject({ code: "not-found" });
    expect(
      await stub.restore({ command: "past", at: versionstampHex(at), eviction: "least-recently-used" }),
    ).toMatchObject({
      code: "not-found",
    });
  });
});

describe("a verification", () => {
  test("finds the backup to be the database, writes going on; and names what is damaged", async () => {
    const { id, stub } = await withBackup();
    if (BACKUPS === undefined) throw new Error("vitest.config.ts binds no BACKUPS");
    const over = new AbortController();
    const writes = (async () => {
      for (let i = 0; !over.signal.aborted; i++) {
        await put(stub, set(key("w", i % 50), text(`${i}`)), set(a, text(`${i}`)));
        await scheduler.wait(5);
      }
    })();
    await job(stub, { command: "verify", jobId: "good" });
    const good = await finished(stub, "good").finally(() => over.abort());
    await writes;
    expect(good).toMatchObject({ status: "completed", error: null, verification: { good: true, problems: [] } });
    expect(good.verification?.live).toEqual(good.verification?.backup);
    expect(good.verification?.live?.count).toBeGreaterThan(30);
    expect(good.verification?.objects).toBeGreaterThan(1);
    expect(good.verification?.range?.last.version).toBeGreaterThanOrEqual(good.version ?? 0);

    const { objects } = await BACKUPS.list({ prefix: `${id}/` });
    const log = objects.map((one) => one.key).find((name) => name.includes("/logs/")) ?? "";
    const whole = await (await BACKUPS.get(log))?.arrayBuffer();
    const bytes = new Uint8Array(whole ?? new ArrayBuffer());
    bytes[20] = (bytes[20] ?? 0) ^ 4;
    await BACKUPS.put(log, bytes);
    await job(stub, { command: "verify", jobId: "bad" });
    const bad = await finished(stub, "bad");
    expect(bad).toMatchObject({ status: "failed", damagedObject: log, verification: { good: false } });
    expect(bad.error).toContain(log);
    // Nothing is left of the trial, and nothing has changed.
    const scratch = DATABASES.getByName(checkName(id));
    expect(await scratch.snapshotRead(everything, new Uint8Array())).toMatchObject({ code: "not-found" });
    const [entries] = await read(stub, [prefix(key("before"), 100)]);
    expect(entries).toHaveLength(30);
  });
});
