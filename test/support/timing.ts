/** The real time and chance, for tests that talk to real servers. */
import type { Timing } from "../../src/backup/destinations/retry.ts";
import { asUnixMs } from "../../src/core/clock.ts";

export const realTiming: Timing = {
  clock: { now: () => asUnixMs(Date.now()) },
  random: Math.random,
  after(ms, run) {
    const timer = setTimeout(run, ms);
    return () => clearTimeout(timer);
  },
};
