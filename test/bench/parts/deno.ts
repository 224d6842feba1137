/** Deno's own client through `npm start`, beside `denokv serve`; and both over HTTP/1.1. Ratios are to denokv in the same rounds. */
import { join } from "node:path";
import { denokvMissing } from "../../denokv/denokv.ts";
import type { DenoWorkload } from "../clients/deno-workloads.ts";
import { Connections } from "../load.ts";
import type { BenchOptions } from "../options.ts";
import { type DenoLoad, serveDenokv, serveStart, startDenoLoad, type StartedProgram } from "../programs.ts";
import { skipped, type Report, type Target } from "../report.ts";
import { httpSeries, measureRounds, ratioOf, type Measured, type Series } from "../rounds.ts";
import { exchange } from "../servers.ts";
import { progress, type Cell } from "../table.ts";
import { fillingCalls, workloads } from "../workloads.ts";

const TITLE = "Deno's own client through npm start, beside denokv";

/** What the requirements name, by operations in flight: the least ratio to denokv. */
const TARGETS: Record<number, Partial<Record<DenoWorkload, number>>> = {
  1: { get: 0.45, set: 0.55 },
  32: {
    get: 0.55,
    set: 1.6,
    sum: 1.4,
    "check-and-set": 1.4,
    "nine gets to a set": 1.3,
    "getMany of 10": 0.9,
    "list of 100": 0.65,
  },
  128: { get: 0.75, set: 1.8 },
};

/** Measured with another number in flight than these. */
const AT_LEAST: readonly DenoWorkload[] = ["get", "set"];

const HTTP_CONNECTIONS = 32;
const HTTP_TARGETS = { get: 0.45, set: 1.3 } as const;
const ENTRIES = 1000;

/** There is much to measure, and a stretch of half the length is enough. */
const SHARE_OF_SECONDS = 0.5;

export async function measureDeno(options: BenchOptions, folder: string): Promise<Report> {
  const missing = denokvMissing();
  if (missing !== undefined) return skipped(TITLE, missing);
  const cairn = await serveStart(join(folder, "deno-cairn"));
  const denokv = await serveDenokv(join(folder, "deno-denokv"));
  const clients = new Map([
    ["cairn", startDenoLoad(cairn)],
    ["denokv", startDenoLoad(denokv)],
  ]);
  try {
    const found: Found = { rows: [], targets: [], length: { ...options, seconds: options.seconds * SHARE_OF_SECONDS } };
    for (const client of clients.values()) await client.fill();
    for (const inFlight of options.connections) await measureClients(clients, inFlight, found);
    if (options.connections.includes(HTTP_CONNECTIONS)) await measureHttp(cairn, denokv, found);
    const columns = ["what", "client", "in flight", "cairn", "denokv", "p99 ms", "p99 ms denokv", "ratio"];
    return { tables: [{ title: `${TITLE}, per second`, columns, rows: found.rows }], targets: found.targets };
  } finally {
    await Promise.all([...clients.values()].map((client) => client.close()));
    await Promise.all([cairn.stop(), denokv.stop()]);
  }
}

interface Found {
  readonly rows: Cell[][];
  readonly targets: Target[];
  readonly length: { readonly rounds: number; readonly seconds: number };
}

async function measureClients(
  clients: ReadonlyMap<string, DenoLoad>,
  inFlight: number,
  { rows, targets, length }: Found,
): Promise<void> {
  const least = TARGETS[inFlight] ?? {};
  for (const workload of workloadsOf(least)) {
    progress(`Deno, ${workload}, ${inFlight} in flight`);
    const series: Series[] = Array.from(clients, ([name, client]) => ({
      name,
      load: (seconds) => client.load(workload, inFlight, seconds),
    }));
    const results = await measureRounds(series, length);
    const atLeast = least[workload];
    const what = `Deno's client, ${workload} at ${inFlight} in flight, × denokv`;
    const { row, ratio } = compared(results);
    rows.push([workload, "Deno", inFlight, ...row]);
    if (atLeast !== undefined) targets.push({ what, atLeast, measured: ratio });
  }
}

function workloadsOf(least: Partial<Record<DenoWorkload, number>>): DenoWorkload[] {
  // The members of `least` are workloads.
  const named = Object.keys(least) as DenoWorkload[];
  return named.length === 0 ? [...AT_LEAST] : named;
}

async function measureHttp(
  cairn: StartedProgram,
  denokv: StartedProgram,
  { rows, targets, length }: Found,
): Promise<void> {
  const servers = new Map([
    ["cairn", await exchange(cairn.connectUrl, cairn.accessToken)],
    ["denokv", await exchange(denokv.connectUrl, denokv.accessToken)],
  ]);
  const opened = new Map<string, Connections>();
  try {
    for (const [name, { address, request }] of servers) {
      const connections = await Connections.open(address, HTTP_CONNECTIONS);
      opened.set(name, connections);
      await connections.sendAll(Array.from(fillingCalls(ENTRIES), request));
    }
    for (const { name: workload, calls } of workloads(ENTRIES)) {
      if (workload !== "get" && workload !== "set") continue;
      progress(`HTTP/1.1 beside denokv, ${workload}, ${HTTP_CONNECTIONS} connections`);
      const series = Array.from(servers, ([name, { request }]) => {
        const connections = opened.get(name);
        if (connections === undefined) throw new Error("expected connections to every server");
        return httpSeries(name, connections, calls.map(request));
      });
      const { row, ratio } = compared(await measureRounds(series, length));
      rows.push([workload, "HTTP/1.1", HTTP_CONNECTIONS, ...row]);
      const what = `HTTP/1.1, ${workload} at ${HTTP_CONNECTIONS} connections, × denokv`;
      targets.push({ what, atLeast: HTTP_TARGETS[workload], measured: ratio });
    }
  } finally {
    for (const connections of opened.values()) connections.close();
  }
}

function compared(results: ReadonlyMap<string, Measured>): { readonly row: Cell[]; readonly ratio: number } {
  const [cairn, denokv] = [results.get("cairn"), results.get("denokv")];
  if (cairn === undefined || denokv === undefined) throw new Error("expected both to be measured");
  const ratio = ratioOf(cairn.perSecondOfRounds, denokv.perSecondOfRounds);
  const both = [Math.round(cairn.perSecond), Math.round(denokv.perSecond)];
  return { row: [...both, cairn.p99Ms.toFixed(2), denokv.p99Ms.toFixed(2), ratio.toFixed(2)], ratio };
}
