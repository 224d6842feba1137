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

interface Case {
  readonly what: string;
  /** What was written before. */
  readonly before: AtomicWrite[];
  readonly measured: AtomicWrite;
}

/** With the rows without a log reader. */
const writes: (Case & { readonly rows: Rows })[] = [
  { what: "a set of a new key", before: [], measured: write([set(a, small)]), rows: { read: 0, written: 1 } },
  {
    what: "an overwrite",
    before: [write([set(a, small)])],
    measured: write([set(a, other)]),
    rows: { read: 1, written: 1 },
  },
  {
    what: "a set with an expiry",
    before: [],
    measured: write([set(a, small, { expiresAt: later })]),
    rows: { read: 0, written: 2 },
  },
  {
    what: "an overwrite with an expiry",
    before: [write([set(a, small)])],
    measured: write([set(a, other, { expiresAt: later })]),
    rows: { read: 1, written: 2 },
  },
  {
    what: "an overwrite that ends an expiry",
    before: [write([set(a, small, { expiresAt: later })])],
    measured: write([set(a, other)]),
    rows: { read: 1, written: 1 },
  },
  { what: "a set of a large value", before: [], measured: write([set(a, large)]), rows: { read: 1, written: 2 } },
  {
    what: "an overwrite of a large value by a large one",
    before: [write([set(a, large)])],
    measured: write([set(a, larger)]),
    rows: { read: 3, written: 2 },
  },
  {
    what: "an overwrite of a large value by a small one",
    before: [write([set(a, large)])],
    measured: write([set(a, small)]),
    rows: { read: 4, written: 2 },
  },
  {
    what: "an overwrite of a small value by a large one",
    before: [write([set(a, small)])],
    measured: write([set(a, large)]),
    rows: { read: 3, written: 2 },
  },
  {
    what: "a set of a large value with an expiry",
    before: [],
    measured: write([set(a, large, { expiresAt: later })]),
    rows: { read: 1, written: 3 },
  },
  { what: "a delete", before: [write([set(a, small)])], measured: write([remove(a)]), rows: { read: 1, written: 1 } },
  {
    what: "a delete of an entry with an expiry",
    before: [write([set(a, small, { expiresAt: later })])],
    measured: write([remove(a)]),
    rows: { read: 1, written: 1 },
  },
  {
    what: "a delete of a large value",
    before: [write([set(a, large)])],
    measured: write([remove(a)]),
    rows: { read: 4, written: 2 },
  },
  {
    what: "a sum of a new key",
    before: [],
    measured: write([numeric("sum", count, u64(1n))]),
    rows: { read: 0, written: 1 },
  },
  {
    what: "a sum",
    before: [write([numeric("sum", count, u64(1n))])],
    measured: write([numeric("sum", count, u64(1n))]),
    rows: { read: 2, written: 1 },
  },
  {
    what: "a checked set",
    before: [],
    measured: write([set(a, small)], [{ key: a, version: null }]),
    rows: { read: 0, written: 1 },
  },
  {
    what: "ten sets",
    before: [],
    measured: write(Array.from({ length: 10 }, (_, i) => set(key("n", i), small))),
    rows: { read: 0, written: 10 },
  },
  {
    what: "ten overwrites",
    before: [write(Array.from({ length: 10 }, (_, i) => set(key("n", i), small)))],
    measured: write(Array.from({ length: 10 }, (_, i) => set(key("n", i), other))),
    rows: { read: 10, written: 10 },
  },
];

/** With the rows that are read. */
const nothing: (Case & { readonly read: number })[] = [
  { what: "a delete of nothing", before: [], measured: write([remove(a)]), read: 0 },
  { what: "a check alone", before: [], measured: write([], [{ key: a, version: null }]), read: 0 },
  {
    what: "a failed check",
    before: [write([set(a, small)])],
    measured: write([set(a, other)], [{ key: a, version: null }]),
    read: 1,
  },
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
    const rows = storage.count(() => void database.commit([measured]));
    const stored = inner.sql.exec<{ n: number }>("SELECT count(*) AS n FROM entries").one().n;
    expect(database.counters().entries, "each entry is counted once").toBe(stored);
    return rows;
  });
}

test.each(writes)("$what reads and writes exactly its budget (W35)", async ({ before, measured, rows }) => {
  expect(await rowsOf(before, measured, false)).toEqual(rows);
});

test.each(writes)(
  "$what with a log reader reads and writes one row more (B47)",
  async ({ before, measured, rows: { read, written } }) => {
    expect(await rowsOf(before, measured, true)).toEqual({ read: read + 1, written: written + 1 });
  },
);

test.each(nothing)("$what writes nothing, with a log reader neither (W35)", async ({ before, measured, read }) => {
  expect(await rowsOf(before, measured, false)).toEqual({ read, written: 0 });
  expect(await rowsOf(before, measured, true)).toEqual({ read, written: 0 });
});

test("entries are counted anew by the first request that asks, and by no later one", async () => {
  await withStorage((inner) => {
    const storage = new CountingStorage(inner);
    const database = new Database({ storage, clock: new MovableClock() });
    database.commit([write([set(a, small), set(count, small)])]);
    inner.sql.exec("DELETE FROM entries WHERE k = ?1", a);
    expect(storage.count(() => expect(database.countEntries()).toBe(1)).read).toBe(1);
    expect(storage.count(() => expect(database.countEntries()).toBe(1)).read).toBe(0);
  });
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
