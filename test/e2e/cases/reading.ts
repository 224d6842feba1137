/** get and getMany. */
import assert from "node:assert/strict";
import type { Cases } from "./case.ts";

export const reading: Cases = {
  "get of a key that was never set is null with no versionstamp (R1)": async ({ kv, prefix }) => {
    const key = [...prefix, "nothing"];
    assert.deepEqual(await kv.get(key), { key, value: null, versionstamp: null });
  },

  "get gives the value and the versionstamp that set answered with (R1, R6, S4)": async ({ kv, prefix }) => {
    const key = [...prefix, "a"];
    const { ok, versionstamp } = await kv.set(key, { n: 1 });
    assert.equal(ok, true);
    assert.match(versionstamp, /^[0-9a-f]{20}$/);
    assert.deepEqual(await kv.get(key), { key, value: { n: 1 }, versionstamp });
  },

  "get does not take a longer key, a shorter one or a neighbour for the key (R1)": async ({ kv, prefix }) => {
    await kv.set([...prefix, "a", "b"], 1);
    await kv.set(prefix, 1);
    await kv.set([...prefix, "aa"], 1);
    await kv.set([...prefix, "a\0"], 1);
    assert.equal((await kv.get([...prefix, "a"])).versionstamp, null);
  },

  "an eventual read sees what was written, here where there is one copy (R7)": async ({ kv, prefix }) => {
    const key = [...prefix, "a"];
    await kv.set(key, 1);
    assert.equal((await kv.get(key, { consistency: "eventual" })).value, 1);
    const [entry] = await kv.getMany<[number]>([key], { consistency: "eventual" });
    assert.equal(entry.value, 1);
  },

  "getMany gives entries and nulls in the order asked (R3)": async ({ kv, prefix }) => {
    const keys = ["c", "a", "nothing", "b", "a"].map((name) => [...prefix, name]);
    const stamps = new Map<string, string>();
    for (const name of ["a", "b", "c"]) {
      stamps.set(name, (await kv.set([...prefix, name], `value of ${name}`)).versionstamp);
    }
    const entries = await kv.getMany<unknown[]>(keys);
    const expected = ["c", "a", "nothing", "b", "a"].map((name, i) => ({
      key: keys[i],
      value: name === "nothing" ? null : `value of ${name}`,
      versionstamp: stamps.get(name) ?? null,
    }));
    assert.deepEqual(entries, expected);
  },

  "getMany takes 10 keys": async ({ kv, prefix }) => {
    const keys = Array.from({ length: 10 }, (_, i) => [...prefix, i]);
    for (const key of keys) await kv.set(key, key.at(-1));
    const entries = await kv.getMany<number[]>(keys);
    assert.deepEqual(
      entries.map(({ value }) => value),
      keys.map((_, i) => i),
    );
  },

  "getMany reads one snapshot while another connection writes (R4)": async ({ kv, prefix, open }) => {
    const keys = Array.from({ length: 10 }, (_, i) => [...prefix, i]);
    const writer = await open();
    const writing = (async () => {
      for (let round = 0; round < 60; round++) {
        const write = writer.atomic();
        for (const key of keys) write.set(key, round);
        await write.commit();
      }
    })();
    let seen = 0;
    let last: unknown;
    do {
      const entries = await kv.getMany<(number | null)[]>(keys);
      const values = new Set(entries.map(({ value }) => value));
      assert.equal(values.size, 1, `ten keys that are always written together: ${[...values].join()}`);
      [last] = values;
      seen++;
    } while (last !== 59);
    await writing;
    writer.close();
    assert.ok(seen > 1);
  },
};
