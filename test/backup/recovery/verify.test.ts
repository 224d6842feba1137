/** A verification: the live digest under writes, what it compares, what it reports, and how it ends early. */
import { describe, expect, test } from "vitest";
import { generationPrefix, manifestName } from "../../../src/backup/format/object-names.ts";
import { BackupJobs, lastVerification } from "../../../src/backup/jobs.ts";
import { BackupBucket } from "../../../src/backup/recovery/replay/backup-bucket.ts";
import { knownCatalog } from "../../../src/backup/recovery/replay/catalog.ts";
import {
  automaticHours,
  type VerificationCost,
  VerificationSchedule,
} from "../../../src/backup/recovery/verification-schedule.ts";
import { Verifier } from "../../../src/backup/recovery/verify.ts";
import { failure } from "../../../src/core/errors.ts";
import type { ReceiveOrder, BackupJob, RestoreStub } from "../../../src/contracts/restore-commands.ts";
import { type Version, versionstampHex } from "../../../src/core/versionstamp.ts";
import { Database } from "../../../src/engine/database.ts";
import { BackupWriter, writeBackup } from "../../support/backup-writer.ts";
import { MemoryDestination } from "../../support/memory-destination.ts";
import { TestBackup } from "../../support/workerd/backup.ts";
import { key, MovableClock, remove, set, text, withStorage, write } from "../../support/workerd/engine.ts";
import { digestOf, sideTables, TestRestore } from "../../support/workerd/restore.ts";

const databaseId = "5f0c-f";
const noCost = { bytes: 0, objects: 0, rows: 0 };

test("the live digest is that of the state at the commit where its scan ends, whatever is written meanwhile (B37)", async () => {
  await withStorage(async (storage) => {
    const clock = new MovableClock();
    const database = new Database({ storage, clock });
    database.log.register("reader", database.lastVersion);
    const random = new BackupWriter(new MemoryDestination(), "x", 51);
    const name = (): Uint8Array => key("k", random.random(60_000));
    const change = (): void => {
      const mutations = Array.from({ length: 1 + random.random(20) }, () => {
        const kind = random.random(5);
        if (kind === 0) return remove(name());
        const large = new Uint8Array(kind === 1 ? 3_000 : 20).fill(random.random(256));
        return set(name(), large, kind === 2 ? { expiresAt: clock.time + 1 + random.random(500) } : {});
      });
      database.commit([write(mutations)]);
    };
    for (let i = 0; i < 30_000; i += 1000) {
      database.commit([write(Array.from({ length: 1000 }, (_, j) => set(key("k", (i + j) * 2), text(`${i + j}`))))]);
    }
    const jobs = new BackupJobs(storage, clock, () => false);
    jobs.start("a", "verify", {}, null);
    let changes = 0;
    let shipped: Version | null = null;
    const verifier = new Verifier({
      jobs,
      clock,
      database,
      own: {
        source: async () => failure("unavailable", "not now"),
        hasShipped: (version) => {
          shipped = version;
          return false;
        },
        ship: async () => false,
        storedUpTo: () => null,
        holds: () => false,
        isStopped: () => false,
        schedule: new VerificationSchedule(storage, clock, () => noCost),
        restored: () => undefined,
        settledAt: () => null,
        toBeVerified: () => ({ older: [], foreign: [] }),
        verified: () => undefined,
        inspectManifest: async () => ({ ok: true, problem: null }),
      },
      connect: () => failure("internal", "nobody connects"),
      scratch: () => {
        throw new Error("nobody needs it");
      },
      breathe: async () => {
        for (let i = 0; i < 20; i++) change();
        clock.time += 50;
        database.deleteExpired(100);
        changes += 1;
      },
    });
    const state = (): { live: unknown; version: Version } | null => JSON.parse(jobs.running?.state ?? "null");
    for (let i = 0; i < 50 && state() === null; i++) {
      const job = jobs.running;
      if (job !== null) await verifier.slice(job);
    }
    expect(changes).toBeGreaterThan(5);
    const live = digestOf(database.scan(null, { maxBytes: Infinity, maxEntries: 1e9 }));
    expect(live.count).toBeGreaterThan(25_000);
    expect(state()).toMatchObject({ stage: "shipping", live, version: database.lastVersion });
    // It waits for the export of exactly that commit.
    const job = jobs.running;
    if (job !== null) await verifier.slice(job);
    expect(shipped).toBe(state()?.version);
  });
});

