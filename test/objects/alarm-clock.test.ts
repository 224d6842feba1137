import { expect, test } from "vitest";
import { asUnixMs } from "../../src/core/clock.ts";
import { MAX_TIME_MS } from "../../src/core/limits.ts";
import { AlarmClock } from "../../src/objects/alarm-clock.ts";
import { ObjectTables } from "../../src/objects/object-tables.ts";
import { turns } from "../support/fake-timers.ts";
import { HeldTimers } from "../support/held-timers.ts";
import { TestTask, withClock } from "../support/workerd/alarm.ts";
import { MovableClock, withStorage } from "../support/workerd/engine.ts";

/** So many of the waits between two looks at what is due are over. */
async function looks(timers: HeldTimers, count: number): Promise<void> {
  for (let i = 0; i < count; i++) {
    await turns();
    timers.run();
  }
  await turns();
}

function rowsOf(sql: SqlStorage): unknown[] {
  return sql
    .exec<{ name: string }>(
      "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE '\\_cf%' ESCAPE '\\'",
    )
    .toArray()
    .map(({ name }) => [name, sql.exec(`SELECT * FROM ${name}`).toArray()]);
}

test("the alarm stands at the earliest due time and is moved only for an earlier one", async () => {
  await withClock(async ({ time, alarm, one, two, started }) => {
    one.due = asUnixMs(time.time + 500);
    two.due = asUnixMs(time.time + 300);
    const clock = await started();
    expect(alarm.at).toBe(two.due);
    clock.dueBy(asUnixMs(time.time + 400));
    expect(alarm.sets).toBe(1);
    clock.dueBy(asUnixMs(time.time + 100));
    expect(alarm.at).toBe(time.time + 100);
  });
});

test("tasks that are due run, the others wait, and the alarm is set for the earliest of them", async () => {
  await withClock(async ({ time, alarm, one, two, started }) => {
    const clock = await started();
    one.due = asUnixMs(time.time);
    two.due = asUnixMs(time.time + 100);
    await clock.ring();
    expect([one.runs, two.runs, alarm.at]).toEqual([1, 0, two.due]);
  });
});

test("a task that throws does not stop the others, and is tried again with a growing delay, also after a restart", async () => {
  await withClock(async ({ time, alarm, one, two, started }) => {
    let clock = await started();
    one.fails = true;
    one.due = two.due = asUnixMs(time.time);
    await clock.ring();
    expect([one.runs, two.runs, alarm.at]).toEqual([1, 1, time.time + 1_000]);
    await clock.ring();
    expect(one.runs).toBe(1);
    const delays: number[] = [];
    for (let i = 0; i < 8; i++) {
      time.time = alarm.at ?? 0;
      clock = await started();
      await clock.ring();
      delays.push((alarm.at ?? 0) - time.time);
    }
    expect(one.runs).toBe(9);
    expect(delays).toEqual([2_000, 4_000, 8_000, 16_000, 30_000, 30_000, 30_000, 30_000]);
    one.fails = false;
    time.time += 30_000;
    await clock.ring();
    one.due = asUnixMs(time.time);
    one.fails = true;
    await clock.ring();
    expect((alarm.at ?? 0) - time.time, "success clears the count").toBe(1_000);
  });
});

test("a task runs once per due time, however often the alarm rings", async () => {
  await withClock(async ({ time, alarm, one, timers, started }) => {
    const clock = await started();
    const slow = Promise.withResolvers<void>();
    one.waitsFor = slow.promise;
    one.due = asUnixMs(time.time);
    // It is due until it has run.
    one.staysDue = true;
    const rings = [clock.ring(), clock.ring()];
    await turns();
    expect(one.runs).toBe(1);
    one.due = null;
    slow.resolve();
    await Promise.all([...rings, looks(timers, 3)]);
    expect(one.runs).toBe(1);
    expect(alarm.at).toBeNull();
  });
});

test("a task that failed does not wait for a clock that was set back", async () => {
  await withClock(async ({ time, one, started }) => {
    const clock = await started();
    one.fails = true;
    one.due = asUnixMs(time.time);
    await clock.ring();
    time.time -= 3_600_000;
    one.fails = false;
    one.due = asUnixMs(time.time);
    await clock.ring();
    expect(one.runs).toBe(2);
  });
});

test("an alarm that was lost is set at the start, one that is overdue by a request", async () => {
  await withClock(async ({ time, alarm, one, timers, started }) => {
    one.due = asUnixMs(time.time + 100);
    let clock = await started();
    alarm.at = null;
    clock = await started();
    expect(alarm.at).toBe(one.due);
    time.time += 4_000;
    clock.rescue();
    timers.run();
    expect(alarm.at).toBe(one.due);
    time.time += 2_000;
    clock.rescue();
    expect(alarm.at, "not before the answer").toBe(one.due);
    expect(one.runs).toBe(0);
    timers.run();
    expect(alarm.at).toBe(time.time);
    // The runtime may never ring it: what is due is run all the same.
    await expect.poll(() => one.runs).toBe(1);
  });
});

test("a task that waits keeps no other from its turns, and the alarm is set once, at the end", async () => {
  await withClock(async ({ time, alarm, one, two, timers, started }) => {
    const clock = await started();
    const slow = Promise.withResolvers<void>();
    one.waitsFor = slow.promise;
    one.due = asUnixMs(time.time);
    const rung = clock.ring();
    for (const turn of [1, 2, 3]) {
      two.due = asUnixMs(time.time);
      clock.dueBy(two.due);
      await looks(timers, 2);
      expect(two.runs).toBe(turn);
    }
    two.due = asUnixMs(time.time + 700);
    slow.resolve();
    await Promise.all([rung, looks(timers, 3)]);
    expect([one.runs, two.runs, alarm.sets, alarm.at]).toEqual([1, 3, 1, two.due]);
  });
});

