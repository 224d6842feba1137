/**
 * Runs inside Deno. `fill FILE` makes a database of all kinds of keys and values and prints how many entries it has; `compare FILE`
 * throws where the database `OTHER` in the environment differs from it in keys or values. `expire FILE` makes one whose entries, of keys
 * of all kinds, expire in an hour, but for one that never does and one that is over.
 */
import assert from "node:assert/strict";
import type { Kv, KvKey } from "@deno/kv";
import { kinds } from "../e2e/cases/kinds.ts";
import type { Subject } from "../e2e/cases/case.ts";

/** As much of Deno as is used here: the checkout's types know nothing of it. */
declare const Deno: {
  readonly args: readonly string[];
  readonly env: { get(name: string): string | undefined };
  readonly KvU64: Subject["KvU64"];
  openKv(database: string | undefined): Promise<Kv>;
};

const entries: readonly [KvKey, unknown][] = [
  ...Object.entries(kinds).map(([name, kind]): [KvKey, unknown] => [["kinds", name], kind.make(Deno)]),
  ...[new Uint8Array([0, 255]), "", "a\0b", "漢字 😀", -Infinity, -1.5, 0, 2 ** 53, 0n, -(2n ** 100n), false, true].map(
    (part, i): [KvKey, unknown] => [[part, "key"], { i }],
  ),
  // Together more than Deno takes in one atomic write: of values, and of keys.
  ...many(40, (i) => [["large", i], new Uint8Array(65_000).fill(i)]),
  ...many(200, (i) => [["long", i, "k".repeat(1900)], i]),
  ...many(1000, (i) => [["counters", BigInt(i)], new Deno.KvU64(BigInt(i) ** 5n)]),
  ...many(4000, (i) => [["users", `user ${i}`, i % 2 === 0], { name: `User ${i}`, since: new Date(i) }]),
];

function many(count: number, make: (index: number) => [KvKey, unknown]): [KvKey, unknown][] {
  return Array.from({ length: count }, (_, index) => make(index));
}

const expiring: readonly KvKey[] = [
  ...[new Uint8Array([0, 255, 1]), "", "a\0b", "漢 😀", -Infinity, -1.5, -0, 0, 1e300, NaN, false, true].map((part) => [
    part,
  ]),
  ...[0n, 1n, -1n, 255n, -256n, 2n ** 64n - 1n, 2n ** 64n, -(2n ** 64n), 2n ** 500n, -(2n ** 500n)].map((part) => [
    part,
    "b",
  ]),
];

const [what, file] = Deno.args;
const kv = await Deno.openKv(file);
if (what === "fill") {
  for (let i = 0; i < entries.length; i += 10) {
    const atomic = kv.atomic();
    for (const [key, value] of entries.slice(i, i + 10)) atomic.set(key, value);
    await atomic.commit();
  }
  console.log(entries.length);
} else if (what === "expire") {
  for (const key of expiring) await kv.set(key, "soon over", { expireIn: 3_600_000 });
  await kv.set(["users", "alice"], "never over");
  await kv.set(["users", "bob"], "over", { expireIn: 1 });
} else {
  const other = await Deno.openKv(Deno.env.get("OTHER"));
  const others = other.list({ prefix: [] }, { batchSize: 500 });
  let count = 0;
  for await (const { key, value } of kv.list({ prefix: [] }, { batchSize: 500 })) {
    const { value: found } = await others.next();
    assert.deepStrictEqual([found?.key, found?.value], [key, value]);
    count += 1;
  }
  assert.equal((await others.next()).done, true);
  assert.equal(count, entries.length);
  other.close();
}
kv.close();
