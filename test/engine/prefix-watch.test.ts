/** What a watch of a prefix tells, case by case; `prefix-watch-model.test.ts` has any history. */
import { describe, expect, test } from "vitest";
import { toHex } from "../../src/core/bytes.ts";
import {
  MAX_RECENT_CHANGE_BYTES,
  MAX_RECENT_LOG_BYTES,
  MAX_WATCH_BYTES_UNDER_WAY,
  MAX_WATCH_PAGE_BYTES,
  MAX_WATCH_PAGE_ENTRIES,
} from "../../src/core/limits.ts";
import type { Mutation } from "../../src/core/operations.ts";
import { asVersion, type Version } from "../../src/core/versionstamp.ts";
import { Database } from "../../src/engine/database.ts";
import { SideState } from "../../src/engine/side-state.ts";
import { CountingStorage } from "../support/counting-storage.ts";
import { PrefixReceiver } from "../support/prefix-receiver.ts";
import { key, MovableClock, remove, set, text, versionOf, withStorage, write } from "../support/workerd/engine.ts";

const rooms = key("rooms");
const nothing = new Uint8Array();
const kib = (size: number): Uint8Array => new Uint8Array(size * 1024);
const room = (...parts: (string | number)[]): Uint8Array => key("rooms", ...parts);
const hex = (...parts: (string | number)[]): string => toHex(room(...parts));

interface Opened {
  readonly storage: CountingStorage;
  readonly clock: MovableClock;
  readonly database: Database;
  readonly commit: (...mutations: Mutation[]) => Version;
  /** As after an eviction that lost nothing, or after a crash. */
  readonly reopen: (how?: "crash") => Opened;
}

function open(storage: CountingStorage, clock = new MovableClock()): Opened {
  const database = new Database({ storage, clock });
  return {
    storage,
    clock,
    database,
    commit: (...mutations) => versionOf(database.commit([write(mutations)])[0]),
    reopen: (how) => {
      if (how !== "crash") database.saveCounters();
      return open(storage, clock);
    },
  };
}

const withDatabase = (work: (opened: Opened) => void | Promise<void>): Promise<void> =>
  withStorage((storage) => work(open(new CountingStorage(storage))));

function receiver(
  { database }: Opened,
  ...[prefix, options]: ConstructorParameters<typeof PrefixReceiver>
): PrefixReceiver {
  const one = new PrefixReceiver(prefix, options);
  one.connect(database.watches);
  return one;
}

