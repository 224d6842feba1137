/** The change feed of the engine: what is kept for it, its pages, and its readers. */
import { expect, test, vi } from "vitest";
import { toHex } from "../../src/core/bytes.ts";
import { asUnixMs } from "../../src/core/clock.ts";
import {
  FEED_PROGRESS_MS,
  LOG_SEGMENT_BYTES,
  MAX_FEED_PAGE_BYTES,
  MAX_PROMPT_BYTES_UNDER_WAY,
  MAX_RECENT_COMMIT_BYTES,
  MAX_WATCH_BYTES_UNDER_WAY,
  PROMPT_MS,
  READER_GRACE_MS,
} from "../../src/core/limits.ts";
import { asVersion, NO_VERSION, timeOfVersion, type Version } from "../../src/core/versionstamp.ts";
import { Database } from "../../src/engine/database.ts";
import { SideState } from "../../src/engine/side-state.ts";
import { CountingStorage } from "../support/counting-storage.ts";
import { FeedReader } from "../support/feed-receiver.ts";
import {
  key,
  MovableClock,
  numeric,
  remove,
  set,
  text,
  u64,
  versionOf,
  withStorage,
  write,
} from "../support/workerd/engine.ts";

const HOUR_MS = 3_600_000;
const ALL = new Uint8Array();
const a = key("a");
const b = key("b");
const one = text("one");
const two = text("two");

interface Fed {
  readonly database: Database;
  readonly clock: MovableClock;
  readonly storage: DurableObjectStorage;
  readonly commit: (...mutations: Parameters<typeof write>[0]) => Version;
}

/** A database that keeps its log for an hour. */
function fed(storage: DurableObjectStorage, clock = new MovableClock(), prefix: Uint8Array | null = null): Fed {
  const database = new Database({ storage, clock });
  database.feed.keep({ prefix, retentionMs: HOUR_MS });
  const commit: Fed["commit"] = (...mutations) => {
    clock.time += 1;
    return versionOf(database.commit([write(mutations)])[0]);
  };
  return { database, clock, storage, commit };
}

test("a feed gives every commit in order and whole, with what became of each key (F2)", async () => {
  await withStorage((storage) => {
    const { database, clock, commit } = fed(storage);
    const reader = new FeedReader(ALL).connect(database.watches);
    reader.drain();
    const first = commit(set(a, one), set(b, one));
    const second = commit(set(a, two), remove(b), set(b, two), remove(key("none")));
    commit(remove(key("none")));
    const third = commit(numeric("sum", key("n"), u64(3n)), set(key("e"), one, { expiresAt: clock.time + 10 }));
    clock.time += 20;
    database.deleteExpired(10);
    const fourth = database.lastVersion;
    reader.drain();
    const [hexA, hexB] = [toHex(a), toHex(b)];
    expect(reader.commits).toEqual([
      { version: first, changes: [`insert ${hexA} 3 3 6f6e65`, `insert ${hexB} 3 3 6f6e65`] },
      {
        version: second,
        changes: [`update ${hexA} 3 3 74776f`, `delete ${hexB}`, `insert ${hexB} 3 3 74776f`],
      },
      {
        version: third,
        changes: [`insert ${toHex(key("n"))} 2 8 0300000000000000`, `insert ${toHex(key("e"))} 3 3 6f6e65`],
      },
      { version: fourth, changes: [`delete ${toHex(key("e"))}`] },
    ]);
  });
});

test("a reader goes on from its place without a gap or a repeat, and from the oldest that is kept (F3)", async () => {
  await withStorage((storage) => {
    const { database, commit } = fed(storage);
    const start = database.feed.keptAfter;
    const versions = Array.from({ length: 20 }, (_, i) => commit(set(key("k", i), one)));
    for (const place of [start, ...versions]) {
      const reader = new FeedReader(ALL);
      reader.after = place;
      reader.connect(database.watches);
      reader.drain();
      expect(reader.commits.map(({ version }) => version)).toEqual(versions.filter((v) => v > (place ?? NO_VERSION)));
      expect(reader.after).toBe(database.lastVersion);
      reader.disconnect();
    }
  });
});

