/** What exporting costs, and that a range is always the same object. */
import { NO_VERSION } from "../../../src/core/versionstamp.ts";
import { expect, test } from "vitest";
import { type Destination, destinationFailure } from "../../../src/backup/destinations/destination.ts";
import { toHex } from "../../../src/core/bytes.ts";
import { Encoding, type Mutation } from "../../../src/core/operations.ts";
import { Database } from "../../../src/engine/database.ts";
import { CountingStorage } from "../../support/counting-storage.ts";
import { guarded } from "../../support/guarded-destination.ts";
import { BackupKvMutationKind } from "../../support/proto/generated/com/deno/kv/backup/backup_pb.js";
import { MemoryDestination } from "../../support/memory-destination.ts";
import { listGenerations, readGeneration } from "../../support/reference-reader.ts";
import { History } from "../../support/workerd/backup-history.ts";
import { TestBackup } from "../../support/workerd/backup.ts";
import {
  key,
  MovableClock,
  numeric,
  set,
  text,
  u64,
  versionOf,
  withStorage,
  write,
} from "../../support/workerd/engine.ts";

const down = destinationFailure("retry", "The destination is out of service.");

/** The real destination, with what was put into the logs, and what is to be done to the next puts there. */
class WatchedLogs {
  readonly puts: { readonly name: string; readonly bytes: Uint8Array }[] = [];
  refuseAll = false;
  faults: ("refuse" | "lose the answer")[] = [];
  underWay = 0;
  mostUnderWay = 0;

  through(destination: Destination): Destination {
    const watched = guarded(destination, (work) => work());
    watched.putIfAbsent = async (name, bytes) => {
      if (!name.includes("/logs/")) return destination.putIfAbsent(name, bytes);
      this.puts.push({ name, bytes: bytes.slice() });
      this.mostUnderWay = Math.max(this.mostUnderWay, ++this.underWay);
      const fault = this.refuseAll ? "refuse" : this.faults.shift();
      const outcome = fault === "refuse" ? down : await destination.putIfAbsent(name, bytes);
      this.underWay -= 1;
      return fault === undefined ? outcome : down;
    };
    return watched;
  }
}

test("a set writes one row more with a backup, and a range at most four, the alarm included (B47)", async () => {
  await withStorage(async (inner) => {
    const storage = new CountingStorage(inner);
    // The manifest is a row and an alarm of its own, at most once a minute.
    const tested = new TestBackup(storage, { policy: { manifestEveryMs: 1e12 } });
    const one = (i: number): Mutation => set(key("a", i % 5), text(`${i}`));
    tested.commit(one(0));
    expect(storage.count(() => tested.commit(one(5))).written, "without a backup").toBe(1);
    await tested.enable();
    await tested.settle();
    await tested.pass(120_000);

    // The first commit after a pause also moves the mark of versions, with a backup or without.
    tested.commit(one(1));
    expect(storage.count(() => tested.commit(one(6))).written, "with a backup").toBe(2);
    const { lastObject } = await tested.info();
    const alarmsBefore = tested.alarmsSet;
    for (let i = 0; i < 50; i++) tested.commit(one(i));
    expect(tested.alarmsSet, "commits while the alarm stands move nothing").toBe(alarmsBefore);
    const written = await storage.countAsync(() => tested.pass(2_000));
    expect((await tested.info()).lastObject, "one range was exported").not.toEqual(lastObject);
    // Its end, the cursor, the log's reader; the fourth is the alarm that the first commit set.
    expect(written.written).toBe(3);
  });
});

test("trimming costs two rows for every 1,000 commits (B47)", async () => {
  await withStorage(async (inner) => {
    const storage = new CountingStorage(inner);
    const tested = new TestBackup(storage, { policy: { manifestEveryMs: 1e12, compactionBytes: 1e12 } });
    await tested.enable();
    await tested.settle();
    const rows = { commits: 0, exporting: 0, ranges: 0 };
    const before = (await tested.info()).generations[0]?.objects ?? 0;
    for (let i = 0; i < 10_000; i++) {
      if (i % 500 === 0) rows.exporting += (await storage.countAsync(() => tested.pass(2_000))).written;
      rows.commits += storage.count(() => tested.commit(set(key("a", i % 50), text(`${i}`)))).written;
    }
    rows.exporting += (await storage.countAsync(() => tested.pass(10_000))).written;
    rows.ranges = ((await tested.info()).generations[0]?.objects ?? 0) - before;
    const marks = rows.commits - 20_000;
    expect(marks, "marks of versions, one for a few seconds of writing").toBeLessThan(20);
    expect(rows.ranges).toBe(20);
    expect(rows.exporting - 3 * rows.ranges, "for 10,000 commits").toBe(20);
  });
});

