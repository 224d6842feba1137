import { fromBinary } from "@bufbuild/protobuf";
import { expect, test } from "vitest";
import { concatBytes, equalBytes, toHex } from "../../src/core/bytes.ts";
import { MAX_VALUE_BYTES } from "../../src/core/limits.ts";
import { Encoding } from "../../src/core/operations.ts";
import { encodeV8 } from "../../src/codec/v8/codec.ts";
import { asVersion, NO_VERSION, versionAtTime } from "../../src/core/versionstamp.ts";
import { Database } from "../../src/engine/database.ts";
import { CountingStorage } from "../support/counting-storage.ts";
import { BackupMutationRangeSchema } from "../support/proto/generated/com/deno/kv/backup/backup_pb.js";
import {
  derived,
  entryOrNull,
  key,
  MovableClock,
  numeric,
  point,
  remove,
  set,
  text,
  u64,
  versionOf,
  withStorage,
  write,
} from "../support/workerd/engine.ts";

const a = key("a");
const b = key("b");

test("an atomic write whose last mutation is an error writes nothing of it, and its neighbours in the group go on (W1)", async () => {
  await withStorage((storage) => {
    const database = new Database({ storage, clock: new MovableClock() });
    const outcomes = database.commit([
      write([set(a, text("1"))]),
      write([set(a, text("2")), set(b, text("2")), numeric("sum", a, u64(1n))]),
      write([set(b, text("3"))]),
    ]);
    expect(outcomes[1]).toMatchObject({
      code: "type-mismatch",
      message: "Failed to perform 'sum' mutation on a non-U64 value in the database.",
    });
    expect(entryOrNull(database.read([point(a)], 100))?.value).toEqual(text("1"));
    expect(entryOrNull(database.read([point(b)], 100))?.version).toBe(versionOf(outcomes[2]));
  });
});

test("a write that enqueues is refused, and nothing of it is written (W24)", async () => {
  await withStorage((storage) => {
    const clock = new MovableClock();
    const database = new Database({ storage, clock });
    const enqueue = { payload: text("m"), deliverAt: clock.now(), keysIfUndelivered: [], backoffSchedule: [] };
    const [outcome] = database.commit([{ checks: [], mutations: [set(a, text("1"))], enqueues: [enqueue] }]);
    expect(outcome).toMatchObject({ code: "unsupported", message: expect.stringContaining("queue") });
    expect(entryOrNull(database.read([point(a)], 100))).toBeNull();
  });
});

test("all checks that fail are named, in order (W3)", async () => {
  await withStorage((storage) => {
    const database = new Database({ storage, clock: new MovableClock() });
    const version = versionOf(database.commit([write([set(a, text("1"))])])[0]);
    const checks = [
      { key: a, version: null },
      { key: a, version },
      { key: b, version },
      { key: b, version: null },
      { key: a, version: "other" as const },
    ];
    expect(database.commit([write([set(b, text("1"))], checks)])).toEqual([{ ok: false, failedChecks: [0, 2, 4] }]);
  });
});

test("a commit of checks alone gets a versionstamp (W7)", async () => {
  await withStorage((storage) => {
    const database = new Database({ storage, clock: new MovableClock() });
    const first = versionOf(database.commit([write([], [{ key: a, version: null }])])[0]);
    const second = versionOf(database.commit([write([])])[0]);
    expect(second).toBeGreaterThan(first);
  });
});

test("a set whose expiry is over succeeds and leaves no entry (W12)", async () => {
  await withStorage((storage) => {
    const clock = new MovableClock();
    const database = new Database({ storage, clock });
    database.commit([write([set(a, text("1"))])]);
    versionOf(database.commit([write([set(a, text("2"), { expiresAt: clock.time })])])[0]);
    expect(entryOrNull(database.read([point(a)], 100))).toBeNull();
    expect(storage.sql.exec("SELECT count(*) AS n FROM entries").one()).toEqual({ n: 0 });
  });
});

