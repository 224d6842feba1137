/** Writes that wait for their turn at a key, and levels of keys, at the engine. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { compareBytes, toHex } from "../../src/core/bytes.ts";
import type { AgeCondition } from "../../src/codec/record.ts";
import { rangeOfRecords } from "../../src/codec/record.ts";
import { asVersion } from "../../src/core/versionstamp.ts";
import { Database } from "../../src/engine/database.ts";
import type { Arrival } from "../../src/engine/arrivals.ts";
import { SideState } from "../../src/engine/side-state.ts";
import type { EngineWrite } from "../../src/engine/turns.ts";
import { CountingStorage } from "../support/counting-storage.ts";
import { derived, key, MovableClock, remove, set, withStorage, write } from "../support/workerd/engine.ts";

const a = key("kvs", "a");
const value = new Uint8Array(60).fill(7);
const later = 1_900_000_000_000;
const always: AgeCondition = { operator: ">=", unixtimeMs: 0 };
const never: AgeCondition = { operator: "<", unixtimeMs: 0 };

const atTurn = (arrival: Arrival, condition = always, mutation = set(a, value)): EngineWrite => ({
  ...write([mutation]),
  turn: { arrival, condition },
});

async function withDatabase(work: (database: Database, clock: MovableClock, storage: CountingStorage) => void) {
  await withStorage((inner) => {
    const clock = new MovableClock();
    const storage = new CountingStorage(inner);
    const database = new Database({ storage, clock });
    // The versionstamp mark is paid here.
    database.commit([write([set(key("warm"), value)])]);
    work(database, clock, storage);
  });
}

const lost = (turn: "overtaken" | "condition") => ({ ok: false, failedChecks: [], turn });

describe("a write at its turn (A12)", () => {
  test("writes where there is nothing, whatever its condition (A11)", async () => {
    await withDatabase((database) => {
      const [outcome] = database.commit([atTurn(database.arrivals.arrive(a), never)]);
      expect(outcome).toMatchObject({ ok: true });
    });
  });

  test("is judged by the age of what is there, to the millisecond (A11)", async () => {
    await withDatabase((database, clock) => {
      database.commit([write([set(a, value)])]);
      const wroteAt = clock.time;
      clock.time += 1000;
      const judged = (operator: AgeCondition["operator"], unixtimeMs: number) =>
        database.lostTurn(atTurn(database.arrivals.arrive(a), { operator, unixtimeMs }));
      expect(judged("=", wroteAt)).toBeNull();
      expect(judged("<", wroteAt + 1)).toBeNull();
      expect(judged("<", wroteAt)).toBe("condition");
      expect(judged(">", wroteAt)).toBe("condition");
      const [outcome] = database.commit([atTurn(database.arrivals.arrive(a), { operator: "<", unixtimeMs: wroteAt })]);
      expect(outcome).toEqual(lost("condition"));
    });
  });

  test("finds nothing where the entry has expired (A2)", async () => {
    await withDatabase((database, clock) => {
      database.commit([write([set(a, value, { expiresAt: clock.time + 5 })])]);
      clock.time += 5;
      const [outcome] = database.commit([atTurn(database.arrivals.arrive(a), never)]);
      expect(outcome).toMatchObject({ ok: true });
    });
  });

  test("of those in one group one writes, and the others were overtaken, before their condition is looked at", async () => {
    await withDatabase((database) => {
      const arrivals = Array.from({ length: 50 }, () => database.arrivals.arrive(a));
      const [first, ...others] = database.commit(arrivals.map((arrival, i) => atTurn(arrival, i % 2 ? never : always)));
      expect(first).toMatchObject({ ok: true });
      expect(others).toEqual(Array.from({ length: 49 }, () => lost("overtaken")));
      // Until the answer may be sent, the first one is under way.
      expect(database.commit([atTurn(database.arrivals.arrive(a))])).toEqual([lost("overtaken")]);
      for (const arrival of arrivals) database.arrivals.leave(arrival);
    });
  });

  test("is under way until it leaves, whoever else still waits", async () => {
    await withDatabase((database) => {
      const [first, second] = [database.arrivals.arrive(a), database.arrivals.arrive(a)];
      database.commit([atTurn(first)]);
      expect(database.arrivals.arrive(a).isOvertaken).toBe(true);
      database.arrivals.leave(first);
      expect(database.arrivals.arrive(a).isOvertaken).toBe(false);
      expect(second.isOvertaken).toBe(true);
    });
  });

  test("of another key is not overtaken", async () => {
    await withDatabase((database) => {
      const [one, other] = [database.arrivals.arrive(a), database.arrivals.arrive(key("kvs", "b"))];
      const outcomes = database.commit([atTurn(one), atTurn(other, always, set(key("kvs", "b"), value))]);
      expect(outcomes.map(({ ok }) => ok)).toEqual([true, true]);
    });
  });

  test.each<[string, (database: Database) => void]>([
    ["a set", (database) => void database.commit([write([set(a, value)])])],
    ["a delete", (database) => void database.commit([write([remove(a)])])],
    [
      "a delete of a range",
      (database) => void database.deleteWithin({ start: a, end: key("kvs", "b") }, 10, () => undefined),
    ],
  ])("is overtaken by %s of its key, of whatever door", async (_, change) => {
    await withDatabase((database) => {
      database.commit([write([set(a, value)])]);
      const arrival = database.arrivals.arrive(a);
      change(database);
      expect(database.commit([atTurn(arrival)])).toEqual([lost("overtaken")]);
      // One that arrives afterwards is not.
      database.arrivals.leave(arrival);
      expect(database.commit([atTurn(database.arrivals.arrive(a))])).toMatchObject([{ ok: true }]);
    });
  });

  test("is overtaken by a state that takes the database's place", async () => {
    await withStorage((storage) => {
      const database = new Database({ storage, clock: new MovableClock() });
      const arrival = database.arrivals.arrive(a);
      const side = new SideState(storage);
      side.begin("job");
      database.adopt(side, { entries: 0, floor: asVersion(1), prefix: null }, () => undefined);
      expect(database.commit([atTurn(arrival)])).toEqual([lost("overtaken")]);
    });
  });

  test("costs the same however many wait at its key", async () => {
    await withDatabase((database) => {
      const arrivals = Array.from({ length: 50_000 }, () => database.arrivals.arrive(a));
      for (let i = 0; i < 2_000; i++) database.commit([write([set(a, value)])]);
      expect(arrivals.every(({ isOvertaken }) => isOvertaken)).toBe(true);
      for (const arrival of arrivals) database.arrivals.leave(arrival);
      expect(database.arrivals.arrive(a).isOvertaken).toBe(false);
    });
  });

  test("is not overtaken by what was there before, by a delete of nothing, nor by the removal of what had expired", async () => {
    await withDatabase((database, clock) => {
      database.commit([write([set(a, value, { expiresAt: clock.time + 5 })])]);
      const arrival = database.arrivals.arrive(a);
      clock.time += 5;
      expect(database.deleteExpired(10)).toBe(1);
      database.commit([write([remove(a)])]);
      expect(database.commit([atTurn(arrival, never)])).toMatchObject([{ ok: true }]);
    });
  });

  test("is not overtaken by a commit that was undone", async () => {
    await withStorage((inner) => {
      // The first write of the group goes through, and the second one undoes both. Then each fails alone.
      let applied = 0;
      let isBroken = true;
      const apply = (): void => {
        applied += 1;
        if (isBroken && applied > 1) throw new Error("the disk is full");
      };
      const database = new Database({ storage: inner, clock: new MovableClock(), derivedTables: derived({ apply }) });
      const [arrival, other] = [database.arrivals.arrive(a), database.arrivals.arrive(a)];
      const failed = database.commit([atTurn(other), write([set(key("b"), value)])]);
      expect([failed.map(({ ok }) => ok), applied]).toEqual([[false, false], 4]);
      isBroken = false;
      expect(database.arrivals.arrive(a).isOvertaken).toBe(false);
      expect(database.commit([atTurn(arrival)])).toMatchObject([{ ok: true }]);
      expect(database.commit([atTurn(other)])).toEqual([lost("overtaken")]);
    });
  });

  test.each([
    { what: "a new record that expires", before: [], arrives: always, rows: { read: 0, written: 2 } },
    { what: "a record that is renewed", before: [set(a, value)], arrives: always, rows: { read: 2, written: 2 } },
    { what: "a condition that does not hold", before: [set(a, value)], arrives: never, rows: { read: 1, written: 0 } },
  ])("reads and writes exactly its rows: $what (A16)", async ({ before, arrives, rows }) => {
    await withDatabase((database, _, storage) => {
      if (before.length > 0) database.commit([write(before)]);
      const waiting = atTurn(database.arrivals.arrive(a), arrives, set(a, value, { expiresAt: later }));
      expect(storage.count(() => void database.commit([waiting]))).toEqual(rows);
    });
  });

  test("that was overtaken reads and writes nothing (A16)", async () => {
    await withDatabase((database, _, storage) => {
      const arrival = database.arrivals.arrive(a);
      database.commit([write([set(a, value)])]);
      expect(storage.count(() => void database.commit([atTurn(arrival)]))).toEqual({ read: 0, written: 0 });
    });
  });
});

describe("a level of keys (A14)", () => {
  const parent = key("kvs");
  const bounds = { limit: 10, maxBytes: 1_000_000, maxJumps: 100, keysOnly: false };
  const page = (database: Database, more: Partial<typeof bounds> = {}, start = rangeOfRecords(parent).start) =>
    database.readLevel(parent, { start, end: rangeOfRecords(parent).end }, { ...bounds, ...more });

  const fill = (database: Database) => {
    const deeper = ["a", "c", "x"].flatMap((name) => Array.from({ length: 20 }, (_, i) => key("kvs", name, `${i}`)));
    const mutations = ["a", "b", "c", "d"].map((name) => set(key("kvs", name), value));
    const strangers = [key("kvs", 1), key("kvs", true), key("kvs"), key("kvz", "a")];
    database.commit([write([...mutations, ...[...deeper, ...strangers].map((one) => set(one, value))])]);
  };

  test("has the keys with one part more, in their order, and jumps over what lies below", async () => {
    await withDatabase((database, _, storage) => {
      fill(database);
      const { entries, next } = page(database);
      expect(entries.map((entry) => entry.key)).toEqual(["a", "b", "c", "d"].map((name) => key("kvs", name)));
      expect(next).toBeNull();
      expect(storage.count(() => void page(database, { keysOnly: true })).read).toBeLessThan(30);
    });
  });

  test("comes in pages that together have each key once, whatever ends them", async () => {
    await withDatabase((database) => {
      fill(database);
      for (const more of [{ limit: 1 }, { limit: 3 }, { maxBytes: 1 }, { maxJumps: 1 }]) {
        const found: Uint8Array[] = [];
        let from: Uint8Array | null = rangeOfRecords(parent).start;
        for (let pages = 0; from !== null && pages < 10; pages++) {
          const { entries, next } = page(database, more, from);
          found.push(...entries.map((entry) => entry.key));
          from = next;
        }
        expect(found).toEqual(["a", "b", "c", "d"].map((name) => key("kvs", name)));
        expect(from).toBeNull();
      }
    });
  });

  test("is what a naive look at all keys finds, whatever is stored and however it is paged", async () => {
    const name = fc.constantFrom("", "a", "a\0", "aa", "b", "\uffff");
    const anyPart = fc.oneof({ weight: 5, arbitrary: name }, { weight: 1, arbitrary: fc.constantFrom(1, true, 5n) });
    const stored = fc.array(fc.tuple(fc.constantFrom("kvs", "kvs\0", "kv"), fc.array(anyPart, { maxLength: 3 })));
    const paging = fc.record({
      limit: fc.integer({ min: 1, max: 5 }),
      maxBytes: fc.constantFrom(1, 130, 1_000_000),
      maxJumps: fc.integer({ min: 1, max: 3 }),
      keysOnly: fc.boolean(),
    });
    await fc.assert(
      fc.asyncProperty(stored, fc.constantFrom([], ["a"], ["a", "b"]), paging, async (keys, inner, more) => {
        await withDatabase((database) => {
          const all = [
            ...new Map(keys.map(([first, rest]) => [toHex(key(first, ...rest)), [first, ...rest]])).values(),
          ];
          database.commit([write(all.map((parts) => set(key(...parts), value)))]);
          const level = ["kvs", ...inner];
          const wanted = all
            .filter((parts) => parts.length === level.length + 1 && level.every((one, i) => parts[i] === one))
            .filter((parts) => typeof parts.at(-1) === "string")
            .map((parts) => key(...parts))
            .toSorted(compareBytes);
          const { start, end } = rangeOfRecords(key(...level));
          const found: Uint8Array[] = [];
          let from: Uint8Array | null = start;
          for (let pages = 0; from !== null && pages < 300; pages++) {
            const part = database.readLevel(key(...level), { start: from, end }, more);
            found.push(...part.entries.map((entry) => entry.key));
            from = part.next;
          }
          expect(found).toEqual(wanted);
          expect(from).toBeNull();
        });
      }),
      { numRuns: 100 },
    );
  });

  test("reads a row for each entry and one more, where nothing lies below (A16)", async () => {
    await withDatabase((database, _, storage) => {
      database.commit([write(Array.from({ length: 20 }, (__, i) => set(key("kvs", `${i}`), value)))]);
      expect(storage.count(() => void page(database))).toEqual({ read: 11, written: 0 });
      expect(storage.count(() => void page(database, { limit: 20 }))).toEqual({ read: 21, written: 0 });
    });
  });
});
