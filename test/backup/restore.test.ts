/** A restore, from a bucket alone and in place, over backups of a model that knows the state after every commit. */
import { describe, expect, test } from "vitest";
import { asVersion, timeOfVersion, type Version } from "../../src/core/versionstamp.ts";
import { type BackupWriter, writeBackup } from "../support/backup-writer.ts";
import { MemoryDestination } from "../support/memory-destination.ts";
import { key, set, text, versionOf, withStorage, write } from "../support/workerd/engine.ts";
import { describeModel, sideTables, TestRestore } from "../support/workerd/restore.ts";

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
    "every point gives back exactly what the database held then (seed %i, each %ith)",
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

  test("a moment between two commits is the one before it; versions go on above all that the backup has seen", async () => {
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

  test("a time is the last commit of that millisecond or before", async () => {
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

  test("an entry that has expired meanwhile is not seen again, and goes", async () => {
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

  test("a moment before the backup, of another database, and no moment at all are refused", async () => {
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
