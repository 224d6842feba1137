import { expect, test } from "vitest";
import { Database } from "../../src/engine/database.ts";
import type { AtomicWrite } from "../../src/core/operations.ts";
import { NO_VERSION } from "../../src/core/versionstamp.ts";
import { CountingStorage, type Rows } from "../support/counting-storage.ts";
import {
  key,
  MovableClock,
  numeric,
  point,
  prefix,
  remove,
  set,
  u64,
  withStorage,
  write,
} from "../support/workerd/engine.ts";

const small = new Uint8Array(60).fill(7);
const other = new Uint8Array(60).fill(8);
const large = new Uint8Array(4000).fill(9);
const larger = new Uint8Array(5000).fill(9);
const later = 1_900_000_000_000;
const count = key("count");
const a = key("a");

/** [what it is, what was there before, the write, its rows without a log reader] */
const writes: [string, AtomicWrite[], AtomicWrite, Rows][] = [
  ["a set of a new key", [], write([set(a, small)]), { read: 0, written: 1 }],
  ["an overwrite", [write([set(a, small)])], write([set(a, other)]), { read: 1, written: 1 }],
  ["a set with an expiry", [], write([set(a, small, { expiresAt: later })]), { read: 0, written: 2 }],
  [
    "an overwrite with an expiry",
    [write([set(a, small)])],
    write([set(a, other, { expiresAt: later })]),
    { read: 1, written: 2 },
  ],
  [
    "an overwrite that ends an expiry",
    [write([set(a, small, { expiresAt: later })])],
    write([set(a, other)]),
    { read: 1, written: 1 },
  ],
  ["a set of a large value", [], write([set(a, large)]), { read: 1, written: 2 }],
  [
    "an overwrite of a large value by a large one",
    [write([set(a, large)])],
    write([set(a, larger)]),
    { read: 3, written: 2 },
  ],
  [
    "an overwrite of a large value by a small one",
    [write([set(a, large)])],
    write([set(a, small)]),
    { read: 4, written: 2 },
  ],
  [
    "an overwrite of a small value by a large one",
    [write([set(a, small)])],
    write([set(a, large)]),
    { read: 3, written: 2 },
  ],
  ["a set of a large value with an expiry", [], write([set(a, large, { expiresAt: later })]), { read: 1, written: 3 }],
  ["a delete", [write([set(a, small)])], write([remove(a)]), { read: 1, written: 1 }],
  [
    "a delete of an entry with an expiry",
    [write([set(a, small, { expiresAt: later })])],
    write([remove(a)]),
    { read: 1, written: 1 },
  ],
  ["a delete of a large value", [write([set(a, large)])], write([remove(a)]), { read: 4, written: 2 }],
  ["a sum of a new key", [], write([numeric("sum", count, u64(1n))]), { read: 0, written: 1 }],
  [
    "a sum",
    [write([numeric("sum", count, u64(1n))])],
    write([numeric("sum", count, u64(1n))]),
    { read: 2, written: 1 },
  ],
  ["a checked set", [], write([set(a, small)], [{ key: a, version: null }]), { read: 0, written: 1 }],
  ["ten sets", [], write(Array.from({ length: 10 }, (_, i) => set(key("n", i), small))), { read: 0, written: 10 }],
  [
    "ten overwrites",
    [write(Array.from({ length: 10 }, (_, i) => set(key("n", i), small)))],
    write(Array.from({ length: 10 }, (_, i) => set(key("n", i), other))),
    { read: 10, written: 10 },
  ],
];

/** [what it is, what was there before, the write, the rows that it reads] */
const nothing: [string, AtomicWrite[], AtomicWrite, number][] = [
  ["a delete of nothing", [], write([remove(a)]), 0],
  ["a check alone", [], write([], [{ key: a, version: null }]), 0],
  ["a failed check", [write([set(a, small)])], write([set(a, other)], [{ key: a, version: null }]), 1],
];

async function rowsOf(before: AtomicWrite[], measured: AtomicWrite, withLog: boolean): Promise<Rows> {
  return withStorage(async (inner) => {
    const storage = new CountingStorage(inner);
    const database = new Database({ storage, clock: new MovableClock() });
    if (withLog) database.log.register("reader", NO_VERSION);
    // The readers are counted again and again until the transaction that changed them is over.
    await Promise.resolve();
    // The versionstamp mark is paid here, ahead of what is measured.
    database.commit([write([set(key("warm"), small)]), ...before]);
    return storage.count(() => void database.commit([measured]));
  });
}

