/** What a restore in place says that it has undone, and how that comes back. */
import { describe, expect, test } from "vitest";
import { destinationFailure } from "../../../src/backup/destinations/destination.ts";
import { asVersion, type Version, versionstampHex } from "../../../src/core/versionstamp.ts";
import { guarded } from "../../support/guarded-destination.ts";
import { TestBackup } from "../../support/workerd/backup.ts";
import { key, set, text, withStorage } from "../../support/workerd/engine.ts";
import { Restorable } from "../../support/workerd/restorable.ts";

interface Written {
  readonly moment: Version;
  readonly after: readonly Version[];
}

/** Some commits, the moment after them, and more. */
async function written(backup: TestBackup, count: number): Promise<Written> {
  for (let i = 0; i < 5; i++) backup.commit(set(key("n", i), text(`${i}`)));
  await backup.settle();
  await backup.pass(5_000);
  const moment = backup.commit(set(key("moment"), text("x")));
  const after: Version[] = [];
  for (let i = 0; i < count; i++) {
    after.push(backup.commit(set(key("n", i), text("later"))));
    if (i % 10 === 0) await backup.pass(500);
  }
  await backup.settle();
  return { moment, after };
}

describe("a restore in place", () => {
  test("says how many commits it has undone and from which on: those that were stored, and those that came while it ran (G15)", async () => {
    await withStorage(async (storage) => {
      const backup = new TestBackup(storage);
      await backup.enable();
      const subject = new Restorable(backup);
      const { moment, after } = await written(backup, 40);
      const meanwhile: Version[] = [];
      let state = "";
      const job = await subject.restore("a", moment, () => {
        for (let i = 0; i < 3; i++) meanwhile.push(backup.commit(set(key("meanwhile"), text(`${meanwhile.length}`))));
        state = subject.stored();
      });
      // Those of the last round came after the switch was decided, or before: it is exact either way.
      expect(job).toMatchObject({
        status: "completed",
        outcome: { undone: { commits: 40 + meanwhile.length, isExact: true, first: after[0] } },
      });
      const { before } = job.outcome ?? { before: null };
      expect(before?.version).toBeGreaterThanOrEqual(meanwhile.at(-1) ?? asVersion(0));

      // Not in the bucket yet, and then it is: what was acknowledged last comes back.
      expect(before?.stored).toBe(false);
      backup.commit(set(key("new"), text("life")));
      await backup.settle();
      backup.commit(set(key("new"), text("and more")));
      await backup.settle();
      const known = await subject.job({ command: "job", jobId: "a" });
      expect(known.outcome?.before).toEqual({ version: before?.version, stored: true });
      await subject.job({ command: "restore", jobId: "b", at: versionstampHex(before?.version ?? asVersion(0)) });
      const back = await subject.finish("b");
      // What was written before the next generation began is in no log.
      expect(back).toMatchObject({ status: "completed", outcome: { undone: { commits: 1, isExact: false } } });
      expect(subject.stored()).toBe(state);
      expect(storage.sql.exec("SELECT name FROM log_readers WHERE name LIKE 'restore%'").toArray()).toEqual([]);
    });
  });

  test("to the newest state undoes nothing, and says so (G15)", async () => {
    await withStorage(async (storage) => {
      const backup = new TestBackup(storage);
      await backup.enable();
      const subject = new Restorable(backup);
      await written(backup, 3);
      await subject.job({ command: "restore", jobId: "a", at: "latest" });
      expect(await subject.finish("a")).toMatchObject({
        outcome: { undone: { commits: 0, isExact: true, first: null } },
      });
    });
  });

  test("can itself be undone without waiting once its `before` is stored, also when nobody wrote just before", async () => {
    await withStorage(async (storage) => {
      const backup = new TestBackup(storage);
      await backup.enable();
      const subject = new Restorable(backup);
      const { moment } = await written(backup, 3);
      await backup.pass(5_000);
      const { outcome } = await subject.restore("a", moment, () => undefined);
      const before = outcome?.before?.version ?? asVersion(0);
      for (let passed = 0; !backup.backup.holds(before) && passed < 20; passed++) await backup.pass(500);
      expect([backup.backup.holds(before), backup.backup.hasShipped(before)]).toEqual([true, true]);
    });
  });

  test("counts what waits in the log while the backup is paused, over restarts", async () => {
    await withStorage(async (storage) => {
      const backup = new TestBackup(storage);
      await backup.enable();
      const { moment } = await written(backup, 3);
      await backup.ask({ command: "pause" });
      for (let i = 0; i < 2_500; i++) backup.commit(set(key("waiting", i), text("x")));
      let subject = new Restorable(backup);
      await subject.job({ command: "restore", jobId: "a", at: versionstampHex(moment) });
      let job = await subject.job({ command: "job", jobId: "a" });
      for (let slices = 0; job.status === "running" && slices < 50; slices++) {
        await subject.service.task.run();
        backup.reopen();
        subject = new Restorable(backup);
        job = await subject.job({ command: "job", jobId: "a" });
      }
      expect(job).toMatchObject({
        status: "completed",
        outcome: { undone: { commits: 2_503, isExact: true }, before: { stored: false } },
      });
    });
  });

  test("that is cancelled or fails while it counts keeps nothing of the log", async () => {
    await withStorage(async (storage) => {
      const backup = new TestBackup(storage);
      await backup.enable();
      const subject = new Restorable(backup);
      const { moment } = await written(backup, 3);
      const readers = () =>
        storage.sql.exec("SELECT name FROM log_readers WHERE name LIKE 'restore%'").toArray().length;
      await subject.job({ command: "restore", jobId: "a", at: versionstampHex(moment) });
      while (readers() === 0) await subject.service.task.run();
      await subject.service.run({ command: "cancel", jobId: "a" });
      expect(readers()).toBe(0);
    });
  });

  test("when the bucket cannot be read any more: is done all the same, and says that there are at least so many", async () => {
    await withStorage(async (storage) => {
      let down = false;
      const outage = destinationFailure("retry", "The destination is out of service.");
      const backup = new TestBackup(storage);
      await backup.enable();
      const subject = new Restorable(backup, (store) =>
        guarded(store, (work) => (down ? Promise.resolve(outage) : work())),
      );
      const { moment } = await written(backup, 20);
      await subject.job({ command: "restore", jobId: "a", at: versionstampHex(moment) });
      const isCounting = async () => (await subject.job({ command: "job", jobId: "a" })).phase.startsWith("counting");
      while (!(await isCounting())) await subject.service.task.run();
      down = true;
      backup.commit(set(key("waiting"), text("x")));
      const job = await subject.finish("a");
      expect(job).toMatchObject({ status: "completed", outcome: { undone: { commits: 1, isExact: false } } });
    });
  });
});
