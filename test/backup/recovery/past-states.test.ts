/** A state of the past that could not be built: whoever asks next has it built anew, unless the object that built it died of that. */
import { expect, test } from "vitest";
import { PastStates } from "../../../src/backup/recovery/past-states.ts";
import { migrateBackupTables } from "../../../src/backup/backup-schema.ts";
import type { BackupJob, RestoreStub } from "../../../src/contracts/restore-commands.ts";
import { asVersion } from "../../../src/core/versionstamp.ts";
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
    const past = new PastStates({ storage, clock, object: () => object, revoked: () => [] });
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
