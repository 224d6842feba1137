/** A restore that is killed, cancelled, held up or crossed by others: wholly the old state or wholly the new one. */
import { describe, expect, test } from "vitest";
import { destinationFailure } from "../../../src/backup/destinations/destination.ts";
import { asVersion, timeOfVersion, versionstampHex } from "../../../src/core/versionstamp.ts";
import { BackupWriter, writeBackup } from "../../support/backup-writer.ts";
import { MemoryDestination } from "../../support/memory-destination.ts";
import {
  entryOrNull,
  key,
  MovableClock,
  point,
  set,
  text,
  versionOf,
  withStorage,
  write,
} from "../../support/workerd/engine.ts";
import { describeModel, sideTables, TestRestore } from "../../support/workerd/restore.ts";
import { DyingStorage, killedAtEachTransaction } from "../../support/workerd/dying-storage.ts";

const databaseId = "5f0c-c";
const mine = key("mine");

/** Big enough for many slices: 90,000 entries in the snapshot and 70,000 in the log. */
async function large(): Promise<{ destination: MemoryDestination; writer: BackupWriter }> {
  const destination = new MemoryDestination();
  const writer = new BackupWriter(destination, databaseId, 31);
  const fill = (round: number, from: number, to: number): void => {
    for (let i = from; i < to; i += 1000) {
      writer.commit(
        Array.from({ length: 1000 }, (_, j) => ({
          type: "set" as const,
          key: writer.key("k", i + j),
          value: text(`${round}`),
          encoding: 3 as const,
          expiresAt: null,
        })),
      );
    }
  };
  fill(0, 0, 90_000);
  const generation = writer.begin();
  await writer.snapshot(generation, 20_000, async () => undefined);
  fill(1, 0, 70_000);
  await writer.flush(30);
  await writer.writeManifest();
  return { destination, writer };
}

