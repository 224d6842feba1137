/**
 * The engine measured inside one object: the same entries written through it and by bare SQL, rows counted, databases filled. Time
 * stands still in an object while it computes, so whoever sends a task takes the time.
 */
import { asUnixMs } from "../../../src/core/clock.ts";
import type { AtomicWrite } from "../../../src/core/operations.ts";
import type { BulkStorage, SyncStorage } from "../../../src/core/storage.ts";
import { Database } from "../../../src/engine/database.ts";
import type { FeedWatcher } from "../../../src/engine/watch-hub.ts";
import { CountingStorage } from "../../support/counting-storage.ts";
import { counterKey, entryKey, listFrom, pointOf, scattered, setOf, sumOf, valueOf, writeOf } from "../operations.ts";
import { type SearchTask, SearchTasks } from "./search-tasks.ts";

/** `object`: the name of the object that does it. Each keeps what it holds from one task to the next. */
export type EngineTask = { readonly object: string } & (
  | {
      /** Overwrites entries: `groups` transactions of `commits` commits of `sets` sets each. */
      readonly task: "engine loop";
      readonly groups: number;
      readonly commits: number;
      readonly sets: number;
    }
  | {
      /** As many rows by SQL alone: `groups` transactions of `rows` upserts each. */
      readonly task: "bare loop";
      readonly groups: number;
      readonly rows: number;
    }
  | {
      /** Sets entries number `from` to `to` - 1 of `of`, in the order of their keys or scattered. Answers the size thereafter. */
      readonly task: "fill";
      readonly from: number;
      readonly to: number;
      readonly of: number;
      readonly valueBytes: number;
      readonly order: "ascending" | "scattered";
    }
  | { readonly task: "rows" | "feed rows" }
  | SearchTask
);

/** `bytes`: the size of the object's database. */
export type EngineTaskResult = {
  readonly bytes: number;
  readonly rows?: readonly OperationRows[];
  readonly found?: number;
};

export interface OperationRows {
  readonly operation: string;
  readonly read: number;
  readonly written: number;
}

const LOOP_ENTRIES = 10_000;
const VALUE_BYTES = 60;
const LARGE_VALUE_BYTES = 4_000;
const UPSERT = "INSERT INTO bare (k, v) VALUES (?1, ?2) ON CONFLICT (k) DO UPDATE SET v = excluded.v";

export class EngineTasks {
  readonly #storage: BulkStorage;
  readonly #counting: CountingStorage;
  readonly #database: Database;
  readonly #loop = Array.from({ length: LOOP_ENTRIES }, (_, index) => ({
    key: entryKey(scattered(index, LOOP_ENTRIES)),
    value: valueOf(VALUE_BYTES, index),
  }));
  #next = 0;
  #searches: SearchTasks | undefined;

  constructor(storage: BulkStorage) {
    this.#storage = storage;
    this.#counting = new CountingStorage(storage);
    this.#database = databaseIn(storage);
    storage.sql.exec("CREATE TABLE IF NOT EXISTS bare (k BLOB PRIMARY KEY, v BLOB) WITHOUT ROWID");
  }

  run(task: EngineTask): EngineTaskResult | Promise<EngineTaskResult> {
    switch (task.task) {
      case "set documents":
      case "index documents":
      case "search documents":
      case "tick":
        this.#searches ??= new SearchTasks(this.#storage);
        return this.#searches.run(task).then((found) => ({ bytes: 0, found }));
      case "engine loop":
        this.#engineLoop(task.groups, task.commits, task.sets);
        break;
      case "bare loop":
        this.#bareLoop(task.groups, task.rows);
        break;
      case "fill":
        this.#fill(task);
        break;
      case "rows":
        return { bytes: 0, rows: rowsOfOperations(this.#counting) };
      case "feed rows":
        return rowsWithFeed(this.#counting).then((rows) => ({ bytes: 0, rows }));
    }
    return { bytes: this.#storage.sql.databaseSize };
  }

  #engineLoop(groups: number, commits: number, sets: number): void {
    for (let group = 0; group < groups; group++) {
      const writes: AtomicWrite[] = [];
      for (let commit = 0; commit < commits; commit++) {
        writes.push(
          writeOf(
            Array.from({ length: sets }, () => {
              const { key, value } = this.#nextEntry();
              return setOf(key, value);
            }),
          ),
        );
      }
      for (const outcome of this.#database.commit(writes)) {
        if (!outcome.ok) throw new Error(`expected a commit, got ${JSON.stringify(outcome)}`);
      }
    }
  }

  #bareLoop(groups: number, rows: number): void {
    const { sql } = this.#storage;
    for (let group = 0; group < groups; group++) {
      this.#storage.transactionSync(() => {
        for (let row = 0; row < rows; row++) {
          const { key, value } = this.#nextEntry();
          sql.exec(UPSERT, key, value);
        }
      });
    }
  }

  /** The next of the entries that the loops overwrite, with a value that it never had. */
  #nextEntry(): { readonly key: Uint8Array; readonly value: Uint8Array } {
    const entry = this.#loop[this.#next % LOOP_ENTRIES];
    if (entry === undefined) throw new Error("expected the loop to have entries");
    new DataView(entry.value.buffer).setUint32(0, this.#next++);
    return entry;
  }

  #fill({ from, to, of, valueBytes, order }: EngineTask & { task: "fill" }): void {
    for (let start = from; start < to; start += 1000) {
      const mutations = Array.from({ length: Math.min(1000, to - start) }, (_, i) => {
        const index = start + i;
        return setOf(entryKey(order === "ascending" ? index : scattered(index, of)), valueOf(valueBytes, index));
      });
      this.#database.commit([writeOf(mutations)]);
    }
  }
}

