/**
 * Money moved between accounts from many sides at once, under checks, while others add up all accounts in one snapshot. Each
 * transfer leaves a record of itself in the same atomic write, by which it is known again when its answer was lost.
 */
import type { Kv, KvKey } from "@deno/kv";
import type { TransferPlan, TransferReport } from "../clients/client.ts";
import { collect, setAll, sleep } from "./case.ts";

export interface Transfer {
  readonly from: number;
  readonly to: number;
  readonly amount: number;
}

export const accountKey = (prefix: KvKey, account: number): KvKey => [...prefix, "account", account];
export const recordKey = (prefix: KvKey, id: string): KvKey => [...prefix, "transfer", id];

export async function transfer(open: () => Promise<Kv>, plan: TransferPlan): Promise<TransferReport> {
  const { prefix, accounts, initial, writers, readers } = plan;
  const first = await open();
  await setAll(
    first,
    Array.from({ length: accounts }, (_, i) => [accountKey(prefix, i), initial]),
  );
  const state = { over: false };
  const reading = Promise.all(Array.from({ length: readers }, () => readTotals(first, plan, state)));
  const written = await Promise.all(
    Array.from({ length: writers }, (_, writer) => writeTransfers(first, plan, writer)),
  );
  state.over = true;
  const read = await reading;
  first.close();
  return {
    acknowledged: written.flatMap(({ acknowledged }) => acknowledged),
    retries: written.reduce((sum, { retries }) => sum + retries, 0),
    snapshots: read.reduce((sum, { snapshots }) => sum + snapshots, 0),
    wrongTotals: read.flatMap(({ wrongTotals }) => wrongTotals),
  };
}

async function writeTransfers(
  kv: Kv,
  { prefix, accounts, transfers }: TransferPlan,
  writer: number,
): Promise<Pick<TransferReport, "acknowledged" | "retries">> {
  const acknowledged: { id: string; versionstamp: string | null }[] = [];
  let retries = 0;
  for (let i = 0; i < transfers; i++) {
    const id = `${writer}-${i}`;
    const from = (writer * 31 + i * 7) % accounts;
    const to = (from + 1 + ((writer + i * 13) % (accounts - 1))) % accounts;
    for (;;) {
      const made = await untilAnswered(() => attempt(kv, prefix, id, { from, to, amount: 1 + (i % 5) }));
      if (made !== undefined) {
        acknowledged.push({ id, versionstamp: made });
        break;
      }
      retries++;
    }
  }
  return { acknowledged, retries };
}

/** The versionstamp, null when it had been made before, or undefined when a check failed. */
async function attempt(
  kv: Kv,
  prefix: KvKey,
  id: string,
  { from, to, amount }: Transfer,
): Promise<string | null | undefined> {
  const [payer, payee, record] = await kv.getMany<[number, number, Transfer]>([
    accountKey(prefix, from),
    accountKey(prefix, to),
    recordKey(prefix, id),
  ]);
  if (record.versionstamp !== null) return null;
  if (payer.value === null || payee.value === null) throw new Error("an account is not there");
  const result = await kv
    .atomic()
    .check(payer, payee, record)
    .set(payer.key, payer.value - amount)
    .set(payee.key, payee.value + amount)
    .set(record.key, { from, to, amount })
    .commit();
  return result.ok ? result.versionstamp : undefined;
}

/** The server may be down for a moment. */
async function untilAnswered<T>(work: () => Promise<T>): Promise<T> {
  for (let tries = 0; ; tries++) {
    try {
      return await work();
    } catch (error) {
      if (tries >= 50) throw error;
      await sleep(100);
    }
  }
}

async function readTotals(
  kv: Kv,
  { prefix, accounts, initial }: TransferPlan,
  state: { readonly over: boolean },
): Promise<Pick<TransferReport, "snapshots" | "wrongTotals">> {
  let snapshots = 0;
  const wrongTotals: number[] = [];
  while (!state.over) {
    const total = await untilAnswered(() => totalOf(kv, prefix, accounts));
    snapshots++;
    if (total !== accounts * initial) wrongTotals.push(total);
    await sleep(5);
  }
  return { snapshots, wrongTotals };
}

/** One batch, and so one snapshot. */
export async function totalOf(kv: Kv, prefix: KvKey, accounts: number): Promise<number> {
  const entries = await collect(kv.list<number>({ prefix: [...prefix, "account"] }, { batchSize: accounts + 1 }));
  return entries.reduce((sum, { value }) => sum + value, 0);
}
