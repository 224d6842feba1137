/** Keeps only the keys under a prefix from a replay. The other entries are checked like all, and not kept. */
import { admitsKey } from "../../../codec/key-prefix.ts";
import type { ReplaySink } from "./replay.ts";

export function sinkUnder(prefix: Uint8Array, sink: ReplaySink): ReplaySink {
  return {
    load: (entries) => sink.load([...entries].filter(({ key }) => admitsKey(prefix, key))),
    apply: (effect, version) => (admitsKey(prefix, effect.key) ? sink.apply(effect, version) : 0),
  };
}
