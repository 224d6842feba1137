/**
 * Readers of the change feed against a plain list of commits: generated histories of writes, expiry, slow acknowledgements, lost
 * connections, sleeps, crashes, restores, a log that is trimmed by age and another reader of the log that comes and goes. Each reader has
 * exactly the commits between where it began and where it is, and no restore between them is untold.
 */
import fc from "fast-check";
import { expect, test } from "vitest";
import { fromHex, toHex } from "../../src/core/bytes.ts";
import { asUnixMs } from "../../src/core/clock.ts";
import { admitsKey } from "../../src/codec/key-prefix.ts";
import { Encoding, type Mutation } from "../../src/core/operations.ts";
import { NO_VERSION, type Version } from "../../src/core/versionstamp.ts";
import { Database } from "../../src/engine/database.ts";
import { SideState } from "../../src/engine/side-state.ts";
import { FeedReader, said, type ToldCommit } from "../support/feed-receiver.ts";
import { key, MovableClock, remove, set, versionOf, withStorage, write } from "../support/workerd/engine.ts";

const RETENTION_MS = 3_600_000;
const PREFIXES = [new Uint8Array(), key("a"), key("a", "b"), key("c")];
const KEYS = [key("a"), key("a", "b"), key("a", "b", 1), key("a", "bb"), key("c"), key("d", 1)];
const OTHER_READER = "other";

const anyChange = fc.record({
  key: fc.constantFrom(...KEYS),
  // Some so large that a page holds few, and one that is a page by itself.
  size: fc.option(fc.oneof(fc.nat(30), fc.constant(200_000), fc.constant(900_000)), { freq: 3, nil: null }),
  lifetime: fc.option(fc.integer({ min: 1, max: 50 }), { freq: 3, nil: null }),
});
const anyNumber = fc.nat(5);
const step = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      do: fc.constant("write" as const),
      group: fc.array(fc.array(anyChange, { maxLength: 4 }), { minLength: 1, maxLength: 3 }),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant("pass time" as const),
      ms: fc.oneof(fc.integer({ min: -20, max: 60 }), fc.constantFrom(RETENTION_MS / 2, -RETENTION_MS, RETENTION_MS)),
    }),
  },
  { weight: 3, arbitrary: fc.record({ do: fc.constantFrom("expire" as const, "trim" as const, "marker" as const) }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant("read" as const), prefix: fc.constantFrom(...PREFIXES) }) },
  { weight: 7, arbitrary: fc.record({ do: fc.constant("acknowledge" as const), number: anyNumber }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant("disconnect" as const), number: anyNumber }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant("connect" as const), number: anyNumber }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constantFrom("sleep" as const, "crash" as const) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("restore" as const), whole: fc.boolean() }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constantFrom("log" as const, "no log" as const) }) },
);
type Of<Arbitrary> = Arbitrary extends fc.Arbitrary<infer Value> ? Value : never;

interface Reading {
  readonly reader: FeedReader;
  /** Where it began. */
  from: Version;
  /** Of its commits and resets, those before that do not count. */
  commitsBefore: number;
  resetsBefore: number;
}

class History {
  readonly #storage: DurableObjectStorage;
  readonly #clock = new MovableClock();
  readonly #readings: Reading[] = [];
  readonly #commits: ToldCommit[] = [];
  readonly #restores: Version[] = [];
  /** Keys that an entry is stored of. */
  #stored = new Set<string>();
  #expiries = new Map<string, number>();
  #database: Database;
  #sides = 0;

  constructor(storage: DurableObjectStorage) {
    this.#storage = storage;
    this.#database = new Database({ storage, clock: this.#clock });
    this.#database.feed.keep({ prefix: null, retentionMs: RETENTION_MS });
  }

