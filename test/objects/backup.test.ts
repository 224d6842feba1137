/** A backup in the real object: its real alarm, clock and storage, through evictions and a lost alarm. */
import { env } from "cloudflare:workers";
import { evictDurableObject, runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { afterEach, expect, test, vi } from "vitest";
import type { BackupInfo } from "../../src/contracts/backup-commands.ts";
import { toHex } from "../../src/core/bytes.ts";
import { secretBox } from "../../src/objects/backup-wiring.ts";
import type { DatabaseObject } from "../../src/objects/database-object.ts";
import type { Env } from "../../src/objects/env.ts";
import { ObjectTables } from "../../src/objects/object-tables.ts";
import { passTime } from "../support/moved-date.ts";
import { listGenerations, readGeneration } from "../support/reference-reader.ts";
import { openS3, s3Destination } from "../support/workerd/backup.ts";
import { commit, newDatabase, type Stub } from "../support/workerd/database-object.ts";
import { key, set, text, write } from "../support/workerd/engine.ts";

// The plugin's environment is the deployment's.
const { DATABASES } = env as unknown as Env;

afterEach(() => void vi.useRealTimers());

async function enabled(): Promise<{ id: string; stub: Stub }> {
  const id = crypto.randomUUID();
  const stub = DATABASES.getByName(id);
  await stub.initialize({ organizationId: "nobody", databaseId: id, jurisdiction: null });
  const answer = await stub.backup({
    command: "enable",
    id: crypto.randomUUID(),
    databaseId: id,
    destination: s3Destination(),
    intervalMs: 500,
    retentionDays: 7,
  });
  expect(answer).toMatchObject({ ok: true, backup: { status: { code: "pending" } } });
  return { id, stub };
}

async function until(stub: Stub, holds: (info: BackupInfo) => boolean): Promise<void> {
  await expect
    .poll(
      async () => {
        const answer = await stub.backup({ command: "status" });
        return answer.ok && answer.backup !== null && holds(answer.backup);
      },
      { timeout: 60_000 },
    )
    .toBe(true);
}

async function objectsOf(stub: Stub): Promise<number> {
  const answer = await stub.backup({ command: "status" });
  if (!answer.ok) throw new Error(answer.message);
  return answer.backup?.generations[0]?.objects ?? 0;
}

const isSettled = ({ status, backlogBytes }: BackupInfo): boolean => status.code === "active" && backlogBytes === 0;

async function keysInBackup(id: string): Promise<Set<string>> {
  const [folder = "", ...others] = await listGenerations(openS3(), id);
  expect(others).toEqual([]);
  const generation = await readGeneration(openS3(), id, folder);
  return new Set([...generation.states()].at(-1)?.entries.keys());
}

test("commits are in the backup within seconds, whatever is evicted meanwhile, and then the object sleeps (B6)", async () => {
  const { id, stub } = await enabled();
  for (let i = 0; i < 60; i++) {
    await commit(stub, write([set(key("a", i), text(`${i}`))]));
    if (i % 12 === 5) await evictDurableObject(stub);
    await scheduler.wait(20);
  }
  await until(stub, isSettled);
  const keys = await keysInBackup(id);
  for (let i = 0; i < 60; i++) expect(keys.has(toHex(key("a", i)))).toBe(true);
  const answer = await stub.backup({ command: "disable" });
  expect(answer).toEqual({ ok: true, backup: null });
  // What is left is to save the counters, and to report what was used at the next quarter of an hour.
  vi.useFakeTimers({ toFake: ["Date"], now: Date.now() + 10_000 });
  for (let i = 0; i < 3; i++) await runDurableObjectAlarm(stub);
  const alarm = await runInDurableObject(stub, (_, { storage }) => storage.getAlarm());
  expect((alarm ?? 0) % (15 * 60_000)).toBe(0);
});

test("an alarm that was lost is set again when the object starts", async () => {
  const { id, stub } = await enabled();
  await until(stub, isSettled);
  await commit(stub, write([set(key("lost"), text("1"))]));
  await runInDurableObject(stub, (_, { storage }) => storage.deleteAlarm());
  await evictDurableObject(stub);
  await until(stub, isSettled);
  expect((await keysInBackup(id)).has(toHex(key("lost")))).toBe(true);
});

test("the statistics tell how many bytes of log wait for the destination", async () => {
  const stub = await newDatabase();
  await commit(stub, write([set(key("a"), new Uint8Array(500))]));
  expect(await stub.stats(), "without a backup").toMatchObject({ logBacklog: 0 });
  const { stub: backedUp } = await enabled();
  await until(backedUp, isSettled);
  await backedUp.backup({ command: "pause" });
  for (let i = 0; i < 3; i++) await commit(backedUp, write([set(key("a", i), new Uint8Array(500))]));
  const answer = await backedUp.backup({ command: "status" });
  const waiting = answer.ok ? answer.backup?.backlogBytes : undefined;
  expect(waiting).toBeGreaterThan(1_500);
  expect(waiting).toBeLessThan(2_000);
  expect(await backedUp.stats()).toMatchObject({ logBacklog: waiting });
  await evictDurableObject(backedUp);
  expect(await backedUp.stats()).toMatchObject({ logBacklog: waiting });
  await backedUp.backup({ command: "resume" });
  await until(backedUp, isSettled);
  expect(await backedUp.stats()).toMatchObject({ logBacklog: 0 });
});

test("an alarm that rings twice at once stores each range once, and nothing fails over it", async () => {
  const { id, stub } = await enabled();
  await until(stub, isSettled);
  const objectsBefore = await objectsOf(stub);
  await commit(stub, write([set(key("once"), text("1"))]));
  const failed = await runInDurableObject(stub, async (instance: DatabaseObject, { storage }) => {
    // Instead of the one that it stands for, when the interval is over.
    await storage.deleteAlarm();
    passTime(700);
    await Promise.all([instance.alarm(), instance.alarm()]);
    // The table is made by the first task that fails.
    return new ObjectTables(storage).has("failed_tasks");
  });
  expect(failed).toBe(false);
  expect(await objectsOf(stub)).toBe(objectsBefore + 1);
  expect((await keysInBackup(id)).has(toHex(key("once")))).toBe(true);
});

test("an alarm that is lost while the object is there is overdue for the next request, which sets it again", async () => {
  const { id, stub } = await enabled();
  await until(stub, isSettled);
  await commit(stub, write([set(key("overdue"), text("1"))]));
  await runInDurableObject(stub, (_, { storage }) => storage.deleteAlarm());
  await until(stub, isSettled);
  expect((await keysInBackup(id)).has(toHex(key("overdue")))).toBe(true);
});

test("an object where no database was made knows no backup", async () => {
  const stub = DATABASES.getByName(crypto.randomUUID());
  expect(await stub.backup({ command: "status" })).toMatchObject({ ok: false, code: "not-found" });
});

test("without CAIRN_ENCRYPTION_KEYS there is nowhere to keep a destination's secret, and the refusal names the variable", () => {
  for (const none of [{}, { CAIRN_ENCRYPTION_KEYS: "" }, { CAIRN_ENCRYPTION_KEYS: null }]) {
    const message = expect.stringMatching(/: CAIRN_ENCRYPTION_KEYS, it is not set\.$/);
    expect(secretBox(none)).toMatchObject({ code: "unsupported", message });
  }
  expect(secretBox({ CAIRN_ENCRYPTION_KEYS: `k:${btoa("1".repeat(32))}` })).not.toHaveProperty("code");
});
