/** Carries out an order with the connections that a client opens: the same in Deno and in Node. */
import assert from "node:assert/strict";
import type { Kv, KvKey } from "@deno/kv";
import { collect, setAll, type Subject } from "../cases/case.ts";
import { orderedParts } from "../cases/keys.ts";
import { denoThemes } from "../cases/themes.ts";
import { transfer } from "../cases/transfers.ts";
import { assertKinds, writeKinds } from "../cases/values.ts";
import type { Order } from "./client.ts";
import { attempt } from "./operations.ts";

export interface Opener {
  readonly name: string;
  readonly KvU64: Subject["KvU64"];
  readonly open: () => Promise<Kv>;
}

/** The answer to whatever has nothing else to tell. */
export const PASSED = "passed";

export async function obey(order: Order, kv: Kv, opener: Opener): Promise<unknown> {
  switch (order.do) {
    case "case": {
      const { theme, title } = order;
      const found = denoThemes[theme]?.[title];
      assert.ok(found !== undefined, `there is no case "${title}" in ${theme}`);
      const { name, KvU64, open } = opener;
      await found({ kv, KvU64, open, prefix: [name, theme, title] });
      return PASSED;
    }
    case "write kinds":
      await writeKinds(kv, order.prefix, opener, order.names);
      return PASSED;
    case "read kinds":
      await assertKinds(kv, order.prefix, opener, order.names);
      return PASSED;
    case "write parts":
      await setAll(
        kv,
        orderedParts.map((part, i) => [[...order.prefix, part], i]),
      );
      return PASSED;
    case "read parts":
      await assertParts(kv, order.prefix);
      return PASSED;
    case "transfer":
      return transfer(opener.open, order.plan);
    case "attempt":
      return attempt(kv, order.operation);
  }
}

async function assertParts(kv: Kv, prefix: KvKey): Promise<void> {
  const entries = await collect(kv.list({ prefix }));
  assert.deepEqual(
    entries.map(({ key, value }) => [key, value]),
    orderedParts.map((part, i) => [[...prefix, part], i]),
  );
}