  run(planned: Of<typeof step>): void {
    switch (planned.do) {
      case "write":
        this.#write(planned.group);
        break;
      case "pass time":
        this.#clock.time += planned.ms;
        break;
      case "expire":
        this.#expire();
        break;
      case "marker":
        this.#database.logMarker();
        break;
      case "trim":
        this.#database.feed.trim(asUnixMs(this.#clock.time));
        break;
      case "read": {
        const reader = new FeedReader(planned.prefix);
        reader.connect(this.#database.watches);
        expect(reader.places, "a new reader is told its place at once").toEqual([this.#database.lastVersion]);
        this.#readings.push({ reader, from: this.#database.lastVersion, commitsBefore: 0, resetsBefore: 0 });
        break;
      }
      case "acknowledge":
        this.#readings[planned.number]?.reader.acknowledge();
        break;
      case "disconnect":
        this.#readings[planned.number]?.reader.disconnect();
        break;
      case "connect":
        this.#connect(this.#readings[planned.number]);
        break;
      case "sleep":
        this.#sleep();
        break;
      case "crash":
        this.#database = new Database({ storage: this.#storage, clock: this.#clock });
        for (const { reader } of this.#readings) Object.assign(reader, { watcher: null, isWaiting: false });
        break;
      case "restore":
        this.#restore(planned.whole);
        break;
      case "log":
      case "no log":
        this.#changeLog(planned.do);
        break;
    }
    for (const reading of this.#readings) this.#check(reading);
  }

  finish(): void {
    for (const reading of this.#readings) {
      reading.reader.drain();
      reading.reader.disconnect();
      this.#connect(reading);
      reading.reader.drain();
      expect(reading.reader.behindAt).toBeNull();
      expect(reading.reader.after).toBeGreaterThanOrEqual(this.#commits.at(-1)?.version ?? NO_VERSION);
      this.#check(reading);
    }
  }

  #check({ reader, from, commitsBefore, resetsBefore }: Reading): void {
    const place = reader.after ?? NO_VERSION;
    const admits = (change: string): boolean => {
      const [, hex = ""] = change.split(" ");
      return admitsKey(reader.prefix, fromHex(hex));
    };
    const expected = this.#commits
      .filter(({ version }) => version > from && version <= place)
      .map(({ version, changes }) => ({ version, changes: changes.filter(admits) }))
      .filter(({ changes }) => changes.length > 0);
    expect(reader.commits.slice(commitsBefore)).toEqual(expected);
    // Only the last restore is known: of one before it a reader that was behind is told with that.
    const last = this.#restores.at(-1) ?? NO_VERSION;
    if (last > from && last <= place) expect(reader.resets.slice(resetsBefore).at(-1)).toBe(last);
  }

  #connect(reading: Reading | undefined): void {
    if (reading === undefined || (reading.reader.watcher !== null && reading.reader.behindAt === null)) return;
    const { reader } = reading;
    reader.disconnect();
    reader.connect(this.#database.watches);
    if (reader.behindAt === null) return;
    const kept = this.#database.feed.keptAfter ?? NO_VERSION;
    expect(reader.behindAt).toEqual({ after: reader.after, why: "not kept" });
    expect(
      this.#commits.some(({ version }) => version > (reader.after ?? NO_VERSION) && version <= kept) ||
        kept > (reader.after ?? NO_VERSION),
      "something is gone that it has not read",
    ).toBe(true);
    // It begins anew, with the oldest.
    reader.disconnect();
    Object.assign(reading, { from: kept, commitsBefore: reader.commits.length, resetsBefore: reader.resets.length });
    reader.after = kept;
    reader.connect(this.#database.watches);
    expect(reader.behindAt).toBeNull();
  }

  #sleep(): void {
    const attached = this.#readings.map(({ reader }) => reader.watcher?.upTo ?? null);
    this.#database.saveCounters();
    this.#database = new Database({ storage: this.#storage, clock: this.#clock });
    for (const [i, { reader }] of this.#readings.entries()) {
      if (reader.watcher === null || reader.behindAt !== null) continue;
      // One that waits for room keeps the object awake; all others have told all, or a message is under way.
      const after = attached[i] ?? reader.after;
      reader.connect(this.#database.watches, { after, connection: reader.isWaiting ? "under way" : "taken" });
    }
  }

  #write(group: Of<typeof anyChange>[][]): void {
    const writes = group.map((changes) => write(changes.map((change) => this.#mutation(change))));
    const outcomes = this.#database.commit(writes);
    for (const [i, { mutations }] of writes.entries()) {
      const version = versionOf(outcomes[i]);
      const changes: string[] = [];
      for (const one of mutations) {
        const name = toHex(one.key);
        const existed = this.#stored.has(name);
        this.#expiries.delete(name);
        if (one.type === "set" && !(one.expiresAt !== null && one.expiresAt <= this.#clock.time)) {
          this.#stored.add(name);
          if (one.expiresAt !== null) this.#expiries.set(name, one.expiresAt);
          changes.push(said({ key: one.key, set: one, isNew: !existed }));
        } else if (existed) {
          this.#stored.delete(name);
          changes.push(`delete ${name}`);
        }
      }
      if (changes.length > 0) this.#commits.push({ version, changes });
    }
  }

  #mutation({ key: name, size, lifetime }: Of<typeof anyChange>): Mutation {
    if (size === null) return remove(name);
    const expiresAt = lifetime === null ? null : this.#clock.time + lifetime;
    return set(name, new Uint8Array(size).fill(size), { expiresAt, encoding: Encoding.bytes });
  }

  #expire(): void {
    const due = [...this.#expiries].filter(([, at]) => at <= this.#clock.time);
    const deleted = this.#database.deleteExpired(1_000);
    expect(deleted).toBe(due.length);
    if (deleted === 0) return;
    // In the order of their expiry, and otherwise as the index has them.
    const changes = new Set(due.map(([name]) => `delete ${name}`));
    const page = this.#database.feed.page(this.#commits.at(-1)?.version ?? NO_VERSION, new Uint8Array());
    const told = typeof page === "string" ? [] : (page.commits.at(-1)?.changes.map(said) ?? []);
    const ordered = told.length === changes.size && told.every((change) => changes.has(change)) ? told : [...changes];
    this.#commits.push({ version: this.#database.lastVersion, changes: ordered });
    for (const [name] of due) {
      this.#stored.delete(name);
      this.#expiries.delete(name);
    }
  }

  #restore(whole: boolean): void {
    const prefix = whole ? null : key("a");
    const side = new SideState(this.#storage);
    this.#sides += 1;
    side.begin(`${this.#sides}`);
    this.#database.adopt(side, { entries: 0, floor: NO_VERSION, prefix }, () => undefined);
    this.#restores.push(this.#database.lastVersion);
    const stays = (name: string): boolean => prefix !== null && !admitsKey(prefix, fromHex(name));
    this.#stored = new Set([...this.#stored].filter(stays));
    this.#expiries = new Map([...this.#expiries].filter(([name]) => stays(name)));
  }

  #changeLog(what: "log" | "no log"): void {
    const { log, lastVersion } = this.#database;
    const isRegistered = log.reader(OTHER_READER) !== null;
    if (what === "no log" && isRegistered) log.unregister(OTHER_READER);
    else if (what === "log" && isRegistered) log.advance(OTHER_READER, lastVersion);
    else if (what === "log") log.register(OTHER_READER, lastVersion);
    log.trim();
  }
}

test("readers of a feed get every commit once and in order, over sleeps, crashes, restores, trims and clocks that go back (F3)", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 40 }), async (steps) => {
      await withStorage((storage) => {
        const history = new History(storage);
        for (const planned of steps) history.run(planned);
        history.finish();
      });
    }),
    { numRuns: 60 },
  );
});
