/** A restore with a prefix: that part and nothing else, in place or into a fork. */
import { describe, expect, test } from "vitest";
import { toHex } from "../../../src/core/bytes.ts";
import { admitsKey } from "../../../src/codec/key-prefix.ts";
import { MAX_PREFIX_IN_PLACE_BYTES, MAX_PREFIX_IN_PLACE_ENTRIES } from "../../../src/core/limits.ts";
import { type Version, versionstampHex } from "../../../src/core/versionstamp.ts";
import type { StoredEntry } from "../../../src/core/operations.ts";
import { writeBackup } from "../../support/backup-writer.ts";
import { MemoryDestination } from "../../support/memory-destination.ts";
import { TestBackup } from "../../support/workerd/backup.ts";
import { key, remove, set, text, withStorage, write } from "../../support/workerd/engine.ts";
import { Restorable } from "../../support/workerd/restorable.ts";
import { DyingStorage, killedAtEachTransaction } from "../../support/workerd/dying-storage.ts";
import { describe as described, sideTables, TestRestore } from "../../support/workerd/restore.ts";

const part = key("users");
const everything = { maxBytes: Infinity, maxEntries: 1e9 };

/** What is stored under the prefix, and what is not. */
function halves(entries: readonly StoredEntry[], prefix: Uint8Array): { under: string; rest: string } {
  const [under, rest] = [true, false].map((wanted) => entries.filter((one) => admitsKey(prefix, one.key) === wanted));
  return { under: described(under ?? []), rest: described(rest ?? []) };
}

