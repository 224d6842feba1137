import { describe, expect, test } from "vitest";
import { compareBytes } from "../../src/core/bytes.ts";
import { asUnixMs } from "../../src/core/clock.ts";
import { hasTable } from "../../src/core/migrations.ts";
import { rangeOfPrefix } from "../../src/codec/key-prefix.ts";
import { Encoding, type Entry, type StoredEntry } from "../../src/core/operations.ts";
import type { SyncStorage } from "../../src/core/storage.ts";
import { asVersion } from "../../src/core/versionstamp.ts";
import { Database } from "../../src/engine/database.ts";
import type { Change } from "../../src/engine/derived-tables.ts";
import { SideState } from "../../src/engine/side-state.ts";
import {
  entryOrNull,
  key,
  MovableClock,
  point,
  prefix,
  remove,
  set,
  text,
  versionOf,
  withStorage,
  write,
} from "../support/workerd/engine.ts";

const a = key("a");
const b = key("b");
const large = new Uint8Array(5000).fill(4);

function entry(name: Uint8Array, value: Uint8Array, version: number, expiresAt: number | null = null): StoredEntry {
  const expiry = expiresAt === null ? null : asUnixMs(expiresAt);
  return { key: name, value, encoding: Encoding.bytes, version: asVersion(version), expiresAt: expiry };
}

function isUnderWay(storage: SyncStorage): boolean {
  return hasTable(storage.sql, "entries_side");
}

test("a state built beside takes the live one's place at once: versionstamps kept, new ones above all, watchers told (S8)", async () => {
  await withStorage((storage) => {
    const clock = new MovableClock();
    const armed: number[] = [];
    const database = new Database({ storage, clock, onExpirySet: (at) => void armed.push(at) });
    const before = versionOf(database.commit([write([set(a, text("live")), set(b, large)])])[0]);
    const told: (readonly (Entry | null)[])[] = [];
    database.watches.add([a], (states) => void told.push(states), { resumed: false }).acknowledge();

    for (const round of ["one", "two"]) {
      const side = new SideState(storage);
      expect(isUnderWay(storage)).toBe(false);
      side.begin(round);
      const gone = { type: "delete", key: key("gone") } as const;
      const later = { type: "set", ...entry(key("later"), text("y"), 14, clock.time + 500) } as const;
      const added = [
        side.load([entry(a, text(round), 10), entry(gone.key, text("x"), 11), entry(key("big"), large, 12)]),
        ...[gone, gone, later, later].map((effect, i) => side.apply(effect, asVersion(13 + i))),
        side.load([entry(key("past"), text("z"), 15, clock.time - 1), entry(a, text(round), 10)]),
      ];
      expect(added).toEqual([3, -1, 0, 1, 0, 1]);
      // Reopened half way, as after a restart.
      const reopened = new SideState(storage);
      expect(isUnderWay(storage)).toBe(true);
      expect(reopened.scan(null, { maxBytes: 1e9, maxEntries: 100 })).toHaveLength(4);
      expect(entryOrNull(database.read([point(a)], 100))?.value).toEqual(text(round === "one" ? "live" : "one"));

      const floor = asVersion(before + 1_000_000_000);
      database.adopt(reopened, { entries: 4, floor, prefix: null }, () => undefined);
      expect(database.counters().entries).toBe(4);
      expect(isUnderWay(storage)).toBe(false);
      expect(entryOrNull(database.read([point(a)], 100))).toMatchObject({ value: text(round), version: 10 });
      expect(entryOrNull(database.read([point(key("big"))], 10_000))?.value).toEqual(large);
      expect(database.read([prefix(key("past"), 10), point(b), point(key("gone"))], 100)).toEqual([[], [], []]);
      expect(armed.at(-1)).toBe(clock.time - 1);
    }
    expect(told).toHaveLength(2);
    const restarted = new Database({ storage, clock });
    expect(restarted.lastVersion, "known before anything is written").toBeGreaterThanOrEqual(before + 1_000_000_000);
    const after = versionOf(database.commit([write([set(a, text("new"))])])[0]);
    expect(after).toBeGreaterThan(before + 1_000_000_000);
    const reopened = new Database({ storage, clock });
    expect(versionOf(reopened.commit([write([])])[0])).toBeGreaterThan(after);
  });
});

