/** How get, set and list hold as the database grows: a server for each size, measured in the same rounds. */
import { join } from "node:path";
import { Connections } from "../load.ts";
import type { BenchOptions } from "../options.ts";
import type { Report, Target } from "../report.ts";
import { httpSeries, measureRounds, ratioOf } from "../rounds.ts";
import { serveCairn, type Cairn } from "../servers.ts";
import { progress, type Cell } from "../table.ts";
import { type Call, fillingCalls, workloads, type WorkloadName } from "../workloads.ts";

const SMALLEST = 1000;
const CONNECTIONS = 32;
/** Enough of them that a large database does not answer from what it just had in memory. */
const DISTINCT_CALLS = 20_000;
const MEASURED: readonly WorkloadName[] = ["get", "set", "list100"];
const HELD: readonly WorkloadName[] = ["get", "set"];
const LEAST_HELD = 0.8;

export async function measureGrowth(options: BenchOptions, folder: string): Promise<Report> {
  const sizes: number[] = [];
  for (let size = SMALLEST; size <= options.maxEntries; size *= 10) sizes.push(size);
  const servers = new Map<number, Cairn>();
  try {
    for (const size of sizes) {
      progress(`growth: filling a database with ${size} entries`);
      servers.set(size, await filled(size, join(folder, `growth-${size}`)));
    }
    const rows: Cell[][] = [];
    const targets: Target[] = [];
    for (const name of MEASURED.filter((each) => options.only.includes(each))) {
      progress(`growth: ${name} at ${sizes.join(", ")} entries`);
      const opened = await Promise.all(
        Array.from(servers, async ([size, { address, request }]) => ({
          size,
          connections: await Connections.open(address, CONNECTIONS),
          requests: callsOf(name, size).map(request),
        })),
      );
      const series = opened.map(({ size, connections, requests }) => httpSeries(String(size), connections, requests));
      const results = await measureRounds(series, options);
      for (const { connections } of opened) connections.close();
      const smallest = results.get(String(SMALLEST));
      for (const [size, measured] of results) {
        if (smallest === undefined) throw new Error("expected a measurement of the smallest database");
        const ratio = ratioOf(measured.perSecondOfRounds, smallest.perSecondOfRounds);
        const { perSecond, p50Ms, p99Ms } = measured;
        rows.push([name, Number(size), Math.round(perSecond), p50Ms.toFixed(2), p99Ms.toFixed(2), ratio.toFixed(2)]);
        if (HELD.includes(name) && Number(size) > SMALLEST && size === String(sizes.at(-1))) {
          targets.push({ what: `${name} at ${size} entries, × at ${SMALLEST}`, atLeast: LEAST_HELD, measured: ratio });
        }
      }
    }
    const columns = ["what", "entries", "per second", "p50 ms", "p99 ms", `× at ${SMALLEST}`];
    return { tables: [{ title: `As the database grows, ${CONNECTIONS} connections`, columns, rows }], targets };
  } finally {
    await Promise.all(Array.from(servers.values(), (server) => server.stop()));
  }
}

async function filled(entries: number, folder: string): Promise<Cairn> {
  const cairn = await serveCairn(folder);
  const connections = await Connections.open(cairn.address, 2);
  await connections.sendAll(requestsOf(cairn, entries));
  connections.close();
  return cairn;
}

function* requestsOf(cairn: Cairn, entries: number): Generator<Buffer> {
  for (const call of fillingCalls(entries)) yield cairn.request(call);
}

function callsOf(name: WorkloadName, entries: number): readonly Call[] {
  const workload = workloads(entries, DISTINCT_CALLS).find((each) => each.name === name);
  if (workload === undefined) throw new Error(`expected a workload ${name}`);
  return workload.calls;
}
