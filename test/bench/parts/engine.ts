/** The engine's own loop against the same rows written by bare SQL, inside one object. */
import { join } from "node:path";
import type { BenchOptions } from "../options.ts";
import type { Report, Target } from "../report.ts";
import { ratioOf } from "../rounds.ts";
import { serveBench, type Bench } from "../servers.ts";
import { median } from "../statistics.ts";
import { progress, type Cell } from "../table.ts";
import type { EngineTask } from "../worker/engine-tasks.ts";

/** Rows per second that any machine does, to size the first try. */
const FIRST_ROWS = 3200;

const SHAPES = [
  { name: "commits of one set, in groups of 32", commits: 32, sets: 1, atLeast: 0.35 },
  { name: "commits of 100 sets", commits: 1, sets: 100, atLeast: 0.6 },
] as const;

export async function measureEngine(options: BenchOptions, folder: string): Promise<Report> {
  const bench = await serveBench(join(folder, "engine"));
  try {
    const rows: Cell[][] = [];
    const targets: Target[] = [];
    for (const { name, commits, sets, atLeast } of SHAPES) {
      progress(`engine, ${name}`);
      const perGroup = commits * sets;
      const tasks = {
        engine: (groups: number): EngineTask => ({ object: "loops", task: "engine loop", groups, commits, sets }),
        bare: (groups: number): EngineTask => ({ object: "loops", task: "bare loop", groups, rows: perGroup }),
      };
      const groups = await groupsFor(bench, tasks.bare, perGroup, options.seconds);
      const perSecond = { engine: [] as number[], bare: [] as number[] };
      for (let round = 0; round < options.rounds; round++) {
        for (const kind of round % 2 === 0 ? (["bare", "engine"] as const) : (["engine", "bare"] as const)) {
          perSecond[kind].push((groups * perGroup) / (await secondsOf(bench, tasks[kind](groups))));
        }
      }
      const ratio = ratioOf(perSecond.engine, perSecond.bare);
      rows.push([name, Math.round(median(perSecond.engine)), Math.round(median(perSecond.bare)), ratio.toFixed(2)]);
      targets.push({ what: `engine, ${name}, × bare SQL`, atLeast, measured: ratio });
    }
    const columns = ["what", "sets per second", "bare SQL", "ratio"];
    return { tables: [{ title: "The engine's loop, inside one object", columns, rows }], targets };
  } finally {
    await bench.stop();
  }
}

/** Warms up, and finds how many groups take about that long. */
async function groupsFor(
  bench: Bench,
  task: (groups: number) => EngineTask,
  perGroup: number,
  seconds: number,
): Promise<number> {
  const first = Math.ceil(FIRST_ROWS / perGroup);
  await bench.run(task(first));
  const took = await secondsOf(bench, task(first));
  return Math.max(first, Math.round((first * seconds) / took));
}

async function secondsOf(bench: Bench, task: EngineTask): Promise<number> {
  const start = performance.now();
  await bench.run(task);
  return (performance.now() - start) / 1000;
}
