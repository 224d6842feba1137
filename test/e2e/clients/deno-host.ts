/**
 * Runs inside Deno: reads orders as lines of JSON and answers each with one, `{id, result}` or `{id, error}`. The connect URL is
 * its argument; the access token is where Deno looks for it, in the environment.
 */
import type { Kv } from "@deno/kv";
import type { Subject } from "../cases/case.ts";
import type { Order } from "./client.ts";
import { obey } from "./obey.ts";

/** As much of Deno as is used here: the checkout's types know nothing of it. */
declare const Deno: {
  readonly args: readonly string[];
  readonly stdin: { readonly readable: ReadableStream<Uint8Array<ArrayBuffer>> };
  readonly KvU64: Subject["KvU64"];
  openKv(url: string): Promise<Kv>;
  exit(): never;
};

const [url = ""] = Deno.args;
const opener = { name: "Deno", KvU64: Deno.KvU64, open: () => Deno.openKv(url) };
const kv = await opener.open();

async function answer(line: string): Promise<void> {
  const { id, order } = JSON.parse(line) as { id: number; order: Order };
  try {
    console.log(JSON.stringify({ id, result: await obey(order, kv, opener) }));
  } catch (error) {
    console.log(JSON.stringify({ id, error: error instanceof Error ? (error.stack ?? error.message) : String(error) }));
  }
}

let rest = "";
// The orders end when whoever gives them does; a watch left open must not keep this process.
for await (const text of Deno.stdin.readable.pipeThrough(new TextDecoderStream())) {
  const lines = (rest + text).split("\n");
  rest = lines.pop() ?? "";
  for (const line of lines) void answer(line);
}
kv.close();
Deno.exit();