describe("the state and its changes", () => {
  test("the state comes first, then each change of a key under the prefix, and of the prefix itself", () =>
    withDatabase((opened) => {
      const first = opened.commit(set(room("a"), text("1")), set(rooms, text("0")), set(key("roomss"), nothing));
      const watch = receiver(opened, rooms);
      expect(watch.messages).toEqual([
        {
          reset: true,
          keys: [
            [toHex(rooms), first, "3 1 30"],
            [hex("a"), first, "3 1 31"],
          ],
          upTo: first,
        },
      ]);
      watch.acknowledge();
      opened.commit(set(key("other"), nothing), set(key("rooms\0a"), nothing));
      expect(watch.messages).toHaveLength(1);
      const second = opened.commit(set(room("b"), text("2")), remove(room("a")), remove(room("never")));
      expect(watch.last).toEqual({
        reset: false,
        keys: [
          [hex("b"), second, "3 1 32"],
          [hex("a"), null, null],
        ],
        upTo: second,
      });
      watch.acknowledge();
      const third = opened.commit(remove(rooms));
      expect(watch.last).toEqual({ reset: false, keys: [[toHex(rooms), null, null]], upTo: third });
    }));

  test("a state of nothing is told, too", () =>
    withDatabase((opened) => {
      const upTo = opened.commit(set(key("other"), nothing));
      expect(receiver(opened, rooms).messages).toEqual([{ reset: true, keys: [], upTo }]);
    }));

  test("an expiry is told as a delete", () =>
    withDatabase((opened) => {
      opened.commit(set(room("a"), nothing, { expiresAt: opened.clock.time + 10 }));
      const watch = receiver(opened, rooms);
      watch.acknowledge();
      opened.clock.time += 10;
      opened.database.deleteExpired(10);
      expect(watch.last?.keys).toEqual([[hex("a"), null, null]]);
    }));

  test("updatesOnly: the first message says from when on, and has no keys", () =>
    withDatabase((opened) => {
      const first = opened.commit(set(room("a"), nothing));
      const watch = receiver(opened, rooms, { updatesOnly: true });
      expect(watch.messages).toEqual([{ reset: false, keys: [], upTo: first }]);
      watch.acknowledge();
      const second = opened.commit(set(room("b"), nothing));
      expect(watch.last?.keys).toEqual([[hex("b"), second, "3 0 "]]);
    }));

  test("ignoreDeletes: deletes and expiries are not told, and do not delay what is", () =>
    withDatabase((opened) => {
      opened.commit(set(room("a"), nothing), set(room("b"), nothing, { expiresAt: opened.clock.time + 10 }));
      const watch = receiver(opened, rooms, { ignoreDeletes: true });
      watch.acknowledge();
      opened.commit(remove(room("a")));
      opened.clock.time += 10;
      opened.database.deleteExpired(10);
      expect(watch.messages).toHaveLength(1);
      const version = opened.commit(set(room("c"), nothing));
      expect(watch.last).toEqual({ reset: false, keys: [[hex("c"), version, "3 0 "]], upTo: version });
    }));

  test("keysOnly: no value is told or read, however large", () =>
    withDatabase((opened) => {
      const { storage, database } = opened;
      for (let i = 0; i < 10; i++) opened.commit(set(room(i), kib(1000)));
      const watch = new PrefixReceiver(rooms, { keysOnly: true });
      const read = storage.count(() => watch.connect(database.watches)).read;
      expect([watch.messages.length, watch.view.size, read]).toEqual([1, 10, 10]);
      watch.acknowledge();
      const version = opened.commit(set(room(3), kib(900)));
      expect(watch.last).toEqual({ reset: false, keys: [[hex(3), version, null]], upTo: version });
    }));
});

describe("pages", () => {
  test("a state of more keys than a message has comes in pages, of which only the last one is a state", () =>
    withDatabase((opened) => {
      const all = Array.from({ length: 2 * MAX_WATCH_PAGE_ENTRIES + 1 }, (_, i) => set(room(i), nothing));
      for (let i = 0; i < all.length; i += 1000) opened.commit(...all.slice(i, i + 1000));
      const watch = receiver(opened, rooms);
      watch.drain();
      expect(watch.messages.map(({ reset, keys, upTo }) => [reset, keys.length, upTo !== null])).toEqual([
        [true, MAX_WATCH_PAGE_ENTRIES, false],
        [false, MAX_WATCH_PAGE_ENTRIES, false],
        [false, 1, true],
      ]);
      expect(watch.view.size).toBe(all.length);
    }));

  test("a page ends with the entry that passes its bytes", () =>
    withDatabase((opened) => {
      const values = [100, 100, 100, 1024, 1];
      opened.commit(...values.map((size, i) => set(room(i), kib(size))));
      const watch = receiver(opened, rooms);
      watch.drain();
      expect(watch.messages.map(({ keys }) => keys.length)).toEqual([3, 1, 1]);
      expect(3 * 100 * 1024).toBeGreaterThanOrEqual(MAX_WATCH_PAGE_BYTES);
    }));

  test("what changes between pages is told once: before the place by changes, after it by the state", () =>
    withDatabase((opened) => {
      for (let i = 0; i < 6; i++) opened.commit(set(room(i), kib(100)));
      const watch = receiver(opened, rooms);
      expect(watch.last?.keys.map(([name]) => name)).toEqual([hex(0), hex(1), hex(2)]);
      const version = opened.commit(remove(room(0)), set(room(1), nothing), remove(room(4)), set(room(5), nothing));
      watch.acknowledge();
      expect(watch.last).toEqual({
        reset: false,
        keys: [
          [hex(0), null, null],
          [hex(1), version, "3 0 "],
          [hex(3), expect.anything(), expect.anything()],
          [hex(5), version, "3 0 "],
        ],
        upTo: version,
      });
    }));

  test("a commit too large for a message comes in pages, and upTo with the last", () =>
    withDatabase((opened) => {
      const watch = receiver(opened, rooms);
      watch.acknowledge();
      const version = opened.commit(...Array.from({ length: 6 }, (_, i) => set(room(i), kib(100))));
      expect(watch.last?.upTo).toBeNull();
      watch.drain();
      expect(watch.messages.slice(1).map(({ keys, upTo }) => [keys.length, upTo])).toEqual([
        [3, null],
        [3, version],
      ]);
    }));
});

