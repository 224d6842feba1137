/** HTTP/1.1 through the front of `npm start`, against the same on workerd's own port. */
import { join } from "node:path";
import { Connections } from "../load.ts";
import type { BenchOptions } from "../options.ts";
import type { Report, Target } from "../report.ts";
import { httpSeries, measureRounds, ratioOf } from "../rounds.ts";
import { serveCairn, serveFront } from "../servers.ts";
import { progress, type Cell } from "../table.ts";
import { fillingCalls, workloads, type WorkloadName } from "../workloads.ts";

const ENTRIES = 1000;
const MEASURED: readonly WorkloadName[] = ["get", "list100", "set"];
const LEAST_THROUGH = 0.85;

export async function measureFront(options: BenchOptions, folder: string): Promise<Report> {
  const served = join(folder, "front");
  const cairn = await serveCairn(served);
  const front = await serveFront(cairn.address, served);
  try {
    const rows: Cell[][] = [];
    const targets: Target[] = [];
    const filler = await Connections.open(cairn.address, 1);
    await filler.sendAll(Array.from(fillingCalls(ENTRIES), cairn.request));
    filler.close();
    const measured = workloads(ENTRIES).filter(({ name }) => MEASURED.includes(name) && options.only.includes(name));
    for (const count of options.connections) {
      progress(`front, ${count} connections`);
      const direct = await Connections.open(cairn.address, count);
      const through = await Connections.open(front.address, count);
      for (const { name, calls } of measured) {
        const requests = calls.map(cairn.request);
        const results = await measureRounds(
          [httpSeries("direct", direct, requests), httpSeries("through", through, requests)],
          options,
        );
        const [before, behind] = [results.get("direct"), results.get("through")];
        if (before === undefined || behind === undefined) throw new Error("expected both to be measured");
        const ratio = ratioOf(behind.perSecondOfRounds, before.perSecondOfRounds);
        rows.push([name, count, Math.round(behind.perSecond), Math.round(before.perSecond), ratio.toFixed(2)]);
        if (count > 1) {
          targets.push({
            what: `${name} at ${count} connections through the front, × direct`,
            atLeast: LEAST_THROUGH,
            measured: ratio,
          });
        }
      }
      direct.close();
      through.close();
    }
    const columns = ["what", "connections", "through the front", "on workerd's port", "ratio"];
    return { tables: [{ title: "Through the front of npm start, HTTP/1.1, per second", columns, rows }], targets };
  } finally {
    await Promise.all([front.stop(), cairn.stop()]);
  }
}