test("the earliest expiry of a group is what an alarm is asked for, and what expired first is deleted first", async () => {
  await withStorage((storage) => {
    const clock = new MovableClock();
    const asked: number[] = [];
    const database = new Database({ storage, clock, onExpirySet: (at) => void asked.push(at) });
    const { time } = clock;
    const until = (name: Uint8Array, ms: number) => set(name, text("1"), { expiresAt: time + ms });
    database.commit([write([until(a, 30), until(b, 20)]), write([until(key("c"), 10), until(key("d"), 40)])]);
    expect(asked).toEqual([time + 10]);
    clock.time += 100;
    expect(database.deleteExpired(2)).toBe(2);
    expect(database.nextExpiry()).toBe(time + 30);
  });
});

test("whether an entry may have expired is known without a row, except after one has", async () => {
  await withStorage((inner) => {
    const storage = new CountingStorage(inner);
    const clock = new MovableClock();
    const database = new Database({ storage, clock });
    const asked = () => {
      let answer = false;
      const { read } = storage.count(() => void (answer = database.mayHaveExpired()));
      return [answer, read];
    };
    const time = clock.now();
    expect([asked(), asked()]).toEqual([
      [false, 1],
      [false, 0],
    ]);
    database.commit([
      write([set(a, text("1"), { expiresAt: time + 50 }), set(b, text("2"), { expiresAt: time + 20 })]),
    ]);
    expect(asked()).toEqual([false, 0]);
    clock.time += 20;
    expect([asked(), asked()]).toEqual([
      [true, 0],
      [true, 1],
    ]);
    database.deleteExpired(10);
    expect([asked(), asked()]).toEqual([
      [false, 1],
      [false, 0],
    ]);
    clock.time += 30;
    expect(asked()).toEqual([true, 0]);
  });
});

test("the owner is told of each read, and of commits that changed something, with the bytes that they took in the log", async () => {
  await withStorage((storage) => {
    const told: string[] = [];
    const database = new Database({
      storage,
      clock: new MovableClock(),
      onUse: (use) => void told.push(use),
      onLogged: (bytes) => void told.push(`${bytes} bytes`),
    });
    const toldOf = (work: () => void) => {
      told.length = 0;
      work();
      return [...told];
    };
    const change = write([set(a, text("1"))]);
    const nothing = [write([]), write([remove(b)]), write([set(a, text("2"))], [{ key: a, version: null }])];
    expect(toldOf(() => database.read([point(a)], 100))).toEqual(["read"]);
    expect(toldOf(() => database.commit([change]))).toEqual(["write"]);
    expect(toldOf(() => database.commit(nothing))).toEqual([]);
    database.log.register("reader", database.lastVersion);
    const logged = toldOf(() => database.commit([change, ...nothing, change]));
    expect(logged).toEqual([`${database.log.bytesAfter(NO_VERSION)} bytes`, "write"]);
  });
});

test("the result of a sum has no expiry, and an expired value is no operand (W15, W16)", async () => {
  await withStorage((storage) => {
    const clock = new MovableClock();
    const database = new Database({ storage, clock });
    database.commit([write([set(a, u64(5n), { encoding: Encoding.le64, expiresAt: clock.time + 10 })])]);
    database.commit([write([numeric("sum", a, u64(1n))])]);
    clock.time += 100;
    expect(entryOrNull(database.read([point(a)], 100))?.value).toEqual(u64(6n));
    database.commit([write([set(a, u64(5n), { encoding: Encoding.le64, expiresAt: clock.time + 10 })])]);
    clock.time += 10;
    database.commit([write([numeric("sum", a, u64(1n))])]);
    expect(entryOrNull(database.read([point(a)], 100))?.value).toEqual(u64(1n));
  });
});

