/** What a database tells its organization of its backup, and when. */
import { expect, test } from "vitest";
import { destinationFailure } from "../../src/backup/destinations/destination.ts";
import type { BackupHealth } from "../../src/contracts/backup-health.ts";
import { asUnixMs } from "../../src/core/clock.ts";
import { BackupReportTask } from "../../src/objects/backup-report-task.ts";
import { ObjectTables } from "../../src/objects/object-tables.ts";
import { CountingStorage } from "../support/counting-storage.ts";
import { MemoryDestination } from "../support/memory-destination.ts";
import { TestBackup } from "../support/workerd/backup.ts";
import { key, set, text, withStorage } from "../support/workerd/engine.ts";

const minute = 60_000;
const quarter = 15 * minute;

class Reporting {
  readonly storage: CountingStorage;
  readonly store = new MemoryDestination();
  readonly tested: TestBackup;
  readonly told: { readonly at: number; readonly health: BackupHealth | null }[] = [];
  /** The organization cannot be reached. */
  unreachable = false;
  task: BackupReportTask;

  constructor(inner: DurableObjectStorage) {
    this.storage = new CountingStorage(inner);
    this.tested = new TestBackup(this.storage, { store: this.store });
    this.tested.clock.time = Math.ceil(this.tested.clock.time / quarter) * quarter;
    this.task = this.open();
  }

  /** As after a sleep. */
  open(): BackupReportTask {
    const { tested, storage } = this;
    this.task = new BackupReportTask({
      tables: new ObjectTables(storage),
      clock: tested.clock,
      databaseId: tested.databaseId,
      info: () => tested.backup.info(),
      report: async (health) => {
        if (this.unreachable) throw new Error("out of order");
        this.told.push({ at: tested.clock.time, health });
      },
    });
    return this.task;
  }

  /** Seconds pass, a few at a time; what was told in them. */
  async pass(ms: number, work: () => void = () => undefined): Promise<(BackupHealth | null)[]> {
    const before = this.told.length;
    const until = this.tested.clock.time + ms;
    while (this.tested.clock.time < until) {
      work();
      await this.tested.pass(5_000);
      await this.report();
    }
    return this.told.slice(before).map(({ health }) => health);
  }

  async report(): Promise<void> {
    const due = this.task.dueAt();
    if (due !== null && due <= this.tested.clock.time) await this.task.run().catch(() => undefined);
  }

  write(): void {
    this.tested.commit(set(key("a"), text(`${this.tested.clock.time}`)));
  }
}

async function withReporting(work: (reporting: Reporting) => Promise<void>): Promise<void> {
  await withStorage(async (storage) => work(new Reporting(storage)));
}

const down = destinationFailure("retry", "The bucket is down.");

test("a database without a backup tells nothing and keeps nothing of it", async () => {
  await withReporting(async (r) => {
    expect(await r.pass(quarter, () => r.write())).toEqual([]);
    const { sql } = r.storage;
    expect(sql.exec("SELECT 1 FROM sqlite_schema WHERE name = 'backup_report'").toArray()).toEqual([]);
  });
});

test("a backup that does well tells that it is there, and numbers when a quarter of an hour is over in which they changed", async () => {
  await withReporting(async (r) => {
    await r.tested.enable();
    const [first, ...more] = await r.pass(2 * minute, () => r.write());
    expect(more).toEqual([]);
    expect(first).toMatchObject({
      status: "active",
      failing: null,
      behindSince: null,
      backlogBytes: 0,
      generations: 1,
    });
    const numbers = await r.pass(quarter, () => r.write());
    expect(numbers).toHaveLength(1);
    expect((r.told.at(-1)?.at ?? 1) % quarter).toBeLessThan(5_000);
    expect(numbers[0]?.lastSuccessAt).toBeGreaterThan(r.tested.clock.time - quarter);
    // Nobody writes: the last numbers once, then nothing.
    expect(await r.pass(quarter)).toHaveLength(1);
    expect(await r.pass(10 * quarter)).toEqual([]);
  });
});

