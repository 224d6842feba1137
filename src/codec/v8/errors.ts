/** Makes errors from known parts. */

/** Sets a part as the runtime does: not enumerable. */
export function hide(target: Error, key: "message" | "stack" | "cause", value: unknown): void {
  Object.defineProperty(target, key, { value, writable: true, enumerable: false, configurable: true });
}

/** An error without the stack of this program: the stack would take many times the memory of a short error. */
export function newError(constructor: ErrorConstructor): Error {
  const limit: unknown = Reflect.get(Error, "stackTraceLimit");
  Reflect.set(Error, "stackTraceLimit", 0);
  try {
    return new constructor();
  } finally {
    Reflect.set(Error, "stackTraceLimit", limit);
  }
}
