/** Runs inside Deno: its own client under load, so many operations in flight, each of them with what its answer must be. */
import type { Kv } from "@deno/kv";
import { answerOrders } from "../../support/deno-orders.ts";
import type { LoadResult } from "../load.ts";
import { loadResult } from "../statistics.ts";
import type { DenoOrder, DenoWorkload } from "./deno-workloads.ts";

/** As much of Deno as is used here: the checkout's types know nothing of it. */
declare const Deno: {
  readonly args: readonly string[];
  openKv(url: string): Promise<Kv>;
  exit(): never;
};

const ENTRIES = 1000;
const COUNTERS = 100;
const FILLED_AT_ONCE = 100;
/** With its few bytes as V8 writes them it has 60. */
const valueOf = (number: number): string => String(number).padStart(57, "-");
/** Looks like chance, and reaches every entry. */
const scattered = (number: number): number => (number * 617) % ENTRIES;

const [url = ""] = Deno.args;
const kv = await Deno.openKv(url);

/** One operation of a lane, which has no second one at the same time. */
type Operation = (number: number) => Promise<void>;

function mustBe(isSo: boolean, what: string): void {
  if (!isSo) throw new Error(`expected ${what}`);
}

async function get(number: number): Promise<void> {
  mustBe((await kv.get(["bench", scattered(number)])).value !== null, "the entry that was set");
}

async function set(number: number): Promise<void> {
  mustBe((await kv.set(["bench", scattered(number)], valueOf(number))).ok, "a set to be applied");
}

/** Makes the operation of a lane. */
const OPERATIONS: Record<DenoWorkload, (lane: number) => Operation> = {
  get: () => get,
  set: () => set,
  sum: () => async (number) => {
    const sum = await kv
      .atomic()
      .sum(["counter", number % COUNTERS], 1n)
      .commit();
    mustBe(sum.ok, "a sum to be applied");
  },
  "check-and-set": (lane) => {
    // What it has set itself: no other lane does, so every check holds.
    let versionstamp: string | null | undefined;
    const key = ["checked", lane];
    return async (number) => {
      versionstamp ??= (await kv.get(key)).versionstamp;
      const written = await kv.atomic().check({ key, versionstamp }).set(key, valueOf(number)).commit();
      if (!written.ok) throw new Error("expected the check to hold");
      ({ versionstamp } = written);
    };
  },
  "nine gets to a set": () => (number) => (number % 10 === 9 ? set(number) : get(number)),
  "getMany of 10": () => async (number) => {
    const keys = Array.from({ length: 10 }, (_, index) => ["bench", scattered(10 * number + index)]);
    const entries = await kv.getMany(keys);
    mustBe(entries.length === 10 && entries.every(({ value }) => value !== null), "ten entries");
  },
  "list of 100": () => async (number) => {
    const start = scattered(number) % (ENTRIES - 100);
    const selector = { start: ["bench", start], end: ["bench", start + 100] };
    let count = 0;
    for await (const _ of kv.list(selector, { limit: 100, batchSize: 100 })) count += 1;
    mustBe(count === 100, "a hundred entries");
  },
};

async function fill(): Promise<null> {
  for (let from = 0; from < ENTRIES; from += FILLED_AT_ONCE) {
    const write = kv.atomic();
    for (let index = from; index < from + FILLED_AT_ONCE; index++) write.set(["bench", index], valueOf(index));
    mustBe((await write.commit()).ok, "the entries to be set");
  }
  return null;
}

async function load(workload: DenoWorkload, inFlight: number, seconds: number): Promise<LoadResult> {
  const latencies: number[] = [];
  const start = performance.now();
  const deadline = start + seconds * 1000;
  let next = 0;
  const lane = async (number: number): Promise<void> => {
    const operation = OPERATIONS[workload](number);
    for (let sent = performance.now(); sent < deadline;) {
      await operation(next++);
      const now = performance.now();
      latencies.push(now - sent);
      sent = now;
    }
  };
  await Promise.all(Array.from({ length: inFlight }, (_, number) => lane(number)));
  return loadResult(latencies, start);
}

await answerOrders((given) => {
  // `programs.ts` sends these.
  const order = given as DenoOrder;
  return order.do === "fill" ? fill() : load(order.workload, order.inFlight, order.seconds);
});
kv.close();
Deno.exit();
