/** Plain aligned tables, and the line that says what is being measured. */

export type Cell = string | number;

/** Texts to the left, numbers to the right with as many digits as they deserve. */
export function formatTable(title: string, columns: readonly string[], rows: readonly (readonly Cell[])[]): string {
  const texts = rows.map((row) => row.map((cell) => (typeof cell === "number" ? formatNumber(cell) : cell)));
  const widths = columns.map((column, i) => Math.max(column.length, ...texts.map((row) => row[i]?.length ?? 0)));
  const toTheRight = columns.map((_, i) => rows.some((row) => typeof row[i] === "number"));
  const line = (cells: readonly string[]) =>
    cells
      .map((cell, i) => (toTheRight[i] === true ? cell.padStart(widths[i] ?? 0) : cell.padEnd(widths[i] ?? 0)))
      .join("  ")
      .trimEnd();
  return [`\n${title}`, line(columns), ...texts.map(line)].join("\n");
}

function formatNumber(value: number): string {
  if (Number.isInteger(value) || Math.abs(value) >= 1000) return Math.round(value).toLocaleString("en-US");
  return value.toFixed(2);
}

export function progress(text: string): void {
  process.stderr.write(`  ${text}\n`);
}
