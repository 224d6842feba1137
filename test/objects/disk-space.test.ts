/** Who asks how much the disk holds and when, and what is refused by the answers. */
import { expect, test, vi } from "vitest";
import type { Failure } from "../../src/core/errors.ts";
import type { AtomicWrite, Mutation } from "../../src/core/operations.ts";
import { diskIsFull, diskIsNearlyFull } from "../../src/core/storage-room.ts";
import { askDisk, DiskKnowledge, DiskSpace } from "../../src/objects/disk-space.ts";
import { Room } from "../../src/objects/room.ts";
import { FakeTimers, turns } from "../support/fake-timers.ts";
import { key, remove, set, write } from "../support/workerd/engine.ts";

const MIB = 1024 * 1024;
const GIB = 1024 * MIB;
const RESERVE = 64 * MIB;

/** A disk whose keeper answers when it is asked, and a database on it. */
class TestDisk {
  free: number;
  asked = 0;
  broken = false;
  readonly time = new FakeTimers();
  readonly database = { spareBytes: 0, peaks: 0, notePeak: () => void (this.database.peaks += 1) };
  readonly sql = { databaseSize: MIB };
  readonly disk: DiskSpace;
  readonly room: Room;

  constructor(free: number, limit = Number.POSITIVE_INFINITY) {
    this.free = free;
    const ask = async () => {
      this.asked += 1;
      if (this.broken) throw new Error("nobody is there");
      return { free: this.free, reserve: RESERVE };
    };
    this.disk = new DiskSpace(ask, this.time, new DiskKnowledge());
    this.room = this.another(limit);
  }

  another(limit = Number.POSITIVE_INFINITY): Room {
    return new Room({ sql: this.sql, database: this.database, disk: this.disk, limit });
  }

  /** Of a value with so many bytes. */
  set(bytes = 100): Failure | null | Promise<Failure | null> {
    return this.room.refusal(write([set(key("a"), new Uint8Array(1))]), bytes);
  }

  remove(): Failure | null | Promise<Failure | null> {
    return this.room.refusal(write([remove(key("a"))]), 20);
  }
}

test("where nobody tells, every write is taken, and none waits", () => {
  const disk = new DiskSpace(null, new FakeTimers(), new DiskKnowledge());
  const database = { spareBytes: 0, notePeak: () => undefined };
  const room = new Room({ sql: { databaseSize: 0 }, database, disk, limit: Number.POSITIVE_INFINITY });
  expect(room.refusal(write([set(key("a"), new Uint8Array(1))]), GIB)).toBeNull();
});

test("with plenty free only the first write waits, and it is asked again once a second, beside the writes", async () => {
  const disk = new TestDisk(100 * GIB);
  expect(await disk.set()).toBeNull();
  for (let i = 0; i < 1000; i++) expect(disk.set()).toBeNull();
  expect(disk.asked).toBe(1);
  disk.time.advance(1_000);
  for (let i = 0; i < 1000; i++) expect(disk.set()).toBeNull();
  await turns();
  expect(disk.asked).toBe(2);
  // After a pause the first write goes by what was known before it.
  disk.time.advance(3_600_000);
  disk.free = 0;
  expect(disk.set()).toBeNull();
  await turns();
  expect(await disk.set()).toMatchObject({ code: "insufficient-storage" });
});

test("what is written meanwhile is reckoned with, so that a burst does not pass the reserve before the next answer", async () => {
  const disk = new TestDisk(2 * GIB);
  expect(await disk.set()).toBeNull();
  let written = 0;
  for (; written < 4 * GIB; written += 8 * MIB) {
    const waits = disk.set(8 * MIB);
    if (waits === null) continue;
    expect(disk.asked, "then it is asked").toBe(2);
    expect(await waits, "and was not all written yet").toBeNull();
    break;
  }
  expect(2 * written).toBeLessThan(2 * GIB - RESERVE);
  expect(2 * written).toBeGreaterThan(GIB);
});

test("near the reserve a write goes by figures that are fresh, and is refused only by those of its own moment", async () => {
  const disk = new TestDisk(RESERVE + 10 * MIB);
  expect(await disk.set(MIB)).toBeNull();
  expect(disk.set(MIB)).toBeNull();
  disk.time.advance(199);
  expect(disk.set(MIB)).toBeNull();
  expect(disk.asked).toBe(1);
  disk.time.advance(1);
  disk.free = RESERVE + MIB;
  const refused = await disk.set(MIB);
  expect(refused).toMatchObject({ code: "insufficient-storage" });
  expect(refused?.message).toMatch(/^The disk of the server is nearly full: 65 MiB are free, and writes leave 64 MiB/);
  expect(disk.asked).toBe(2);
  disk.time.advance(20);
  disk.free = GIB;
  expect(await disk.set(MIB), "there is room again at once").toBeNull();
});

test("deletes go on below the reserve, down to its last share, where nothing is written any more (W32)", async () => {
  const disk = new TestDisk(RESERVE - 1);
  expect(await disk.set()).toMatchObject(diskIsNearlyFull({ free: RESERVE - 1, reserve: RESERVE }));
  expect(await disk.remove()).toBeNull();
  disk.time.advance(200);
  disk.free = RESERVE / 16 - 1;
  expect(await disk.remove()).toMatchObject(diskIsFull({ free: RESERVE / 16 - 1, reserve: RESERVE }));
});