test("a page is bounded, and a commit is whole in one page however large it is (F2)", async () => {
  await withStorage((storage) => {
    const { database, commit } = fed(storage);
    const half = new Uint8Array(MAX_FEED_PAGE_BYTES / 2 + 1);
    const large = Array.from({ length: 7 }, (_, i) => set(key("large", i), new Uint8Array(1_000_000)));
    const versions = [
      commit(set(a, half)),
      commit(set(a, half)),
      commit(set(a, half)),
      commit(...large),
      commit(set(b, one)),
    ];
    let place = database.feed.keptAfter ?? NO_VERSION;
    const pages: number[][] = [];
    for (let isLast = false; !isLast;) {
      const page = database.feed.page(place, ALL);
      if (typeof page === "string") throw new Error(page);
      pages.push(page.commits.map(({ changes }) => changes.length));
      place = page.upTo;
      ({ isLast } = page);
    }
    expect(pages.flat()).toEqual([1, 1, 1, 7, 1]);
    expect(pages.length).toBeGreaterThanOrEqual(3);
    expect(place).toBe(versions.at(-1));
  });
});

test("a reader of a prefix gets what changed under it, and its place moves on although nothing did (F4, F7)", async () => {
  await withStorage((storage) => {
    const { database, clock, commit } = fed(storage);
    const reader = new FeedReader(key("users")).connect(database.watches);
    reader.drain();
    const version = commit(set(key("users", 1), one), set(key("usersX"), one), set(key("orders", 1), one));
    expect(reader.commits).toEqual([{ version, changes: [`insert ${toHex(key("users", 1))} 3 3 6f6e65`] }]);
    reader.drain();
    const messages = reader.places.length;
    commit(set(key("orders", 1), two));
    expect(reader.places).toHaveLength(messages);
    clock.time += FEED_PROGRESS_MS;
    const later = commit(set(key("orders", 1), one));
    expect(reader.places.slice(messages), "an idle progress mark").toEqual([later]);
    expect(reader.commits).toHaveLength(1);
    reader.drain();
    const next = commit(set(key("users", 2), one));
    expect(reader.commits.at(-1)?.version).toBe(next);
  });
});

test("a reader that keeps up costs a commit no more than the log's row, and ten the same as one (F12)", async () => {
  const costs: unknown[] = [];
  for (const readers of [0, 1, 10]) {
    await withStorage((inner) => {
      const storage = new CountingStorage(inner);
      const database = new Database({ storage, clock: new MovableClock() });
      database.feed.keep({ prefix: null, retentionMs: HOUR_MS });
      database.commit([write([set(key("warm"), one)])]);
      const all = Array.from({ length: readers }, () => new FeedReader(ALL).connect(database.watches));
      for (const reader of all) reader.drain();
      const rows = storage.count(() => {
        for (let i = 0; i < 20; i++) {
          database.commit([write([set(a, i % 2 === 0 ? one : two)])]);
          for (const reader of all) reader.drain();
        }
      });
      for (const reader of all) expect(reader.commits).toHaveLength(20);
      costs.push(rows);
    });
  }
  // The entry, and the log's row.
  expect(costs[0]).toMatchObject({ written: 40 });
  expect(costs).toEqual([costs[0], costs[0], costs[0]]);
});

test("a database that keeps no log for feeds writes none, and says so (F1, F14)", async () => {
  await withStorage((storage) => {
    const { database, commit } = fed(storage);
    commit(set(a, one));
    const reader = new FeedReader(ALL).connect(database.watches);
    reader.drain();
    database.feed.keep(null);
    database.watches.feedChanged();
    expect(reader.behindAt?.why).toBe("off");
    commit(set(a, two));
    expect(database.log.isWritten).toBe(false);
    expect(database.log.firstAfter(NO_VERSION)).toBeNull();
    expect(database.feed.page(database.lastVersion, ALL)).toBe("off");
  });
});

