/** The time that real objects read, moved on by the test: it runs as ever, and so much ahead. */
import { afterEach, vi, type MockInstance } from "vitest";

const realNow = Date.now.bind(Date);
let aheadMs = 0;
let moved: MockInstance<() => number> | null = null;

/** So much time is over, for all of this isolate, until the test ends. The runtime's own alarms ring as before. */
export function passTime(ms: number): void {
  aheadMs += ms;
  moved ??= vi.spyOn(Date, "now").mockImplementation(() => realNow() + aheadMs);
}

/** Back to the real time. */
export function resetTime(): void {
  aheadMs = 0;
  moved?.mockRestore();
  moved = null;
}

afterEach(resetTime);
