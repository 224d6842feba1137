/** How much of what watchers are told may be under way at a time, and who is told when there is room. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { MAX_WATCH_BYTES_UNDER_WAY } from "../../src/core/limits.ts";
import { Encoding, type Entry } from "../../src/core/operations.ts";
import { asVersion } from "../../src/core/versionstamp.ts";
import { WatchHub, type Watcher } from "../../src/engine/watch-hub.ts";
import { watchedKeys } from "../support/watched-state.ts";
import { key } from "../support/workerd/engine.ts";

const a = key("a");
const MIB = 1024 * 1024;

/** One key, whose value has so many bytes, watched by some who keep what they were told last. */
class Watched {
  readonly told = new Map<number, number>();
  readonly underWay = new Map<number, number>();
  readonly watchers: Watcher[] = [];
  readonly hub = new WatchHub(watchedKeys((keys) => keys.map(() => this.#entry)));
  #entry: Entry;

  constructor(valueBytes: number) {
    this.#entry = { key: a, value: new Uint8Array(valueBytes), encoding: Encoding.bytes, version: asVersion(1) };
  }

  get version(): number {
    return this.#entry.version;
  }

  get bytesUnderWay(): number {
    return [...this.underWay.values()].reduce((sum, bytes) => sum + bytes, 0);
  }

  add(count: number): void {
    for (let i = 0; i < count; i++) {
      const number = this.watchers.length;
      this.watchers.push(
        this.hub.add(
          [a],
          ([entry]) => {
            this.told.set(number, entry?.version ?? 0);
            this.underWay.set(number, a.length + (entry?.value.length ?? 0));
          },
          { resumed: false },
        ),
      );
    }
  }

  acknowledge(number: number): void {
    this.underWay.delete(number);
    this.watchers[number]?.acknowledge();
  }

  remove(number: number): void {
    this.underWay.delete(number);
    this.told.delete(number);
    this.watchers[number]?.remove();
  }

  change(valueBytes: number): void {
    const version = asVersion(this.#entry.version + 1);
    this.#entry = { ...this.#entry, value: new Uint8Array(valueBytes), version };
    this.hub.note(a, version);
    this.hub.flush();
  }
}

test("a watcher that finds no room is told in turn, with the state of that time, when others have taken their messages or have left (O17)", () => {
  const watched = new Watched(MIB);
  let crowded = 0;
  watched.hub.onCrowded(() => (crowded += 1));
  watched.add(4);
  expect([...watched.told.keys()]).toEqual([0, 1, 2, 3]);
  expect(watched.hub.isCrowded).toBe(false);
  watched.add(4);
  expect([...watched.told.keys()]).toEqual([0, 1, 2, 3]);
  expect([watched.hub.isCrowded, crowded]).toEqual([true, 1]);

  watched.change(MIB);
  watched.acknowledge(2);
  expect([...watched.told]).toEqual([0, 1, 2, 3].map((number) => [number, 1]).concat([[4, 2]]));
  watched.remove(0);
  expect([...watched.told.keys()]).toEqual([1, 2, 3, 4, 5]);
  for (const number of [1, 3, 4, 5]) watched.acknowledge(number);
  for (const number of [6, 7, 2]) watched.acknowledge(number);
  expect([...watched.told.values()]).toEqual([2, 2, 2, 2, 2, 2, 2]);
  expect([watched.hub.isCrowded, crowded]).toEqual([false, 1]);
});

test("a message larger than all the room is told alone", () => {
  const watched = new Watched(2 * MAX_WATCH_BYTES_UNDER_WAY);
  watched.add(3);
  for (const number of [0, 1, 2]) {
    expect([...watched.told.keys()]).toHaveLength(number + 1);
    watched.acknowledge(number);
  }
});

test("bytes under way are counted exactly, also after a watcher took its message and left", () => {
  const watched = new Watched(MAX_WATCH_BYTES_UNDER_WAY - a.length);
  watched.add(1);
  watched.acknowledge(0);
  watched.remove(0);
  watched.add(2);
  expect([...watched.told.keys()]).toEqual([1]);
});

test("a watcher that waits for room and leaves is not told", () => {
  const watched = new Watched(MAX_WATCH_BYTES_UNDER_WAY);
  watched.add(3);
  watched.remove(1);
  watched.acknowledge(0);
  expect([...watched.told.keys()]).toEqual([0, 2]);
});

test("whatever happens in which order, no more is under way than there is room for, and the last state reaches everybody (O6)", () => {
  const step = fc.oneof(
    fc.record({ do: fc.constant("add" as const), number: fc.nat(3) }),
    fc.record({ do: fc.constant("change" as const), number: fc.nat(3 * MIB) }),
    fc.record({ do: fc.constant("acknowledge" as const), number: fc.nat(12) }),
    fc.record({ do: fc.constant("remove" as const), number: fc.nat(12) }),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      const watched = new Watched(MIB);
      for (const { do: what, number } of steps) {
        if (what === "acknowledge" && !watched.underWay.has(number)) continue;
        watched[what](number);
        expect(watched.bytesUnderWay).toBeLessThan(MAX_WATCH_BYTES_UNDER_WAY + 3 * MIB + 100);
      }
      // Those that are told meanwhile come last.
      for (const number of watched.underWay.keys()) watched.acknowledge(number);
      expect(watched.bytesUnderWay).toBe(0);
      expect(watched.hub.isCrowded).toBe(false);
      expect(watched.told.size).toBe(watched.hub.size);
      for (const version of watched.told.values()) expect(version).toBe(watched.version);
    }),
  );
});
