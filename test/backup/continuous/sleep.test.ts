/** What a backup knows of a destination that fails outlives the object's sleep, which comes between two tries. */
import { expect, test } from "vitest";
import { type Destination, destinationFailure } from "../../../src/backup/destinations/destination.ts";
import { guarded } from "../../support/guarded-destination.ts";
import { MemoryDestination } from "../../support/memory-destination.ts";
import { TestBackup } from "../../support/workerd/backup.ts";
import { key, set, text, withStorage } from "../../support/workerd/engine.ts";

const SLEEPS_AFTER_MS = 10_000;

/** Takes everything but what goes into the logs. */
class RefusesLogs {
  tries = 0;
  refuses = false;

  through(destination: Destination): Destination {
    const refusing = guarded(destination, (work) => work());
    refusing.putIfAbsent = async (name, bytes) => {
      if (!name.includes("/logs/")) return destination.putIfAbsent(name, bytes);
      this.tries += 1;
      return this.refuses
        ? destinationFailure("retry", "The destination is out of service.")
        : destination.putIfAbsent(name, bytes);
    };
    return refusing;
  }
}

/** Lets time pass; the object sleeps whenever nothing happens for long enough. */
async function passAsleep(tested: TestBackup, ms: number): Promise<void> {
  const until = tested.clock.time + ms;
  while (tested.alarm !== null && tested.alarm <= until) {
    const sleeps = tested.alarm - tested.clock.time >= SLEEPS_AFTER_MS;
    tested.clock.time = Math.max(tested.clock.time, tested.alarm);
    if (sleeps) tested.reopen();
    await tested.ring();
  }
  tested.clock.time = until;
}

test("a failure lasts from its first try to the first success, however often the object sleeps, and tries stay rare", async () => {
  await withStorage(async (storage) => {
    const logs = new RefusesLogs();
    const store = new MemoryDestination();
    const tested = new TestBackup(storage, { store, through: (destination) => logs.through(destination) });
    await tested.enable();
    await tested.settle();
    logs.refuses = true;
    logs.tries = 0;
    tested.commit(set(key("a"), text("1")));
    await passAsleep(tested, 5_000);
    const since = (await tested.info()).lastError?.since;
    expect(since).toBeGreaterThan(tested.clock.time - 4_000);
    for (let minute = 0; minute < 30; minute++) {
      await passAsleep(tested, 60_000);
      expect((await tested.info()).lastError).toMatchObject({ message: "The destination is out of service.", since });
    }
    expect(logs.tries, "every half minute, after the first tries").toBeLessThan(70);
    logs.refuses = false;
    await passAsleep(tested, 31_000);
    expect(await tested.info()).toMatchObject({ lastError: null, backlogBytes: 0 });
  });
});
