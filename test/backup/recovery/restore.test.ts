/** A restore, from a bucket alone and in place, over backups of a model that knows the state after every commit. */
import { describe, expect, test } from "vitest";
import { asVersion, timeOfVersion, type Version } from "../../../src/core/versionstamp.ts";
import { destinationFailure } from "../../../src/backup/destinations/destination.ts";
import { BackupWriter, writeBackup } from "../../support/backup-writer.ts";
import { MemoryDestination } from "../../support/memory-destination.ts";
import { key, MovableClock, set, text, versionOf, withStorage, write } from "../../support/workerd/engine.ts";
import { describeModel, sideTables, TestRestore } from "../../support/workerd/restore.ts";

const databaseId = "5f0c-a";

async function written(seed: number, commits = 60): Promise<{ destination: MemoryDestination; writer: BackupWriter }> {
  const destination = new MemoryDestination();
  return { destination, writer: await writeBackup(destination, databaseId, seed, commits) };
}

/** Every moment that the model says can be had: the points, and each readable generation's beginning. */
function restorable(writer: BackupWriter): Version[] {
  const beginnings = writer.generations.map(({ consistentFrom }) => consistentFrom).filter((one) => one !== null);
  return [...new Set([...beginnings, ...writer.points])].toSorted((a, b) => a - b);
}

describe("from a bucket alone", () => {
  test.for([
    [1, 1],
    [2, 9],
    [3, 9],
  ] as const)(
    "every point gives back exactly what the database held then (seed %i, each %ith) (G8, G11)",
    async ([seed, each]) => {
      const { destination, writer } = await written(seed, 40);
      const all = restorable(writer);
      expect(all.length).toBeGreaterThan(80);
      const points = all.filter((_, i) => i % each === 0 || i === all.length - 1);
      await withStorage(async (storage) => {
        const target = new TestRestore({ storage, destination, databaseId });
        for (const [index, version] of points.entries()) {
          const answer = await target.fork(`job${index}`, version);
          expect(answer).toMatchObject({ ok: true });
          const job = await target.finish(`job${index}`);
          expect(job).toMatchObject({ status: "completed", version });
          expect(target.stored()).toBe(describeModel(writer.history.get(version)));
          expect(sideTables(storage.sql)).toEqual([]);
        }
      });
    },
  );

  test("a moment between two commits is the one before it; versions go on above all that the backup has seen (S8, G2)", async () => {
    const { destination, writer } = await written(4);
    const points = restorable(writer);
    await withStorage(async (storage) => {
      const target = new TestRestore({ storage, destination, databaseId });
      const middle = points[70] ?? 0;
      const answer = await target.fork("a", asVersion(middle + 1));
      expect(answer).toMatchObject({ ok: true, job: { version: middle } });
      await target.finish("a");
      expect(target.stored()).toBe(describeModel(writer.history.get(asVersion(middle))));
      target.clock.time = timeOfVersion(asVersion(middle));
      const next = versionOf(target.database.commit([write([set(key("new"), text("x"))])])[0]);
      expect(next).toBeGreaterThan(writer.lastVersion);
    });
  });

  test("a time is the last commit of that millisecond or before (G2)", async () => {
    const { destination, writer } = await written(5);
    const points = restorable(writer);
    await withStorage(async (storage) => {
      const target = new TestRestore({ storage, destination, databaseId });
      const point = points[50] ?? asVersion(0);
      const same = points.filter((one) => timeOfVersion(one) <= timeOfVersion(point)).at(-1);
      const at = new Date(timeOfVersion(point)).toISOString();
      expect(await target.fork("a", at)).toMatchObject({ job: { version: same } });
    });
  });

  test("an entry that has expired meanwhile is not seen again, and goes (G9)", async () => {
    const { destination, writer } = await written(6);
    const version = restorable(writer).at(-1) ?? asVersion(0);
    const expiring = [...(writer.history.get(version)?.values() ?? [])].filter(({ expiresAt }) => expiresAt !== null);
    expect(expiring.length).toBeGreaterThan(3);
    await withStorage(async (storage) => {
      const target = new TestRestore({ storage, destination, databaseId });
      await target.fork("a", version);
      await target.finish("a");
      target.clock.time = Math.max(...expiring.map(({ expiresAt }) => expiresAt ?? 0));
      for (const entry of expiring) {
        const range = { start: entry.key, end: Uint8Array.of(...entry.key, 0), limit: 1, reverse: false };
        expect(target.database.read([range], 1e6)).toEqual([[]]);
      }
      expect(target.database.deleteExpired(1000)).toBe(expiring.length);
    });
  });

  test("a moment before the backup, of another database, and no moment at all are refused (G4)", async () => {
    const { destination, writer } = await written(7);
    await withStorage(async (storage) => {
      const target = new TestRestore({ storage, destination, databaseId });
      const before = asVersion((writer.generations[0]?.place.start ?? 2) - 1);
      expect(await target.fork("a", before)).toMatchObject({ ok: false, code: "not-found" });
      expect(await target.fork("a", "yesterday")).toMatchObject({ ok: false, code: "invalid" });
      const other = new TestRestore({ storage, destination, databaseId: "other" });
      expect(await other.fork("a", writer.lastVersion)).toMatchObject({ ok: false, code: "not-found" });
      expect(target.service.task.dueAt()).toBeNull();
    });
  });
});

