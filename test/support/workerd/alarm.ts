/** An alarm clock whose alarm, time and tasks are the test's. */
import type { UnixMs } from "../../../src/core/clock.ts";
import { AlarmClock, type AlarmStorage, type Task } from "../../../src/objects/alarm-clock.ts";
import { ObjectTables } from "../../../src/objects/object-tables.ts";
import { HeldTimers } from "../held-timers.ts";
import { MovableClock, withStorage } from "./engine.ts";

/** What a test has an alarm clock run. */
export class TestTask implements Task {
  due: UnixMs | null = null;
  runs = 0;
  fails = false;
  staysDue = false;
  waitsFor: Promise<void> | null = null;
  /** How far it is. */
  stored = 0;
  /** Why it was held back, each time that it was. */
  readonly held: string[] = [];
  readonly name: string;
  constructor(name: string) {
    this.name = name;
  }
  dueAt(): UnixMs | null {
    return this.due;
  }
  place(): string {
    return String(this.stored);
  }
  heldBack(reason: string): void {
    this.held.push(reason);
  }
  async run(): Promise<void> {
    this.runs += 1;
    if (this.fails) throw new Error(`${this.name} cannot`);
    if (!this.staysDue) this.due = null;
    await this.waitsFor;
  }
}

/** The object's SQL storage with an alarm that the test looks at, and that rings only when the test says so. */
class TestAlarm implements AlarmStorage {
  at: number | null = null;
  sets = 0;
  readonly sql: SqlStorage;
  constructor(storage: DurableObjectStorage) {
    this.sql = storage.sql;
  }
  async getAlarm(): Promise<number | null> {
    return this.at;
  }
  async setAlarm(at: number): Promise<void> {
    if (at <= 0) throw new TypeError("setAlarm() cannot be called with an alarm time <= 0");
    this.at = at;
    this.sets += 1;
  }
  async deleteAlarm(): Promise<void> {
    this.at = null;
  }
  async sync(): Promise<void> {}
}

let alarms = 0;

/** An alarm clock with two tasks, over the storage of an object of its own. `open` is another life of that object. */
export async function withClock(
  work: (parts: {
    time: MovableClock;
    alarm: TestAlarm;
    one: TestTask;
    two: TestTask;
    timers: HeldTimers;
    open: () => AlarmClock;
    /** One that has started, in a request that is answered. */
    started: () => Promise<AlarmClock>;
  }) => Promise<void>,
) {
  await withStorage(async (storage) => {
    const time = new MovableClock();
    const alarm = new TestAlarm(storage);
    const one = new TestTask("one");
    const two = new TestTask("two");
    const timers = new HeldTimers();
    const around = { object: `alarm ${++alarms}`, clock: time, timers, random: Math.random };
    const open = () => new AlarmClock(alarm, new ObjectTables(storage), around, [one, two]);
    const started = async () => {
      const clock = open();
      await clock.start();
      timers.run();
      return clock;
    };
    await work({ time, alarm, one, two, timers, open, started });
  });
}
