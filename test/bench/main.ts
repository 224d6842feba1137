/** `npm run bench`: measures, prints tables, and writes the same as JSON. `--help` lists the options. */
import { mkdirSync, mkdtempSync, writeFileSync } from "node:fs";
import { cpus, tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { PART_DEADLINE_MS, runBench } from "./bench.ts";
import { keepWatch } from "./deadline.ts";
import { HELP, parseBenchOptions, type BenchOptions } from "./options.ts";

/** The last part may be at its deadline, and its servers have to be stopped. */
const STOP_MS = 60_000;

const options = readOptions();
if (options === undefined) process.stdout.write(`${HELP}\n`);
else await measure(options);

async function measure(wanted: BenchOptions): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "cairn-bench-"));
  // The servers end with this process, whichever way it ends; their data, gigabytes of it, has to be removed.
  keepWatch(folder, wanted.parts.length * PART_DEADLINE_MS + STOP_MS);

  const report = await runBench(wanted, folder, (text) => process.stdout.write(`${text}\n`));
  const machine = { cpus: cpus().length, model: cpus()[0]?.model, node: process.version };
  const written = {
    at: new Date().toISOString(),
    machine,
    options: { ...wanted, peers: peerNames(wanted) },
    ...report,
  };
  mkdirSync(dirname(wanted.json), { recursive: true });
  writeFileSync(wanted.json, `${JSON.stringify(written, null, 2)}\n`);
  process.stdout.write(`\nThe same as JSON: ${wanted.json}\n`);
  // Whatever a part has left open ends with this.
  process.exit();
}

function readOptions(): BenchOptions | undefined {
  try {
    return parseBenchOptions(process.argv.slice(2));
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)} --help lists the options.\n`);
    process.exit(2);
  }
}

/** Their tokens do not belong into a file of results. */
function peerNames({ peers }: BenchOptions): string[] {
  return peers.map(({ name }) => name);
}
