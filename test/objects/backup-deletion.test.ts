/** Databases deleted with their backups, in the real objects: what is left of them, here and in the bucket. */
import { env } from "cloudflare:workers";
import { evictDurableObject, runInDurableObject } from "cloudflare:test";
import { expect, test, vi } from "vitest";
import type { BackupDeletionOrder } from "../../src/contracts/backup-commands.ts";
import { checkName, DELETION_JOB, deletionName, type BackupJob } from "../../src/contracts/restore-commands.ts";
import { asUnixMs } from "../../src/core/clock.ts";
import { encodeAtomicWrite } from "../../src/codec/datapath-requests.ts";
import { asVersion } from "../../src/core/versionstamp.ts";
import type { DatabaseObject } from "../../src/objects/database-object.ts";
import type { Env } from "../../src/objects/env.ts";
import { bury, wasSending } from "../../src/objects/identity.ts";
import { ObjectTables } from "../../src/objects/object-tables.ts";
import { openS3, s3Destination } from "../support/workerd/backup.ts";
import { passTime } from "../support/moved-date.ts";
import { commit, everything, newDatabase, type Stub } from "../support/workerd/database-object.ts";
import { key, set, text, write } from "../support/workerd/engine.ts";

// The plugin's environment is the deployment's.
const { DATABASES } = env as unknown as Env;

async function made(): Promise<{ readonly id: string; readonly stub: Stub }> {
  const id = crypto.randomUUID();
  const stub = DATABASES.getByName(id);
  await stub.initialize({ organizationId: "nobody", databaseId: id, jurisdiction: null });
  return { id, stub };
}

function enabling(databaseId: string) {
  const times = { intervalMs: 500, retentionDays: 7 };
  return { command: "enable", id: crypto.randomUUID(), databaseId, destination: s3Destination(), ...times } as const;
}

async function backedUp() {
  const { id, stub } = await made();
  await commit(stub, write([set(key("a"), text("1"))]));
  expect(await stub.backup(enabling(id))).toMatchObject({ ok: true });
  await expect
    .poll(async () => stub.backup({ command: "status" }))
    .toMatchObject({ backup: { status: { code: "active" }, backlogBytes: 0 } });
  return { id, stub, deleter: DATABASES.getByName(deletionName(id)) };
}

async function namesOf(id: string): Promise<string[]> {
  const listed = await openS3().list(`${id}/`);
  if (!listed.ok) throw new Error(listed.message);
  return listed.objects.map(({ name }) => name);
}

async function jobOf(deleter: Stub, command: "job" | "cancel" = "job"): Promise<BackupJob> {
  const answer = await deleter.restore({ command, jobId: DELETION_JOB });
  if (!answer.ok || answer.kind !== "job") throw new Error(JSON.stringify(answer));
  return answer.job;
}

const tablesOf = (stub: Stub) =>
  runInDurableObject(stub, (_, { storage }) =>
    storage.sql
      .exec<{ name: string }>("SELECT name FROM sqlite_schema WHERE name NOT LIKE '\\_cf\\_%' ESCAPE '\\'")
      .toArray()
      .map(({ name }) => name),
  );

const completed = { timeout: 60_000 };

async function arrivalsUntil(deleter: Stub): Promise<number> {
  const order = await runInDurableObject(deleter, (_, { storage }) =>
    storage.sql.exec<{ input: string }>("SELECT input FROM backup_jobs").one(),
  );
  // Written by the object, from a value of this type.
  return (JSON.parse(order.input) as BackupDeletionOrder).arrivalsUntil;
}

test("the database is gone at once, then its backup, and nobody else's; asking twice is not an error (B29)", async () => {
  const [{ id, stub, deleter }, other] = await Promise.all([backedUp(), backedUp()]);
  const others = await namesOf(other.id);
  await stub.wipe({ deleteBackups: true });
  expect(await tablesOf(stub)).toEqual(["tombstone"]);
  expect(await stub.stats()).toMatchObject({ code: "not-found" });
  await stub.wipe({ deleteBackups: true });
  await evictDurableObject(deleter);
  await expect.poll(async () => (await jobOf(deleter)).status, completed).toBe("completed");
  expect(await namesOf(id)).toEqual([]);
  expect(await namesOf(other.id)).toEqual(others);
  expect(await deleter.stats()).toMatchObject({ code: "not-found" });
  expect(await deleter.restore({ command: "range" })).toMatchObject({ code: "not-found" });
  expect(await deleter.restore({ command: "cancel", jobId: DELETION_JOB })).toMatchObject({ code: "conflict" });
});

test("without being asked to, the backup stays (B30)", async () => {
  const { id, stub, deleter } = await backedUp();
  const names = await namesOf(id);
  await stub.wipe({ deleteBackups: false });
  expect(await deleter.restore({ command: "job", jobId: DELETION_JOB })).toMatchObject({ code: "not-found" });
  expect(await namesOf(id)).toEqual(names);
});

