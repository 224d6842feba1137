/** Searches of documents against bare SQL statements that find the same rows, inside one object; and how long a search holds it. */
import { join } from "node:path";
import { type DocumentQuery, documentQueries } from "../searched-documents.ts";
import type { BenchOptions } from "../options.ts";
import type { Report, Target } from "../report.ts";
import { ratioOf } from "../rounds.ts";
import { type Bench, serveBench } from "../servers.ts";
import { median } from "../statistics.ts";
import { type Cell, progress } from "../table.ts";
import type { SearchTask } from "../worker/search-tasks.ts";

const OBJECT = "searches";
/** A search must not hold the object for longer. */
const MAX_HELD_MS = 50;
const SET_AT_ONCE = 20_000;

export async function measureSearches(options: BenchOptions, folder: string): Promise<Report> {
  const bench = await serveBench(join(folder, "searches"));
  try {
    await fill(bench, options.maxEntries);
    const searches: Cell[][] = [];
    const targets: Target[] = [];
    for (const query of documentQueries.filter(({ sql }) => sql !== null)) {
      progress(`documents, ${query.name}`);
      const { rows, bySearch, bySql, ratio } = await compare(bench, query, options);
      searches.push([query.name, rows, bySearch, bySql, ratio.toFixed(2)]);
      targets.push({ what: `search, ${query.name}, × bare SQL`, atLeast: query.atLeast, measured: ratio });
    }
    const held: Cell[][] = [];
    for (const query of documentQueries) {
      progress(`documents, how long ${query.name} holds the object`);
      const { tookMs, heldMs } = await holds(bench, query);
      held.push([query.name, tookMs, heldMs]);
      targets.push({
        what: `search, ${query.name}, ms that it may hold / holds`,
        atLeast: 1,
        measured: MAX_HELD_MS / heldMs,
      });
    }
    return {
      tables: [
        {
          title: `Searches of ${options.maxEntries.toLocaleString("en-US")} documents, inside one object`,
          columns: ["what", "rows", "searches per second", "bare SQL", "ratio"],
          rows: searches,
        },
        { title: "One search", columns: ["what", "took ms", "held the object ms"], rows: held },
      ],
      targets,
    };
  } finally {
    await bench.stop();
  }
}

async function fill(bench: Bench, documents: number): Promise<void> {
  progress(`documents, ${documents} are set`);
  for (let from = 0; from < documents; from += SET_AT_ONCE) {
    await run(bench, { task: "set documents", from, to: Math.min(documents, from + SET_AT_ONCE) });
  }
  progress("documents, they are indexed");
  await run(bench, { task: "index documents" });
}

async function compare(bench: Bench, { name }: DocumentQuery, { rounds, seconds }: BenchOptions) {
  const perSecond = { search: [] as number[], sql: [] as number[] };
  const task = (by: "search" | "sql", times: number): SearchTask => ({
    task: "search documents",
    query: name,
    times,
    by,
  });
  const found = { search: await run(bench, task("search", 1)), sql: await run(bench, task("sql", 1)) };
  if (found.search !== found.sql) throw new Error(`${name}: ${found.search} rows by search, ${found.sql} by SQL`);
  const start = performance.now();
  await run(bench, task("sql", 3));
  const times = Math.max(1, Math.round((3 * seconds * 1000) / (performance.now() - start)));
  for (let round = 0; round < rounds; round++) {
    for (const by of round % 2 === 0 ? (["sql", "search"] as const) : (["search", "sql"] as const)) {
      const began = performance.now();
      await run(bench, task(by, times));
      perSecond[by].push((times * 1000) / (performance.now() - began));
    }
  }
  return {
    rows: found.search,
    bySearch: median(perSecond.search),
    bySql: median(perSecond.sql),
    ratio: ratioOf(perSecond.search, perSecond.sql),
  };
}

/** Asks the object again and again while it searches: the longest of these calls shows how long it was held, and a little more. */
async function holds(bench: Bench, { name }: DocumentQuery): Promise<{ tookMs: number; heldMs: number }> {
  const began = performance.now();
  const state = { tookMs: 0 };
  const task: SearchTask = { task: "search documents", query: name, times: 1, by: "search" };
  // On a connection of its own: the bench's carries one request at a time.
  const searched = fetch(`http://127.0.0.1:${bench.address.port}/engine`, {
    method: "POST",
    body: JSON.stringify({ object: OBJECT, ...task }),
  }).then(async (answer) => {
    await answer.text();
    state.tookMs = performance.now() - began;
    if (!answer.ok) throw new Error(`${name} was answered ${answer.status}`);
  });
  let heldMs = 0;
  while (state.tookMs === 0) {
    const asked = performance.now();
    await run(bench, { task: "tick" });
    heldMs = Math.max(heldMs, performance.now() - asked);
  }
  await searched;
  return { tookMs: state.tookMs, heldMs };
}

async function run(bench: Bench, task: SearchTask): Promise<number> {
  const { found = 0 } = await bench.run({ object: OBJECT, ...task });
  return found;
}
