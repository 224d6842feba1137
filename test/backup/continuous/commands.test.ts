/** What an owner asks of a backup: enabling with its probe, disabling, pausing, new credentials, and a set-up that never works. */
import { NO_VERSION } from "../../../src/core/versionstamp.ts";
import { inject } from "vitest";
import { describe, expect, test } from "vitest";
import {
  type Destination,
  type DestinationFailure,
  destinationFailure,
} from "../../../src/backup/destinations/destination.ts";
import type { BackupCommand } from "../../../src/contracts/backup-commands.ts";
import { listGenerations, readGeneration } from "../../support/reference-reader.ts";
import { History } from "../../support/workerd/backup-history.ts";
import { openS3, s3Destination, secretBox, TestBackup, testKeys } from "../../support/workerd/backup.ts";
import { key, set, text, withStorage } from "../../support/workerd/engine.ts";

const refused = destinationFailure("credentials", "The credentials were refused.");

function enable({ databaseId }: TestBackup, more: Partial<Extract<BackupCommand, { command: "enable" }>> = {}) {
  return {
    command: "enable",
    id: crypto.randomUUID(),
    databaseId,
    destination: s3Destination(),
    intervalMs: 2_000,
    retentionDays: 7,
    ...more,
  } as const;
}

/** The real destination, but what the fault returns is answered instead. */
function failing(fault: () => DestinationFailure | undefined): (destination: Destination) => Destination {
  return (destination) =>
    new Proxy(destination, {
      get(target, name) {
        const member: unknown = Reflect.get(target, name, target);
        if (typeof member !== "function") return member;
        return (...args: unknown[]) => {
          const instead = fault();
          return instead === undefined ? Reflect.apply(member, target, args) : Promise.resolve(instead);
        };
      },
    });
}

