/** Runs inside Deno and carries out orders. The connect URL is its argument; the access token is where Deno looks for it, in the environment. */
import type { Kv } from "@deno/kv";
import { answerOrders } from "../../support/deno-orders.ts";
import type { Subject } from "../cases/case.ts";
import type { Order } from "./client.ts";
import { obey } from "./obey.ts";

/** As much of Deno as is used here: the checkout's types know nothing of it. */
declare const Deno: {
  readonly args: readonly string[];
  readonly KvU64: Subject["KvU64"];
  openKv(url: string): Promise<Kv>;
  exit(): never;
};

const [url = ""] = Deno.args;
const opener = { name: "Deno", KvU64: Deno.KvU64, open: () => Deno.openKv(url) };
const kv = await opener.open();
// `deno-client.ts` sends these. A watch left open must not keep this process.
await answerOrders((order) => obey(order as Order, kv, opener));
kv.close();
Deno.exit();