test("a derived table changes in the commit's transaction; when it throws, that commit alone is undone and reported", async () => {
  await withStorage((storage) => {
    storage.sql.exec("CREATE TABLE derived (version INTEGER, keys INTEGER)");
    const told: string[] = [];
    const derivedTables = derived({
      apply(changes) {
        storage.sql.exec("INSERT INTO derived VALUES (?1, ?2)", changes[0]?.after?.version ?? 0, changes.length);
        if (changes.some(({ after }) => after === null)) throw new Error("cannot index this");
      },
      kept: () => told.push("kept"),
      undone: () => told.push("undone"),
    });
    const errors: unknown[] = [];
    const onError = (error: unknown) => void errors.push(error);
    const database = new Database({ storage, clock: new MovableClock(), derivedTables, onError });
    const outcomes = database.commit([
      write([set(a, text("1")), set(b, text("1"))]),
      write([set(b, text("2")), remove(a)]),
      write([set(b, text("3"))]),
    ]);
    expect(outcomes[1]).toMatchObject({
      code: "internal",
      message: expect.stringContaining("nothing of it was stored"),
    });
    expect(errors).toEqual([new Error("cannot index this")]);
    expect(told, "the group was undone, and its writes were tried one by one").toEqual([
      "undone",
      "kept",
      "undone",
      "kept",
    ]);
    expect(entryOrNull(database.read([point(a)], 100))?.value).toEqual(text("1"));
    expect(entryOrNull(database.read([point(b)], 100))?.value).toEqual(text("3"));
    expect(storage.sql.exec("SELECT version, keys FROM derived ORDER BY version").toArray()).toEqual([
      { version: versionOf(outcomes[0]), keys: 2 },
      { version: versionOf(outcomes[2]), keys: 1 },
    ]);
    expect(database.commit([write([remove(a)])])[0], "also of a write of one change").toMatchObject({
      code: "internal",
    });
    expect(entryOrNull(database.read([point(a)], 100))?.value).toEqual(text("1"));
  });
});

test("derived tables are told what was there before and what is there now, of the keys that they follow and of no others", async () => {
  await withStorage((inner) => {
    const storage = new CountingStorage(inner);
    const seen: string[] = [];
    const show = (entry: { key: Uint8Array; value: Uint8Array } | null) =>
      entry === null ? "-" : `${toHex(entry.key)}=${toHex(entry.value)}`;
    const derivedTables = derived({
      follows: (name) => equalBytes(name, a),
      apply: (changes) => seen.push(...changes.map(({ before, after }) => `${show(before)} ${show(after)}`)),
    });
    const clock = new MovableClock();
    const database = new Database({ storage, clock, derivedTables });
    database.commit([write([])]);
    const [one, two, count] = [text("1"), text("2"), u64(5n)];
    expect(storage.count(() => database.commit([write([set(b, one)])]))).toEqual({ read: 0, written: 1 });
    expect(storage.count(() => database.commit([write([set(a, one), set(b, two)])]))).toEqual({ read: 1, written: 2 });
    expect(storage.count(() => database.commit([write([remove(b)])]))).toEqual({ read: 1, written: 1 });
    database.commit([write([set(a, two)]), write([remove(a), remove(key("c"))])]);
    database.commit([write([remove(a)])]);
    database.commit([write([numeric("sum", a, count)])]);
    database.commit([write([set(a, one, { expiresAt: clock.time + 5 }), set(b, one, { expiresAt: clock.time + 5 })])]);
    clock.time += 5;
    database.deleteExpired(10);
    const named = (value: Uint8Array) => `${toHex(a)}=${toHex(value)}`;
    expect(seen).toEqual([
      `- ${named(one)}`,
      `${named(one)} ${named(two)}`,
      `${named(two)} -`,
      `- ${named(count)}`,
      `${named(count)} ${named(one)}`,
      `${named(one)} -`,
    ]);
  });
});

test("a failure to tell watchers changes nothing of what was stored", async () => {
  await withStorage((storage) => {
    const database = new Database({ storage, clock: new MovableClock() });
    let told = 0;
    const watcher = database.watches.add(
      [a],
      () => {
        told += 1;
        if (told > 1) throw new Error("cannot tell");
      },
      { resumed: false },
    );
    watcher.acknowledge();
    const sums = Array.from({ length: 3 }, () => write([numeric("sum", a, u64(1n))]));
    expect(() => database.commit(sums)).toThrow("cannot tell");
    expect(entryOrNull(database.read([point(a)], 100))?.value).toEqual(u64(3n));
    watcher.acknowledge();
    expect(database.commit([write([set(b, text("1"))])])[0]).toMatchObject({ ok: true });
  });
});

