/** Tasks that the object dies of: an object whose alarm is late writes down what it runs, and holds back what kills it again and again. */
import { expect, test } from "vitest";
import { asUnixMs } from "../../src/core/clock.ts";
import { withClock } from "../support/workerd/alarm.ts";

const MINUTE = 60_000;
const forever = new Promise<void>(() => undefined);

type Parts = Parameters<Parameters<typeof withClock>[0]>[0];

/** Rows written by this. */
async function rowsOf({ alarm }: Parts, work: () => Promise<unknown>): Promise<number> {
  const { exec } = alarm.sql;
  let rows = 0;
  const cursors: SqlStorageCursor<Record<string, SqlStorageValue>>[] = [];
  alarm.sql.exec = ((...args: Parameters<SqlStorage["exec"]>) => {
    const cursor = exec.apply(alarm.sql, args);
    cursors.push(cursor);
    return cursor;
  }) as SqlStorage["exec"];
  await work();
  alarm.sql.exec = exec;
  for (const { rowsWritten } of cursors) rows += rowsWritten;
  return rows;
}

/** The object starts, its alarm rings, and it dies while what is due is under way. The alarm is found where it was. */
async function dieOfWhatIsDue({ alarm, time, started }: Parts): Promise<void> {
  const clock = await started();
  const before = alarm.at;
  // After a death that was seen, it waits for some seconds.
  time.time += 5_000;
  alarm.at = null;
  void clock.ring();
  await scheduler.wait(5);
  // What is under way in this life never goes on, and writes nothing.
  clock.stop();
  alarm.at = before;
  time.time += 1_000;
}

/** The next life of the object, in which the alarm rings once. */
async function liveOn({ alarm, started }: Parts): Promise<void> {
  const clock = await started();
  alarm.at = null;
  await clock.ring();
}

test("a task that runs on time, or late by itself, writes nothing", async () => {
  await withClock(async (parts) => {
    const { time, alarm, one, started } = parts;
    one.due = asUnixMs(time.time + 100);
    await started();
    time.time += 150;
    // Another life: the alarm wakes an object that slept.
    expect(await rowsOf(parts, () => liveOn(parts))).toBe(0);
    const clock = await started();
    one.due = asUnixMs(time.time - 5_000);
    clock.dueBy(one.due);
    alarm.at = null;
    expect(await rowsOf(parts, () => clock.ring())).toBe(0);
    expect(one.runs).toBe(2);
  });
});

test("a task that is late after a restart is written down at each run of the next minute, two rows, and never again", async () => {
  await withClock(async (parts) => {
    const { time, alarm, one, started } = parts;
    one.due = asUnixMs(time.time + 100);
    await started();
    time.time += 1_000;
    await liveOn(parts);
    // The table is there by now.
    one.due = asUnixMs(time.time);
    const clock = await started();
    clock.dueBy(one.due);
    time.time += 1_000;
    const late = await started();
    alarm.at = null;
    expect(await rowsOf(parts, () => late.ring())).toBe(2);
    expect(alarm.sql.exec("SELECT * FROM unfinished_tasks").toArray()).toEqual([]);
    for (const [after, rows] of [
      [59_000, 2],
      [2_000, 0],
    ] as const) {
      time.time += after;
      one.due = asUnixMs(time.time);
      expect(await rowsOf(parts, () => late.ring())).toBe(rows);
    }
  });
});

/** The task is always due, and the object dies of it, for the first time without anybody who sees it. */
async function dieUnseen(parts: Parts): Promise<void> {
  const { time, one, started } = parts;
  one.due = asUnixMs(time.time);
  one.staysDue = true;
  one.waitsFor = forever;
  await started();
  await dieOfWhatIsDue(parts);
}

/** The object dies in the second run of a task that runs well before. `between`: what the first run brings. */
async function dieOfTheSecondRun({ alarm, time, one, started }: Parts, between: () => void): Promise<void> {
  one.waitsFor = null;
  const clock = await started();
  time.time += 5_000;
  one.waitsFor = Promise.resolve().then(between);
  await clock.ring();
  one.waitsFor = forever;
  time.time += 100;
  const before = alarm.at;
  void clock.ring();
  await scheduler.wait(5);
  clock.stop();
  alarm.at = before;
  time.time += 1_000;
}

