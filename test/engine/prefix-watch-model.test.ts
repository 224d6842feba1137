/**
 * Watches of prefixes against the state: generated histories of writes, expiry, slow acknowledgements, lost connections, sleeps, crashes,
 * restores, and a log that comes and goes. After every step each watcher that has nothing under way holds the state under its prefix; at the
 * end all do.
 */
import fc from "fast-check";
import { expect, test } from "vitest";
import { toHex } from "../../src/core/bytes.ts";
import { asUnixMs } from "../../src/core/clock.ts";
import { admitsKey, rangeOfPrefix } from "../../src/codec/key-prefix.ts";
import { Encoding, type Mutation } from "../../src/core/operations.ts";
import { asVersion, NO_VERSION } from "../../src/core/versionstamp.ts";
import { Database } from "../../src/engine/database.ts";
import { SideState } from "../../src/engine/side-state.ts";
import { Model, type ModelEntry } from "../support/model.ts";
import { PrefixReceiver } from "../support/prefix-receiver.ts";
import { key, MovableClock, remove, set, versionOf, withStorage, write } from "../support/workerd/engine.ts";

const PREFIXES = [new Uint8Array(), key("a"), key("a", "b"), key("a", 1), key("c"), key("a\0")];
const KEYS = [
  ...PREFIXES.slice(1),
  key("a", "b", 1),
  key("a", "b", 2),
  key("a", "bb"),
  key("a", 1, true),
  key("a", 1n),
  key("c", "a", "b"),
  key("b"),
];
/** Under no prefix but the empty one, and together more than the recent changes hold. */
const CROWD = Array.from({ length: 600 }, (_, i) => key("crowd", i, "x".repeat(1_900)));
const LOG_READER = "reader";

const anyKey = fc.constantFrom(...KEYS);
/** Some so large that a page holds three. */
const anySize = fc.oneof(fc.nat(30), fc.constant(100_000));
const anyChange = fc.record({
  key: anyKey,
  size: fc.option(anySize, { freq: 3, nil: null }),
  lifetime: fc.option(fc.integer({ min: 1, max: 50 }), { freq: 3, nil: null }),
});
const anyWatch = fc.record({
  prefix: fc.constantFrom(...PREFIXES),
  updatesOnly: fc.nat(3).map((n) => n === 0),
  ignoreDeletes: fc.nat(3).map((n) => n === 0),
  keysOnly: fc.nat(2).map((n) => n === 0),
});
const anyNumber = fc.nat(7);

const step = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      do: fc.constant("write" as const),
      group: fc.array(fc.array(anyChange, { maxLength: 4 }), { minLength: 1, maxLength: 3 }),
    }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("pass time" as const), ms: fc.integer({ min: -20, max: 60 }) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("delete expired" as const) }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant("watch" as const), how: anyWatch }) },
  { weight: 6, arbitrary: fc.record({ do: fc.constant("acknowledge" as const), number: anyNumber }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant("disconnect" as const), number: anyNumber }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant("connect" as const), number: anyNumber }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("sleep" as const) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("crash" as const) }) },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant("restore" as const),
      prefix: fc.option(fc.constantFrom(...PREFIXES.slice(1)), { nil: null }),
      keys: fc.uniqueArray(anyKey, { selector: toHex }),
      keep: fc.boolean(),
      /** Nobody is connected meanwhile, and then everybody is. */
      away: fc.boolean(),
      thenCrash: fc.boolean(),
    }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constantFrom("log" as const, "trim" as const, "no log" as const) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("crowd" as const) }) },
);
type Of<Arbitrary> = Arbitrary extends fc.Arbitrary<infer Value> ? Value : never;
type Step = Of<typeof step>;

class History {
  readonly #storage: DurableObjectStorage;
  readonly #clock = new MovableClock();
  readonly #model = new Model();
  readonly #receivers: PrefixReceiver[] = [];
  #latestTime = this.#clock.time;
  #database: Database;
  #sides = 0;
  /** What a restore brings has versions of before. */
  #oldVersion = 0;