describe("a slow receiver", () => {
  test("gets one message, and then the latest state of each key that changed meanwhile", () =>
    withDatabase((opened) => {
      const watch = receiver(opened, rooms);
      for (let i = 0; i < 50; i++) opened.commit(set(room("a"), text(`${i}`)), set(room(i % 2), nothing));
      expect(watch.messages).toHaveLength(1);
      watch.acknowledge();
      expect(watch.last?.keys.map(([name]) => name)).toEqual([hex("a"), hex(0), hex(1)]);
      expect(watch.drain()).toBe(0);
    }));

  test("that is behind by more than is remembered gets the state again", () =>
    withDatabase((opened) => {
      opened.commit(set(room("a"), nothing), set(room("b"), nothing));
      const watch = receiver(opened, rooms);
      opened.commit(remove(room("a")));
      overrun(opened);
      watch.acknowledge();
      expect(watch.last).toMatchObject({ reset: true, keys: [[hex("b"), expect.anything(), "3 0 "]] });
      expect(watch.last?.upTo).toBe(opened.database.lastVersion);
    }));

  test("a receiver with nothing under way is not behind, however much has changed elsewhere", () =>
    withDatabase((opened) => {
      const watch = receiver(opened, rooms);
      watch.acknowledge();
      overrun(opened);
      expect(watch.messages).toHaveLength(1);
      const version = opened.commit(set(room("a"), nothing));
      expect(watch.last).toEqual({ reset: false, keys: [[hex("a"), version, "3 0 "]], upTo: version });
    }));

  test("takes its share of the room for messages, and watches of keys and prefixes wait in one line", () =>
    withDatabase((opened) => {
      const { watches } = opened.database;
      for (let i = 0; i < 3; i++) opened.commit(set(room(i), kib(100)));
      const fitting = Math.ceil(MAX_WATCH_BYTES_UNDER_WAY / (300 * 1024));
      const all = Array.from({ length: fitting + 1 }, () => receiver(opened, rooms));
      let told = 0;
      watches.add([room(0)], () => (told += 1), { resumed: false });
      expect(all.map(({ messages }) => messages.length)).toEqual([...Array.from({ length: fitting }, () => 1), 0]);
      expect([watches.isCrowded, told]).toEqual([true, 0]);
      all[0]?.acknowledge();
      expect([all.at(-1)?.messages.length, told]).toEqual([1, 0]);
      all[1]?.disconnect();
      expect([watches.isCrowded, told]).toEqual([false, 1]);
    }));
});