test.each(writes)("%s reads and writes exactly its budget (W35)", async (_name, before, measured, rows) => {
  expect(await rowsOf(before, measured, false)).toEqual(rows);
});

test.each(writes)(
  "%s with a log reader reads and writes one row more (B47)",
  async (_name, before, measured, { read, written }) => {
    expect(await rowsOf(before, measured, true)).toEqual({ read: read + 1, written: written + 1 });
  },
);

test.each(nothing)("%s writes nothing, with a log reader neither (W35)", async (_name, before, measured, read) => {
  expect(await rowsOf(before, measured, false)).toEqual({ read, written: 0 });
  expect(await rowsOf(before, measured, true)).toEqual({ read, written: 0 });
});

test("the versionstamp mark is one row for five seconds of writing (W35)", async () => {
  await withStorage((inner) => {
    const storage = new CountingStorage(inner);
    const clock = new MovableClock();
    const database = new Database({ storage, clock });
    const rows = storage.count(() => {
      for (let i = 0; i < 100; i++) {
        database.commit([write([set(a, i % 2 === 0 ? small : other)])]);
        clock.time += 49;
      }
    });
    expect(rows.written).toBe(100 + 1);
    clock.time += 200;
    expect(storage.count(() => void database.commit([write([set(a, small)])])).written).toBe(1 + 1);
    // A restart with the clock set back: versions are counted on from the mark, and a mark is enough for a thousand.
    clock.time -= 3_600_000;
    const restarted = new Database({ storage, clock });
    const counted = storage.count(() => {
      for (let i = 0; i < 3_000; i++) restarted.commit([write([set(a, i % 2 === 0 ? other : small)])]);
    });
    expect(counted.written).toBeLessThanOrEqual(3_000 + 3);
  });
});

test("reads read what they give: a get 1 (2 if large), a full page n, one that reaches the end of its range at most n + 1 (R21)", async () => {
  await withStorage((inner) => {
    const storage = new CountingStorage(inner);
    const clock = new MovableClock();
    const database = new Database({ storage, clock });
    const list = key("list");
    database.commit([
      write([
        ...Array.from({ length: 20 }, (_, i) => set(key("list", i), i === 3 ? large : small)),
        set(key("list", 10), small, { expiresAt: clock.time + 10 }),
        set(key("m"), small),
      ]),
    ]);
    const read = (...ranges: Parameters<Database["read"]>[0]) =>
      storage.count(() => void database.read(ranges, 1_000_000)).read;

    expect(read(point(key("list", 1)))).toBe(1);
    expect(read(point(key("list", 3)))).toBe(2);
    expect(read(point(key("nothing")))).toBe(0);
    expect(read(...Array.from({ length: 10 }, (_, i) => point(key("list", i))))).toBe(11);
    expect(read(prefix(list, 10))).toBe(11);
    expect(read(prefix(list, 3))).toBe(3);
    expect(read(prefix(list, 10, true))).toBe(10);
    expect(read(prefix(list, 100))).toBe(22);
    expect(read(prefix(list, 100, true))).toBeLessThanOrEqual(22);
    clock.time += 10;
    // The expired entry is not given and still read.
    expect(read(prefix(key("list"), 8, true))).toBe(8);
    expect(read(prefix(key("list"), 12, true))).toBe(13);
    expect(storage.count(() => void database.read([prefix(list, 100)], 1_000_000)).written).toBe(0);
  });
});

test("deleting expired entries writes a row for each", async () => {
  await withStorage((inner) => {
    const storage = new CountingStorage(inner);
    const clock = new MovableClock();
    const database = new Database({ storage, clock });
    database.commit([write(Array.from({ length: 20 }, (_, i) => set(key(i), small, { expiresAt: clock.time + 5 })))]);
    clock.time += 5;
    expect(storage.count(() => expect(database.deleteExpired(15)).toBe(15)).written).toBe(15);
    expect(storage.count(() => expect(database.deleteExpired(15)).toBe(5)).written).toBe(5);
    expect(storage.count(() => expect(database.deleteExpired(15)).toBe(0)).written).toBe(0);
  });
});
