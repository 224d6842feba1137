/** sum, min and max of KvU64. */
import assert from "node:assert/strict";
import type { Kv, KvKey } from "@deno/kv";
import { assertRefused, type Cases } from "./case.ts";

const MAX = (1n << 64n) - 1n;

/** The value under the key, which must be a KvU64. */
async function u64(kv: Kv, key: KvKey): Promise<bigint> {
  const { value } = await kv.get<{ readonly value: bigint }>(key);
  assert.equal(typeof value?.value, "bigint");
  return value?.value ?? -1n;
}

export const counters: Cases = {
  "sum, min and max of an absent key store the operand (W15)": async ({ kv, prefix }) => {
    const keys = ["sum", "min", "max"].map((name) => [...prefix, name]);
    const [sum = [], min = [], max = []] = keys;
    assert.ok((await kv.atomic().sum(sum, 1n).min(min, 2n).max(max, 3n).commit()).ok);
    assert.deepEqual(await Promise.all(keys.map((key) => u64(kv, key))), [1n, 2n, 3n]);
  },

  "sum adds, min keeps the smaller, max the greater (W14)": async ({ kv, prefix, KvU64 }) => {
    const key = [...prefix, "a"];
    await kv.set(key, new KvU64(10n));
    const steps: ["sum" | "min" | "max", bigint, bigint][] = [
      ["sum", 5n, 15n],
      ["min", 20n, 15n],
      ["min", 7n, 7n],
      ["max", 3n, 7n],
      ["max", 2n ** 63n, 2n ** 63n],
      ["min", 2n ** 63n + 1n, 2n ** 63n],
      ["sum", 0n, 2n ** 63n],
      ["max", MAX, MAX],
      ["min", 0n, 0n],
    ];
    for (const [type, operand, expected] of steps) {
      assert.ok((await kv.atomic()[type](key, operand).commit()).ok);
      assert.equal(await u64(kv, key), expected, `${type} ${operand}`);
    }
  },

  "sum wraps around at 2^64 (W14)": async ({ kv, prefix, KvU64 }) => {
    const key = [...prefix, "a"];
    await kv.set(key, new KvU64(MAX));
    await kv.atomic().sum(key, 1n).commit();
    assert.equal(await u64(kv, key), 0n);
    await kv.atomic().sum(key, MAX).sum(key, MAX).commit();
    assert.equal(await u64(kv, key), MAX - 1n);
  },

  "mutate takes a KvU64 for sum, min and max": async ({ kv, prefix, KvU64 }) => {
    const key = [...prefix, "a"];
    for (const [type, operand] of [
      ["sum", 4n],
      ["max", 9n],
      ["min", 6n],
    ] as const) {
      await kv
        .atomic()
        .mutate({ type, key, value: new KvU64(operand) })
        .commit();
    }
    assert.equal(await u64(kv, key), 6n);
  },

  "concurrent sums all count (W22)": async ({ kv, prefix }) => {
    const key = [...prefix, "a"];
    await Promise.all(Array.from({ length: 200 }, () => kv.atomic().sum(key, 3n).commit()));
    assert.equal(await u64(kv, key), 600n);
  },

  "sum, min and max of a stored value of another type fail, and nothing of the write is stored (W17)": async ({
    kv,
    prefix,
    KvU64,
  }) => {
    for (const value of ["text", 1, 1n, null, new Uint8Array(8)]) {
      const key = [...prefix, "a"];
      const { versionstamp } = await kv.set(key, value);
      for (const type of ["sum", "min", "max"] as const) {
        await assertRefused(
          kv
            .atomic()
            .set([...prefix, "b"], 1)
            .mutate({ type, key, value: new KvU64(1n) })
            .commit(),
          `Failed to perform '${type}' mutation on a non-U64 value in the database.`,
        );
      }
      assert.deepEqual(await kv.get(key), { key, value, versionstamp });
      assert.equal((await kv.get([...prefix, "b"])).versionstamp, null);
    }
  },

  "a sum that finds another type after a set in the same write fails like one that finds it stored": async ({
    kv,
    prefix,
  }) => {
    const key = [...prefix, "a"];
    await kv.atomic().sum(key, 1n).commit();
    await assertRefused(
      kv.atomic().set(key, "text").sum(key, 1n).commit(),
      "Failed to perform 'sum' mutation on a non-U64 value in the database.",
    );
    assert.equal(await u64(kv, key), 1n);
  },
};