describe("going on after an interruption", () => {
  test("the changes since its place are told, deletes included, and nothing else", () =>
    withDatabase((opened) => {
      opened.commit(...["a", "b", "c"].map((name) => set(room(name), nothing)));
      const watch = receiver(opened, rooms);
      watch.disconnect();
      opened.commit(remove(room("a")));
      const version = opened.commit(set(room("b"), text("new")), set(key("other"), nothing));
      watch.connect(opened.database.watches);
      expect(watch.last).toEqual({
        reset: false,
        keys: [
          [hex("a"), null, null],
          [hex("b"), version, "3 3 6e6577"],
        ],
        upTo: version,
      });
    }));

  test("when nothing has changed, the message says so", () =>
    withDatabase((opened) => {
      opened.commit(set(room("a"), nothing));
      const watch = receiver(opened, rooms);
      watch.disconnect();
      const upTo = opened.commit(set(key("other"), nothing));
      watch.connect(opened.database.watches);
      expect(watch.last).toEqual({ reset: false, keys: [], upTo });
    }));

  test("from a place that is no longer remembered, the whole state is told", () =>
    withDatabase((opened) => {
      opened.commit(set(room("a"), nothing), set(room("b"), nothing));
      const watch = receiver(opened, rooms);
      watch.disconnect();
      opened.commit(remove(room("a")));
      overrun(opened);
      watch.connect(opened.database.watches);
      expect(watch.last).toMatchObject({ reset: true, keys: [[hex("b"), expect.anything(), "3 0 "]] });
    }));

  test.each<[string, number]>([
    ["one that no commit has had yet", 1_000],
    ["one of before this database", Number.NEGATIVE_INFINITY],
  ])("from a version that this database does not know, %s, the whole state is told", (_, distance) =>
    withDatabase((opened) => {
      const version = opened.commit(set(room("a"), nothing));
      const after = asVersion(Math.max(1, version + distance));
      const watch = new PrefixReceiver(rooms);
      watch.connect(opened.database.watches, { after });
      expect(watch.messages).toEqual([{ reset: true, keys: [[hex("a"), version, "3 0 "]], upTo: version }]);
    }),
  );

  test("a quiet prefix in a busy database: the watcher says up to where it is told, and goes on from there", () =>
    withDatabase((opened) => {
      const watch = receiver(opened, rooms);
      expect(watch.watcher?.upTo, "a message is under way").toBeNull();
      watch.acknowledge();
      overrun(opened);
      const upTo = watch.watcher?.upTo ?? null;
      expect(upTo).toBe(opened.database.lastVersion);
      watch.disconnect();
      const version = opened.commit(set(room("a"), nothing));
      watch.connect(opened.database.watches, { after: upTo });
      expect(watch.last).toEqual({ reset: false, keys: [[hex("a"), version, "3 0 "]], upTo: version });
    }));
});