test("an expiry that a watcher has seen already, with another change, is not told again", async () => {
  await withStorage((storage) => {
    const clock = new MovableClock();
    const database = new Database({ storage, clock });
    database.commit([write([set(a, text("1"), { expiresAt: clock.time + 10 })])]);
    const told: (string | null)[][] = [];
    const watcher = database.watches.add(
      [a, b],
      (entries) => void told.push(entries.map((entry) => entry && new TextDecoder().decode(entry.value))),
      { resumed: false },
    );
    watcher.acknowledge();
    clock.time += 10;
    database.commit([write([set(b, text("2"))])]);
    watcher.acknowledge();
    expect(database.deleteExpired(10)).toBe(1);
    expect(told).toEqual([
      ["1", null],
      [null, "2"],
    ]);
  });
});

test("a commit past a row's size is divided in the log between entries and read as one", async () => {
  await withStorage((storage) => {
    const database = new Database({ storage, clock: new MovableClock() });
    database.log.register("reader", NO_VERSION);
    const big = (n: number) => new Uint8Array(MAX_VALUE_BYTES).fill(n);
    const first = versionOf(database.commit([write([set(a, text("1"))])])[0]);
    const sets = Array.from({ length: 7 }, (_, i) => set(key("big", i), big(i)));
    const second = versionOf(database.commit([write(sets)])[0]);
    const third = versionOf(database.commit([write([set(b, text("1"))])])[0]);

    const rows = storage.sql
      .exec<{ n: number; longest: number }>("SELECT count(*) AS n, max(length(entries)) AS longest FROM mutation_log_1")
      .one();
    expect(rows.longest).toBeLessThanOrEqual(1_900_000);
    expect(rows.n).toBe(2 + 7);
    const commits = database.log.read(NO_VERSION, Number.MAX_SAFE_INTEGER);
    expect(commits.map(({ version }) => version)).toEqual([first, second, third]);
    const { entries } = fromBinary(BackupMutationRangeSchema, concatBytes(commits[1]?.parts ?? []));
    expect(entries.map(({ versionstamp }) => (versionstamp[10] ?? 0) * 256 + (versionstamp[11] ?? 0))).toEqual([
      0, 1, 2, 3, 4, 5, 0xffff,
    ]);
    expect(entries.every(({ value }, i) => value.length === MAX_VALUE_BYTES && value[7] === i)).toBe(true);
    // A bound on the bytes ends at a whole commit.
    expect(database.log.read(NO_VERSION, 1).map(({ version }) => version)).toEqual([first]);
    expect(database.log.read(first, 1).map(({ version }) => version)).toEqual([second]);
  });
});

test("a commit whose sums come to more than a row of the log takes room for all of them", async () => {
  await withStorage((storage) => {
    const database = new Database({ storage, clock: new MovableClock() });
    const big = encodeV8((1n << 32_000n) - 1n);
    const one = encodeV8(1n);
    if (!big.ok || !one.ok) throw new Error("a bigint can be encoded");
    const keys = Array.from({ length: 1000 }, (_, i) => key(i));
    database.commit([write(keys.map((name) => set(name, big.bytes, { encoding: Encoding.v8 })))]);
    database.log.register("reader", database.lastVersion);
    const before = versionOf(database.commit([write([set(a, text("1"))])])[0]);
    const sums = keys.map((name) => numeric("sum", name, one.bytes, { encoding: Encoding.v8 }));
    const after = versionOf(database.commit([write(sums)])[0]);
    const commits = database.log.read(NO_VERSION, Number.MAX_SAFE_INTEGER);
    expect(commits.map(({ version, parts }) => [version, parts.length])).toEqual([
      [before, 1],
      [after, 3],
    ]);
  });
});