test("a task that kills in its second run after a restart is held back like one that kills in its first", async () => {
  await withClock(async (parts) => {
    const { one, started } = parts;
    await dieUnseen(parts);
    for (let deaths = 0; deaths < 2; deaths++) await dieOfTheSecondRun(parts, () => undefined);
    await started();
    expect(one.held).toEqual([expect.stringContaining("The server ended 2 times in a row")]);
  });
});

test("a task that gets further between two deaths is not held back, however many there are", async () => {
  await withClock(async (parts) => {
    const { one, started } = parts;
    await dieUnseen(parts);
    for (let deaths = 0; deaths < 5; deaths++) await dieOfTheSecondRun(parts, () => void (one.stored += 1));
    await started();
    expect(one.held).toEqual([]);
  });
});

test("a death that was followed by a good run, and long ago, is forgotten", async () => {
  await withClock(async (parts) => {
    const { time, alarm, one, started } = parts;
    const written = () => alarm.sql.exec("SELECT name, begun FROM unfinished_tasks").toArray();
    await dieUnseen(parts);
    await dieOfWhatIsDue(parts);
    await started();
    one.waitsFor = null;
    one.staysDue = false;
    time.time += 5_000;
    await liveOn(parts);
    expect(written()).toEqual([{ name: "one", begun: 1 }]);
    time.time += 24 * 60 * MINUTE;
    await started();
    expect(written()).toEqual([{ name: "one", begun: 1 }]);
    time.time += MINUTE;
    await started();
    expect(written()).toEqual([]);
  });
});

test("a task of which the object dies is held back after two deaths that were seen, ever longer, and the others run on", async () => {
  await withClock(async (parts) => {
    const { time, alarm, one, two, started } = parts;
    await dieUnseen(parts);
    expect(one.runs).toBe(1);
    await dieOfWhatIsDue(parts);
    expect(one.runs).toBe(2);
    await dieOfWhatIsDue(parts);
    expect([one.runs, one.held]).toEqual([3, []]);
    const holds: number[] = [];
    for (let deaths = 2; deaths < 9; deaths++) {
      two.due = asUnixMs(time.time);
      await liveOn(parts);
      expect([one.runs, two.runs]).toEqual([deaths + 1, deaths - 1]);
      const until = alarm.at ?? 0;
      expect(one.held.at(-1)).toBe(
        `The server ended ${deaths} times in a row while this was under way. It is tried again at ${new Date(until).toISOString()}.`,
      );
      holds.push((until - time.time) / MINUTE);
      // Lives in between do not put it off.
      time.time += MINUTE;
      await liveOn(parts);
      expect(alarm.at).toBe(until);
      time.time = until;
      await dieOfWhatIsDue(parts);
    }
    expect(holds).toEqual([15, 30, 60, 120, 240, 360, 360]);
    // When it goes well for a minute at last, all is forgotten.
    await started();
    time.time += 360 * MINUTE;
    one.waitsFor = null;
    const clock = await started();
    await clock.ring();
    time.time += MINUTE;
    one.staysDue = false;
    await clock.ring();
    expect(one.due).toBeNull();
    expect(alarm.sql.exec("SELECT * FROM unfinished_tasks").toArray()).toEqual([]);
  });
});

test("a task that throws has not died of it", async () => {
  await withClock(async (parts) => {
    const { time, alarm, one, started } = parts;
    one.due = asUnixMs(time.time);
    one.fails = true;
    await started();
    for (let i = 0; i < 5; i++) {
      time.time += 40_000;
      await liveOn(parts);
    }
    expect([one.runs, one.held]).toEqual([5, []]);
    expect(alarm.sql.exec("SELECT * FROM unfinished_tasks").toArray()).toEqual([]);
  });
});

test("an alarm that the platform rings again counts as late", async () => {
  await withClock(async (parts) => {
    const { time, alarm, one, started } = parts;
    one.due = asUnixMs(time.time);
    one.waitsFor = forever;
    const clock = await started();
    void clock.ring(true);
    await scheduler.wait(5);
    expect(alarm.sql.exec("SELECT name, begun FROM unfinished_tasks").toArray()).toEqual([{ name: "one", begun: 1 }]);
  });
});

test("a task that keeps its own record is not written down", async () => {
  await withClock(async (parts) => {
    const { time, one, started } = parts;
    Object.assign(one, { keepsOwnRecord: true });
    one.due = asUnixMs(time.time);
    await started();
    time.time += 1_000;
    expect(await rowsOf(parts, () => liveOn(parts))).toBe(0);
    expect(one.runs).toBe(1);
  });
});
