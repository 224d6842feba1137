/**
 * The engine against a plain map: generated histories of groups of writes, reads with every kind of range, expiry with a clock
 * that also goes back, and restarts. After every step the stored rows are whole; at the end the log replayed from an empty map is
 * the state, and every watcher has been told it.
 */
import { fromBinary } from "@bufbuild/protobuf";
import fc from "fast-check";
import { expect, test } from "vitest";
import { equalBytes, toHex } from "../../src/core/bytes.ts";
import { asUnixMs } from "../../src/core/clock.ts";
import {
  type AtomicWrite,
  type Check,
  type Encoding,
  type Entry,
  type Mutation,
  type ReadRange,
} from "../../src/core/operations.ts";
import { NO_VERSION, type Version } from "../../src/core/versionstamp.ts";
import { Database } from "../../src/engine/database.ts";
import type { Watcher } from "../../src/engine/watch-hub.ts";
import { concatBytes } from "../../src/core/bytes.ts";
import {
  BackupKvMutationKind,
  BackupMutationRangeSchema,
} from "../support/proto/generated/com/deno/kv/backup/backup_pb.js";
import { key, MovableClock, u64, withStorage } from "../support/workerd/engine.ts";
import { Model } from "../support/model.ts";

const KEYS = [
  key("a"),
  key("a", 1),
  key("a", 2n),
  key("b"),
  key(new Uint8Array([0, 1])),
  key(true),
  key("a", "b", "c"),
];

const anyKey = fc.constantFrom(...KEYS);
const bound = fc.oneof(
  anyKey,
  anyKey.map((k) => Uint8Array.of(...k, 0)),
  anyKey.map((k) => Uint8Array.of(...k, 0xff)),
  fc.uint8Array({ maxLength: 3 }),
);
const value = fc.oneof(
  fc.uint8Array({ maxLength: 20 }),
  fc.integer({ min: 900, max: 1100 }).map((n) => new Uint8Array(n)),
);
/** Milliseconds from the time of the write; null never. */
const lifetime = fc.option(fc.integer({ min: -5, max: 50 }), { nil: null });

type PlannedCheck = { key: Uint8Array; expect: "nothing" | "current" | "other" };
type PlannedMutation =
  | { type: "set"; key: Uint8Array; value: Uint8Array; lifetime: number | null; stamped: boolean }
  | { type: "delete"; key: Uint8Array }
  | { type: "sum" | "min" | "max"; key: Uint8Array; value: Uint8Array };

type Step =
  | { do: "write"; group: { checks: PlannedCheck[]; mutations: PlannedMutation[] }[] }
  | { do: "read"; ranges: { start: Uint8Array; end: Uint8Array; limit: number; reverse: boolean }[] }
  | { do: "pass time"; ms: number }
  | { do: "delete expired"; limit: number }
  | { do: "restart" }
  | { do: "watch"; keys: Uint8Array[] }
  | { do: "acknowledge"; watcher: number };

const mutation: fc.Arbitrary<PlannedMutation> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      type: fc.constant("set" as const),
      key: anyKey,
      value,
      lifetime,
      stamped: fc.nat(9).map((n) => n === 0),
    }),
  },
  { weight: 2, arbitrary: fc.record({ type: fc.constant("delete" as const), key: anyKey }) },
  {
    weight: 3,
    arbitrary: fc.record({
      type: fc.constantFrom("sum" as const, "min" as const, "max" as const),
      key: anyKey,
      value: fc.bigInt({ min: 0n, max: (1n << 64n) - 1n }).map(u64),
    }),
  },
);
const check: fc.Arbitrary<PlannedCheck> = fc.record({
  key: anyKey,
  expect: fc.constantFrom(
    "nothing" as const,
    "current" as const,
    "current" as const,
    "current" as const,
    "other" as const,
  ),
});
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant("write" as const),
      group: fc.array(
        fc.record({ checks: fc.array(check, { maxLength: 2 }), mutations: fc.array(mutation, { maxLength: 4 }) }),
        { minLength: 1, maxLength: 4 },
      ),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant("read" as const),
      ranges: fc.array(
        fc.record({ start: bound, end: bound, limit: fc.integer({ min: 1, max: 8 }), reverse: fc.boolean() }),
        { minLength: 1, maxLength: 3 },
      ),
    }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("pass time" as const), ms: fc.integer({ min: -30, max: 60 }) }) },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant("delete expired" as const), limit: fc.integer({ min: 1, max: 5 }) }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("restart" as const) }) },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant("watch" as const),
      keys: fc.uniqueArray(anyKey, { minLength: 1, maxLength: 3 }),
    }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("acknowledge" as const), watcher: fc.nat(5) }) },
);

/** A receiver that keeps what it was told, and has to acknowledge it to hear more. */
interface Receiver {
  readonly keys: Uint8Array[];
  /** What it was told last of each key; undefined before the first message. */
  seen: readonly (Entry | null)[] | undefined;
  watcher: Watcher;
  waiting: boolean;
}