test("the log is written only while it has a reader, and what all have passed goes by whole segments (B48)", async () => {
  await withStorage((inner) => {
    const storage = new CountingStorage(inner);
    const open = () => new Database({ storage, clock: new MovableClock() });
    let database = open();
    const commits = (count: number) =>
      Array.from({ length: count }, (_, i) => versionOf(database.commit([write([set(a, text(`${i}`))])])[0])).at(-1) ??
      NO_VERSION;
    const segments = () =>
      inner.sql.exec("SELECT name FROM sqlite_schema WHERE name LIKE 'mutation_log%' AND type = 'table'").toArray()
        .length;
    commits(3);
    expect(database.log.firstAfter(NO_VERSION)).toBeNull();
    database.log.register("one", database.lastVersion);
    database.log.register("two", database.lastVersion);
    const early = commits(10);
    database.log.advance("one", early);
    database.log.trim();
    expect(segments(), "a segment that is not full stays").toBe(1);
    const full = commits(995);
    expect(storage.count(() => database.log.trim()).written, "a new segment for 1,000 commits writes two rows").toBe(2);
    expect(segments(), "one reader still needs the first").toBe(2);
    const last = commits(20);
    database = open();
    expect(database.log.read(NO_VERSION, Number.MAX_SAFE_INTEGER)).toHaveLength(1025);
    for (const after of [NO_VERSION, early, full, last]) {
      const rest = database.log.read(after, Number.MAX_SAFE_INTEGER);
      const bytes = rest.flatMap(({ parts }) => parts).reduce((sum, part) => sum + part.length, 0);
      expect(database.log.bytesAfter(after)).toBe(bytes);
      expect(database.log.firstAfter(after)).toBe(rest[0]?.version ?? null);
    }
    expect(database.log.read(early, Number.MAX_SAFE_INTEGER, full)).toHaveLength(995);
    expect(database.log.read(NO_VERSION, Number.MAX_SAFE_INTEGER).at(-1)?.version).toBe(last);
    // What is not read to its end leaves no cursor open: that would keep the segment from being dropped.
    expect(database.log.read(NO_VERSION, 1)).toHaveLength(1);
    expect(database.scan(null, { maxBytes: 1, maxEntries: 10 })).toHaveLength(1);
    database.log.advance("one", full);
    database.log.advance("two", full);
    expect(storage.count(() => database.log.trim()).written, "dropping writes none").toBe(0);
    expect(segments()).toBe(1);
    expect(database.log.read(NO_VERSION, Number.MAX_SAFE_INTEGER)).toHaveLength(20);
    database.log.unregister("one");
    database.log.unregister("two");
    database.log.trim();
    expect(database.log.firstAfter(NO_VERSION)).toBeNull();
    commits(2);
    expect(database.log.firstAfter(NO_VERSION)).toBeNull();
  });
});

test("a reader that was registered or unregistered in a transaction that was rolled back changes nothing", async () => {
  await withStorage(async (storage) => {
    const database = new Database({ storage, clock: new MovableClock() });
    const { log } = database;
    const undone = (work: () => void) =>
      expect(() =>
        storage.transactionSync(() => {
          work();
          throw new Error("undone");
        }),
      ).toThrow("undone");
    const isLogged = () => {
      const version = versionOf(database.commit([write([set(a, text("1"))])])[0]);
      return log.read(NO_VERSION, Number.MAX_SAFE_INTEGER).at(-1)?.version === version;
    };
    undone(() => {
      log.register("one", database.lastVersion);
      expect(log.isWritten, "within the transaction").toBe(true);
    });
    expect(isLogged()).toBe(false);
    await Promise.resolve();
    expect(isLogged()).toBe(false);
    log.register("one", database.lastVersion);
    expect(isLogged()).toBe(true);
    undone(() => {
      log.unregister("one");
      expect(log.isWritten, "within the transaction").toBe(false);
    });
    expect(isLogged()).toBe(true);
    await Promise.resolve();
    expect(isLogged()).toBe(true);
    log.unregister("one");
    log.unregister("one");
    expect(isLogged()).toBe(false);
  });
});

