/** set, delete, and what an atomic write makes of several mutations and of checks. */
import assert from "node:assert/strict";
import type { Kv, KvKey } from "@deno/kv";
import type { Cases } from "./case.ts";

async function valueOf(kv: Kv, key: KvKey): Promise<unknown> {
  return (await kv.get(key)).value;
}

export const writing: Cases = {
  "set overwrites, and every write has a greater versionstamp (W9, S2)": async ({ kv, prefix }) => {
    const stamps: string[] = [];
    for (let i = 0; i < 20; i++) stamps.push((await kv.set([...prefix, "a"], i)).versionstamp);
    assert.deepEqual(stamps, [...new Set(stamps)].toSorted());
    assert.deepEqual(await kv.get([...prefix, "a"]), { key: [...prefix, "a"], value: 19, versionstamp: stamps.at(-1) });
  },

  "concurrent writes have versionstamps of their own, and the last one's value stays (S2)": async ({ kv, prefix }) => {
    const key = [...prefix, "a"];
    const writes = await Promise.all(
      Array.from({ length: 100 }, async (_, i) => ({ i, versionstamp: (await kv.set(key, i)).versionstamp })),
    );
    const ordered = writes.toSorted((a, b) => (a.versionstamp < b.versionstamp ? -1 : 1));
    assert.equal(new Set(ordered.map(({ versionstamp }) => versionstamp)).size, 100);
    const { value, versionstamp } = await kv.get(key);
    assert.deepEqual({ i: value, versionstamp }, ordered.at(-1));
  },

  "delete removes an entry, and the key can be set again (W10)": async ({ kv, prefix }) => {
    const key = [...prefix, "a"];
    await kv.set(key, 1);
    await kv.delete(key);
    assert.deepEqual(await kv.get(key), { key, value: null, versionstamp: null });
    await kv.set(key, 2);
    assert.equal(await valueOf(kv, key), 2);
  },

  "delete of a key that is not there is no error (W10)": async ({ kv, prefix }) => {
    await kv.delete([...prefix, "nothing"]);
    assert.equal(
      (
        await kv
          .atomic()
          .delete([...prefix, "nothing"])
          .commit()
      ).ok,
      true,
    );
  },

  "the mutations of an atomic write share one versionstamp (W2)": async ({ kv, prefix }) => {
    await kv.set([...prefix, "gone"], 0);
    const result = await kv
      .atomic()
      .set([...prefix, "a"], 1)
      .set([...prefix, "b"], 2)
      .sum([...prefix, "c"], 3n)
      .delete([...prefix, "gone"])
      .commit();
    assert.ok(result.ok);
    const entries = await kv.getMany<unknown[]>(["a", "b", "c", "gone"].map((name) => [...prefix, name]));
    assert.deepEqual(
      entries.map(({ versionstamp }) => versionstamp),
      [result.versionstamp, result.versionstamp, result.versionstamp, null],
    );
  },

  "later mutations of one key see the earlier ones (W11)": async ({ kv, prefix, KvU64 }) => {
    const [a, b, c] = [
      [...prefix, "a"],
      [...prefix, "b"],
      [...prefix, "c"],
    ];
    await kv.atomic().set(a, 1).set(a, 2).delete(b).set(b, 3).set(c, 4).delete(c).sum(c, 5n).sum(c, 6n).commit();
    const [first, second, third] = await kv.getMany<[number, number, { value: bigint }]>([a, b, c]);
    assert.deepEqual([first.value, second.value], [2, 3]);
    assert.equal(third.value?.value, new KvU64(11n).value);
  },

  "1,000 mutations are one atomic write (W25)": async ({ kv, prefix }) => {
    const write = kv.atomic();
    for (let i = 0; i < 1000; i++) write.set([...prefix, i], i);
    const result = await write.commit();
    assert.ok(result.ok);
    let count = 0;
    for await (const { key, value, versionstamp } of kv.list({ prefix }, { batchSize: 500 })) {
      assert.deepEqual([key.at(-1), value, versionstamp], [count, count, result.versionstamp]);
      count++;
    }
    assert.equal(count, 1000);
  },

  "an atomic write without anything in it succeeds (W7)": async ({ kv }) => {
    const result = await kv.atomic().commit();
    assert.ok(result.ok);
    assert.match(result.versionstamp, /^[0-9a-f]{20}$/);
  },

  "a check for the entry's versionstamp lets the write through (W4)": async ({ kv, prefix }) => {
    const key = [...prefix, "a"];
    await kv.set(key, 1);
    const entry = await kv.get(key);
    assert.ok((await kv.atomic().check(entry).set(key, 2).commit()).ok);
    assert.equal(await valueOf(kv, key), 2);
  },

  "a check for an older versionstamp fails, and nothing is written (W3)": async ({ kv, prefix }) => {
    const [a, b] = [
      [...prefix, "a"],
      [...prefix, "b"],
    ];
    const old = await kv.set(a, 1);
    const { versionstamp } = await kv.set(a, 2);
    const write = kv.atomic().check({ key: a, versionstamp: old.versionstamp });
    assert.deepEqual(
      await write
        .set(a, 3)
        .set(b, 3)
        .sum([...prefix, "c"], 1n)
        .commit(),
      { ok: false },
    );
    assert.deepEqual(await kv.get(a), { key: a, value: 2, versionstamp });
    const rest = await kv.getMany<unknown[]>([b, [...prefix, "c"]]);
    assert.deepEqual(
      rest.map((entry) => entry.versionstamp),
      [null, null],
    );
  },

  "a check for no entry holds for a key never set and for a deleted one, and fails for another (W5)": async ({
    kv,
    prefix,
  }) => {
    const key = [...prefix, "a"];
    const insert = () => kv.atomic().check({ key, versionstamp: null }).set(key, 1).commit();
    assert.equal((await insert()).ok, true);
    assert.equal((await insert()).ok, false);
    await kv.delete(key);
    assert.equal((await insert()).ok, true);
  },

  "a check for an entry fails when there is none (W4)": async ({ kv, prefix }) => {
    const key = [...prefix, "a"];
    const { versionstamp } = await kv.set(key, 1);
    await kv.delete(key);
    assert.equal((await kv.atomic().check({ key, versionstamp }).set(key, 2).commit()).ok, false);
  },

  "an atomic write of checks alone answers with a versionstamp (W7)": async ({ kv, prefix }) => {
    const key = [...prefix, "a"];
    const { versionstamp } = await kv.set(key, 1);
    const result = await kv.atomic().check({ key, versionstamp }).commit();
    assert.ok(result.ok);
    assert.ok(result.versionstamp > versionstamp);
    assert.equal((await kv.get(key)).versionstamp, versionstamp);
  },

  "11 and 100 checks are taken, and one that fails among them stops the write (W25)": async ({ kv, prefix }) => {
    const keys = Array.from({ length: 100 }, (_, i) => [...prefix, "checked", i]);
    const first = kv.atomic();
    for (const key of keys) first.set(key, 1);
    const { versionstamp } = { versionstamp: null, ...(await first.commit()) };
    for (const count of [11, 100]) {
      const good = kv.atomic();
      for (const key of keys.slice(0, count)) good.check({ key, versionstamp });
      assert.equal((await good.set([...prefix, "written", count], 1).commit()).ok, true);

      const bad = kv.atomic();
      for (const [i, key] of keys.slice(0, count).entries()) {
        bad.check({ key, versionstamp: i === count - 1 ? null : versionstamp });
      }
      assert.equal((await bad.set([...prefix, "not written", count], 1).commit()).ok, false);
      assert.equal(await valueOf(kv, [...prefix, "not written", count]), null);
    }
  },

  "of writers that race with the same check one wins (W8)": async ({ kv, prefix }) => {
    const key = [...prefix, "a"];
    await kv.set(key, "start");
    const entry = await kv.get(key);
    const results = await Promise.all(
      Array.from({ length: 50 }, (_, i) => kv.atomic().check(entry).set(key, i).commit()),
    );
    assert.equal(results.filter(({ ok }) => ok).length, 1);
    assert.equal(
      await valueOf(kv, key),
      results.findIndex(({ ok }) => ok),
    );
  },

  "counting with check and retry from many sides loses no count (W8)": async ({ kv, prefix }) => {
    const key = [...prefix, "count"];
    await kv.set(key, 0);
    const increment = async (): Promise<void> => {
      for (;;) {
        const entry = await kv.get<number>(key);
        const result = await kv
          .atomic()
          .check(entry)
          .set(key, (entry.value ?? 0) + 1)
          .commit();
        if (result.ok) return;
      }
    };
    await Promise.all(
      Array.from({ length: 8 }, async () => {
        for (let i = 0; i < 10; i++) await increment();
      }),
    );
    assert.equal(await valueOf(kv, key), 80);
  },
};
