/** A whole server that is killed in the middle of a restore, or whose destination fails: wholly the old state or wholly the new. */
import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, describe, expect, test, type TestContext } from "vitest";
import type { AtomicWrite } from "../../src/core/operations.ts";
import { type Version, versionstampHex } from "../../src/core/versionstamp.ts";
import { BackupServer, type ServedDatabase } from "../support/backup-server.ts";
import { set, v8 } from "../support/backup-workload.ts";
import { type FaultKind, type FaultProxy, startFaultProxy } from "../support/fault-proxy.ts";
import { type S3Server, startS3Server } from "../support/s3-server.ts";
import { ServedRestores } from "../support/served-restores.ts";

const ENTRIES = 60_000;

let s3: S3Server;
let proxy: FaultProxy;
let server: BackupServer;
/** One database for all: its backup, a moment in it, and what it held then. */
let database: ServedDatabase;
let then: Version;
let stateThen: Map<string, string>;

beforeAll(async () => {
  s3 = await startS3Server();
  proxy = await startFaultProxy(s3.endpoint);
  server = await BackupServer.start();
  database = server.database();
  for (let from = 0; from < ENTRIES; from += 1000) await database.commit(block(from, "old"));
  await database.enable({ ...s3, endpoint: proxy.endpoint });
  await database.until("active", ({ status }) => status.code === "active");
  for (let from = 0; from < ENTRIES / 2; from += 1000) await database.commit(block(from, "then"));
  then = await database.commit({ checks: [], mutations: [set(["mark"], v8("then"))], enqueues: [] });
  stateThen = await entriesOf(server, database.id);
  expect(stateThen.size).toBe(ENTRIES + 1);
  await database.until("settled", ({ backlogBytes }) => backlogBytes === 0);
}, 120_000);

afterAll(async () => {
  await server.close();
  await proxy.close();
  await s3.close();
});

function block(from: number, text: string): AtomicWrite {
  const mutations = Array.from({ length: 1000 }, (_, i) => set(["k", from + i], v8(text)));
  return { checks: [], mutations, enqueues: [] };
}

async function entriesOf(from: BackupServer, id: string): Promise<Map<string, string>> {
  const entries = await new ServedRestores(from, id).entries();
  if (entries === null) throw new Error("the database cannot be read");
  return entries;
}

/** The same bucket, with faults of the test's own. */
async function ownWay(onTestFinished: TestContext["onTestFinished"]): Promise<FaultProxy> {
  const own = await startFaultProxy(s3.endpoint);
  onTestFinished(() => own.close());
  return own;
}

/** The server dies when the job asks for the snapshot's first range, and again when it asks for the log's. Returns how often it has. */
function killTwice(mortal: BackupServer, way: FaultProxy): () => number {
  let kills = 0;
  const killAt = (path: RegExp, next?: () => void): void => {
    const kill = (): void => {
      kills += 1;
      mortal.kill();
      next?.();
    };
    way.add({ fault: { do: "kill", when: "before", kill }, method: "GET", path, times: 1 });
  };
  // Ranges are asked for together: the second is only set when the first has come.
  killAt(/snapshots\/0001_0000000000000001_/, () => killAt(/logs\/\w+\.bin/));
  return () => kills;
}

