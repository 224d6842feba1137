/**
 * `npm run bench:watches`: what a changed key costs in the watch hub when nobody watches it, in nanoseconds, by how many others watch.
 * Run it on a quiet machine: each line is the median of rounds, and the lines take turns.
 */
import { hubCosts } from "./hub-costs.ts";

const ROUNDS = 21;

const watched = [
  [0, 0],
  [1, 0],
  [10_000, 0],
  [0, 1],
  [5_000, 5_000],
  [0, 10_000],
] as const;

for (const { name, nanoseconds } of hubCosts(watched, ROUNDS)) {
  console.log(`${nanoseconds.toFixed(0).padStart(6)} ns  ${name}`);
}
