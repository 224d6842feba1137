/** What entries take on disk, and how quickly they are written by the thousand. */
import { join } from "node:path";
import type { BenchOptions } from "../options.ts";
import type { Report, Target } from "../report.ts";
import { serveBench, type Bench } from "../servers.ts";
import { progress, type Cell } from "../table.ts";

const SLICE = 20_000;
const MB = 1_000_000;
/** The requirement's size; its limits hold in proportion for others. */
const REQUIRED_ENTRIES = 1_000_000;

const SHAPES = [
  { valueBytes: 60, order: "ascending", atMostMb: 130 },
  { valueBytes: 60, order: "scattered", atMostMb: 130 },
  { valueBytes: 1000, order: "ascending", atMostMb: 1300 },
  { valueBytes: 1000, order: "scattered", atMostMb: 1300 },
] as const;

export async function measureSpace(options: BenchOptions, folder: string): Promise<Report> {
  const bench = await serveBench(join(folder, "space"));
  try {
    const entries = options.maxEntries;
    const rows: Cell[][] = [];
    const targets: Target[] = [];
    for (const { valueBytes, order, atMostMb } of SHAPES) {
      progress(`space: ${entries} entries of ${valueBytes} bytes, keys ${order}`);
      const start = performance.now();
      const bytes = await fill(bench, entries, valueBytes, order);
      const seconds = (performance.now() - start) / 1000;
      rows.push([valueBytes, order, entries, (bytes / MB).toFixed(1), bytes / entries, Math.round(entries / seconds)]);
      targets.push({
        what: `${entries} values of ${valueBytes} bytes, keys ${order}, MB`,
        atMost: (atMostMb * entries) / REQUIRED_ENTRIES,
        measured: bytes / MB,
      });
    }
    const columns = ["value bytes", "keys", "entries", "MB", "bytes per entry", "sets per second"];
    return { tables: [{ title: "Space", columns, rows }], targets };
  } finally {
    await bench.stop();
  }
}

async function fill(
  bench: Bench,
  entries: number,
  valueBytes: number,
  order: "ascending" | "scattered",
): Promise<number> {
  const object = `space ${valueBytes} ${order}`;
  let bytes = 0;
  for (let from = 0; from < entries; from += SLICE) {
    const to = Math.min(entries, from + SLICE);
    ({ bytes } = await bench.run({ object, task: "fill", from, to, of: entries, valueBytes, order }));
  }
  return bytes;
}
