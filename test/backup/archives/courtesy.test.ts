/** What a job leaves to the clients of its database: nothing to nobody, a pause to those who use it, and a long rest after a long stop. */
import { expect, test } from "vitest";
import { courtesy } from "../../../src/backup/archives/courtesy.ts";
import { asUnixMs } from "../../../src/core/clock.ts";

/** Milliseconds that were waited for by `call`. `stop`: how long the commit takes that happens during the first wait. */
function measured() {
  const database = { operations: 0 };
  const waits: number[] = [];
  let [now, stop] = [1_800_000_000_000, 0];
  const { breathe, rest } = courtesy({
    breathe: async () => undefined,
    clock: { now: () => asUnixMs(now) },
    database,
    timers: {
      after(ms, callback) {
        waits.push(ms);
        now += ms + stop;
        stop = 0;
        callback();
        return () => undefined;
      },
    },
  });
  const waited = async (call: () => Promise<void>): Promise<number[]> => {
    waits.length = 0;
    await call();
    return [...waits];
  };
  return {
    database,
    breathe: () => waited(breathe),
    rest: (stopMs: number) => {
      stop = stopMs;
      return waited(rest);
    },
  };
}

test("a job does not wait while nobody uses the database", async () => {
  const job = measured();
  expect([await job.breathe(), await job.rest(50)]).toEqual([[], []]);
  job.database.operations += 1;
  expect([await job.breathe(), await job.breathe()]).toEqual([[3], []]);
});

test("a job rests after a commit in the proportion of its length, while the database is used", async () => {
  const job = measured();
  for (const [stop, waits] of [
    [0, [3]],
    [3, [3]],
    [8, [3, 500]],
    [40, [3, 1_000]],
  ] as const) {
    job.database.operations += 1;
    expect(await job.rest(stop)).toEqual(waits);
  }
  // A use that a shorter pause has noticed counts, too.
  job.database.operations += 1;
  expect([await job.breathe(), await job.rest(8)]).toEqual([[3], [3, 500]]);
  expect(await job.rest(8)).toEqual([]);
});