describe("enabling", () => {
  test("probes the destination; one that fails is refused with its sentence, and nothing is made (B1)", async () => {
    await withStorage(async (storage) => {
      const tested = new TestBackup(storage, { through: failing(() => refused) });
      const answer = await tested.backup.run(enable(tested));
      expect(answer).toEqual({
        ok: false,
        code: "invalid",
        message: `The trial's put request failed. ${refused.message}`,
      });
      expect(await tested.backup.run({ command: "status" })).toEqual({ ok: true, backup: null });
      expect(storage.sql.exec("SELECT 1 FROM sqlite_schema WHERE name LIKE 'backup%'").toArray()).toEqual([]);
      expect(tested.database.log.isWritten).toBe(false);
    });
  });

  test("leaves nothing of the probe in the bucket, and gives no secret back (B1, B2)", async () => {
    await withStorage(async (storage) => {
      const tested = new TestBackup(storage);
      const info = await tested.ask(enable(tested));
      const listed = await openS3().list(`${tested.databaseId}/`);
      expect(listed).toMatchObject({ ok: true, objects: [] });
      expect(info.status).toEqual({ code: "pending" });
      const { secretAccessKey, sessionToken, ...shown } = s3Destination();
      expect(info.destination).toEqual(shown);
      expect(JSON.stringify([info, sessionToken])).not.toContain(secretAccessKey);
      const rows = storage.sql.exec("SELECT * FROM backup").toArray();
      expect(JSON.stringify(rows)).not.toContain(secretAccessKey);
    });
  });

  test("a second backup is a conflict, also while the first is being probed (B3)", async () => {
    await withStorage(async (storage) => {
      const tested = new TestBackup(storage);
      const [first, meanwhile] = await Promise.all([
        tested.backup.run(enable(tested)),
        tested.backup.run(enable(tested)),
      ]);
      expect(first).toMatchObject({ ok: true });
      expect(meanwhile).toMatchObject({ ok: false, code: "conflict" });
      expect(await tested.backup.run(enable(tested))).toMatchObject({ ok: false, code: "conflict" });
    });
  });

  test.each([
    ["an interval below half a second", { intervalMs: 499 }],
    ["an interval above a minute", { intervalMs: 60_001 }],
    ["no retention", { retentionDays: 0 }],
    ["half a day", { retentionDays: 1.5 }],
    ["more than ten years", { retentionDays: 3_651 }],
    ["an interval that is no number", { intervalMs: Number.NaN }],
  ])("%s is refused", async (_, times) => {
    await withStorage(async (storage) => {
      const tested = new TestBackup(storage);
      expect(await tested.backup.run(enable(tested, times))).toMatchObject({ ok: false, code: "limit" });
    });
  });

  test("takes over what an earlier backup of the same database left in the bucket (B34)", async () => {
    await withStorage(async (storage) => {
      const tested = new TestBackup(storage, { policy: { rangeBytes: 2_000 } });
      const history = new History(tested, 300, 9);
      await tested.enable();
      await history.write(100);
      await tested.settle();
      const answer = await tested.backup.run({ command: "disable" });
      expect(answer).toEqual({ ok: true, backup: null });
      const disabledAt = tested.database.lastVersion;
      expect(tested.database.log.isWritten).toBe(false);
      expect(tested.database.log.firstAfter(NO_VERSION)).toBeNull();
      expect(tested.alarm === null || (await tested.ring()).length === 0, "nothing is left to do").toBe(true);
      await history.write(100);
      await tested.enable({ retentionDays: 1 });
      await history.write(100);
      const info = await tested.settle();
      expect(info.generations.map(({ state }) => state)).toEqual(["ended", "complete"]);
      expect((await listGenerations(openS3(), tested.databaseId)).length).toBe(2);
      const { generations } = await history.check();
      expect((await tested.manifest()).generations[0]).toMatchObject({
        gaps: [{ after: disabledAt, upTo: generations[1]?.consistentFrom, cause: "The backup was disabled." }],
      });
      await tested.pass(25 * 60 * 60 * 1000);
      expect((await listGenerations(openS3(), tested.databaseId)).length, "retention holds for it too").toBe(1);
    });
  });

  test("is all or nothing: what is thrown while it is made leaves nothing of it, and it can be asked for again", async () => {
    await withStorage(async (storage) => {
      const tested = new TestBackup(storage);
      const { database } = tested;
      const lastKey = database.lastKey.bind(database);
      database.lastKey = () => {
        throw new Error("the disk is full");
      };
      await expect(tested.enable()).rejects.toThrow("the disk is full");
      expect(await tested.backup.run({ command: "status" })).toEqual({ ok: true, backup: null });
      expect(database.log.isWritten).toBe(false);
      expect(await tested.ring()).toEqual([]);
      database.lastKey = lastKey;
      await tested.enable();
      await tested.settle();
    });
  });

  test("a manifest that cannot be read is not written over", async () => {
    await withStorage(async (storage) => {
      const tested = new TestBackup(storage);
      await openS3().put(`${tested.databaseId}/manifest.json`, text("{}"));
      const answer = await tested.backup.run(enable(tested));
      expect(answer).toMatchObject({ ok: false, code: "conflict", message: expect.stringContaining("manifest.json") });
      expect(await tested.backup.run({ command: "status" })).toEqual({ ok: true, backup: null });
    });
  });
});

describe("disabling", () => {
  test("while it is being set up is a conflict; afterwards it goes through, and objects stay (B28)", async () => {
    await withStorage(async (storage) => {
      const tested = new TestBackup(storage);
      tested.commit(set(key("a"), text("1")));
      await tested.enable();
      expect(await tested.backup.run({ command: "disable" })).toMatchObject({ ok: false, code: "conflict" });
      await tested.settle();
      expect(await tested.backup.run({ command: "disable" })).toEqual({ ok: true, backup: null });
      const [folder = ""] = await listGenerations(openS3(), tested.databaseId);
      const generation = await readGeneration(openS3(), tested.databaseId, folder);
      expect(generation.points.length).toBeGreaterThan(0);
      expect(await tested.backup.run({ command: "disable" })).toMatchObject({ code: "not-found" });
    });
  });

  test("goes through while the set-up is paused, and another backup is made in its place", async () => {
    await withStorage(async (storage) => {
      const tested = new TestBackup(storage);
      await tested.enable();
      await tested.ask({ command: "pause" });
      await tested.pass(10_000);
      expect(await tested.info()).toMatchObject({ paused: true, status: { code: "pending" } });
      expect(await tested.backup.run({ command: "disable" })).toEqual({ ok: true, backup: null });
      tested.commit(set(key("a"), text("1")));
      expect(tested.database.log.firstAfter(NO_VERSION)).toBeNull();
      await tested.enable();
      await tested.settle();
    });
  });

  test("goes through while the set-up is held up by a destination that does not answer", async () => {
    await withStorage(async (storage) => {
      const faults: DestinationFailure[] = [];
      const tested = new TestBackup(storage, { through: failing(() => faults[0]) });
      await tested.enable();
      faults.push(destinationFailure("retry", "It is out of service."));
      await tested.pass(10_000);
      const answer = await tested.backup.run({ command: "disable" });
      expect(answer).toEqual({ ok: true, backup: null });
      tested.commit(set(key("a"), text("1")));
      expect(tested.database.log.firstAfter(NO_VERSION)).toBeNull();
    });
  });
});

