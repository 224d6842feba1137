/** Large values and large answers, and what is too large. */
import assert from "node:assert/strict";
import { type Cases, collect } from "./case.ts";

const pattern = (length: number, seed: number): Uint8Array =>
  Uint8Array.from({ length }, (_, i) => (i * 31 + seed * 17) & 0xff);

export const sizes: Cases = {
  "a value of 64 KiB is taken and read back by get, getMany and list": async ({ kv, prefix }) => {
    const keys = Array.from({ length: 10 }, (_, i) => [...prefix, i]);
    for (const [i, key] of keys.entries()) await kv.set(key, pattern(65_536, i));
    const many = await kv.getMany<Uint8Array[]>(keys);
    const listed = await collect(kv.list<Uint8Array>({ prefix }));
    for (const [i, key] of keys.entries()) {
      assert.deepEqual((await kv.get(key)).value, pattern(65_536, i));
      assert.deepEqual(many[i]?.value, pattern(65_536, i));
      assert.deepEqual(listed[i]?.value, pattern(65_536, i));
    }
  },

  "an atomic write of 800 KB is taken": async ({ kv, prefix }) => {
    const write = kv.atomic();
    for (let i = 0; i < 12; i++) write.set([...prefix, i], pattern(65_536, i));
    assert.equal((await write.commit()).ok, true);
    assert.deepEqual((await kv.get([...prefix, 11])).value, pattern(65_536, 11));
  },

  "a batch of 500 values of 60 KiB is one whole answer": async ({ kv, prefix }) => {
    for (let i = 0; i < 500; i += 13) {
      const write = kv.atomic();
      for (let j = i; j < Math.min(i + 13, 500); j++) write.set([...prefix, j], pattern(61_440, j));
      await write.commit();
    }
    let count = 0;
    for await (const { value } of kv.list<Uint8Array>({ prefix }, { batchSize: 500 })) {
      assert.ok(value.length === 61_440 && value[1] === ((31 + count * 17) & 0xff), `the value of entry ${count}`);
      count++;
    }
    assert.equal(count, 500);
    for (let i = 0; i < 500; i += 100) {
      const write = kv.atomic();
      for (let j = i; j < i + 100; j++) write.delete([...prefix, j]);
      await write.commit();
    }
    assert.equal((await collect(kv.list({ prefix }))).length, 0);
  },
};
