/** A frozen state is the state of its version, whatever is committed while it is read, also after a restart in between. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { Database } from "../../src/engine/database.ts";
import type { StoredEntry } from "../../src/core/operations.ts";
import { key, MovableClock, remove, set, text, withStorage, write } from "../support/workerd/engine.ts";
import { describe as described } from "../support/workerd/restore.ts";

const all = { maxBytes: Number.POSITIVE_INFINITY, maxEntries: 1_000_000 };

/** Large values lie in a table of their own. */
const valueOf = (size: number, fill: number) => text(String(fill).padEnd(size, "."));

const step = fc.oneof(
  { weight: 4, arbitrary: fc.record({ type: fc.constant("set"), i: fc.nat(30), size: fc.constantFrom(3, 1_500) }) },
  { weight: 2, arbitrary: fc.record({ type: fc.constant("delete"), i: fc.nat(30), size: fc.constant(0) }) },
  { weight: 3, arbitrary: fc.record({ type: fc.constant("read"), i: fc.nat(6), size: fc.constant(0) }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant("restart"), i: fc.nat(1), size: fc.constant(0) }) },
);

test("reading a frozen state in pages gives what was stored at its version, for any commits and restarts meanwhile", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.tuple(fc.nat(30), fc.constantFrom(3, 1_500)), { maxLength: 40 }),
      fc.array(step, { maxLength: 60 }),
      (before, steps) =>
        withStorage((storage) => {
          const clock = new MovableClock();
          let database = new Database({ storage, clock });
          let fill = 0;
          const put = (i: number, size: number): void => {
            fill += 1;
            // Now and then two changes in one commit, of the same key too.
            const mutations = [
              set(key("k", i), valueOf(size, fill)),
              ...(fill % 3 === 0 ? [remove(key("k", i + 1))] : []),
            ];
            expect(database.commit([write(mutations)])[0]?.ok).toBe(true);
            clock.time += 1;
          };
          for (const [i, size] of before) put(i, size);
          const wanted = described(database.scan(null, all));
          const version = database.freeze();
          const found: StoredEntry[] = [];
          let after: Uint8Array | null = null;
          let ended = false;
          // Returns whether there may be more.
          const page = (maxEntries: number): boolean => {
            if (ended) return false;
            const { entries, upTo } = database.frozen.scan(after, { maxBytes: 2_000, maxEntries });
            expect(entries.length).toBeLessThanOrEqual(maxEntries);
            found.push(...entries);
            after = upTo;
            ended = upTo === null;
            return !ended;
          };
          for (const { type, i, size } of steps) {
            if (type === "set") put(i, size);
            if (type === "delete") database.commit([write([remove(key("k", i))])]);
            if (type === "read") page(i + 1);
            if (type === "restart") database = new Database({ storage, clock });
          }
          while (page(3));
          expect(database.frozen.version).toBe(version);
          expect(found.map(({ key: one }) => String(one))).toEqual([
            ...new Set(found.map(({ key: one }) => String(one))),
          ]);
          expect(described(found)).toBe(wanted);
          database.frozen.end();
          const left = storage.sql.exec("SELECT name FROM sqlite_schema WHERE name LIKE '%frozen%'").toArray();
          expect(left).toEqual([]);
        }),
    ),
    { numRuns: 60 },
  );
});

test("a page has no more entries than it may, also when half of them were deleted meanwhile", async () => {
  await withStorage((storage) => {
    const database = new Database({ storage, clock: new MovableClock() });
    const keys = Array.from({ length: 10 }, (_, i) => key("k", i));
    database.commit([write(keys.map((one) => set(one, text("v"))))]);
    database.freeze();
    database.commit([write(keys.filter((_, i) => i % 2 === 1).map(remove))]);
    const sizes: number[] = [];
    const found: Uint8Array[] = [];
    for (let after: Uint8Array | null | undefined; after !== null;) {
      const page = database.frozen.scan(after ?? null, { maxBytes: 1_000_000, maxEntries: 4 });
      sizes.push(page.entries.length);
      found.push(...page.entries.map((entry) => entry.key));
      after = page.upTo;
    }
    expect(found).toEqual(keys);
    expect(Math.max(...sizes)).toBe(4);
  });
});

test("a commit copies an entry once, and none that was read already; expired entries are left out", async () => {
  await withStorage((storage) => {
    const clock = new MovableClock();
    const database = new Database({ storage, clock });
    database.commit([write([set(key("a"), text("1")), set(key("z"), text("1"))])]);
    database.commit([write([set(key("m"), text("1"), { expiresAt: clock.time + 10 })])]);
    clock.time += 20;
    database.freeze();
    const copies = () => storage.sql.exec<{ n: number }>("SELECT count(*) AS n FROM entries_frozen").one().n;
    for (const value of ["2", "3"]) database.commit([write([set(key("z"), text(value))])]);
    database.commit([write([set(key("new"), text("1"))])]);
    expect(copies()).toBe(1);
    const { entries, upTo } = database.frozen.scan(null, { maxBytes: 1_000, maxEntries: 1 });
    expect(entries.map((one) => one.key)).toEqual([key("a")]);
    expect(upTo).toEqual(key("a"));
    database.frozen.scan(upTo, { maxBytes: 1_000, maxEntries: 1 });
    database.commit([write([set(key("a"), text("2"))])]);
    expect(copies()).toBe(1);
    const rest = database.frozen.scan(upTo, { maxBytes: 1_000, maxEntries: 10 });
    expect(rest.entries.map((one) => [one.key, one.value])).toEqual([[key("z"), text("1")]]);
  });
});
