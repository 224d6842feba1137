/** Money moved between accounts by the real Deno from many sides at once, also while the server is killed and comes back. */
import { openKv } from "@deno/kv";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, expect, test } from "vitest";
import { startTestServer } from "../support/server.ts";
import { accountKey, recordKey, type Transfer, totalOf } from "./cases/transfers.ts";
import { collect } from "./cases/case.ts";
import type { TransferPlan, TransferReport } from "./clients/client.ts";
import { startDeno } from "./clients/deno-client.ts";

const server = await startTestServer();
const deno = startDeno(server);

afterAll(async () => {
  await deno.close();
  await server.close();
});

/** Every record there is, every balance that follows from them, and that each acknowledged transfer is among them. */
async function expectConsistent(plan: TransferPlan, report: TransferReport): Promise<void> {
  const { prefix, accounts, initial, writers, transfers } = plan;
  const kv = await openKv(server.connectUrl, { accessToken: server.accessToken });
  const records = await collect(kv.list<Transfer>({ prefix: [...prefix, "transfer"] }, { batchSize: 500 }));
  const stamps = new Map(records.map(({ key, versionstamp }) => [String(key.at(-1)), versionstamp]));
  const lost = report.acknowledged.filter(({ id }) => !stamps.has(id));
  const other = report.acknowledged.filter(
    ({ id, versionstamp }) => versionstamp !== null && versionstamp !== stamps.get(id),
  );
  expect({ lost, other }, "acknowledged transfers that are not there, or not as acknowledged").toEqual({
    lost: [],
    other: [],
  });
  expect(records.length).toBe(writers * transfers);

  const expected = Array.from({ length: accounts }, () => initial);
  for (const { value } of records) {
    const { from, to, amount } = value;
    expected[from] = (expected[from] ?? 0) - amount;
    expected[to] = (expected[to] ?? 0) + amount;
  }
  const balances = await collect(kv.list<number>({ prefix: [...prefix, "account"] }));
  expect(balances.map(({ value }) => value)).toEqual(expected);
  expect(balances.map(({ key }) => key)).toEqual(expected.map((_, i) => accountKey(prefix, i)));
  expect(await totalOf(kv, prefix, accounts)).toBe(accounts * initial);
  const [{ id } = { id: "none" }] = report.acknowledged;
  expect((await kv.get(recordKey(prefix, id))).versionstamp).toBe(stamps.get(id));
  kv.close();
}

test("hundreds of transfers at once never change the total that others see (R4)", async () => {
  const plan = { prefix: ["calm"], accounts: 100, initial: 1000, writers: 40, readers: 3, transfers: 15 };
  // The answer to this order.
  const report = (await deno.order({ do: "transfer", plan })) as TransferReport;
  expect(report.wrongTotals).toEqual([]);
  expect(report.snapshots).toBeGreaterThan(20);
  expect(report.retries, "transfers never met").toBeGreaterThan(0);
  expect(report.acknowledged.filter(({ versionstamp }) => versionstamp === null)).toEqual([]);
  await expectConsistent(plan, report);
});

test("killed in the middle, three times: no acknowledged transfer is missing and none is half there (W1, W29)", async () => {
  const plan = { prefix: ["killed"], accounts: 100, initial: 1000, writers: 30, readers: 2, transfers: 120 };
  const order = deno.order({ do: "transfer", plan });
  const over = { yet: false };
  void order.finally(() => (over.yet = true)).catch(() => undefined);
  const killed: number[] = [];
  for (let i = 0; i < 3; i++) {
    await sleep(300);
    expect(over.yet, "all was over before the server was killed").toBe(false);
    const pid = server.workerdPid();
    killed.push(pid);
    process.kill(pid, "SIGKILL");
    await expect.poll(() => server.workerdPid()).not.toBe(pid);
  }
  expect(new Set(killed).size).toBe(3);
  const report = (await order) as TransferReport;
  expect(report.wrongTotals).toEqual([]);
  await expectConsistent(plan, report);
});
