/**
 * What a backup costs and how far behind it is, measured on a whole server with a real S3 endpoint beside it: commits with and without
 * one in interleaved rounds, the lag under a steady load, and how long after an outage everything is shipped, the load going on.
 * `npm run bench:backup -- [commits] [lag] [backlog]` (all); prints one line of JSON.
 */
import { setTimeout as sleep } from "node:timers/promises";
import type { Version } from "../../src/core/versionstamp.ts";
import { BackupServer, type ServedDatabase } from "../support/backup-server.ts";
import { raw, set } from "../support/backup-workload.ts";
import { startFaultProxy } from "../support/fault-proxy.ts";
import { startS3Server } from "../support/s3-server.ts";

const VALUE = raw(new Uint8Array(100).fill(7));
const LOAD_PER_SECOND = 500;
const LOAD_SECONDS = 60;
/** Ten minutes of that load. */
const BACKLOG_COMMITS = 300_000;
const ROUNDS = 6;
const ROUND_MS = 4_000;
const WRITERS = 32;

let next = 0;
const commit = (database: ServedDatabase): Promise<Version> =>
  database.commit({ checks: [], mutations: [set(["k", next++ % 10_000], VALUE)], enqueues: [] });

function quantile(sorted: readonly number[], q: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))] ?? Number.NaN;
}

const rounded = (value: number): number => Math.round(value * 100) / 100;

/** One writer's latencies in milliseconds, then how many commits a second many writers make. */
async function round(database: ServedDatabase): Promise<{ latencies: number[]; perSecond: number }> {
  const latencies: number[] = [];
  const until = performance.now() + ROUND_MS / 2;
  while (performance.now() < until) {
    const began = performance.now();
    await commit(database);
    latencies.push(performance.now() - began);
  }
  return { latencies, perSecond: (await commitMany(database, ROUND_MS / 2)) / (ROUND_MS / 2_000) };
}

async function commitMany(database: ServedDatabase, ms: number, count = Infinity): Promise<number> {
  const until = performance.now() + ms;
  let done = 0;
  const writer = async (): Promise<void> => {
    while (performance.now() < until && done < count) {
      done += 1;
      await commit(database);
    }
  };
  await Promise.all(Array.from({ length: WRITERS }, writer));
  return done;
}

async function compare(without: ServedDatabase, withBackup: ServedDatabase): Promise<object> {
  const rounds = { without: [] as number[], with: [] as number[] };
  const perSecond = { without: [] as number[], with: [] as number[] };
  for (let i = 0; i < ROUNDS; i++) {
    const order = i % 2 === 0 ? (["without", "with"] as const) : (["with", "without"] as const);
    for (const which of order) {
      const measured = await round(which === "with" ? withBackup : without);
      rounds[which].push(...measured.latencies);
      perSecond[which].push(measured.perSecond);
    }
  }
  const describe = (which: "without" | "with"): object => {
    const sorted = rounds[which].toSorted((a, b) => a - b);
    const rates = perSecond[which].toSorted((a, b) => a - b);
    return {
      p50Ms: rounded(quantile(sorted, 0.5)),
      p99Ms: rounded(quantile(sorted, 0.99)),
      commitsPerSecond: Math.round(quantile(rates, 0.5)),
    };
  };
  const median = (which: "without" | "with"): number =>
    quantile(
      rounds[which].toSorted((a, b) => a - b),
      0.5,
    );
  return {
    without: describe("without"),
    with: describe("with"),
    ratioP50: rounded(median("with") / median("without")),
  };
}

/** How long after its acknowledgement each commit is in the bucket. */
async function lag(database: ServedDatabase): Promise<object> {
  const waiting: { version: Version; at: number }[] = [];
  const lags: number[] = [];
  const state = { writing: true };
  const watcher = async (): Promise<void> => {
    while (state.writing || waiting.length > 0) {
      const { generations } = await database.info();
      const upTo = Math.max(...generations.map((generation) => generation.upTo ?? 0));
      const now = performance.now();
      while (waiting[0] !== undefined && waiting[0].version <= upTo) lags.push(now - (waiting.shift()?.at ?? now));
      await sleep(20);
    }
  };
  const watching = watcher();
  const began = performance.now();
  const total = LOAD_PER_SECOND * LOAD_SECONDS;
  let count = 0;
  await steadily(
    () => count++ < total,
    async () => {
      const version = await commit(database);
      waiting.push({ version, at: performance.now() });
    },
  );
  const seconds = (performance.now() - began) / 1_000;
  state.writing = false;
  waiting.sort((a, b) => a.version - b.version);
  await watching;
  const sorted = lags.toSorted((a, b) => a - b);
  return {
    commitsPerSecond: Math.round(total / seconds),
    p50Ms: Math.round(quantile(sorted, 0.5)),
    p99Ms: Math.round(quantile(sorted, 0.99)),
    maxMs: Math.round(sorted.at(-1) ?? Number.NaN),
  };
}

/** `LOAD_PER_SECOND` times a second, whether or not those before have ended, for as long as it goes on. */
async function steadily(goesOn: () => boolean, work: () => Promise<void>): Promise<void> {
  const began = performance.now();
  const under: Promise<void>[] = [];
  for (let i = 0; goesOn(); i++) {
    const due = began + (i * 1_000) / LOAD_PER_SECOND;
    if (due > performance.now()) await sleep(due - performance.now());
    under.push(work());
  }
  await Promise.all(under);
}

async function shipBacklog(database: ServedDatabase): Promise<object> {
  const fault = { do: "answer", status: 503, code: "SlowDown" } as const;
  const heal = proxy.add({ fault });
  await commitMany(database, Infinity, BACKLOG_COMMITS);
  const { backlogBytes } = await database.info();
  const began = performance.now();
  heal();
  const state = { behind: true };
  const load = steadily(
    () => state.behind,
    async () => void (await commit(database)),
  );
  await database.until("shipped", ({ lagMs, lastError }) => lagMs < 5_000 && lastError === null, 600_000);
  const seconds = (performance.now() - began) / 1_000;
  state.behind = false;
  await load;
  return { commits: BACKLOG_COMMITS, bytes: backlogBytes, seconds: rounded(seconds) };
}

const asked = process.argv.slice(2);
const isAsked = (part: string): boolean => asked.length === 0 || asked.includes(part);
const s3 = await startS3Server();
const proxy = await startFaultProxy(s3.endpoint);
const server = await BackupServer.start();
try {
  const [without, withBackup] = [server.database(), server.database()];
  await commitMany(without, 2_000);
  await commitMany(withBackup, 2_000);
  await withBackup.enable({ ...s3, endpoint: proxy.endpoint });
  await withBackup.until("active", ({ status }) => status.code === "active");
  const report = {
    commits: isAsked("commits") ? await compare(without, withBackup) : undefined,
    lag: isAsked("lag") ? await lag(withBackup) : undefined,
    backlog: isAsked("backlog") ? await shipBacklog(withBackup) : undefined,
  };
  process.stdout.write(`${JSON.stringify(report)}\n`);
} finally {
  await server.close();
  await proxy.close();
  await s3.close();
}