test("a bucket that is down is told of a minute or so later, once, and that it is back as soon as it is", async () => {
  await withReporting(async (r) => {
    await r.tested.enable();
    await r.pass(2 * minute);
    r.store.fault = () => down;
    const began = r.tested.clock.time;
    r.write();
    expect(await r.pass(55_000)).toEqual([]);
    const told = await r.pass(2 * minute);
    const failing = { failing: { since: expect.any(Number), error: "The bucket is down." } };
    expect(told.at(-1)).toMatchObject({
      ...failing,
      behindSince: expect.any(Number),
      backlogBytes: expect.any(Number),
    });
    expect(told.length, "that it fails, and that it is behind").toBeLessThanOrEqual(2);
    expect(told.at(-1)?.failing?.since).toBeLessThan(began + 10_000);
    // The object sleeps and wakes.
    r.tested.reopen();
    r.open();
    expect(await r.pass(10 * minute)).toEqual([]);
    r.store.fault = () => undefined;
    const back = await r.pass(minute);
    expect(back.at(-1)).toMatchObject({ failing: null, behindSince: null, backlogBytes: 0 });
    expect(back.length).toBeLessThanOrEqual(2);
  });
});

test("an emptied bucket is told of, though it is made good, and that it was made good when an hour is over", async () => {
  await withReporting(async (r) => {
    await r.tested.enable();
    await r.pass(2 * minute);
    r.store.objects.clear();
    const found = r.tested.clock.time;
    r.write();
    const told = await r.pass(2 * minute);
    expect((await r.tested.info()).generations.at(-1)?.state).toBe("complete");
    expect(told.at(-1)?.failing?.error).toMatch(/ is gone from the bucket\. A new generation begins\.$/);
    const since = told.at(-1)?.failing?.since ?? 0;
    expect(since).toBeLessThan(found + minute);
    await r.pass(30 * minute);
    expect(r.task.dueAt(), "the object may sleep until then").toBe(since + 60 * minute);
    expect((await r.pass(31 * minute)).at(-1)).toMatchObject({ failing: null });
  });
});

test("a hiccup is not told of", async () => {
  await withReporting(async (r) => {
    await r.tested.enable();
    await r.pass(3 * minute);
    r.store.fault = () => down;
    r.write();
    await r.pass(50_000);
    r.store.fault = () => undefined;
    expect(await r.pass(minute)).toEqual([]);
  });
});

test("that it is paused, resumed and ended is told at once", async () => {
  await withReporting(async (r) => {
    await r.tested.enable();
    await r.pass(2 * minute);
    await r.tested.ask({ command: "pause" });
    expect(await r.pass(5_000)).toMatchObject([{ paused: true, failing: null }]);
    r.write();
    expect(await r.pass(2 * minute)).toMatchObject([{ paused: true, behindSince: expect.any(Number) }]);
    await r.tested.ask({ command: "resume" });
    expect((await r.pass(10_000)).at(-1)).toMatchObject({ paused: false, behindSince: null });
    await r.tested.backup.run({ command: "disable" });
    expect(await r.pass(5_000)).toEqual([null]);
    expect(await r.pass(quarter)).toEqual([]);
  });
});

test("what the organization could not be told is told when it can", async () => {
  await withReporting(async (r) => {
    r.unreachable = true;
    await r.tested.enable();
    await r.pass(5 * minute);
    r.open();
    r.unreachable = false;
    expect(await r.pass(5_000)).toMatchObject([{ status: "active" }]);
  });
});

test("a report costs a row, and none when there is nothing new", async () => {
  await withReporting(async (r) => {
    await r.tested.enable();
    await r.pass(2 * minute);
    const again = await r.storage.countAsync(() => r.task.run());
    expect(again.written).toBe(0);
    r.write();
    await r.tested.pass(10_000);
    r.tested.clock.time += quarter;
    const numbers = await r.storage.countAsync(() => r.report());
    expect(numbers.written).toBe(1);
    expect(r.told.at(-1)?.at).toBe(r.tested.clock.time);
  });
});

test("a clock that was set back keeps nothing from being told", async () => {
  await withReporting(async (r) => {
    await r.tested.enable();
    await r.pass(2 * minute);
    r.tested.clock.time = asUnixMs(r.tested.clock.time - 10 * quarter);
    expect(await r.pass(5_000, () => r.write())).toHaveLength(1);
    expect(await r.pass(quarter, () => r.write())).toHaveLength(1);
  });
});
