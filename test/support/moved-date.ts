/** The time that real objects read, moved on by the test: it runs as ever, and so much ahead. */
import { onTestFinished, vi, type MockInstance } from "vitest";

const realNow = Date.now.bind(Date);
let aheadMs = 0;
let moved: MockInstance<() => number> | null = null;

/** So much time is over, for all of this isolate, until the test ends. The runtime's own alarms ring as before. */
export function passTime(ms: number): void {
  // At each call: test files that share an isolate share this module, which is loaded once.
  onTestFinished(resetTime);
  move(ms);
}

/** The same until `work` is done, also outside of a test. */
export async function atAnotherTime<T>(aheadByMs: number, work: () => Promise<T>): Promise<T> {
  move(aheadByMs);
  try {
    return await work();
  } finally {
    resetTime();
  }
}

function move(ms: number): void {
  aheadMs += ms;
  moved ??= vi.spyOn(Date, "now").mockImplementation(() => realNow() + aheadMs);
}

function resetTime(): void {
  aheadMs = 0;
  moved?.mockRestore();
  moved = null;
}
