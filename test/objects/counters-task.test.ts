/** Counters of use outlive a sleep of the object, and what that costs. */
import { evictDurableObject, runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { afterEach, describe, expect, test, vi } from "vitest";
import { asUnixMs } from "../../src/core/clock.ts";
import { encodeSnapshotRead } from "../../src/codec/datapath-requests.ts";
import type { UsageCounters } from "../../src/contracts/resources.ts";
import { timeOfVersion } from "../../src/core/versionstamp.ts";
import { Database } from "../../src/engine/database.ts";
import { AlarmClock } from "../../src/objects/alarm-clock.ts";
import { ObjectTables } from "../../src/objects/object-tables.ts";
import { CountersTask } from "../../src/objects/counters-task.ts";
import { watchProtocol } from "../../src/contracts/database.ts";
import { UsageTask } from "../../src/objects/usage-task.ts";
import { CountingStorage } from "../support/counting-storage.ts";
import { HeldTimers } from "../support/held-timers.ts";
import { commit, everything, newDatabase, read, type Stub } from "../support/workerd/database-object.ts";
import { key, MovableClock, point, prefix, set, text, withStorage, write } from "../support/workerd/engine.ts";

const quarter = 15 * 60_000;

describe("in the real object", () => {
  afterEach(() => void vi.useRealTimers());

  async function newStub(): Promise<Stub> {
    vi.useFakeTimers({ toFake: ["Date"], now: Date.now() });
    return newDatabase();
  }

  /** Nothing happens any more: what alarms there are ring, up to this long after, and then the object sleeps. */
  async function sleep(stub: Stub, afterMs: number): Promise<void> {
    const until = Date.now() + afterMs;
    const alarm = () => runInDurableObject(stub, (_, { storage }) => storage.getAlarm());
    // A read has its alarm set just after its answer.
    await expect.poll(async () => (await alarm()) ?? Infinity, { interval: 5 }).toBeLessThanOrEqual(until);
    for (let at = await alarm(); at !== null && at <= until; at = await alarm()) {
      vi.setSystemTime(at);
      await runDurableObjectAlarm(stub);
    }
    vi.setSystemTime(until);
    await evictDurableObject(stub);
  }

  test("30 writes and 3 reads are counted after a sleep, with the last versionstamp", async () => {
    const stub = await newStub();
    for (let i = 0; i < 30; i++) await commit(stub, write([set(key(i), text("x"))]));
    for (let i = 0; i < 3; i++) await read(stub, [point(key(i))]);
    const before = await stub.stats();
    expect(before).toMatchObject({ entries: 30, writes: 30, writeUnits: 30, reads: 3, readUnits: 3 });
    await sleep(stub, 9_000);
    expect(await stub.stats()).toEqual({ ...before, bytes: expect.any(Number) });
  });

  test("large reads and deletions of what has expired are, too", async () => {
    const stub = await newStub();
    const expiresAt = Date.now() + 60_000;
    const sets = Array.from({ length: 5 }, (_, i) => set(key(i), new Uint8Array(900_000), { expiresAt }));
    await commit(stub, write(sets));
    await sleep(stub, 9_000);
    const headers = { [watchProtocol.grantHeader]: JSON.stringify(everything) };
    const body = encodeSnapshotRead([prefix(new Uint8Array(), 100)]);
    const answer = await stub.fetch("http://object/snapshot_read", { method: "POST", headers, body });
    expect((await answer.arrayBuffer()).byteLength).toBeGreaterThan(4_500_000);
    await sleep(stub, 9_000);
    expect(await stub.stats()).toMatchObject({ entries: 5, writes: 5, reads: 1, readUnits: 1099 });
    await sleep(stub, 60_000);
    expect(await stub.stats()).toMatchObject({ entries: 0, writes: 10, reads: 1 });
  });
});

/** A database whose use is counted, saved and reported, in an object that sleeps when nothing has happened for a while. */
class Metered {
  readonly clock = new MovableClock(Math.ceil(1_800_000_000_000 / 900_000) * 900_000);
  readonly storage: CountingStorage;
  readonly reports: (UsageCounters & { at: number; usedAt: number })[] = [];
  readonly #timers = new HeldTimers();
  alarm: number | null = null;
  alarmsSet = 0;
  database!: Database;
  #alarms!: AlarmClock;

  private constructor(inner: DurableObjectStorage) {
    this.storage = new CountingStorage(inner);
  }

  static async make(inner: DurableObjectStorage): Promise<Metered> {
    const metered = new Metered(inner);
    await metered.wake();
    return metered;
  }

  async wake(): Promise<void> {
    const { clock, storage } = this;
    const tables = new ObjectTables(storage);
    const database = new Database({
      storage,
      clock,
      onUse: (how) => {
        for (const use of uses) {
          if (how === "write") this.#alarms.dueBy(use.used());
          else this.#alarms.dueLater(use.used());
        }
      },
    });
    const uses = [
      new CountersTask(database, clock),
      new UsageTask({
        tables,
        database,
        clock,
        report: async (counters, usedAt) => void this.reports.push({ ...counters, at: clock.time, usedAt }),
      }),
    ];
    const setAlarm = async (at: number) => {
      this.alarm = at;
      this.alarmsSet += 1;
    };
    const deleteAlarm = async () => void (this.alarm = null);
    const alarms = { getAlarm: async () => this.alarm, setAlarm, deleteAlarm, sync: async () => undefined };
    const parts = { object: "metered", clock, timers: this.#timers, random: Math.random };
    this.#alarms = new AlarmClock(alarms, tables, parts, uses);
    this.database = database;
    await this.#alarms.start();
    this.#timers.run();
  }

  /** Alarms ring at their time; whatever has nothing to do for ten seconds sleeps. */
  async pass(ms: number): Promise<void> {
    const until = this.clock.time + ms;
    let last = this.clock.time;
    for (;;) {
      const next = Math.min(this.alarm ?? until, until);
      if (next - last >= 10_000) await this.wake();
      this.clock.time = Math.max(this.clock.time, next);
      if (this.alarm === null || this.alarm > until) return;
      this.alarm = null;
      await this.#alarms.ring();
      last = this.clock.time;
    }
  }

  /** Rows that are billed for this, alarms included. */
  async cost(work: () => Promise<void> | void): Promise<{ rows: number; alarms: number }> {
    const alarmsBefore = this.alarmsSet;
    const { written } = await this.storage.countAsync(async () => work());
    return { rows: written, alarms: this.alarmsSet - alarmsBefore };
  }

  burst(writes: number, reads: number): void {
    for (let i = 0; i < writes; i++) this.database.commit([write([set(key("k"), text(`${this.clock.time} ${i}`))])]);
    for (let i = 0; i < reads; i++) this.database.read([point(key("k"))], 1_000);
    this.#timers.run();
  }
}

async function withMetered(work: (metered: Metered) => Promise<void>): Promise<void> {
  await withStorage(async (storage) => work(await Metered.make(storage)));
}

test("a burst of reads costs one alarm and one row, however many there are, and one row more to report it", async () => {
  await withMetered(async (m) => {
    // The first burst of a new database is reported without delay.
    m.burst(1, 0);
    await m.pass(60_000);
    expect(m.reports.splice(0)).toMatchObject([{ reads: 0, writes: 1 }]);
    expect(await m.cost(() => m.burst(0, 2_500))).toEqual({ rows: 0, alarms: 1 });
    expect(m.alarm).toBe(m.clock.time + 6_000);
    const saved = await m.cost(() => m.pass(60_000));
    // The report's alarm stands at the end of the quarter of an hour.
    expect(saved).toEqual({ rows: 1, alarms: 1 });
    expect([m.reports.length, (m.alarm ?? 1) % quarter]).toEqual([0, 0]);
    expect(m.database.counters()).toMatchObject({ reads: 2_500 });
    expect(await m.cost(() => m.pass(quarter))).toEqual({ rows: 1, alarms: 0 });
    expect(m.reports).toMatchObject([{ reads: 2_500, writes: 1 }]);
  });
});

test("after an idle quarter of an hour one alarm saves and reports a burst", async () => {
  await withMetered(async (m) => {
    await m.pass(10 * quarter);
    expect(await m.cost(() => m.burst(30, 3))).toEqual({ rows: 30 + 1, alarms: 1 });
    expect(await m.cost(() => m.pass(9_000))).toEqual({ rows: 1 + 1, alarms: 0 });
    expect(m.reports).toMatchObject([{ reads: 3, writes: 30 }]);
    expect(m.alarm).toBeNull();
    await m.pass(10 * quarter);
    expect(m.reports).toHaveLength(1);
  });
});

test("bursts between sleeps add up, and each is reported in its quarter of an hour", async () => {
  await withMetered(async (m) => {
    for (let i = 0; i < 60; i++) {
      m.burst(3, 2);
      await m.pass(60_000);
    }
    await m.pass(quarter);
    expect(m.database.counters()).toMatchObject({ reads: 120, writes: 180, entries: 1 });
    expect(m.reports.map(({ writes }) => writes)).toEqual([3, 45, 90, 135, 180]);
  });
});

test("use without a pause is saved along with the mark of versions, and costs an alarm in six seconds", async () => {
  await withMetered(async (m) => {
    const cost = await m.cost(async () => {
      for (let i = 0; i < 300; i++) {
        m.burst(1, 1);
        await m.pass(200);
      }
    });
    expect(cost.rows, "the writes, the marks of a minute, the first report").toBeLessThanOrEqual(300 + 13 + 2);
    expect(cost.alarms).toBeLessThanOrEqual(13);
    await m.pass(quarter);
    expect(m.database.counters()).toMatchObject({ reads: 300, writes: 300 });
  });
});

test("versions go on at the clock after a sleep, and above the last one with a clock that was set back (S6)", async () => {
  await withMetered(async (m) => {
    m.burst(1, 0);
    const last = m.database.lastVersion;
    await m.pass(20_000);
    expect(m.database.lastVersion).toBe(last);
    m.burst(1, 0);
    expect(timeOfVersion(m.database.lastVersion)).toBe(m.clock.time);
    const before = m.database.lastVersion;
    m.clock.time -= 3_600_000;
    await m.pass(20_000);
    m.burst(1, 0);
    expect(m.database.lastVersion).toBeGreaterThan(before);
  });
});

test("a clock that was set back keeps nothing from being saved and reported", async () => {
  await withMetered(async (m) => {
    m.burst(1, 1);
    await m.pass(10_000);
    m.burst(1, 1);
    m.clock.time = asUnixMs(m.clock.time - 10 * quarter);
    m.burst(1, 1);
    expect(m.alarm).toBe(m.clock.time + 6_000);
    await m.pass(quarter + 10_000);
    expect(m.reports).toMatchObject([{ writes: 1 }, { reads: 3, writes: 3 }]);
  });
});
