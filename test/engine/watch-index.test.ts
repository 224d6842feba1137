/** Which watches a changed key concerns, against every name compared one by one; and how many look-ups that costs. */
import fc from "fast-check";
import { afterEach, expect, test, vi } from "vitest";
import { equalBytes, toHex } from "../../src/core/bytes.ts";
import type { KeyPart } from "../../src/codec/key-codec.ts";
import { admitsKey } from "../../src/codec/key-prefix.ts";
import { type NameKind, WatchIndex } from "../../src/engine/watch-index.ts";
import { key } from "../support/workerd/engine.ts";

afterEach(() => void vi.restoreAllMocks());

// Few values, so that names share parts, and parts share bytes.
const part: fc.Arbitrary<KeyPart> = fc.constantFrom<KeyPart[]>(
  "a",
  "b",
  "a\0",
  "",
  "ab",
  1,
  1n,
  -300n,
  true,
  new Uint8Array([97]),
  new Uint8Array(),
);
const parts = fc.array(part, { maxLength: 5 });
const nameOf = (of: readonly KeyPart[]): Uint8Array => (of.length === 0 ? new Uint8Array() : key(...of));

interface Named {
  readonly name: Uint8Array;
  readonly kind: NameKind;
}

function concerns({ name, kind }: Named, changed: Uint8Array): boolean {
  return kind === "key" ? equalBytes(name, changed) : admitsKey(name, changed);
}

function visited<Watch>(index: WatchIndex<Watch>, changed: Uint8Array): Watch[] {
  const found: Watch[] = [];
  index.visit(changed, (watch) => void found.push(watch));
  return found;
}

function lookUps<Watch>(index: WatchIndex<Watch>, changed: Uint8Array): number {
  const get = vi.spyOn(Map.prototype, "get");
  index.visit(changed, () => undefined);
  const count = get.mock.calls.length;
  get.mockRestore();
  return count;
}

test("a changed key concerns the watches of the key and of its prefixes, each once, whatever was added and removed", () => {
  const step = fc.record({
    parts,
    kind: fc.constantFrom<NameKind[]>("key", "prefix"),
    remove: fc.option(fc.nat(20), { freq: 2, nil: null }),
  });
  fc.assert(
    fc.property(
      fc.array(step, { maxLength: 30 }),
      fc.array(parts, { minLength: 1, maxLength: 10 }),
      (steps, changed) => {
        const index = new WatchIndex<Named>();
        const there: Named[] = [];
        const check = (): void => {
          const keys = [...changed.map(nameOf), ...there.map(({ name }) => name)];
          for (const bytes of keys.filter(({ length }) => length > 0)) {
            const found = visited(index, bytes);
            expect(new Set(found)).toEqual(new Set(there.filter((one) => concerns(one, bytes))));
            expect(found).toHaveLength(new Set(found).size);
          }
        };
        for (const { parts: of, kind, remove } of steps) {
          const gone = remove === null ? undefined : there[remove];
          if (gone === undefined) {
            const added = { name: nameOf(of), kind };
            there.push(added);
            index.add(added.name, kind, added);
          } else {
            there.splice(there.indexOf(gone), 1);
            index.remove(gone.name, gone.kind, gone);
            index.remove(gone.name, gone.kind, gone);
          }
          check();
        }
        for (const one of there.splice(0)) index.remove(one.name, one.kind, one);
        for (const of of changed) expect(lookUps(index, nameOf(of)), "nothing is left behind").toBe(0);
      },
    ),
    { numRuns: 300 },
  );
});

test("a key that nobody watches costs one look-up, however many keys and prefixes are watched", () => {
  const index = new WatchIndex<number>();
  for (let i = 0; i < 5_000; i++) {
    index.add(key("rooms", i, "messages"), "prefix", i);
    index.add(key("users", i), "key", i);
  }
  expect(lookUps(index, key("orders", 7, "lines", 3))).toBe(1);
  // One for each part that it shares with a name, and one that finds nothing.
  expect(lookUps(index, key("rooms", 5_000, "messages", 1))).toBe(2);
  expect(lookUps(index, key("users", 17))).toBe(2);
  expect(visited(index, key("users", 17))).toEqual([17]);
  expect(visited(index, key("rooms", 17, "messages", 1, 2, 3))).toEqual([17]);
  expect(visited(index, key("rooms", 17))).toEqual([]);
  expect(visited(index, key("rooms", 17, "messages"))).toEqual([17]);
});

test("a name of two thousand parts is one node, and a change below a long prefix one look-up", () => {
  const index = new WatchIndex<string>();
  const long = key(...Array.from({ length: 2_000 }, () => true));
  index.add(long, "prefix", "long");
  const below = Uint8Array.of(...long, ...key("x"));
  expect(visited(index, below)).toEqual(["long"]);
  expect(lookUps(index, below)).toBe(1);
  index.add(long.subarray(0, 1_000), "key", "half");
  expect(lookUps(index, below)).toBe(2);
  index.remove(long.subarray(0, 1_000), "key", "half");
  expect(lookUps(index, below), "parts that nothing divides any more are one edge again").toBe(1);
});

test("a watch of no parts is concerned by every key", () => {
  const index = new WatchIndex<string>();
  index.add(new Uint8Array(), "prefix", "all");
  expect([key("a"), key(1, 2), key(new Uint8Array())].map((one) => [toHex(one), visited(index, one)])).toEqual(
    [key("a"), key(1, 2), key(new Uint8Array())].map((one) => [toHex(one), ["all"]]),
  );
  index.clear();
  expect(visited(index, key("a"))).toEqual([]);
});
