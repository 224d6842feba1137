/** list: every selector in both directions, limits, batches and cursors, against a plain array. */
import assert from "node:assert/strict";
import type { KvKey, KvListSelector } from "@deno/kv";
import { type Cases, collect, setAll, type Subject } from "./case.ts";

const COUNT = 320;

/** `[...prefix, "rows", i, j]`, three to each i, and around them what a list of the rows must not give. */
async function withRows({ kv, prefix }: Subject): Promise<{ all: KvKey[]; rows: KvKey[]; at: (i: number) => KvKey }> {
  const at = (i: number): KvKey => [...prefix, "rows", Math.floor(i / 3), ["a", "b", "c"][i % 3] ?? ""];
  const rows = Array.from({ length: COUNT }, (_, i) => at(i));
  const before = [
    [...prefix, "row"],
    [...prefix, "row", 1],
  ];
  const after = [
    [...prefix, "rows\0", 1],
    [...prefix, "rowss", 1],
  ];
  const all = [...before, ...rows, ...after];
  await setAll(
    kv,
    all.map((key, i) => [key, i - before.length]),
  );
  return { all, rows, at };
}

type Options = Parameters<Subject["kv"]["list"]>[1];

async function keysOf({ kv }: Subject, selector: KvListSelector, options?: Options): Promise<KvKey[]> {
  return (await collect(kv.list(selector, options))).map(({ key }) => key);
}

/** Each selector with the rows that it selects. */
async function selectors(subject: Subject): Promise<(readonly [KvListSelector, KvKey[]])[]> {
  const { rows, at } = await withRows(subject);
  const prefix = [...subject.prefix, "rows"];
  return [
    [{ prefix }, rows],
    [{ prefix: [...prefix, 7] }, rows.slice(21, 24)],
    [{ prefix, start: at(40) }, rows.slice(40)],
    [{ prefix, start: [...prefix, 20, "aa"] }, rows.slice(61)],
    [{ prefix, end: at(300) }, rows.slice(0, 300)],
    [{ prefix, end: [...prefix, 100] }, rows.slice(0, 300)],
    [{ start: at(15), end: at(215) }, rows.slice(15, 215)],
    [{ start: [...prefix, 5], end: [...prefix, 6] }, rows.slice(15, 18)],
    [{ start: at(10), end: at(10) }, []],
    [{ prefix: [...subject.prefix, "no such rows"] }, []],
  ];
}

export const listing: Cases = {
  "every selector gives its keys in order, in both directions (R9)": async (subject) => {
    for (const [selector, expected] of await selectors(subject)) {
      assert.deepEqual(await keysOf(subject, selector), expected);
      assert.deepEqual(await keysOf(subject, selector, { reverse: true }), expected.toReversed());
    }
  },

  "limit and batchSize cut and batch without losing or repeating an entry (R10)": async (subject) => {
    for (const [selector, expected] of await selectors(subject)) {
      for (const reverse of [false, true]) {
        const ordered = reverse ? expected.toReversed() : expected;
        for (const options of [
          { limit: 1 },
          { limit: 3, batchSize: 2 },
          { limit: 17, batchSize: 17 },
          { limit: 1000 },
          { batchSize: 50 },
          { batchSize: 64 },
          { batchSize: 320 },
          { batchSize: 500 },
        ]) {
          const { limit } = { limit: Infinity, ...options };
          assert.deepEqual(
            await keysOf(subject, selector, { ...options, reverse }),
            ordered.slice(0, limit),
            JSON.stringify({ selector, ...options, reverse }),
          );
        }
      }
    }
  },

  "paging with cursors goes through every selector, in both directions (R11)": async (subject) => {
    for (const [selector, expected] of await selectors(subject)) {
      for (const reverse of [false, true]) {
        const pages: KvKey[] = [];
        let cursor: string | undefined;
        for (;;) {
          const options = { limit: 37, reverse, ...(cursor === undefined ? {} : { cursor }) };
          const iterator = subject.kv.list(selector, options);
          const page = await collect(iterator);
          pages.push(...page.map(({ key }) => key));
          if (page.length < 37) break;
          assert.match(iterator.cursor, /^[\w+/=-]+$/);
          cursor = iterator.cursor;
        }
        assert.deepEqual(pages, reverse ? expected.toReversed() : expected);
      }
    }
  },

  "a batchSize of 1 asks for one entry at a time": async (subject) => {
    const { rows } = await withRows(subject);
    const selector = { prefix: [...subject.prefix, "rows"] };
    assert.deepEqual(await keysOf(subject, selector, { batchSize: 1, limit: 25 }), rows.slice(0, 25));
  },

  "list gives values and versionstamps as get does (R12)": async (subject) => {
    const { kv, prefix } = subject;
    await withRows(subject);
    const [entry] = await collect(kv.list({ prefix: [...prefix, "rows"] }, { limit: 1 }));
    assert.ok(entry !== undefined);
    assert.deepEqual(entry, await kv.get(entry.key));
  },

  "a prefix does not match the key that equals it (R8)": async ({ kv, prefix }) => {
    await setAll(kv, [
      [[...prefix, "p"], 0],
      [[...prefix, "p", "q"], 1],
    ]);
    const entries = await collect(kv.list({ prefix: [...prefix, "p"] }));
    assert.deepEqual(
      entries.map(({ value }) => value),
      [1],
    );
  },

  "the empty prefix lists the whole database (R8)": async (subject) => {
    const { all } = await withRows(subject);
    const ours = (key: KvKey): boolean => subject.prefix.every((part, i) => key[i] === part);
    const listed = await keysOf(subject, { prefix: [] }, { batchSize: 500 });
    assert.deepEqual(listed.filter(ours), all);
  },

  "an entry that is deleted or set while a list is under way is seen at most once (R5)": async (subject) => {
    const { kv, prefix } = subject;
    const { rows, at } = await withRows(subject);
    const seen: KvKey[] = [];
    for await (const { key } of kv.list({ prefix: [...prefix, "rows"] }, { batchSize: 20 })) {
      seen.push(key);
      if (seen.length === 10) await kv.delete(at(200));
      if (seen.length === 30) await kv.set(at(0), "again");
    }
    assert.deepEqual(
      seen,
      rows.filter((_, i) => i !== 200),
    );
  },

  "an eventual list gives the same (R7)": async (subject) => {
    const { rows } = await withRows(subject);
    const selector = { prefix: [...subject.prefix, "rows"] };
    assert.deepEqual(await keysOf(subject, selector, { consistency: "eventual" }), rows);
  },
};