test("what is older than the retention goes, in steps, and a place before it is not kept (F6)", async () => {
  await withStorage((storage) => {
    const { database, clock, commit } = fed(storage);
    const versions: Version[] = [];
    for (let i = 0; i < 3_000; i++) {
      clock.time += 1_000;
      versions.push(commit(set(key("k", i % 10), one)));
      const due = database.feed.trimsAt(asUnixMs(clock.time));
      if (due !== null && due <= clock.time) database.feed.trim(asUnixMs(clock.time));
    }
    const first = versions[0] ?? NO_VERSION;
    expect(database.feed.keptAfter).toBeLessThan(first);
    clock.time += HOUR_MS - 1_000_000;
    const due = database.feed.trimsAt(asUnixMs(clock.time));
    expect(due, "something is due").toBeLessThanOrEqual(clock.time);
    for (let i = 0; i < 10; i++) {
      const at = database.feed.trimsAt(asUnixMs(clock.time));
      if (at === null || at > clock.time) break;
      database.feed.trim(asUnixMs(clock.time));
    }
    const kept = database.feed.keptAfter ?? NO_VERSION;
    expect(clock.time - timeOfVersion(kept)).toBeGreaterThanOrEqual(HOUR_MS);
    expect(clock.time - timeOfVersion(kept)).toBeLessThan(HOUR_MS + HOUR_MS / 10);
    expect(database.feed.page(first, ALL)).toBe("not kept");
    const page = database.feed.page(kept, ALL);
    if (typeof page === "string") throw new Error(page);
    expect(page.commits[0]?.version).toBe(versions.find((version) => version > kept));
    expect(storage.sql.exec("SELECT count(*) AS n FROM sqlite_schema WHERE name LIKE 'mutation_log_%'").one()).toEqual({
      n: 2,
    });
  });
});

test("an idle reader's place is not too old when nothing was let go of (F6)", async () => {
  await withStorage((storage) => {
    const { database, clock, commit } = fed(storage);
    const place = commit(set(a, one));
    clock.time += 10 * HOUR_MS;
    database.feed.trim(asUnixMs(clock.time));
    const next = commit(set(a, two));
    const page = database.feed.page(place, ALL);
    expect(typeof page === "string" ? page : page.commits.map(({ version }) => version)).toEqual([next]);
  });
});

test("a clock that is set back lets go of nothing (F6)", async () => {
  await withStorage((storage) => {
    const { database, clock, commit } = fed(storage);
    const place = database.feed.keptAfter ?? NO_VERSION;
    const versions = [commit(set(a, one)), commit(set(a, two))];
    clock.time -= 100 * HOUR_MS;
    versions.push(commit(set(a, one)));
    database.feed.trim(asUnixMs(clock.time));
    const page = database.feed.page(place, ALL);
    expect(typeof page === "string" ? page : page.commits.map(({ version }) => version)).toEqual(versions);
  });
});

test("the log is never let go of before another reader of it has passed (F6)", async () => {
  await withStorage((storage) => {
    const { database, clock, commit } = fed(storage);
    database.log.register("backup", database.lastVersion);
    const after = database.lastVersion;
    for (let i = 0; i < 1_200; i++) commit(set(a, i % 2 === 0 ? one : two));
    clock.time += 3 * HOUR_MS;
    for (let i = 0; i < 5; i++) database.feed.trim(asUnixMs(clock.time));
    expect(database.feed.keptAfter).toBe(after);
    expect(database.log.read(after, 100_000_000)).toHaveLength(1_200);
    // Nothing can be let go of: it is tried again later, and not at once for ever.
    expect(database.feed.trimsAt(asUnixMs(clock.time))).toBeGreaterThan(clock.time);
    database.log.advance("backup", database.lastVersion);
    for (let i = 0; i < 5; i++) database.feed.trim(asUnixMs(clock.time));
    expect(database.feed.keptAfter).toBe(database.lastVersion);
    expect(database.log.read(after, 100_000_000).length).toBeLessThan(1_200);
  });
});

test("the log knows what has to go so that it does not pass a bound: whole segments, the oldest first (F6)", async () => {
  await withStorage((storage) => {
    const { database, clock, commit } = fed(storage);
    const ends: Version[] = [];
    const large = [set(a, new Uint8Array(1_000_000)), set(b, new Uint8Array(900_000))];
    for (let i = 0; ends.length < 3; i++) {
      const version = commit(...large);
      // As the alarm does when a segment is full.
      if (database.feed.trimsAt(asUnixMs(clock.time)) !== clock.time) continue;
      database.feed.trim(asUnixMs(clock.time));
      ends.push(version);
    }
    const [first, second] = ends;
    expect(database.log.oldestBeyond(3 * LOG_SEGMENT_BYTES + 10_000_000)).toBeNull();
    expect(database.log.oldestBeyond(3 * LOG_SEGMENT_BYTES - 1)).toBe(first);
    expect(database.log.oldestBeyond(2 * LOG_SEGMENT_BYTES - 1)).toBe(second);
    // Also after a restart, which does not count the rows.
    const counting = new CountingStorage(storage);
    const again = new Database({ storage: counting, clock });
    expect(
      counting.count(() => expect(again.log.oldestBeyond(3 * LOG_SEGMENT_BYTES - 1)).toBe(first)).read,
    ).toBeLessThan(10);
  });
});