describe("in place", () => {
  test("a kill after any slice leaves the old state until the switch, and the job goes on (G14)", async () => {
    const { destination, writer } = await large();
    await withStorage(async (storage) => {
      const target = new TestRestore({ storage, destination, databaseId, manifest: () => writer.manifest() });
      target.database.commit([write([set(mine, text("old"))])]);
      const command = { command: "restore", jobId: "a", at: versionstampHex(writer.lastVersion) } as const;
      expect(await target.job(command)).toMatchObject({
        kind: "restore",
        status: "running",
        version: writer.lastVersion,
      });
      let written = 0;
      const job = await target.finish("a", (count) => {
        target.reopen();
        expect(entryOrNull(target.database.read([point(mine)], 1e6))?.value).toEqual(
          text(count === 1 ? "old" : `${written}`),
        );
        written += 1;
        // Writes go on all the while, and are gone with the old state.
        target.database.commit([write([set(mine, text(`${written}`))])]);
      });
      expect(job).toMatchObject({ status: "completed" });
      expect(job.slices).toBeGreaterThan(5);
      expect(job.done).toBe(job.total);
      expect(target.stored()).toBe(describeModel(writer.history.get(writer.lastVersion)));
      expect(target.adopted).toEqual([{ purpose: "restore", asOf: timeOfVersion(writer.lastVersion) }]);
      expect(target.restored).toBe(1);
      expect(sideTables(storage.sql)).toEqual([]);
    });
  });

  test("a kill in the middle of a slice, at any transaction, is as if the slice had not begun or had ended there (G14)", async () => {
    const destination = new MemoryDestination();
    const writer = await writeBackup(destination, databaseId, 32, 40);
    await withStorage(async (storage) => {
      const dying = new DyingStorage(storage);
      const target = new TestRestore({ storage: dying, destination, databaseId, manifest: () => writer.manifest() });
      target.database.commit([write([set(mine, text("old"))])]);
      await target.job({ command: "restore", jobId: "a", at: versionstampHex(writer.lastVersion) });
      const killed = await killedAtEachTransaction(target, dying, ({ status }) => {
        if (status === "completed") return;
        expect(entryOrNull(target.database.read([point(mine)], 1e6))?.value).toEqual(text("old"));
      });
      expect(killed).toBeGreaterThan(10);
      expect(target.stored()).toBe(describeModel(writer.history.get(writer.lastVersion)));
    });
  });

  test("killed twice at the same place it waits, says so, and goes on; killed there once more it is given up (G24)", async () => {
    const destination = new MemoryDestination();
    const writer = await writeBackup(destination, databaseId, 37, 40);
    const at = versionstampHex(writer.lastVersion);
    await withStorage(async (storage) => {
      const target = new TestRestore({ storage, destination, databaseId, manifest: () => writer.manifest() });
      target.database.commit([write([set(mine, text("old"))])]);
      const before = target.stored();
      let asked = 0;
      const dieAt = async (part: "list" | null): Promise<void> => {
        destination.never = part;
        asked = destination.requests;
        void target.slice();
        await new Promise((resolve) => setTimeout(resolve, 5));
        target.reopen();
      };
      const job = () => target.job({ command: "job", jobId: "a" });
      const waits = () => (target.service.task.dueAt() ?? 0) - target.clock.time;

      await target.job({ command: "restore", jobId: "a", at });
      await dieAt("list");
      expect(waits()).toBeLessThanOrEqual(5_000);
      expect(await job()).toMatchObject({ status: "running", error: null });
      target.clock.time += 5_000;
      await dieAt("list");
      expect(waits()).toBe(300_000);
      const held = "The server ended 2 times in a row while this was under way. It goes on after a while.";
      expect(await job()).toMatchObject({ status: "running", error: held });
      // Objects that start meanwhile do not put it off, and do nothing of it.
      target.clock.time += 200_000;
      await dieAt("list");
      expect([waits(), destination.requests - asked]).toEqual([100_000, 0]);
      // It goes on, and what it gets on begins the count anew.
      target.clock.time += 100_000;
      destination.never = null;
      await target.slice();
      for (let deaths = 1; deaths <= 3; deaths++) {
        await dieAt("list");
        target.clock.time += 300_000;
      }
      asked = destination.requests;
      await target.slice();
      expect(await job()).toMatchObject({
        status: "failed",
        phase: "given up",
        error: "Given up: the server ended 3 times in a row while this was under way.",
      });
      expect(destination.requests).toBe(asked);
      expect(target.stored()).toBe(before);
      expect(sideTables(storage.sql)).toEqual([]);
      destination.never = null;
      await target.job({ command: "restore", jobId: "b", at });
      expect(await target.finish("b")).toMatchObject({ status: "completed" });
    });
  });

  test("cancelled after any slice, nothing of it is left and another one may begin (G17)", async () => {
    const { destination, writer } = await large();
    await withStorage(async (storage) => {
      const target = new TestRestore({ storage, destination, databaseId, manifest: () => writer.manifest() });
      target.database.commit([write([set(mine, text("old"))])]);
      const before = target.stored();
      for (const slices of [0, 1, 3, 6]) {
        const jobId = `after ${slices}`;
        await target.job({ command: "restore", jobId, at: versionstampHex(writer.lastVersion) });
        for (let i = 0; i < slices; i++) await target.slice();
        // Cancelled while a slice is under way.
        const [job] = await Promise.all([target.job({ command: "cancel", jobId }), target.slice()]);
        expect(job).toMatchObject({ status: "cancelled" });
        expect(target.stored()).toBe(before);
        expect(sideTables(storage.sql)).toEqual([]);
        expect(target.service.task.dueAt()).toBeNull();
      }
      expect(await target.service.run({ command: "cancel", jobId: "after 1" })).toMatchObject({ code: "conflict" });
      expect(await target.service.run({ command: "cancel", jobId: "no such" })).toMatchObject({ code: "not-found" });
    });
  });

  test("one job at a time, and each once (G18)", async () => {
    const destination = new MemoryDestination();
    const writer = await writeBackup(destination, databaseId, 33, 10);
    await withStorage(async (storage) => {
      const target = new TestRestore({ storage, destination, databaseId, manifest: () => writer.manifest() });
      const at = versionstampHex(writer.lastVersion);
      await target.job({ command: "restore", jobId: "a", at });
      expect(await target.service.run({ command: "restore", jobId: "b", at })).toMatchObject({ code: "conflict" });
      expect(await target.service.run({ command: "verify", jobId: "c" })).toMatchObject({ code: "conflict" });
      await target.finish("a");
      expect(await target.job({ command: "restore", jobId: "a", at })).toMatchObject({ id: "a", status: "completed" });
    });
  });

  test("versions go on above the database's own and above the backup's, and watchers see the new state (S8)", async () => {
    const destination = new MemoryDestination();
    const writer = await writeBackup(destination, databaseId, 34, 40);
    for (const ahead of [-1_000_000, 1_000_000]) {
      await withStorage(async (storage) => {
        const clock = new MovableClock(writer.now + Math.max(ahead, 1));
        const target = new TestRestore({ storage, destination, databaseId, clock, manifest: () => writer.manifest() });
        const own = versionOf(target.database.commit([write([set(mine, text("old"))])])[0]);
        const told: unknown[] = [];
        const seen = (states: readonly unknown[]): void => void told.push(states);
        target.database.watches.add([mine], seen, { resumed: false }).acknowledge();
        const points = [...writer.points];
        await target.job({ command: "restore", jobId: "a", at: versionstampHex(points[20] ?? asVersion(0)) });
        clock.time = writer.now + ahead;
        expect(await target.finish("a")).toMatchObject({ status: "completed" });
        expect(told).toHaveLength(2);
        const next = versionOf(target.database.commit([write([set(mine, text("new"))])])[0]);
        expect(next).toBeGreaterThan(Math.max(own, writer.lastVersion));
      });
    }
  });

  test("a state that the backup does not hold yet cannot be restored, and a database without a backup says so", async () => {
    const destination = new MemoryDestination();
    const writer = await writeBackup(destination, databaseId, 35, 10);
    await withStorage(async (storage) => {
      const options = { storage, destination, databaseId };
      const at = versionstampHex(writer.lastVersion);
      const none = new TestRestore(options);
      expect(await none.service.run({ command: "restore", jobId: "a", at })).toMatchObject({ code: "not-found" });
      const behind = new TestRestore({ ...options, manifest: () => writer.manifest(), hasShipped: () => false });
      expect(await behind.service.run({ command: "restore", jobId: "a", at })).toMatchObject({ code: "unavailable" });
    });
  });

  test("a database too large to hold two of itself is refused before anything starts (G21)", async () => {
    const destination = new MemoryDestination();
    const writer = await writeBackup(destination, databaseId, 36, 10);
    await withStorage(async (storage) => {
      const sql = new Proxy(storage.sql, {
        get: (real, name) => {
          if (name === "databaseSize") return 5 * 2 ** 30;
          return name === "exec" ? real.exec.bind(real) : undefined;
        },
      });
      const huge = { sql, transactionSync: <T>(callback: () => T): T => storage.transactionSync(callback) };
      const target = new TestRestore({ storage: huge, destination, databaseId, manifest: () => writer.manifest() });
      const refused = await target.service.run({
        command: "restore",
        jobId: "a",
        at: versionstampHex(writer.lastVersion),
      });
      expect(refused).toMatchObject({ ok: false, code: "limit" });
      expect(refused).toHaveProperty("message", expect.stringContaining("into a new database"));
      expect(target.service.task.dueAt()).toBeNull();
    });
  });
});

