/** A fresh workerd up to its first answer: Cairn's, of the data path, beside that of a Worker that does nothing. */
import { join } from "node:path";
import { Connections } from "../load.ts";
import type { BenchOptions } from "../options.ts";
import type { Report } from "../report.ts";
import { type Cairn, serveCairn, serveCairnAgain, serveEmpty, type RunningServer } from "../servers.ts";
import { median } from "../statistics.ts";
import { progress } from "../table.ts";
import { fillingCalls, workloads } from "../workloads.ts";

const ENTRIES = 1000;

/** Starts for each round that was asked for: one takes a fraction of a second, and they differ. */
const STARTS_PER_ROUND = 2;

export async function measureStart(options: BenchOptions, folder: string): Promise<Report> {
  const data = join(folder, "start");
  const cairn = await serveCairn(data);
  const filler = await Connections.open(cairn.address, 1);
  await filler.sendAll(Array.from(fillingCalls(ENTRIES), cairn.request));
  filler.close();
  await cairn.stop();
  const of = {
    empty: () => serveEmpty(join(folder, "start-empty")),
    cairn: () => serveCairnAgain(data),
  };
  const request = getRequest(cairn);
  const times: Record<keyof typeof of, number[]> = { empty: [], cairn: [] };
  for (let round = 0; round < options.rounds * STARTS_PER_ROUND; round++) {
    progress(`start ${round + 1}`);
    times.empty.push(await firstAnswer(of.empty, request));
    times.cairn.push(await firstAnswer(of.cairn, request));
  }
  const [empty, own] = [median(times.empty), median(times.cairn)];
  const rows = [
    ["empty Worker", empty.toFixed(0), ""],
    ["cairn, first get", own.toFixed(0), (own - empty).toFixed(0)],
  ];
  const columns = ["what", "ms", "more than the empty one"];
  return { tables: [{ title: "From the start of a fresh workerd to its first answer", columns, rows }], targets: [] };
}

function getRequest(cairn: Cairn): Buffer {
  const [get] = workloads(ENTRIES).filter(({ name }) => name === "get");
  const [call] = get?.calls ?? [];
  if (call === undefined) throw new Error("expected a workload of gets");
  return cairn.request(call);
}

async function firstAnswer(start: () => Promise<RunningServer>, request: Buffer): Promise<number> {
  const before = performance.now();
  const server = await start();
  const connections = await Connections.open(server.address, 1);
  const { status } = await connections.exchange(request);
  const taken = performance.now() - before;
  connections.close();
  await server.stop();
  if (status !== 200) throw new Error(`the first request was answered ${status}`);
  return taken;
}