/** What the scratch object is sent: to check the whole backup, and to rebuild its last state. */
async function order(destination: MemoryDestination, writer: BackupWriter, jobId: string): Promise<ReceiveOrder> {
  const catalog = await knownCatalog(new BackupBucket(destination, databaseId), writer.manifest());
  if (!catalog.ok) throw new Error(JSON.stringify(catalog));
  const [older, newest] = catalog.generations.map((one) => JSON.stringify(one));
  return {
    purpose: "check",
    jobId,
    databaseId,
    destination: { kind: "r2", prefix: "" },
    version: writer.lastVersion,
    isExact: true,
    floor: writer.lastVersion,
    generation: newest ?? "",
    olderGenerations: [older ?? ""],
  };
}

async function checked(target: TestRestore, what: ReceiveOrder): Promise<BackupJob> {
  expect(await target.service.receive(what)).toMatchObject({ ok: true });
  return target.finish(what.jobId);
}

test("a whole backup: every object is checked, and the digest is the model's; a kill after any slice changes nothing of that (B37)", async () => {
  const destination = new MemoryDestination();
  const writer = await writeBackup(destination, databaseId, 52);
  const objects = destination.names.filter((name) => name.includes("/logs/") || name.includes("/snapshots/")).length;
  await withStorage(async (storage) => {
    const target = new TestRestore({ storage, destination, databaseId });
    const what = await order(destination, writer, "a");
    expect(await target.service.receive(what)).toMatchObject({ ok: true });
    const job = await target.finish("a", () => target.reopen());
    expect(job).toMatchObject({ status: "completed", damagedObject: null });
    expect(job.verification).toMatchObject({
      good: true,
      objects,
      problems: [],
      backup: digestOf(writer.state.values()),
    });
    expect(job.slices).toBeGreaterThan(3);
    expect(sideTables(storage.sql)).toEqual([]);
    expect(target.stored()).toBe("");
  });
});

test("each object of each generation, removed, cut short or changed in one bit, one at a time, is named (B38)", async () => {
  const destination = new MemoryDestination();
  const writer = await writeBackup(destination, databaseId, 53, 20);
  const [older] = writer.generations;
  if (older === undefined) throw new Error("no generation");
  const all = destination.names;
  const names = all.filter((name) => name !== manifestName(databaseId) && !writer.replaced.has(name));
  expect(names.length).toBeGreaterThan(20);
  await withStorage(async (storage) => {
    const target = new TestRestore({ storage, destination, databaseId });
    for (const [index, name] of names.entries()) {
      const whole = destination.objects.get(name) ?? new Uint8Array();
      for (const harm of ["removed", "cut short", "changed"]) {
        const what = await order(destination, writer, `${harm} ${index}`);
        const bit = writer.random(whole.length * 8);
        const changed = whole.map((byte, i) => (i === bit >> 3 ? byte ^ (1 << (bit & 7)) : byte));
        if (harm === "removed") destination.objects.delete(name);
        else destination.objects.set(name, harm === "changed" ? changed : whole.slice(0, writer.random(whole.length)));
        const { status, error, verification } = await checked(target, what);
        destination.objects.set(name, whole);

        const isOlder = name.startsWith(generationPrefix(older.place));
        expect(status).toBe(isOlder ? "completed" : "failed");
        expect(verification).toMatchObject({ good: false });
        expect(verification?.problems).toHaveLength(1);
        const said = verification?.problems[0] ?? "";
        expect(isOlder ? null : said).toBe(error);
        const next = all[all.indexOf(name) + 1] ?? "";
        const isNamed = said.includes(name) || (harm === "removed" && said.includes(next) && said.includes("missing"));
        expect(isNamed, `${harm} ${name}: ${said}`).toBe(true);
      }
    }
    const good = await checked(target, await order(destination, writer, "last"));
    expect(good.verification).toMatchObject({ good: true });
  });
});

test("automatic verification runs when it is due, not while another job runs, and no more when it is switched off (B39)", async () => {
  const destination = new MemoryDestination();
  const writer = await writeBackup(destination, databaseId, 54, 10);
  await withStorage(async (storage) => {
    const target = new TestRestore({ storage, destination, databaseId, manifest: () => writer.manifest() });
    const { scheduleTask } = target.service;
    expect(scheduleTask.dueAt()).toBeNull();
    for (const hours of [0, 0.5, 24 * 93, Number.NaN]) {
      expect(target.schedule.set(hours)).toMatchObject({ ok: false, code: "limit" });
    }
    expect(target.schedule.set(24)).toBeNull();
    const due = target.clock.time + 24 * 3_600_000;
    expect(scheduleTask.dueAt()).toBe(due);
    target.reopen();
    expect(target.service.scheduleTask.dueAt()).toBe(due);
    // A week of sleep is one verification, and a restore is not disturbed.
    target.clock.time = due + 7 * 24 * 3_600_000;
    await target.job({ command: "restore", jobId: "r", at: versionstampHex(writer.lastVersion) });
    await target.service.scheduleTask.run();
    expect(await target.ask({ command: "jobs" })).toMatchObject({ jobs: [{ id: "r" }] });
    await target.finish("r");
    target.clock.time = Number(target.service.scheduleTask.dueAt());
    await target.service.scheduleTask.run();
    expect(await target.ask({ command: "jobs" })).toMatchObject({
      jobs: [{ kind: "verify", status: "running" }, { id: "r" }],
    });
    expect(target.service.scheduleTask.dueAt()).toBe(target.clock.time + 24 * 3_600_000);
    expect(target.schedule.set(null)).toBeNull();
    expect(target.service.scheduleTask.dueAt()).toBeNull();
  });
});