test("versions follow the clock, never go back with it, and start above the mark after a restart, which do not add up (S5, S6, S7)", async () => {
  await withStorage((storage) => {
    const clock = new MovableClock();
    const open = () => new Database({ storage, clock });
    let database = open();
    const commit = () => versionOf(database.commit([write([set(a, text("1"))])])[0]);
    const first = commit();
    expect(first).toBe(versionAtTime(clock.now()));
    expect(commit()).toBe(first + 1);
    clock.time += 1000;
    const later = commit();
    expect(later).toBe(versionAtTime(clock.now()));
    clock.time -= 3_600_000;
    expect(commit()).toBe(later + 1);
    let last = later + 1;
    for (let i = 0; i < 50; i++) {
      database = open();
      const version = commit();
      expect(version).toBeGreaterThan(last);
      last = version;
    }
    clock.time += 3_600_000;
    // Fifty restarts with the clock an hour back cost fifty small steps, and none of five seconds each.
    expect(last).toBeLessThan(asVersion(later + 5_000_000 + 50 * 1_100));
  });
});

test("a mark that was rolled back does not count: after a restart, versions go on above what was committed without it (S7)", async () => {
  await withStorage((storage) => {
    const failing = derived({
      apply(changes) {
        if (changes.some(({ after }) => after === null)) throw new Error("cannot index this");
      },
    });
    const clock = new MovableClock();
    const database = new Database({ storage, clock, derivedTables: failing });
    database.commit([write([set(a, text("1"))])]);
    clock.time += 3_600_000;
    const outcomes = database.commit([write([set(b, text("1"))]), write([remove(a)]), write([set(b, text("2"))])]);
    expect(outcomes[1]).toMatchObject({ code: "internal" });
    clock.time -= 3_600_000;
    const reopened = new Database({ storage, clock });
    expect(versionOf(reopened.commit([write([])])[0])).toBeGreaterThan(versionOf(outcomes[2]));
  });
});

test("a write alone whose change takes several statements is undone whole when one of them throws (W1)", async () => {
  await withStorage((storage) => {
    let broken: RegExp | null = null;
    const fragile = Object.create(storage, {
      sql: {
        value: {
          exec: (query: string, ...bindings: (ArrayBuffer | null)[]) => {
            if (broken?.test(query) === true) throw new Error("disk");
            return storage.sql.exec(query, ...bindings);
          },
          databaseSize: 0,
        },
      },
      transactionSync: { value: (work: () => void) => storage.transactionSync(work) },
    });
    const errors: unknown[] = [];
    const database = new Database({ storage: fragile, clock: new MovableClock(), onError: (e) => errors.push(e) });
    const large = new Uint8Array(5000).fill(1);
    database.commit([write([set(a, large)])]);
    for (const change of [set(a, text("small")), remove(a)]) {
      broken = /^(UPDATE|DELETE FROM) entries .*WHERE k = \?1$/;
      expect(database.commit([write([change])])[0]).toMatchObject({ code: "internal" });
      broken = null;
      expect(entryOrNull(database.read([point(a)], 10_000))?.value).toEqual(large);
    }
    database.log.register("reader", database.lastVersion);
    broken = /^INSERT INTO mutation_log/;
    expect(database.commit([write([set(b, text("not logged"))])])[0]).toMatchObject({ code: "internal" });
    broken = null;
    expect(entryOrNull(database.read([point(b)], 100))).toBeNull();
    expect(errors).toHaveLength(3);
    expect(database.countEntries()).toBe(1);
  });
});

test("what is closed stays closed: later commits are above it, also when the clock goes back and after a restart (S10)", async () => {
  await withStorage((storage) => {
    const clock = new MovableClock();
    let database = new Database({ storage, clock });
    const one = () => versionOf(database.commit([write([set(a, text("1"))])])[0]);
    const before = one();
    clock.time += 60_000;
    const closed = database.closeNow();
    expect(closed).toBe(versionAtTime(clock.now()) - 1);
    expect(closed).toBeGreaterThan(before);
    expect(one(), "in the same millisecond").toBeGreaterThan(closed);
    clock.time += 60_000;
    const again = database.closeNow();
    clock.time -= 3_600_000;
    expect(one()).toBeGreaterThan(again);
    const last = database.closeNow();
    database = new Database({ storage, clock });
    expect(database.lastVersion).toBeGreaterThanOrEqual(last);
    expect(one()).toBeGreaterThan(last);
  });
});
