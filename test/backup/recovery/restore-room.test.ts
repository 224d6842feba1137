/** Restores and verifications on a disk that has too little room: they end with the reason, and give back what they took. */
import { expect, test } from "vitest";
import { lastVerification } from "../../../src/backup/jobs.ts";
import { BackupBucket } from "../../../src/backup/recovery/replay/backup-bucket.ts";
import { knownCatalog } from "../../../src/backup/recovery/replay/catalog.ts";
import type { JobRoom } from "../../../src/backup/recovery/restore.ts";
import { asUnixMs } from "../../../src/core/clock.ts";
import { type Failure, failure } from "../../../src/core/errors.ts";
import type { ReceiveOrder, BackupJob, RestoreStub } from "../../../src/contracts/restore-commands.ts";
import { versionstampHex } from "../../../src/core/versionstamp.ts";
import { BackupWriter } from "../../support/backup-writer.ts";
import { MemoryDestination } from "../../support/memory-destination.ts";
import { entryOrNull, key, MovableClock, point, set, text, withStorage, write } from "../../support/workerd/engine.ts";
import { endlessRoom, sideTables, TestRestore } from "../../support/workerd/restore.ts";

const databaseId = "5f0c-9";
const mine = key("mine");
const noRoom = failure("insufficient-storage", "The disk of the server has too little room.");

/** A snapshot of 60,000 entries, for several slices. */
async function large(): Promise<{ destination: MemoryDestination; writer: BackupWriter }> {
  const destination = new MemoryDestination();
  const writer = new BackupWriter(destination, databaseId, 61, undefined, { keepHistory: false });
  for (let i = 0; i < 60_000; i += 1000) {
    writer.commit(
      Array.from({ length: 1000 }, (_, j) => ({
        type: "set" as const,
        key: writer.key("k", i + j),
        value: text("a value"),
        encoding: 3 as const,
        expiresAt: null,
      })),
    );
  }
  const generation = writer.begin();
  await writer.snapshot(generation, 20_000, async () => undefined);
  await writer.flush(30);
  await writer.writeManifest();
  return { destination, writer };
}

/** Room for so many bytes. */
class Limited implements JobRoom {
  readonly asked: number[] = [];
  left: number;

  constructor(left: number) {
    this.left = left;
  }

  async refusalOfJob(bytes: number): Promise<Failure | null> {
    this.asked.push(bytes);
    return bytes <= this.left && this.left > 0 ? null : noRoom;
  }

  takeForJob(bytes: number): Failure | null {
    if (bytes > this.left) return noRoom;
    this.left -= bytes;
    return null;
  }
}

const entries = (target: TestRestore) => target.database.scan(null, { maxBytes: Infinity, maxEntries: 1e9 }).length;

test("none is begun on a disk without room, and none is begun in place that will not fit (G22)", async () => {
  const { destination, writer } = await large();
  await withStorage(async (storage) => {
    const room = new Limited(0);
    const target = new TestRestore({ storage, destination, databaseId, room, manifest: () => writer.manifest() });
    const command = { command: "restore", jobId: "a", at: versionstampHex(writer.lastVersion) } as const;
    expect(await target.service.run(command)).toEqual(noRoom);
    expect(await target.service.run({ command: "jobs" })).toMatchObject({ jobs: [] });

    room.left = 2 * 1024 * 1024;
    room.asked.length = 0;
    await target.job(command);
    const job = await target.finish("a");
    expect(job).toMatchObject({ status: "failed", error: noRoom.message, done: 0 });
    expect(job.total).toBeGreaterThan(2 * 1024 * 1024);
    expect(room.asked.at(-1), "what the snapshot takes, before anything of it is loaded").toBeGreaterThan(job.total);
    expect(sideTables(storage.sql)).toEqual([]);
    expect(room.left, "nothing was loaded").toBe(2 * 1024 * 1024);
    expect(await target.service.run(command), "the same order again is the same job").toMatchObject({
      job: { status: "failed" },
    });
  });
});

