/** The marks that the platform puts on what a call of an object throws. They survive a call through another object. */

/**
 * `retryable`: the call may be made again. `overloaded`: the object has too much to do. `durableObjectReset`: the object ended during the
 * call, because of the call or of something else.
 */
export function isMarked(error: unknown, mark: "retryable" | "overloaded" | "durableObjectReset"): boolean {
  return typeof error === "object" && error !== null && Reflect.get(error, mark) === true;
}

/**
 * SQLite's code for why storage took no more, when the object was reset for that; the longer one if there are two. null: that was not the
 * reason.
 */
export function storageCodeOf(error: unknown): string | null {
  if (!isMarked(error, "durableObjectReset") || !(error instanceof Error)) return null;
  const codes = error.message.match(/\bSQLITE_(FULL|IOERR)(_[A-Z]+)?\b/g) ?? [];
  return codes.at(-1) ?? null;
}
