/** Whole histories: every moment of the backup is what the database held, however the exporter was interrupted. */
import { expect, test } from "vitest";
import type { Destination } from "../../../src/backup/destinations/destination.ts";
import { History } from "../../support/workerd/backup-history.ts";
import { TestBackup } from "../../support/workerd/backup.ts";
import { guarded } from "../../support/guarded-destination.ts";
import { MemoryDestination } from "../../support/memory-destination.ts";
import { withStorage } from "../../support/workerd/engine.ts";
import { Killed } from "../../support/workerd/weather.ts";

/** Small enough that a short history has many objects of both kinds. */
const policy = { rangeBytes: 3_000, snapshotRangeEntries: 12 };

test("every point is the state at its commit: all kinds of writes, expiries, a snapshot while writes go on (B6, B15)", async () => {
  await withStorage(async (storage) => {
    const tested = new TestBackup(storage, { policy });
    const history = new History(tested, 900, 11);
    await history.write(200);
    await tested.enable();
    await history.write(450);
    tested.reopen();
    await history.write(history.left);
    const info = await tested.settle();
    const { points, generations } = await history.check();
    expect(points).toBeGreaterThan(600);
    expect(generations.map(({ snapshot }) => snapshot.length > 5)).toEqual([true]);
    expect(info.generations[0]?.upTo).toBe(generations[0]?.points.at(-1));
  });
});

/** Dies at its nth request, before or after the destination carries it out. */
function mortal(destination: Destination, dies: { at: number; after: boolean }): Destination {
  return guarded(destination, async (work) => {
    dies.at -= 1;
    if (dies.at === 0 && !dies.after) throw new Killed();
    const outcome = await work();
    if (dies.at === 0) throw new Killed();
    return outcome;
  });
}

/** As `ring`, but a death forgets everything that is not stored. */
async function untilKilled(tested: TestBackup, work: () => Promise<unknown>): Promise<boolean> {
  try {
    await work();
    return false;
  } catch (error) {
    if (!(error instanceof Killed)) throw error;
    tested.reopen({ through: (destination) => destination });
    return true;
  }
}

test.each([false, true])(
  "killed at any request (after it was carried out: %s), the backup has no gap and divides no commit (B7, B14)",
  { timeout: 120_000 },
  async (after) => {
    let kills = 0;
    for (let at = 1; ; at++) {
      const killed = await withStorage(async (storage) => {
        const dies = { at, after };
        const tested = new TestBackup(storage, {
          policy: { ...policy, compactionBytes: 5_000 },
          store: new MemoryDestination(),
          through: (destination) => mortal(destination, dies),
        });
        const history = new History(tested, 80, at);
        let died = await untilKilled(tested, async () => {
          await history.write(20);
          await tested.enable();
        });
        if (died && (await tested.backup.run({ command: "status" })).ok) await tested.enable().catch(() => undefined);
        while (history.left > 0) died = (await untilKilled(tested, () => history.write(1, 150))) || died;
        died = (await untilKilled(tested, () => tested.settle())) || died;
        await tested.settle();
        const { generations } = await history.check();
        expect(history.missing(generations), `killed at request ${at}`).toEqual([]);
        expect(generations.length).toBeGreaterThan(1);
        return died;
      });
      if (!killed) break;
      kills += 1;
    }
    expect(kills).toBeGreaterThan(15);
  },
);