test("a paused backup sends nothing, keeps the log, and goes on when it is resumed (B26)", async () => {
  await withStorage(async (storage) => {
    let requests = 0;
    const tested = new TestBackup(storage, {
      through: failing(() => {
        requests += 1;
        return undefined;
      }),
    });
    const history = new History(tested, 100, 2);
    await tested.enable();
    await tested.settle();
    await tested.pass(120_000);
    await tested.ask({ command: "pause" });
    requests = 0;
    await history.write(50);
    await tested.pass(600_000);
    tested.reopen();
    await tested.pass(600_000);
    expect(requests).toBe(0);
    const paused = await tested.info();
    expect(paused).toMatchObject({ paused: true, status: { code: "active" } });
    expect(paused.backlogBytes).toBeGreaterThan(1_000);
    expect(paused.lagMs).toBeGreaterThan(1_200_000);
    await tested.ask({ command: "resume" });
    await history.write(50);
    await tested.settle();
    expect((await history.check()).points).toBeGreaterThan(90);
  });
});

test("closed while it is sending, a backup ends with the request that is under way, and writes nothing", async () => {
  await withStorage(async (storage) => {
    let requests = 0;
    let rows: unknown = null;
    const rowsNow = () => storage.sql.exec("SELECT * FROM backup_generations, backup, log_readers").toArray();
    const tested: TestBackup = new TestBackup(storage, {
      policy: { rangeBytes: 1_000 },
      through: failing(() => {
        requests += 1;
        if (rows !== null) return undefined;
        expect(tested.backup.isBusy).toBe(true);
        tested.backup.close();
        rows = rowsNow();
        return undefined;
      }),
    });
    rows = "not yet";
    await tested.enable();
    await tested.settle();
    await tested.pass(120_000);
    for (let i = 0; i < 10; i++) tested.commit(set(key("a"), new Uint8Array(500)));
    [requests, rows] = [0, null];
    await tested.pass(120_000);
    expect(requests).toBe(1);
    expect(rowsNow()).toEqual(rows);
    expect(tested.backup.isBusy).toBe(false);
    expect(await tested.backup.run({ command: "status" })).toEqual({ ok: true, backup: null });
  });
});

test("a backup that is paused for too long has a gap, and a new generation when it is resumed (B26)", async () => {
  await withStorage(async (storage) => {
    const tested = new TestBackup(storage, { policy: { backlogBytes: 10_000 } });
    await tested.enable();
    await tested.settle();
    await tested.ask({ command: "pause" });
    for (let i = 0; i < 30; i++) tested.commit(set(key("a"), new Uint8Array(500)));
    await tested.pass(10_000);
    expect((await tested.info()).generations).toMatchObject([{ state: "ended" }]);
    expect(tested.database.log.firstAfter(NO_VERSION)).toBeNull();
    await tested.ask({ command: "resume" });
    expect((await tested.settle()).generations.map(({ state }) => state)).toEqual(["ended", "complete"]);
  });
});