  constructor(storage: DurableObjectStorage) {
    this.#storage = storage;
    this.#database = this.#open();
  }

  run(planned: Step): void {
    switch (planned.do) {
      case "write":
        this.#write(planned.group.map((changes) => changes.map((change) => this.#mutation(change))));
        break;
      case "crowd":
        this.#write([CROWD.map((one) => set(one, Uint8Array.of(1)))]);
        this.#write([CROWD.map((one) => remove(one))]);
        break;
      case "pass time":
        this.#clock.time += planned.ms;
        this.#latestTime = Math.max(this.#latestTime, this.#clock.time);
        break;
      case "delete expired":
        this.#deleteExpired();
        break;
      case "watch":
        this.#watch(planned.how);
        break;
      case "acknowledge":
        this.#receivers[planned.number]?.acknowledge();
        break;
      case "disconnect":
        this.#receivers[planned.number]?.disconnect();
        break;
      case "connect":
        this.#connect(this.#receivers[planned.number]);
        break;
      case "sleep": {
        this.#database.saveCounters();
        this.#database = this.#open();
        // The connections stay; the object's memory does not.
        const { watches } = this.#database;
        for (const one of this.#receivers) if (one.watcher !== null) one.goOn(watches);
        break;
      }
      case "crash":
        this.#crash();
        break;
      case "restore":
        if (planned.away) for (const one of this.#receivers) one.disconnect();
        this.#restore(planned.prefix, planned.keys, planned.keep);
        if (planned.thenCrash) this.#crash();
        if (planned.away) for (const one of this.#receivers) this.#connect(one);
        break;
      case "log":
      case "no log":
      case "trim":
        this.#changeLog(planned.do);
        break;
    }
    this.check();
  }

  /** Those that have nothing under way hold the state. */
  check(): void {
    for (const one of this.#receivers) if (!one.isWaiting && one.watcher !== null) this.#compare(one);
  }

  finish(): void {
    // What was expired when a watcher was told, and is not because the clock went back, is expired for good by then.
    this.#clock.time = this.#latestTime;
    this.#deleteExpired();
    for (const one of this.#receivers) {
      one.drain();
      this.#connect(one);
      one.drain();
      expect(one.watcher?.upTo).toBe(this.#database.lastVersion);
    }
    this.check();
  }

  #open(): Database {
    return new Database({ storage: this.#storage, clock: this.#clock });
  }

  #crash(): void {
    this.#database = this.#open();
    for (const one of this.#receivers) {
      one.watcher = null;
      one.isWaiting = false;
    }
  }

  #mutation({ key: name, size, lifetime }: Of<typeof anyChange>): Mutation {
    if (size === null) return remove(name);
    const expiresAt = lifetime === null ? null : this.#clock.time + lifetime;
    return set(name, new Uint8Array(size).fill(size), { expiresAt });
  }

  #write(group: Mutation[][]): void {
    const writes = group.map((mutations) => write(mutations));
    const outcomes = this.#database.commit(writes);
    for (const [i, one] of writes.entries()) this.#model.apply(one, versionOf(outcomes[i]), this.#clock.time);
  }

  #deleteExpired(): void {
    this.#database.deleteExpired(1_000);
    for (const [name, { expiresAt }] of this.#model.entries) {
      if (expiresAt !== null && expiresAt <= this.#clock.time) this.#model.entries.delete(name);
    }
  }

  #watch(how: Of<typeof anyWatch>): void {
    const receiver = new PrefixReceiver(how.prefix, how);
    // Who asks for updates alone has read the state.
    if (how.updatesOnly) {
      for (const entry of this.#under(how.prefix)) {
        if (this.#model.get(entry.key, this.#clock.time) === null) continue;
        receiver.view.set(toHex(entry.key), { version: entry.version, value: how.keysOnly ? null : valueOf(entry) });
      }
    }
    this.#receivers.push(receiver);
    receiver.connect(this.#database.watches);
    expect(receiver.messages, "the first message comes at once").toHaveLength(1);
    expect(receiver.last?.reset).toBe(!how.updatesOnly);
    if (how.updatesOnly) expect(receiver.last).toEqual({ reset: false, keys: [], upTo: this.#database.lastVersion });
  }

  #connect(receiver: PrefixReceiver | undefined): void {
    if (receiver === undefined || receiver.watcher !== null) return;
    const { upTo, messages } = receiver;
    const before = messages.length;
    receiver.connect(this.#database.watches, { updatesOnly: false });
    expect(messages, "the first message comes at once").toHaveLength(before + 1);
    if (upTo === null) expect(receiver.last?.reset).toBe(true);
  }

  #restore(prefix: Uint8Array | null, keys: readonly Uint8Array[], keep: boolean): void {
    const isWithin = (name: Uint8Array): boolean => prefix === null || admitsKey(prefix, name);
    const side = new SideState(this.#storage);
    this.#sides += 1;
    side.begin(`${this.#sides}`);
    const entries = new Map<string, ModelEntry>();
    for (const name of keys.filter(isWithin)) {
      const live = this.#model.entries.get(toHex(name));
      this.#oldVersion += 1;
      const restored = {
        value: Uint8Array.of(9),
        encoding: Encoding.bytes,
        version: asVersion(this.#oldVersion),
        expiresAt: null,
      };
      entries.set(toHex(name), keep && live !== undefined ? live : { key: name, ...restored });
    }
    side.load(
      Array.from(entries.values(), (entry) => ({
        ...entry,
        expiresAt: entry.expiresAt === null ? null : asUnixMs(entry.expiresAt),
      })),
    );
    this.#database.adopt(side, { entries: entries.size, floor: NO_VERSION, prefix }, () => undefined);
    const left = [...this.#model.entries].filter(([, entry]) => !isWithin(entry.key));
    this.#model.entries = new Map([...left, ...entries]);
  }

  #changeLog(what: "log" | "no log" | "trim"): void {
    const { log, lastVersion } = this.#database;
    const isWritten = log.isWritten;
    if (what === "log" && !isWritten) log.register(LOG_READER, lastVersion);
    else if (what === "log") log.advance(LOG_READER, lastVersion);
    else if (what === "no log") log.unregister(LOG_READER);
    else log.trim();
  }

  #under(prefix: Uint8Array): ModelEntry[] {
    return [...this.#model.entries.values()].filter((entry) => admitsKey(prefix, entry.key));
  }

  #compare({ prefix, options, view }: PrefixReceiver): void {
    const { start, end } = rangeOfPrefix(prefix);
    const expected = new Map(this.#under(prefix).map((entry) => [toHex(entry.key), entry]));
    for (const name of new Set([...view.keys(), ...expected.keys()])) {
      const entry = expected.get(name);
      const held = view.get(name);
      if (held === undefined && entry?.expiresAt !== null && entry?.expiresAt !== undefined) {
        // It had expired when it was told, or when the state was read.
        expect(entry.expiresAt).toBeLessThanOrEqual(this.#latestTime);
        continue;
      }
      // What had expired when it was told was a delete, which is not told.
      const mayHaveExpired = entry?.expiresAt !== null && (entry?.expiresAt ?? 0) <= this.#latestTime;
      if (mayHaveExpired && options.ignoreDeletes) continue;
      const wanted = entry && { version: entry.version, value: options.keysOnly ? null : valueOf(entry) };
      expect(held, `${name} from ${toHex(start)} to before ${toHex(end)}`).toEqual(wanted);
    }
  }
}

function valueOf({ encoding, value }: ModelEntry): string {
  return `${encoding} ${value.length} ${toHex(value.subarray(0, 20))}`;
}

test("every watcher holds the state under its prefix, whatever happened to it and to the database", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 20, maxLength: 60, size: "max" }), async (steps) => {
      await withStorage(async (storage) => {
        const history = new History(storage);
        for (const planned of steps) {
          history.run(planned);
          // A transaction that changed the log's readers is over when a microtask has run.
          await Promise.resolve();
        }
        history.finish();
      });
    }),
    { numRuns: 60 },
  );
});
