/**
 * The linter holds what DESIGN and STYLE ask for. Each fixture is linted with the project's own configuration; exactly the lines
 * that end in "// refused" may be reported, so every rule is shown both to bite and to leave good code alone.
 */
import { execFile } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";

const fixtures = join(import.meta.dirname, "fixtures");
const oxlint = join(import.meta.dirname, "../../node_modules/.bin/oxlint");

interface Report {
  readonly diagnostics: readonly {
    readonly filename: string;
    readonly labels: readonly { readonly span: { readonly line: number } }[];
  }[];
}

/** "src/core/arrows.ts:3" for every line with a diagnostic. */
async function reportedLines(): Promise<Set<string>> {
  const output = await new Promise<string>((resolve) => {
    // oxlint exits with 1 because it finds what it should find.
    execFile(oxlint, ["-c", "oxlint.json", "--type-aware", "--format=json", "."], { cwd: fixtures }, (_exit, stdout) =>
      resolve(stdout),
    );
  });
  const report = JSON.parse(output) as Report; // The documented form of --format=json.
  return new Set(report.diagnostics.map((found) => `${found.filename}:${found.labels[0]?.span.line}`));
}

function refusedLines(): Set<string> {
  const refused = new Set<string>();
  for (const file of readdirSync(fixtures, { recursive: true, encoding: "utf8" })) {
    if (!file.endsWith(".ts")) continue;
    const lines = readFileSync(join(fixtures, file), "utf8").split("\n");
    for (const [index, line] of lines.entries()) if (line.endsWith("// refused")) refused.add(`${file}:${index + 1}`);
  }
  return refused;
}

test("exactly the lines that break a rule are reported: import arrows, clock, cycles, type rules", async () => {
  const refused = refusedLines();
  expect(refused.size).toBeGreaterThan(150);
  expect([...(await reportedLines())].toSorted()).toEqual([...refused].toSorted());
});
