/** One timer for waits that come one after the other. */
import { expect, test } from "vitest";
import { RepeatedDeadline, type Timers } from "../../src/core/timers.ts";

/** A clock and the timers that were set by it. */
class Time implements Timers {
  now = 0;
  set = 0;
  readonly #waiting = new Map<object, { readonly at: number; readonly callback: () => void }>();

  after(ms: number, callback: () => void): () => void {
    const timer = {};
    this.set += 1;
    this.#waiting.set(timer, { at: this.now + ms, callback });
    return () => this.#waiting.delete(timer);
  }

  get waiting(): number {
    return this.#waiting.size;
  }

  /** Lets this much time go by. */
  async pass(ms: number): Promise<void> {
    const end = this.now + ms;
    for (;;) {
      const next = [...this.#waiting].toSorted(([, a], [, b]) => a.at - b.at)[0];
      if (next === undefined || next[1].at > end) break;
      this.now = next[1].at;
      this.#waiting.delete(next[0]);
      next[1].callback();
      await Promise.resolve();
    }
    this.now = end;
  }
}

const late = () => "late";

test("thousands of waits one after the other have one timer, and each its own deadline", async () => {
  const time = new Time();
  const deadline = new RepeatedDeadline(time, () => time.now);
  for (let i = 0; i < 1_000; i++) {
    expect(await deadline.inTime(100, Promise.resolve("piece"), late)).toBe("piece");
    expect(time.waiting).toBe(1);
    await time.pass(1);
  }
  expect(time.set).toBeLessThan(20);
  await time.pass(60);
  const began = time.now;
  let ended = 0;
  const waiting = deadline.inTime(100, new Promise<string>(() => undefined), late).then((what) => {
    ended = time.now;
    return what;
  });
  await time.pass(99);
  expect(ended).toBe(0);
  await time.pass(1);
  expect([await waiting, ended - began]).toEqual(["late", 100]);
  // A shorter wait than the timer was set for.
  const long = deadline.inTime(1_000, Promise.resolve("piece"), late);
  expect(await long).toBe("piece");
  const short = deadline.inTime(10, new Promise<string>(() => undefined), late);
  await time.pass(10);
  expect(await short).toBe("late");
  await expect(deadline.inTime(10, Promise.reject(new Error("broken off")), late)).rejects.toThrow("broken off");
  deadline.end();
  expect(time.waiting).toBe(0);
});

test("a clock that is set back makes no wait endless", async () => {
  const time = new Time();
  const deadline = new RepeatedDeadline(time, () => time.now);
  await deadline.inTime(100, Promise.resolve("piece"), late);
  const waiting = deadline.inTime(100, new Promise<string>(() => undefined), late);
  await time.pass(50);
  time.now -= 3_600_000;
  const before = time.now;
  await time.pass(3_600_000 + 300);
  expect(await waiting).toBe("late");
  expect(time.now).toBeGreaterThan(before);
});
