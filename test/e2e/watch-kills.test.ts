/** Watches while workerd is killed and started again: their streams end at once, and what asks again is given the latest state. */
import { openKv } from "@deno/kv";
import { afterAll, expect, onTestFinished, test } from "vitest";
import { rawKey, rawPoint, RawConnect } from "../support/raw-connect.ts";
import { startTestServer, type TestServer } from "../support/server.ts";
import { startDeno } from "./clients/deno-client.ts";
import type { Operation, Outcome, Watched } from "./clients/operations.ts";

const server = await startTestServer();
const deno = startDeno(server);

afterAll(async () => {
  await deno.close();
  await server.close();
});

async function attempt(operation: Operation): Promise<unknown> {
  // The answer to this order.
  const outcome = (await deno.order({ do: "attempt", operation })) as Outcome;
  if ("error" in outcome) throw new Error(outcome.error);
  return outcome.value;
}

/** Another workerd is starting when it answers. */
async function kill(killed: TestServer): Promise<void> {
  const pid = killed.workerdPid();
  process.kill(pid, "SIGKILL");
  await expect.poll(() => killed.workerdPid()).not.toBe(pid);
}

test("Deno's watches go on by themselves after each kill, with the latest state (O19)", async () => {
  const kv = await openKv(server.connectUrl, { accessToken: server.accessToken });
  const watches = [
    { name: "one key", keys: [["a"]] },
    { name: "two keys", keys: [["a"], ["b"]] },
  ];
  // What this answers with was sent to these watches.
  const watched = async (name: string) => (await attempt({ type: "watched", name })) as Watched;
  for (const { name, keys } of watches) await attempt({ type: "watch", name, keys });
  const values: (number | null)[] = [null];
  for (let round = 0; round <= 3; round++) {
    if (round > 0) await kill(server);
    // By another client: it may be stored before a watch is back.
    await kv.set(["a"], round);
    values.push(round);
    for (const { name, keys } of watches) {
      const states = values.map((value) => keys.map(([key]) => (key === "a" ? value : null)));
      await expect.poll(async () => (await watched(name)).states.at(-1)).toEqual(states.at(-1));
      expect(await watched(name)).toEqual({ states, ended: null });
    }
  }
  kv.close();
});

test("a watch's stream does not end as if it were over, and its place is free again", async () => {
  // 300 places, three quarters of them for what lasts.
  const small = await startTestServer({}, { shell: "ulimit -n 1000" });
  onTestFinished(() => small.close());
  const connect = await RawConnect.open(small);
  const key = rawKey("a");
  for (let round = 0; round < 3; round++) {
    // Answered as soon as workerd is there again.
    await expect.poll(() => connect.read({ ranges: [rawPoint(key)] }).catch(() => null)).not.toBeNull();
    const watches = await Promise.all(Array.from({ length: 120 }, () => connect.watch(key)));
    for (const watch of watches) await watch.next();
    await kill(small);
    for (const watch of watches) await expect(watch.next()).rejects.toThrow("aborted");
  }
  connect.close();
});
