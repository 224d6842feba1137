/**
 * Interleaved rounds: everything that is compared is measured in every round, one right after the other, so that what else the
 * machine does falls on all alike; and every second round goes backwards. What is shown are medians over the rounds.
 */
import type { Connections, LoadResult } from "./load.ts";
import { median } from "./statistics.ts";

export interface Series {
  readonly name: string;
  /** One stretch of load. */
  readonly load: (seconds: number) => Promise<LoadResult>;
}

export function httpSeries(name: string, connections: Connections, requests: readonly Buffer[]): Series {
  return { name, load: (seconds) => connections.load(requests, seconds) };
}

/** Medians of the rounds; `perSecondOfRounds` for ratios, which are taken within a round. */
export interface Measured extends LoadResult {
  readonly perSecondOfRounds: readonly number[];
}

const WARM_UP_ROUNDS = 2;

export async function measureRounds(
  series: readonly Series[],
  { rounds, seconds }: { readonly rounds: number; readonly seconds: number },
): Promise<Map<string, Measured>> {
  const results = new Map(series.map(({ name }) => [name, [] as LoadResult[]]));
  // A workerd that starts takes new memory for its first ten thousand requests or so, and its code is compiled meanwhile.
  for (const { load } of series) await load(WARM_UP_ROUNDS * seconds);
  for (let round = 0; round < rounds; round++) {
    for (const { name, load } of round % 2 === 0 ? series : series.toReversed()) {
      results.get(name)?.push(await load(seconds));
    }
  }
  return new Map(
    Array.from(results, ([name, ofRounds]) => [
      name,
      {
        perSecond: median(ofRounds.map((result) => result.perSecond)),
        p50Ms: median(ofRounds.map((result) => result.p50Ms)),
        p99Ms: median(ofRounds.map((result) => result.p99Ms)),
        perSecondOfRounds: ofRounds.map((result) => result.perSecond),
      },
    ]),
  );
}

/** The median of the rounds' ratios. */
export function ratioOf(measured: readonly number[], baseline: readonly number[]): number {
  return median(measured.map((value, round) => value / (baseline[round] ?? Number.NaN)));
}
