/** A client that can be asked to do things: what Deno and Node offer to the tests in the same way. */
import type { KvKey } from "@deno/kv";
import type { Operation } from "./operations.ts";

/** What a client is asked. Crosses to Deno as JSON, so keys here are of strings and numbers. */
export type Order =
  | { readonly do: "case"; readonly theme: string; readonly title: string }
  | { readonly do: "write kinds"; readonly prefix: KvKey; readonly names: readonly string[] }
  | { readonly do: "read kinds"; readonly prefix: KvKey; readonly names: readonly string[] }
  | { readonly do: "write parts"; readonly prefix: KvKey }
  | { readonly do: "read parts"; readonly prefix: KvKey }
  | { readonly do: "transfer"; readonly plan: TransferPlan }
  | { readonly do: "attempt"; readonly operation: Operation };

export interface TransferPlan {
  readonly prefix: KvKey;
  readonly accounts: number;
  readonly initial: number;
  readonly writers: number;
  readonly readers: number;
  /** How many transfers each writer makes. */
  readonly transfers: number;
}

export interface TransferReport {
  /** The transfers that were acknowledged, and under which versionstamp; null where a retry found it made already. */
  readonly acknowledged: readonly { readonly id: string; readonly versionstamp: string | null }[];
  readonly retries: number;
  /** How often the readers saw all accounts, and the sums that were not the total. */
  readonly snapshots: number;
  readonly wrongTotals: readonly number[];
}

export interface Client {
  readonly name: string;
  /** Rejects with what went wrong there. */
  order(order: Order): Promise<unknown>;
  close(): Promise<void>;
}
