/** Items that are sorted in runs and merged, beside a list that is sorted at once. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { type Order, SortedRuns } from "../../../src/documents/index/sorted-runs.ts";

const numbers = fc.array(fc.oneof(fc.integer({ min: -9, max: 9 }), fc.double({ noNaN: true })));
const texts = fc.array(fc.oneof(fc.constantFrom("", "a", "b"), fc.string({ unit: "grapheme" })));

function taken(orders: readonly Order[], pieces: readonly number[]) {
  const runs = new SortedRuns();
  for (const [item, order] of orders.entries()) runs.add(order, item);
  const found: [Order, number][] = [];
  for (let i = 0; ; i += 1) {
    const [before, most] = [found.length, pieces[i % pieces.length] ?? 1];
    const count = runs.take(most, (order, item) => found.push([order, item]));
    expect(found.length - before).toBe(count);
    if (count < most) return found;
  }
}

/** The order of equal items may be any. */
function expectSorted(orders: readonly Order[], found: readonly [Order, number][]): void {
  expect(found.map(([order]) => order)).toEqual(orders.toSorted((a, b) => (a === b ? 0 : a < b ? -1 : 1)));
  expect(found.map(([, item]) => orders[item])).toEqual(found.map(([order]) => order));
  expect(new Set(found.map(([, item]) => item)).size).toBe(orders.length);
}

test("items come in order, in pieces of any size (D54)", () => {
  const pieces = fc.array(fc.integer({ min: 1, max: 7 }), { minLength: 1, maxLength: 5 });
  fc.assert(
    fc.property(fc.oneof(numbers, texts), pieces, (orders: readonly Order[], sizes) =>
      expectSorted(orders, taken(orders, sizes)),
    ),
  );
});

test.each([4095, 4096, 4097, 12_288, 20_000])("%i items are merged from their runs (D54)", (count) => {
  const mixed = Array.from({ length: count }, (_, i) => (i * 7919) % 5003);
  expectSorted(mixed, taken(mixed, [1000, 1]));
  const words = mixed.map((n) => `word ${n}`);
  expectSorted(words, taken(words, [count]));
});