describe("credentials", () => {
  test("new ones are probed before they replace the old, and what waited is sent at once (B27)", async () => {
    await withStorage(async (storage) => {
      let fault: DestinationFailure | undefined;
      const tested = new TestBackup(storage, { through: failing(() => fault) });
      await tested.enable();
      await tested.settle();
      fault = refused;
      tested.commit(set(key("a"), text("1")));
      await tested.pass(300_000);
      const before = await tested.info();
      expect(before).toMatchObject({
        status: { code: "active" },
        lastError: { message: refused.message },
      });
      expect((before.lastError?.at ?? 0) - (before.lastError?.since ?? 0)).toBeGreaterThan(240_000);
      const rotate = {
        command: "rotate",
        accessKeyId: inject("s3").accessKeyId,
        secretAccessKey: inject("s3").secretAccessKey,
        sessionToken: null,
      } as const;
      expect(await tested.backup.run(rotate)).toMatchObject({
        ok: false,
        code: "invalid",
        message: `The trial's put request failed. ${refused.message}`,
      });
      fault = undefined;
      const sealed = storage.sql.exec("SELECT secret FROM backup").one();
      await tested.ask(rotate);
      expect(storage.sql.exec("SELECT secret FROM backup").one()).not.toEqual(sealed);
      await tested.ring();
      expect(await tested.info()).toMatchObject({ backlogBytes: 0, lastError: null });
    });
  });

  test("are encrypted anew under a new key, and lost with the last key that opened them: which is shown (B32)", async () => {
    await withStorage(async (storage) => {
      const tested = new TestBackup(storage);
      await tested.enable();
      await tested.settle();
      const secret = () => String(storage.sql.exec("SELECT secret FROM backup").one()["secret"]);
      expect(secret()).toMatch(/^1\.k1\./);
      const newKeys = `k2:${btoa("2".repeat(32))}`;
      tested.reopen({ secrets: secretBox(`${newKeys},${testKeys}`) });
      tested.commit(set(key("a"), text("1")));
      await tested.pass(3_000);
      expect(secret()).toMatch(/^1\.k2\./);
      tested.reopen({ secrets: secretBox(newKeys) });
      tested.commit(set(key("a"), text("2")));
      await tested.pass(3_000);
      expect(await tested.info()).toMatchObject({ backlogBytes: 0, lastError: null });
      tested.reopen({ secrets: secretBox(`k3:${btoa("3".repeat(32))}`) });
      tested.commit(set(key("a"), text("3")));
      await tested.pass(3_000);
      const { lastError } = await tested.info();
      expect(lastError?.message).toMatch(/key "k2", which CAIRN_ENCRYPTION_KEYS does not list/);
    });
  });
});

describe("a set-up that does not work", () => {
  test("is tried for a quarter of an hour, then failed for good, with the reason; it logs no more and can be deleted (B4)", async () => {
    await withStorage(async (storage) => {
      let fault: DestinationFailure | undefined;
      const tested = new TestBackup(storage, { through: failing(() => fault) });
      await tested.enable();
      fault = destinationFailure("gone", 'There is no bucket "x".');
      await tested.pass(14 * 60_000);
      expect((await tested.info()).status).toEqual({ code: "pending" });
      await tested.pass(2 * 60_000);
      const { status, lastError } = await tested.info();
      expect(status).toEqual({ code: "failed", message: 'There is no bucket "x".' });
      expect(lastError?.message).toBe('There is no bucket "x".');
      tested.commit(set(key("a"), text("1")));
      expect(tested.database.log.firstAfter(NO_VERSION)).toBeNull();
      expect(await tested.ring()).toEqual([]);
      fault = undefined;
      expect(await tested.backup.run({ command: "disable" })).toEqual({
        ok: true,
        backup: null,
      });
      await tested.enable();
      await tested.settle();
    });
  });

  test("for reasons that pass by themselves is tried for as long as it takes (B4)", async () => {
    await withStorage(async (storage) => {
      let fault: DestinationFailure | undefined;
      const tested = new TestBackup(storage, { through: failing(() => fault) });
      await tested.enable();
      fault = destinationFailure("retry", "It is out of service.");
      await tested.pass(60 * 60_000);
      expect((await tested.info()).status).toEqual({ code: "pending" });
      fault = undefined;
      await tested.settle();
    });
  });
});
