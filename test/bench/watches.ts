/**
 * `npm run bench:watches`: what a changed key costs in the watch hub when nobody watches it, in nanoseconds, by how many others watch.
 * Run it on a quiet machine: each line is the median of rounds, and the lines take turns.
 */
import { encodeKey, type Key } from "../../src/codec/key-codec.ts";
import { asVersion, NO_VERSION } from "../../src/core/versionstamp.ts";
import { WatchHub } from "../../src/engine/watch-hub.ts";
import type { WatchedState } from "../../src/engine/watched-state.ts";

const ROUNDS = 21;
const CHANGES = 20_000;

/** Nothing is stored: what is measured reads nothing. */
const nothing: WatchedState = {
  lastVersion: NO_VERSION,
  read: (keys) => keys.map(() => null),
  version: () => null,
  entries: () => [],
  keys: () => [],
  logged: (upTo) => ({ changes: [], knownAfter: upTo }),
};

function key(...parts: Key): Uint8Array {
  const encoded = encodeKey(parts);
  if (!encoded.ok) throw new Error(encoded.message);
  return encoded.bytes;
}

function hubWith(keys: number, prefixes: number): WatchHub {
  const hub = new WatchHub(nothing);
  for (let i = 0; i < keys; i++) hub.add([key("users", `user-${i}`)], () => undefined, { resumed: true });
  const options = {
    after: null,
    updatesOnly: true,
    ignoreDeletes: false,
    keysOnly: false,
    connection: "taken",
  } as const;
  for (let i = 0; i < prefixes; i++) hub.addPrefix(key("users", `user-${keys + i}`), options, () => undefined);
  return hub;
}

/** [what is watched, the hub, the keys that change] */
const cases: [string, WatchHub, Uint8Array[]][] = [];
const others = Array.from({ length: 1_000 }, (_, i) => key("orders", `order-${i}`, 7));
const beside = Array.from({ length: 1_000 }, (_, i) => key("users", `nobody-${i}`, 7));
for (const [keys, prefixes] of [
  [0, 0],
  [1, 0],
  [10_000, 0],
  [0, 1],
  [5_000, 5_000],
  [0, 10_000],
] as const) {
  const hub = hubWith(keys, prefixes);
  cases.push([`${keys} keys, ${prefixes} prefixes`, hub, others]);
  cases.push([`${keys} keys, ${prefixes} prefixes, which begin with the same part`, hub, beside]);
}

const times = cases.map((): number[] => []);
let version = 0;
for (let round = 0; round < ROUNDS; round++) {
  for (const [i, [, hub, changed]] of cases.entries()) {
    const start = process.hrtime.bigint();
    for (let change = 0; change < CHANGES; change++) {
      version += 1;
      // The index is below the length.
      hub.note(changed[change % changed.length] as Uint8Array, asVersion(version));
      hub.flush();
    }
    times[i]?.push(Number(process.hrtime.bigint() - start) / CHANGES);
  }
}
for (const [i, [name]] of cases.entries()) {
  const median = (times[i] ?? []).toSorted((a, b) => a - b)[Math.floor(ROUNDS / 2)] ?? 0;
  console.log(`${median.toFixed(0).padStart(6)} ns  ${name}`);
}
