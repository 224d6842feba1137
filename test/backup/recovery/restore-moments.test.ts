/** Which moments a database can be brought back to, over a real backup: none that is not over, and the newest without waiting. */
import { describe, expect, test } from "vitest";
import { destinationFailure } from "../../../src/backup/destinations/destination.ts";
import { MAX_BACKUP_LOOKUPS_AT_ONCE } from "../../../src/core/limits.ts";
import type { RestoreCommand } from "../../../src/contracts/restore-commands.ts";
import { asVersion, type Version, versionstampHex } from "../../../src/core/versionstamp.ts";
import { guarded } from "../../support/guarded-destination.ts";
import { s3Destination, TestBackup, type TestBackupOptions } from "../../support/workerd/backup.ts";
import { key, set, text, withStorage } from "../../support/workerd/engine.ts";
import { Restorable } from "../../support/workerd/restorable.ts";

/** With a backup that is well, and some commits in it. */
async function settled(
  storage: DurableObjectStorage,
  options: TestBackupOptions = {},
): Promise<{ backup: TestBackup; subject: Restorable; last: Version }> {
  const backup = new TestBackup(storage, options);
  await backup.enable();
  backup.commit(set(key("x"), text("first")));
  await backup.settle();
  await backup.pass(60_000);
  const last = backup.commit(set(key("x"), text("last")));
  await backup.settle();
  await backup.pass(5_000);
  return { backup, subject: new Restorable(backup), last };
}

function time(at: number): string {
  return new Date(at).toISOString();
}

/** Each way to ask for a moment, as a command. */
const doors: readonly ((at: string) => RestoreCommand)[] = [
  (at) => ({ command: "restore", jobId: "a", at }),
  (at) => ({ command: "fork", jobId: "a", at, generation: null, intoDatabaseId: "other", intoJurisdiction: null }),
  (at) => ({ command: "resolve", at, generation: null }),
  (at) => ({ command: "past", at, eviction: "least-recently-used" }),
  (at) => ({ command: "points", at, direction: "before", limit: 10, keys: false }),
];

describe("a moment that is not over yet", () => {
  test("is refused by every command, and nothing is begun: what is acknowledged now stays (G3)", async () => {
    await withStorage(async (storage) => {
      const { backup, subject } = await settled(storage);
      const { clock } = backup;
      for (const at of [
        "2099-12-01T17:00:00Z",
        time(clock.time),
        versionstampHex(asVersion(clock.time * 1000)),
        "-0s",
      ]) {
        for (const command of doors) {
          expect(await subject.service.run(command(at))).toMatchObject({
            code: "not-found",
            message: expect.stringMatching(/ is not over yet: .* The commits in the backup are those from /),
          });
        }
        const generation = (await backup.manifest()).generations[0]?.start ?? asVersion(0);
        const named = { command: "resolve", at, generation: generation.toString(16).padStart(16, "0") } as const;
        expect(await subject.service.run(named)).toMatchObject({ code: "not-found" });
        const { databaseId } = backup;
        expect(
          await subject.service.run({
            command: "restore from",
            jobId: "a",
            databaseId,
            destination: s3Destination(),
            at,
            withoutManifest: false,
          }),
        ).toMatchObject({ code: "not-found", message: expect.stringContaining("is not over yet") });
      }
      expect(await subject.service.run({ command: "jobs" })).toMatchObject({ jobs: [] });
    });
  });

  test("is refused to any number who ask at once", async () => {
    await withStorage(async (storage) => {
      const { subject } = await settled(storage);
      const ask = {
        command: "points",
        at: "2099-12-01T17:00:00Z",
        direction: "before",
        limit: 1,
        keys: false,
      } as const;
      const answers = await Promise.all(
        Array.from({ length: MAX_BACKUP_LOOKUPS_AT_ONCE + 2 }, () => subject.service.run(ask)),
      );
      for (const answer of answers) expect(answer).toMatchObject({ code: "not-found" });
    });
  });

  test("may be asked for all the same when the database's versions, ahead of the clock, have passed it", async () => {
    await withStorage(async (storage) => {
      const { backup, subject, last } = await settled(storage);
      backup.clock.time -= 3_600_000;
      const found = await subject.service.run({ command: "resolve", at: versionstampHex(last), generation: null });
      expect(found).toMatchObject({ ok: true, points: [{ version: last }] });
    });
  });
});