describe("a destination that does not answer", () => {
  test("holds the job up, which says why, and goes on where it was (G23)", async () => {
    const { destination, writer } = await large();
    await withStorage(async (storage) => {
      const target = new TestRestore({ storage, destination, databaseId });
      await target.fork("a", writer.lastVersion);
      for (let i = 0; i < 4; i++) await target.slice();
      const { done } = await target.job({ command: "job", jobId: "a" });
      expect(done).toBeGreaterThan(0);
      destination.fault = () => destinationFailure("retry", "The destination is out of service.");
      target.reopen();
      for (let i = 0; i < 20; i++) {
        await target.slice();
        target.clock.time += 1_000;
      }
      const held = await target.job({ command: "job", jobId: "a" });
      expect(held).toMatchObject({ status: "running", done, error: "The destination is out of service." });
      // It is asked ever more rarely.
      const asked = destination.requests;
      for (let i = 0; i < 60; i++) {
        await target.slice();
        target.clock.time += 1_000;
      }
      expect(destination.requests - asked).toBeLessThanOrEqual(4);
      destination.fault = () => undefined;
      target.clock.time += 30_000;
      expect(await target.finish("a")).toMatchObject({ status: "completed", error: null });
      expect(target.stored()).toBe(describeModel(writer.history.get(writer.lastVersion)));
    });
  });

  test("because its credentials are wrong ends a job that brought its own, and changes nothing (G23)", async () => {
    const destination = new MemoryDestination();
    const writer = await writeBackup(destination, databaseId, 38, 10);
    await withStorage(async (storage) => {
      const target = new TestRestore({ storage, destination, databaseId });
      await target.fork("a", writer.lastVersion);
      destination.fault = () => destinationFailure("credentials", "The access key is not known there.");
      expect(await target.finish("a")).toMatchObject({ status: "failed", error: "The access key is not known there." });
      expect(sideTables(storage.sql)).toEqual([]);
      expect(target.stored()).toBe("");
    });
  });
});

test("the secret that a job needs is not readable in its row", async () => {
  const destination = new MemoryDestination();
  const writer = await writeBackup(destination, databaseId, 39, 10);
  await withStorage(async (storage) => {
    const target = new TestRestore({ storage, destination, databaseId });
    await target.service.run({
      command: "restore from",
      jobId: "a",
      databaseId,
      at: versionstampHex(writer.lastVersion),
      withoutManifest: false,
      destination: {
        kind: "s3",
        endpoint: "https://s3.example",
        bucketName: "b",
        bucketRegion: "auto",
        prefix: "",
        accessKeyId: "id",
        secretAccessKey: "very secret",
        sessionToken: null,
      },
    });
    expect(JSON.stringify(storage.sql.exec("SELECT * FROM backup_jobs").toArray())).not.toContain("very secret");
    expect(await target.finish("a")).toMatchObject({ status: "completed" });
    expect(storage.sql.exec("SELECT input, state FROM backup_jobs").one()).toEqual({ input: "", state: null });
  });
});
