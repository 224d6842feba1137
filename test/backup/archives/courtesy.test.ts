/** What jobs leave to the clients of a process: nothing to nobody, a pause to those who use it, and a long rest after a long stop. */
import { expect, test } from "vitest";
import { courtesy, ProcessPace } from "../../../src/backup/archives/courtesy.ts";
import { asUnixMs } from "../../../src/core/clock.ts";

/** A process whose clock only waits move. */
class Process {
  readonly pace = new ProcessPace();
  now = 1_800_000_000_000;
  /** How long the commit takes that happens during the next wait. */
  stop = 0;
  readonly #waits: number[] = [];

  /** The milliseconds that a job waits for, by what it calls. Waits of several jobs run at the same time. */
  job(owner = "tenant") {
    const { breathe, rest } = courtesy({
      breathe: async () => undefined,
      clock: { now: () => asUnixMs(this.now) },
      pace: this.pace,
      owner,
      timers: {
        after: (ms, callback) => {
          this.#waits.push(ms);
          this.now += ms + this.stop;
          this.stop = 0;
          callback();
          return () => undefined;
        },
      },
    });
    const waited = async (call: () => Promise<void>): Promise<number[]> => {
      this.#waits.length = 0;
      await call();
      return [...this.#waits];
    };
    return {
      breathe: () => waited(breathe),
      rest: (stopMs = 0) => {
        this.stop = stopMs;
        return waited(rest);
      },
    };
  }
}

test("a job does not wait while nobody uses a database (Z37)", async () => {
  const { pace, ...process } = withJob();
  expect([await process.job.breathe(), await process.job.rest(50)]).toEqual([[], []]);
  pace.operations += 1;
  expect([await process.job.breathe(), await process.job.breathe()]).toEqual([[3], []]);
});

test("a job rests after a commit in the proportion of its length, while a database is used (Z37)", async () => {
  const { pace, job } = withJob();
  for (const [stop, waits] of [
    [0, [3]],
    [3, [3]],
    [8, [3, 1_000]],
    [40, [3, 1_500]],
  ] as const) {
    pace.operations += 1;
    expect(await job.rest(stop)).toEqual(waits);
  }
  // A use that a shorter pause has noticed counts, too.
  pace.operations += 1;
  expect([await job.breathe(), await job.rest(8)]).toEqual([[3], [3, 1_000]]);
  expect(await job.rest(8)).toEqual([]);
});

test("all jobs of a process have as many turns as one, and no organization more of them than another (Z37)", () => {
  const pace = new ProcessPace();
  const now = 1_800_000_000_000;
  const many = Array.from({ length: 50 }, () => pace.turn("greedy", now));
  expect(many).toEqual(Array.from({ length: 50 }, (_, i) => 3 * (i + 1)));
  // From now on each has every second turn.
  expect([pace.turn("other", now), pace.turn("other", now), pace.turn("greedy", now)]).toEqual([6, 12, 156]);
  expect(pace.turn("greedy", now + 200)).toBe(3);
  // The clock was set back.
  expect(pace.turn("greedy", now - 3_600_000)).toBe(3);
});

function withJob() {
  const process = new Process();
  return { pace: process.pace, job: process.job() };
}