test("a range that is sent again is the same object, and the cursor waits for the destination's yes (B10, B11)", async () => {
  await withStorage(async (storage) => {
    const logs = new WatchedLogs();
    const tested = new TestBackup(storage, { through: (destination) => logs.through(destination) });
    await tested.enable();
    await tested.settle();
    logs.puts.length = 0;
    tested.commit(set(key("a"), text("1")));
    logs.faults = ["refuse", "lose the answer", "lose the answer"];
    await tested.pass(2_000);
    const failing = await tested.info();
    expect(failing.lastError?.message).toBe(down.message);
    expect(failing.status).toEqual({ code: "active" });
    // What is committed meanwhile goes into the next range.
    tested.commit(set(key("a"), text("2")));
    await tested.pass(1_000);
    tested.reopen();
    tested.commit(set(key("a"), text("3")));
    await tested.pass(60_000);
    expect(logs.puts.length).toBe(5);
    const [first, ...again] = logs.puts.slice(0, 4);
    for (const put of again) expect(put).toEqual(first);
    expect(logs.puts[4]?.name).not.toBe(first?.name);
    const info = await tested.info();
    expect(info.lastError).toBeNull();
    expect([info.backlogBytes, info.lagMs]).toEqual([0, 0]);
    expect(info.generations[0]?.upTo).toBe(tested.database.lastVersion);
  });
});

test("a full range is sent at once, the rest at its time, and never two at once (B5, B11)", async () => {
  await withStorage(async (storage) => {
    const logs = new WatchedLogs();
    const tested = new TestBackup(storage, {
      policy: { rangeBytes: 1_000 },
      through: (destination) => logs.through(destination),
    });
    await tested.enable();
    await tested.settle();
    logs.puts.length = 0;
    const now = tested.clock.time;
    for (let i = 0; i < 12; i++) tested.commit(set(key("a"), new Uint8Array(400)));
    expect(tested.alarm).toBe(now);
    await tested.ring();
    expect(logs.puts.length).toBe(4);
    tested.commit(set(key("a"), text("small")));
    expect(tested.alarm).toBe(now + 2_000);
    await tested.pass(1_900);
    expect(logs.puts.length).toBe(4);
    await tested.pass(100);
    expect(logs.puts.length).toBe(5);
    expect(logs.mostUnderWay).toBe(1);
  });
});

test("ten minutes without a destination, under load: commits go on, and all is there within two minutes after (B8)", async () => {
  await withStorage(async (storage) => {
    const logs = new WatchedLogs();
    const tested = new TestBackup(storage, {
      policy: { rangeBytes: 100_000 },
      store: new MemoryDestination(),
      through: (destination) => logs.through(destination),
    });
    await tested.enable();
    await tested.settle();
    logs.refuseAll = true;
    const outageBegan = tested.clock.time;
    let count = 0;
    for (let second = 0; second < 600; second++) {
      for (let i = 0; i < 20; i++) tested.commit(set(key("k", count++), text("x")));
      await tested.pass(1_000);
    }
    const during = await tested.info();
    expect(during).toMatchObject({ status: { code: "active" }, lastError: { message: down.message } });
    expect(during.lagMs).toBeGreaterThan(590_000);
    expect(during.lastError?.since).toBeLessThan(outageBegan + 10_000);
    const tries = logs.puts.length;
    expect(tries, "not more often than every half minute, after the first tries").toBeLessThan(30);
    logs.refuseAll = false;
    await tested.pass(120_000);
    expect(await tested.info()).toMatchObject({ backlogBytes: 0, lagMs: 0, lastError: null });
    const [folder = ""] = await listGenerations(tested.store, tested.databaseId);
    const generation = await readGeneration(tested.store, tested.databaseId, folder);
    expect([...generation.states()].at(-1)?.entries.size).toBe(count);
  });
});

