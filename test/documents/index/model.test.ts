/**
 * The indexes under generated histories: definitions that come, change, break and go; writes of every kind, groups of them that fail; expiries,
 * deleted ranges, restores of all or of a prefix; restarts and kills at any statement of a step. After every step the tables of the indexes
 * hold exactly what the entries say.
 */
import fc from "fast-check";
import { expect, test } from "vitest";
import { compareBytes } from "../../../src/core/bytes.ts";
import { asUnixMs } from "../../../src/core/clock.ts";
import { Encoding, type Mutation, type StoredEntry } from "../../../src/core/operations.ts";
import type { BulkStorage } from "../../../src/core/storage.ts";
import { NO_VERSION } from "../../../src/core/versionstamp.ts";
import { type KeyRange, rangeOfPrefix } from "../../../src/codec/key-prefix.ts";
import { definitionKey, encodeDefinition } from "../../../src/documents/definition.ts";
import { DocumentIndex } from "../../../src/documents/index/document-index.ts";
import { Database } from "../../../src/engine/database.ts";
import { SideState } from "../../../src/engine/side-state.ts";
import { flawsOfIndex } from "../../support/workerd/document-index.ts";
import { key, MovableClock, numeric, remove, set, u64, withStorage, write } from "../../support/workerd/engine.ts";
import { v8 } from "../../support/workerd/values.ts";

const TABLES = [
  { appId: "a", tableId: "t" },
  { appId: "a", tableId: "u" },
];

const table = fc.constantFrom(...TABLES);
const text = fc.constantFrom(
  "",
  "Hello, world",
  "hello",
  "我爱吃米饭",
  "48.1,11.5",
  "-90,180",
  "x".repeat(300),
  "\ud800",
);
const scalar = fc.oneof(
  { weight: 4, arbitrary: text },
  { weight: 3, arbitrary: fc.constantFrom(0, -0, 1, 1.5, -7, 2 ** 53, 1e300, Infinity, NaN, 5n, 2n ** 60n) },
  fc.boolean(),
  fc.constantFrom(null, undefined, new Date(5), new Uint8Array(2)),
);
const object = fc.dictionary(
  fc.constantFrom("p", "q", "r.s", ""),
  fc.oneof(
    scalar,
    fc.array(scalar, { maxLength: 2 }),
    fc.dictionary(fc.constantFrom("p", "q"), scalar, { maxKeys: 2, noNullPrototype: true }),
  ),
  { maxKeys: 3, noNullPrototype: true },
);
const column = fc.oneof({ weight: 5, arbitrary: scalar }, fc.array(fc.oneof(scalar, object), { maxLength: 3 }), object);
const document = fc.dictionary(fc.constantFrom("one", "two", "three", "four"), column, {
  maxKeys: 4,
  noNullPrototype: true,
});
const value = fc.oneof(
  { weight: 12, arbitrary: document },
  fc.constantFrom<unknown>("no object", [1], new Map(), 5, { big: "long ".repeat(400) }),
);
const ids = fc.constantFrom<readonly (string | number)[]>(
  ["a"],
  ["b"],
  ["c"],
  ["d"],
  [1],
  [2],
  ["a", "b"],
  [],
  ["CDB:x"],
);

const type = fc.constantFrom(
  "keyword" as const,
  "text" as const,
  "integer" as const,
  "number" as const,
  "boolean" as const,
  "geo" as const,
  "nested" as const,
);
const definition = fc.record({
  ids: fc.constantFrom([{ name: "id", type: "string" as const }], [{ name: "id", type: "integer" as const }]),
  columns: fc.option(
    fc.uniqueArray(
      fc.record({ name: fc.constantFrom("one", "two", "three"), type, indexed: fc.nat(4).map((n) => n > 0) }),
      { selector: ({ name }) => name, maxLength: 3 },
    ),
    { nil: undefined },
  ),
  inferred: fc.boolean(),
});

type Target = (typeof TABLES)[number];
const change = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      do: fc.constant("set" as const),
      table,
      ids,
      value,
      lifetime: fc.option(fc.nat(20), { nil: null, freq: 3 }),
      stamped: fc.nat(15).map((n) => n === 0),
    }),
  },
  { weight: 3, arbitrary: fc.record({ do: fc.constant("delete" as const), table, ids }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("sum" as const), table, ids }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("define" as const), table, definition }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("undefine" as const), table, isBroken: fc.boolean() }) },
);
type PlannedChange = typeof change extends fc.Arbitrary<infer T> ? T : never;

const step = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      do: fc.constant("write" as const),
      group: fc.array(fc.array(change, { maxLength: 4 }), { minLength: 1, maxLength: 3 }),
    }),
  },
  { weight: 3, arbitrary: fc.record({ do: fc.constant("build" as const), steps: fc.integer({ min: 1, max: 3 }) }) },
  /** The statement that fails, counted from the next one. */
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant("kill" as const),
      what: fc.constantFrom("write" as const, "build" as const),
      changes: fc.array(change, { maxLength: 3 }),
      at: fc.integer({ min: 1, max: 12 }),
    }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("pass time" as const), ms: fc.nat(15) }) },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant("delete a range" as const), table, limit: fc.integer({ min: 1, max: 3 }) }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant("restore" as const),
      back: fc.integer({ min: 1, max: 4 }),
      prefix: fc.constantFrom(null, key("a"), key("a", "t"), key("CDB:tables")),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("restart" as const) }) },
);
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

class History {
  readonly clock = new MovableClock();
  readonly #storage: DurableObjectStorage;
  readonly #fragile: BulkStorage;
  /** How many statements are still carried out; 0: all. */
  #failsAfter = 0;
  readonly #states: StoredEntry[][] = [];
  #restores = 0;
  /** How often a build has asked whether it may gather more. */
  #asked = 0;
  #database!: Database;
  #index!: DocumentIndex;

