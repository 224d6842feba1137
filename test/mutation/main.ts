/** `npm run mutate`: tries mutants of a folder on its tests, and prints which ones survived. `--help` lists the options. */
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { setPriority, tmpdir } from "node:os";
import { join } from "node:path";
import { formatTable, progress } from "../bench/table.ts";
import { mutantsOf, mutated, parses, shuffled, type Mutant } from "./mutants.ts";
import { HELP, parseMutationOptions, type MutationOptions } from "./options.ts";
import { Trials, type Trial, type Verdict } from "./trials.ts";

const NICENESS = 10;
const root = process.cwd();

try {
  const options = parseMutationOptions(process.argv.slice(2));
  if (options === undefined) process.stdout.write(`${HELP}\n`);
  else await mutate(options);
  process.exit();
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)} --help lists the options.\n`);
  process.exit(2);
}

async function mutate({ folder, files, tests, sample, seed, workers, minutes }: MutationOptions): Promise<void> {
  setPriority(NICENESS);
  const endsAt = Date.now() + minutes * 60_000;
  const mutants = drawn(sourcesOf(folder, files), sample, seed);
  const paths = testsOf(folder, tests);
  const copies = mkdtempSync(join(tmpdir(), "cairn-mutation-"));
  const trials = new Trials(root, copies, workers, endsAt);
  process.once("exit", () => {
    trials.stop();
    rmSync(copies, { recursive: true, force: true });
  });
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => process.exit(1));

  const measured = await trials.measure(paths, (path, ms) => progress(`${seconds(ms)}  ${path}`));
  let tried = 0;
  const results = await trials.try(mutants, measured, ({ mutant, verdict, by, ms }) => {
    progress(
      `${++tried}/${mutants.length}  ${verdict}  ${seconds(ms)}  ${described(mutant)}${by === undefined ? "" : `  [${by}]`}`,
    );
  });
  report(`Mutants of ${folder}, seed ${seed}`, results);
}

function report(title: string, trials: readonly Trial[]): void {
  const verdicts: readonly Verdict[] = ["killed", "timeout", "survived", "not tried"];
  const rowOf = (name: string, of: readonly Trial[]) => {
    const counts = verdicts.map((verdict) => of.filter((trial) => trial.verdict === verdict).length);
    const [killed = 0, timeout = 0, survived = 0] = counts;
    const tried = killed + timeout + survived;
    return [name, ...counts, tried === 0 ? "" : `${Math.round((100 * (tried - survived)) / tried)} %`];
  };
  const files = [...new Set(trials.map(({ mutant }) => mutant.file))].toSorted();
  const rows = files.map((file) =>
    rowOf(
      file,
      trials.filter(({ mutant }) => mutant.file === file),
    ),
  );
  process.stdout.write(`${formatTable(title, ["file", ...verdicts, "score"], [...rows, rowOf("all", trials)])}\n`);

  const survivors = trials.filter(({ verdict }) => verdict === "survived").map(({ mutant }) => described(mutant));
  process.stdout.write(`\nSurvived:\n${survivors.toSorted().join("\n")}\n`);
}

/** "src/engine/plan.ts:42  if (a < b) return;  < → <=" */
function described({ file, start, end, replacement }: Mutant): string {
  const code = readFileSync(join(root, file), "utf8");
  const line = code.slice(code.lastIndexOf("\n", start) + 1, code.indexOf("\n", start)).trim();
  const short = (text: string) => (text.length > 60 ? `${text.slice(0, 60)}…` : text).replace(/\s+/g, " ");
  const number = code.slice(0, start).split("\n").length;
  return `${file}:${number}  ${line}  ${short(code.slice(start, end))} → ${replacement === "" ? "(removed)" : replacement}`;
}

function drawn(files: readonly string[], count: number, seed: number): Mutant[] {
  const codes = new Map(files.map((file) => [file, readFileSync(join(root, file), "utf8")]));
  const all = [...codes].flatMap(([file, code]) => mutantsOf(file, code));
  const possible = shuffled(all, seed).filter((mutant) => parses(mutated(codes.get(mutant.file) ?? "", mutant)));
  return possible.slice(0, count);
}

function sourcesOf(folder: string, names: readonly string[]): string[] {
  const sources = filesOf(folder).filter((file) => file.endsWith(".ts") && !file.endsWith(".d.ts"));
  const missing = names.find((name) => !sources.includes(`${folder}/${name}`));
  if (missing !== undefined) throw new Error(`--file: there is no ${folder}/${missing}.`);
  return names.length === 0 ? sources : names.map((name) => `${folder}/${name}`);
}

function testsOf(folder: string, others: readonly string[]): string[] {
  const missing = others.find((path) => !existsSync(join(root, path)));
  if (missing !== undefined) throw new Error(`--test: there is no ${missing}.`);
  const own = filesOf(folder.replace(/^src/, "test")).filter((file) => file.endsWith(".test.ts"));
  return [...new Set([...own, ...others])];
}

function filesOf(folder: string): string[] {
  if (!existsSync(join(root, folder))) throw new Error(`--folder: there is no ${folder}.`);
  const names = readdirSync(join(root, folder), { recursive: true, encoding: "utf8" });
  return names.map((name) => `${folder}/${name}`).toSorted();
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`;
}
