/** watch: the state first, then every last state. */
import assert from "node:assert/strict";
import { isDeepStrictEqual } from "node:util";
import type { Kv, KvEntryMaybe, KvKey } from "@deno/kv";
import type { Cases } from "./case.ts";

type Entries = readonly KvEntryMaybe<unknown>[];
type Reader = ReadableStreamDefaultReader<Entries>;
type Result = Awaited<ReturnType<Reader["read"]>>;

/** A watch read one state at a time. A state that does not come in time is an error. */
class Watch {
  readonly #reader: Reader;
  #pending: Promise<Result> | undefined;

  constructor(kv: Kv, keys: readonly KvKey[]) {
    this.#reader = kv.watch<unknown[]>(keys).getReader();
  }

  async next(ms = 5000): Promise<Entries> {
    const result = await this.#within(ms);
    assert.ok(result !== undefined, `no state of the watch within ${ms} ms`);
    assert.ok(!result.done, "the watch ended");
    return result.value;
  }

  async values(): Promise<unknown[]> {
    return (await this.next()).map(({ value }) => value);
  }

  async assertQuiet(ms: number): Promise<void> {
    assert.equal(await this.#within(ms), undefined, "a state that was not expected");
  }

  /** States until one satisfies the condition, that one last. */
  async until(condition: (entries: Entries) => boolean): Promise<Entries[]> {
    const states: Entries[] = [];
    for (;;) {
      const state = await this.next();
      states.push(state);
      if (condition(state)) return states;
    }
  }

  async close(): Promise<void> {
    await this.#reader.cancel();
  }

  async #within(ms: number): Promise<Result | undefined> {
    this.#pending ??= this.#reader.read();
    let timer: ReturnType<typeof setTimeout> | undefined;
    const late = new Promise<undefined>((resolve) => (timer = setTimeout(() => resolve(undefined), ms)));
    try {
      const result = await Promise.race([this.#pending, late]);
      if (result !== undefined) this.#pending = undefined;
      return result;
    } finally {
      clearTimeout(timer);
    }
  }
}

export const watching: Cases = {
  "a watch gives the state of all its keys first (O1)": async ({ kv, prefix }) => {
    const keys = ["a", "b", "c"].map((name) => [...prefix, name]);
    const [a = [], b = [], c = []] = keys;
    const first = await kv.set(a, 1);
    const third = await kv.set(c, { deep: ["value"] });
    const watch = new Watch(kv, keys);
    assert.deepEqual(await watch.next(), [
      { key: a, value: 1, versionstamp: first.versionstamp },
      { key: b, value: null, versionstamp: null },
      { key: c, value: { deep: ["value"] }, versionstamp: third.versionstamp },
    ]);
    await watch.close();
  },

  "sets, deletes, sums and writes of another connection are told (O2)": async ({ kv, prefix, open, KvU64 }) => {
    const [a, b] = [
      [...prefix, "a"],
      [...prefix, "b"],
    ];
    await kv.set(a, 1);
    const watch = new Watch(kv, [a, b]);
    assert.deepEqual(await watch.values(), [1, null]);
    const other = await open();
    await kv.set(a, 2);
    assert.deepEqual(await watch.values(), [2, null]);
    await other.set(b, "b");
    assert.deepEqual(await watch.values(), [2, "b"]);
    await kv.delete(a);
    assert.deepEqual(await watch.values(), [null, "b"]);
    await kv.atomic().delete(b).sum(a, 5n).commit();
    const [sum, gone] = await watch.next();
    assert.deepEqual([sum?.value, gone?.value], [new KvU64(5n), null]);
    await watch.close();
    other.close();
  },

  "the same value set again is told, for its versionstamp is new (O3)": async ({ kv, prefix }) => {
    const key = [...prefix, "a"];
    await kv.set(key, 1);
    const watch = new Watch(kv, [key]);
    await watch.next();
    const { versionstamp } = await kv.set(key, 1);
    assert.deepEqual(await watch.next(), [{ key, value: 1, versionstamp }]);
    await watch.close();
  },

  "nothing is told of other keys, of failed checks and of deletes of nothing (O4)": async ({ kv, prefix }) => {
    const [a, b] = [
      [...prefix, "a"],
      [...prefix, "b"],
    ];
    await kv.set(a, 1);
    const watch = new Watch(kv, [a, b]);
    await watch.next();
    await kv.set([...prefix, "aa"], 1);
    await kv.set([...prefix, "a", 1], 1);
    await kv.delete(b);
    assert.equal((await kv.atomic().check({ key: a, versionstamp: null }).set(a, 2).commit()).ok, false);
    await watch.assertQuiet(300);
    await watch.close();
  },

  "an expiry is told within two seconds, and not before it (O5)": async ({ kv, prefix }) => {
    const key = [...prefix, "a"];
    const before = Date.now();
    await kv.set(key, 1, { expireIn: 600 });
    const watch = new Watch(kv, [key]);
    assert.deepEqual(await watch.values(), [1]);
    assert.deepEqual(await watch.next(600 + 2000), [{ key, value: null, versionstamp: null }]);
    const elapsed = Date.now() - before;
    assert.ok(elapsed >= 600 && elapsed < 600 + 2000, `told ${elapsed} ms after the set`);
    await watch.close();
  },

  "keys that are written together are seen together, and the last state always comes (O2, O6)": async ({
    kv,
    prefix,
  }) => {
    const keys = Array.from({ length: 10 }, (_, i) => [...prefix, i]);
    const write = async (value: number): Promise<void> => {
      const atomic = kv.atomic();
      for (const key of keys) atomic.set(key, value);
      await atomic.commit();
    };
    await write(0);
    const watch = new Watch(kv, keys);
    const states = watch.until((entries) => entries[0]?.value === 100);
    for (let value = 1; value <= 100; value++) await write(value);
    for (const state of await states) {
      assert.equal(new Set(state.map(({ value }) => value)).size, 1, "one state mixes two writes");
      assert.equal(new Set(state.map(({ versionstamp }) => versionstamp)).size, 1);
    }
    await watch.close();
  },

  "a slow reader is given the latest state and not all of them (O7)": async ({ kv, prefix }) => {
    const keys = Array.from({ length: 10 }, (_, i) => [...prefix, i]);
    const padding = new Uint8Array(60_000);
    const write = async (i: number): Promise<void> => {
      const atomic = kv.atomic();
      for (const key of keys) atomic.set(key, { i, padding });
      await atomic.commit();
    };
    await write(0);
    const watch = new Watch(kv, keys);
    await watch.next();
    for (let i = 1; i <= 60; i++) await write(i);
    const states = await watch.until(([entry]) => isDeepStrictEqual(entry?.value, { i: 60, padding }));
    // What lies in the buffers of sockets on the way is some megabytes, and each state 600 kB.
    assert.ok(states.length < 45, `${states.length} of 60 states were kept for a reader that did not read`);
    await watch.close();
  },

  "two watches of the same keys both learn everything": async ({ kv, prefix, open }) => {
    const key = [...prefix, "a"];
    await kv.set(key, 0);
    const other = await open();
    const watches = [new Watch(kv, [key]), new Watch(kv, [key]), new Watch(other, [key, [...prefix, "b"]])];
    for (const watch of watches) assert.equal((await watch.next())[0]?.value, 0);
    await kv.set(key, 1);
    for (const watch of watches) assert.equal((await watch.next())[0]?.value, 1);
    await watches[0]?.close();
    await kv.set(key, 2);
    for (const watch of watches.slice(1)) assert.equal((await watch.next())[0]?.value, 2);
    for (const watch of watches.slice(1)) await watch.close();
    other.close();
  },

  "a key named twice is told twice (O8)": async ({ kv, prefix }) => {
    const key = [...prefix, "a"];
    await kv.set(key, 1);
    const watch = new Watch(kv, [key, key]);
    assert.deepEqual(await watch.values(), [1, 1]);
    await kv.set(key, 2);
    assert.deepEqual(await watch.values(), [2, 2]);
    await watch.close();
  },

  "the database is usable after a watch was closed, and a new watch begins with the state": async ({ kv, prefix }) => {
    const key = [...prefix, "a"];
    for (let i = 0; i < 20; i++) {
      await kv.set(key, i);
      const watch = new Watch(kv, [key]);
      assert.deepEqual(await watch.values(), [i]);
      await watch.close();
    }
    assert.equal((await kv.get(key)).value, 19);
  },

  "a watch outlives keep-alives": async ({ kv, prefix }) => {
    const key = [...prefix, "a"];
    await kv.set(key, 1);
    const watch = new Watch(kv, [key]);
    await watch.next();
    await watch.assertQuiet(5500);
    await kv.set(key, 2);
    assert.deepEqual(await watch.values(), [2]);
    await watch.close();
  },
};
