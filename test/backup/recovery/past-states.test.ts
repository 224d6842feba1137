/**
 * States of the past: one that could not be built is built anew for the next caller, unless its object died of that; and one that a job
 * reads stays.
 */
import { expect, test } from "vitest";
import { PastStates } from "../../../src/backup/recovery/past-states.ts";
import { migrateBackupTables } from "../../../src/backup/backup-schema.ts";
import type { Generation } from "../../../src/backup/recovery/replay/catalog.ts";
import {
  type BackupJob,
  type PastEviction,
  pastName,
  type RestoreStub,
} from "../../../src/contracts/restore-commands.ts";
import { asUnixMs } from "../../../src/core/clock.ts";
import { failure } from "../../../src/core/errors.ts";
import { asVersion, type Version } from "../../../src/core/versionstamp.ts";
import { MovableClock, withStorage } from "../../support/workerd/engine.ts";

const version = asVersion(1_800_000_000_000_000);
const HOUR = 60 * 60 * 1000;

test.each([
  ["log", "is begun anew at once", 0],
  ["given up", "is left alone for an hour", HOUR],
])("one that failed in the phase %s %s", async (phase, _, heldMs) => {
  await withStorage(async (storage) => {
    migrateBackupTables(storage);
    storage.sql.exec("INSERT INTO past_states (version, used_at) VALUES (?1, 0)", version);
    const clock = new MovableClock();
    const failedAt = clock.now();
    let discarded = 0;
    // What is asked of the state's object here, and no more.
    const object = {
      restore: async () => {
        const job: Partial<BackupJob> = { id: "past", status: "failed", phase, error: "why", finishedAt: failedAt };
        return { ok: true, kind: "job", job };
      },
      discard: async () => {
        discarded += 1;
        return { ok: true };
      },
    } as unknown as RestoreStub;
    const past = new PastStates({ storage, clock, object: () => object, revoked: () => [], reading: () => null });
    const ask = () => past.find("db", version);
    const failed = { code: "conflict", message: "The state of that moment could not be built: why." };
    for (const [at, wanted] of [
      [0, heldMs === 0 ? 1 : 0],
      [heldMs - 1, heldMs === 0 ? 2 : 0],
      [heldMs, heldMs === 0 ? 3 : 1],
    ] as const) {
      clock.time = failedAt + at;
      expect(await ask()).toMatchObject(failed);
      expect(discarded).toBe(wanted);
    }
  });
});

test("the state that a job reads is not evicted, however many other moments clients read", async () => {
  await withStorage(async (storage) => {
    migrateBackupTables(storage);
    const clock = new MovableClock();
    const there = new Set<string>();
    // What is asked of the states' objects here, and no more.
    const object = (name: string) =>
      ({
        restore: async () =>
          there.has(name)
            ? { ok: true, kind: "job", job: { id: "past", status: "completed" } }
            : failure("not-found", "There is no such job."),
        receive: async () => ({ ok: Boolean(there.add(name)), job: { id: "past" } }),
        discard: async () => ({ ok: there.delete(name) }),
        lastUse: async () => asUnixMs(0),
      }) as unknown as RestoreStub;
    const [job, ...others] = [1, 2, 3, 4].map((n) => asVersion(n));
    if (job === undefined) throw new Error("four versions");
    const past = new PastStates({ storage, clock, object, revoked: () => [], reading: () => job });
    const generation = { place: { databaseId: "db", start: job } } as unknown as Generation;
    const open = (moment: Version, eviction: PastEviction) =>
      past.open(
        "db",
        { kind: "r2", prefix: "" },
        { ok: true, version: moment, isExact: true, generation, asOf: clock.now() },
        eviction,
      );
    await open(job, "least-recently-used");
    for (const moment of others) {
      clock.time += 60_000;
      expect(await open(moment, "least-recently-used")).toMatchObject({ version: moment });
      expect([...there].toSorted()).toEqual([pastName("db", job), pastName("db", moment)]);
    }
    clock.time += 1;
    expect(await open(asVersion(5), "idle")).toMatchObject({ code: "unavailable" });
  });
});