describe("when the object's memory is lost", () => {
  test("a watch that goes on as it was is told nothing, until something changes", () =>
    withDatabase((opened) => {
      opened.commit(set(room("a"), nothing));
      const watch = receiver(opened, rooms);
      watch.acknowledge();
      const again = opened.reopen();
      watch.goOn(again.database.watches);
      expect(watch.messages).toHaveLength(1);
      const version = again.commit(remove(room("a")));
      expect(watch.last).toEqual({ reset: false, keys: [[hex("a"), null, null]], upTo: version });
    }));

  test("a watch with a message under way is told nothing before that is acknowledged, and then what it does not know", () =>
    withDatabase((opened) => {
      opened.commit(set(room("a"), nothing), set(room("b"), nothing));
      const watch = receiver(opened, rooms);
      // Not told: the state is under way.
      opened.commit(remove(room("a")));
      const again = opened.reopen();
      watch.goOn(again.database.watches);
      const upTo = again.commit(set(room("c"), nothing));
      expect(watch.messages).toHaveLength(1);
      expect(watch.watcher?.upTo).toBeNull();
      watch.acknowledge();
      expect(watch.last).toMatchObject({ reset: true, upTo });
      expect([...watch.view.keys()]).toEqual([hex("b"), hex("c")]);
    }));

  test("a message under way that was the last one before the sleep is known to be taken: nothing is told twice", () =>
    withDatabase((opened) => {
      opened.commit(set(room("a"), nothing));
      const watch = receiver(opened, rooms);
      const again = opened.reopen();
      watch.goOn(again.database.watches);
      const upTo = again.commit(set(room("b"), nothing));
      watch.acknowledge();
      expect(watch.last).toEqual({ reset: false, keys: [[hex("b"), upTo, "3 0 "]], upTo });
    }));

  test("an acknowledgement of no message tells what has changed since what was known, which was nothing", () =>
    withDatabase((opened) => {
      opened.commit(set(room("a"), nothing));
      const watch = receiver(opened, rooms);
      watch.acknowledge();
      watch.watcher?.acknowledge();
      expect(watch.messages.map(({ reset }) => reset)).toEqual([true, true]);
    }));

  test.each<["crash" | undefined, boolean]>([
    [undefined, false],
    ["crash", true],
  ])("a connection that goes on after a sleep or a crash (%s) is told the state again: %s", (how, reset) =>
    withDatabase((opened) => {
      opened.commit(set(room("a"), nothing));
      const watch = receiver(opened, rooms);
      watch.connect(opened.reopen(how).database.watches);
      expect(watch.last?.reset).toBe(reset);
    }),
  );

  test("a delete that the object has forgotten is never missed: the state is told again", () =>
    withDatabase((opened) => {
      opened.commit(set(room("a"), nothing));
      const watch = receiver(opened, rooms);
      watch.disconnect();
      opened.commit(remove(room("a")));
      watch.connect(opened.reopen().database.watches);
      expect(watch.last).toEqual({ reset: true, keys: [], upTo: opened.database.lastVersion });
    }));

  test("as far back as the mutation log is kept, what has changed is told all the same", () =>
    withDatabase(async (opened) => {
      const { log, lastVersion } = opened.database;
      opened.commit(...["a", "b", "c"].map((name) => set(room(name), nothing)));
      log.register("feed", opened.database.lastVersion);
      await Promise.resolve();
      expect(lastVersion).toBeLessThan(opened.database.lastVersion);
      const watch = receiver(opened, rooms);
      const early = new PrefixReceiver(rooms);
      early.upTo = asVersion((watch.upTo ?? 0) - 1);
      watch.disconnect();
      opened.commit(remove(room("a")), set(room("d"), kib(1000)), set(room("d"), kib(1000)), set(room("e"), kib(1000)));
      const version = opened.commit(set(room("b"), text("new")));
      const again = opened.reopen("crash");
      watch.connect(again.database.watches);
      expect(watch.last).toMatchObject({
        reset: false,
        keys: [
          [hex("a"), null, null],
          [hex("d"), expect.anything(), expect.anything()],
        ],
      });
      watch.drain();
      expect(watch.last).toMatchObject({
        reset: false,
        keys: expect.arrayContaining([[hex("b"), version, "3 3 6e6577"]]),
      });
      expect(watch.view.size).toBe(4);

      early.connect(again.database.watches);
      expect(early.last?.reset, "further back than the log").toBe(true);
    }));

  test("the log is read once, within a bound, and what lies further back is told as the whole state", () =>
    withDatabase(async (opened) => {
      const { storage } = opened;
      opened.database.log.register("feed", opened.commit(set(room("a"), nothing)));
      await Promise.resolve();
      const [far, near] = [receiver(opened, rooms), new PrefixReceiver(rooms)];
      far.disconnect();
      const size = MAX_RECENT_LOG_BYTES / 4;
      for (let i = 0; i < 6; i++) opened.commit(set(key("large"), new Uint8Array(size)));
      near.upTo = opened.commit(set(room("b"), nothing));
      opened.commit(set(room("c"), nothing));
      const again = opened.reopen("crash");
      const firstRead = storage.count(() => near.connect(again.database.watches));
      expect(near.last).toMatchObject({ reset: false, keys: [[hex("c"), expect.anything(), "3 0 "]] });
      // 2 small commits, 4 large ones, and in one page with these the 2 that are not needed; 1 for the log's readers, 1 for the entry.
      expect(firstRead.read).toBeLessThanOrEqual(12);
      far.connect(again.database.watches);
      expect(far.last).toMatchObject({ reset: true });
      const entriesAlone = storage.count(() =>
        new PrefixReceiver(rooms, { after: asVersion(1) }).connect(again.database.watches),
      );
      expect(entriesAlone.read).toBeLessThanOrEqual(5);
    }));
});

