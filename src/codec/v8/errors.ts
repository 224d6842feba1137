/** Errors that are made of parts that are known already. */

/** Sets a part as the runtime sets it: it is not enumerable. */
export function hide(target: Error, key: "message" | "stack" | "cause", value: unknown): void {
  Object.defineProperty(target, key, { value, writable: true, enumerable: false, configurable: true });
}

/** Without the stack of this program, which would take many times the memory of a short error. */
export function newError(constructor: ErrorConstructor): Error {
  const limit: unknown = Reflect.get(Error, "stackTraceLimit");
  Reflect.set(Error, "stackTraceLimit", 0);
  try {
    return new constructor();
  } finally {
    Reflect.set(Error, "stackTraceLimit", limit);
  }
}