class History {
  readonly model = new Model();
  readonly clock = new MovableClock();
  readonly receivers: Receiver[] = [];
  lastVersion = 0;
  #latestTime = this.clock.time;
  #database: Database;

  readonly storage: DurableObjectStorage;

  constructor(storage: DurableObjectStorage) {
    this.storage = storage;
    this.#database = this.#open();
    this.#database.log.register("replay", NO_VERSION);
  }

  #open(): Database {
    return new Database({ storage: this.storage, clock: this.clock });
  }

  run(planned: Step): void {
    switch (planned.do) {
      case "write":
        return this.#write(planned.group);
      case "read":
        return this.#read(planned.ranges);
      case "pass time":
        this.clock.time += planned.ms;
        this.#latestTime = Math.max(this.#latestTime, this.clock.time);
        return undefined;
      case "delete expired":
        this.#deleteExpired(planned.limit);
        return undefined;
      case "restart":
        this.#database = this.#open();
        // Sockets outlive an object that slept; its memory does not.
        for (const receiver of this.receivers) this.#attach(receiver, true);
        return undefined;
      case "watch": {
        const receiver: Receiver = {
          keys: planned.keys,
          seen: undefined,
          watcher: { acknowledge: () => undefined, remove: () => undefined },
          waiting: false,
        };
        this.receivers.push(receiver);
        this.#attach(receiver, false);
        expect(receiver.seen, "the first message comes at once").toHaveLength(planned.keys.length);
        return undefined;
      }
      case "acknowledge": {
        const receiver = this.receivers[planned.watcher];
        if (receiver !== undefined) this.#acknowledge(receiver);
        return undefined;
      }
    }
  }

  finish(): void {
    // An entry that was expired when a watcher was told, and is not because the clock went back, is expired for good by then.
    this.clock.time = this.#latestTime;
    this.#deleteExpired(1000);
    for (let i = 0; i < 4; i++) for (const receiver of this.receivers) this.#acknowledge(receiver);
    for (const { keys, seen } of this.receivers) {
      for (const [i, name] of keys.entries()) {
        const told = seen?.[i] === undefined ? "nothing" : (seen[i]?.version ?? null);
        expect(told, "a watcher was told the last state").toBe(this.model.get(name, this.clock.time)?.version ?? null);
      }
    }
    this.#replayLog();
  }

  checkRows(): void {
    const orphans = this.storage.sql
      .exec(
        `SELECT 'orphan' FROM large_values WHERE id NOT IN (SELECT large FROM entries WHERE large IS NOT NULL)
         UNION ALL SELECT 'missing' FROM entries WHERE large IS NOT NULL AND large NOT IN (SELECT id FROM large_values)
         UNION ALL SELECT 'both or none' FROM entries WHERE (large IS NULL) = (v IS NULL)
         UNION ALL SELECT 'shared' FROM entries WHERE large IS NOT NULL GROUP BY large HAVING count(*) > 1`,
      )
      .toArray();
    expect(orphans).toEqual([]);
  }

  #attach(receiver: Receiver, resumed: boolean): void {
    receiver.watcher = this.#database.watches.add(
      receiver.keys,
      (entries) => {
        receiver.seen = entries;
        receiver.waiting = true;
      },
      { resumed },
    );
  }

  #acknowledge(receiver: Receiver): void {
    if (!receiver.waiting) return;
    receiver.waiting = false;
    receiver.watcher.acknowledge();
  }

  #write(group: { checks: PlannedCheck[]; mutations: PlannedMutation[] }[]): void {
    const now = this.clock.time;
    const writes = group.map(({ checks, mutations }): AtomicWrite => ({
      checks: checks.map((planned): Check => ({ key: planned.key, version: this.#expectation(planned) })),
      mutations: mutations.map((planned): Mutation => {
        if (planned.type === "delete") return planned;
        const encoding: Encoding = planned.type === "set" ? 3 : 2;
        if (planned.type !== "set") return { ...planned, encoding, sumMin: null, sumMax: null, clamp: false };
        const expiresAt = planned.lifetime === null ? null : asUnixMs(now + planned.lifetime);
        return {
          type: "set",
          key: planned.key,
          value: planned.value,
          encoding,
          expiresAt,
          versionstampedKey: planned.stamped,
        };
      }),
      enqueues: [],
    }));
    const outcomes = this.#database.commit(writes);
    expect(outcomes).toHaveLength(writes.length);
    for (const [i, planned] of writes.entries()) {
      const expected = this.model.expect(planned, now);
      const outcome = outcomes[i];
      if (expected.kind === "committed") {
        expect(outcome).toMatchObject({ ok: true });
        const version = (outcome as { version: Version }).version;
        expect(version).toBeGreaterThan(this.lastVersion);
        expect(version).toBeGreaterThanOrEqual(now * 1000);
        this.lastVersion = version;
        this.model.apply(planned, version, now);
      } else if (expected.kind === "failed checks") {
        expect(outcome).toEqual({ ok: false, failedChecks: expected.failedChecks });
      } else {
        expect(outcome).toMatchObject({ ok: false, code: "type-mismatch" });
      }
    }
  }

  #expectation({ key: name, expect: wanted }: PlannedCheck): Check["version"] {
    if (wanted === "nothing") return null;
    if (wanted === "other") return "other";
    return this.model.get(name, this.clock.time)?.version ?? null;
  }

  #read(ranges: ReadRange[]): void {
    const answer = this.#database.read(ranges, 1_000_000);
    expect(answer).toHaveLength(ranges.length);
    let bytes = 0;
    for (const [i, range] of ranges.entries()) {
      const expected = this.model.read(range, this.clock.time);
      const got = answer?.[i] ?? [];
      expect(got.map((entry) => toHex(entry.key))).toEqual(expected.map((entry) => toHex(entry.key)));
      for (const [j, entry] of got.entries()) {
        expect(entry.version).toBe(expected[j]?.version);
        expect(entry.encoding).toBe(expected[j]?.encoding);
        expect(equalBytes(entry.value, expected[j]?.value ?? new Uint8Array())).toBe(true);
        bytes += entry.key.length + entry.value.length;
      }
    }
    expect(this.#database.readBytes(ranges)).toBe(bytes);
    if (bytes > 0) expect(this.#database.read(ranges, bytes - 1)).toBeNull();
    expect(this.#database.read(ranges, bytes)).not.toBeNull();
  }

  #deleteExpired(limit: number): void {
    const expired = [...this.model.entries.values()].filter(
      ({ expiresAt }) => expiresAt !== null && expiresAt <= this.clock.time,
    );
    const deleted = this.#database.deleteExpired(limit);
    expect(deleted).toBe(Math.min(limit, expired.length));
    const left = new Set(
      Array.from(this.storage.sql.exec<{ k: ArrayBuffer }>("SELECT k FROM entries"), ({ k }) =>
        toHex(new Uint8Array(k)),
      ),
    );
    for (const { key: name } of expired) if (!left.has(toHex(name))) this.model.entries.delete(toHex(name));
    expect(this.model.entries.size).toBe(left.size);
  }

  #replayLog(): void {
    const state = new Map<string, string>();
    const stamps: string[] = [];
    for (const { version, parts } of this.#database.log.read(NO_VERSION, Number.MAX_SAFE_INTEGER)) {
      const { entries } = fromBinary(BackupMutationRangeSchema, concatBytes(parts));
      for (const [i, entry] of entries.entries()) {
        const stamp = toHex(entry.versionstamp);
        expect(stamp.slice(0, 16)).toBe(version.toString(16).padStart(16, "0"));
        expect(stamp.endsWith("ffff")).toBe(i === entries.length - 1);
        stamps.push(stamp);
        if (entry.kind === BackupKvMutationKind.CLEAR) state.delete(toHex(entry.key));
        else
          state.set(
            toHex(entry.key),
            `${stamp.slice(0, 20)} ${entry.valueEncoding} ${entry.expireAtMs} ${toHex(entry.value)}`,
          );
      }
    }
    expect(stamps).toEqual([...new Set(stamps)].toSorted());
    const expected = new Map(
      [...this.model.entries.values()].map((entry) => [
        toHex(entry.key),
        `${entry.version.toString(16).padStart(16, "0")}0000 ${entry.encoding} ${entry.expiresAt ?? 0} ${toHex(entry.value)}`,
      ]),
    );
    expect(Object.fromEntries(state)).toEqual(Object.fromEntries(expected));
  }
}