test("one that runs out of room fails with the reason; reads and writes go on, its space is free again, and it can be begun anew (G22)", async () => {
  const { destination, writer } = await large();
  await withStorage(async (storage) => {
    const room = new Limited(Infinity);
    const target = new TestRestore({ storage, destination, databaseId, room, manifest: () => writer.manifest() });
    target.database.commit([write([set(mine, text("old"))])]);
    const command = { command: "restore", at: versionstampHex(writer.lastVersion) } as const;
    await target.job({ ...command, jobId: "a" });
    const job = await target.finish("a", (slices) => {
      if (slices === 2) room.left = 3 * 1024 * 1024;
      target.database.commit([write([set(mine, text(`${slices}`))])]);
    });
    expect(job).toMatchObject({ status: "failed", error: noRoom.message });
    expect(job.done).toBeGreaterThan(0);
    expect(job.done).toBeLessThan(job.total);
    expect(sideTables(storage.sql)).toEqual([]);
    expect(entryOrNull(target.database.read([point(mine)], 1e6))?.value).toEqual(text(`${job.slices - 1}`));
    expect(target.database.spareBytes, "of the file, for what is written next").toBeGreaterThan(1_000_000);
    expect(target.service.task.dueAt()).toBeNull();

    room.left = Infinity;
    await target.job({ ...command, jobId: "b" });
    expect(await target.finish("b")).toMatchObject({ status: "completed" });
    expect(entries(target)).toBe(60_000);
  });
});

test("cancelled while it waits to hear whether there is room, it does nothing more", async () => {
  const { destination, writer } = await large();
  await withStorage(async (storage) => {
    const answer = Promise.withResolvers<null>();
    let asked = 0;
    const room: JobRoom = { ...endlessRoom, refusalOfJob: async () => (asked++ === 0 ? null : answer.promise) };
    const target = new TestRestore({ storage, destination, databaseId, room, manifest: () => writer.manifest() });
    await target.job({ command: "restore", jobId: "a", at: versionstampHex(writer.lastVersion) });
    const slice = target.slice();
    await target.ask({ command: "cancel", jobId: "a" });
    answer.resolve(null);
    await slice;
    expect(await target.job({ command: "job", jobId: "a" })).toMatchObject({ status: "cancelled", done: 0 });
    expect(sideTables(storage.sql)).toEqual([]);
  });
});

test("a trial of a backup that has no room says nothing of the backup, and neither does the verification that wanted it", async () => {
  const { destination, writer } = await large();
  await withStorage(async (storage) => {
    const room = new Limited(Infinity);
    const trial = new TestRestore({ storage, destination, databaseId, room, objectName: "trial" });
    const { lastVersion } = writer;
    const catalog = await knownCatalog(new BackupBucket(destination, databaseId), writer.manifest());
    if (!catalog.ok) throw new Error(JSON.stringify(catalog));
    const order: ReceiveOrder = {
      purpose: "check",
      jobId: "a",
      databaseId,
      destination: { kind: "r2", prefix: "" },
      version: lastVersion,
      isExact: true,
      floor: lastVersion,
      generation: JSON.stringify(catalog.generations[0]),
      olderGenerations: [],
    };
    expect(await trial.service.receive(order)).toMatchObject({ ok: true });
    const job = await trial.finish("a", (slices) => {
      if (slices === 2) room.left = 3 * 1024 * 1024;
    });
    expect(job).toMatchObject({ status: "cancelled", error: noRoom.message, verification: null });
    expect(sideTables(storage.sql)).toEqual([]);
    room.left = 0;
    expect(await trial.service.receive({ ...order, jobId: "b" })).toEqual(noRoom);
  });

  await withStorage(async (storage) => {
    const clock = new MovableClock(writer.now);
    const manifest = () => writer.manifest();
    let begins = false;
    const ended = { id: "", status: "cancelled", error: noRoom.message };
    const object = (): RestoreStub => ({
      // What the trial has just been seen to answer.
      receive: async () => (begins ? { ok: true, job: ended as BackupJob } : noRoom),
      restore: async () => ({ ok: true, kind: "job", job: ended as BackupJob }),
      discard: async () => ({ ok: true }),
      lastUse: async () => null,
      pastEntries: async () => failure("not-found", "nothing is here"),
      revoke: async () => undefined,
    });
    const target = new TestRestore({ storage, destination, databaseId, clock, manifest, object });
    const { lastVersion } = writer;
    target.database.logMarker = () => lastVersion;
    for (const jobId of ["when it begins", "in the middle"]) {
      await target.ask({ command: "verify", jobId });
      const job = await target.finish(jobId);
      expect(job).toMatchObject({ status: "cancelled", error: noRoom.message, verification: null });
      begins = true;
    }
    expect(lastVerification(storage, asUnixMs(0)), "no verdict").toBeNull();
  });
});