test("a feed of a prefix keeps only what changes under it, unless a backup needs the rest (F15)", async () => {
  await withStorage((storage) => {
    const { database, commit } = fed(storage, undefined, key("users"));
    commit(set(a, one));
    expect(database.log.firstAfter(NO_VERSION)).toBeNull();
    commit(set(a, two), set(key("users", 1), one));
    expect(database.log.keptAfter(), "watches cannot rely on it").toBeNull();
    database.log.register("backup", database.lastVersion);
    const third = commit(set(a, one));
    const entries = database.log.read(NO_VERSION, 1_000_000);
    expect(entries.map(({ version }) => version)).toContain(third);
    const page = database.feed.page(database.feed.keptAfter ?? NO_VERSION, key("users"));
    if (typeof page === "string") throw new Error(page);
    expect(page.commits.map(({ changes }) => changes.map((change) => toHex(change.key)))).toEqual([
      [toHex(key("users", 1))],
    ]);
    expect(page.commits[0]?.changes[0]?.isNew).toBe(true);
  });
});

test("another prefix begins the feed anew, another retention does not (F16)", async () => {
  await withStorage((storage) => {
    const { database, commit } = fed(storage);
    const place = commit(set(a, one));
    database.feed.keep({ prefix: null, retentionMs: 2 * HOUR_MS });
    expect(database.feed.setting?.retentionMs).toBe(2 * HOUR_MS);
    commit(set(a, two));
    expect(database.feed.page(place, ALL)).toMatchObject({ commits: [{}] });
    database.feed.keep({ prefix: key("users"), retentionMs: 2 * HOUR_MS });
    expect(database.feed.keptAfter).toBe(database.lastVersion);
    expect(database.feed.page(place, ALL)).toBe("not kept");
  });
});

test("a restore in place is told as a reset, behind what was committed before it (F8)", async () => {
  await withStorage((storage) => {
    const { database, commit } = fed(storage);
    const side = new SideState(storage);
    const live = new FeedReader(ALL).connect(database.watches);
    live.drain();
    const before = commit(set(a, one));
    live.drain();
    const place = before;
    const late = commit(set(a, two));
    side.begin("t1");
    database.adopt(side, { entries: 0, floor: NO_VERSION, prefix: null }, () => undefined);
    live.drain();
    const restored = database.lastVersion;
    const after = commit(set(b, one));
    live.drain();
    const resumed = new FeedReader(ALL);
    resumed.after = place;
    resumed.connect(database.watches);
    resumed.drain();
    expect(resumed.commits.map(({ version }) => version)).toEqual([late, after]);
    expect(resumed.resets).toEqual([restored]);
    expect(live.commits.map(({ version }) => version)).toEqual([before, late, after]);
    expect(live.resets).toEqual([restored]);
    expect(restored).toBeGreaterThan(late);
    expect(restored).toBeLessThan(after);
  });
});

test("a place that no commit of this database can have reached is not kept (F5)", async () => {
  await withStorage((storage) => {
    const { database } = fed(storage);
    expect(database.feed.page(asVersion(database.lastVersion + 1), ALL)).toBe("not kept");
  });
});

test("a reader that takes nothing costs a place: no more than the bound is under way, and it goes on from where it was (F13)", async () => {
  await withStorage((storage) => {
    const { database, commit } = fed(storage);
    const slow = Array.from({ length: 40 }, () => new FeedReader(ALL).connect(database.watches));
    for (const reader of slow) reader.drain();
    const versions = Array.from({ length: 10 }, () => commit(set(a, new Uint8Array(MAX_FEED_PAGE_BYTES))));
    expect(10 * MAX_FEED_PAGE_BYTES).toBeGreaterThan(MAX_RECENT_COMMIT_BYTES);
    expect(slow.filter(({ isWaiting }) => isWaiting).length).toBeLessThanOrEqual(
      (MAX_WATCH_BYTES_UNDER_WAY + MAX_PROMPT_BYTES_UNDER_WAY) / MAX_FEED_PAGE_BYTES + 1,
    );
    expect(database.watches.isCrowded).toBe(true);
    for (let i = 0; slow.some(({ isWaiting }) => isWaiting); i++) {
      expect(i).toBeLessThan(1_000);
      for (const reader of slow) reader.acknowledge();
    }
    for (const reader of slow) expect(reader.commits.map(({ version }) => version)).toEqual(versions);
  });
});

