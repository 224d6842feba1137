/** What only Deno's own client offers or refuses. */
import assert from "node:assert/strict";
import type { Kv, KvKey } from "@deno/kv";
import { assertRefused, type Case, type Cases, collect } from "./case.ts";

/** Deno's Kv can name the versionstamp of the commit that is being made as the last part of a key. */
function versionstampOf(kv: Kv): KvKey[number] {
  return (kv as Kv & { commitVersionstamp(): KvKey[number] }).commitVersionstamp();
}

/** Deno's atomic operation takes any value for a sum; the types of @deno/kv know only KvU64. */
function sumOf(kv: Kv, key: KvKey, value: unknown) {
  return kv.atomic().mutate({ type: "sum", key, value: value as { readonly value: bigint } });
}

const refusedByDeno =
  (attempt: (kv: Kv, prefix: KvKey) => Promise<unknown>, message: RegExp): Case =>
  async ({ kv, prefix }) => {
    await assert.rejects(attempt(kv, prefix), { name: "TypeError", message });
  };

export const denoOnly: Cases = {
  "a versionstamped key ends in the versionstamp of its commit (W23)": async ({ kv, prefix }) => {
    const results = [];
    for (let i = 0; i < 5; i++) {
      const key = [...prefix, "log", versionstampOf(kv)];
      results.push(await kv.atomic().set(key, i).commit());
    }
    assert.deepEqual(
      (await collect(kv.list({ prefix: [...prefix, "log"] }))).map(({ key, value, versionstamp }) => ({
        key: key.at(-1),
        value,
        versionstamp,
      })),
      results.map((result, value) => {
        assert.ok(result.ok);
        return { key: result.versionstamp, value, versionstamp: result.versionstamp };
      }),
    );
  },

  "versionstamped and other keys of one write share the versionstamp, and one may expire": async ({ kv, prefix }) => {
    const result = await kv
      .atomic()
      .set([...prefix, "log", versionstampOf(kv)], 1, { expireIn: 60_000 })
      .set([...prefix, "head"], 2)
      .commit();
    assert.ok(result.ok);
    const entries = await kv.getMany<unknown[]>([
      [...prefix, "log", result.versionstamp],
      [...prefix, "head"],
    ]);
    assert.deepEqual(
      entries.map(({ value }) => value),
      [1, 2],
    );
  },

  "sum adds numbers to numbers and bigints to bigints (W18)": async ({ kv, prefix }) => {
    const [number, bigint] = [
      [...prefix, "number"],
      [...prefix, "bigint"],
    ];
    for (const [key, operand, expected] of [
      [number, 5, 5],
      [number, 0.25, 5.25],
      [number, -10, -4.75],
      [bigint, 2n ** 70n, 2n ** 70n],
      [bigint, -1n, 2n ** 70n - 1n],
      [bigint, -(2n ** 71n), -(2n ** 70n) - 1n],
    ] as const) {
      assert.ok((await sumOf(kv, key, operand).commit()).ok);
      assert.equal((await kv.get(key)).value, expected);
    }
  },

  "sum of a bigint and a stored KvU64 stays a KvU64 (W18)": async ({ kv, prefix, KvU64 }) => {
    const key = [...prefix, "a"];
    await kv.set(key, new KvU64(2n ** 64n - 1n));
    await sumOf(kv, key, 3n).commit();
    assert.deepEqual((await kv.get(key)).value, new KvU64(2n));
  },

  "mixed sums are refused with a sentence that names both types (W20)": async ({ kv, prefix, KvU64 }) => {
    const stored = { number: 1, bigint: 1n, KvU64: new KvU64(1n), text: "one", bytes: new Uint8Array(8) };
    const put = (name: keyof typeof stored) => kv.set([...prefix, name], stored[name]);
    for (const name of Object.keys(stored)) await put(name as keyof typeof stored);
    const refusals: [keyof typeof stored, unknown, string][] = [
      ["number", 1n, "Cannot sum Number with BigInt."],
      ["bigint", 1, "Cannot sum BigInt with Number."],
      ["KvU64", 1, "Cannot sum KvU64 with Number."],
      ["KvU64", -1n, "Cannot sum KvU64 with BigInt."],
      ["KvU64", 2n ** 64n, "Cannot sum KvU64 with BigInt."],
      ["text", 1, "unsupported value type."],
      ["bytes", 1, "unsupported value type."],
      ["number", "one", "unsupported value type."],
      ["number", new Uint8Array(8), "unsupported value type."],
    ];
    for (const [name, operand, sentence] of refusals) {
      await assertRefused(sumOf(kv, [...prefix, name], operand).commit(), sentence);
      assert.deepEqual((await kv.get([...prefix, name])).value, stored[name]);
    }
  },

  "min and max of an operand that is no KvU64 are refused (W17)": async ({ kv, prefix }) => {
    for (const type of ["min", "max"] as const) {
      const value = 1 as unknown as { readonly value: bigint };
      await assertRefused(
        kv
          .atomic()
          .mutate({ type, key: [...prefix, "a"], value })
          .commit(),
        `Failed to perform '${type}' mutation on a non-U64 operand.`,
      );
    }
  },

  "-0 is a key of its own, just before 0 (K4)": async ({ kv, prefix }) => {
    await kv.set([...prefix, 0], "zero");
    await kv.set([...prefix, -0], "minus zero");
    await kv.set([...prefix, -Number.MIN_VALUE], "less");
    assert.deepEqual(
      (await collect(kv.list({ prefix }))).map(({ key, value }) => [key.at(-1), value]),
      [
        [-Number.MIN_VALUE, "less"],
        [-0, "minus zero"],
        [0, "zero"],
      ],
    );
  },

  "expireIn of 0 leaves no entry (W12)": async ({ kv, prefix }) => {
    const key = [...prefix, "a"];
    await kv.set(key, 1);
    await kv.set(key, 2, { expireIn: 0 });
    assert.equal((await kv.get(key)).versionstamp, null);
  },

  "a batchSize of 1,000 is one whole answer of 60 MB (R17)": async ({ kv, prefix }) => {
    const value = new Uint8Array(61_440).fill(7);
    await Promise.all(
      Array.from({ length: 4 }, async (_, worker) => {
        for (let i = worker * 250; i < worker * 250 + 250; i += 10) {
          const write = kv.atomic();
          for (let j = i; j < i + 10; j++) write.set([...prefix, j], value);
          await write.commit();
        }
      }),
    );
    let count = 0;
    for await (const entry of kv.list<Uint8Array>({ prefix }, { batchSize: 1000 })) {
      assert.ok(entry.key.at(-1) === count && entry.value.length === 61_440);
      count++;
    }
    assert.equal(count, 1000);
  },

  "Deno itself refuses a key that is too long": refusedByDeno(
    (kv, prefix) => kv.set([...prefix, "x".repeat(2048)], 1),
    /Key too large for write \(max 2048 bytes\)/,
  ),
  "Deno itself refuses a value that is too large": refusedByDeno(
    (kv, prefix) => kv.set(prefix, new Uint8Array(65_537)),
    /Value too large \(max 65536 bytes\)/,
  ),
  "Deno itself refuses 101 checks": refusedByDeno((kv, prefix) => {
    const write = kv.atomic();
    for (let i = 0; i < 101; i++) write.check({ key: [...prefix, i], versionstamp: null });
    return write.commit();
  }, /Too many checks \(max 100\)/),
  "Deno itself refuses 1,001 mutations": refusedByDeno((kv, prefix) => {
    const write = kv.atomic();
    for (let i = 0; i < 1001; i++) write.delete([...prefix, i]);
    return write.commit();
  }, /Too many mutations \(max 1000\)/),
  "Deno itself refuses a getMany of 11 keys": refusedByDeno(
    (kv, prefix) => kv.getMany(Array.from({ length: 11 }, (_, i) => [...prefix, i])),
    /Too many ranges \(max 10\)/,
  ),
};
