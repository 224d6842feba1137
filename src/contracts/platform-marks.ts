/** How the platform marks what a call of an object throws. The marks survive a call through another object. */

/**
 * `retryable`: the call may be made again. `overloaded`: the object has more to do than it can. `durableObjectReset`: the object ended
 * during the call, by what the call did or by something else.
 */
export function isMarked(error: unknown, mark: "retryable" | "overloaded" | "durableObjectReset"): boolean {
  return typeof error === "object" && error !== null && Reflect.get(error, mark) === true;
}

/** Of an object that was reset because its storage took no more; SQLite's own code, the longer one if there are two. */
export function storageCodeOf(error: unknown): string | null {
  if (!isMarked(error, "durableObjectReset") || !(error instanceof Error)) return null;
  const codes = error.message.match(/\bSQLITE_(FULL|IOERR)(_[A-Z]+)?\b/g) ?? [];
  return codes.at(-1) ?? null;
}