describe("in place", () => {
  test("brings back that part, keeps every write to the rest, counts what it undid there, and comes back; the backup goes on (G33)", async () => {
    const { source, at, state } = await withStorage(async (storage) => {
      const backup = new TestBackup(storage);
      await backup.enable({ intervalMs: 500 });
      const subject = new Restorable(backup);
      const stored = () => halves(backup.database.scan(null, everything), part);
      for (let i = 0; i < 20; i++)
        backup.commit(set(key("users", i), text("then")), set(key("orders", i), text("then")));
      await backup.settle();
      const moment = backup.commit(set(key("users", "last"), text("then")));
      const wanted = stored().under;
      backup.commit(set(key("orders", 1), text("no loss")));
      const first = backup.commit(remove(key("users", 3)), set(key("orders", 3), text("both")));
      for (let i = 0; i < 10; i++)
        backup.commit(set(key("users", i), text("later")), set(key("users", "new", i), text("")));
      backup.commit(set(key("orders", 2), text("no loss")));
      await backup.pass(2_000);

      let meanwhile = 0;
      const job = await subject.restore(
        "a",
        moment,
        () => {
          meanwhile += 1;
          backup.commit(set(key("users", "meanwhile"), text(`${meanwhile}`)));
          backup.commit(set(key("orders", "meanwhile"), text(`${meanwhile}`)));
        },
        part,
      );
      expect(job).toMatchObject({
        status: "completed",
        version: moment,
        outcome: { undone: { commits: 11 + meanwhile, isExact: true, first }, prefix: toHex(part) },
      });
      expect(stored().under).toBe(wanted);
      const { rest } = stored();
      for (const value of ["no loss", "both", `${meanwhile}`]) expect(rest).toContain(toHex(text(value)));
      expect(backup.database.countEntries()).toBe(backup.database.scan(null, everything).length);

      // The backup goes on, and what was undone comes back the same way.
      const after = backup.commit(set(key("orders", "after"), text("x")));
      const before = job.outcome?.before?.version;
      if (before === undefined) throw new Error("nothing tells how it comes back");
      const restAfter = stored().rest;
      await backup.settle();
      backup.commit(set(key("orders", "even later"), text("x")));
      await backup.settle();
      await backup.pass(60_000);
      expect(await subject.restore("b", before, () => undefined, part)).toMatchObject({ status: "completed" });
      expect(stored().under).toContain(toHex(text(`${meanwhile}`)));
      expect(stored().rest).toContain(restAfter.split("\n")[0]);
      await backup.settle();
      await backup.pass(60_000);
      expect(sideTables(storage.sql)).toEqual([]);
      expect(storage.sql.exec("SELECT name FROM log_readers WHERE name LIKE 'restore%'").toArray()).toEqual([]);
      expect(after).toBeGreaterThan(before);

      // The next generation begins with what is written next.
      backup.commit(set(key("users", 0), text("new")));
      await backup.pass(10_000);
      const last = backup.commit(set(key("users", 0), text("newest")));
      const newest = subject.stored();
      await backup.settle();
      const own = await backup.backup.source();
      if (!own.ok) throw new Error(own.message);
      return { source: own, at: versionstampHex(last), state: newest };
    });
    await withStorage(async (storage) => {
      const target = new Restorable(new TestBackup(storage, { databaseId: source.databaseId }));
      await target.job({ command: "restore from", jobId: "c", withoutManifest: false, at, ...source });
      expect(await target.finish("c")).toMatchObject({ status: "completed" });
      expect(target.stored()).toBe(state);
    });
  });

  test("killed at any transaction: the part is the old one or the new one, and the rest is never touched (G33)", async () => {
    const destination = new MemoryDestination();
    const writer = await writeBackup(destination, "5f0c-p1", 51, 40);
    // The backup's keys are ["k", n]: only those of one are wanted.
    const prefix = key("k", 7);
    const wanted = new Map(
      [...(writer.history.get(writer.lastVersion) ?? [])].filter(([name]) => name.startsWith(toHex(prefix))),
    );
    await withStorage(async (storage) => {
      const dying = new DyingStorage(storage);
      const options = { storage: dying, destination, databaseId: "5f0c-p1", manifest: () => writer.manifest() };
      const target = new TestRestore(options);
      target.database.commit([
        write([set(key("k", 7), text("old")), set(key("k", 7, "old"), text("old")), set(key("k", 8), text("mine"))]),
      ]);
      const old = halves(target.database.scan(null, everything), prefix);
      await target.job({
        command: "restore",
        jobId: "a",
        at: versionstampHex(writer.lastVersion),
        prefix: toHex(prefix),
      });
      const killed = await killedAtEachTransaction(target, dying, ({ status }) => {
        const { under, rest } = halves(target.database.scan(null, everything), prefix);
        expect(rest).toBe(old.rest);
        expect(under).toBe(status === "completed" ? described(wanted.values()) : old.under);
        expect(["running", "completed"]).toContain(status);
      });
      expect(killed).toBeGreaterThan(10);
      expect(sideTables(storage.sql)).toEqual([]);
    });
  });

  test("more than can be replaced at once is refused before anything is, and says what to do instead (G35)", async () => {
    const destination = new MemoryDestination();
    const writer = await writeBackup(destination, "5f0c-p2", 52, 10);
    const cases = [
      { replaced: MAX_PREFIX_IN_PLACE_ENTRIES + 1, bytes: 0 },
      { replaced: 0, bytes: MAX_PREFIX_IN_PLACE_BYTES + 1 },
    ];
    for (const measured of cases) {
      await withStorage(async (storage) => {
        const options = { storage, destination, databaseId: "5f0c-p2", manifest: () => writer.manifest() };
        const target = new TestRestore(options);
        target.database.commit([write([set(key("k", 1), text("old"))])]);
        const before = target.stored();
        target.side.measureWithin = () => measured;
        await target.job({
          command: "restore",
          jobId: "a",
          at: versionstampHex(writer.lastVersion),
          prefix: toHex(key("k")),
        });
        const job = await target.finish("a");
        expect(job.status).toBe("failed");
        expect(job.error).toMatch(
          /^(There are more than 500000 entries|129 MiB under the prefix have changed).*a fork with this one/,
        );
        expect(target.stored()).toBe(before);
        expect(sideTables(storage.sql)).toEqual([]);
      });
    }
  });
});

describe("into a new database", () => {
  test("holds that part of the state and nothing else (G34)", async () => {
    const destination = new MemoryDestination();
    const writer = await writeBackup(destination, "5f0c-p3", 53, 40);
    const prefix = key("k", 7);
    for (const version of [writer.lastVersion, ...[...writer.points].slice(0, 2)] satisfies Version[]) {
      await withStorage(async (storage) => {
        const target = new TestRestore({ storage, destination, databaseId: "5f0c-p3" });
        const at = versionstampHex(version);
        const from = {
          databaseId: "5f0c-p3",
          destination: { kind: "r2", prefix: "" },
          withoutManifest: false,
        } as const;
        await target.job({ command: "restore from", jobId: "a", at, ...from, prefix: toHex(prefix) });
        expect(await target.finish("a")).toMatchObject({ status: "completed", version, outcome: null });
        const state = [...(writer.history.get(version)?.values() ?? [])];
        expect(target.stored()).toBe(described(state.filter((one) => admitsKey(prefix, one.key))));
        expect(target.database.counters().entries).toBe(target.database.scan(null, everything).length);
        expect(target.adopted).toMatchObject([{ purpose: "fork" }]);
      });
    }
  });
});
