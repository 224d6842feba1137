/** The index of a table of documents: how fast it is built and dropped, how long a step holds the object, and what it takes of memory and disk. */
import { join } from "node:path";
import { processorMs, residentBytes } from "../memory.ts";
import type { BenchOptions } from "../options.ts";
import type { Report } from "../report.ts";
import { serveBench, type Bench } from "../servers.ts";
import { progress, type Cell } from "../table.ts";

const FILLED_AT_ONCE = 20_000;
/** Steps of one request, as of one alarm. */
const STEPS = 20;
const MEGABYTE = 1_000_000;

export async function measureDocuments({ maxEntries }: BenchOptions, folder: string): Promise<Report> {
  const bench = await serveBench(join(folder, "documents"));
  try {
    progress(`documents: making ${maxEntries}`);
    let bytes = 0;
    for (let from = 0; from < maxEntries; from += FILLED_AT_ONCE) {
      ({ bytes } = await bench.documents({ task: "fill", from, to: Math.min(maxEntries, from + FILLED_AT_ONCE) }));
    }
    progress("documents: building the index");
    await bench.documents({ task: "define" });
    const build = await allSteps(bench);
    progress("documents: dropping the index");
    await bench.documents({ task: "undefine" });
    const drop = await allSteps(bench);
    const rows: Cell[][] = [
      ["build", ...cellsOf(build, maxEntries), megabytes(build.bytes - bytes)],
      ["drop", ...cellsOf(drop, maxEntries), megabytes(bytes - drop.bytes)],
    ];
    const columns = [
      "what",
      "documents per second",
      "processor µs each",
      "longest step ms",
      "p99 step ms",
      "more memory MB",
      "more disk MB",
    ];
    return {
      tables: [{ title: `The index of ${maxEntries} documents`, columns, rows }],
      targets: [
        {
          what: "documents indexed per second in the background",
          atLeast: 20_000,
          measured: maxEntries / build.seconds,
        },
        {
          what: "memory that the second half of a build adds, MB",
          atMost: 40,
          measured: Math.max(0.1, build.laterBytes / MEGABYTE),
        },
      ],
    };
  } finally {
    await bench.stop();
  }
}

interface Work {
  readonly seconds: number;
  /** Of workerd, with what storing takes. */
  readonly processorMs: number;
  readonly stepMs: readonly number[];
  readonly memoryBytes: number;
  /** Of the second half alone. */
  readonly laterBytes: number;
  readonly bytes: number;
}

/** All that is to build or to remove. */
async function allSteps(bench: Bench): Promise<Work> {
  const started = performance.now();
  const usedBefore = processorMs(bench.pid);
  const stepMs: number[] = [];
  const memory = [residentBytes(bench.pid)];
  for (;;) {
    const result = await bench.documents({ task: "steps", steps: STEPS });
    stepMs.push(...result.stepMs);
    memory.push(residentBytes(bench.pid));
    if (result.hasWork) continue;
    const { bytes } = result;
    const at = (part: number) => memory[Math.floor((memory.length - 1) * part)] ?? 0;
    const seconds = (performance.now() - started) / 1000;
    const used = processorMs(bench.pid) - usedBefore;
    return { seconds, processorMs: used, stepMs, memoryBytes: at(1) - at(0), laterBytes: at(1) - at(0.5), bytes };
  }
}

function cellsOf({ seconds, processorMs: used, stepMs, memoryBytes }: Work, documents: number): Cell[] {
  const sorted = stepMs.toSorted((a, b) => a - b);
  const at = (part: number) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? 0;
  return [
    Math.round(documents / seconds),
    ((used * 1000) / documents).toFixed(1),
    at(1),
    at(0.99),
    megabytes(memoryBytes),
  ];
}

function megabytes(bytes: number): string {
  return (bytes / MEGABYTE).toFixed(0);
}
