/** What a changed key costs in the watch hub when nobody watches it, by how many others watch: inside the engine, without a server. */
import { encodeKey, type Key } from "../../src/codec/key-codec.ts";
import { asUnixMs } from "../../src/core/clock.ts";
import { asVersion, NO_VERSION } from "../../src/core/versionstamp.ts";
import { WatchHub } from "../../src/engine/watch-hub.ts";
import type { WatchedState } from "../../src/engine/watched-state.ts";
import { median } from "./statistics.ts";

const CHANGES = 20_000;

/** Nothing is stored: what is measured reads nothing. */
const nothing: WatchedState = {
  lastVersion: NO_VERSION,
  read: (keys) => keys.map(() => null),
  version: () => null,
  entries: () => [],
  keys: () => [],
  logged: (upTo) => ({ changes: [], knownAfter: upTo }),
  now: () => asUnixMs(0),
  feed: { page: () => "off", smallPage: () => null, follow: () => () => undefined },
};

/** How many watch a key, and how many a prefix. */
export type Watched = readonly [keys: number, prefixes: number];

export interface HubCost {
  readonly name: string;
  readonly nanoseconds: number;
}

function key(...parts: Key): Uint8Array {
  const encoded = encodeKey(parts);
  if (!encoded.ok) throw new Error(encoded.message);
  return encoded.bytes;
}

function hubWith([keys, prefixes]: Watched): WatchHub {
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

/** Two for each of `watched`: keys that have nothing in common with what is watched, and such as begin with the same part. Medians of the rounds, which take turns. */
export function hubCosts(watched: readonly Watched[], rounds: number): HubCost[] {
  const others = Array.from({ length: 1_000 }, (_, i) => key("orders", `order-${i}`, 7));
  const beside = Array.from({ length: 1_000 }, (_, i) => key("users", `nobody-${i}`, 7));
  const cases = watched.flatMap((each) => {
    const name = `${each[0]} keys, ${each[1]} prefixes`;
    const hub = hubWith(each);
    return [
      { name, hub, changed: others, times: [] as number[] },
      { name: `${name}, which begin with the same part`, hub, changed: beside, times: [] as number[] },
    ];
  });
  let version = 0;
  for (let round = 0; round < rounds; round++) {
    for (const { hub, changed, times } of cases) {
      const start = process.hrtime.bigint();
      for (let change = 0; change < CHANGES; change++) {
        version += 1;
        // The index is below the length.
        hub.note(changed[change % changed.length] as Uint8Array, asVersion(version));
        hub.flush();
      }
      times.push(Number(process.hrtime.bigint() - start) / CHANGES);
    }
  }
  return cases.map(({ name, times }) => ({ name, nanoseconds: median(times) }));
}