function databaseIn(storage: SyncStorage): Database {
  return new Database({ storage, clock: { now: () => asUnixMs(Date.now()) } });
}

/** In an object of its own. What a commit pays now and then, the mark of the versions, is paid before each is counted. */
function rowsOfOperations(storage: CountingStorage): OperationRows[] {
  const database = databaseIn(storage);
  const small = (seed: number) => valueOf(VALUE_BYTES, seed);
  const large = (seed: number) => valueOf(LARGE_VALUE_BYTES, seed);
  const later = asUnixMs(Date.now() + 3_600_000);
  const commit = (...mutations: Parameters<typeof writeOf>[0]) => void database.commit([writeOf(mutations)]);
  const read = (...ranges: Parameters<Database["read"]>[0]) => void database.read(ranges, Number.MAX_SAFE_INTEGER);
  commit(...Array.from({ length: 300 }, (_, index) => setOf(entryKey(index), small(index))));
  commit(
    setOf(counterKey(0), large(0)),
    setOf(counterKey(1), large(1)),
    setOf(counterKey(2), small(2)),
    sumOf(counterKey(3)),
  );

  const operations: [string, () => void][] = [
    ["get", () => read(pointOf(entryKey(7)))],
    ["get of a large value", () => read(pointOf(counterKey(0)))],
    ["get of nothing", () => read(pointOf(entryKey(1000)))],
    ["getMany of 10", () => read(...Array.from({ length: 10 }, (_, i) => pointOf(entryKey(20 * i))))],
    ["list of 100, a full page", () => read(listFrom(50, 100))],
    ["list of 100, 50 up to the end", () => read(listFrom(250, 100))],
    ["set of a new key", () => commit(setOf(entryKey(1001), small(1)))],
    ["overwrite", () => commit(setOf(entryKey(1), small(1001)))],
    ["set with an expiry", () => commit(setOf(entryKey(1002), small(2), later))],
    ["set of a large value", () => commit(setOf(entryKey(1003), large(3)))],
    ["overwrite of a large value", () => commit(setOf(counterKey(0), large(1002)))],
    ["overwrite of a large value by a small one", () => commit(setOf(counterKey(1), small(1)))],
    ["sum", () => commit(sumOf(counterKey(3)))],
    ["delete", () => commit({ type: "delete", key: entryKey(2) })],
    ["delete of a large value", () => commit({ type: "delete", key: counterKey(0) })],
    ["delete of nothing", () => commit({ type: "delete", key: entryKey(2000) })],
    ["atomic of 10 sets", () => commit(...Array.from({ length: 10 }, (_, i) => setOf(entryKey(i), small(5000 + i))))],
    [
      "atomic of a check and a set",
      () =>
        void database.commit([
          { ...writeOf([setOf(entryKey(3000), small(1))]), checks: [{ key: entryKey(3000), version: null }] },
        ]),
    ],
  ];
  return operations.map(([operation, work]) => ({ operation, ...storage.count(work) }));
}

/** Of a set of a new key in a database that keeps its log for feeds, with so many readers that take each message at once. */
async function rowsWithFeed(storage: CountingStorage): Promise<OperationRows[]> {
  const database = databaseIn(storage);
  const commit = (index: number) =>
    void database.commit([writeOf([setOf(entryKey(index), valueOf(VALUE_BYTES, index))])]);
  database.feed.keep({ prefix: null, retentionMs: 3_600_000 });
  // The log reads who reads it until the turn is over.
  await Promise.resolve();
  commit(0);
  const readers: FeedReader[] = [];
  return FEED_READERS.map((count, index) => {
    while (readers.length < count) readers.push(new FeedReader(database));
    const rows = storage.count(() => {
      commit(1 + index);
      for (const reader of readers) reader.take();
    });
    return { operation: `set of a new key, ${count} readers of the feed`, ...rows };
  });
}

/** How many readers of the feed there are when the rows of a commit are counted. */
export const FEED_READERS = [0, 1, 10] as const;

/** Reads the feed from now on, and keeps up. */
class FeedReader {
  readonly #watcher: FeedWatcher;
  #isWaiting = false;

  constructor({ watches }: Database) {
    const deliver = (): void => void (this.#isWaiting = true);
    const behind = (): void => {
      throw new Error("expected a reader that keeps up");
    };
    const from = { after: null, connection: "new" } as const;
    this.#watcher = watches.addFeed(new Uint8Array(), from, { deliver, behind });
    this.take();
  }

  /** All messages that there are. */
  take(): void {
    while (this.#isWaiting) {
      this.#isWaiting = false;
      this.#watcher.acknowledge();
    }
  }
}
