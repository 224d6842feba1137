/** Archives beside a bare loop that handles the same rows in the same object; reads meanwhile; the memory that they take. */
import { join } from "node:path";
import { residentBytes } from "../memory.ts";
import type { BenchOptions } from "../options.ts";
import type { Report, Target } from "../report.ts";
import { ratioOf } from "../rounds.ts";
import { type Bench, serveBench } from "../servers.ts";
import { median, quantile } from "../statistics.ts";
import { progress, type Cell } from "../table.ts";
import type { ArchiveTask } from "../worker/archive-task.ts";

const FILLED_AT_ONCE = 20_000;
const MIB = 2 ** 20;
const LOOK_MS = 50;

/** How long reads are measured before, in the seconds of a measurement. */
const BEFORE_SECONDS = 3;

/** How often somebody reads while an archive is made: far from what the object can do. */
const READ_EVERY_MS = 5;

export async function measureArchives(options: BenchOptions, folder: string): Promise<Report> {
  const bench = await serveBench(join(folder, "archives"));
  try {
    const entries = options.maxEntries;
    progress(`archives, ${entries} entries`);
    for (let from = 0; from < entries; from += FILLED_AT_ONCE) {
      await bench.archives({ task: "archive fill", from, to: Math.min(entries, from + FILLED_AT_ONCE) });
    }
    const tasks: readonly ArchiveTask[] = [
      { task: "archive bare make" },
      { task: "archive make", keeps: true },
      { task: "archive bare restore" },
      { task: "archive restore" },
    ];
    const names = tasks.map(({ task }) => task);
    const seconds = new Map<string, number[]>(names.map((name) => [name, []]));
    const rounds = Math.min(options.rounds, 3);
    for (let round = 0; round < rounds; round++) {
      for (const task of tasks) seconds.get(task.task)?.push(await secondsOf(bench, task));
    }
    const of = (name: string): readonly number[] => seconds.get(name) ?? [];
    const ratios = {
      make: ratioOf(of("archive bare make"), of("archive make")),
      restore: ratioOf(of("archive bare restore"), of("archive restore")),
    };
    const rows: Cell[][] = names.map((name) => [
      name.replace("archive ", ""),
      median(of(name)).toFixed(1),
      Math.round(entries / median(of(name))),
    ]);
    const { before, during, grown, fileBytes } = await beside(bench, entries, options.seconds);
    rows.push(["file, MiB", (fileBytes / MIB).toFixed(0), ""]);
    const reads: Cell[][] = [
      ["before", before.p50.toFixed(2), before.p99.toFixed(2)],
      ["while an archive is made", during.p50.toFixed(2), during.p99.toFixed(2)],
    ];
    const targets: Target[] = [
      { what: "an archive made, × a bare loop", atLeast: 0.5, measured: ratios.make },
      { what: "an archive restored, × a bare loop", atLeast: 0.5, measured: ratios.restore },
      { what: "p99 of gets while an archive is made, × before", atMost: 2, measured: during.p99 / before.p99 },
      { what: "memory of the process while an archive is made, × before", atMost: 1.5, measured: grown },
    ];
    return {
      tables: [
        { title: `Archives of ${entries} entries of 1 KB`, columns: ["what", "seconds", "entries per second"], rows },
        { title: "Gets beside an archive, in ms", columns: ["when", "p50", "p99"], rows: reads },
      ],
      targets,
    };
  } finally {
    await bench.stop();
  }
}

interface Latencies {
  readonly p50: number;
  readonly p99: number;
}

/** Reads before and while an archive is made, and the memory of the process meanwhile. */
async function beside(
  bench: Bench,
  entries: number,
  seconds: number,
): Promise<{ before: Latencies; during: Latencies; grown: number; fileBytes: number }> {
  const first = await readsWhile(
    bench,
    entries,
    new Promise((resolve) => setTimeout(resolve, BEFORE_SECONDS * seconds * 1000)),
  );
  const memoryBefore = residentBytes(bench.pid);
  let most = memoryBefore;
  const look = setInterval(() => (most = Math.max(most, residentBytes(bench.pid))), LOOK_MS);
  const making = bench.archives({ task: "archive make", keeps: false }, true);
  const during = await readsWhile(bench, entries, making);
  clearInterval(look);
  return { before: first, during, grown: most / memoryBefore, fileBytes: (await making).bytes };
}

async function readsWhile(bench: Bench, entries: number, until: Promise<unknown>): Promise<Latencies> {
  const state = { over: false };
  void until.finally(() => (state.over = true));
  const taken: number[] = [];
  for (let i = 0; !state.over; i++) {
    const start = performance.now();
    await bench.archives({ task: "archive get", index: (i * 7919) % entries });
    taken.push(performance.now() - start);
    await new Promise((resolve) => setTimeout(resolve, READ_EVERY_MS));
  }
  taken.sort((a, b) => a - b);
  return { p50: quantile(taken, 0.5), p99: quantile(taken, 0.99) };
}

async function secondsOf(bench: Bench, task: ArchiveTask): Promise<number> {
  const start = performance.now();
  await bench.archives(task);
  return (performance.now() - start) / 1000;
}
