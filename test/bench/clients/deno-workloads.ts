/** What Deno's own client is asked to do in the measurement: `deno-load.ts`, which runs inside it. */

export const denoWorkloads = [
  "get",
  "set",
  "sum",
  "check-and-set",
  "nine gets to a set",
  "getMany of 10",
  "list of 100",
] as const;

export type DenoWorkload = (typeof denoWorkloads)[number];

export type DenoOrder =
  | { readonly do: "fill" }
  /** Answered with a `LoadResult`. */
  | { readonly do: "load"; readonly workload: DenoWorkload; readonly inFlight: number; readonly seconds: number };
