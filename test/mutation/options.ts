/** The command line of `npm run mutate`. */
import { parseArgs } from "node:util";

export interface MutationOptions {
  /** Below the root: "src/engine". */
  readonly folder: string;
  /** Below the folder; empty: all. */
  readonly files: readonly string[];
  /** Test files besides the folder's own. */
  readonly tests: readonly string[];
  readonly sample: number;
  readonly seed: number;
  readonly workers: number;
  readonly minutes: number;
}

export const HELP = `Usage: npm run mutate -- --folder src/engine [options]

Changes the sources of a folder at one place after the other, in a copy, and runs the tests of the folder
of the same name below test/. A change that no test notices has survived: it is listed.

  --folder <path>     whose sources are changed, as src/engine
  --file <name>       only this file of it, as plan.ts; may be repeated
  --test <file>       run this test file as well, as test/worker/worker.test.ts; may be repeated
  --sample <number>   how many changes (60)
  --seed <number>     which ones: the same seed draws the same (1)
  --workers <number>  how many are tried at a time (2)
  --minutes <number>  when to stop, whatever is left (12)
  --help              print this`;

/** Throws with a sentence that names the option. Undefined: help was asked for. */
export function parseMutationOptions(args: readonly string[]): MutationOptions | undefined {
  const { values } = parseArgs({
    args: [...args],
    options: {
      folder: { type: "string" },
      file: { type: "string", multiple: true, default: [] },
      test: { type: "string", multiple: true, default: [] },
      sample: { type: "string", default: "60" },
      seed: { type: "string", default: "1" },
      workers: { type: "string", default: "2" },
      minutes: { type: "string", default: "12" },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) return undefined;
  const folder = values.folder?.replace(/\/+$/, "") ?? "";
  if (!/^src\/./.test(folder))
    throw new Error(`--folder: expected a folder below src/, as src/engine, got "${folder}".`);
  return {
    folder,
    files: values.file,
    tests: values.test,
    sample: wholeNumber("--sample", values.sample),
    seed: wholeNumber("--seed", values.seed),
    workers: wholeNumber("--workers", values.workers),
    minutes: wholeNumber("--minutes", values.minutes),
  };
}

function wholeNumber(option: string, text: string): number {
  if (!/^[1-9]\d{0,8}$/.test(text)) throw new Error(`${option}: expected a whole number above 0, got "${text}".`);
  return Number(text);
}
