/**
 * What the server holds while much is asked of it: workerd's resident memory and open files, which only Linux tells. The
 * thresholds are several times what was seen, and a fraction of what would be held if anything were kept.
 */
import { openKv } from "@deno/kv";
import { readdirSync, readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, describe, expect, test } from "vitest";
import { RawConnect, rawKey, rawSet, type RawWatch } from "../support/raw-connect.ts";
import { startTestServer } from "../support/server.ts";

const server = await startTestServer();
const connect = await RawConnect.open(server);
const pid = server.workerdPid();

afterAll(async () => {
  connect.close();
  await server.close();
});

const GROWTH_MB = 40;

function residentMegabytes(): number {
  return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]) / 1024;
}

function openFiles(): number {
  return readdirSync(`/proc/${pid}/fd`).length;
}

async function openWatches(count: number): Promise<RawWatch[]> {
  const watches: RawWatch[] = [];
  while (watches.length < count) {
    const next = Array.from({ length: 50 }, async (_, i) => {
      const watch = await connect.watch(rawKey("watched", watches.length + i));
      await watch.next();
      return watch;
    });
    watches.push(...(await Promise.all(next)));
  }
  return watches;
}

async function expectTold(watches: readonly RawWatch[], value: number): Promise<void> {
  await connect.write({ mutations: [rawSet(rawKey("watched", 999), Uint8Array.of(value))] });
  expect([...((await watches[999]?.next())?.keys[0]?.entryIfChanged?.value ?? [])]).toEqual([value]);
}

/** How many watches the database knows of. */
async function watchers(): Promise<number> {
  const answer = await fetch(new URL(`/api/databases/${server.databaseId}/stats`, server.url), {
    headers: { authorization: `Bearer ${server.adminToken}` },
  });
  // The member is a number by the API's schema.
  return ((await answer.json()) as { watchers: number }).watchers;
}

describe.skipIf(process.platform !== "linux")("memory", () => {
  test("stays flat while 100,000 entries of 1,000 bytes are listed in pages", async () => {
    for (let i = 0; i < 100; i++) {
      const entries = Array.from({ length: 1000 }, (_, j) =>
        rawSet(rawKey("listed", i * 1000 + j), new Uint8Array(1000)),
      );
      await connect.write({ mutations: entries });
    }
    const kv = await openKv(server.connectUrl, { accessToken: server.accessToken });
    const list = async (): Promise<number> => {
      let count = 0;
      let peak = 0;
      for await (const entry of kv.list({ prefix: ["listed"] }, { batchSize: 500 })) {
        expect(entry.key[1]).toBe(count);
        if (++count % 2000 === 0) peak = Math.max(peak, residentMegabytes());
      }
      expect(count).toBe(100_000);
      return peak;
    };
    const first = await list();
    const second = await list();
    kv.close();
    expect(second).toBeLessThan(first + GROWTH_MB);
  });

  test("stays flat while 1,000 watchers wait; those that vanish are forgotten soon after", async () => {
    const filesBefore = openFiles();
    const watches = await openWatches(1000);
    const opened = residentMegabytes();
    expect(openFiles()).toBeGreaterThan(filesBefore + 1000);
    await sleep(6000);
    expect(residentMegabytes(), "after a keep-alive to each").toBeLessThan(opened + GROWTH_MB);
    expect(await watchers()).toBe(1000);
    await expectTold(watches, 1);
    for (const watch of watches) watch.vanish();
    // The front sees that an HTTP/1.1 client is gone, and has not only ended its side, at the second keep-alive.
    await expect.poll(openFiles, { timeout: 60_000, interval: 500 }).toBeLessThan(filesBefore + 50);

    // What a forgotten watch leaves shows here. In resident memory it would be less than the garbage that is not collected yet.
    await expect.poll(watchers, { timeout: 60_000, interval: 500 }).toBe(0);
    expect(server.workerdPid()).toBe(pid);
    expect(server.log()).toBe("");
  });
});