test("an adoption that fails leaves the live state and the side as they were", async () => {
  await withStorage((storage) => {
    const database = new Database({ storage, clock: new MovableClock() });
    database.commit([write([set(a, text("live"))])]);
    const side = new SideState(storage);
    side.begin("one");
    side.load([entry(a, text("side"), 1)]);
    const fail = () => {
      throw new Error("no");
    };
    expect(() => database.adopt(side, { entries: 1, floor: asVersion(5), prefix: null }, fail)).toThrow("no");
    expect(database.counters().entries).toBe(1);
    expect(entryOrNull(database.read([point(a)], 100))?.value).toEqual(text("live"));
    expect(side.scan(null, { maxBytes: 100, maxEntries: 100 })).toHaveLength(1);
    side.drop();
    expect(isUnderWay(storage)).toBe(false);
  });
});

test("a scan gives everything stored, in pages, with expiries", async () => {
  await withStorage((storage) => {
    const clock = new MovableClock();
    const database = new Database({ storage, clock });
    database.commit([
      write(Array.from({ length: 25 }, (_, i) => set(key(i), text("v"), { expiresAt: clock.time + 1 + i }))),
    ]);
    clock.time += 10;
    const seen: StoredEntry[] = [];
    for (;;) {
      const page = database.scan(seen.at(-1)?.key ?? null, { maxBytes: 100, maxEntries: 7 });
      if (page.length === 0) break;
      expect(page.length).toBeLessThanOrEqual(7);
      seen.push(...page);
    }
    expect(seen.map(({ key: name }) => name)).toEqual(Array.from({ length: 25 }, (_, i) => key(i)));
    expect(seen[3]?.expiresAt).toBe(clock.time - 10 + 4);
  });
});

test("observers are told what was there and what is, of commits that succeeded", async () => {
  await withStorage((storage) => {
    const database = new Database({ storage, clock: new MovableClock() });
    database.commit([write([set(a, text("1"))])]);
    const seen: Change[] = [];
    const stop = database.observe((changes) => void seen.push(...changes));
    database.commit([write([set(a, text("2")), remove(b)]), write([], [{ key: b, version: asVersion(1) }])]);
    database.commit([write([remove(a)])]);
    stop();
    database.commit([write([set(b, text("3"))])]);
    const values = seen.map(({ before, after }) => [before?.value, after?.value]);
    expect(values).toEqual([
      [text("1"), text("2")],
      [text("2"), undefined],
    ]);
  });
});

test("a marker is a commit in the log that clears the empty key, covered by the version mark", async () => {
  await withStorage((storage) => {
    const clock = new MovableClock();
    const database = new Database({ storage, clock });
    database.log.register("reader", database.lastVersion);
    const marker = database.logMarker();
    expect(database.log.read(asVersion(0), 1000).map(({ version }) => version)).toEqual([marker]);
    expect(versionOf(new Database({ storage, clock }).commit([write([])])[0])).toBeGreaterThan(marker);
  });
});

