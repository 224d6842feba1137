/** Entries that expire: gone from every read at their time, and nobody else's business before. */
import assert from "node:assert/strict";
import type { Kv, KvKey } from "@deno/kv";
import { type Cases, collect, sleep } from "./case.ts";

/** Whether a read that began at one moment and ended at another found the entry. */
interface Sighting {
  readonly began: number;
  readonly ended: number;
  readonly found: boolean;
}

const reads: Readonly<Record<string, (kv: Kv, key: KvKey) => Promise<boolean>>> = {
  get: async (kv, key) => (await kv.get(key)).versionstamp !== null,
  getMany: async (kv, key) => (await kv.getMany<unknown[]>([key])).some(({ versionstamp }) => versionstamp !== null),
  "list by prefix": async (kv, key) => (await collect(kv.list({ prefix: key.slice(0, -1) }))).length > 0,
  "list by range": async (kv, key) => (await collect(kv.list({ start: key, end: [...key, 1] }))).length > 0,
  "reverse list": async (kv, key) =>
    (await collect(kv.list({ prefix: key.slice(0, -1) }, { reverse: true }))).length > 0,
};

async function sightings(read: () => Promise<boolean>, until: number): Promise<Sighting[]> {
  const all: Sighting[] = [];
  while (Date.now() < until) {
    const began = Date.now();
    const found = await read();
    all.push({ began, ended: Date.now(), found });
    await sleep(15);
  }
  return all;
}

export const expiry: Cases = {
  "an entry is there until its expiry and in no read from then on (R13)": async ({ kv, prefix }) => {
    const expireIn = 700;
    await Promise.all(
      Object.entries(reads).map(async ([name, read]) => {
        const key = [...prefix, name, "a"];
        // The client adds expireIn to a time of its own between these two.
        const before = Date.now();
        await kv.set(key, 1, { expireIn });
        const after = Date.now();
        const seen = await sightings(() => read(kv, key), after + expireIn + 300);
        const alive = seen.filter(({ ended }) => ended < before + expireIn);
        const over = seen.filter(({ began }) => began > after + expireIn);
        assert.ok(
          alive.length > 3 && over.length > 3,
          `${name}: ${alive.length} reads before and ${over.length} after`,
        );
        assert.ok(
          alive.every(({ found }) => found),
          `${name} missed the entry before its expiry`,
        );
        assert.ok(
          over.every(({ found }) => !found),
          `${name} found the entry after its expiry`,
        );
      }),
    );
  },

  "to a check an expired entry is no entry (W5)": async ({ kv, prefix }) => {
    const key = [...prefix, "a"];
    const { versionstamp } = await kv.set(key, 1, { expireIn: 200 });
    assert.equal((await kv.atomic().check({ key, versionstamp: null }).set(key, 2).commit()).ok, false);
    await sleep(220);
    assert.equal((await kv.atomic().check({ key, versionstamp }).set(key, 2).commit()).ok, false);
    assert.equal((await kv.atomic().check({ key, versionstamp: null }).set(key, 2).commit()).ok, true);
    assert.equal((await kv.get(key)).value, 2);
  },

  "to a sum an expired entry is no entry, and the result has no expiry (W16)": async ({ kv, prefix, KvU64 }) => {
    const [expired, alive] = [
      [...prefix, "expired"],
      [...prefix, "alive"],
    ];
    await kv.set(expired, new KvU64(100n), { expireIn: 100 });
    await kv.set(alive, new KvU64(100n), { expireIn: 400 });
    await kv.atomic().sum(alive, 1n).commit();
    await sleep(450);
    await kv.atomic().sum(expired, 1n).commit();
    const entries = await kv.getMany<{ readonly value: bigint }[]>([expired, alive]);
    assert.deepEqual(
      entries.map(({ value }) => value?.value),
      [1n, 101n],
    );
  },

  "setting again without an expiry keeps the entry, with another one moves its end (W9)": async ({ kv, prefix }) => {
    const [kept, sooner, later] = [
      [...prefix, "kept"],
      [...prefix, "sooner"],
      [...prefix, "later"],
    ];
    await kv.set(kept, 1, { expireIn: 200 });
    await kv.set(kept, 2);
    await kv.set(sooner, 1, { expireIn: 60_000 });
    await kv.set(sooner, 2, { expireIn: 200 });
    await kv.set(later, 1, { expireIn: 200 });
    await kv.set(later, 2, { expireIn: 60_000 });
    await sleep(250);
    const entries = await kv.getMany<unknown[]>([kept, sooner, later]);
    assert.deepEqual(
      entries.map(({ value }) => value),
      [2, null, 2],
    );
  },

  "an expired entry takes no place in a limited list (R14)": async ({ kv, prefix }) => {
    await kv.set([...prefix, 1], "expires", { expireIn: 100 });
    await kv.set([...prefix, 2], "stays");
    await sleep(120);
    const entries = await collect(kv.list({ prefix }, { limit: 1 }));
    assert.deepEqual(
      entries.map(({ value }) => value),
      ["stays"],
    );
  },

  "many entries of one expiry are all gone after it": async ({ kv, prefix }) => {
    const write = kv.atomic();
    for (let i = 0; i < 900; i++) write.set([...prefix, i], i, { expireIn: 1500 });
    const before = Date.now();
    await write.commit();
    // Some clients make the times only now, one entry after the other.
    const after = Date.now();
    const count = async () => (await collect(kv.list({ prefix }, { batchSize: 500 }))).length;
    const atFirst = await count();
    assert.ok(Date.now() < before + 1500, "the list took so long that it says nothing");
    assert.equal(atFirst, 900);
    await sleep(after + 1600 - Date.now());
    assert.equal(await count(), 0);
  },
};