describe("a restore in place", () => {
  function restore({ storage, database }: Opened, under: Uint8Array | null, ...names: string[]): void {
    const side = new SideState(storage);
    side.begin(`side${names.length}`);
    const old = { value: text("old"), encoding: 3 as const, version: asVersion(7), expiresAt: null };
    side.load(names.map((name) => ({ key: room(name), ...old })));
    database.adopt(side, { entries: names.length, floor: asVersion(0), prefix: under }, () => undefined);
  }

  test("sends the state again to the watchers that it concerns, at once, and to nobody else", () =>
    withDatabase((opened) => {
      opened.commit(set(room("a"), nothing), set(room("b"), nothing));
      const [all, one, other] = [rooms, room("a"), key("other")].map((prefix) => receiver(opened, prefix));
      for (const watch of [all, one, other]) watch?.acknowledge();
      restore(opened, room("a"), "a");
      const { lastVersion } = opened.database;
      expect(one?.last).toEqual({ reset: true, keys: [[hex("a"), 7, "3 3 6f6c64"]], upTo: lastVersion });
      expect(all?.last).toMatchObject({ reset: true, upTo: lastVersion });
      expect(other?.messages).toHaveLength(1);
    }));

  test.each<[string, "crash" | "sleep" | null, boolean]>([
    ["at once", null, false],
    ["after a sleep", "sleep", false],
    ["after a crash, with a log of before the restore", "crash", true],
  ])("a watcher that goes on from a place before it gets the whole state: %s", (_, lost, withLog) =>
    withDatabase(async (opened) => {
      // Versions run ahead of the clock, as after a crash.
      opened.commit(set(room("a"), nothing));
      const ahead = opened.reopen("crash");
      if (withLog) ahead.database.log.register("reader", ahead.database.lastVersion);
      await Promise.resolve();
      const watch = receiver(ahead, rooms);
      watch.disconnect();
      restore(ahead, null, "b");
      const after = lost === null ? ahead : ahead.reopen(lost === "crash" ? "crash" : undefined);
      watch.connect(after.database.watches);
      expect(watch.last).toMatchObject({ reset: true, keys: [[hex("b"), 7, "3 3 6f6c64"]] });
    }),
  );
});

describe("the cost of watches of prefixes", () => {
  test("a commit reads and writes no row more for watches that it does not concern", () =>
    withDatabase((opened) => {
      const { storage, database } = opened;
      const cost = (name: string) => storage.count(() => void opened.commit(set(key(name), nothing)));
      opened.commit(set(key("warm"), nothing));
      const without = cost("one");
      for (let i = 0; i < 200; i++) {
        receiver(opened, room(i)).acknowledge();
        database.watches.add([room(i)], () => undefined, { resumed: false }).acknowledge();
      }
      expect(cost("two")).toEqual(without);
    }));

  test("a key that a thousand watch by prefixes is read once for all of them", () =>
    withDatabase((opened) => {
      const { storage } = opened;
      opened.commit(set(room("a"), nothing));
      const watches = Array.from({ length: 1_000 }, (_, i) => receiver(opened, rooms, { keysOnly: i % 2 === 0 }));
      for (const watch of watches) watch.acknowledge();
      // The overwrite reads 1.
      expect(storage.count(() => void opened.commit(set(room("a"), text("new")))).read).toBe(3);
      for (const watch of watches) expect(watch.messages).toHaveLength(2);
    }));

  test("going on reads only what has changed, however large the state is", () =>
    withDatabase((opened) => {
      for (let i = 0; i < 5; i++) opened.commit(...Array.from({ length: 1000 }, (_, j) => set(room(i, j), nothing)));
      const watch = receiver(opened, rooms);
      watch.drain();
      watch.disconnect();
      opened.commit(remove(room(1, 1)), set(room(2, 2), text("new")));
      expect(opened.storage.count(() => watch.connect(opened.database.watches)).read).toBe(1);
      expect(watch.last?.keys).toHaveLength(2);
    }));
});

/** More changes elsewhere than are remembered, of which nothing is left. */
function overrun(opened: Opened): void {
  const keys = Array.from({ length: MAX_RECENT_CHANGE_BYTES / 2_000 + 100 }, (_, i) => key("x".repeat(1_990), i));
  opened.commit(...keys.map((one) => set(one, nothing)));
  opened.commit(...keys.map((one) => remove(one)));
}