describe("the interval of automatic verification when the owner has not set one", () => {
  const cost = (part: Partial<VerificationCost>): VerificationCost => ({ ...noCost, ...part });

  test.for([
    ["a small backup", cost({ bytes: 1_000_000, objects: 300, rows: 2_000 }), 24],
    ["a GiB, however few its entries", cost({ bytes: 2 ** 30 }), 16 * 24],
    ["a hundred thousand entries", cost({ bytes: 1e7, rows: 1e5 }), 20 * 24],
    ["a million entries", cost({ bytes: 1e8, rows: 1e6 }), 92 * 24],
    ["a hundred thousand objects", cost({ objects: 1e5 }), 20 * 24],
    ["more than any", cost({ bytes: 1e13 }), 92 * 24],
  ] as const)("%s", ([, what, hours]) => {
    expect(automaticHours(what)).toBe(hours);
  });

  test("a large value counts as two rows, which it takes where the backup is tried out", async () => {
    const hoursWith = (valueBytes: number): Promise<number | null | undefined> =>
      withStorage(async (storage) => {
        const tested = new TestBackup(storage, { store: new MemoryDestination() });
        for (let i = 0; i < 3_000; i += 500) {
          const value = new Uint8Array(valueBytes);
          tested.commit(...Array.from({ length: 500 }, (_, n) => set(key("k", i + n), value)));
        }
        await tested.enable();
        await tested.settle();
        return (await tested.info()).verification?.everyHours;
      });
    expect(await hoursWith(10)).toBe(24);
    // 6,000 rows, where a day's share is 5,000; a little more, as names and versions have bytes too.
    expect(await hoursWith(1_000)).toBeOneOf([29, 30, 31]);
  });

  test('a backup begins with that interval; what its owner sets holds from then on, also "never" (B39)', async () => {
    await withStorage(async (storage) => {
      const tested = new TestBackup(storage, { store: new MemoryDestination() });
      const day = 24 * 3_600_000;
      const enabled = await tested.enable();
      expect(enabled.verification).toEqual({
        everyHours: 24,
        automatic: true,
        nextAt: tested.clock.time + day,
        last: null,
      });
      for (const [hours, expected] of [
        [48, { everyHours: 48, automatic: false, nextAt: tested.clock.time + 2 * day }],
        [null, { everyHours: null, automatic: false, nextAt: null }],
        ["automatic", { everyHours: 24, automatic: true, nextAt: tested.clock.time + day }],
      ] as const) {
        const { verification } = await tested.ask({ command: "verify every", hours });
        expect(verification).toMatchObject(expected);
      }
      tested.reopen();
      expect((await tested.info()).verification).toMatchObject({ everyHours: 24, automatic: true });
    });
  });

  test("an idle database is compared at its last stored commit: nothing is added to its log for that", async () => {
    await withStorage(async (storage) => {
      const tested = new TestBackup(storage, { store: new MemoryDestination() });
      await tested.enable();
      await tested.settle();
      const version = tested.commit(set(key("a"), text("1")));
      expect(tested.backup.settledAt()).toBeNull();
      await tested.settle();
      expect(tested.backup.settledAt()).toBe(version);
      tested.commit(set(key("a"), text("2")));
      expect(tested.backup.settledAt()).toBeNull();
    });
  });
});