test("a write of checks alone counts as a delete, one that also sets as a set", async () => {
  const disk = new TestDisk(RESERVE - 1);
  const checks: AtomicWrite = { checks: [{ key: key("a"), version: null }], mutations: [], enqueues: [] };
  expect(await disk.room.refusal(checks, 20)).toBeNull();
  const mixed: Mutation[] = [remove(key("a")), set(key("b"), new Uint8Array(1))];
  expect(await disk.room.refusal(write(mixed), 20)).toMatchObject({ code: "insufficient-storage" });
});

test("what was deleted from a database can be written again, by it alone", async () => {
  const disk = new TestDisk(RESERVE - 1);
  expect(await disk.remove()).toBeNull();
  expect(disk.database.peaks, "its size is noted before").toBe(1);
  disk.database.spareBytes = 10 * MIB;
  expect(await disk.set(4 * MIB)).toBeNull();
  expect(await disk.set(6 * MIB)).toMatchObject({ code: "insufficient-storage" });
  const neighbour = new Room({
    sql: disk.sql,
    database: { spareBytes: 0, notePeak: () => undefined },
    disk: disk.disk,
    limit: Number.POSITIVE_INFINITY,
  });
  expect(await neighbour.refusal(write([set(key("a"), new Uint8Array(1))]), 100)).toMatchObject({
    code: "insufficient-storage",
  });
  disk.free = 0;
  disk.time.advance(200);
  expect(await disk.set(4 * MIB), "but not on a disk that takes nothing").toMatchObject(
    diskIsFull({ free: 0, reserve: RESERVE }),
  );
});

test("jobs leave twice the reserve, less what their database's file has free", async () => {
  const disk = new TestDisk(2 * RESERVE + 10 * MIB);
  expect(await disk.room.refusalOfJob(10 * MIB)).toBeNull();
  const refused = await disk.room.refusalOfJob(11 * MIB);
  expect(refused).toMatchObject({ code: "insufficient-storage" });
  expect(refused?.message).toMatch(
    /this needs about 11 MiB and leaves 128 MiB for other databases, and 138 MiB are free/,
  );
  disk.database.spareBytes = MIB;
  expect(await disk.room.refusalOfJob(11 * MIB)).toBeNull();
  disk.database.spareBytes = 0;
  for (let taken = 0; taken < 10; taken++) expect(disk.room.takeForJob(MIB)).toBeNull();
  expect(disk.room.takeForJob(MIB), "by its own reckoning, between two answers").toMatchObject({
    code: "insufficient-storage",
  });
  expect(disk.asked).toBe(1);
});

test("a keeper that is gone stops nobody, and is asked until it is back; the log has one line", async () => {
  const lines = vi.spyOn(console, "error").mockImplementation(() => undefined);
  const disk = new TestDisk(GIB);
  expect(await disk.set()).toBeNull();
  disk.broken = true;
  disk.free = 0;
  disk.time.advance(1_000);
  for (let i = 0; i < 5; i++) {
    expect(disk.set()).not.toMatchObject({ code: "insufficient-storage" });
    await turns();
  }
  expect(lines.mock.calls).toHaveLength(1);
  lines.mockRestore();
  disk.broken = false;
  expect(await disk.set()).toMatchObject({ code: "insufficient-storage" });
});

test("a clock that is set back does not keep old figures alive", async () => {
  const disk = new TestDisk(RESERVE + 10 * MIB);
  expect(await disk.set()).toBeNull();
  disk.time.advance(-3_600_000);
  disk.free = 0;
  expect(await disk.set()).toMatchObject({ code: "insufficient-storage" });
});

test("figures are those of all objects, and are asked for by each where it must wait", async () => {
  const disk = new TestDisk(RESERVE - 1);
  const [one, other] = [disk.another(), disk.another()];
  const refusals = await Promise.all(
    [one, other].map(async (room) => room.refusal(write([set(key("a"), new Uint8Array(1))]), 1)),
  );
  expect(refusals.map((refused) => refused?.code)).toEqual(["insufficient-storage", "insufficient-storage"]);
  expect(disk.asked).toBe(2);
});

test("a database of its platform's size takes deletes alone, and writes again once there are enough of them (W33)", async () => {
  const limit = 100 * MIB;
  const disk = new TestDisk(100 * GIB, limit);
  expect(await disk.set()).toBeNull();
  disk.sql.databaseSize = limit - 10 * MIB;
  for (let i = 0; i < 200; i++) expect(disk.set(MIB / 2)).toBeNull();
  expect(disk.set(MIB), "it is looked at when it may have grown so far, and has not").toBeNull();
  disk.sql.databaseSize = limit - MIB;
  const refused = disk.set(8 * MIB);
  expect(refused).toMatchObject({ code: "insufficient-storage" });
  expect(refused).toMatchObject({
    message: expect.stringMatching(/^The database is full: it has 99 MiB, and the limit is 100 MiB/),
  });
  expect(await disk.room.refusalOfJob(8 * MIB)).toEqual(refused);
  expect(disk.room.takeForJob(8 * MIB)).toEqual(refused);
  expect(disk.remove()).toBeNull();
  disk.sql.databaseSize = limit / 2;
  expect(disk.set(8 * MIB)).toBeNull();
});

test("a keeper that does not answer is given a second", async () => {
  const time = new FakeTimers();
  let signal: AbortSignal | null | undefined;
  const silent: Pick<Fetcher, "fetch"> = {
    fetch: (_: unknown, init?: RequestInit) => {
      signal = init?.signal;
      return new Promise(() => undefined);
    },
  };
  const outcome = askDisk(silent, time)?.().catch(String);
  time.advance(999);
  expect(signal?.aborted).toBe(false);
  time.advance(1);
  expect(await outcome).toBe("Error: there was no answer within 1000 ms");
  expect(signal?.aborted).toBe(true);
});