test("a day that no calendar has is refused by every command (G1)", async () => {
  await withStorage(async (storage) => {
    const { subject } = await settled(storage);
    for (const command of doors) {
      expect(await subject.service.run(command("2026-11-31T00:00:00Z"))).toMatchObject({
        code: "invalid",
        message: '"2026-11-31T00:00:00Z" is no time: month 11 of 2026 has 30 days.',
      });
    }
  });
});

test("some time ago is reckoned from now", async () => {
  await withStorage(async (storage) => {
    const { backup, subject, last } = await settled(storage);
    await backup.pass(600_000);
    const resolve = async (at: string): Promise<Version> => {
      const answer = await subject.service.run({ command: "resolve", at, generation: null });
      if (!answer.ok || answer.kind !== "points") throw new Error(JSON.stringify(answer));
      return answer.points[0]?.version ?? asVersion(0);
    };
    expect(await resolve("-5m")).toBeGreaterThanOrEqual(last);
    expect(await resolve("-10m30s")).toBeLessThan(last);
    expect(await subject.service.run({ command: "resolve", at: "-1d", generation: null })).toMatchObject({
      code: "not-found",
      message: expect.stringContaining("lies before the oldest moment"),
    });
  });
});

describe("the latest state", () => {
  test("has every commit so far: those that are not stored yet are sent at once and waited for (G6)", async () => {
    await withStorage(async (storage) => {
      const { backup, subject } = await settled(storage);
      const written = backup.commit(set(key("x"), text("just now")));
      const now = backup.clock.time;
      const answer = await subject.service.run({ command: "resolve", at: "latest", generation: null });
      expect(answer).toMatchObject({ ok: true, points: [{ version: written }] });
      expect((await backup.info()).lastObject?.storedAt).toBe(now);
      await subject.job({ command: "restore", jobId: "a", at: "latest" });
      expect(await subject.finish("a")).toMatchObject({ status: "completed", version: written });
    });
  });

  test("is waited for no longer than some seconds; when the destination fails or the backup is paused, not at all (G6)", async () => {
    await withStorage(async (storage) => {
      let down = false;
      const outage = destinationFailure("retry", "The destination is out of service.");
      const { backup, subject } = await settled(storage, {
        through: (store) => guarded(store, (work) => (down ? Promise.resolve(outage) : work())),
      });
      const { clock } = backup;
      const resolve = () => subject.service.run({ command: "resolve", at: "latest", generation: null });
      down = true;
      backup.commit(set(key("x"), text("unsent")));
      let asked = clock.time;
      expect(await resolve()).toMatchObject({ code: "unavailable" });
      expect(clock.time - asked).toBeLessThanOrEqual(5_000);
      asked = clock.time;
      expect(await resolve()).toMatchObject({ code: "unavailable" });
      expect(clock.time).toBe(asked);
      await backup.ask({ command: "pause" });
      expect(await resolve()).toMatchObject({ code: "conflict", message: expect.stringContaining("resume it") });
      expect(clock.time).toBe(asked);
      down = false;
      await backup.ask({ command: "resume" });
      expect(await resolve()).toMatchObject({ ok: true });
    });
  });

  test("from a bucket alone is the newest commit there, also when the backup was ended", async () => {
    await withStorage(async (storage) => {
      const { backup, last } = await settled(storage);
      const { databaseId } = backup;
      const from = (jobId: string): RestoreCommand => ({
        command: "restore from",
        jobId,
        databaseId,
        destination: s3Destination(),
        at: "latest",
        withoutManifest: false,
      });
      for (const end of [false, true]) {
        if (end) await backup.backup.run({ command: "disable" });
        await withStorage(async (other) => {
          const target = new Restorable(new TestBackup(other));
          await target.job(from("a"));
          const job = await target.finish("a");
          expect(job).toMatchObject({ status: "completed" });
          expect(job.version).toBeGreaterThanOrEqual(last);
          expect(target.stored()).toContain("6c617374");
        });
      }
    });
  });
});
