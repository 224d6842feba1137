/** A real backup over a real S3 endpoint, and the database brought back in place: what becomes of the backup. */
import { expect, test } from "vitest";
import { type Destination, destinationFailure } from "../../../src/backup/destinations/destination.ts";
import { parseManifest } from "../../../src/backup/format/manifest.ts";
import { manifestName } from "../../../src/backup/format/object-names.ts";
import { asVersion, type Version, versionstampHex } from "../../../src/core/versionstamp.ts";
import { guarded } from "../../support/guarded-destination.ts";
import { openS3, TestBackup } from "../../support/workerd/backup.ts";
import { key, set, text, withStorage } from "../../support/workerd/engine.ts";
import { Restorable } from "../../support/workerd/restorable.ts";

test("after a restore in place the old log ends there, a gap is told, and every moment before and after can be had (G16)", async () => {
  const { source, states, versions } = await withStorage(async (storage) => {
    const backup = new TestBackup(storage);
    await backup.enable({ intervalMs: 500 });
    const subject = new Restorable(backup);
    const known = new Map<Version, string>();
    let counter = 0;
    const write = (): Version => {
      counter += 1;
      const version = backup.commit(set(key(counter % 40), text(`${counter}`)), set(key("last"), text(`${counter}`)));
      known.set(version, subject.stored());
      return version;
    };
    for (let i = 0; i < 60; i++) write();
    await backup.settle();
    const wanted = write();
    for (let i = 0; i < 30; i++) write();
    await backup.pass(2_000);

    let lastBefore = asVersion(0);
    const job = await subject.restore("a", wanted, () => {
      lastBefore = write();
    });
    expect(job).toMatchObject({ status: "completed", version: wanted });
    expect(subject.stored()).toBe(known.get(wanted));
    // Not shipped yet: the last commits of the old state, and those of the new one.
    const lost = write();
    await backup.settle();
    const after = [write(), write()];
    await backup.settle();
    await backup.pass(120_000);

    const got = await openS3().get(manifestName(backup.databaseId));
    if (!got.ok) throw new Error(got.message);
    const parsed = parseManifest(backup.databaseId, got.bytes);
    if (!parsed.ok) throw new Error(parsed.problem);
    const [old, next] = parsed.manifest.generations;
    expect(parsed.manifest.generations).toHaveLength(2);
    expect(old).toMatchObject({ state: "ended", lastPoint: { versionstamp: lastBefore } });
    expect(old?.gaps).toEqual([
      {
        after: expect.toSatisfy((at: number) => at >= lastBefore && at < lost),
        upTo: next?.consistentFrom,
        cause: "The database was restored in place.",
      },
    ]);
    expect(next).toMatchObject({ state: "complete", gaps: [] });
    expect(next?.consistentFrom ?? 0).toBeGreaterThanOrEqual(lost);

    const inTheGap = await subject.service.run({ command: "restore", jobId: "gap", at: versionstampHex(lost) });
    const isOutside = lost < (next?.consistentFrom ?? 0);
    expect(inTheGap.ok ? "held" : inTheGap.code).toBe(isOutside ? "not-found" : "held");
    const own = await backup.backup.source();
    if (!own.ok) throw new Error(own.message);
    return { source: own, states: known, versions: [lastBefore, wanted, ...after] };
  });
  for (const version of versions) {
    const fork = await withStorage(async (storage) => {
      const target = new Restorable(new TestBackup(storage, { databaseId: source.databaseId }));
      const at = versionstampHex(version);
      await target.job({
        command: "restore from",
        jobId: "b",
        withoutManifest: false,
        generation: null,
        at,
        ...source,
      });
      for (let i = 0; i < 50; i++) await target.service.task.run();
      expect(await target.job({ command: "job", jobId: "b" })).toMatchObject({ status: "completed" });
      return target.stored();
    });
    expect(fork).toBe(states.get(version));
  }
});

/** A moment by the clock, as a person writes it. */
function time(at: number): string {
  return new Date(at).toISOString();
}

test("the moment just before a restore in place can be gone back to, also when nobody wrote in the seconds before (G16)", async () => {
  await withStorage(async (storage) => {
    const backup = new TestBackup(storage);
    await backup.enable({ intervalMs: 500 });
    const subject = new Restorable(backup);
    const good = backup.commit(set(key("x"), text("good")));
    await backup.pass(5_000);
    backup.commit(set(key("x"), text("newer")));
    const newer = subject.stored();
    await backup.settle();
    await backup.pass(60_000);
    const before = backup.clock.time;
    await backup.pass(1_000);
    expect(await subject.restore("a", good, () => undefined)).toMatchObject({ status: "completed" });
    // The clock goes back, to before that moment: what is written now belongs to the new state all the same.
    backup.clock.time = before - 30_000;
    backup.commit(set(key("x"), text("in between")));
    backup.clock.time = before + 30_000;
    await backup.settle();
    await backup.pass(60_000);

    await subject.job({ command: "restore", jobId: "b", at: time(before) });
    expect(await subject.finish("b")).toMatchObject({ status: "completed" });
    expect(subject.stored()).toBe(newer);
  });
});

test("a quiet time before a backup was deleted and made anew is no gap; the time between the two is one", async () => {
  await withStorage(async (storage) => {
    const backup = new TestBackup(storage);
    await backup.enable();
    const subject = new Restorable(backup);
    const written = backup.commit(set(key("x"), text("1")));
    await backup.settle();
    await backup.pass(60_000);
    const before = backup.clock.time;
    await backup.pass(1_000);
    expect(await backup.backup.run({ command: "disable" })).toMatchObject({ ok: true });
    await backup.pass(5_000);
    const between = backup.clock.time;
    backup.commit(set(key("x"), text("2")));
    await backup.pass(5_000);
    await backup.enable();
    await backup.settle();

    const resolve = (at: number) => subject.service.run({ command: "resolve", at: time(at) });
    expect(await resolve(before)).toMatchObject({
      ok: true,
      points: [{ version: expect.toSatisfy((v) => v >= written) }],
    });
    expect(await resolve(between)).toMatchObject({ ok: false, code: "not-found" });
    await subject.job({ command: "restore", jobId: "a", at: time(before) });
    await subject.finish("a");
    expect(subject.stored()).toContain("31");
  });
});

test("a gap begins with the first commit that the destination did not take: a quiet time before that is no gap", async () => {
  await withStorage(async (storage) => {
    let down = false;
    const outage = destinationFailure("retry", "The destination is out of service.");
    const through = (store: Destination) => guarded(store, (work) => (down ? Promise.resolve(outage) : work()));
    const backup = new TestBackup(storage, { policy: { backlogBytes: 5_000 }, through });
    await backup.enable();
    const subject = new Restorable(backup);
    backup.commit(set(key("x"), text("1")));
    await backup.settle();
    await backup.pass(60_000);
    const quiet = backup.clock.time;
    await backup.pass(1_000);
    down = true;
    for (let i = 0; i < 20; i++) backup.commit(set(key("x"), new Uint8Array(500)));
    const lost = backup.clock.time;
    await backup.pass(10_000);
    down = false;
    await backup.settle();
    expect(await subject.service.run({ command: "resolve", at: time(quiet) })).toMatchObject({
      ok: true,
    });
    expect(await subject.service.run({ command: "resolve", at: time(lost) })).toMatchObject({
      code: "not-found",
    });
  });
});