test("readers that take nothing, however many, do not stop one that takes its pages at once (F13)", async () => {
  await withStorage((storage) => {
    const { database, clock, commit } = fed(storage);
    const readers = Array.from({ length: 100 }, () => new FeedReader(ALL).connect(database.watches));
    const [live = new FeedReader(ALL)] = readers.splice(50, 1);
    const dead = readers;
    // They take one, as buffers do, and nothing then.
    for (const reader of [...dead, live]) reader.drain();
    clock.time += PROMPT_MS;
    const large = new Uint8Array(MAX_FEED_PAGE_BYTES);
    const versions = [commit(set(a, large))];
    for (let i = 0; !live.isWaiting; i++) {
      // Those that are late are given up, as `late-watchers.ts` does.
      expect(i).toBeLessThan(dead.length);
      clock.time += READER_GRACE_MS;
      dead.find(({ isWaiting }) => isWaiting)?.disconnect();
    }
    live.drain();
    const stalled = dead.filter(({ isWaiting }) => isWaiting).length;
    expect(stalled).toBeGreaterThan(5);
    for (let i = 0; i < 50; i++) {
      versions.push(commit(set(a, large)));
      live.drain();
      expect(live.commits.map(({ version }) => version)).toEqual(versions);
    }
    expect(dead.filter(({ isWaiting }) => isWaiting)).toHaveLength(stalled);
    expect(database.watches.isCrowded).toBe(true);
  });
});

test("readers of large changes that take nothing do not stop readers of small ones (F13)", async () => {
  await withStorage((storage) => {
    const { database, clock, commit } = fed(storage);
    const small = key("small");
    const dead = Array.from({ length: 10 }, () => new FeedReader(ALL).connect(database.watches));
    const live = new FeedReader(small).connect(database.watches);
    for (const reader of [...dead, live]) reader.drain();
    const large = new Uint8Array(1_000_000);
    const versions: Version[] = [];
    for (let i = 0; i < 4; i++) {
      commit(set(a, large));
      // Longer than anybody is prompt.
      clock.time += 2 * PROMPT_MS;
      versions.push(commit(set(small, text(`${i}`)), set(b, large)));
      live.drain();
      expect(live.commits.map(({ version }) => version)).toEqual(versions);
    }
    expect(database.watches.isCrowded).toBe(true);
    expect(dead.filter(({ isWaiting }) => isWaiting).length).toBeLessThan(10);
    for (let i = 0; dead.some(({ isWaiting }) => isWaiting); i++) {
      expect(i).toBeLessThan(10_000);
      for (const reader of dead) reader.acknowledge();
    }
    for (const reader of dead) expect(reader.commits).toHaveLength(8);
  });
});

test("a commit looks at the readers that it concerns, however many others there are (F13)", async () => {
  await withStorage((storage) => {
    const { database, commit } = fed(storage);
    const readers = Array.from({ length: 10_000 }, (_, i) => new FeedReader(key("users", i)).connect(database.watches));
    for (const reader of readers) reader.drain();
    const page = vi.spyOn(database.feed, "page");
    const version = commit(set(key("users", 7), one), set(key("orders", 1), one));
    expect(page).toHaveBeenCalledTimes(1);
    expect(readers[7]?.commits.map((told) => told.version)).toEqual([version]);
    expect(readers.filter(({ commits }) => commits.length > 0)).toHaveLength(1);
  });
});

test("a longer log lets a prefix watch go on after a sleep from further back", async () => {
  await withStorage((storage) => {
    const { database, clock, commit } = fed(storage);
    const upTo = commit(set(a, one));
    const later = commit(set(b, one));
    database.saveCounters();
    const again = new Database({ storage, clock });
    const told: unknown[] = [];
    const options = {
      after: upTo,
      updatesOnly: false,
      ignoreDeletes: false,
      keysOnly: true,
      connection: "new" as const,
    };
    again.watches.addPrefix(ALL, options, ({ reset, keys, upTo: place }) =>
      told.push([reset, keys.map((state) => state.version), place]),
    );
    expect(told).toEqual([[false, [later], later]]);
  });
});
