/** A real backup over a real S3 endpoint, and the database brought back in place: what becomes of the backup. */
import { expect, test } from "vitest";
import { RestoreService } from "../../src/backup/restore-service.ts";
import { parseManifest } from "../../src/backup/format/manifest.ts";
import { manifestName } from "../../src/backup/format/object-names.ts";
import type { RestoreCommand, RestoreJob } from "../../src/core/restore-commands.ts";
import { asVersion, type Version, versionstampHex } from "../../src/core/versionstamp.ts";
import { SideState } from "../../src/engine/side-state.ts";
import { systemEntropy } from "../../src/objects/stubs.ts";
import { openS3, secretBox, TestBackup } from "../support/workerd/backup.ts";
import { key, set, text, withStorage } from "../support/workerd/engine.ts";
import { describe as describeEntries } from "../support/workerd/restore.ts";

function nobody(): never {
  throw new Error("nobody else is needed");
}

/** The backup, and what brings its database back, as an object has both. */
class Restorable {
  readonly backup: TestBackup;
  readonly service: RestoreService;

  constructor(backup: TestBackup) {
    this.backup = backup;
    const { storage, clock, databaseId, database } = backup;
    const side = new SideState(storage);
    this.service = new RestoreService({
      storage,
      clock,
      entropy: systemEntropy,
      database,
      side,
      adopt: (entries, floor, also) => database.adopt(side, entries, floor, also),
      adopted: () => undefined,
      own: backup.backup,
      connect: ({ prefix }) => openS3(prefix),
      secrets: secretBox(),
      objectName: databaseId,
      revoked: () => [],
      object: nobody,
      otherDatabase: nobody,
      dueBy: () => undefined,
      breathe: async () => undefined,
    });
  }

  async job(command: RestoreCommand): Promise<RestoreJob> {
    const answer = await this.service.run(command);
    if (!answer.ok || answer.kind !== "job") throw new Error(JSON.stringify(answer));
    return answer.job;
  }

  /** Restores in place while the export runs beside. */
  async restore(jobId: string, at: Version, meanwhile: () => void): Promise<RestoreJob> {
    await this.job({ command: "restore", jobId, at: versionstampHex(at) });
    for (let i = 0; i < 100; i++) {
      meanwhile();
      await this.service.task.run();
      const job = await this.job({ command: "job", jobId });
      if (job.status !== "running") return job;
      await this.backup.pass(500);
    }
    throw new Error("the restore does not end");
  }

  stored(): string {
    return describeEntries(this.backup.database.scan(null, { maxBytes: Infinity, maxEntries: 1e9 }));
  }
}

test("after a restore in place the old log ends there, a gap is told, and every moment before and after can be had", async () => {
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
      { after: lastBefore, upTo: next?.consistentFrom, cause: "The database was restored in place." },
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
      await target.job({ command: "restore from", jobId: "b", withoutManifest: false, at, ...source });
      for (let i = 0; i < 50; i++) await target.service.task.run();
      expect(await target.job({ command: "job", jobId: "b" })).toMatchObject({ status: "completed" });
      return target.stored();
    });
    expect(fork).toBe(states.get(version));
  }
});
