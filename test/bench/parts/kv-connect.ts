/** KV Connect over HTTP/1.1 on bare workerd, beside the baselines and any peers. */
import { join } from "node:path";
import { Connections, postRequest } from "../load.ts";
import type { BenchOptions } from "../options.ts";
import type { Report, Target } from "../report.ts";
import { httpSeries, measureRounds, ratioOf, type Measured, type Series } from "../rounds.ts";
import { exchange, serveBench, serveCairn, type KvConnectServer } from "../servers.ts";
import { progress, type Cell } from "../table.ts";
import { fillingCalls, workloads, type BaselineCall, type Workload } from "../workloads.ts";
import { assertAnswers } from "../answers.ts";

const ENTRIES = 1000;
const EMPTY_WORKER = "empty Worker";
const BASELINE_NAMES: Record<BaselineCall, string> = { object: "empty object call", upsert: "one upsert" };

/** What the requirements name: workload, connections, and the least ratio to its baseline. */
const TARGETS = [
  { workload: "get", connections: 32, atLeast: 0.75 },
  { workload: "set", connections: 32, atLeast: 1.4 },
  { workload: "set", connections: 1, atLeast: 0.9 },
] as const;

export async function measureKvConnect(options: BenchOptions, folder: string): Promise<Report> {
  const bench = await serveBench(join(folder, "baselines"));
  const cairn = await serveCairn(join(folder, "cairn"));
  try {
    const servers = new Map<string, KvConnectServer>([["cairn", cairn]]);
    for (const { name, connectUrl, accessToken } of options.peers) {
      servers.set(name, await exchange(connectUrl, accessToken));
    }
    const measured = workloads(ENTRIES).filter(({ name }) => options.only.includes(name));
    for (const [name, server] of servers) {
      progress(`${name}: filling with ${ENTRIES} entries`);
      await prepare(server, measured);
    }
    const rows: Cell[][] = [];
    const targets: Target[] = [];
    for (const count of options.connections) {
      progress(`KV Connect, ${count} connections, ${options.rounds} rounds of ${options.seconds} s`);
      const results = await measureAt(count, options, bench.address.port, cairn, servers, measured);
      rows.push(...rowsOf(results, count, servers, measured));
      for (const { workload, connections, atLeast } of TARGETS) {
        const ratio = connections === count ? ratioFor(results, measured, workload) : undefined;
        if (ratio === undefined) continue;
        targets.push({
          what: `${workload} at ${count} connections, × ${ratio.baseline}`,
          atLeast,
          measured: ratio.value,
        });
      }
    }
    const columns = ["what", "server", "connections", "per second", "p50 ms", "p99 ms", "ratio", "to"];
    return { tables: [{ title: "KV Connect, HTTP/1.1, bare workerd", columns, rows }], targets };
  } finally {
    await Promise.all([bench.stop(), cairn.stop()]);
  }
}

/** Fills the database and looks once at what each workload answers, so that nothing is measured which does not work. */
async function prepare(server: KvConnectServer, measured: readonly Workload[]): Promise<void> {
  const connections = await Connections.open(server.address, 1);
  await connections.sendAll(Array.from(fillingCalls(ENTRIES), server.request));
  await assertAnswers(server, connections, measured);
  connections.close();
}

async function measureAt(
  count: number,
  options: BenchOptions,
  benchPort: number,
  cairn: KvConnectServer,
  servers: ReadonlyMap<string, KvConnectServer>,
  measured: readonly Workload[],
): Promise<Map<string, Measured>> {
  const baselines = await Connections.open({ host: "127.0.0.1", port: benchPort }, count);
  const opened = [baselines];
  const series = new Map<string, Series>();
  const add = (name: string, connections: Connections, requests: readonly Buffer[]) => {
    if (!series.has(name)) series.set(name, httpSeries(name, connections, requests));
  };
  // The baselines get the requests that Cairn gets, so that the ratio is about what is done with them.
  const baselineRequest = (path: string, body: Uint8Array) =>
    postRequest(new URL(`http://127.0.0.1:${benchPort}/${path}`), cairn.headers, body);
  const body = measured[0]?.calls[0]?.body ?? new Uint8Array(0);
  add(EMPTY_WORKER, baselines, [baselineRequest("empty", body)]);
  const connectionsOf = new Map<string, Connections>();
  for (const [name, server] of servers) {
    const connections = await Connections.open(server.address, count);
    connectionsOf.set(name, connections);
    opened.push(connections);
  }
  for (const workload of measured) {
    const baseline = workload.baseline.map((path) => baselineRequest(path, body));
    add(baselineOf(workload), baselines, baseline);
    for (const [name, server] of servers) {
      const connections = connectionsOf.get(name);
      if (connections === undefined) throw new Error("expected connections to every server");
      add(seriesName(name, workload), connections, workload.calls.map(server.request));
    }
  }
  try {
    return await measureRounds([...series.values()], options);
  } finally {
    for (const connections of opened) connections.close();
  }
}

function baselineOf({ baseline }: Workload): string {
  const [first] = baseline;
  const kinds = new Set(baseline);
  if (first === undefined) throw new Error("expected a baseline of at least one call");
  return kinds.size === 1 ? BASELINE_NAMES[first] : "both, 90/10";
}

function seriesName(server: string, { name }: Workload): string {
  return `${server} ${name}`;
}

function rowsOf(
  results: ReadonlyMap<string, Measured>,
  count: number,
  servers: ReadonlyMap<string, KvConnectServer>,
  measured: readonly Workload[],
): Cell[][] {
  const rows: Cell[][] = [];
  for (const name of new Set([EMPTY_WORKER, ...measured.map(baselineOf)])) {
    const result = results.get(name);
    if (result !== undefined) rows.push([name, "baseline", count, ...cellsOf(result), "", ""]);
  }
  for (const workload of measured) {
    for (const server of servers.keys()) {
      const result = results.get(seriesName(server, workload));
      const baseline = results.get(baselineOf(workload));
      if (result === undefined || baseline === undefined) continue;
      const ratio = ratioOf(result.perSecondOfRounds, baseline.perSecondOfRounds);
      rows.push([workload.name, server, count, ...cellsOf(result), ratio.toFixed(2), baselineOf(workload)]);
    }
  }
  return rows;
}

function cellsOf({ perSecond, p50Ms, p99Ms }: Measured): Cell[] {
  return [Math.round(perSecond), p50Ms.toFixed(2), p99Ms.toFixed(2)];
}

function ratioFor(
  results: ReadonlyMap<string, Measured>,
  measured: readonly Workload[],
  name: string,
): { readonly value: number; readonly baseline: string } | undefined {
  const workload = measured.find((each) => each.name === name);
  if (workload === undefined) return undefined;
  const result = results.get(seriesName("cairn", workload));
  const baseline = results.get(baselineOf(workload));
  if (result === undefined || baseline === undefined) return undefined;
  return { value: ratioOf(result.perSecondOfRounds, baseline.perSecondOfRounds), baseline: baselineOf(workload) };
}