test("killed after the order was given and before the data went, the rest is done when it is asked again (B31)", async () => {
  const { id, stub, deleter } = await backedUp();
  // What a kill leaves: closed to everybody, and everything still there.
  await runInDurableObject(stub, (_, { storage }) => void storage.sql.exec("CREATE TABLE tombstone (buried INTEGER)"));
  await evictDurableObject(stub);
  expect(await stub.stats()).toMatchObject({ code: "not-found" });
  await stub.wipe({ deleteBackups: true });
  expect(await tablesOf(stub)).toEqual(["tombstone"]);
  await expect.poll(async () => (await jobOf(deleter)).status, completed).toBe("completed");
  expect(await namesOf(id)).toEqual([]);
});

test("a backup that is being enabled when its database is deleted is not made, and nothing of it is kept", async () => {
  const { id, stub } = await made();
  const [enabled] = await Promise.all([stub.backup(enabling(id)), stub.wipe({ deleteBackups: true })]);
  expect(enabled).toMatchObject({ ok: false, code: "not-found" });
  expect(await tablesOf(stub)).toEqual(["tombstone"]);
  expect(await namesOf(id)).toEqual([]);
});

test("a deletion waits for what the backup was sending when the database was deleted", async () => {
  const { stub, deleter } = await backedUp();
  // Opened anew, it sends as the test has it: the first PUT is on its way until the database is wiped.
  await evictDurableObject(stub);
  const [begun, over] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  const send = globalThis.fetch;
  const held = vi.spyOn(globalThis, "fetch").mockImplementation(async (input, init) => {
    if (init?.method === "PUT") {
      begun.resolve();
      await over.promise;
    }
    return send(input, init);
  });
  await runInDurableObject(stub, async (instance: DatabaseObject, { storage }) => {
    await storage.deleteAlarm();
    await instance.atomicWrite(everything, encodeAtomicWrite(write([set(key("b"), text("2"))])));
    passTime(1_000);
    const ringing = instance.alarm();
    await begun.promise;
    await instance.wipe({ deleteBackups: true });
    over.resolve();
    await ringing;
  });
  held.mockRestore();
  expect(await arrivalsUntil(deleter)).toBeGreaterThan(Date.now() + 4 * 60_000);
  await expect.poll(async () => (await jobOf(deleter)).phase, completed).toBe("waiting for what may still arrive");
  expect(await jobOf(deleter, "cancel")).toMatchObject({ status: "cancelled" });
});

test("an object remembers over a sleep that its backup was being sent, and the repeated deletion waits for it", async () => {
  const { stub, deleter } = await backedUp();
  // What a first try leaves that could not hand the backup over.
  await runInDurableObject(stub, (_, { storage }) => bury(new ObjectTables(storage), { isSending: true }));
  await evictDurableObject(stub);
  await stub.wipe({ deleteBackups: true });
  expect(await arrivalsUntil(deleter)).toBeGreaterThan(Date.now() + 4 * 60_000);
  expect(await runInDurableObject(stub, (_, { storage }) => wasSending(new ObjectTables(storage)))).toBe(false);
  expect(await jobOf(deleter, "cancel")).toMatchObject({ status: "cancelled" });
});

test("an order is taken only by an object that never held anything", async () => {
  const stub = await newDatabase();
  const order: BackupDeletionOrder = {
    databaseId: "somebodys",
    id: "backup",
    destination: { kind: "r2", prefix: "" },
    secret: null,
    objects: 1,
    arrivalsUntil: asUnixMs(0),
  };
  expect(await stub.deleteBackup(order)).toMatchObject({ ok: false, code: "conflict" });
  await stub.wipe({ deleteBackups: true });
  expect(await stub.deleteBackup(order)).toMatchObject({ ok: false, code: "conflict" });
});

test("a trial of its backup goes with the database, whenever it is deleted", async () => {
  const { id, stub } = await backedUp();
  const trial = DATABASES.getByName(checkName(id));
  const version = asVersion(1_000);
  const place = { databaseId: id, start: version };
  const unheard = { place, consistentFrom: version, broken: false, gaps: [], snapshotHead: null, logHead: null };
  // It waits for a destination that nobody is at.
  const destination = { ...s3Destination(), endpoint: "http://127.0.0.1:1" };
  const order = {
    jobId: "trial",
    databaseId: id,
    destination,
    version,
    isExact: true,
    floor: version,
    olderGenerations: [],
  };
  await trial.receive({ purpose: "check", generation: JSON.stringify(unheard), ...order });
  expect(await tablesOf(trial)).toContain("backup_jobs");
  await stub.wipe({ deleteBackups: false });
  expect(await tablesOf(trial)).toEqual([]);
});
