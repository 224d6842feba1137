/** Counts of a range, made in slices beside writes. */
import { expect, test } from "vitest";
import fc from "fast-check";
import { Database } from "../../src/engine/database.ts";
import { CountingStorage } from "../support/counting-storage.ts";
import { key, MovableClock, prefix, remove, set, text, withStorage, write } from "../support/workerd/engine.ts";

const keyOf = (i: number) => key("n", i);
const range = { start: keyOf(3), end: keyOf(23) };

type Step =
  | { readonly do: "set"; readonly at: number; readonly expiresIn: number | null }
  | { readonly do: "delete"; readonly at: number }
  | { readonly do: "pass"; readonly ms: number }
  | { readonly do: "tidy" }
  | { readonly do: "slice" };

const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({
    do: fc.constant("set" as const),
    at: fc.nat(25),
    expiresIn: fc.option(fc.integer({ min: -1, max: 50 })),
  }),
  fc.record({ do: fc.constant("delete" as const), at: fc.nat(25) }),
  fc.record({ do: fc.constant("pass" as const), ms: fc.nat(30) }),
  fc.constant({ do: "tidy" as const }),
  fc.constant({ do: "slice" as const }),
);

function counted(database: Database): number {
  return database.read([{ ...range, limit: 1000, reverse: false }], 1e6)?.[0]?.length ?? -1;
}

test("a count is that of the moment at which it ends, whatever is written, expires or is deleted meanwhile (H17)", async () => {
  await withStorage((storage) => {
    const clock = new MovableClock();
    const database = new Database({ storage, clock });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const count = database.startCount(range, 3);
        let found: ReturnType<typeof count.next>;
        for (const each of steps) {
          if (each.do === "set") {
            const expiresAt = each.expiresIn === null ? null : clock.time + each.expiresIn;
            database.commit([write([set(keyOf(each.at), text("v"), { expiresAt })])]);
          } else if (each.do === "delete") database.commit([write([remove(keyOf(each.at))])]);
          else if (each.do === "pass") clock.time += each.ms;
          else if (each.do === "tidy") database.deleteExpired(2);
          else found = count.next();
          if (found !== undefined) break;
        }
        while (found === undefined) found = count.next();
        expect(found).toEqual({ count: counted(database), version: database.lastVersion });
      }),
      { numRuns: 200 },
    );
  });
});

test("a count reads each row once and one more at its end, and a page one row more than it gives (H14, H17)", async () => {
  await withStorage((storage) => {
    const counting = new CountingStorage(storage);
    const database = new Database({ storage: counting, clock: new MovableClock() });
    database.commit([write(Array.from({ length: 50 }, (_, i) => set(keyOf(i), text("v"))))]);
    const all = { start: keyOf(0), end: keyOf(50) };
    const count = database.startCount(all, 100);
    expect(counting.count(() => void count.next())).toEqual({ read: 51, written: 0 });
    const page = (limit: number, keysOnly: boolean) =>
      counting.count(() => void database.readPage({ ...all, limit, reverse: false }, { maxBytes: 1e6, keysOnly }));
    expect(page(10, false)).toEqual({ read: 11, written: 0 });
    expect(page(10, true)).toEqual({ read: 11, written: 0 });
    expect(page(100, false)).toEqual({ read: 50, written: 0 });
    expect(page(1, false)).toEqual({ read: 2, written: 0 });
  });
});

test("a delete of a range takes at most so many entries, as one commit, and costs a row each (H18)", async () => {
  await withStorage((storage) => {
    const counting = new CountingStorage(storage);
    const database = new Database({ storage: counting, clock: new MovableClock() });
    database.commit([write(Array.from({ length: 50 }, (_, i) => set(keyOf(i), text("v"))))]);
    const told: [number, Uint8Array | null][] = [];
    const remaining = () => database.read([prefix(key("n"), 1000)], 1e6)?.[0]?.length;
    const rows = counting.count(() => void database.deleteWithin(range, 8, (...said) => void told.push(said)));
    expect(rows.written).toBe(8);
    expect(remaining()).toBe(42);
    expect(database.deleteWithin(range, 100, (...said) => void told.push(said))).toMatchObject({
      deleted: 12,
      next: null,
    });
    expect(told).toEqual([
      [8, Uint8Array.of(...keyOf(10), 0)],
      [12, null],
    ]);
    expect(remaining()).toBe(30);
    expect(database.deleteWithin(range, 100, () => undefined)).toMatchObject({ deleted: 0, next: null });
  });
});
