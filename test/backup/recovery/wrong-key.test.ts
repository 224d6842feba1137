/** A deployment that was started with another CAIRN_ENCRYPTION_KEYS: what needs a stored secret is refused, and says which key it wants. */
import { describe, expect, test } from "vitest";
import type { RestoreCommand } from "../../../src/contracts/restore-commands.ts";
import { MemoryDestination } from "../../support/memory-destination.ts";
import { secretBox, TestBackup } from "../../support/workerd/backup.ts";
import { key, set, text, withStorage } from "../../support/workerd/engine.ts";
import { Restorable } from "../../support/workerd/restorable.ts";
import { TestRestore } from "../../support/workerd/restore.ts";

/** The tests' own key is k1. */
const wrong = [
  {
    what: "without the key",
    keys: `k2:${btoa("2".repeat(32))}`,
    says: /encrypted under key "k1", which CAIRN_ENCRYPTION_KEYS does not list any more: list it again, or/,
  },
  {
    what: "with other bytes under the key's name",
    keys: `k1:${btoa("2".repeat(32))}`,
    says: /cannot be decrypted with key "k1" of CAIRN_ENCRYPTION_KEYS: .* List the key as it was, or/,
  },
];

const commands: readonly RestoreCommand[] = [
  { command: "fork", jobId: "a", at: "latest", generation: null, intoDatabaseId: "other", intoJurisdiction: null },
  { command: "restore", jobId: "a", at: "latest" },
  { command: "past", at: "latest", eviction: "least-recently-used" },
  { command: "points", at: "latest", direction: "before", limit: 10, keys: false },
  { command: "range" },
  { command: "verify", jobId: "a" },
];

describe.for(wrong)("$what", ({ keys, says }) => {
  test.for(commands)("$command is refused, and nothing is begun (B49)", async (command) => {
    await withStorage(async (storage) => {
      const backup = new TestBackup(storage);
      await backup.enable();
      backup.commit(set(key("a"), text("1")));
      await backup.settle();
      backup.reopen({ secrets: secretBox(keys) });
      const { service } = new Restorable(backup);
      expect(await service.run(command)).toEqual({
        ok: false,
        code: "internal",
        message: expect.stringMatching(says),
      });
      expect(await service.run({ command: "jobs" })).toMatchObject({ jobs: [] });
      expect((await backup.info()).generations).toMatchObject([{ state: "complete" }]);
      // With the right one it goes on.
      backup.reopen({ secrets: secretBox() });
      expect(await new Restorable(backup).service.run({ command: "range" })).toMatchObject({ ok: true });
    });
  });

  test("a fork that is being filled fails with the reason, and can be begun anew", async () => {
    const store = new MemoryDestination();
    const { databaseId, last } = await withStorage(async (storage) => {
      const backup = new TestBackup(storage, { store });
      await backup.enable();
      const version = backup.commit(set(key("a"), text("1")));
      await backup.settle();
      return { databaseId: backup.databaseId, last: version };
    });
    await withStorage(async (storage) => {
      const target = new TestRestore({ storage, destination: store, databaseId });
      expect(await target.fork("a", last)).toMatchObject({ ok: true, job: { status: "running" } });
      target.reopen(secretBox(keys));
      expect(await target.finish("a")).toMatchObject({ status: "failed", error: expect.stringMatching(says) });
      target.reopen();
      expect(await target.fork("b", last)).toMatchObject({ ok: true });
      expect(await target.finish("b")).toMatchObject({ status: "completed" });
    });
  });
});
