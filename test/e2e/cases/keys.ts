/** All types of key parts, and their order. */
import assert from "node:assert/strict";
import type { KvKeyPart } from "@deno/kv";
import { type Cases, collect, setAll } from "./case.ts";

/** In the order of keys. Without -0, which `@deno/kv` takes for 0. */
export const orderedParts: readonly KvKeyPart[] = [
  new Uint8Array(0),
  Uint8Array.of(0),
  Uint8Array.of(0, 0),
  Uint8Array.of(0, 1),
  Uint8Array.of(0, 255),
  Uint8Array.of(1),
  Uint8Array.of(1, 0),
  Uint8Array.of(2),
  Uint8Array.of(254, 255),
  Uint8Array.of(255),
  Uint8Array.of(255, 255),
  "",
  "\0",
  "\0\0",
  "\0a",
  "A",
  "a",
  "a\0",
  "aa",
  "b",
  "z",
  "é",
  "漢",
  "\uffff",
  "😀",
  -(2n ** 200n),
  -(2n ** 64n),
  -(2n ** 63n),
  -65_536n,
  -256n,
  -255n,
  -1n,
  0n,
  1n,
  255n,
  256n,
  65_536n,
  2n ** 63n,
  2n ** 64n - 1n,
  2n ** 64n,
  2n ** 200n,
  -Infinity,
  -Number.MAX_VALUE,
  -1.5,
  -1,
  -Number.MIN_VALUE,
  0,
  Number.MIN_VALUE,
  0.5,
  1,
  2,
  10,
  2 ** 53,
  Number.MAX_VALUE,
  Infinity,
  Number.NaN,
  false,
  true,
];

/** A permutation that is the same in every run. */
function shuffled<T>(items: readonly T[]): T[] {
  return items
    .map((item, i) => ({ item, order: (i * 7919) % 1009 }))
    .toSorted((a, b) => a.order - b.order)
    .map(({ item }) => item);
}

export const keys: Cases = {
  "every type of part is its own key, and list gives them in key order (K2)": async ({ kv, prefix }) => {
    await setAll(kv, shuffled(orderedParts.map((part, i) => [[...prefix, part], i] as const)));
    for (const [i, part] of orderedParts.entries()) {
      const key = [...prefix, part];
      const entry = await kv.get(key);
      assert.equal(entry.value, i);
      assert.deepEqual(entry.key, key);
    }
    const forwards = await collect(kv.list({ prefix }));
    assert.deepEqual(
      forwards.map(({ key }) => key.at(-1)),
      orderedParts,
    );
    const backwards = await collect(kv.list({ prefix }, { reverse: true }));
    assert.deepEqual(backwards, forwards.toReversed());
  },

  "a key sorts before the keys that it is a prefix of (K3)": async ({ kv, prefix }) => {
    const ordered = [
      ["a"],
      ["a", new Uint8Array(0)],
      ["a", "a"],
      ["a", "a", 1],
      ["a", 1n],
      ["a", 1],
      ["a", true],
      ["a\0"],
    ];
    await setAll(kv, shuffled(ordered.map((parts) => [[...prefix, ...parts], null] as const)));
    const listed = await collect(kv.list({ prefix }));
    assert.deepEqual(
      listed.map(({ key }) => key.slice(prefix.length)),
      ordered,
    );
  },

  "numbers and bigints of the same value are different keys (K5)": async ({ kv, prefix }) => {
    await kv.set([...prefix, 1], "number");
    await kv.set([...prefix, 1n], "bigint");
    const entries = await kv.getMany<string[]>([
      [...prefix, 1],
      [...prefix, 1n],
    ]);
    assert.deepEqual(
      entries.map(({ value }) => value),
      ["number", "bigint"],
    );
  },

  "ranges of every type of part select by value (R9)": async ({ kv, prefix }) => {
    await setAll(
      kv,
      orderedParts.map((part, i) => [[...prefix, part], i] as const),
    );
    for (const [from, to] of [
      [0, 5],
      [3, 14],
      [20, 30],
      [24, 26],
      [33, 45],
      [45, 46],
      [50, orderedParts.length - 1],
    ] as const) {
      const [start, end] = [orderedParts[from], orderedParts[to]];
      assert.ok(start !== undefined && end !== undefined);
      const entries = await collect(kv.list<number>({ start: [...prefix, start], end: [...prefix, end] }));
      assert.deepEqual(
        entries.map(({ value }) => value),
        Array.from({ length: to - from }, (_, i) => from + i),
      );
    }
  },

  "a key of many parts and types comes back as it was (K7)": async ({ kv, prefix }) => {
    const key = [...prefix, ...orderedParts];
    await kv.set(key, "deep");
    const [entry] = await collect(kv.list({ prefix }));
    assert.deepEqual(entry?.key, key);
  },

  "keys of exactly 2,048 bytes are taken (K12)": async ({ kv, prefix, open }) => {
    const size = (parts: readonly KvKeyPart[]): number =>
      parts.reduce<number>((sum, part) => sum + (typeof part === "string" ? part.length + 2 : 9), 0);
    const key = [...prefix, "x".repeat(2048 - size(prefix) - 2)];
    await kv.set(key, "longest");
    assert.equal((await kv.get(key)).value, "longest");
    const entries = await collect(kv.list({ prefix }));
    assert.equal(entries.length, 1);
    const watcher = await open();
    const reader = watcher.watch<unknown[]>([key]).getReader();
    assert.equal((await reader.read()).value?.[0]?.value, "longest");
    await reader.cancel();
    watcher.close();
    await kv.delete(key);
    assert.equal((await kv.get(key)).versionstamp, null);
  },
};