test("automatic verification reads the generations that it has not found whole yet, and one of the others in turn", async () => {
  await withStorage(async (storage) => {
    const tested = new TestBackup(storage, { store: new MemoryDestination(), policy: { compactionBytes: 3_000 } });
    await tested.enable();
    for (let i = 0; i < 60; i++) {
      tested.commit(set(key("n", i % 3), new Uint8Array(300)));
      await tested.pass(2_000);
    }
    await tested.settle();
    const older = (): Version[] => [...tested.backup.toBeVerified(true).older];
    const all = older();
    expect(all.length).toBeGreaterThan(3);
    expect(tested.backup.toBeVerified(false).older).toEqual(all);
    const turns: Version[] = [];
    tested.backup.verified(all, []);
    for (let i = 0; i < all.length; i++) {
      tested.clock.time += 1_000;
      const { older: next } = tested.backup.toBeVerified(false);
      expect(next).toHaveLength(1);
      turns.push(...next);
      tested.backup.verified(next, []);
    }
    expect(turns.toSorted((a, b) => a - b)).toEqual(all);
  });
});

test("a generation that is found damaged is left: up to the damage it still gives back, and a new one begins (B40)", async () => {
  await withStorage(async (storage) => {
    const tested = new TestBackup(storage, { store: new MemoryDestination(), policy: { renewalMs: 0 } });
    await tested.enable();
    const versions: Version[] = [];
    for (let i = 0; i < 5; i++) {
      versions.push(tested.commit(set(key("n"), text(`${i}`))));
      await tested.pass(2_000);
    }
    const [first] = (await tested.info()).generations;
    const generation = first?.prefix.split("/")[1] ?? "";
    const intactUpTo = versions[2] ?? null;
    tested.backup.verified([], [{ generation, intactUpTo, problem: "The object x was altered" }]);
    const { generations, lastError } = await tested.settle();
    const endedBecause = "A verification has found: The object x was altered.";
    expect(generations).toMatchObject([{ state: "ended", upTo: intactUpTo, endedBecause }, { state: "complete" }]);
    expect(lastError?.message).toBe(`${endedBecause} A new generation begins.`);
    // Told again, it changes nothing; nor does a generation that is gone.
    tested.backup.verified([], [{ generation: "00000000000000ff", intactUpTo: null, problem: "x" }]);
    expect((await tested.info()).generations).toEqual(generations);
  });
});

test("the result of the last verification is kept until another one has ended, however long that takes", async () => {
  await withStorage(async (storage) => {
    const clock = new MovableClock();
    const jobs = new BackupJobs(storage, clock, () => false);
    const start = (id: string, kind: "verify" | "restore") => void jobs.start(id, kind, {}, null);
    const since = clock.now();
    expect(lastVerification(storage, since)).toBeNull();
    start("a", "verify");
    jobs.fail("a", "altered", "an/object");
    const found = { good: false, error: "altered", damagedObject: "an/object", report: null, finishedAt: clock.now() };
    expect(lastVerification(storage, since)).toEqual(found);
    clock.time += 8 * 24 * 3_600_000;
    start("b", "restore");
    jobs.complete("b");
    start("c", "verify");
    expect(lastVerification(storage, since)).toEqual(found);
    jobs.cancel("c");
    expect(lastVerification(storage, since)).toEqual(found);
    expect(lastVerification(storage, clock.now())).toBeNull();
    start("d", "verify");
    jobs.complete("d");
    expect(lastVerification(storage, since)).toMatchObject({ good: true, error: null, damagedObject: null });
    clock.time += 8 * 24 * 3_600_000;
    start("e", "verify");
    expect(jobs.list().map(({ id }) => id)).toEqual(["e", "d"]);
  });
});

test("cancelled while the trial begins, it leaves none behind", async () => {
  const destination = new MemoryDestination();
  const writer = await writeBackup(destination, databaseId, 55);
  await withStorage(async (storage) => {
    const clock = new MovableClock(writer.now);
    const told: string[] = [];
    const begun = Promise.withResolvers<void>();
    const goOn = Promise.withResolvers<void>();
    const object = (): RestoreStub => ({
      async receive() {
        begun.resolve();
        await goOn.promise;
        told.push("begun");
        return failure("unavailable", "its answer is lost");
      },
      restore: async () => failure("not-found", "nothing is here"),
      async discard() {
        told.push("wiped");
        return { ok: true };
      },
      lastUse: async () => null,
      pastEntries: async () => failure("not-found", "nothing is here"),
      revoke: async () => undefined,
    });
    const manifest = () => writer.manifest();
    const target = new TestRestore({ storage, destination, databaseId, clock, manifest, object });
    const { lastVersion } = writer;
    target.database.logMarker = () => lastVersion;
    await target.ask({ command: "verify", jobId: "a" });
    await target.slice();
    const slice = target.slice();
    await begun.promise;
    await target.ask({ command: "cancel", jobId: "a" });
    goOn.resolve();
    await slice;
    expect(told.at(-1)).toBe("wiped");
    expect(await target.job({ command: "job", jobId: "a" })).toMatchObject({ status: "cancelled" });
  });
});
