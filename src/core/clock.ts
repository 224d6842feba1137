/** Time is passed in, so that tests move it. Only `objects/`, `worker.ts` and the Node programs call the real one. */
declare const unixMs: unique symbol;

/** Milliseconds since 1970-01-01T00:00:00Z. */
export type UnixMs = number & { readonly [unixMs]: true };

/** The caller is sure that the number is milliseconds since 1970. */
export function asUnixMs(ms: number): UnixMs {
  return ms as UnixMs;
}

export interface Clock {
  now(): UnixMs;
}

/** null when all of them are null. */
export function earliest(times: readonly (UnixMs | null)[]): UnixMs | null {
  let first: UnixMs | null = null;
  for (const time of times) if (time !== null && (first === null || time < first)) first = time;
  return first;
}
