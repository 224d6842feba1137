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

/** Of operations that began at `startMs` and have all ended by now, by `performance.now()`. `latencies`: in milliseconds; they get sorted. */
export function loadResult(latencies: number[], startMs: number) {
  const elapsedSeconds = (performance.now() - startMs) / 1000;
  latencies.sort((a, b) => a - b);
  return {
    perSecond: latencies.length / elapsedSeconds,
    p50Ms: quantile(latencies, 0.5),
    p99Ms: quantile(latencies, 0.99),
  };
}