test("a sum is a set of its result in the log, and the deletion of an expired entry a clear (B15)", async () => {
  await withStorage(async (storage) => {
    const tested = new TestBackup(storage, { store: new MemoryDestination() });
    await tested.enable();
    await tested.settle();
    const [counter, greatest, session] = [key("counter"), key("greatest"), key("session")];
    tested.commit(set(counter, u64(40n), { encoding: Encoding.le64 }));
    const expiresAt = tested.clock.time + 1_000;
    tested.commit(numeric("sum", counter, u64(2n)), numeric("max", greatest, u64(7n)));
    tested.commit(set(session, text("1"), { expiresAt }));
    tested.clock.time = expiresAt;
    expect(tested.database.deleteExpired(10)).toBe(1);
    await tested.settle();
    const [folder = ""] = await listGenerations(tested.store, tested.databaseId);
    const { logs } = await readGeneration(tested.store, tested.databaseId, folder);
    const entries = logs.flatMap(({ range }) => range.entries).filter((entry) => entry.key.length > 0);
    const seen = (entry: (typeof entries)[number]) => [entry.kind, toHex(entry.key), toHex(entry.value)];
    expect(entries.map(seen)).toEqual([
      [BackupKvMutationKind.SET, toHex(counter), toHex(u64(40n))],
      [BackupKvMutationKind.SET, toHex(counter), toHex(u64(42n))],
      [BackupKvMutationKind.SET, toHex(greatest), toHex(u64(7n))],
      [BackupKvMutationKind.SET, toHex(session), toHex(text("1"))],
      [BackupKvMutationKind.CLEAR, toHex(session), ""],
    ]);
  });
});

test("what waits is known after a restart without counting all of it", async () => {
  await withStorage(async (inner) => {
    const storage = new CountingStorage(inner);
    const tested = new TestBackup(storage, { store: new MemoryDestination() });
    await tested.enable();
    await tested.settle();
    await tested.ask({ command: "pause" });
    for (let i = 0; i < 200; i++) {
      tested.commit(set(key("k", i % 3), new Uint8Array(300_000)));
      await tested.pass(10);
    }
    const { backlogBytes } = await tested.info();
    expect(backlogBytes).toBeGreaterThan(60_000_000);
    const { read } = storage.count(() => tested.reopen());
    expect(read).toBeLessThan(120);
    expect((await tested.info()).backlogBytes).toBe(backlogBytes);
    await tested.ask({ command: "resume" });
    await tested.ring();
    const partly = (await tested.info()).backlogBytes;
    expect(partly).toBeGreaterThan(0);
    expect(partly).toBeLessThan(backlogBytes);
    tested.reopen();
    expect((await tested.info()).backlogBytes).toBe(partly);
    expect((await tested.settle()).backlogBytes).toBe(0);
  });
});

test("a clock that is set back an hour holds up nothing", async () => {
  await withStorage(async (storage) => {
    const logs = new WatchedLogs();
    const tested = new TestBackup(storage, { through: (destination) => logs.through(destination) });
    const history = new History(tested, 60, 6);
    await tested.enable();
    await history.write(20);
    await tested.settle();
    // Once while a commit waits for its time, once while the destination fails.
    tested.commit(set(key("waits"), text("1")));
    tested.clock.time -= 3_600_000;
    await history.write(20);
    await tested.pass(5_000);
    expect((await tested.info()).backlogBytes).toBe(0);
    logs.refuseAll = true;
    await history.write(10);
    await tested.pass(20_000);
    tested.clock.time -= 3_600_000;
    logs.refuseAll = false;
    await history.write(10);
    await tested.pass(35_000);
    expect(await tested.info()).toMatchObject({ backlogBytes: 0, lastError: null });
  });
});

test("a database without a backup has no tables of it and logs nothing (B48)", async () => {
  await withStorage((storage) => {
    const database = new Database({ storage, clock: new MovableClock() });
    versionOf(database.commit([write([set(key("a"), text("1"))])])[0]);
    expect(database.log.firstAfter(NO_VERSION)).toBeNull();
    const tables = storage.sql.exec("SELECT name FROM sqlite_schema WHERE name LIKE 'backup%'").toArray();
    expect(tables).toEqual([]);
  });
});