test("a task that is always due runs beside a waiting one for a while only", async () => {
  await withClock(async ({ time, alarm, one, two, timers, started }) => {
    const clock = await started();
    const slow = Promise.withResolvers<void>();
    one.waitsFor = slow.promise;
    one.due = two.due = asUnixMs(time.time);
    two.staysDue = true;
    const rung = clock.ring();
    await looks(timers, 10);
    expect(two.runs).toBeGreaterThan(3);
    time.time += 5_000;
    await looks(timers, 2);
    const { runs } = two;
    await looks(timers, 20);
    expect(two.runs).toBe(runs);
    slow.resolve();
    await Promise.all([rung, looks(timers, 3)]);
    expect(two.runs).toBe(runs);
    expect(alarm.at).toBe(two.due);
  });
});

test("an alarm clock that was stopped runs, records and sets nothing, whatever is still under way", async () => {
  await withClock(async ({ time, alarm, one, two, timers, started }) => {
    const clock = await started();
    // Its success would take its failure back.
    one.fails = true;
    one.due = time.now();
    await clock.ring();
    one.fails = false;
    time.time = alarm.at ?? 0;
    const [succeeds, fails] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    one.due = two.due = time.now();
    one.waitsFor = succeeds.promise;
    two.waitsFor = fails.promise;
    // A repeated alarm: that they are under way is written down, and would be taken back.
    const ring = clock.ring(true);
    await turns();
    expect([one.runs, two.runs]).toEqual([2, 1]);
    clock.stop();
    const [sets, kept] = [alarm.sets, rowsOf(alarm.sql)];
    one.due = time.now();
    succeeds.resolve();
    fails.reject(new Error("two cannot"));
    await Promise.all([ring, looks(timers, 3)]);
    clock.dueBy(time.now());
    clock.rescue();
    timers.run();
    await clock.ring();
    expect([one.runs, two.runs, alarm.sets - sets]).toEqual([2, 1, 0]);
    expect(rowsOf(alarm.sql)).toEqual(kept);
  });
});

test("what has been due since the beginning of time is due now, and asks for its alarm once", async () => {
  await withClock(async ({ alarm, one, started }) => {
    one.due = asUnixMs(0);
    const clock = await started();
    clock.dueBy(asUnixMs(0));
    expect(alarm.sets).toBe(1);
    await clock.ring();
    expect(one.runs).toBe(1);
    expect(alarm.sets).toBe(1);
  });
});

test("what is due later than the platform can count gets the latest alarm that it takes", async () => {
  await withStorage(async (storage) => {
    const one = new TestTask("one");
    one.due = asUnixMs(MAX_TIME_MS);
    const around = {
      object: "the last alarm",
      clock: new MovableClock(),
      timers: new HeldTimers(),
      random: Math.random,
    };
    const clock = new AlarmClock(storage, new ObjectTables(storage), around, [one]);
    await clock.start();
    clock.dueBy(asUnixMs(MAX_TIME_MS - 1));
    expect(await storage.getAlarm()).toBeGreaterThan(Date.UTC(2250));
    await clock.ring();
    expect(one.runs).toBe(0);
    expect(await storage.getAlarm()).toBeGreaterThan(Date.UTC(2250));
    await storage.deleteAlarm();
  });
});

test("an alarm that can wait is set after the answer, and never later than what was set meanwhile", async () => {
  await withClock(async ({ time, alarm, timers, started }) => {
    const clock = await started();
    clock.dueLater(asUnixMs(time.time + 6_000));
    clock.dueLater(asUnixMs(time.time + 5_000));
    expect(alarm.at).toBeNull();
    timers.run();
    expect([alarm.at, alarm.sets]).toEqual([time.time + 5_000, 1]);
    clock.dueLater(asUnixMs(time.time + 4_000));
    clock.dueBy(asUnixMs(time.time + 1_000));
    timers.run();
    expect([alarm.at, alarm.sets]).toEqual([time.time + 1_000, 2]);
    clock.dueLater(asUnixMs(time.time));
    clock.stop();
    timers.run();
    expect(alarm.sets).toBe(2);
  });
});

test("an alarm that could not be stored is tried again half a minute later, by whatever object comes after, and one that was stored at once", async () => {
  await withClock(async ({ time, alarm, one, timers, started }) => {
    // The disk is full: the object is reset, and what waited for the disk never goes on.
    alarm.sync = () => new Promise(() => undefined);
    one.due = asUnixMs(time.time + 100);
    await started();
    expect(alarm.sets).toBe(1);
    const ask = async () => {
      alarm.at = null;
      const clock = await started();
      clock.rescue();
      clock.dueLater(time.now());
      timers.run();
      return clock;
    };
    const clock = await ask();
    time.time += 29_000;
    await ask();
    expect(alarm.sets).toBe(1);
    time.time += 1_000;
    clock.rescue();
    timers.run();
    expect(alarm.sets).toBe(2);
    await ask();
    expect(alarm.sets).toBe(2);
    alarm.sync = async () => undefined;
    time.time += 30_000;
    await ask();
    const { sets } = alarm;
    await ask();
    expect(alarm.sets).toBeGreaterThan(sets);
  });
});