test("generated histories come out as in the model (R6, W1, S4)", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 60 }), async (steps) => {
      await withStorage((storage) => {
        const history = new History(storage);
        for (const planned of steps) {
          history.run(planned);
          history.checkRows();
        }
        history.finish();
      });
    }),
    { numRuns: 400 },
  );
});

test("a watcher that was told of an expiry stays right when the clock steps back over it (seed -859765071)", async () => {
  await withStorage((storage) => {
    const history = new History(storage);
    const [a, b] = [key("a"), key("b")];
    const sets = (name: Uint8Array, ms: number | null): Step => ({
      do: "write",
      group: [
        { checks: [], mutations: [{ type: "set", key: name, value: Uint8Array.of(1), lifetime: ms, stamped: false }] },
      ],
    });
    const steps: Step[] = [
      sets(a, 10),
      { do: "watch", keys: [a, b] },
      { do: "acknowledge", watcher: 0 },
      { do: "pass time", ms: 10 },
      sets(b, null),
      { do: "acknowledge", watcher: 0 },
      { do: "pass time", ms: -1 },
      { do: "read", ranges: [{ start: a, end: Uint8Array.of(...b, 0), limit: 5, reverse: false }] },
    ];
    for (const planned of steps) {
      history.run(planned);
      history.checkRows();
    }
    history.finish();
    expect(history.model.entries.size, "the expired entry is gone").toBe(1);
  });
});
