/** Runs inside Deno: reads, writes and watches one key with Deno's own `Kv`. The connect URL is its argument. */
import type { Kv, KvKey } from "@deno/kv";
import { answerOrders } from "../../support/deno-orders.ts";

/** As much of Deno as is used here: the checkout's types know nothing of it. */
declare const Deno: {
  readonly args: readonly string[];
  openKv(url: string): Promise<Kv>;
  exit(): never;
};

interface Orders {
  readonly get?: KvKey;
  readonly set?: KvKey;
  readonly value?: unknown;
  /** Begins a watch, and answers with its first value. */
  readonly watch?: KvKey;
  /** Answers with the next value of the watch. */
  readonly next?: true;
}

const [url = ""] = Deno.args;
const kv = await Deno.openKv(url);
let told: ReadableStreamDefaultReader<{ readonly value: unknown }[]> | undefined;

async function next(): Promise<unknown> {
  const { value } = (await told?.read()) ?? {};
  return value?.[0]?.value;
}

await answerOrders(async (order) => {
  // The test sends these.
  const { get, set, value, watch } = order as Orders;
  if (get !== undefined) return (await kv.get(get)).value;
  if (set !== undefined) return (await kv.set(set, value)).ok;
  if (watch !== undefined) told = kv.watch([watch]).getReader();
  return next();
});
kv.close();
Deno.exit();