describe("a backup with an object whose time lies far in the future", () => {
  const generation = (ms: number): string => `${databaseId}/${(ms * 1000).toString(16).padStart(16, "0")}/x`;
  const YEAR_MS = 365 * 24 * 60 * 60 * 1000;

  test("is not restored: no commit could follow", async () => {
    const destination = new MemoryDestination();
    const writer = await writeBackup(destination, databaseId, 31);
    await withStorage(async (storage) => {
      const clock = new MovableClock(writer.now);
      const target = new TestRestore({ storage, destination, databaseId, clock });
      for (const name of [generation(writer.now + 11 * YEAR_MS), `${databaseId}/001fffffffffffff/x`]) {
        destination.objects.set(name, new Uint8Array(1));
        const refused = await target.fork("a", writer.lastVersion);
        expect(refused).toMatchObject({ code: "conflict", message: expect.stringContaining("ten years from now") });
        destination.objects.delete(name);
      }
      // A clock that was wrong by less is no reason to lose the backup.
      const ahead = writer.now + 9 * YEAR_MS;
      destination.objects.set(generation(ahead), new Uint8Array(1));
      expect(await target.fork("b", writer.lastVersion)).toMatchObject({ ok: true });
      expect(await target.finish("b")).toMatchObject({ status: "completed" });
      const [commit] = target.database.commit([write([set(key("a"), text("1"))])]);
      expect(commit).toMatchObject({ ok: true, version: ahead * 1000 + 1 });
    });
  });

  test("in its snapshot is damaged", async () => {
    const destination = new MemoryDestination();
    const writer = new BackupWriter(destination, databaseId, 32);
    for (let i = 0; i < 5; i++) writer.randomCommit();
    const [[name = "", entry] = []] = writer.state;
    if (entry === undefined) throw new Error("nothing was written");
    writer.state.set(name, { ...entry, version: asVersion(writer.lastVersion + 1e15) });
    await writer.snapshot(writer.begin(), 100, async () => undefined);
    await writer.writeManifest();
    await withStorage(async (storage) => {
      const target = new TestRestore({ storage, destination, databaseId });
      expect(await target.fork("a", writer.lastVersion)).toMatchObject({ ok: true });
      const job = await target.finish("a");
      expect(job).toMatchObject({ status: "failed", error: expect.stringContaining("has an entry of") });
    });
  });
});

test("neither a pause that a destination asks for nor a clock that is set back holds a restore up for long", async () => {
  const destination = new MemoryDestination();
  const writer = await writeBackup(destination, databaseId, 33);
  await withStorage(async (storage) => {
    const clock = new MovableClock(writer.now);
    const target = new TestRestore({ storage, destination, databaseId, clock });
    expect(await target.fork("a", writer.lastVersion)).toMatchObject({ ok: true });
    clock.time -= 3_600_000;
    destination.fault = () => destinationFailure("retry", "Not now.", 1e12);
    await target.slice();
    expect(await target.job({ command: "job", jobId: "a" })).toMatchObject({ status: "running", error: "Not now." });
    destination.fault = () => undefined;
    clock.time += 15 * 60_000;
    await target.slice();
    expect(await target.job({ command: "job", jobId: "a" })).toMatchObject({ error: null });
    destination.fault = () => destinationFailure("retry", "Not now.");
    await target.slice();
    destination.fault = () => undefined;
    clock.time -= 3_600_000;
    expect(await target.finish("a")).toMatchObject({
      status: "completed",
      slices: expect.toSatisfy((n: number) => n < 60),
    });
  });
});
