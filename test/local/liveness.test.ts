/** When a process that does not answer is given up, by a clock that the test moves. */
import { expect, test } from "vitest";
import { watchLiveness } from "../../src/local/liveness.ts";
import { FakeTimers, turns } from "../support/fake-timers.ts";

const times = { everyMs: 10_000, deadlineMs: 60_000 };

/** Questions are answered by the test. */
function watched() {
  const timers = new FakeTimers();
  const questions: {
    readonly resolve: () => void;
    readonly reject: (error: Error) => void;
    readonly signal: AbortSignal;
  }[] = [];
  let hung = 0;
  const ask = (signal: AbortSignal): Promise<void> =>
    new Promise((resolve, reject) => questions.push({ resolve, reject, signal }));
  const stop = watchLiveness(ask, times, timers, () => (hung += 1));
  return { timers, questions, stop, hung: () => hung };
}

test("a process that answers is asked again after a while, and never given up", async () => {
  const { timers, questions, hung } = watched();
  for (let asked = 1; asked <= 100; asked++) {
    expect(questions).toHaveLength(asked);
    // Just before the deadline.
    timers.advance(times.deadlineMs - 1);
    questions.at(-1)?.resolve();
    // The answer is a promise, and nothing else is waited for.
    await new Promise((resolve) => setImmediate(resolve));
    timers.advance(times.everyMs);
  }
  expect(hung()).toBe(0);
});

test("a process that does not answer within the deadline is given up, once, and nobody waits for the answer", async () => {
  const { timers, questions, hung } = watched();
  questions[0]?.resolve();
  await timers.pass(times.everyMs);
  await timers.pass(times.deadlineMs);
  expect(hung()).toBe(1);
  expect(questions[1]?.signal.aborted).toBe(true);
  questions[1]?.resolve();
  await turns();
  expect(timers.size).toBe(0);
  expect(questions).toHaveLength(2);
});

test("a connection that breaks counts as an answer: a process that dies is noticed by its exit", async () => {
  const { timers, questions, hung } = watched();
  questions[0]?.reject(new Error("ECONNREFUSED"));
  await timers.pass(times.everyMs);
  expect([questions.length, hung()]).toEqual([2, 0]);
});

test("a process that is not watched any more is not given up", async () => {
  const { timers, questions, stop, hung } = watched();
  stop();
  await timers.pass(times.deadlineMs);
  expect([questions[0]?.signal.aborted, hung(), timers.size]).toEqual([true, 0, 0]);
});
