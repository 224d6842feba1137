/** What clients do in the measurement, as bodies of KV Connect requests, and what each is compared with. */
import { encodeAtomicWrite, encodeSnapshotRead } from "../../src/codec/datapath-requests.ts";
import type { AtomicWrite, ReadRange } from "../../src/core/operations.ts";
import { counterKey, entryKey, listFrom, pointOf, scattered, setOf, sumOf, valueOf, writeOf } from "./operations.ts";

export type Method = "snapshot_read" | "atomic_write";
/** An empty call of an object for a read, one upsert for a write. */
export type BaselineCall = "object" | "upsert";

export interface Call {
  readonly method: Method;
  readonly body: Uint8Array;
}

export interface Workload {
  readonly name: WorkloadName;
  readonly calls: readonly Call[];
  /** What the baseline does meanwhile, in turn: one for one with what kind of calls these are. */
  readonly baseline: readonly BaselineCall[];
  /** Entries that an answer to its first call holds; undefined where that is a write. */
  readonly entries: number | undefined;
}

interface Made extends Omit<Workload, "calls"> {
  readonly call: (index: number) => Call;
}

export type WorkloadName = (typeof workloadNames)[number];

export const workloadNames = ["get", "getMany10", "list100", "set", "atomic10", "sum", "mix90/10"] as const;

export const VALUE_BYTES = 60;

const DISTINCT_CALLS = 1000;
const COUNTERS = 100;

/** For a database that holds entries 0 to `entries` - 1, at least 1,000 of them. */
export function workloads(entries: number, distinct = DISTINCT_CALLS): Workload[] {
  const at = (index: number) => scattered(index % entries, entries);
  const get = (index: number) => read([pointOf(entryKey(at(index)))]);
  const set = (index: number) => write(writeOf([setOf(entryKey(at(index)), valueOf(VALUE_BYTES, index))]));
  const ten = (index: number) => Array.from({ length: 10 }, (_, i) => entryKey(at((10 * index + i) % entries)));
  const made: readonly Made[] = [
    { name: "get", call: get, baseline: ["object"], entries: 1 },
    { name: "getMany10", call: (i) => read(ten(i).map(pointOf)), baseline: ["object"], entries: 10 },
    {
      name: "list100",
      call: (i) => read([listFrom(scattered(i % (entries - 100), entries - 100), 100)]),
      baseline: ["object"],
      entries: 100,
    },
    { name: "set", call: set, baseline: ["upsert"], entries: undefined },
    {
      name: "atomic10",
      call: (i) => write(writeOf(ten(i).map((key) => setOf(key, valueOf(VALUE_BYTES, i))))),
      baseline: ["upsert"],
      entries: undefined,
    },
    {
      name: "sum",
      call: (i) => write(writeOf([sumOf(counterKey(i % COUNTERS))])),
      baseline: ["upsert"],
      entries: undefined,
    },
    {
      name: "mix90/10",
      call: (i) => (i % 10 === 9 ? set(i) : get(i)),
      baseline: Array.from({ length: 10 }, (_, i) => (i === 9 ? "upsert" : "object")),
      entries: 1,
    },
  ];
  return made.map(({ call, ...workload }) => {
    let calls: readonly Call[] | undefined;
    return {
      ...workload,
      // Most parts use one or two workloads of these.
      get calls() {
        return (calls ??= Array.from({ length: distinct }, (_, index) => call(index)));
      },
    };
  });
}

/** Sets of 1,000 entries each, which fill a database with entries 0 to `entries` - 1. */
export function* fillingCalls(entries: number): Generator<Call> {
  for (let from = 0; from < entries; from += 1000) {
    const length = Math.min(1000, entries - from);
    const mutations = Array.from({ length }, (_, i) => setOf(entryKey(from + i), valueOf(VALUE_BYTES, from + i)));
    yield write(writeOf(mutations));
  }
}

function read(ranges: readonly ReadRange[]): Call {
  return { method: "snapshot_read", body: encodeSnapshotRead(ranges) };
}

function write(atomicWrite: AtomicWrite): Call {
  return { method: "atomic_write", body: encodeAtomicWrite(atomicWrite) };
}
