/** Long work of many objects on one thread, simulated: a clock that only work and waiting move, and a thread that does one thing at a time. */
import { expect, test } from "vitest";
import { asUnixMs } from "../../src/core/clock.ts";
import { ProcessTurns } from "../../src/core/process-turns.ts";

/** One thread. What is due runs in the order of its time; work moves the clock. */
class Thread {
  now = 1_000_000;
  readonly #due: { at: number; run: () => void }[] = [];

  readonly wait = (ms: number): Promise<void> =>
    new Promise((resolve) => {
      // The clock of a Worker stands still while code runs.
      this.#due.push({ at: this.seen + ms, run: resolve });
    });

  /** The time as running code sees it. */
  seen = this.now;
  readonly clock = { now: () => asUnixMs(this.seen) };

  work(ms: number): void {
    this.now += ms;
  }

  at(time: number, run: () => void): void {
    this.#due.push({ at: time, run });
  }

  async run(until: number): Promise<void> {
    for (;;) {
      this.#due.sort((a, b) => a.at - b.at);
      const next = this.#due[0];
      if (next === undefined || Math.max(next.at, this.now) > until) return;
      this.#due.shift();
      this.now = Math.max(this.now, next.at);
      this.seen = this.now;
      next.run();
      // All that follows from it at once.
      for (let i = 0; i < 20; i += 1) await Promise.resolve();
    }
  }
}

interface Load {
  readonly owner: string;
  /** Milliseconds that a piece takes, and that it is taken for. */
  readonly piece: number;
  readonly estimate: number;
  /** Pieces of one search; then another begins. */
  readonly pieces: number;
}

/** Lets searches work for `ms`, while others use the process every few milliseconds. */
async function simulate(loads: readonly Load[], ms: number, isUsed: boolean) {
  const thread = new Thread();
  const turns = new ProcessTurns(thread);
  const worked = new Map<string, number>();
  /** Pieces of each load. */
  const done = loads.map(() => 0);
  const end = thread.now + ms;
  const start = async ({ owner, piece, estimate, pieces }: Load, index: number) => {
    const own = turns.of(owner);
    const work = () => {
      thread.work(piece);
      done[index] = (done[index] ?? 0) + 1;
      worked.set(owner, (worked.get(owner) ?? 0) + piece);
    };
    while (thread.now < end) {
      const waiting = own.begin();
      if (waiting !== null) await waiting;
      for (let i = 1; i < pieces; i += 1) {
        work();
        await own.next(estimate);
      }
      work();
      own.end(estimate);
      await thread.wait(0);
    }
  };
  loads.forEach((load, index) => thread.at(thread.now, () => void start(load, index)));
  const lates: number[] = [];
  for (let at = thread.now; at < end; at += 5) {
    thread.at(at, () => {
      if (isUsed) turns.used();
      lates.push(thread.now - at);
    });
  }
  await thread.run(end);
  lates.sort((a, b) => a - b);
  return { worked, done, p99: lates[Math.floor(lates.length * 0.99)] ?? 0, most: lates.at(-1) ?? 0 };
}

const crowd = (load: Load, many: number): Load[] => Array.from({ length: many }, () => load);
const total = (worked: ReadonlyMap<string, number>) => [...worked.values()].reduce((sum, ms) => sum + ms, 0);

test.each([
  ["thirty long searches", 100, 9, 10],
  ["pieces that take twice as long as they were taken for", 100, 20, 10],
  ["pieces that take a fifth", 100, 2, 10],
  ["searches of one piece", 1, 9, 10],
])("%s keep others waiting for no longer than two pieces (D84)", async (_, pieces, piece, estimate) => {
  const { p99, most, worked, done } = await simulate(crowd({ owner: "a", piece, estimate, pieces }, 30), 5_000, true);
  expect(p99).toBeLessThanOrEqual(2 * piece);
  expect(most).toBeLessThanOrEqual(4 * Math.max(piece, 10));
  // Half of the time, as far as the clock's milliseconds and waits allow.
  expect(total(worked)).toBeGreaterThan(1_000);
  expect(total(worked)).toBeLessThan(3_000);
  expect(Math.min(...done)).toBeGreaterThan(0);
});

test("while nobody else uses the process, searches take nearly all of the time (D84)", async () => {
  const alone = await simulate(crowd({ owner: "a", piece: 9, estimate: 10, pieces: 100 }, 1), 2_000, false);
  expect(total(alone.worked)).toBeGreaterThan(1_900);
  const many = await simulate(crowd({ owner: "a", piece: 9, estimate: 10, pieces: 100 }, 30), 2_000, false);
  expect(total(many.worked)).toBeGreaterThan(1_500);
});

test("an organization with many searches leaves another one as much (D84)", async () => {
  const piece = { piece: 9, estimate: 10, pieces: 100 };
  const loads = [...crowd({ owner: "many", ...piece }, 16), { owner: "one", ...piece }];
  const { worked } = await simulate(loads, 5_000, true);
  const [many = 0, one = 0] = [worked.get("many"), worked.get("one")];
  expect(one).toBeGreaterThan(many * 0.7);
  expect(many).toBeGreaterThan(one * 0.7);
});

test("short searches begin at once, beside long ones too", async () => {
  const thread = new Thread();
  const turns = new ProcessTurns(thread);
  for (let i = 0; i < 100; i += 1) {
    expect(turns.of("a").begin()).toBeNull();
    turns.of("a").end(0.3);
    thread.now += 1;
    await thread.run(thread.now);
  }
});

test("a search that ended in the middle keeps nobody waiting, nor does a clock that was set back", async () => {
  const thread = new Thread();
  const turns = new ProcessTurns(thread);
  const gone = turns.of("gone");
  const late = { resolved: false };
  // Waits, and never looks again.
  const waits: Promise<void>[] = [];
  let isGone = true;
  const halting = new ProcessTurns({
    clock: thread.clock,
    wait: (ms) => (isGone && ms > 0 ? new Promise(() => undefined) : thread.wait(ms)),
  });
  waits.push(gone.next(10), halting.of("gone").next(10));
  await thread.run(thread.now + 5);
  isGone = false;
  void halting
    .of("b")
    .next(10)
    .then(() => (late.resolved = true));
  await thread.run(thread.now + 1_000);
  expect(late.resolved).toBe(true);
  void turns
    .of("c")
    .next(10)
    .then(() => (late.resolved = false));
  thread.seen = thread.now -= 3_600_000;
  await thread.run(thread.now + 4_000_000);
  expect(late.resolved).toBe(false);
});
