/** Rows read and written by each operation, as the platform counts and bills them. */
import { join } from "node:path";
import type { BenchOptions } from "../options.ts";
import type { Report } from "../report.ts";
import { serveBench } from "../servers.ts";
import { progress } from "../table.ts";

export async function countRows(_options: BenchOptions, folder: string): Promise<Report> {
  progress("rows per operation");
  const bench = await serveBench(join(folder, "rows"));
  try {
    const { rows = [] } = await bench.run({ object: "rows", task: "rows" });
    return {
      tables: [
        {
          title: "Rows per operation",
          columns: ["operation", "read", "written"],
          rows: rows.map(({ operation, read, written }) => [operation, read, written]),
        },
      ],
      targets: [],
    };
  } finally {
    await bench.stop();
  }
}
