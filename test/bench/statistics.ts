/** Medians and quantiles. */

/** `sorted` ascending and not empty; the nearest rank. */
export function quantile(sorted: readonly number[], part: number): number {
  const value = sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))];
  if (value === undefined) throw new Error("expected at least one measurement");
  return value;
}

/** Of an even count the upper of the two in the middle. */
export function median(values: readonly number[]): number {
  return quantile(
    values.toSorted((a, b) => a - b),
    0.5,
  );
}