describe("adopted under a prefix", () => {
  const bounds = { maxBytes: 1e9, maxEntries: 1e6 };

  test("it takes the place of that part and of nothing else, with what is large, and only that part's watchers are told", async () => {
    await withStorage((storage) => {
      const clock = new MovableClock();
      const database = new Database({ storage, clock });
      const under = (...parts: string[]) => key("part", ...parts);
      const others = [key("par"), key("part\u0000"), key("party"), key("a"), key("z", "part")];
      const [write1] = database.commit([
        write([
          ...others.map((other) => set(other, large)),
          set(key("part"), large),
          set(under("same"), large),
          set(under("newer"), text("newer")),
          set(under("smaller"), large),
          set(under("gone"), large),
        ]),
      ]);
      const version = versionOf(write1);
      const told: string[] = [];
      for (const [name, watched] of Object.entries({
        part: under("newer"),
        other: key("party"),
        absent: under("back"),
      })) {
        database.watches.add([watched], () => void told.push(name), { resumed: true });
      }
      const rest = () => database.scan(null, bounds).filter(({ key: one }) => others.some((other) => same(other, one)));
      const restBefore = rest();

      const side = new SideState(storage);
      side.begin("one");
      const soon = clock.time + 500;
      side.load([
        entry(key("part"), text("root"), 5),
        entry(under("same"), large, version),
        entry(under("newer"), large, 6),
        entry(under("smaller"), text("small"), 7),
        entry(under("back"), large, 8, soon),
      ]);
      const want = side.scan(null, bounds);
      const before = database.counters().entries;
      expect(side.measureWithin(rangeOfPrefix(key("part")), 3).replaced).toBe(4);
      const adoption = { entries: 5, floor: asVersion(version + 1_000_000_000), prefix: key("part") };
      database.adopt(side, adoption, (heldUpTo) => expect(heldUpTo).toBeGreaterThanOrEqual(version));

      const stored = database.scan(null, bounds);
      expect(stored.filter(({ key: one }) => !others.some((other) => same(other, one)))).toEqual(want);
      expect(rest()).toEqual(restBefore);
      expect(told.toSorted()).toEqual(["absent", "part"]);
      expect(database.counters().entries).toBe(before);
      expect(new Database({ storage, clock }).countEntries()).toBe(stored.length);
      expect(database.nextExpiry()).toBe(soon);
      const held = storage.sql.exec<{ n: number }>("SELECT count(*) AS n FROM large_values").one().n;
      expect(held, "no large value is orphaned or lost").toBe(
        stored.filter(({ value }) => value.length === 5000).length,
      );
      expect(isUnderWay(storage)).toBe(false);
      expect(versionOf(database.commit([write([set(a, text("next"))])])[0])).toBeGreaterThan(version + 1_000_000_000);
    });
  });

  test("what has not changed since costs nothing: neither rows nor news", async () => {
    await withStorage((storage) => {
      const database = new Database({ storage, clock: new MovableClock() });
      database.commit([
        write(Array.from({ length: 200 }, (_, i) => set(key("part", i), i % 2 === 0 ? text("v") : large))),
      ]);
      const side = new SideState(storage);
      side.begin("one");
      side.load(database.scan(null, bounds));
      database.commit([write([set(key("part", 7), text("changed")), remove(key("part", 8))])]);
      expect(side.measureWithin(rangeOfPrefix(key("part")), 1e6)).toEqual({
        replaced: 199,
        bytes: large.length + key("part", 7).length + text("v").length + key("part", 8).length,
      });
    });
  });

  test("a failure in its transaction leaves both as they were", async () => {
    await withStorage((storage) => {
      const database = new Database({ storage, clock: new MovableClock() });
      database.commit([write([set(key("part", 1), large), set(key("other"), text("x"))])]);
      const before = database.scan(null, bounds);
      const side = new SideState(storage);
      side.begin("one");
      side.load([entry(key("part", 2), large, 3)]);
      const adoption = { entries: 1, floor: asVersion(5), prefix: key("part") };
      const fail = () => {
        throw new Error("no");
      };
      expect(() => database.adopt(side, adoption, fail)).toThrow("no");
      expect(database.scan(null, bounds)).toEqual(before);
      expect(database.counters().entries).toBe(2);
      expect(side.scan(null, bounds)).toHaveLength(1);
    });
  });
});

function same(one: Uint8Array, other: Uint8Array): boolean {
  return compareBytes(one, other) === 0;
}
