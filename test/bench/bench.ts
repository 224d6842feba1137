/** Runs the parts that were asked for, one after the other. */
import type { BenchOptions, PartName } from "./options.ts";
import { within } from "./deadline.ts";
import { measureArchives } from "./parts/archives.ts";
import { measureDeno } from "./parts/deno.ts";
import { measureDirectory } from "./parts/directory.ts";
import { measureDocuments } from "./parts/documents.ts";
import { measureEngine } from "./parts/engine.ts";
import { measureFeed } from "./parts/feed.ts";
import { measureFront } from "./parts/front.ts";
import { measureGrowth } from "./parts/growth.ts";
import { measureHttp } from "./parts/http.ts";
import { measureKvConnect } from "./parts/kv-connect.ts";
import { countRows } from "./parts/rows.ts";
import { measureSearches } from "./parts/searches.ts";
import { measureSocket } from "./parts/socket.ts";
import { measureSpace } from "./parts/space.ts";
import { measureStart } from "./parts/start.ts";
import { measureTenants } from "./parts/tenants.ts";
import { targetTable, type Report, type Table } from "./report.ts";
import { formatTable } from "./table.ts";

const PARTS: Record<PartName, (options: BenchOptions, folder: string) => Promise<Report>> = {
  "kv-connect": measureKvConnect,
  engine: measureEngine,
  rows: countRows,
  growth: measureGrowth,
  space: measureSpace,
  front: measureFront,
  start: measureStart,
  directory: measureDirectory,
  deno: measureDeno,
  socket: measureSocket,
  http: measureHttp,
  feed: measureFeed,
  documents: async (options, folder) =>
    together(await measureDocuments(options, folder), await measureSearches(options, folder)),
  archives: measureArchives,
  tenants: measureTenants,
};

function together(one: Report, other: Report): Report {
  return { tables: [...one.tables, ...other.tables], targets: [...one.targets, ...other.targets] };
}

/** The longest, with a million entries, takes a few. */
export const PART_DEADLINE_MS = 15 * 60_000;

/** `folder`: for the servers' data; the caller removes it. `print` gets each table as soon as it is known. */
export async function runBench(options: BenchOptions, folder: string, print: (text: string) => void): Promise<Report> {
  const tables: Table[] = [];
  const targets: Report["targets"][number][] = [];
  const show = ({ title, columns, rows }: Table) => print(formatTable(title, columns, rows));
  for (const part of options.parts) {
    const sentence = `The part ${part} did not end within ${PART_DEADLINE_MS / 60_000} minutes.`;
    const report = await within(PARTS[part](options, folder), PART_DEADLINE_MS, sentence);
    report.tables.forEach(show);
    tables.push(...report.tables);
    targets.push(...report.targets);
  }
  if (targets.length > 0) show(targetTable(targets));
  return { tables, targets };
}
