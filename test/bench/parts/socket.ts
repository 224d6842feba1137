/** Sockets: operations in flight on one beside HTTP and denokv, watches, idle sockets, and a burst of clients that connect again. */
import { join } from "node:path";
import { denokvMissing } from "../../denokv/denokv.ts";
import { Connections } from "../load.ts";
import type { BenchOptions } from "../options.ts";
import { serveDenokv, serveStart } from "../programs.ts";
import type { Report, Table, Target } from "../report.ts";
import { httpSeries, measureRounds, ratioOf, type Measured, type Series } from "../rounds.ts";
import { exchange, serveCairn, type KvConnectServer } from "../servers.ts";
import { SocketLoad } from "../socket-load.ts";
import { progress, type Cell } from "../table.ts";
import { fillingCalls, workloads, type Call } from "../workloads.ts";
import { measureBursts, measureIdle } from "./socket-crowds.ts";
import { measureCost, measureLatency } from "./socket-watches.ts";

const ENTRIES = 1000;
const IN_FLIGHT = 64;
const CONNECTIONS = 32;

/** There is much to measure, and a stretch of half the length is enough. */
const SHARE_OF_SECONDS = 0.5;

const TARGETS = {
  get: { http: 8, denokv: 1.5 },
  set: { http: 4, denokv: 2 },
} as const;

export async function measureSocket(options: BenchOptions, folder: string): Promise<Report> {
  const length = { ...options, seconds: options.seconds * SHARE_OF_SECONDS };
  const reports = [await measureOneSocket(length, folder)];
  const start = await serveStart(join(folder, "socket-watches"));
  try {
    reports.push(await measureLatency(length, start), await measureBursts(length, start));
  } finally {
    await start.stop();
  }
  const cairn = await serveCairn(join(folder, "socket-crowd"));
  try {
    reports.push(await measureCost(length, cairn), await measureIdle(length, cairn));
  } finally {
    await cairn.stop();
  }
  const tables: Table[] = [];
  const targets: Target[] = [];
  for (const report of reports) {
    tables.push(...report.tables);
    targets.push(...report.targets);
  }
  return { tables, targets };
}

/** The same calls on one socket, and over HTTP/1.1 with many connections. */
async function measureOneSocket(options: BenchOptions, folder: string): Promise<Report> {
  const cairn = await serveCairn(join(folder, "socket-cairn"));
  const start = await serveStart(join(folder, "socket-start"));
  const missing = denokvMissing();
  const denokv = missing === undefined ? await serveDenokv(join(folder, "socket-denokv")) : undefined;
  if (missing !== undefined) progress(`The socket is not put beside denokv. ${missing}`);
  const closing: { close(): void }[] = [];
  try {
    const through = await exchange(start.connectUrl, start.accessToken);
    const rival = denokv === undefined ? undefined : await exchange(denokv.connectUrl, denokv.accessToken);
    const opened = async (server: KvConnectServer): Promise<Connections> => {
      const connections = await Connections.open(server.address, CONNECTIONS);
      closing.push(connections);
      await connections.sendAll(Array.from(fillingCalls(ENTRIES), server.request));
      return connections;
    };
    const direct = await opened(cairn);
    (await opened(through)).close();
    const rivals = rival === undefined ? undefined : await opened(rival);
    const sockets = { direct: await SocketLoad.open(cairn), through: await SocketLoad.open(through) };
    closing.push(sockets.direct, sockets.through);

    const rows: Cell[][] = [];
    const targets: Target[] = [];
    for (const { name, calls } of workloads(ENTRIES)) {
      if (name !== "get" && name !== "set") continue;
      progress(`socket, ${name}, ${IN_FLIGHT} in flight`);
      const series: Series[] = [
        socketSeries(SERIES.direct, sockets.direct, calls),
        socketSeries(SERIES.through, sockets.through, calls),
        httpSeries(SERIES.http, direct, calls.map(cairn.request)),
      ];
      if (rival !== undefined && rivals !== undefined) {
        series.push(httpSeries(SERIES.denokv, rivals, calls.map(rival.request)));
      }
      const results = await measureRounds(series, options);
      rows.push(...rowsOf(name, results));
      const least = TARGETS[name];
      for (const socket of [SERIES.direct, SERIES.through]) {
        const [http, other] = [ratioTo(results, socket, SERIES.http), ratioTo(results, socket, SERIES.denokv)];
        const what = `${name} on a ${socket}, ×`;
        if (http !== undefined) targets.push({ what: `${what} ${SERIES.http}`, atLeast: least.http, measured: http });
        if (other !== undefined) {
          targets.push({ what: `${what} ${SERIES.denokv}`, atLeast: least.denokv, measured: other });
        }
      }
    }
    const columns = ["what", "how", "per second", "p50 ms", "p99 ms", "× HTTP", "× denokv"];
    const title = `One socket, ${IN_FLIGHT} operations in flight, beside ${CONNECTIONS} connections of HTTP/1.1`;
    return { tables: [{ title, columns, rows }], targets };
  } finally {
    for (const each of closing) each.close();
    await Promise.all([cairn.stop(), start.stop(), denokv?.stop()]);
  }
}

const SERIES = {
  direct: "socket on workerd's port",
  through: "socket through npm start",
  http: `KV Connect on workerd's port at ${CONNECTIONS}`,
  denokv: `denokv at ${CONNECTIONS}`,
} as const;

function socketSeries(name: string, socket: SocketLoad, calls: readonly Call[]): Series {
  return { name, load: (seconds) => socket.load(calls, IN_FLIGHT, seconds) };
}

function rowsOf(what: string, results: ReadonlyMap<string, Measured>): Cell[][] {
  return Array.from(results, ([name, { perSecond, p50Ms, p99Ms }]) => [
    what,
    name,
    Math.round(perSecond),
    p50Ms.toFixed(2),
    p99Ms.toFixed(2),
    ratioTo(results, name, SERIES.http)?.toFixed(2) ?? "",
    ratioTo(results, name, SERIES.denokv)?.toFixed(2) ?? "",
  ]);
}

/** Undefined: one of them was not measured. */
function ratioTo(results: ReadonlyMap<string, Measured>, name: string, baseline: string): number | undefined {
  const [measured, to] = [results.get(name), results.get(baseline)];
  if (measured === undefined || to === undefined) return undefined;
  return ratioOf(measured.perSecondOfRounds, to.perSecondOfRounds);
}
