import { expect, test } from "vitest";
import { MAX_KEY_BYTES, MAX_READ_ENTRIES, MAX_VALUE_BYTES } from "../../src/core/limits.ts";
import type { Entry } from "../../src/core/operations.ts";
import { Database } from "../../src/engine/database.ts";
import { key, MovableClock, point, set, withStorage, write } from "../support/workerd/engine.ts";

/** Past two pages of a range's statement. */
const ENTRIES = 1_200;

const everything = { start: new Uint8Array(), end: Uint8Array.of(0xff) };

/** Bytes of every kind, zeros among them, that differ from entry to entry. */
function bytes(length: number, seed: number): Uint8Array {
  return Uint8Array.from({ length }, (_, i) => (i * 31 + seed * 7) & 0xff);
}

/** Inline and large values, empty ones, and keys of many lengths. */
function keyAndValue(index: number): [Uint8Array, Uint8Array] {
  const target = key(index, bytes(index % 7, index));
  if (index % 11 === 0) return [target, new Uint8Array()];
  return [target, bytes(index % 13 === 0 ? 1_500 : index % 90, index)];
}

test("a range of many pages gives every entry as it was set, in order, either way, from wherever it begins (R10)", async () => {
  await withStorage((storage) => {
    const database = new Database({ storage, clock: new MovableClock() });
    const expected: [Uint8Array, Uint8Array][] = [];
    for (let from = 0; from < ENTRIES; from += 400) {
      const some = Array.from({ length: 400 }, (_, i) => keyAndValue(from + i));
      database.commit([write(some.map(([target, value]) => set(target, value)))]);
      expected.push(...some);
    }
    const pairs = (entries: readonly Entry[] | undefined) => entries?.map((entry) => [entry.key, entry.value]);
    const read = (limit: number, reverse: boolean, start: Uint8Array = everything.start) =>
      pairs(database.read([{ ...everything, start, limit, reverse }], Number.MAX_SAFE_INTEGER)?.[0]);
    for (const limit of [1, 499, 500, 501, 999, MAX_READ_ENTRIES, ENTRIES, ENTRIES + 1]) {
      expect(read(limit, false)).toEqual(expected.slice(0, limit));
      expect(read(limit, true)).toEqual(expected.toReversed().slice(0, limit));
    }
    expect(read(700, false, expected[450]?.[0])).toEqual(expected.slice(450, 1_150));
    expect(read(700, true, expected[600]?.[0])).toEqual(expected.slice(600).toReversed());
  });
});

test("a page of the longest keys with values beside the table is read", async () => {
  await withStorage((storage) => {
    const database = new Database({ storage, clock: new MovableClock() });
    // A number takes 9 bytes, bytes two more than there are.
    const longest = (index: number) => key(index, new Uint8Array(MAX_KEY_BYTES - 11).fill(0xfe));
    expect(longest(0)).toHaveLength(MAX_KEY_BYTES);
    for (let index = 0; index < MAX_READ_ENTRIES; index++) {
      database.commit([write([set(longest(index), bytes(10, index))])]);
    }
    database.commit([write([set(longest(0), bytes(MAX_VALUE_BYTES, 1))])]);
    const [entries] = database.read([{ ...everything, limit: MAX_READ_ENTRIES, reverse: false }], 10_000_000) ?? [];
    expect(entries).toHaveLength(MAX_READ_ENTRIES);
    expect(entries?.[0]?.value).toHaveLength(MAX_VALUE_BYTES);
    expect(entries?.at(-1)?.key).toEqual(longest(MAX_READ_ENTRIES - 1));
    expect(entries?.at(-1)?.value).toEqual(bytes(10, MAX_READ_ENTRIES - 1));
  });
});

test("several keys at once, some of them twice, some expired or not there, are each answered in their place (R3)", async () => {
  await withStorage((storage) => {
    const clock = new MovableClock();
    const database = new Database({ storage, clock });
    const small = key("small");
    const large = key("large");
    const empty = key("empty");
    const expired = key("expired");
    database.commit([
      write([
        set(small, bytes(60, 1)),
        set(large, bytes(5_000, 2)),
        set(empty, new Uint8Array()),
        set(expired, bytes(10, 3), { expiresAt: clock.time + 10 }),
      ]),
    ]);
    clock.time += 10;
    const asked = [key("none"), large, small, expired, empty, small, key("a"), large];
    const values = (keys: readonly Uint8Array[]) =>
      database
        .read(keys.map(point), 100_000)
        ?.map(([entry]) => (entry === undefined ? null : [entry.key, entry.value]));
    const expected = [
      null,
      [large, bytes(5_000, 2)],
      [small, bytes(60, 1)],
      null,
      [empty, new Uint8Array()],
      [small, bytes(60, 1)],
      null,
      [large, bytes(5_000, 2)],
    ];
    expect(values(asked)).toEqual(expected);
    for (let from = 0; from < asked.length - 1; from++) expect(values(asked.slice(from))).toEqual(expected.slice(from));
    expect(values([key("x"), key("y")])).toEqual([null, null]);
    expect(database.read(asked.map(point), 9_000)).toBeNull();
  });
});