describe.concurrent("restored into another database, from the bucket alone", () => {
  const faults: readonly (readonly [string, FaultKind, number])[] = [
    ["answers 500 again and again", { do: "answer", status: 500, code: "InternalError" }, 5],
    ["asks for pauses", { do: "answer", status: 503, code: "SlowDown", headers: { "retry-after": "1" } }, 5],
    ["closes connections", { do: "reset" }, 5],
    ["cuts its answers short", { do: "truncate", bytes: 1_000 }, 5],
    ["is slow", { do: "delay", ms: 500 }, 20],
  ];
  test.for(faults)(
    "while the destination %s, it comes about all the same",
    { timeout: 120_000 },
    async ([, fault, times], { onTestFinished }) => {
      const way = await ownWay(onTestFinished);
      const target = new ServedRestores(server, randomUUID());
      // Of what the job asks for, and not what is looked up before it is started.
      way.add({ fault, method: "GET", path: /differential|snapshots/, times });
      await target.job({ ...fromBucket(way), jobId: "a" });
      expect(await target.finished("a")).toMatchObject({ status: "completed", error: null });
      expect(way.seen.filter((request) => request.fault === fault.do).length).toBeGreaterThanOrEqual(
        Math.min(times, 5),
      );
      expect(await entriesOf(server, target.id)).toEqual(stateThen);
    },
  );

  test(
    "with workerd killed again and again, it is unavailable until it is whole (G10)",
    { timeout: 120_000 },
    async ({ onTestFinished }) => {
      const [mortal, way] = [await BackupServer.start(), await ownWay(onTestFinished)];
      onTestFinished(() => mortal.close());
      const target = new ServedRestores(mortal, randomUUID());
      const kills = killTwice(mortal, way);
      way.add({ fault: { do: "delay", ms: 250 }, method: "GET", path: /snapshots/ });
      await target.job({ ...fromBucket(way), jobId: "a" });
      const seen = new Set<number>();
      const job = await target.finished("a", async () => {
        const early = await target.entries().catch(() => null);
        seen.add(early?.size ?? 0);
        await new Promise((resolve) => setTimeout(resolve, 100));
      });
      expect(job).toMatchObject({ status: "completed" });
      expect(kills()).toBe(2);
      expect([...seen]).toEqual(seen.has(ENTRIES + 1) ? [0, ENTRIES + 1] : [0]);
      expect(await entriesOf(mortal, target.id)).toEqual(stateThen);
    },
  );
});

test(
  "in place, with writes going on and workerd killed: every read is of one state or the other (G13)",
  { timeout: 120_000 },
  async () => {
    const subject = new ServedRestores(server, database.id);
    await database.commit(block(0, "later"));
    const mark = (text: string): AtomicWrite => ({ checks: [], mutations: [set(["mark"], v8(text))], enqueues: [] });
    await database.commit(mark("later"));
    const kills = killTwice(server, proxy);
    proxy.add({ fault: { do: "delay", ms: 150 }, method: "GET", path: /snapshots/ });
    await subject.job({ command: "restore", jobId: "a", at: versionstampHex(then) });
    const job = await subject.finished("a", async () => {
      await database.commit(mark("later still")).catch(() => undefined);
      await new Promise((resolve) => setTimeout(resolve, 50));
    });
    expect(job).toMatchObject({ status: "completed", version: then });
    expect(kills()).toBe(2);
    const after = await entriesOf(server, database.id);
    // The last of those writes may have come after the switch: then it stands in the new state, and nothing else of the old does.
    const differing = [...after].filter(([key, value]) => stateThen.get(key) !== value);
    expect(after.size).toBe(stateThen.size);
    expect(differing.length).toBeLessThanOrEqual(1);
    const version = await database.commit(mark("after"));
    expect(version).toBeGreaterThan(then);
    const settled = await database.until(
      "settled",
      ({ backlogBytes, generations }) =>
        backlogBytes === 0 && generations.length > 1 && generations.at(-1)?.state === "complete",
    );
    expect(settled.generations.map(({ state }) => state)).toEqual(["ended", "complete"]);
    await subject.job({ command: "verify", jobId: "v" });
    expect(await subject.finished("v")).toMatchObject({ status: "completed", verification: { good: true } });
  },
);

function fromBucket({ endpoint }: FaultProxy) {
  const { destination } = database.enabling({ ...s3, endpoint });
  return {
    command: "restore from",
    databaseId: database.id,
    destination,
    at: versionstampHex(then),
    withoutManifest: false,
  } as const;
}
