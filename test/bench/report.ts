/** What a part of the bench found: tables, and how what it must reach was met. */
import type { Cell } from "./table.ts";

export interface Table {
  readonly title: string;
  readonly columns: readonly string[];
  readonly rows: readonly (readonly Cell[])[];
}

/** `atLeast` and `atMost` in the unit that `what` names. */
export type Target = { readonly what: string; readonly measured: number } & (
  | { readonly atLeast: number }
  | { readonly atMost: number }
);

export interface Report {
  readonly tables: readonly Table[];
  readonly targets: readonly Target[];
}

export function isReached(target: Target): boolean {
  return "atLeast" in target ? target.measured >= target.atLeast : target.measured <= target.atMost;
}

export function targetTable(targets: readonly Target[]): Table {
  return {
    title: "What it must reach",
    columns: ["what", "must be", "is", ""],
    rows: targets.map((target) => [
      target.what,
      "atLeast" in target ? `≥ ${target.atLeast}` : `≤ ${target.atMost}`,
      target.measured.toFixed(2),
      isReached(target) ? "reached" : "MISSED",
    ]),
  };
}

/** A part that cannot be measured here: `why` in sentences. */
export function skipped(title: string, why: string): Report {
  return {
    tables: [{ title: `${title}: skipped`, columns: ["why"], rows: why.split("\n").map((line) => [line]) }],
    targets: [],
  };
}