  constructor(storage: DurableObjectStorage) {
    this.#storage = storage;
    this.#fragile = {
      sql: Object.create(storage.sql, {
        exec: {
          value: (query: string, ...bindings: (ArrayBuffer | null)[]) => {
            this.#failsAfter -= 1;
            if (this.#failsAfter === 0) throw new Error("killed");
            return storage.sql.exec(query, ...bindings);
          },
        },
        databaseSize: { value: 0 },
      }),
      transactionSync: (work) => storage.transactionSync(work),
      transaction: (work) => storage.transaction(work),
    };
    this.#open();
  }

  #open(): void {
    this.#failsAfter = 0;
    const names = this.#storage.sql.exec<{ name: string }>("SELECT name FROM sqlite_schema").toArray();
    this.#index = new DocumentIndex({
      storage: this.#fragile,
      isMade: names.some(({ name }) => name === "document_tables"),
      bounds: { entries: 2, bytes: 1000, gathered: { least: 150, most: 400 } },
      memory: { hold: () => undefined, hasRoom: () => (this.#asked += 1) % 3 > 0 },
    });
    this.#database = new Database({ storage: this.#fragile, clock: this.clock, derivedTables: this.#index });
  }

  async run(planned: Step): Promise<void> {
    switch (planned.do) {
      case "write":
        this.#database.commit(planned.group.map((changes) => write(changes.map((one) => this.#mutation(one)))));
        this.#states.push(this.#database.scan(null, { maxBytes: 1e6, maxEntries: 1e6 }));
        return;
      case "build":
        for (let i = 0; i < planned.steps; i += 1) {
          await this.#index.step();
          this.check();
        }
        return;
      case "kill":
        await this.#kill(planned);
        return;
      case "pass time":
        this.clock.time += planned.ms;
        this.#database.deleteExpired(2);
        return;
      case "delete a range":
        this.#database.deleteWithin(
          rangeOfPrefix(key(planned.table.appId, planned.table.tableId)),
          planned.limit,
          () => undefined,
        );
        return;
      case "restore":
        this.#restore(planned.back, planned.prefix);
        return;
      case "restart":
        this.#open();
        return;
    }
  }

  check(): void {
    expect(flawsOfIndex(this.#storage)).toEqual([]);
  }

  async finish(): Promise<void> {
    for (let i = 0; await this.#index.step(); i += 1) {
      this.check();
      expect(i, "the work ends").toBeLessThan(1000);
    }
    const { sql } = this.#storage;
    const names = sql.exec<{ name: string }>("SELECT name FROM sqlite_schema WHERE name = 'document_tables'").toArray();
    if (names.length === 0) return;
    expect(sql.exec("SELECT * FROM document_tables WHERE state <> 'live'").toArray()).toEqual([]);
    for (const name of TABLES) {
      const isBuilt = sql
        .exec("SELECT 1 FROM document_tables WHERE app = ? AND name = ?", name.appId, name.tableId)
        .toArray();
      expect(this.#index.table(name)?.live ?? null, "what is stored is what is known").toEqual(
        isBuilt.length === 0 ? null : expect.objectContaining({ ...name, state: "live" }),
      );
    }
  }

  async #kill({ what, changes, at }: Extract<Step, { do: "kill" }>): Promise<void> {
    const mutations = changes.map((one) => this.#mutation(one));
    this.#failsAfter = at;
    if (what === "write") this.#database.commit([write(mutations)]);
    else {
      try {
        await this.#index.step();
      } catch (error) {
        expect(error).toEqual(new Error("killed"));
      }
    }
    this.#failsAfter = 0;
  }

  #restore(back: number, prefix: Uint8Array | null): void {
    const before = this.#states.at(-back) ?? [];
    const range = prefix === null ? null : rangeOfPrefix(prefix);
    const within = before.filter(({ key: name }) => range === null || isWithin(name, range));
    this.#restores += 1;
    const side = new SideState(this.#fragile);
    side.begin(`model_${this.#restores}`);
    const entries = side.load(within);
    this.#database.adopt(side, { entries, floor: NO_VERSION, prefix }, () => undefined);
  }

  #mutation(planned: PlannedChange): Mutation {
    const of = ({ appId, tableId }: Target, parts: readonly (string | number)[] = []) => key(appId, tableId, ...parts);
    switch (planned.do) {
      case "set":
        return set(of(planned.table, planned.ids), v8(planned.value), {
          encoding: Encoding.v8,
          expiresAt: planned.lifetime === null ? null : asUnixMs(this.clock.time + planned.lifetime),
          versionstampedKey: planned.stamped,
        });
      case "delete":
        return remove(of(planned.table, planned.ids));
      case "sum":
        return numeric("sum", of(planned.table, [...planned.ids, "count"]), u64(1n));
      case "define":
        return set(definitionKey(planned.table), encodeDefinition(planned.definition), { encoding: Encoding.v8 });
      case "undefine":
        if (planned.isBroken) return set(definitionKey(planned.table), v8({ ids: [] }), { encoding: Encoding.v8 });
        return remove(definitionKey(planned.table));
    }
  }
}

function isWithin(name: Uint8Array, { start, end }: KeyRange): boolean {
  return compareBytes(name, start) >= 0 && compareBytes(name, end) < 0;
}

test("whatever is written by whom, defined, restored or killed, the indexes hold what the entries say (D50, D53, D55, D56, D57)", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 3, maxLength: 30 }), async (steps) => {
      await withStorage(async (storage) => {
        const history = new History(storage);
        for (const planned of steps) {
          await history.run(planned);
          history.check();
        }
        await history.finish();
      });
    }),
    { numRuns: 80 },
  );
});
